//! A control plane ends with the process that started it, however that ends.

use std::{
    fmt::Debug,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use berth_cluster::{ControlPlane, Error, Options, PATIENCE};

/// What the process is told that is to be killed.
const VICTIM: &str = "CLUSTER_TEST_VICTIM";
/// How its line begins.
const FOLDER: &str = "control plane in ";

/// Not a test: the process that `a_killed_test_leaves_nothing_behind` kills.
#[tokio::test]
#[ignore = "does nothing by itself"]
async fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let control_plane = match ControlPlane::start(&Options::default()).await {
        Err(Error::Missing(_)) => return,
        started => started.unwrap_or_else(|error| panic!("{error}")),
    };
    let folder = control_plane.path("");
    // past libtest, which would keep it
    writeln!(std::io::stdout(), "{FOLDER}{}", folder.display()).expect("a pipe");
    std::future::pending::<()>().await;
}

struct Victim(Child);

impl Victim {
    /// Starts it, and waits for its control plane's folder. None where this machine has none.
    fn start() -> (Self, Option<PathBuf>) {
        let test = std::env::current_exe().expect("a test binary");
        let started = Command::new(test)
            .args(["--exact", "ends::victim", "--ignored", "--nocapture"])
            .env(VICTIM, "yes")
            .stdout(Stdio::piped())
            .spawn();
        let mut victim = Self(started.expect("it starts"));
        let lines = BufReader::new(victim.0.stdout.take().expect("piped")).lines();
        let folder = lines.map_while(Result::ok).find_map(|line| {
            let (_, folder) = line.split_once(FOLDER)?;
            Some(PathBuf::from(folder))
        });
        (victim, folder)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processes that were started with a path of the folder.
fn processes(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().expect("UTF-8");
    let all = fs::read_dir("/proc").expect("Linux").map_while(Result::ok);
    let lines = all.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(folder)).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn a_killed_test_leaves_nothing_behind() {
    let (victim, Some(folder)) = Victim::start() else {
        return;
    };
    let parts = [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kwok",
    ];
    // a process has no command line yet while its program is loaded
    eventually(|| {
        let running = processes(&folder);
        let there = |part: &&str| running.iter().any(|line| line.contains(*part));
        let all = parts.iter().all(there);
        if all { Ok(()) } else { Err(running) }
    });
    // Child::kill is SIGKILL
    drop(victim);
    eventually(|| match (processes(&folder), folder.exists()) {
        (left, false) if left.is_empty() => Ok(()),
        left => Err(left),
    });
}

/// Looks until it is as it should be: nothing announces what happens to a process that is not ours.
fn eventually<E: Debug>(look: impl Fn() -> Result<(), E>) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(seen) = look() {
        assert!(Instant::now() < deadline, "{seen:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
