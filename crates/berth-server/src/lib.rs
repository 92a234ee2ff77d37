//! The webhook's server: what is known is published as one view, and every review is answered from it.
//!
//! ```text
//!   files ─▶ watch ─▶ sources ─▶ state ─▶ webhook ─▶ berth_core::review
//!                        └─────▶ metrics ─▶ admin ◀─ board ◀─ sources, webhook
//! ```
//!
//! [`accept`] and [`tls`] say who may connect, [`drain`] how the server ends, [`telemetry`] has the log, and [`traces`] the
//! spans. Flags stand beside what they limit.
pub mod server;

pub mod accept;
pub mod admin;
pub mod board;
pub mod drain;
pub mod state;
pub mod tls;
pub mod validity;
pub mod webhook;

pub mod sources;
pub mod watch;

pub mod duration;
pub mod metrics;
pub mod process;
pub mod telemetry;

#[cfg(feature = "otel")]
pub mod traces;
#[cfg(not(feature = "otel"))]
#[path = "traces/off.rs"]
pub mod traces;

/// The commit that this is built from; none where the build was not told. `make static` tells it.
pub const COMMIT: Option<&str> = option_env!("BERTH_COMMIT");
