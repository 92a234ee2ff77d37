//! berth behind a real Kubernetes API server, scheduler and controllers. Only the nodes are played, by kwok.
//!
//! To write a test: take a cluster, and say what you mean.
//!
//! ```ignore
//! #[tokio::test]
//! async fn whisper_runs_on_elminster() {
//!     let Some(cluster) = cluster().await else { return };
//!     cluster.create(pod("whisper")).await.runs_on("elminster").await;
//! }
//! ```
//!
//! - The control plane is started once a run; each test has a namespace of its own.
//! - [`cluster`] gives a test all GPUs of the nodes, one test at a time; [`cluster_without_gpus`] is for tests whose
//!   Pods never run, and waits for nobody.
//! - Wait with `Created::runs_on`, `Created::pod` and `berth_cluster::until`, which watch; never sleep.
//! - [`exclusive`] is a second control plane, with plugins that few clusters have. A test has it for itself, and may change
//!   what is everybody's: end berth, delete a RuntimeClass.
//! - A test that needs another API server (`berth_cluster::Options`) starts a homelab of its own, which takes seconds.
//! - [`stand::stand`] is two replicas behind cert-manager's certificate, and [`load::Load`] creates Pods meanwhile.
//! - A machine that cannot build the control plane skips these tests, and says so.
#![allow(clippy::panic, unreachable_pub, reason = "a test fails by a panic")]

use std::{env, io::Write, time::Duration};

use berth_cluster::{Certificate, Cluster, Error, Homelab, Options, PATIENCE, Setup, Source};
use tokio::{
    sync::{Mutex, MutexGuard, OnceCell},
    time::{Instant, sleep},
};

mod api_server;
mod bare;
mod bench;
mod board;
mod certificates;
mod chaos;
mod check;
mod choice;
mod chooser;
mod classes;
#[path = "../common/mod.rs"]
mod common;
mod counting;
mod definitions;
mod denied;
mod dry_run;
mod ends;
mod events;
mod explain;
mod explain_further;
mod explain_page;
mod explain_rollouts;
mod explain_workloads;
mod fields;
mod footprint;
mod from_cluster;
mod guard;
mod holes;
mod install;
mod large;
mod load;
mod named;
mod neighbour;
mod objects;
mod opt_out;
mod outage;
mod owners;
mod plugins;
mod previewed;
mod prometheus;
mod reinvocation;
mod replica;
mod restarts;
mod rights;
mod scale;
mod seed;
mod source;
mod stage;
mod stand;
mod status;
mod storms;
#[cfg(feature = "otel")]
mod traces;
mod word;

/// Another minor of Kubernetes than the usual, for every test: `BERTH_KUBERNETES=1.33`. `make skew` runs the oldest one.
const KUBERNETES: &str = "BERTH_KUBERNETES";

/// The homelab that the tests share. It ends with the process.
static HOMELAB: OnceCell<Option<Homelab>> = OnceCell::const_new();

/// berth with the homelab's table.
fn setup(certificate: Certificate) -> Setup {
    Setup {
        berth: env!("CARGO_BIN_EXE_berth").into(),
        table: common::path("examples/homelab.yaml"),
        source: Source::Files,
        certificate,
    }
}

/// A homelab that differs, for one test. None where this machine has none.
async fn homelab(options: &Options, certificate: Certificate) -> Option<Homelab> {
    let mut options = options.clone();
    options.kubernetes = options.kubernetes.or_else(|| env::var(KUBERNETES).ok());
    let started = Homelab::start(&options, &setup(certificate)).await;
    match started {
        Ok(homelab) => Some(homelab),
        Err(Error::Missing(sentence)) => {
            // past libtest, which shows what a test that passes prints to nobody
            let _ = writeln!(std::io::stderr(), "{sentence}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

async fn shared() -> Option<&'static Homelab> {
    let start = async || homelab(&Options::default(), Certificate::OfTheControlPlane).await;
    HOMELAB.get_or_init(start).await.as_ref()
}

/// The cluster for a test whose Pods run. None where this machine has none.
async fn cluster() -> Option<Cluster<'static>> {
    Some(shared().await?.cluster().await)
}

/// The cluster for a test whose Pods never run. None where this machine has none.
async fn cluster_without_gpus() -> Option<Cluster<'static>> {
    Some(shared().await?.cluster_without_gpus().await)
}

/// A homelab of other admission plugins, which a test has for itself: it may change what all of it shares.
static EXCLUSIVE: OnceCell<Option<Mutex<Homelab>>> = OnceCell::const_new();

/// The homelab for a test that changes what is the whole cluster's. None where this machine has none.
pub async fn exclusive() -> Option<MutexGuard<'static, Homelab>> {
    let start = async || {
        let plugins =
            "--enable-admission-plugins=PodTolerationRestriction,ExtendedResourceToleration";
        let options = Options {
            api_server: vec![plugins.to_owned()],
            ..Options::default()
        };
        let started = homelab(&options, Certificate::OfTheControlPlane).await;
        started.map(Mutex::new)
    };
    let homelab = EXCLUSIVE.get_or_init(start).await.as_ref()?;
    Some(homelab.lock().await)
}

/// Asks for what nothing announces until it is there.
pub async fn eventually<T>(ask: impl AsyncFn() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = ask().await;
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        sleep(Duration::from_millis(20)).await;
    }
}
