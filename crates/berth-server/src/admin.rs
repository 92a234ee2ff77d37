//! The admin port: health, metrics, and for who is on the machine the table and the board. Plain HTTP.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use axum::{
    Json, Router,
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use axum_server::Handle;
use serde_json::{Value, json};
use tokio::{runtime, sync::oneshot};
use tower::ServiceExt;

use crate::{
    accept::{self, Answers, Gate, Meters, Occupant},
    board::{self, Board},
    metrics::Metrics,
    state::ServerState,
};
use berth_core::table::{Allocation, AllocationTable, Group};

/// The format of [`Metrics::text`].
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Connections to this port: probes, scrapes, and somebody who looks. At the limit the webhook's rules hold.
const MOST_CONNECTIONS: usize = 64;

/// What the port shows.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Whether it is ready, and the table.
    pub state: Arc<ServerState>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The page for people, where there is one.
    pub board: Option<Board>,
}

/// Serves on a thread of its own, so that who asks whether berth lives is answered however much there is to review.
/// What is returned ends with the server.
pub fn serve(
    listener: TcpListener,
    admin: Admin,
    limits: accept::Limits,
    handle: Handle<SocketAddr>,
) -> io::Result<oneshot::Receiver<io::Result<()>>> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let gate = Gate::new(MOST_CONNECTIONS, limits.write_timeout, Meters::default());
    let (end, ended) = oneshot::channel();
    thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            let served = runtime.block_on(async {
                if let Some(board) = &admin.board {
                    tokio::spawn(board.clone().keep(Arc::clone(&admin.state)));
                }
                let services = gate.services(router(admin));
                let server = limits.server(listener, gate, handle)?;
                server.serve(services).await
            });
            // nobody waits for it where the whole process ends
            let _ = end.send(served);
        })?;
    Ok(ended)
}

/// The routes. They need the peer's address.
pub fn router(admin: Admin) -> Router {
    let board = admin.board.clone();
    let board = board.map(|board| board::routes(board, Arc::clone(&admin.state)));
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/debug/table", get(table))
        .with_state(admin)
        .merge(board.unwrap_or_default())
}

impl Answers for Router {
    async fn answer(self, mut request: Request, occupant: Option<Occupant>) -> Response {
        if let Some(occupant) = occupant {
            let peer = ConnectInfo(occupant.peer());
            request.extensions_mut().insert(peer);
        }
        let Ok(response) = self.oneshot(request).await;
        response
    }
}

async fn readyz(State(admin): State<Admin>) -> Response {
    match admin.state.ready() {
        Ok(()) => "ok\n".into_response(),
        Err(reasons) => {
            let lines: Vec<_> = reasons.iter().map(ToString::to_string).collect();
            (StatusCode::SERVICE_UNAVAILABLE, lines.join("\n") + "\n").into_response()
        }
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    admin.metrics.readiness(&admin.state.ready());
    match admin.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The table names every class: to everyone it would undo the one message of a 403.
async fn table(State(admin): State<Admin>, ConnectInfo(peer): ConnectInfo<SocketAddr>) -> Response {
    if !peer.ip().to_canonical().is_loopback() {
        let text = "for loopback peers only: use kubectl port-forward\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    match admin.state.view().as_deref() {
        Some(view) => Json(table_json(&view.table)).into_response(),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{}\n", admin.state.no_table()),
        )
            .into_response(),
    }
}

fn table_json(table: &AllocationTable) -> Value {
    let classes = table.class_names().filter_map(|name| table.class(name));
    json!({
        "revision": table.revision(),
        "classLabel": table.class_label(),
        "classes": classes.map(class_json).collect::<Vec<_>>(),
    })
}

fn class_json(class: &Allocation) -> Value {
    json!({
        "name": class.name,
        "gpus": {"default": class.default_gpus, "max": class.max_gpus},
        "groups": class.groups.iter().map(group_json).collect::<Vec<_>>(),
    })
}

fn group_json(group: &Group) -> Value {
    let alternatives = group.alternatives.iter().map(ToString::to_string);
    json!({
        "pools": group.pools,
        "resource": group.resource,
        "aliases": group.aliases,
        "nodes": alternatives.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpStream,
        time::Duration,
    };

    use super::*;

    type Ended = oneshot::Receiver<io::Result<()>>;

    /// A port on a thread of its own, whose connections may idle for so long.
    fn started(idle_timeout: Duration) -> (SocketAddr, Handle<SocketAddr>, Ended) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let admin = Admin {
            state: Arc::default(),
            metrics: Arc::default(),
            board: None,
        };
        let time = Duration::from_secs(10);
        let limits = accept::Limits {
            max_connections: 3,
            handshake_timeout: time,
            idle_timeout,
            write_timeout: time,
            max_header_bytes: 8192,
        };
        let handle = Handle::new();
        let ended = serve(listener, admin, limits, handle.clone()).expect("a thread");
        (address, handle, ended)
    }

    #[test]
    fn who_sends_no_request_or_half_of_one_is_closed_after_the_idle_time() {
        let (address, handle, ended) = started(Duration::from_millis(300));
        let silent = TcpStream::connect(address).expect("connected");
        let mut half = TcpStream::connect(address).expect("connected");
        half.write_all(b"GET /livez HTTP/1.1\r\nHost:")
            .expect("sent");
        for mut stream in [silent, half] {
            let time = Some(Duration::from_mins(1));
            stream.set_read_timeout(time).expect("set");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("closed in time");
            assert!(!answer.contains("200"), "{answer}");
        }
        handle.shutdown();
        ended.blocking_recv().expect("it ends").expect("in order");
    }

    /// Here no runtime runs but the port's own: as when every worker computes.
    #[test]
    fn live_is_answered_without_any_other_thread() {
        let (address, handle, ended) = started(Duration::from_secs(10));
        let mut stream = TcpStream::connect(address).expect("connected");
        let request = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        handle.shutdown();
        ended.blocking_recv().expect("it ends").expect("in order");
    }
}
