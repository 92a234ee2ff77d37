//! The server.
pub mod server;

pub mod accept;
pub mod admin;
pub mod drain;
pub mod state;
pub mod tls;
pub mod webhook;

pub mod sources;
pub mod watch;

pub mod duration;
pub mod metrics;
pub mod process;
pub mod telemetry;
