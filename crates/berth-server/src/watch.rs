//! Says that files may have changed: at once where the system tells, within a quarter of a second where their metadata does, and by a
//! poll in any case.
//!
//! A Secret or ConfigMap volume swaps a symlink, `..data`: a watch on the file itself sees the first swap and then
//! nothing (fact 12). So the directories are watched, and whoever is woken reads again and compares. A directory that is
//! deleted takes its watch along, and one that comes later has none: so each is looked at, too.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Weak, mpsc},
    thread,
    time::{Duration, Instant},
};

use berth_manifests::files::plain;
use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::oneshot;

/// The backstop where neither an event comes nor metadata change, as on some network file systems.
pub const POLL: Duration = Duration::from_secs(10);
/// How often the paths' metadata are looked at: a few system calls.
const LOOK: Duration = Duration::from_millis(250);
/// A change comes as several events; this long after the first, they are taken as one.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// Follows files until it is dropped.
#[derive(Debug)]
pub struct Watch {
    /// When it is gone, the thread ends.
    _alive: Arc<mpsc::SyncSender<()>>,
    first: Option<oneshot::Receiver<()>>,
}

impl Watch {
    /// Waits for the first call to have ended.
    pub async fn first(&mut self) {
        if let Some(first) = self.first.take() {
            // an error says that the thread has ended: then there is nothing to wait for, either
            let _ = first.await;
        }
    }
}

/// Calls `reload` at once, after every change of the paths, and every `poll`, on a thread of its own: whatever blocks
/// it, nothing else waits. A panic is told and counted, and it is called again the next time.
pub fn follow(
    paths: Vec<PathBuf>,
    poll: Duration,
    panics: Counter,
    reload: impl FnMut() + Send + 'static,
) -> io::Result<Watch> {
    let (sender, changes) = mpsc::sync_channel(1);
    let sender = Arc::new(sender);
    let (done, first) = oneshot::channel();
    let mut thread = Thread {
        watched: Watched::new(paths, &sender),
        changes,
        reload,
        poll,
        last: Instant::now(),
    };
    let run = move || {
        let counted = |step: &mut dyn FnMut() -> Next| {
            catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| {
                panics.inc();
                let message = "a reload has panicked, a bug in berth: what is in force stays, and it is tried again at the next change";
                tracing::error!(message);
                Next::Wait
            })
        };
        counted(&mut || thread.begin());
        // nobody may wait for it any more
        let _ = done.send(());
        while counted(&mut || thread.step()) == Next::Wait {}
    };
    thread::Builder::new()
        .name("reload".to_owned())
        .spawn(run)?;
    Ok(Watch {
        _alive: sender,
        first: Some(first),
    })
}

/// What the thread does after a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    Wait,
    End,
}

struct Thread<F> {
    watched: Watched,
    changes: mpsc::Receiver<()>,
    reload: F,
    poll: Duration,
    last: Instant,
}

impl<F: FnMut()> Thread<F> {
    fn begin(&mut self) -> Next {
        self.watched.look();
        (self.reload)();
        Next::Wait
    }

    /// Waits for a change, and reloads where there may be one.
    fn step(&mut self) -> Next {
        let told = match self.changes.recv_timeout(LOOK.min(self.poll)) {
            Ok(()) => {
                thread::sleep(DEBOUNCE);
                while self.changes.try_recv().is_ok() {}
                true
            }
            Err(mpsc::RecvTimeoutError::Timeout) => false,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Next::End,
        };
        // before the reload: what changes after this look is seen by the next one
        let moved = self.watched.look();
        if told || moved || self.last.elapsed() >= self.poll {
            self.last = Instant::now();
            (self.reload)();
        }
        Next::Wait
    }
}

/// What tells one state of a file or directory from another. Nothing where it is not there.
type Looks = Option<[i64; 5]>;

/// The paths, and how they looked last.
#[derive(Debug)]
struct Watched {
    paths: Vec<(PathBuf, Looks)>,
    /// Those of the paths that are directories, and the directories of the others.
    directories: Vec<(PathBuf, Looks)>,
    watcher: Option<RecommendedWatcher>,
}

impl Watched {
    fn new(paths: Vec<PathBuf>, sender: &Arc<mpsc::SyncSender<()>>) -> Self {
        let sender = Arc::downgrade(sender);
        let watcher =
            notify::recommended_watcher(move |event| tell(&sender, event)).inspect_err(|error| {
                let error = plainly(error);
                tracing::warn!(%error, "changes are only seen by looking");
            });
        Self {
            paths: paths.into_iter().map(|path| (path, None)).collect(),
            directories: Vec::new(),
            watcher: watcher.ok(),
        }
    }

    /// Whether a path looks otherwise than last time. A directory that does is watched anew: it may be another one of
    /// the same name.
    fn look(&mut self) -> bool {
        let mut changed = false;
        for (path, last) in &mut self.paths {
            let now = looks(path);
            changed |= now != *last;
            *last = now;
        }
        let directories = directories(self.paths.iter().map(|(path, _)| path.as_path()));
        let before = std::mem::take(&mut self.directories);
        for directory in directories {
            let now = looks(&directory);
            let known = before.iter().find(|(path, _)| *path == directory);
            if known.is_none_or(|(_, last)| now != *last) {
                changed = true;
                if now.is_some() {
                    self.watch(&directory);
                }
            }
            self.directories.push((directory, now));
        }
        changed
    }

    fn watch(&mut self, directory: &Path) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
            let (directory, error) = (directory.display(), plainly(&error));
            tracing::warn!(%directory, %error, "cannot watch: changes are only seen by looking");
        }
    }
}

/// What notify says, without the numbers of the system and without paths: those it writes as its code does.
fn plainly(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::Io(error) => plain(error),
        ErrorKind::MaxFilesWatch => {
            "the system allows no more watches (fs.inotify.max_user_watches)".to_owned()
        }
        ErrorKind::PathNotFound => "it is not there".to_owned(),
        ErrorKind::Generic(words) => words.clone(),
        _ => "the system does not tell of changes".to_owned(),
    }
}

fn tell(sender: &Weak<mpsc::SyncSender<()>>, event: notify::Result<notify::Event>) {
    // reading is an event, too: our own would wake us for ever
    if matches!(event.map(|event| event.kind), Ok(EventKind::Access(_))) {
        return;
    }
    if let Some(sender) = sender.upgrade() {
        // full means that a change is waiting already
        let _ = sender.try_send(());
    }
}

fn looks(path: &Path) -> Looks {
    let it = fs::metadata(path).ok()?;
    // an inode may be used again at once: the times tell it from the last one
    let size = i64::try_from(it.size()).unwrap_or(i64::MAX);
    Some([
        it.dev().cast_signed(),
        it.ino().cast_signed(),
        it.mtime() ^ (it.mtime_nsec() << 32),
        it.ctime() ^ (it.ctime_nsec() << 32),
        size,
    ])
}

/// The directories to watch, each once: of a path that is one itself, or the one that it is in.
fn directories<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = Vec::new();
    for path in paths {
        let directory = match path.parent() {
            _ if path.is_dir() => path,
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if !directories.iter().any(|known| known == directory) {
            directories.push(directory.to_owned());
        }
    }
    directories
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Longer than anything takes here, on a machine that is busy.
    const PATIENCE: Duration = Duration::from_secs(30);
    /// Longer than any test: the poll finds nothing here.
    const NEVER: Duration = Duration::from_hours(1);

    /// Follows a path, and gives what its file holds at each reload.
    fn followed(path: &Path, file: PathBuf) -> (Watch, Receiver<String>) {
        let (sender, receiver) = channel();
        let reload = move || {
            let _ = sender.send(fs::read_to_string(&file).unwrap_or_default());
        };
        let watch = follow(vec![path.to_owned()], NEVER, Counter::default(), reload);
        (watch.unwrap(), receiver)
    }

    fn wait(reloads: &Receiver<String>, text: &str) -> Duration {
        let began = Instant::now();
        while reloads.recv_timeout(PATIENCE).expect("a reload") != text {}
        began.elapsed()
    }

    #[test]
    fn a_folder_that_is_deleted_and_made_again_is_seen_each_time() {
        let mut slowest = Duration::MAX;
        // a machine with other work to do may be late
        for _ in 0..5 {
            slowest = slowest.min(slowest_change());
            if slowest < Duration::from_secs(1) {
                break;
            }
        }
        println!("the slowest change of a folder that was made again: {slowest:.0?}");
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    }

    fn slowest_change() -> Duration {
        let above = tempfile::tempdir().unwrap();
        let (folder, file) = (above.path().join("f"), above.path().join("f/x.yaml"));
        let (_watch, reloads) = followed(&folder, file.clone());
        wait(&reloads, "");
        let mut slowest = Duration::ZERO;
        for round in 0..5 {
            fs::create_dir(&folder).unwrap();
            for change in 0..3 {
                let text = format!("{round}.{change}");
                fs::write(&file, &text).unwrap();
                slowest = slowest.max(wait(&reloads, &text));
            }
            fs::remove_dir_all(&folder).unwrap();
        }
        slowest
    }

    #[test]
    fn a_panic_is_counted_and_the_next_change_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, reloads) = channel();
        let (panics, mut calls) = (Counter::default(), 0);
        let reload = move || {
            calls += 1;
            sender.send(calls).unwrap();
            assert_ne!(calls, 2, "a bug");
        };
        let paths = vec![folder.path().to_owned()];
        let _watch = follow(paths, Duration::from_millis(1), panics.clone(), reload).unwrap();
        while reloads.recv_timeout(PATIENCE).expect("a reload") < 4 {}
        assert_eq!(panics.get(), 1);
    }

    #[test]
    fn the_thread_ends_with_the_watch() {
        let folder = tempfile::tempdir().unwrap();
        let (watch, reloads) = followed(folder.path(), folder.path().join("x"));
        drop(watch);
        let ended = || reloads.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Disconnected);
        while !ended() {}
    }
}
