//! A terminal, as a person sits at it: a pseudoterminal whose text the test reads.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Read,
    os::unix::ffi::OsStrExt,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Instant,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use super::process::PATIENCE;

/// A terminal with what is written to it.
pub struct Terminal {
    written: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

/// Which of a process's streams are the terminal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Streams {
    /// What is said; the data goes elsewhere.
    Stderr,
    /// What is said and the data.
    Both,
}

impl Terminal {
    /// Starts a command on a terminal that is so wide.
    pub fn start(command: &mut Command, columns: u16, streams: Streams) -> (Self, Child) {
        Self::of_kind("xterm", command, columns, streams)
    }

    /// Starts a command with its standard error on a terminal that cannot move its cursor.
    pub fn dumb(command: &mut Command, columns: u16) -> (Self, Child) {
        Self::of_kind("dumb", command, columns, Streams::Stderr)
    }

    fn of_kind(kind: &str, command: &mut Command, columns: u16, streams: Streams) -> (Self, Child) {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&controller).expect("it is ours");
        unlockpt(&controller).expect("it opens");
        let name = ptsname(&controller, Vec::new()).expect("its name");
        let mut device = fs::OpenOptions::new();
        let device = device.read(true).write(true);
        let device = device.open(OsStr::from_bytes(name.as_bytes()));
        let device = device.expect("the terminal");
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&device, size).expect("a size");
        let end = || Stdio::from(device.try_clone().expect("another end"));
        command.env("TERM", kind).stderr(end());
        if streams == Streams::Both {
            command.stdout(end());
        }
        let child = command.spawn().expect("berth starts");
        // what is read ends where the process alone has ends, and closes them
        command.stdout(Stdio::null()).stderr(Stdio::null());
        drop(device);
        let (sender, written) = channel();
        let mut controller = File::from(controller);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // at the end, Linux gives an error
            while let Ok(read @ 1..) = controller.read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        let terminal = Self {
            written,
            seen: Vec::new(),
        };
        (terminal, child)
    }

    /// Waits until a text has been written.
    pub fn await_text(&mut self, text: &str) {
        self.await_times(text, 1);
    }

    /// Waits until a text has been written so many times.
    pub fn await_times(&mut self, text: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.text().matches(text).count() < times {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.written.recv_timeout(left) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(error) => panic!("{text:?} does not come ({error}) after {:?}", self.text()),
            }
        }
    }

    /// Everything that is written, after the process's end.
    pub fn ended(mut self, mut child: Child) -> String {
        let deadline = Instant::now() + PATIENCE;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            match self.written.recv_timeout(left) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(_) => break,
            }
        }
        // it has ended, or hangs
        let _ = child.kill();
        child.wait().expect("it was started");
        self.text()
    }

    /// What has been read of it so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }
}
