//! What the tests of certificates and of restarts stand on: two replicas of berth behind cert-manager's certificate.

use berth_cluster::{Certificate, Cluster, Homelab, Options, Replicas};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::{
    homelab,
    load::{Creates, Load},
    setup,
};

/// One homelab for all of them, since cert-manager takes seconds to start. It ends with the process.
static HOMELAB: OnceCell<Option<Homelab>> = OnceCell::const_new();
/// There is one webhook: who has this has it.
static TURN: Mutex<()> = Mutex::const_new(());

pub struct Stand {
    pub replicas: Replicas<'static>,
    pub cluster: Cluster<'static>,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for a turn, and starts replicas with flags besides the usual. Returns when the API server calls them. None
/// where this machine has none.
pub async fn stand(flags: &[String]) -> Option<Stand> {
    let turn = TURN.lock().await;
    let start = async || homelab(&Options::default(), Certificate::CertManager).await;
    let homelab = HOMELAB.get_or_init(start).await.as_ref()?;
    let replicas = Replicas::start(homelab, &setup(Certificate::CertManager), flags).await;
    let mut stand = Stand {
        replicas: replicas.unwrap_or_else(|error| panic!("{error}")),
        cluster: homelab.cluster_without_gpus().await,
        _turn: turn,
    };
    // until the API server calls these replicas, it calls those of the test before, which are gone
    let before = Load::start(&stand.cluster, Creates::DryRuns);
    stand.connect_anew().await;
    before.stop().await;
    Some(stand)
}

impl Stand {
    /// The API server connects anew, under load.
    pub async fn connect_anew(&mut self) {
        let connected = self.replicas.connect_anew().await;
        connected.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// So many in the test run, and so many in `make soak`.
pub fn times(usually: usize, soak: usize) -> usize {
    match std::env::var_os("BERTH_SOAK") {
        Some(_) => soak,
        None => usually,
    }
}
