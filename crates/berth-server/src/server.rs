//! Both ports: bound first, so that an error names its flag, then served until they are drained.

use std::{
    convert::Infallible,
    future::pending,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use axum_server::{Handle, tls_rustls::RustlsAcceptor};
use clap::Args;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    accept::{self, Bounded, Gate, Meters},
    admin::{self, Admin},
    board::{self, Board},
    drain::{self, Signals},
    metrics::Metrics,
    process,
    sources::{
        self,
        cluster::{self, Events, Forward, Served},
    },
    state::ServerState,
    tls::{self, Tls},
    traces::{self, Traces},
    watch::{self, Watch},
    webhook::{self, Routes, Webhook},
};
use berth_core::{review::review, table::Settings};
use berth_manifests::{files::plain, table_files::TableFiles};

/// How long the start waits for the table and the certificate, which may lie on a disk that does not answer. After
/// that it goes on, and is not ready.
const FIRST_READING: Duration = Duration::from_secs(5);

/// The last spans have so much time at least, also where the last requests have taken all that there was.
const LAST_SPANS: Duration = Duration::from_secs(1);

/// Everything that `berth serve` can be told, but for where the table is.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Options {
    /// Where the webhook listens
    #[arg(
        long,
        env = "BERTH_BIND",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8443",
        value_parser = socket_address
    )]
    pub bind: SocketAddr,
    /// Where health, metrics, the table and the board are shown
    #[arg(
        long,
        env = "BERTH_ADMIN_BIND",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8080",
        value_parser = socket_address
    )]
    pub admin_bind: SocketAddr,
    /// Whether there is a board.
    #[command(flatten, next_help_heading = "Addresses")]
    pub board: board::Options,
    /// What a server does with its table.
    #[command(flatten)]
    pub table: sources::files::Options,
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
    /// Whether reviews have spans.
    #[command(flatten)]
    pub traces: traces::Options,
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse();
    address.map_err(|_| "write an IP address and a port, as 0.0.0.0:8443 or [::]:8443".to_owned())
}

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The flags of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The cluster cannot be followed.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// Spans cannot be sent as the flags say.
    #[error(transparent)]
    Traces(#[from] traces::Error),
    /// An address cannot be had.
    #[error(
        "{flag} {address}: {}; stop what listens there, or choose another address",
        plain(source)
    )]
    Bind {
        /// The flag.
        flag: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Bodies have less room together than one of them may have.
    #[error(
        "--max-body-memory {memory} is less than --max-body-bytes {bytes}, so a review of that size could never be answered; \
         raise the first, or lower the second"
    )]
    BodyMemory {
        /// Bytes of all bodies.
        memory: usize,
        /// Bytes of one.
        bytes: usize,
    },
    /// Something that the system must give, as a thread or a socket.
    #[error("cannot serve: {}", plain(.0))]
    Io(#[from] io::Error),
    /// A part of the server is gone, and nothing else can bring it back.
    #[error(
        "the {port} port is not served any more ({why}); this is a bug in berth: report it, and start berth again"
    )]
    Ended {
        /// Which.
        port: &'static str,
        /// What it ended with.
        why: String,
    },
}

/// Where the table comes from.
#[derive(Debug)]
pub enum TableSource {
    /// Files of manifests.
    Files(TableFiles),
    /// The cluster's own objects.
    Cluster(cluster::Options, Settings),
}

/// What follows the table, until it is dropped.
enum Following {
    Files(Watch),
    Cluster(cluster::Following),
}

impl TableSource {
    async fn follow(
        self,
        files: sources::files::Options,
        served: Served,
        state: Arc<ServerState>,
        metrics: Arc<Metrics>,
        board: Option<Board>,
    ) -> Result<Following, Error> {
        Ok(match self {
            Self::Files(table) => Following::Files(sources::files::follow(
                table,
                files,
                state,
                metrics,
                watch::POLL,
            )?),
            Self::Cluster(options, settings) => {
                let following = cluster::follow(&options, settings, served, state, metrics, board);
                Following::Cluster(following.await?)
            }
        })
    }
}

impl Following {
    /// Waits for the first reading of files. Nobody waits for a cluster's lists: until they have come, the server is not
    /// ready, and says so.
    async fn first(&mut self) {
        match self {
            Self::Files(watch) => watch.first().await,
            Self::Cluster(_) => {}
        }
    }

    /// Who tells the Pods' owners of reviews.
    fn events(&self) -> Option<Events> {
        match self {
            Self::Files(_) => None,
            Self::Cluster(following) => following.events(),
        }
    }

    /// The way to the replica that chooses for all.
    fn forward(&self) -> Option<Forward> {
        match self {
            Self::Files(_) => None,
            Self::Cluster(following) => following.forward(),
        }
    }

    /// Leaves to another replica what only one may do.
    async fn drain(&mut self) {
        match self {
            Self::Files(_) => {}
            Self::Cluster(following) => following.drain().await,
        }
    }
}

/// Both ports, bound.
struct Bound {
    webhook: TcpListener,
    admin: TcpListener,
}

/// What runs until the server ends.
struct Parts {
    webhook: JoinHandle<io::Result<()>>,
    admin: oneshot::Receiver<io::Result<()>>,
}

/// A server that answers on both ports.
struct Serving {
    state: Arc<ServerState>,
    board: Option<Board>,
    /// The table and the certificate, as long as they are followed.
    table: Following,
    certificate: Watch,
    traces: Traces,
    parts: Parts,
    ports: Ports,
}

/// Where the server listens, and what ends each port.
struct Ports {
    addresses: (SocketAddr, SocketAddr),
    webhook: Handle<SocketAddr>,
    admin: Handle<SocketAddr>,
}

/// Serves until a signal, and drains. A second signal ends at once.
pub async fn run(options: Options, table: TableSource, metrics: Arc<Metrics>) -> Result<(), Error> {
    let mut signals = Signals::new()?;
    process::raise_open_files(options.connections.max_connections);
    let drain = options.drain;
    let mut serving = Serving::start(options, table, metrics).await?;
    let signal = serving.until(signals.next()).await?;
    serving.drain(signal, drain, &mut signals).await
}

impl Serving {
    /// Binds both ports, and wires what answers there.
    async fn start(
        options: Options,
        table: TableSource,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let (memory, bytes) = (
            options.requests.max_body_memory,
            options.requests.max_body_bytes,
        );
        if memory < bytes {
            return Err(Error::BodyMemory { memory, bytes });
        }
        let tls = Tls::new(options.tls.clone())?;
        let traces = Traces::start(&options.traces, &metrics)?;
        let bound = Bound::new(&options)?;
        tls.write_ca()?;
        let state = Arc::new(ServerState::default());
        let board = Board::new(options.board);
        let limits = options.connections;
        let ports = Ports {
            addresses: bound.addresses()?,
            webhook: Handle::new(),
            admin: Handle::new(),
        };
        let gate = Gate::new(
            limits.max_connections,
            limits.write_timeout,
            Meters::webhook(&metrics),
        );
        let acceptor = RustlsAcceptor::new(tls.config())
            .handshake_timeout(limits.handshake_timeout)
            .acceptor(gate.clone());
        let body = options.requests.max_body_bytes;
        let acceptor = Bounded::new(acceptor, Arc::clone(&metrics), body);
        let shown = Admin {
            state: Arc::clone(&state),
            metrics: Arc::clone(&metrics),
            board: board.clone(),
        };
        // first, since it says why the others do not serve
        let admin = admin::serve(bound.admin, shown, limits, ports.admin.clone())?;
        let reached = Served {
            port: ports.addresses.0.port(),
            tls: options.tls,
        };
        let table = table
            .follow(
                options.table,
                reached,
                Arc::clone(&state),
                Arc::clone(&metrics),
                board.clone(),
            )
            .await?;
        let routes = Routes::new(Webhook {
            review,
            state: Arc::clone(&state),
            metrics: Arc::clone(&metrics),
            limits: options.requests,
            events: table.events(),
            forward: table.forward(),
            board: board.clone(),
            traces: traces.clone(),
        });
        let certificate = tls.follow(watch::POLL, Arc::clone(&state), metrics)?;
        let server = limits.server(bound.webhook, acceptor, ports.webhook.clone())?;
        let webhook = tokio::spawn(server.serve(gate.services(routes)));
        Ok(Self {
            state,
            board,
            table,
            certificate,
            traces,
            parts: Parts { webhook, admin },
            ports,
        })
    }

    /// Serves until a signal comes, and names it. A part that ends before that is an error.
    async fn until(
        &mut self,
        signal: impl Future<Output = &'static str>,
    ) -> Result<&'static str, Error> {
        let (webhook, admin) = self.ports.addresses;
        let listening = async {
            first_reading(&mut self.table, &mut self.certificate).await;
            tracing::info!(%webhook, %admin, "listening");
            pending::<Infallible>().await
        };
        tokio::select! {
            signal = signal => Ok(signal),
            error = self.parts.ended() => Err(error),
            never = listening => match never {},
        }
    }

    /// Answers until the traffic has moved elsewhere, and ends. Another signal ends at once.
    async fn drain(
        self,
        signal: &'static str,
        options: drain::Options,
        signals: &mut Signals,
    ) -> Result<(), Error> {
        tracing::info!(
            signal,
            "draining: answers go on, and ask for a new connection"
        );
        self.state.drain();
        self.board.iter().for_each(Board::end);
        let Self {
            parts,
            ports,
            traces,
            mut table,
            ..
        } = self;
        let orderly = async {
            tokio::join!(sleep(options.drain_period), table.drain());
            let shutdown = Instant::now();
            ports
                .webhook
                .graceful_shutdown(Some(options.shutdown_timeout));
            let ended = parts.webhook.await;
            let left = options.shutdown_timeout.saturating_sub(shutdown.elapsed());
            traces.end(left.max(LAST_SPANS)).await;
            ended
        };
        tokio::select! {
            ended = orderly => ended.map_err(io::Error::other)??,
            signal = signals.next() => tracing::warn!(signal, "ended at once"),
        }
        // the metrics can be read to the end
        ports.admin.shutdown();
        parts.admin.await.map_err(io::Error::other)??;
        tracing::info!("ended");
        Ok(())
    }
}

/// Waits until the table and the certificate have been read once, so that who waits for `listening` finds them in force.
async fn first_reading(table: &mut Following, certificate: &mut Watch) {
    let both = async {
        table.first().await;
        certificate.first().await;
    };
    if timeout(FIRST_READING, both).await.is_err() {
        tracing::warn!(
            "the table or the certificate is still being read: not ready until it is; does the disk answer?"
        );
    }
}

impl Parts {
    /// Waits for a part that ends by itself, which none should.
    async fn ended(&mut self) -> Error {
        let (port, why) = tokio::select! {
            ended = &mut self.webhook => ("webhook", why(ended)),
            ended = &mut self.admin => ("admin", why(ended)),
        };
        Error::Ended { port, why }
    }
}

fn why<E: std::fmt::Display>(ended: Result<io::Result<()>, E>) -> String {
    match ended {
        Ok(Ok(())) => "it ended by itself".to_owned(),
        Ok(Err(error)) => plain(&error),
        Err(error) => error.to_string(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_ends_or_panics_is_an_error() {
        let forever = || oneshot::channel::<io::Result<()>>();
        let idle = || tokio::spawn(pending::<io::Result<()>>());
        let says = async |mut parts: Parts| parts.ended().await.to_string();

        let (_admin_runs, admin) = forever();
        let webhook = tokio::spawn(async { panic!("a bug") });
        let text = says(Parts { webhook, admin }).await;
        assert!(
            text.contains("the webhook port is not served any more") && text.contains("a bug"),
            "{text}"
        );

        let (_admin_runs, admin) = forever();
        let webhook = tokio::spawn(async { Ok(()) });
        let text = says(Parts { webhook, admin }).await;
        assert!(text.contains("it ended by itself"), "{text}");

        // a thread that panics drops its end
        let (thread, admin) = forever();
        drop(thread);
        let webhook = idle();
        let text = says(Parts { webhook, admin }).await;
        assert!(text.starts_with("the admin port"), "{text}");
    }
}
