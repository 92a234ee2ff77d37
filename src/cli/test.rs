//! `berth test`: golden cases of a table.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::{
    report::{ColorOption, Ended, Failure, print},
    table::{Origin, TableOrigin},
};
use berth_core::view::View;
use berth_manifests::{
    cases::{self, CaseFile, TABLE_FILE},
    dry_run::{DryRun, dry_run},
    table_files::TableFiles,
};

mod format;
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
  # by the table of the cluster that kubectl would ask
  berth test cases --from-cluster
  # a report for CI
  berth test cases -o junit > report.xml

Exit codes:
  0  every case holds
  1  a case does not
  2  the flags are wrong
  3  a file cannot be read";

const TABLE: &str = "The table of every case; otherwise it is table.yaml, or the folder table, beside the case or in the nearest folder above";

/// Test a table by cases: a Pod, and what is expected of it
///
/// The answer is that of the function which the server runs. Exit code 1 says that a case does not hold, 3 that a file
/// cannot be read; the other cases are run all the same.
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
#[command(mut_arg("table", |table| table.help(TABLE)))]
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
    #[command(flatten)]
    table: TableOrigin,
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

/// The tables of the cases.
enum Tables {
    /// By path, each loaded once; none where it is invalid.
    Files {
        options: TableFiles,
        loaded: BTreeMap<Vec<PathBuf>, Option<View>>,
    },
    /// The cluster's, for every case.
    Cluster(Box<View>),
}

impl Test {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        self.color.apply();
        let mut tables = Tables::new(self.table.origin()?)?;
        let (mut ran, mut failures) = (Vec::new(), Vec::new());
        for path in &self.paths {
            let (cases, errors) = cases::read(path, tables.paths());
            failures.extend(errors.into_iter().map(Failure::from));
            for case in cases {
                match run(&case, &mut tables, self.update) {
                    Ok(case) => ran.extend(case),
                    Err(error) => failures.push(error),
                }
            }
        }
        print(match self.output {
            Format::Text => format::text(&ran, &failures),
            Format::Json => format!("{:#}\n", format::json(&ran, &failures)),
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
    fn new(origin: Origin) -> Result<Self, Failure> {
        Ok(match origin {
            Origin::Files(options) => Self::Files {
                options,
                loaded: BTreeMap::new(),
            },
            cluster @ Origin::Cluster(..) => Self::Cluster(Box::new(cluster.view(None)?)),
        })
    }

    /// The files of a table that all cases have in common.
    fn paths(&self) -> &[PathBuf] {
        match self {
            Self::Files { options, .. } => &options.paths,
            Self::Cluster(_) => &[],
        }
    }

    /// The table of a case. That one is invalid is said once.
    fn of(&mut self, case: &Path) -> Result<Option<&View>, Failure> {
        let (options, loaded) = match self {
            Self::Files { options, loaded } => (&*options, loaded),
            Self::Cluster(view) => return Ok(Some(view)),
        };
        let paths = if options.paths.is_empty() {
            let near = cases::table_near(case).ok_or_else(|| {
                Failure::usage(format_args!(
                    "{}: no {TABLE_FILE} in its folder or above; write one, or say --table or --from-cluster",
                    case.display()
                ))
            })?;
            vec![near]
        } else {
            options.paths.clone()
        };
        if !loaded.contains_key(&paths) {
            loaded.insert(paths.clone(), None);
            let files = TableFiles {
                paths: paths.clone(),
                settings: options.settings.clone(),
            };
            loaded.insert(paths.clone(), Some(files.load()?.into()));
        }
        Ok(loaded.get(&paths).and_then(Option::as_ref))
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
