//! `berth serve`.

use std::sync::Arc;

use clap::Args;

use super::{
    TableOptions,
    report::{Ended, Failure},
};
use berth_server::{
    metrics::Metrics,
    server::{self, Error, Options},
    telemetry,
};

/// Serve the webhook
///
/// Flags win over BERTH_* variables, which win over defaults. Times carry their unit: 500ms, 15s,
/// 1m30s. The longest is 24h.
///
/// A table or a certificate that is missing or invalid does not end it: it is not ready, says why in
/// its log and in /readyz, and serves when they are there. It ends after SIGTERM, SIGINT or SIGHUP
/// with exit code 0, with 2 if a flag cannot be used, and with 4 if a part of it has a bug and stops.
#[derive(Args, Debug)]
pub(super) struct Serve {
    #[command(flatten)]
    table: TableOptions,
    #[command(flatten)]
    options: Options,
    /// What to log: error, warn, info, debug or trace, or by module as berth=debug,hyper=info
    #[arg(
        long,
        env = "BERTH_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    log_level: String,
}

impl Serve {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        let metrics = Arc::new(Metrics::default());
        let dropped = metrics.log_lines_dropped.clone();
        // the last to be dropped: whatever is logged until then is written
        let _log = telemetry::init(&self.log_level, dropped).map_err(Failure::usage)?;
        let runtime = tokio::runtime::Runtime::new().map_err(Failure::usage)?;
        let serving = server::run(self.options, self.table.into(), metrics);
        let served = runtime.block_on(serving);
        served.map_err(|error| match error {
            Error::Ended { .. } => Failure::bug(error),
            other => Failure::usage(other),
        })?;
        Ok(Ended::Fine)
    }
}
