//! `berth check`.

use std::{
    thread,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};

use super::{
    cluster::{Cluster, ClusterOptions},
    namespace,
    progress::Progress,
    report::{ColorOption, Ended, Failure, print},
};
use berth_core::check::{Category, Hint, Outcome};
use berth_server::duration;

mod asking;
mod chain;
mod flags;
mod format;
mod installation;
mod policies;
mod preparation;
mod replicas;
mod trial;
mod word;

/// How long it waits before it asks again.
const AGAIN: Duration = Duration::from_secs(1);

const MORE: &str = "\
Examples:
  berth check
  # before berth is installed
  berth check --pre -n berth
  # in a pipeline, after helm upgrade
  berth check --wait 2m -o short

Exit codes:
  0  all is well; a warning is not a failure
  1  a check failed
  2  the flags are wrong, or there is no kubeconfig
  3  the API server does not answer
  124  --wait is over, and a check still fails";

/// Check each link of the chain from the API server to a GPU
///
/// Asks with the rights of whoever runs it, and changes nothing: a Pod is created in a dry run only. What may not be read or
/// cannot be reached from here is skipped, and says why. Each line that fails has a command to paste, or what to do.
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
pub(super) struct Check {
    /// Check what is needed before berth is installed
    #[arg(long)]
    pre: bool,
    /// Ask again until no check fails, for so long at most
    #[arg(long, value_name = "DURATION", value_parser = duration::flag)]
    wait: Option<Duration>,
    /// The name of the webhook configuration, where several are berth's
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    #[command(flatten)]
    color: ColorOption,
    /// The namespace of the installation, for --pre
    #[arg(
        id = "install_namespace",
        short = 'n',
        long = "namespace",
        value_name = "NAME",
        default_value = "berth",
        value_parser = namespace,
        help_heading = "Cluster"
    )]
    namespace: String,
    #[command(flatten)]
    cluster: ClusterOptions,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    /// Every check, by link
    Table,
    /// One object with every check
    Json,
    /// What did not pass
    Short,
}

impl Check {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        self.color.apply();
        let cluster = self.cluster.connect()?;
        let until = self.wait.map(|wait| Instant::now() + wait);
        let mut progress = Progress::begin();
        let report = loop {
            let report = self.look(&cluster)?;
            let failed = format::count(&report, Outcome::Failed);
            let is_over = until.is_none_or(|until| Instant::now() + AGAIN > until);
            if failed == 0 || is_over {
                break report;
            }
            progress.at(format_args!("{failed} failed; asking again"));
            thread::sleep(AGAIN);
        };
        progress.hide();
        print(match self.output {
            Format::Table => format::table(&report),
            Format::Json => format::json(&report),
            Format::Short => format::short(&report),
        })?;
        Ok(match (format::count(&report, Outcome::Failed), self.wait) {
            (0, _) => Ended::Fine,
            (_, None) => Ended::Found,
            (_, Some(_)) => Ended::TimeOver,
        })
    }

    fn look(&self, cluster: &Cluster) -> Result<Vec<Category>, Failure> {
        let version = asking::version(cluster)?;
        let mut report = if self.pre {
            let name = self.name.as_deref().unwrap_or("berth");
            preparation::look(cluster, version, &self.namespace, name)
        } else {
            chain::look(cluster, version, self.name.as_deref())
        };
        let hints = report.iter_mut().flat_map(|it| &mut it.checks);
        for hint in hints.filter_map(|it| it.hint.as_mut()) {
            self.of_this_cluster(hint);
        }
        Ok(report)
    }

    /// What is pasted must not go to another cluster than the one that was checked.
    fn of_this_cluster(&self, hint: &mut Hint) {
        let flags = self.cluster.kubectl_flags();
        if let Hint::Run(command) = hint
            && !flags.is_empty()
        {
            for program in ["kubectl", "berth guard"] {
                *command = command.replace(&format!("{program} "), &format!("{program} {flags} "));
            }
        }
    }
}
