//! `berth serve` as a process that ends with its test.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::{
        Mutex,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

/// Longer than anything takes here, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server on ports of its own.
pub struct Berth {
    child: Child,
    log: Receiver<Value>,
    /// What has been taken from the log.
    said: Mutex<Vec<Value>>,
    pub webhook: SocketAddr,
    pub admin: SocketAddr,
}

impl Berth {
    /// Starts `berth serve` with the flags, and waits until it listens.
    pub fn serve(flags: &[&str]) -> Self {
        Self::start(flags, |_| false).0
    }

    /// The same, but its log is read no further than that. What berth writes after that waits in the pipe, which is
    /// closed when the reader is dropped.
    pub fn unread(flags: &[&str]) -> (Self, BufReader<ChildStderr>) {
        let (berth, reader) = Self::start(flags, listens);
        (berth, reader.join().expect("no panic"))
    }

    /// The same, in a shell that has done this before, as `ulimit -Sn 64`.
    pub fn after(limit: &str, flags: &[&str]) -> Self {
        Self::started(in_shell(limit), flags, |_| false).0
    }

    /// The same, of another binary: what starts it.
    pub fn within(command: Command, flags: &[&str]) -> Self {
        Self::started(command, flags, |_| false).0
    }

    /// Starts it on these addresses with a standard error that nobody can read, in a shell that has done this before,
    /// and waits until it listens.
    pub fn mute(
        limit: &str,
        stderr: impl Into<Stdio>,
        (webhook, admin): (SocketAddr, SocketAddr),
        flags: &[&str],
    ) -> Self {
        let addresses = [webhook.to_string(), admin.to_string()];
        let child = in_shell(limit)
            .args([
                "serve",
                "--bind",
                &addresses[0],
                "--admin-bind",
                &addresses[1],
            ])
            .args(flags)
            .stderr(stderr)
            .spawn()
            .expect("berth starts");
        let deadline = Instant::now() + PATIENCE;
        while [webhook, admin]
            .map(TcpStream::connect)
            .iter()
            .any(Result::is_err)
        {
            assert!(Instant::now() < deadline, "berth does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Self {
            child,
            log: channel().1,
            said: Mutex::default(),
            webhook,
            admin,
        }
    }

    /// Starts it, and reads its log as far as an event that is the last.
    fn start(
        flags: &[&str],
        last: fn(&Value) -> bool,
    ) -> (Self, JoinHandle<BufReader<ChildStderr>>) {
        Self::started(command(), flags, last)
    }

    fn started(
        mut command: Command,
        flags: &[&str],
        last: fn(&Value) -> bool,
    ) -> (Self, JoinHandle<BufReader<ChildStderr>>) {
        let mut child = command
            .args([
                "serve",
                "--bind",
                "127.0.0.1:0",
                "--admin-bind",
                "127.0.0.1:0",
            ])
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .expect("berth starts");
        let lines = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, log) = channel();
        let reader = thread::spawn(move || read(lines, &sender, last));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut berth = Self {
            child,
            log,
            said: Mutex::default(),
            webhook: nowhere,
            admin: nowhere,
        };
        let listening = berth.event(listens);
        let address = |name: &str| listening[name].as_str().expect("an address").parse();
        berth.webhook = address("webhook").expect("an address");
        berth.admin = address("admin").expect("an address");
        (berth, reader)
    }

    /// Waits for an event of the log.
    pub fn event(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut said = self.said.lock().expect("no panic");
        let before = said.len();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(event) => said.push(event),
                Err(RecvTimeoutError::Timeout) => panic!("no such event: {:#?}", &said[before..]),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("berth ended after {:#?}", &said[before..])
                }
            }
            if let Some(event) = said.last().filter(|event| wanted(event)) {
                return event.clone();
            }
        }
    }

    /// What the log holds that was not taken yet.
    pub fn events(&self) -> Vec<Value> {
        let events: Vec<Value> = self.log.try_iter().collect();
        let mut said = self.said.lock().expect("no panic");
        said.extend(events.iter().cloned());
        events
    }

    /// Everything that the log holds by now, also what was taken.
    pub fn said(&self) -> Vec<Value> {
        self.events();
        self.said.lock().expect("no panic").clone()
    }

    /// The most memory that it has held, in MiB, as the kernel counts it.
    pub fn peak_memory(&self) -> usize {
        peak_memory(self.child.id())
    }

    /// The memory that it holds now, in MiB, as the kernel counts it.
    pub fn memory(&self) -> usize {
        mebibytes(self.child.id(), "VmRSS:")
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("berth was started")
    }

    /// Waits for the end, but not longer than that.
    pub fn ends_within(&mut self, time: Duration) -> ExitStatus {
        let deadline = Instant::now() + time;
        loop {
            if let Some(status) = self.child.try_wait().expect("berth was started") {
                return status;
            }
            assert!(Instant::now() < deadline, "berth runs after {time:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listens(event: &Value) -> bool {
    event["message"] == "listening"
}

/// Sends the events of a log, until one is the last or nobody takes them.
fn read(
    mut lines: BufReader<ChildStderr>,
    events: &Sender<Value>,
    last: fn(&Value) -> bool,
) -> BufReader<ChildStderr> {
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
        let text = line.trim_end();
        let event = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        let ends = last(&event);
        if events.send(event).is_err() || ends {
            break;
        }
        line.clear();
    }
    lines
}

/// A self-signed server of the homelab's table, and its CA.
pub fn serve(flags: &[&str]) -> (Berth, String) {
    self_signed(flags, Berth::serve)
}

/// The same, in a shell that has done this before.
pub fn serve_after(limit: &str, flags: &[&str]) -> (Berth, String) {
    self_signed(flags, |flags| Berth::after(limit, flags))
}

/// The same, but its log is read no further than to where it listens.
pub fn unread(flags: &[&str]) -> (Berth, BufReader<ChildStderr>, String) {
    let ((berth, log), ca) = self_signed(flags, Berth::unread);
    (berth, log, ca)
}

fn self_signed<T>(flags: &[&str], start: impl FnOnce(&[&str]) -> T) -> (T, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let (ca, table) = (
        folder.path().join("ca.pem"),
        super::path("examples/homelab.yaml"),
    );
    let mut all = vec![
        "--table",
        arg(&table),
        "--tls-self-signed",
        "--ca-out",
        arg(&ca),
    ];
    all.extend(flags);
    let berth = start(&all);
    let pem = fs::read_to_string(ca).expect("the CA is written before the server listens");
    (berth, pem)
}

/// The binary, without what the environment would tell it.
pub fn command() -> Command {
    untold(env!("CARGO_BIN_EXE_berth").as_ref())
}

/// The same of another binary.
pub fn untold(binary: &OsStr) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("BERTH_") || name.starts_with("OTEL_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// The binary in a shell that has done this before. The process is the same.
pub fn in_shell(limit: &str) -> Command {
    let berth = command();
    let mut shell = Command::new("sh");
    let script = format!("{limit} && exec \"$0\" \"$@\"");
    shell.args(["-c", &script]).arg(berth.get_program());
    for (name, value) in berth.get_envs() {
        if value.is_none() {
            shell.env_remove(name);
        }
    }
    shell
}

/// Runs a command that should fail: its code and what it says.
pub fn fails(arguments: &[&str]) -> (i32, String) {
    ends(command().args(arguments))
}

/// Runs a command to its end: its code and what it says. It is killed where it does not end.
pub fn ends(command: &mut Command) -> (i32, String) {
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .expect("berth starts");
    let mut stderr = child.stderr.take().expect("piped");
    let (sender, said) = channel();
    thread::spawn(move || {
        let mut text = String::new();
        let _ = sender.send(stderr.read_to_string(&mut text).map(|_| text));
    });
    let Ok(text) = said.recv_timeout(PATIENCE) else {
        child.kill().and_then(|()| child.wait()).expect("killed");
        panic!("{command:?} does not end");
    };
    let status = child.wait().expect("berth was started");
    (status.code().expect("a code"), text.expect("UTF-8"))
}

/// Runs a program to its end, and takes what it prints.
pub fn prints(command: &mut Command) -> String {
    let ran = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command:?}: {said}");
    String::from_utf8(ran.stdout).expect("text")
}

/// The most memory that a process has held, in MiB, as the kernel counts it.
pub fn peak_memory(pid: u32) -> usize {
    mebibytes(pid, "VmHWM:")
}

fn mebibytes(pid: u32, field: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let value = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = value.and_then(|value| value.trim().strip_suffix(" kB"));
    kib.expect(field).parse::<usize>().expect("a number") >> 10
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
