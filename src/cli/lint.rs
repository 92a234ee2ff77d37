//! `berth lint`.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use super::{
    init,
    report::{ColorOption, Ended, FailOn, Failure, print, tell},
    table::{Origin, TableOrigin},
};
use berth_manifests::{
    diagnostic::Severity,
    files, init as proposal,
    lint::{CODES, Code, Report, Seen},
};

mod format;

const MORE: &str = "\
Examples:
  berth lint --table table.yaml
  # annotations of a pull request; errors alone make the exit code 1
  berth lint --table tables -o github --fail-on error
  # the table of the cluster that kubectl would ask
  berth lint --from-cluster
  # files against the Nodes of a cluster, before they are applied
  kubectl get nodes -o json | berth lint --table table.yaml --nodes -
  # what a finding means
  berth lint --explain BRT008

Exit codes:
  0  nothing is found that --fail-on counts
  1  something is
  2  the flags are wrong
  3  the table does not load";

/// Find what is wrong with a table that loads
///
/// A comment on or above the line of a finding, or of its object, suppresses it: # berth-lint: allow BRT008 the reason
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
pub(super) struct Lint {
    /// A file without --table, to say how it is named
    #[arg(hide = true, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// How to print the findings
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    /// From which severity on a finding makes the exit code 1
    #[arg(long, value_name = "SEVERITY", default_value = "warning")]
    fail_on: FailOn,
    /// Hold the table against Nodes as `kubectl get nodes -o json` prints them: a file, or - for standard input. With
    /// --from-cluster, those of the cluster if none are given
    #[arg(long, value_name = "FILE|-")]
    nodes: Option<PathBuf>,
    /// Print the page of a code, as BRT001, instead
    #[arg(long, value_name = "CODE", value_parser = code)]
    explain: Option<&'static Code>,
    #[command(flatten)]
    color: ColorOption,
    #[command(flatten)]
    table: TableOrigin,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people, with the source and a caret
    Text,
    /// One object
    Json,
    /// Annotations, as GitHub's workflow commands
    Github,
}

impl Lint {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        self.color.apply();
        if let Some(file) = self.file.first() {
            let file = file.display();
            return Err(Failure::usage(format_args!(
                "a table is named with --table: berth lint --table {file}"
            )));
        }
        if let Some(code) = self.explain {
            print(code.page)?;
            return Ok(Ended::Fine);
        }
        let origin = self.table.named()?;
        let nodes = self.nodes.as_deref().map(nodes).transpose()?;
        let report = origin.lint(nodes)?;
        print(&match self.output {
            Format::Text => format::text(&report),
            Format::Json => format::json(&report),
            Format::Github => format::github(&report),
        })?;
        let is_of_files = matches!(origin, Origin::Files(_));
        tell(summary(
            &report,
            if is_of_files { "file" } else { "object" },
        ));
        // a cluster's table leaves out what is invalid
        if report.is_invalid() && is_of_files {
            let error = "the table does not load, and is not served: fix each BRT000 above";
            return Err(Failure::unreadable(error));
        }
        let fail_on = Severity::from(self.fail_on);
        let failed = report.diagnostics.iter().any(|it| it.severity >= fail_on);
        Ok(if failed { Ended::Found } else { Ended::Fine })
    }
}

/// The Nodes that a file gives.
pub(super) fn nodes(path: &Path) -> Result<Seen, Failure> {
    let failed = |error: &dyn fmt::Display| {
        Failure::unreadable(format_args!("--nodes {}: {error}", path.display()))
    };
    let text = init::read(path).map_err(|error| failed(&files::plain(&error)))?;
    let nodes = proposal::nodes(&text).map_err(|error| failed(&error))?;
    if nodes.is_empty() {
        return Err(failed(
            &"there is no Node; give what `kubectl get nodes -o json` prints",
        ));
    }
    Ok(Seen {
        nodes,
        ..Seen::default()
    })
}

fn code(text: &str) -> Result<&'static Code, String> {
    Code::named(&text.to_ascii_uppercase()).ok_or_else(|| {
        let names: Vec<&str> = CODES.iter().map(|code| code.name).collect();
        format!("the codes are {}", names.join(", "))
    })
}

/// `1 error, 2 warnings and 1 suppressed in 3 files`.
fn summary(report: &Report, source: &str) -> String {
    let of = |severity| {
        let severities = report.diagnostics.iter().map(|it| it.severity);
        severities.filter(|it| *it == severity).count()
    };
    format!(
        "{}, {} and {} suppressed in {}",
        counted(of(Severity::Error), "error"),
        counted(of(Severity::Warning), "warning"),
        report.suppressed.len(),
        counted(report.files, source),
    )
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
