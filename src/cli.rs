//! The command line: one file for each subcommand. Here is what is outermost: errors become sentences and exit codes.

use std::{env, path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, builder::Resettable};

use berth_core::table::Settings;
use berth_manifests::table_files::TableFiles;

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
mod table;
mod test;
mod version;

use report::Failure;

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

/// Where the table comes from, the same for every command. It comes last of a command's flags, since clap puts what
/// follows under the same heading.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(next_help_heading = "Table")]
pub(crate) struct TableOptions {
    /// A file of GPUPools and WorkloadClasses, or a folder of such files; repeatable
    #[arg(
        long,
        env = "BERTH_TABLE",
        value_name = "FILE|DIR",
        required = true,
        value_delimiter = ','
    )]
    table: Vec<PathBuf>,
    #[command(flatten)]
    settings: SettingsOptions,
}

/// What is set beside the manifests.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(next_help_heading = "Table")]
pub(crate) struct SettingsOptions {
    /// The label that names a Pod's workload class
    #[arg(long, env = "BERTH_CLASS_LABEL", value_name = "LABEL", default_value_t = Settings::default().class_label, value_parser = class_label)]
    class_label: String,
    /// A resource that is a GPU, such as nvidia.com/a100, besides those that berth knows; repeatable
    #[arg(
        long = "gpu-resource",
        env = "BERTH_GPU_RESOURCES",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = resource
    )]
    gpu_resources: Vec<String>,
    /// A resource that belongs to a GPU but is not a GPU, such as its memory; repeatable
    #[arg(
        long = "companion-resource",
        env = "BERTH_COMPANION_RESOURCES",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = resource
    )]
    companion_resources: Vec<String>,
    /// A container that another webhook injects, which needs no GPU, besides those that berth knows; repeatable
    #[arg(
        long = "injected-container",
        env = "BERTH_INJECTED_CONTAINERS",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = container
    )]
    injected_containers: Vec<String>,
}

impl TryFrom<TableOptions> for TableFiles {
    type Error = Failure;

    fn try_from(options: TableOptions) -> Result<Self, Failure> {
        Ok(Self {
            paths: options.table,
            settings: options.settings.try_into()?,
        })
    }
}

/// An error where one name is said to be a GPU and to be none.
impl TryFrom<SettingsOptions> for Settings {
    type Error = Failure;

    fn try_from(options: SettingsOptions) -> Result<Self, Failure> {
        let gpu_resources = named(options.gpu_resources);
        let companion_resources = named(options.companion_resources);
        let mut gpus = gpu_resources.iter();
        if let Some(both) = gpus.find(|gpu| companion_resources.contains(gpu)) {
            return Err(Failure::usage(format_args!(
                "{both} is in --gpu-resource and in --companion-resource: a companion is not a GPU, so leave it out of one of them"
            )));
        }
        Ok(Self {
            class_label: options.class_label,
            gpu_resources,
            companion_resources,
            injected_containers: named(options.injected_containers),
            ..Self::default()
        })
    }
}

/// The names of a list, of which a variable that is empty has none.
fn named(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| !name.is_empty());
    names
}

fn class_label(text: &str) -> Result<String, String> {
    if berth_core::syntax::is_qualified_name(text) {
        Ok(text.to_owned())
    } else {
        Err("not a label key: write it as example.com/name".to_owned())
    }
}

fn resource(text: &str) -> Result<String, String> {
    let text = text.trim();
    // a variable that is empty names nothing
    if text.is_empty() || berth_core::syntax::is_extended_resource(text) {
        Ok(text.to_owned())
    } else {
        Err("not an extended resource: write it as nvidia.com/gpu".to_owned())
    }
}

fn namespace(text: &str) -> Result<String, String> {
    if berth_core::syntax::is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err("not the name of a namespace: use only lower-case letters, digits and -".to_owned())
    }
}

fn container(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || berth_core::syntax::is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err(
            "not the name of a container: use at most 63 lower-case letters, digits and -"
                .to_owned(),
        )
    }
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

/// The command without its flags' variables that are set and empty: a chart's value that nobody gave. The flag for the
/// cluster's table wins over the variable that names files.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| {
        let value = arg.get_env().and_then(env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    let is_overridden = |arg: &clap::Arg| {
        arg.get_id() == "table" && env::args_os().any(|it| it == "--from-cluster")
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
mod tests {
    use std::collections::BTreeSet;

    use clap::{CommandFactory, Parser};

    /// Every command that is shown, with its name on the command line.
    fn commands() -> Vec<clap::Command> {
        fn with_subcommands(command: &clap::Command, all: &mut Vec<clap::Command>) {
            let subcommands = command.get_subcommands().filter(|it| !it.is_hide_set());
            subcommands.for_each(|it| with_subcommands(it, all));
            all.push(command.clone());
        }
        let mut root = super::Cli::command().disable_help_subcommand(true);
        root.build();
        let mut all = Vec::new();
        with_subcommands(&root, &mut all);
        all
    }

    /// The flags under each heading, whichever command has them. All others are under none.
    const HEADINGS: [(&str, &[&str]); 7] = [
        ("Addresses", &["bind", "admin_bind"]),
        (
            "Table",
            &[
                "table_source",
                "from_cluster",
                "table",
                "allow_empty_table",
                "class_label",
                "gpu_resources",
                "companion_resources",
                "injected_containers",
            ],
        ),
        (
            "Cluster",
            &[
                "live",
                "status",
                "lease",
                "events",
                "advertise",
                "forward_ca",
                "kubeconfig",
                "context",
                "install_namespace",
            ],
        ),
        (
            "TLS",
            &[
                "tls_cert",
                "tls_key",
                "tls_server_name",
                "tls_self_signed",
                "tls_names",
                "ca_out",
                "tls_min_version",
                "client_ca",
                "client_name",
            ],
        ),
        (
            "Limits",
            &[
                "max_connections",
                "handshake_timeout",
                "idle_timeout",
                "write_timeout",
                "max_header_bytes",
                "max_body_bytes",
                "body_timeout",
                "max_body_memory",
                "max_in_flight",
            ],
        ),
        ("Shutdown", &["drain_period", "shutdown_timeout"]),
        (
            "Manifests",
            &[
                "filename",
                "recursive",
                "namespace",
                "exclude_namespace",
                "all_namespaces",
            ],
        ),
    ];

    #[test]
    fn each_flag_is_under_its_own_heading() {
        let mut seen = BTreeSet::new();
        for command in commands() {
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let id = arg.get_id().as_str();
                let of_id = HEADINGS.iter().find(|(_, ids)| ids.contains(&id));
                let name = command.get_name();
                let heading = of_id.map(|(heading, _)| *heading);
                assert_eq!(arg.get_help_heading(), heading, "{name} {id}");
                seen.insert(id.to_owned());
            }
        }
        let all = HEADINGS.iter().flat_map(|(_, ids)| *ids);
        let gone: Vec<_> = all.filter(|id| !seen.contains(**id)).collect();
        assert!(gone.is_empty(), "{gone:?}");
    }

    /// The command lines under `Examples:`, each as its words, up to the end of the pipe's part.
    fn examples(help: &str) -> Vec<Vec<String>> {
        let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
        let lines = lines.take_while(|line| line.starts_with("  "));
        let lines = lines.filter(|line| !line.trim_start().starts_with('#'));
        let parts = lines.flat_map(|line| line.split(['|', '>', '(', ')']));
        let words = parts.map(|part| part.split_whitespace().map(str::to_owned).collect());
        words
            .filter(|words: &Vec<String>| words.first().is_some_and(|it| it == "berth"))
            .collect()
    }

    #[test]
    fn every_command_has_examples_that_it_reads_and_its_exit_codes() {
        for command in commands() {
            if command.has_subcommands() && command.get_name() != "berth" {
                continue;
            }
            let name = command.get_name();
            let help = command.get_after_long_help();
            let help = help.map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Exit codes:\n  0  "), "{name}: {help}");
            let examples = examples(&help);
            assert!(!examples.is_empty(), "{name}: {help}");
            for words in examples {
                let read = super::Cli::try_parse_from(&words);
                assert!(read.is_ok(), "{words:?}: {read:?}");
                let is_of_command = name == "berth" || words.iter().any(|word| word == name);
                assert!(is_of_command, "{name}: {words:?}");
            }
            // wider than a small terminal would be broken
            let longest = help.lines().map(|line| line.chars().count()).max();
            assert!(longest <= Some(80), "{name}: {longest:?}");
        }
    }

    #[test]
    fn a_list_that_is_empty_names_nothing() {
        let (none, two) = (vec![String::new()], vec!["a".to_owned(), String::new()]);
        assert_eq!(super::named(none), Vec::<String>::new());
        assert_eq!(super::named(two), ["a"]);
        assert_eq!(super::resource(" a.com/x ").as_deref(), Ok("a.com/x"));
        assert_eq!(super::container("").as_deref(), Ok(""));
    }

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn names_that_kubernetes_does_not_accept_are_usage_errors() {
        let is_read = |flag: &str, name: &str| {
            let line = ["berth", "lint", "--table", "x", flag, name];
            super::Cli::try_parse_from(line).is_ok()
        };
        for (flag, right, wrong) in [
            ("--gpu-resource", "nvidia.com/a100,example.com/x", "gpu"),
            (
                "--companion-resource",
                "nvidia.com/fabric",
                "kubernetes.io/x",
            ),
            (
                "--injected-container",
                "proxy,gke-gcsfuse-sidecar",
                "a proxy",
            ),
        ] {
            assert!(is_read(flag, right), "{flag} {right}");
            assert!(!is_read(flag, wrong), "{flag} {wrong}");
        }
    }
}
