//! The edge performs: sockets, files, clocks, signals, logs and metrics around the core.

pub mod server;

pub mod accept;
pub mod admin;
pub mod drain;
pub mod status;
pub mod tls;
pub mod webhook;

pub mod case_files;
pub mod documents;
pub mod table_files;
pub mod watch;
pub mod yaml;

pub mod duration;
pub mod metrics;
pub mod process;
pub mod telemetry;
