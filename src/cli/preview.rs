//! `berth preview`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{
    namespace,
    report::{ColorOption, Ended, FailOn, Failure},
    table::TableOrigin,
};
use berth_manifests::{documents, files::Depth, preview::Namespaces};
use formatter::Formatter;
use run::Run;

mod formatter;
mod reporter;
mod run;
mod shown;

const MORE: &str = "\
Examples:
  # what changes in the Pods of a file
  berth preview --table table.yaml -f deployment.yaml
  # in those of a chart
  helm template NAME CHART | berth preview --table table.yaml -n ai -f -
  # the manifests with the change
  berth preview --table table.yaml -o yaml -f deployment.yaml
  # by the table of the cluster that kubectl would ask
  berth preview --from-cluster -f deployment.yaml
  # annotations of a pull request, also of warnings, for all that a folder holds
  berth preview --table table.yaml -o github --fail-on warning -R -f manifests

Exit codes:
  0  every Pod is admitted, also where berth changes it or warns
  1  a Pod is denied, or there is an error: what the API server denies, or what
     cannot work as it is written; with --exit-code also a change, with
     --fail-on warning also a warning
  2  the flags are wrong
  3  something cannot be read or written, or all of the input is empty";

/// Show what berth would do to the Pods of manifests
///
/// Without a cluster, by the function that the server runs. Pods are found in every kind of workload that has Pod
/// templates, in lists and in reviews. Data goes to standard output and prose to standard error, so that `berth preview -o yaml -f x.yaml |
/// kubectl apply -f -` works.
///
/// A Namespace counts for what comes before it, too; of standard input and pipes, for the first 32 MiB.
///
/// A comment with a reason suppresses a finding, on or above its line, or above its document:
/// `# berth-preview: allow SurgeNeedsGpu the pool has a spare GPU`
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
pub(super) struct Preview {
    /// A file of manifests, a folder of such files, or - for standard input; repeatable
    #[arg(
        short,
        long,
        value_name = "FILE|DIR|-",
        required_unless_present = "file",
        help_heading = "Manifests"
    )]
    filename: Vec<PathBuf>,
    /// A file without -f, to say how it is named
    #[arg(hide = true, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Read the folders in a folder, too
    #[arg(short = 'R', long, help_heading = "Manifests")]
    recursive: bool,
    /// The namespace of documents that name none; if not given, the one of the kubeconfig's context with the cluster's
    /// table, else default
    #[arg(
        short,
        long,
        value_name = "NAME",
        value_parser = namespace,
        help_heading = "Manifests"
    )]
    namespace: Option<String>,
    /// A namespace that the webhook's configuration excludes, beside kube-system and kube-node-lease: berth's own;
    /// repeatable
    #[arg(
        long,
        value_name = "NAME",
        default_value = "berth",
        value_parser = namespace,
        help_heading = "Manifests"
    )]
    exclude_namespace: Vec<String>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "diff")]
    output: Format,
    /// Exit with 1 where something would change, as `kubectl diff` does
    #[arg(long)]
    exit_code: bool,
    /// From which severity on a finding makes the exit code 1; a denial always does
    #[arg(long, value_name = "SEVERITY", default_value = "error")]
    fail_on: FailOn,
    #[command(flatten)]
    color: ColorOption,
    #[command(flatten)]
    table: TableOrigin,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    /// What changes, as lines, and a sentence for each Pod
    Diff,
    /// The documents with the change
    Yaml,
    /// One object with every Pod
    Json,
    /// A JSON Patch for each document that has Pods
    Jsonpatch,
    /// A line for each Pod
    Table,
    /// Annotations of what is wrong, as GitHub's workflow commands
    Github,
}

impl Preview {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        self.color.apply();
        if !self.file.is_empty() {
            let files = self
                .file
                .iter()
                .map(|file| format!(" -f {}", file.display()));
            let files: String = files.collect();
            return Err(Failure::usage(format_args!(
                "a file of manifests is named with -f: berth preview --table TABLE{files}"
            )));
        }
        let origin = self.table.named()?;
        let namespace = self.namespace;
        let namespace = namespace.unwrap_or_else(|| origin.namespace().to_owned());
        let view = origin.view(Some(&namespace))?;
        let depth = if self.recursive {
            Depth::All
        } else {
            Depth::Folder
        };
        let namespaces = Namespaces::new(namespace, self.exclude_namespace);
        let sources = self.filename.iter();
        let sources = sources.flat_map(|path| documents::sources(path, depth));
        let mut run = Run::new(&view, namespaces, depth, self.output);
        run.all(sources)?;
        run.ended(self.exit_code, self.fail_on.into())
    }
}

impl Format {
    const fn shows_text(self) -> bool {
        matches!(self, Self::Diff | Self::Yaml)
    }

    fn formatter(self) -> Box<dyn Formatter> {
        match self {
            Self::Diff => Box::new(formatter::Diff::new()),
            Self::Yaml => Box::new(formatter::Text::new()),
            Self::Json => Box::new(formatter::Json::new()),
            Self::Jsonpatch => Box::new(formatter::JsonPatch::new()),
            Self::Table => Box::new(formatter::Table::new()),
            Self::Github => Box::new(formatter::Github::default()),
        }
    }
}
