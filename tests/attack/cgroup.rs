//! A memory cgroup with the chart's limit for a berth, where this machine lets us make one.

use std::{
    fs,
    io::{self, Write},
    ops::Deref,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use crate::common::process::{self, Berth};

/// `resources.limits.memory` of `deploy/`.
const LIMIT: usize = 256 << 20;

/// Makes their names differ.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Said once.
static SKIPPED: Once = Once::new();

/// A berth in a cgroup of its own, or without one.
pub(crate) struct Bounded {
    berth: Berth,
    /// After berth, which must have left it.
    cgroup: Option<Cgroup>,
}

/// A self-signed server of the homelab's table with as much memory as in a cluster, and its CA.
pub(crate) fn serve(flags: &[&str]) -> (Bounded, String) {
    let cgroup = Cgroup::new();
    let enter = cgroup
        .as_ref()
        .map_or_else(|| "true".to_owned(), Cgroup::enter);
    let (berth, ca) = process::serve_after(&enter, flags);
    (Bounded { berth, cgroup }, ca)
}

impl Deref for Bounded {
    type Target = Berth;

    fn deref(&self) -> &Berth {
        &self.berth
    }
}

impl Bounded {
    /// The most that it has held, in words: by its process, and by all that its cgroup counts.
    pub(crate) fn peak(&self) -> String {
        let process = self.berth.peak_memory();
        match self.cgroup.as_ref().and_then(Cgroup::peak) {
            Some(cgroup) => format!("VmHWM {process} MiB, {cgroup} MiB in a cgroup of 256 MiB"),
            None => format!("VmHWM {process} MiB, without a cgroup"),
        }
    }
}

struct Cgroup {
    folder: PathBuf,
    files: &'static Files,
}

/// What the files of a version are called.
struct Files {
    limit: &'static str,
    peak: &'static str,
}

const FIRST: Files = Files {
    limit: "memory.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
};
const SECOND: Files = Files {
    limit: "memory.max",
    peak: "memory.peak",
};

impl Cgroup {
    /// One within our own.
    fn new() -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let made = own.lines().find_map(Self::within);
        if made.is_none() {
            // past libtest, which shows what a test that passes prints to nobody
            SKIPPED.call_once(|| {
                let sentence = "SKIPPED: the limit of 256 MiB, because this machine lets us make no memory cgroup";
                let _ = writeln!(io::stderr(), "{sentence}");
            });
        }
        made
    }

    /// One within a line of `/proc/self/cgroup`, where that is of memory.
    fn within(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let (root, files) = match controllers {
            "" => ("/sys/fs/cgroup", &SECOND),
            some if some.split(',').any(|one| one == "memory") => ("/sys/fs/cgroup/memory", &FIRST),
            _ => return None,
        };
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("berth-attack-{}-{number}", std::process::id());
        let folder = Path::new(root).join(path).join(name);
        fs::create_dir(&folder).ok()?;
        // from here on it is removed where it is of no use
        let cgroup = Self { folder, files };
        fs::write(cgroup.folder.join(files.limit), LIMIT.to_string()).ok()?;
        let entered = Command::new("sh").args(["-c", &cgroup.enter()]).status();
        entered
            .is_ok_and(|status| status.success())
            .then_some(cgroup)
    }

    /// What a shell does to be in it.
    fn enter(&self) -> String {
        format!(
            "echo $$ 2>/dev/null >'{}/cgroup.procs'",
            self.folder.display()
        )
    }

    fn peak(&self) -> Option<usize> {
        let peak = fs::read_to_string(self.folder.join(self.files.peak)).ok()?;
        let bytes: usize = peak.trim().parse().ok()?;
        Some(bytes >> 20)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // its process has ended, which the kernel notes a little later
        for _ in 0..100 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            sleep(Duration::from_millis(10));
        }
    }
}
