//! Stands in for the endpoints and kube-proxy, which need nodes: connections to a port of loopback go to the replicas that
//! are ready, in turn.
//!
//! As there, a replica's readiness is noticed late, and moves new connections alone: one that is established stays with
//! its replica until either side closes it.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{interval, timeout},
};

use crate::{Error, PATIENCE, Serving};

/// How often a replica is asked whether it is ready: new connections reach one that drains for as long.
const PROBE: Duration = Duration::from_millis(500);
/// How long it is waited for: `timeoutSeconds` of the readiness probe of `deploy/`.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Ports whose connections go to the replicas that are ready, until it is dropped.
#[derive(Debug)]
pub(crate) struct Balancer {
    ready: watch::Sender<Vec<SocketAddr>>,
    tasks: JoinSet<()>,
}

/// A port of a balancer.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) port: u16,
    accepted: watch::Receiver<usize>,
}

impl Balancer {
    pub(crate) fn new() -> Self {
        Self {
            ready: watch::channel(Vec::new()).0,
            tasks: JoinSet::new(),
        }
    }

    /// Asks the replica whether it is ready, until it is gone.
    pub(crate) fn add(&mut self, replica: Serving) {
        self.tasks.spawn(follow(replica, self.ready.clone()));
    }

    /// Waits until a replica gets connections.
    pub(crate) async fn joined(&self, replica: Serving) -> Result<(), Error> {
        let late = "a replica of berth does not become ready";
        self.reaches(late, |ready| ready.contains(&replica.webhook))
            .await
    }

    /// Waits until a replica gets no new connection any more.
    pub(crate) async fn left(&self, replica: Serving) -> Result<(), Error> {
        let late = "a replica of berth that does not answer stays ready";
        self.reaches(late, |ready| !ready.contains(&replica.webhook))
            .await
    }

    async fn reaches(
        &self,
        late: &'static str,
        wanted: impl Fn(&[SocketAddr]) -> bool,
    ) -> Result<(), Error> {
        let mut ready = self.ready.subscribe();
        let reached = ready.wait_for(|ready| wanted(ready));
        match timeout(PATIENCE, reached).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::NotReady(late)),
        }
    }

    /// Opens a port.
    pub(crate) async fn listen(&mut self) -> Result<Listening, Error> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(any).await;
        let listener = listener.map_err(Error::io("a port of loopback"))?;
        let address = listener.local_addr();
        let port = address.map_err(Error::io("a port of loopback"))?.port();
        let (count, accepted) = watch::channel(0);
        let ready = self.ready.subscribe();
        self.tasks.spawn(accept(listener, ready, count));
        Ok(Listening { port, accepted })
    }
}

impl Listening {
    /// Waits for a first connection.
    pub(crate) async fn used(&mut self) -> Result<(), Error> {
        let first = self.accepted.wait_for(|&accepted| accepted > 0);
        match timeout(PATIENCE, first).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::NotReady("the API server does not connect anew")),
        }
    }
}

async fn follow(replica: Serving, ready: watch::Sender<Vec<SocketAddr>>) {
    let mut probes = interval(PROBE);
    loop {
        probes.tick().await;
        // one that is stopped accepts a connection, and says nothing
        let answer = timeout(PROBE_TIMEOUT, is_ready(replica.admin)).await;
        let answer = answer.unwrap_or(Ok(false));
        let wanted = *answer.as_ref().unwrap_or(&false);
        ready.send_if_modified(|ready| {
            let had = ready.contains(&replica.webhook);
            ready.retain(|&address| address != replica.webhook);
            ready.extend(wanted.then_some(replica.webhook));
            had != wanted
        });
        if answer.is_err() {
            return;
        }
    }
}

/// What `/readyz` says; an error where nothing listens any more.
async fn is_ready(admin: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(admin).await?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await?;
    let mut said = String::new();
    stream.read_to_string(&mut said).await?;
    Ok(said.starts_with("HTTP/1.0 200 "))
}

async fn accept(
    listener: TcpListener,
    ready: watch::Receiver<Vec<SocketAddr>>,
    count: watch::Sender<usize>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let turn = *count.borrow();
        count.send_replace(turn + 1);
        let replica = ready.borrow().iter().cycle().nth(turn).copied();
        // with no replica, the connection is closed at once
        if let Some(replica) = replica {
            connections.spawn(forward(client, replica));
        }
    }
}

async fn forward(mut client: TcpStream, replica: SocketAddr) -> io::Result<()> {
    let mut replica = TcpStream::connect(replica).await?;
    client.set_nodelay(true)?;
    replica.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut replica)
        .await
        .map(drop)
}
