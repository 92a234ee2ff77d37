//! Says that files may have changed: at once where the system tells, and by a poll in any case.
//!
//! A Secret or ConfigMap volume swaps a symlink, `..data`: a watch on the file itself sees the first swap and then
//! nothing. So the directories are watched, and whoever is woken reads again and compares.

use std::{
    fmt::Display,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::metrics::{Metrics, Source};

/// The backstop where no event comes: a file system without them, or a directory that was itself replaced.
pub const POLL: Duration = Duration::from_secs(10);
/// A change comes as several events; this long after the first, they are taken as one.
const DEBOUNCE: Duration = Duration::from_millis(10);
/// The link that a Secret or ConfigMap volume swaps.
const DATA: &str = "..data";

/// Follows files until it is dropped.
#[derive(Debug)]
pub struct Watch {
    /// When every sender is gone, the thread ends.
    _alive: mpsc::SyncSender<()>,
    _watcher: Option<RecommendedWatcher>,
}

/// What came of reading a source again.
#[derive(Debug)]
pub enum Reloaded {
    /// It is what is in force already.
    Same,
    /// It is in force from now on; the text says what it is.
    New(String),
}

/// What the log and the metrics are told about a source that is read again and again.
#[derive(Debug)]
pub struct Reporter {
    source: Source,
    metrics: Arc<Metrics>,
    refused: Option<String>,
}

impl Reporter {
    /// A reporter for a source whose first reading was put in force.
    #[must_use]
    pub fn new(source: Source, metrics: Arc<Metrics>) -> Self {
        metrics.reloaded(source);
        Self {
            source,
            metrics,
            refused: None,
        }
    }

    /// Tells of a reading: what is in force once, and why one was refused once, however often it is read.
    pub fn tell<E: Display>(&mut self, outcome: Result<Reloaded, E>) {
        let source = self.source.as_str();
        match outcome {
            Ok(Reloaded::Same) => self.refused = None,
            Ok(Reloaded::New(what)) => {
                self.refused = None;
                self.metrics.reloaded(self.source);
                tracing::info!(source, %what, "reloaded");
            }
            Err(error) => {
                let error = error.to_string();
                if self.refused.as_ref() != Some(&error) {
                    self.metrics.refused(self.source);
                    tracing::error!(source, %error, "refused: the last good one stays in force");
                    self.refused = Some(error);
                }
            }
        }
    }
}

/// Calls `reload` after every change in the directories, and every `poll`, on a thread of its own.
pub fn follow(
    directories: &[PathBuf],
    poll: Duration,
    mut reload: impl FnMut() + Send + 'static,
) -> io::Result<Watch> {
    let (sender, changes) = mpsc::sync_channel(1);
    let watcher = watcher(directories, sender.clone())
        .inspect_err(|error| tracing::warn!(%error, "changes are seen by polling alone"));
    let follow = move || {
        loop {
            match changes.recv_timeout(poll) {
                Ok(()) => {
                    thread::sleep(DEBOUNCE);
                    while changes.try_recv().is_ok() {}
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            reload();
        }
    };
    thread::Builder::new()
        .name("reload".to_owned())
        .spawn(follow)?;
    Ok(Watch {
        _alive: sender,
        _watcher: watcher.ok(),
    })
}

fn watcher(
    directories: &[PathBuf],
    sender: mpsc::SyncSender<()>,
) -> Result<RecommendedWatcher, notify::Error> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // reading is an event, too: our own would wake us for ever
        if !matches!(event.map(|event| event.kind), Ok(EventKind::Access(_))) {
            // full means that a change is waiting already
            let _ = sender.try_send(());
        }
    })?;
    for directory in directories {
        if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
            let directory = directory.display();
            tracing::warn!(%directory, %error, "cannot watch: changes are seen by polling alone");
        }
    }
    Ok(watcher)
}

/// Where files stand at one moment: inside what the nearest `..data` above each points to.
///
/// Files that are resolved through one reading of the link belong together. Without such a link, the path itself.
#[derive(Debug, Default)]
pub struct Snapshot {
    resolved: Vec<(PathBuf, PathBuf)>,
}

/// Reads through a snapshot, and again where a volume was swapped meanwhile and took its files away.
pub fn consistently<T, E>(mut read: impl FnMut(&mut Snapshot) -> Result<T, E>) -> Result<T, E> {
    loop {
        let mut snapshot = Snapshot::default();
        match read(&mut snapshot) {
            Err(_) if snapshot.is_stale() => {}
            result => return result,
        }
    }
}

impl Snapshot {
    /// The place of a file in this snapshot.
    pub fn resolve(&mut self, path: &Path) -> io::Result<PathBuf> {
        for volume in path.ancestors().skip(1) {
            let within = path.strip_prefix(volume).unwrap_or(path);
            let first = within.components().next().map(|first| volume.join(first));
            let link = first.and_then(|first| fs::read_link(first).ok());
            if link.is_some_and(|link| link.starts_with(DATA)) {
                return Ok(self.volume(volume)?.join(within));
            }
        }
        Ok(path.to_owned())
    }

    /// The place of a folder's files in this snapshot.
    pub fn volume(&mut self, folder: &Path) -> io::Result<PathBuf> {
        let link = folder.join(DATA);
        if let Some((_, target)) = self.resolved.iter().find(|(known, _)| *known == link) {
            return Ok(folder.join(target));
        }
        if !link.is_symlink() {
            return Ok(folder.to_owned());
        }
        let target = fs::read_link(&link)?;
        let place = folder.join(&target);
        self.resolved.push((link, target));
        Ok(place)
    }

    fn is_stale(&self) -> bool {
        let moved = |(link, target): &(PathBuf, PathBuf)| {
            fs::read_link(link).is_ok_and(|now| now != *target)
        };
        self.resolved.iter().any(moved)
    }
}

/// The directories of files, each once.
pub fn directories<'a>(files: impl IntoIterator<Item = &'a Path>) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = Vec::new();
    for file in files {
        let directory = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if !directories.iter().any(|known| known == directory) {
            directories.push(directory.to_owned());
        }
    }
    directories
}
