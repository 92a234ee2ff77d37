//! Processes that end with the one that started them, also where that is killed.
//!
//! All are of one process group, and in a folder of their own. A guard, a shell outside the group, reads from a pipe
//! whose other end is ours: it sees the end of the pipe when we let go of it, or are gone. Then it kills the group and
//! removes the folder. A terminal's Ctrl-C reaches neither the guard nor the group, only us.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::Error;

/// Holds the group's number: it outlives the pipe until the guard has killed the group, so that the number is never
/// another group's.
const LEADER: &str = "read -r _; sleep 60";
/// `$1` is the group, `$2` the folder. A process that is being killed may still write: the second try has the folder.
const GUARD: &str = r#"read -r _; kill -s KILL -- "-$1"; rm -rf -- "$2" || rm -rf -- "$2""#;

/// Processes with one end, and their folder.
#[derive(Debug)]
pub(crate) struct Group {
    folder: PathBuf,
    leader: Child,
    guard: Child,
    // the pipes' ends: what is above ends with these
    pipes: Vec<ChildStdin>,
    members: Mutex<Vec<Child>>,
}

/// A process of the group, as a number that goes into a signal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Pid(pub(crate) u32);

impl Group {
    /// An empty group with a new folder.
    pub(crate) fn new() -> Result<Self, Error> {
        let folder = new_folder().map_err(Error::io("a folder for the control plane"))?;
        let start = || {
            let mut leader = shell(LEADER, &[])?;
            let number = leader.id().to_string();
            let mut guard = shell(GUARD, &[number.as_ref(), folder.as_os_str()])?;
            let pipes = [leader.stdin.take(), guard.stdin.take()];
            Ok((leader, guard, pipes.into_iter().flatten().collect()))
        };
        let (leader, guard, pipes) = start().map_err(Error::io("sh"))?;
        Ok(Self {
            folder,
            leader,
            guard,
            pipes,
            members: Mutex::default(),
        })
    }

    /// The folder, which ends with the group.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a process writes its log.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// Starts a process in the group. What it says goes to its log, but for what the command pipes.
    pub(crate) fn spawn(&self, name: &str, command: &mut Command) -> Result<Pid, Error> {
        let log = self.log(name);
        let file = File::options().create(true).append(true).open(&log);
        let file = file.map_err(Error::io(log.display().to_string()))?;
        let program = command.get_program().display().to_string();
        let start = || {
            command
                .process_group(self.leader.id().try_into().map_err(io::Error::other)?)
                .stdin(Stdio::null())
                .stdout(file.try_clone()?)
                .stderr(file)
                .spawn()
        };
        let child = start().map_err(Error::io(program))?;
        let pid = Pid(child.id());
        self.members().push(child);
        Ok(pid)
    }

    /// How a process has ended, where it has.
    pub(crate) fn ended(&self, pid: Pid) -> Option<String> {
        let mut members = self.members();
        let child = members.iter_mut().find(|child| child.id() == pid.0)?;
        match child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(format!("ended with {status}")),
            Err(error) => Some(format!("is lost: {error}")),
        }
    }

    /// Ends a process at once, where it has not ended by itself.
    pub(crate) fn kill(&self, pid: Pid) {
        let mut members = self.members();
        if let Some(child) = members.iter_mut().find(|child| child.id() == pid.0) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn members(&self) -> MutexGuard<'_, Vec<Child>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for child in self.members().iter_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.pipes.clear();
        let _ = self.guard.wait();
        let _ = self.leader.wait();
    }
}

/// A shell that waits at a pipe of ours, out of the reach of the terminal's signals.
fn shell(script: &str, arguments: &[&OsStr]) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", script, "berth-cluster-guard"])
        .args(arguments)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

fn new_folder() -> io::Result<PathBuf> {
    let folder = tempfile::Builder::new()
        .prefix("berth-cluster-")
        .tempdir()?;
    folder.keep().canonicalize()
}
