//! The table from the cluster's own objects, and what is seen of the cluster beside it.
//!
//! ```text
//!   GPUPool, WorkloadClass, Namespace ─▶ contact ─▶ objects ─▶ Publisher ─▶ view
//!   Node, Pod, DeviceClass ───────────▶ contact ─▶ picture ───────────────▶ view.live
//!                                objects, picture ─▶ drafts ─▶ status ─▶ the API server
//!                                objects, picture ─▶ board
//!   Lease ────────────────────────────▶ contact ─▶ lease ────────┘
//!                             status, webhook ─▶ events ─────────▶ the API server
//!                                     webhook ─▶ forward ────────▶ the replica that holds the Lease
//! ```
//!
//! The source never ends the process: without the definitions, the rights or the API server, the replica stays alive, and
//! says why it is not ready. What was once in force stays in force through all of these.

use std::{io, path::PathBuf, sync::Arc};

use clap::{Args, ValueEnum};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    core::{ApiResource, DynamicObject, PartialObjectMeta},
    runtime::watcher,
};
use tokio::{sync::mpsc, task::JoinSet};

use self::{
    client::Clients,
    contact::Contact,
    drafts::Drafts,
    lease::{Release, Standing},
    objects::{News, Objects},
    picture::Picture,
    status::Writer,
};
use super::Publisher;
use crate::{
    board::Board,
    metrics::Metrics,
    state::ServerState,
    tls::{self, peer::Peers},
    watch::{self, Watch},
};
use berth_core::{
    api::{GPUPool, WorkloadClass},
    names,
    objects::Compiled,
    syntax::is_dns_subdomain,
    table::Settings,
    validate::NamespaceLabels,
};
use berth_manifests::files::plain;

mod answered;
mod client;
mod contact;
mod kept;
mod objects;
mod picture;

mod calls;
mod drafts;
mod events;
mod forward;
mod lease;
mod status;

pub use client::{ConnectError, connect, said, status};
pub use events::Events;
pub use forward::{Advertised, Forward, is_forwarded};

#[cfg(feature = "otel")]
pub(crate) use {calls::Told, client::plainly};

/// So many changes wait for whoever takes them; then the watches wait, and the API server keeps the rest.
const WAITING: usize = 1024;
/// The API server ends a watch after so many seconds, and the next one shows whether the rights are still there.
const WATCH_SECONDS: u32 = 50;
/// A field manager has so many characters at most.
const LONGEST_LEASE: usize = 128;

/// How the cluster is reached, and what of it is used.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(next_help_heading = "Cluster")]
pub struct Options {
    // the right to read Pods shows every literal value of an environment variable
    /// Whether Nodes and Pods are watched. Without them berth needs no right to read Pods, always takes the first pool of
    /// a class that fits, and denies every Pod of a class with spec.nodeName
    #[arg(
        long,
        env = "BERTH_LIVE",
        value_name = "ON|OFF",
        default_value = "on",
        hide_possible_values = true
    )]
    pub live: Switch,
    /// Whether the status of GPUPools and WorkloadClasses is written. One replica writes it: the one that holds the Lease
    #[arg(
        long,
        env = "BERTH_STATUS",
        value_name = "ON|OFF",
        default_value = "on",
        hide_possible_values = true
    )]
    pub status: Switch,
    /// The Lease whose holder writes the statuses, in the namespace of the service account, or of the kubeconfig's context.
    /// It is also the name of the field manager. All replicas of an installation have the same, and no other installation has it
    #[arg(long, env = "BERTH_LEASE", value_name = "NAME", default_value = names::LEASE, value_parser = lease_name)]
    pub lease: String,
    /// Whether Events are written about the controllers of Pods: where a Pod was placed, and each warning, which reaches
    /// nobody else where a controller makes the Pod; and about GPUPools and WorkloadClasses, by whoever writes their status,
    /// when one is not in the table or not ready any more. One for an object and a reason in 10 minutes
    #[arg(
        long,
        env = "BERTH_EVENTS",
        value_name = "ON|OFF",
        default_value = "on",
        hide_possible_values = true
    )]
    pub events: Switch,
    /// Where other replicas reach this one, as 10.0.0.7: the Pod's IP, with a port where it is not --bind's. The replica
    /// that holds the Lease chooses between the pools of a class for all, so that none promises a GPU twice
    #[arg(long, env = "BERTH_ADVERTISE", value_name = "IP[:PORT]", value_parser = Advertised::parse)]
    pub advertise: Option<Advertised>,
    /// The CA of the replicas' certificates, PEM; read again when it changes. With it and --tls-server-name, this replica
    /// asks the one that holds the Lease, for 300 ms at most, and else chooses itself
    #[arg(long, env = "BERTH_FORWARD_CA", value_name = "FILE")]
    pub forward_ca: Option<PathBuf>,
    /// The kubeconfig file; in a Pod, its service account if none is given
    #[arg(long, env = "BERTH_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context, if not its current one
    #[arg(
        long,
        env = "BERTH_CONTEXT",
        value_name = "NAME",
        requires = "kubeconfig"
    )]
    pub context: Option<String>,
}

fn lease_name(name: &str) -> Result<String, String> {
    if is_dns_subdomain(name) && name.len() <= LONGEST_LEASE {
        return Ok(name.to_owned());
    }
    Err(format!(
        "a Lease has a name of a-z, 0-9, - and ., of {LONGEST_LEASE} characters at most; the default is {}",
        names::LEASE
    ))
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// The watches, which end when this is dropped.
#[derive(Debug)]
pub struct Following {
    _tasks: JoinSet<()>,
    _files: Option<Watch>,
    lease: Option<Release>,
    events: Option<Events>,
    forward: Option<Forward>,
}

/// How this replica is served, as other replicas see it.
#[derive(Clone, Debug)]
pub struct Served {
    /// The port on which its webhook listens.
    pub port: u16,
    /// The flags of its TLS, which theirs have, too.
    pub tls: tls::Options,
}

/// Who shows what is seen, and is told of it.
#[derive(Clone, Debug)]
struct Shown {
    /// None with `--status off`.
    drafts: Option<Arc<Drafts>>,
    /// None with `--board off`.
    board: Option<Board>,
}

impl Shown {
    /// These objects are in force.
    fn put(&self, compiled: &Arc<Compiled>) {
        if let Some(drafts) = &self.drafts {
            drafts.put(Arc::clone(compiled));
        }
        if let Some(board) = &self.board {
            board.put(Arc::clone(compiled));
        }
    }

    /// Something was seen that may be shown.
    fn change(&self) {
        if let Some(drafts) = &self.drafts {
            drafts.change();
        }
        if let Some(board) = &self.board {
            board.change();
        }
    }
}

impl Following {
    /// Who tells the Pods' owners; none with `--events off`.
    pub(crate) fn events(&self) -> Option<Events> {
        self.events.clone()
    }

    /// The way to the replica that chooses for all, where there may be another.
    pub(crate) fn forward(&self) -> Option<Forward> {
        self.forward.clone()
    }

    /// Leaves to another replica what only one may do. Reviews are answered as before.
    pub async fn drain(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.release().await;
        }
    }
}

/// Why the cluster is not followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No way to the cluster.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The system gives no thread to watch the files of --forward-ca.
    #[error("cannot watch --forward-ca: {}", plain(.0))]
    Watch(#[from] io::Error),
}

/// Follows the cluster from now on. Nothing is in force yet when this returns.
pub async fn follow(
    options: &Options,
    settings: Settings,
    served: Served,
    state: Arc<ServerState>,
    metrics: Arc<Metrics>,
    board: Option<Board>,
) -> Result<Following, Error> {
    let settings = Settings {
        namespaces: NamespaceLabels::All,
        ..settings
    };
    let clients = Clients::connect(options, &metrics).await?;
    let mut tasks = JoinSet::new();
    let drafts = match options.status {
        Switch::On => Some(Arc::default()),
        Switch::Off => None,
    };
    let picture = match options.live {
        Switch::On => Some(picture::start(
            &mut tasks,
            &clients,
            &settings,
            Shown {
                drafts: drafts.clone(),
                board: board.clone(),
            },
            &metrics,
        )),
        Switch::Off => None,
    };
    let events = match options.events {
        Switch::On => Some(events::start(&mut tasks, &clients, &metrics)),
        Switch::Off => None,
    };
    let (mut lease, mut forwarding) = (None, None);
    if let Some(drafts) = &drafts {
        if options.advertise.is_some() && options.forward_ca.is_none() {
            tracing::warn!(
                "--advertise without --forward-ca: others ask this replica to choose between pools, and it asks nobody; \
                 give the CA of the replicas' certificates"
            );
        }
        let address = options.advertise.map(|it| it.address(served.port));
        let ready = Arc::clone(&state);
        let standing = lease::start(
            &mut tasks,
            &clients,
            &options.lease,
            address,
            ready,
            &metrics,
        );
        let counted = picture.as_ref().map(Picture::counted);
        forwarding = counted.as_ref().and_then(|_| {
            let ca = options.forward_ca.clone()?;
            Some(forward(Peers::new(served.tls, ca), &standing, &metrics))
        });
        let writer = Writer {
            client: clients.calls.clone(),
            drafts: Arc::clone(drafts),
            counted,
            held: standing.held,
            manager: options.lease.clone(),
            events: events.clone(),
            metrics: Arc::clone(&metrics),
        };
        tasks.spawn(writer.run());
        lease = Some(standing.release);
    }
    let (forward, files) = forwarding.transpose()?.unzip();
    let publisher = Publisher::new(state, Arc::clone(&metrics));
    let shown = Shown { drafts, board };
    let objects = Objects::new(settings, Arc::clone(&metrics), publisher, picture, shown);
    watch_table(&mut tasks, &clients, objects, &metrics);
    Ok(Following {
        _tasks: tasks,
        _files: files,
        lease,
        events,
        forward,
    })
}

/// The way to the holder, and what follows the files by which it is known.
fn forward(
    peers: Peers,
    standing: &Standing,
    metrics: &Arc<Metrics>,
) -> io::Result<(Forward, Watch)> {
    let paths = peers.paths();
    let (held, holders) = (standing.held.clone(), standing.holders.clone());
    let (forward, read) = Forward::new(peers, held, holders, metrics);
    let watch = watch::follow(paths, watch::POLL, metrics.panics.clone(), read)?;
    Ok((forward, watch))
}

fn watch_table(
    tasks: &mut JoinSet<()>,
    clients: &Clients,
    objects: Objects,
    metrics: &Arc<Metrics>,
) {
    let (news, coming) = mpsc::channel(WAITING);
    let contact = |kind| Contact::new(kind, Arc::clone(metrics));
    let kind = |resource: ApiResource| -> Api<DynamicObject> {
        Api::all_with(clients.watches.clone(), &resource)
    };
    let pools = kind(ApiResource::erase::<GPUPool>(&()));
    tasks.spawn(contact("GPUPool").follow(pools, config(), news.clone(), News::Pools));
    let classes = kind(ApiResource::erase::<WorkloadClass>(&()));
    tasks.spawn(contact("WorkloadClass").follow(classes, config(), news.clone(), News::Classes));
    let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(clients.watches.clone());
    tasks.spawn(contact("Namespace").follow(namespaces, config(), news, News::Namespaces));
    tasks.spawn(objects.publish(coming));
}

/// How every kind is watched.
fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}
