//! How the cases are printed, for people and for programs.

use std::fmt::Write;

use anstyle::AnsiColor;
use serde_json::{Value, json};

use super::{Outcome, Ran};
use crate::cli::{diff::Diff, report::Failure};
use berth_manifests::{
    cases,
    diagnostic::{Diagnostic, Place, printable},
};

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
    pub(super) fn write_difference(&self, out: &mut String) {
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

/// A line for each case, what differs below it, and how many there were of each outcome.
pub(super) fn text(ran: &[Ran], failures: &[Failure]) -> String {
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

/// One object with every case, and what could not be run.
pub(super) fn json(ran: &[Ran], failures: &[Failure]) -> Value {
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
