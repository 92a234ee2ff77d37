//! The command line: one file for each subcommand. Here is what is outermost: errors become sentences and exit codes.

use std::{env, path::PathBuf, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, builder::Resettable};

mod adopt;
mod annotation;
pub mod bench;
mod certs;
mod check;
mod classes;
mod cluster;
mod completions;
mod crds;
mod diff;
mod dry_run;
mod explain;
mod facts;
mod guard;
mod init;
mod lint;
mod man;
mod placed;
mod preview;
mod progress;
mod report;
mod serve;
mod settings;
mod table;
mod test;
mod version;

use report::Failure;
pub(crate) use settings::SettingsOptions;
use settings::namespace;

/// The name of a plugin `kubectl berth`.
const PLUGIN: &str = "kubectl-berth";

const MORE: &str = "\
Examples:
  # what would become of the Pods of a chart
  helm template NAME CHART | berth preview --table table.yaml -f -
  # why a Pod waits
  berth explain pod/whisper-0 -n ai
  # whether the table is one to serve
  berth lint --table table.yaml
  # a webhook on this machine
  berth serve --table table.yaml --tls-self-signed --ca-out ca.pem

Exit codes:
  0  fine
  1  something was found: each command's --help says what counts
  2  the flags are wrong, or something cannot be written
  3  something cannot be read
  4  a part of `berth serve` has a bug and stopped";

/// The right GPU for every Pod: a mutating admission webhook
///
/// A variable counts where its flag is absent, and one that is empty is as one that is not set.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_long_help = MORE)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Serve>),
    Preview(preview::Preview),
    Explain(explain::Explain),
    Classes(classes::ClassesOfNamespace),
    Init(init::Init),
    Adopt(adopt::Adopt),
    Guard(guard::Guard),
    Lint(lint::Lint),
    Test(test::Test),
    Bench(bench::Bench),
    Check(check::Check),
    Certs(certs::Certs),
    Crds(crds::Crds),
    Placed(placed::Placed),
    Completions(completions::Completions),
    Man(man::Man),
    Version(version::Version),
}

impl Cli {
    /// Parses the arguments, or says what is wrong with them and ends.
    ///
    /// As `kubectl-berth`, the binary is a plugin of kubectl, and calls itself what the user called it.
    #[must_use]
    pub fn from_environment() -> Self {
        let mut command = without_empty_variables(Self::command());
        if is_plugin() {
            command = command.bin_name(PLUGIN.replacen('-', " ", 1));
        }
        let parsed = Self::from_arg_matches(&command.get_matches());
        parsed.unwrap_or_else(|error| error.exit())
    }

    /// Runs the command. 0 is fine, 1 findings, 2 usage, 3 unreadable input.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let ended = match self.command {
            Command::Serve(serve) => serve.run(),
            Command::Preview(preview) => preview.run(),
            Command::Explain(explain) => explain.run(),
            Command::Classes(classes) => classes.run(),
            Command::Init(init) => init.run(),
            Command::Adopt(adopt) => adopt.run(),
            Command::Guard(guard) => guard.run(),
            Command::Lint(lint) => lint.run(),
            Command::Test(test) => test.run(),
            Command::Bench(bench) => bench.run(),
            Command::Check(check) => check.run(),
            Command::Certs(certs) => certs.run(),
            Command::Crds(crds) => crds.run(),
            Command::Placed(placed) => placed.run(),
            Command::Completions(completions) => completions.run(),
            Command::Man(man) => man.run(),
            Command::Version(version) => version.run(),
        };
        ended.map_or_else(Failure::report, ExitCode::from)
    }
}

/// Whether kubectl runs this as its plugin.
pub(crate) fn is_plugin() -> bool {
    let called = env::args_os().next().map(PathBuf::from);
    called.is_some_and(|path| path.file_stem().is_some_and(|name| name == PLUGIN))
}

/// The command without its flags' variables that are set and empty: a chart's value that nobody gave. A flag for the
/// cluster wins over the variable that names files.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| {
        let value = arg.get_env().and_then(env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    let is_overridden = |arg: &clap::Arg| {
        arg.get_id() == "table"
            && env::args_os().any(|it| it == "--from-cluster" || it == "--cluster")
    };
    let unset = |arg: clap::Arg| {
        if is_empty(&arg) || is_overridden(&arg) {
            arg.env(Resettable::Reset)
        } else {
            arg
        }
    };
    let command = command.mut_args(unset);
    command.mut_subcommands(without_empty_variables)
}

#[cfg(test)]
mod tests;
