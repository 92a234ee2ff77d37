//! Says that files may have changed: at once where the system tells, and by a poll in any case.
//!
//! A Secret or ConfigMap volume swaps a symlink, `..data`: a watch on the file itself sees the first swap and then
//! nothing (fact 12). So the directories are watched, and whoever is woken reads again and compares.

use std::{
    io,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// The backstop where no event comes: a file system without them, or a directory that was itself replaced.
pub const POLL: Duration = Duration::from_secs(10);
/// A change comes as several events; this long after the first, they are taken as one.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// Follows files until it is dropped.
#[derive(Debug)]
pub struct Watch {
    /// When every sender is gone, the thread ends.
    _alive: mpsc::SyncSender<()>,
    _watcher: Option<RecommendedWatcher>,
}

/// Calls `reload` after every change in the directories, and every `poll`, on a thread of its own.
pub fn follow(
    directories: &[PathBuf],
    poll: Duration,
    mut reload: impl FnMut() + Send + 'static,
) -> io::Result<Watch> {
    let (sender, changes) = mpsc::sync_channel(1);
    let watcher = watcher(directories, sender.clone())
        .inspect_err(|error| tracing::warn!(%error, "changes are only seen by polling"));
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
            tracing::warn!(%directory, %error, "cannot watch: changes are only seen by polling");
        }
    }
    Ok(watcher)
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
