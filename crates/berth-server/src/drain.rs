//! The end, without a lost request.
//!
//! The API server's connections outlive the endpoint (fact 5), so a server that is told to end first answers
//! on, asking on every response for a new connection, and closes only when the traffic has moved elsewhere.

use std::{io, time::Duration};

use clap::Args;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::duration;

/// How long the end takes.
#[derive(Args, Clone, Copy, Debug)]
#[group(skip)]
#[command(next_help_heading = "Shutdown")]
pub struct Options {
    /// How long to keep answering after SIGTERM, with `Connection: close` and not ready
    #[arg(long, env = "BERTH_DRAIN_PERIOD", value_name = "TIME", default_value = "15s", value_parser = duration::flag)]
    pub drain_period: Duration,
    /// How long to wait after that for requests in progress
    #[arg(long, env = "BERTH_SHUTDOWN_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = duration::flag)]
    pub shutdown_timeout: Duration,
}

/// SIGTERM, SIGINT and SIGHUP, from now on.
#[derive(Debug)]
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    /// The terminal is gone, or an operator means a reload, which berth does by itself.
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// From here on, no signal of these ends the process by itself. Neither does a log that is as large as files may be:
    /// it is an error of its writer.
    pub fn new() -> io::Result<Self> {
        // nobody listens, and still it is handled
        drop(signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?);
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one, and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}
