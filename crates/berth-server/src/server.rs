//! Both ports: bound first, so that an error names its flag, then served until they are drained.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use axum_server::{Handle, tls_rustls::RustlsAcceptor};
use clap::Args;
use tokio::time::sleep;

use crate::{
    accept::{self, Counted, Gate, Meters},
    admin::{self, Admin},
    drain::{self, Signals},
    metrics::Metrics,
    sources,
    state::ServerState,
    tls::{self, Tls},
    watch,
    webhook::{self, Webhook},
};
use berth_core::review::review;
use berth_manifests::table_files::TableFiles;

/// Everything that `berth serve` can be told, but for the table.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Options {
    /// Where the webhook listens
    #[arg(
        long,
        env = "BERTH_BIND",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8443"
    )]
    pub bind: SocketAddr,
    /// Where health, metrics and the table are shown
    #[arg(
        long,
        env = "BERTH_ADMIN_BIND",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8080"
    )]
    pub admin_bind: SocketAddr,
    /// Which certificate it serves with, and which clients may connect.
    #[command(flatten)]
    pub tls: tls::Options,
    /// Limits on connections.
    #[command(flatten)]
    pub connections: accept::Limits,
    /// Limits on requests.
    #[command(flatten)]
    pub requests: webhook::Limits,
    /// How long the server goes on after SIGTERM.
    #[command(flatten)]
    pub drain: drain::Options,
}

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No certificate.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// No table.
    #[error(transparent)]
    Table(#[from] sources::files::FollowError),
    /// An address cannot be had.
    #[error("{flag} {address}: {source}; stop what listens there, or choose another address")]
    Bind {
        /// The flag.
        flag: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Something that the system must give, as a thread or a socket.
    #[error("cannot serve: {0}")]
    Io(#[from] io::Error),
}

/// Both ports, bound.
struct Bound {
    webhook: TcpListener,
    admin: TcpListener,
}

/// Serves until a signal, and drains. A second signal ends at once.
pub async fn run(options: Options, table: TableFiles, metrics: Arc<Metrics>) -> Result<(), Error> {
    let mut signals = Signals::new()?;
    let tls = Tls::load(options.tls.clone())?;
    let bound = Bound::new(&options)?;
    let state = Arc::new(ServerState::default());
    let _table =
        sources::files::follow(table, Arc::clone(&state), Arc::clone(&metrics), watch::POLL)?;

    let routes = webhook::router(Webhook {
        review,
        state: Arc::clone(&state),
        metrics: Arc::clone(&metrics),
        limits: options.requests,
    });
    let shown = Admin {
        state: Arc::clone(&state),
        metrics: Arc::clone(&metrics),
    };
    let (webhook_address, admin_address) = bound.addresses()?;
    let (webhook, admin_port) = (Handle::new(), Handle::new());
    let limits = options.connections;
    let meters = Meters::webhook(&metrics);
    let gate = Gate::new(limits.max_connections, limits.write_timeout, meters);
    let acceptor = RustlsAcceptor::new(tls.config())
        .handshake_timeout(limits.handshake_timeout)
        .acceptor(gate.clone());
    let acceptor = Counted::new(
        acceptor,
        Arc::clone(&metrics),
        options.requests.max_body_bytes,
    );
    let _certificate = tls.follow(watch::POLL, Arc::clone(&metrics))?;
    let services = gate.services(routes);
    let server = limits.server(bound.webhook, acceptor, webhook.clone())?;
    let serving = tokio::spawn(server.serve(services));
    let showing = admin::serve(bound.admin, shown, limits, admin_port.clone())?;
    tracing::info!(webhook = %webhook_address, admin = %admin_address, "listening");

    let signal = signals.next().await;
    tracing::info!(
        signal,
        "draining: answers go on, and ask for a new connection"
    );
    state.drain();
    let orderly = async {
        sleep(options.drain.drain_period).await;
        webhook.graceful_shutdown(Some(options.drain.shutdown_timeout));
        serving.await
    };
    tokio::select! {
        ended = orderly => ended.map_err(io::Error::other)??,
        signal = signals.next() => tracing::warn!(signal, "ended at once"),
    }
    // the metrics can be read to the end
    admin_port.shutdown();
    showing.await.map_err(io::Error::other)??;
    tracing::info!("ended");
    Ok(())
}

impl Bound {
    fn new(options: &Options) -> Result<Self, Error> {
        Ok(Self {
            webhook: bind("--bind", options.bind)?,
            admin: bind("--admin-bind", options.admin_bind)?,
        })
    }

    fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.webhook.local_addr()?, self.admin.local_addr()?))
    }
}

fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).map_err(|source| Error::Bind {
        flag,
        address,
        source,
    })
}
