//! What the tests of certificates and of restarts stand on: two replicas of berth behind cert-manager's certificate.

use std::{
    fs,
    path::{Path, PathBuf},
};

use berth_cluster::{Certificate, Cluster, Homelab, Options, Replicas, Setup};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::{
    homelab,
    load::{Creates, Load},
    setup,
};

/// Half a million creates are as many lines of the audit log, which nobody reads here.
const AUDIT: [&str; 2] = ["--audit-log-maxsize=50", "--audit-log-maxbackup=1"];

/// One homelab for all of them, since cert-manager takes seconds to start. It ends with the process.
static HOMELAB: OnceCell<Option<Homelab>> = OnceCell::const_new();
/// There is one webhook: who has this has it.
static TURN: Mutex<()> = Mutex::const_new(());

pub struct Stand {
    pub replicas: Replicas<'static>,
    pub cluster: Cluster<'static>,
    /// The file of the replicas' table.
    pub table: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for a turn, and starts replicas with flags besides the usual. Returns when the API server calls them. None
/// where this machine has none.
pub async fn stand(flags: &[String]) -> Option<Stand> {
    let turn = TURN.lock().await;
    let start = async || {
        let options = Options {
            api_server: AUDIT.map(str::to_owned).into(),
            ..Options::default()
        };
        homelab(&options, Certificate::CertManager).await
    };
    let homelab = HOMELAB.get_or_init(start).await.as_ref()?;
    let usual = setup(Certificate::CertManager);
    let table = homelab.control_plane().path("replicas/table.yaml");
    replace(&table, &fs::read_to_string(&usual.table).expect("a table"));
    let with_table = Setup {
        table: table.clone(),
        ..usual
    };
    let replicas = Replicas::start(homelab, &with_table, flags).await;
    let mut stand = Stand {
        replicas: replicas.unwrap_or_else(|error| panic!("{error}")),
        cluster: homelab.cluster_without_gpus().await,
        table,
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

/// Writes a file whole, as kubelet does: nobody reads half of it.
pub fn replace(file: &Path, text: &str) {
    let folder = file.parent().expect("a folder");
    fs::create_dir_all(folder).expect("a folder");
    // beside the folder, which is watched
    let new = folder.with_extension("new");
    fs::write(&new, text).expect("written");
    fs::rename(&new, file).expect("renamed");
}

/// Whether this is `make soak`, which takes an hour.
pub fn is_soak() -> bool {
    share().is_some()
}

/// So many in the test run, and so many in `make soak`, or its share of them.
pub fn times(usually: usize, soak: usize) -> usize {
    share().map_or(usually, |percent| (soak * percent).div_ceil(100))
}

/// What `make soak` runs of its counts, in percent.
fn share() -> Option<usize> {
    let share = std::env::var("BERTH_SOAK").ok()?;
    Some(share.parse().expect("BERTH_SOAK is a number of percent"))
}
