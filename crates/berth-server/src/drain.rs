//! The end, without a lost request.
//!
//! The API server's connections outlive the endpoint (fact 5), so a server that is told to end first answers
//! on, asking on every response for a new connection, and closes only when the traffic has moved elsewhere.

use std::{io, time::Duration};

use clap::Args;
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

/// SIGTERM and SIGINT, from now on.
#[derive(Debug)]
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// From here on, neither signal ends the process by itself.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one, and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
