//! How far work has come: a line on a terminal's standard error, where the work takes longer than a moment.

use std::{
    env, fmt,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use berth_manifests::diagnostic::printable;

/// What ends earlier needs no word.
const PATIENCE: Duration = Duration::from_secs(2);
/// The line is written again so often at most.
const PACE: Duration = Duration::from_millis(200);
/// Clears from the cursor to the end of the line.
const CLEAR: &str = "\u{1b}[K";

/// A line that comes and goes. Without a terminal there is none.
#[derive(Debug)]
pub(crate) struct Progress {
    /// When the line is due; never, where there is no terminal.
    due: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    /// The work begins.
    pub(crate) fn begin() -> Self {
        let is_dumb = env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        let has_terminal = io::stderr().is_terminal() && !is_dumb;
        Self {
            due: has_terminal.then(|| Instant::now() + PATIENCE),
            is_shown: false,
        }
    }

    /// The work has come so far.
    pub(crate) fn at(&mut self, state: impl fmt::Display) {
        let now = Instant::now();
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        self.due = Some(now + PACE);
        self.is_shown = true;
        let width = terminal_size::terminal_size_of(io::stderr());
        let width = width.map_or(80, |(width, _)| usize::from(width.0));
        // a line that is as wide as the terminal would go on in the next
        let line: String = printable(&state.to_string())
            .chars()
            .take(width.saturating_sub(1))
            .collect();
        let _ = write!(io::stderr(), "\r{line}{CLEAR}");
    }

    /// Makes room for what is said or printed.
    pub(crate) fn hide(&mut self) {
        if self.is_shown {
            self.is_shown = false;
            let _ = write!(io::stderr(), "\r{CLEAR}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.hide();
    }
}
