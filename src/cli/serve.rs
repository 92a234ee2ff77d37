//! `berth serve`.

use std::{path::PathBuf, sync::Arc};

use clap::{Args, ValueEnum};

use super::{
    SettingsOptions,
    report::{Ended, Failure},
};
use berth_core::table::Settings;
use berth_manifests::table_files::TableFiles;
use berth_server::{
    metrics::Metrics,
    server::{self, Error, Options, TableSource},
    sources::cluster,
    telemetry,
};

const MORE: &str = "\
Examples:
  # on this machine, with a certificate that is made at start
  berth serve --table table.yaml --tls-self-signed --ca-out ca.pem
  # as in a Pod, with variables instead of most flags
  berth serve --table /etc/berth/table --tls-cert tls.crt --tls-key tls.key

Exit codes:
  0  a signal ended it, after the drain
  2  the flags are wrong, or the system does not give what they ask for
  4  a part of it has a bug and stopped";

/// Serve the webhook
///
/// Flags win over BERTH_* variables, which win over defaults. Times carry their unit: 500ms, 15s,
/// 1m30s. The longest is 24h.
///
/// A table or a certificate that is missing or invalid does not end it: it is not ready, says why in
/// its log and in /readyz, and serves when they are there. It ends after SIGTERM, SIGINT or SIGHUP.
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
pub(super) struct Serve {
    /// What to log: error, warn, info, debug or trace, or by module as berth=debug,hyper=info
    #[arg(
        long,
        env = "BERTH_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    log_level: String,
    #[command(flatten, next_help_heading = "Addresses")]
    options: Options,
    #[command(flatten)]
    table: TableFrom,
    #[command(flatten)]
    cluster: cluster::Options,
}

/// Where the table comes from.
#[derive(Args, Debug)]
#[group(skip)]
#[command(next_help_heading = "Table")]
struct TableFrom {
    /// Where the table comes from: files, or the GPUPools and WorkloadClasses of the cluster
    #[arg(
        long,
        env = "BERTH_TABLE_SOURCE",
        value_name = "SOURCE",
        default_value = "files"
    )]
    table_source: SourceName,
    /// A file of GPUPools and WorkloadClasses, or a folder of such files; repeatable
    #[arg(
        long,
        env = "BERTH_TABLE",
        value_name = "FILE|DIR",
        required_unless_present = "table_source",
        value_delimiter = ','
    )]
    table: Vec<PathBuf>,
    #[command(flatten)]
    settings: SettingsOptions,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum SourceName {
    Files,
    Cluster,
}

impl TableFrom {
    fn source(self, cluster: cluster::Options) -> Result<TableSource, Failure> {
        if let (SourceName::Files, Some(kubeconfig)) = (self.table_source, &cluster.kubeconfig) {
            return Err(Failure::usage(format_args!(
                "--kubeconfig {} is of no use with a table of files: remove it, or use --table-source cluster without --table",
                kubeconfig.display()
            )));
        }
        match (self.table_source, self.table.is_empty()) {
            (SourceName::Files, false) => Ok(TableSource::Files(TableFiles {
                paths: self.table,
                settings: self.settings.try_into()?,
            })),
            (SourceName::Cluster, true) => {
                Ok(TableSource::Cluster(cluster, self.settings.try_into()?))
            }
            (SourceName::Files, true) => Err(Failure::usage(
                "--table-source files needs --table FILE|DIR; or use --table-source cluster",
            )),
            (SourceName::Cluster, false) => Err(Failure::usage(
                "--table is of no use with --table-source cluster: remove one of them",
            )),
        }
    }
}

/// What the flags of an installed replica say, as far as a check looks at it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct Flags {
    pub(super) reads_cluster: bool,
    pub(super) settings: Settings,
    pub(super) live: bool,
    pub(super) status: bool,
    pub(super) events: bool,
    pub(super) lease: String,
}

impl Serve {
    /// What the flags say, without serving.
    pub(super) fn flags(self) -> Result<Flags, Failure> {
        let is_on = |switch| switch == cluster::Switch::On;
        Ok(Flags {
            reads_cluster: self.table.table_source == SourceName::Cluster,
            settings: self.table.settings.try_into()?,
            live: is_on(self.cluster.live),
            status: is_on(self.cluster.status),
            events: is_on(self.cluster.events),
            lease: self.cluster.lease,
        })
    }

    pub(super) fn run(self) -> Result<Ended, Failure> {
        let metrics = Arc::new(Metrics::default());
        let dropped = metrics.log_lines_dropped.clone();
        // the last to be dropped: whatever is logged until then is written
        let _log = telemetry::init(&self.log_level, dropped).map_err(Failure::usage)?;
        let source = self.table.source(self.cluster)?;
        let runtime = tokio::runtime::Runtime::new().map_err(Failure::usage)?;
        let serving = server::run(self.options, source, metrics);
        let served = runtime.block_on(serving);
        served.map_err(|error| match error {
            Error::Ended { .. } => Failure::bug(error),
            other => Failure::usage(other),
        })?;
        Ok(Ended::Fine)
    }
}
