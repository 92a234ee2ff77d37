//! `berth test`: golden cases of a table.

use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anstyle::AnsiColor;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::{
    SettingsOptions,
    diff::Diff,
    report::{ColorOption, Ended, Failure, print},
};
use berth_core::view::View;
use berth_manifests::{
    cases::{self, CaseFile, TABLE_FILE},
    diagnostic::{Diagnostic, Place, printable},
    dry_run::{DryRun, dry_run},
    table_files::TableFiles,
};

mod junit;

const MORE: &str = "\
Cases:
  # each is a file NAME.yaml
  namespace: ai          # of the Pod; else what the Pod says, or default
  pod: deployment.yaml   # a manifest in the case's folder, or the Pod itself
  expect:                # any of these; without denied, the Pod is allowed
    pool: rtx-2070       # or several, joined by commas
    container: whisper   # the one that has the GPU; null where none has
    warnings: []         # words, as RuntimeClassKept
    unchanged: InPlace   # or OptedOut, NoClass: there is no patch
    denied: TooManyGpus  # the reason, one of docs/reasons.md
    patched: {...}       # the whole Pod after admission

Examples:
  berth test cases
  # expect what is found now
  berth test cases --update
  # a report for CI
  berth test cases -o junit > report.xml

Exit codes:
  0  every case holds
  1  a case does not
  2  the flags are wrong
  3  a file cannot be read";

/// Test a table by cases: a Pod, and what is expected of it
///
/// The answer is that of the function which the server runs. Exit code 1 says that a case does not hold, 3 that a file
/// cannot be read; the other cases are run all the same.
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
pub(super) struct Test {
    /// A folder of cases, with those in it, or one case; repeatable
    #[arg(value_name = "DIR", required = true)]
    paths: Vec<PathBuf>,
    /// Expect what was found, and rewrite the cases that do not hold
    #[arg(long)]
    update: bool,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    #[command(flatten)]
    color: ColorOption,
    /// The table of every case; otherwise it is table.yaml, or the folder table, beside the case or in the nearest
    /// folder above
    #[arg(
        long,
        env = "BERTH_TABLE",
        value_name = "FILE|DIR",
        value_delimiter = ',',
        help_heading = "Table"
    )]
    table: Vec<PathBuf>,
    #[command(flatten)]
    settings: SettingsOptions,
}

/// How the cases are printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
    /// `JUnit`'s XML, as CI systems read it
    Junit,
}

/// How a case came out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Passed,
    Failed,
    Updated,
}

/// A case that was run.
struct Ran {
    path: PathBuf,
    outcome: Outcome,
    run: DryRun,
    took: Duration,
    expected: Map<String, Value>,
    found: Map<String, Value>,
}

/// The tables by path, each loaded once; none where it is invalid.
struct Tables {
    options: TableFiles,
    loaded: BTreeMap<Vec<PathBuf>, Option<View>>,
}

impl Test {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        self.color.apply();
        let mut tables = Tables {
            options: TableFiles {
                paths: self.table,
                settings: self.settings.try_into()?,
            },
            loaded: BTreeMap::new(),
        };
        let (mut ran, mut failures) = (Vec::new(), Vec::new());
        for path in &self.paths {
            let (cases, errors) = cases::read(path, &tables.options.paths);
            failures.extend(errors.into_iter().map(Failure::from));
            for case in cases {
                match run(&case, &mut tables, self.update) {
                    Ok(case) => ran.extend(case),
                    Err(error) => failures.push(error),
                }
            }
        }
        print(match self.output {
            Format::Text => text(&ran, &failures),
            Format::Json => format!("{:#}\n", json(&ran, &failures)),
            Format::Junit => junit::document(&ran, &failures),
        })?;
        let failed = ran.iter().any(|case| case.outcome == Outcome::Failed);
        match failures.into_iter().reduce(Failure::and) {
            Some(failure) => Err(failure),
            None if failed => Ok(Ended::Found),
            None => Ok(Ended::Fine),
        }
    }
}

/// Runs a case; none where its table is invalid, which has been said.
fn run(case: &CaseFile, tables: &mut Tables, update: bool) -> Result<Option<Ran>, Failure> {
    let path = &case.source.path;
    let Some(table) = tables.of(path)? else {
        return Ok(None);
    };
    let started = Instant::now();
    let run = dry_run(&case.case.pod, &case.case.namespace, table)
        .map_err(|error| Failure::unreadable(format_args!("{}: {error}", path.display())))?;
    let found = case.case.found(&run);
    let outcome = if found == case.case.expected {
        Outcome::Passed
    } else if update {
        case.rewrite(&found)?;
        Outcome::Updated
    } else {
        Outcome::Failed
    };
    Ok(Some(Ran {
        path: path.clone(),
        outcome,
        run,
        took: started.elapsed(),
        expected: case.case.expected.clone(),
        found,
    }))
}

impl Tables {
    /// The table of a case. That one is invalid is said once.
    fn of(&mut self, case: &Path) -> Result<Option<&View>, Failure> {
        let paths = if self.options.paths.is_empty() {
            let near = cases::table_near(case).ok_or_else(|| {
                Failure::usage(format_args!(
                    "{}: no {TABLE_FILE} in its folder or above; write one, or say --table",
                    case.display()
                ))
            })?;
            vec![near]
        } else {
            self.options.paths.clone()
        };
        if !self.loaded.contains_key(&paths) {
            self.loaded.insert(paths.clone(), None);
            let files = TableFiles {
                paths: paths.clone(),
                settings: self.options.settings.clone(),
            };
            self.loaded
                .insert(paths.clone(), Some(files.load()?.into()));
        }
        Ok(self.loaded.get(&paths).and_then(Option::as_ref))
    }
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Updated => "updated",
        }
    }
}

impl Ran {
    fn write(&self, out: &mut String) {
        let (word, style) = match self.outcome {
            Outcome::Passed => ("ok     ", AnsiColor::Green.on_default()),
            Outcome::Failed => ("FAILED ", AnsiColor::Red.on_default().bold()),
            Outcome::Updated => ("updated", AnsiColor::Yellow.on_default()),
        };
        let path = printable(&self.path.display().to_string());
        let _ = writeln!(out, "{style}{word}{style:#} {path}");
        if self.outcome != Outcome::Passed {
            self.write_difference(out);
        }
    }

    /// What was expected and what was found, as lines.
    fn write_difference(&self, out: &mut String) {
        if let Some(message) = &self.run.message {
            let _ = writeln!(out, "  {message}");
        }
        let (expected, found) = (cases::written(&self.expected), cases::written(&self.found));
        for (i, hunk) in Diff::new(&expected, &found).hunks().enumerate() {
            let between = if i > 0 { "  ...\n" } else { "" };
            let lines = hunk.lines(" ").to_string();
            for line in between.lines().chain(lines.lines()) {
                let _ = writeln!(out, "  {line}");
            }
        }
        if self.expected.is_empty() && self.outcome == Outcome::Failed {
            out.push_str("  the case expects nothing yet: --update writes what was found\n");
        }
    }

    fn json(&self) -> Value {
        json!({
            "case": self.path.display().to_string(),
            "outcome": self.outcome.as_str(),
            "result": self.run.reason.verdict().as_str(),
            "reason": self.run.reason.as_str(),
            "message": self.run.message,
            "expected": self.expected,
            "found": self.found,
        })
    }
}

fn text(ran: &[Ran], failures: &[Failure]) -> String {
    let mut text = String::new();
    for case in ran {
        case.write(&mut text);
    }
    let counts = [Outcome::Passed, Outcome::Failed, Outcome::Updated]
        .map(|outcome| (count(ran, outcome), outcome.as_str()))
        .into_iter()
        .filter(|(count, word)| *count > 0 || *word == "passed")
        .map(|(count, word)| format!("{count} {word}"));
    let unread: usize = failures.iter().map(|it| it.diagnostics().len()).sum();
    let unread = (unread > 0).then(|| format!("{unread} not run"));
    text + &counts.chain(unread).collect::<Vec<_>>().join(", ") + "\n"
}

fn json(ran: &[Ran], failures: &[Failure]) -> Value {
    let unread = failures.iter().flat_map(Failure::diagnostics);
    let unread: Vec<Value> = unread.map(unread_json).collect();
    json!({
        "cases": ran.iter().map(Ran::json).collect::<Vec<_>>(),
        "passed": count(ran, Outcome::Passed),
        "failed": count(ran, Outcome::Failed),
        "updated": count(ran, Outcome::Updated),
        "unread": unread,
    })
}

/// What could not be run, and why.
fn unread_json(error: &Diagnostic) -> Value {
    let place = error.place.as_ref();
    let start = place.map(Place::start);
    json!({
        "source": place.map(|place| printable(&place.source.path.display().to_string())),
        "line": start.map(|(line, _)| line),
        "column": start.map(|(_, column)| column),
        "message": error.message,
        "help": error.help,
    })
}

fn count(ran: &[Ran], outcome: Outcome) -> usize {
    ran.iter().filter(|case| case.outcome == outcome).count()
}
