//! `berth lint`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{
    TableOptions,
    report::{ColorOption, Ended, FailOn, Failure, print, tell},
};
use berth_manifests::{
    diagnostic::Severity,
    lint::{CODES, Code, Report},
    table_files::TableFiles,
};

mod format;

const MORE: &str = "\
Examples:
  berth lint --table table.yaml
  # annotations of a pull request; errors alone make the exit code 1
  berth lint --table tables -o github --fail-on error
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
#[command(mut_arg("table", |table| table.required(false).required_unless_present_any(["explain", "file"])))]
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
    /// Print the page of a code, as BRT001, instead
    #[arg(long, value_name = "CODE", value_parser = code)]
    explain: Option<&'static Code>,
    #[command(flatten)]
    color: ColorOption,
    #[command(flatten)]
    table: TableOptions,
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
        let report = TableFiles::try_from(self.table)?.lint()?;
        print(&match self.output {
            Format::Text => format::text(&report),
            Format::Json => format::json(&report),
            Format::Github => format::github(&report),
        })?;
        tell(summary(&report));
        if report.is_invalid() {
            let error = "the table does not load, and is not served: fix each BRT000 above";
            return Err(Failure::unreadable(error));
        }
        let fail_on = Severity::from(self.fail_on);
        let failed = report.diagnostics.iter().any(|it| it.severity >= fail_on);
        Ok(if failed { Ended::Found } else { Ended::Fine })
    }
}

fn code(text: &str) -> Result<&'static Code, String> {
    Code::named(&text.to_ascii_uppercase()).ok_or_else(|| {
        let names: Vec<&str> = CODES.iter().map(|code| code.name).collect();
        format!("the codes are {}", names.join(", "))
    })
}

/// `1 error, 2 warnings and 1 suppressed in 3 files`.
fn summary(report: &Report) -> String {
    let of = |severity| {
        let severities = report.diagnostics.iter().map(|it| it.severity);
        severities.filter(|it| *it == severity).count()
    };
    format!(
        "{}, {} and {} suppressed in {}",
        counted(of(Severity::Error), "error"),
        counted(of(Severity::Warning), "warning"),
        report.suppressed.len(),
        counted(report.files, "file"),
    )
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
