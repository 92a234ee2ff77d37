//! The process itself: as metrics, under the names that every Prometheus client uses, read from `/proc/self`, nothing
//! where there is none; and its limit of open files.

use std::fs;

use berth_manifests::files::plain;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files besides the webhook's connections: those of the admin port, the files that are read, and the sockets
/// themselves.
const OTHER_FILES: u64 = 128;

/// Clock ticks in a second, as `/proc` counts them: the same on every Linux.
const TICKS: f64 = 100.0;

/// The host's name, which is the Pod's.
pub(crate) fn host() -> String {
    let system = rustix::system::uname();
    system.nodename().to_string_lossy().into_owned()
}

/// Raises the soft limit of open files to the hard one, and says where that is too few for so many connections. The soft
/// one is for programs that use `select`, as systemd says of it.
pub fn raise_open_files(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let mut open = limit.current;
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => {
                tracing::info!(
                    from = open,
                    to = limit.maximum,
                    "raised the limit of open files"
                );
                open = limit.maximum;
            }
            Err(error) => {
                let error = plain(&error.into());
                tracing::warn!(limit = open, %error, "the limit of open files cannot be raised");
            }
        }
    }
    let needed = (connections as u64).saturating_add(OTHER_FILES);
    if open.is_some_and(|open| open < needed) {
        tracing::warn!(
            limit = open,
            needed,
            "fewer open files than --max-connections needs: raise the hard limit (ulimit -Hn), or lower the flag"
        );
    }
}

/// Reads the process at every scrape.
#[derive(Debug)]
pub struct Process;

/// What `/proc/self` says.
#[derive(Debug)]
struct Reading {
    cpu_seconds: f64,
    start_seconds: f64,
    resident_bytes: f64,
    open_fds: f64,
}

impl Reading {
    fn take() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // the second field is the command's name, in brackets, and may hold spaces; the third is next
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS,
            start_seconds: boot_seconds()? + ticks(22)? / TICKS,
            resident_bytes: line("/proc/self/status", "VmRSS:")? * 1024.0,
            open_fds: f64::from(u32::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()?),
        })
    }
}

fn boot_seconds() -> Option<f64> {
    line("/proc/stat", "btime ")
}

/// The number after a word that begins a line.
fn line(file: &str, word: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(word))?;
    rest.split_whitespace().next()?.parse().ok()
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(reading) = Reading::take() else {
            return Ok(());
        };
        let cpu = encoder.encode_descriptor(
            "process_cpu_seconds",
            "CPU time used, user and system",
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(reading.cpu_seconds).encode(cpu)?;
        for (name, help, value) in [
            (
                "process_start_time_seconds",
                "Start, in seconds since the epoch",
                reading.start_seconds,
            ),
            (
                "process_resident_memory_bytes",
                "Resident memory",
                reading.resident_bytes,
            ),
            (
                "process_open_fds",
                "Open file descriptors",
                reading.open_fds,
            ),
        ] {
            let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(gauge)?;
        }
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_started_lately_and_uses_memory() {
        let reading = Reading::take().unwrap();
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        assert!((now - reading.start_seconds).abs() < 3_600.0, "{reading:?}");
        assert!(reading.resident_bytes > 100_000.0, "{reading:?}");
        assert!(reading.open_fds >= 3.0, "{reading:?}");
    }
}
