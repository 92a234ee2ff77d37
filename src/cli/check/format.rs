//! What was found, as people and programs read it.

use std::{
    env,
    fmt::Write,
    io::{self, IsTerminal},
};

use anstyle::{AnsiColor, Style};
use serde_json::json;

use crate::cli::report::for_output;
use berth_core::{
    check::{Category, Check, Hint, Outcome},
    names::REPORT_VERSION,
};

/// How many checks ended so.
pub(super) fn count(report: &[Category], outcome: Outcome) -> usize {
    let checks = report.iter().flat_map(|it| &it.checks);
    checks.filter(|check| check.outcome == outcome).count()
}

/// Every check, under the name of its link.
pub(super) fn table(report: &[Category]) -> String {
    text(report, |_| true)
}

/// The checks that did not pass, and were not skipped.
pub(super) fn short(report: &[Category]) -> String {
    text(report, |check| check.outcome >= Outcome::Warned)
}

fn text(report: &[Category], is_shown: fn(&Check) -> bool) -> String {
    let marks = Marks::of_output();
    let mut text = String::new();
    for category in report {
        let mut shown = category.checks.iter().filter(|it| is_shown(it)).peekable();
        if shown.peek().is_none() {
            continue;
        }
        let name = category.name;
        let _ = writeln!(text, "{name}\n{}", "-".repeat(name.len()));
        shown.for_each(|check| line(&mut text, marks, check));
        text.push('\n');
    }
    let _ = writeln!(text, "{}", conclusion(report, marks));
    text
}

fn line(text: &mut String, marks: Marks, check: &Check) {
    let _ = writeln!(
        text,
        "{} {}",
        marks.of(check.outcome),
        for_output(&check.what)
    );
    let hint = check.hint.as_ref().map(Hint::text);
    for more in check.found.as_deref().into_iter().chain(hint) {
        let _ = writeln!(text, "    {}", for_output(more));
    }
}

fn conclusion(report: &[Category], marks: Marks) -> String {
    let counted = [Outcome::Failed, Outcome::Warned, Outcome::Skipped].map(|it| count(report, it));
    let all: usize = report.iter().map(|it| it.checks.len()).sum();
    let (outcome, said) = match counted {
        // who may read little knows little
        [0, 0, skipped] if 2 * skipped > all => (Outcome::Skipped, "nothing failed".to_owned()),
        [0, 0, _] => (Outcome::Passed, "all is well".to_owned()),
        [0, warned, _] => (
            Outcome::Warned,
            format!("all works, and {warned} of {all} checks should be looked at"),
        ),
        [failed, ..] => (Outcome::Failed, format!("{failed} of {all} checks failed")),
    };
    let skipped = match counted[2] {
        0 => String::new(),
        skipped => format!("; {skipped} of {all} could not be checked"),
    };
    format!("{} {said}{skipped}", marks.of(outcome))
}

/// One object: the categories, their checks, and whether none failed.
pub(super) fn json(report: &[Category]) -> String {
    let check = |check: &Check| {
        let (command, advice) = match &check.hint {
            Some(Hint::Run(command)) => (Some(command), None),
            Some(Hint::Do(advice)) => (None, Some(advice)),
            None => (None, None),
        };
        json!({
            "description": check.what, "result": check.outcome.as_str(), "error": check.found, "hint": command,
            "advice": advice,
        })
    };
    let category = |category: &Category| {
        let checks: Vec<_> = category.checks.iter().map(check).collect();
        json!({"categoryName": category.name, "checks": checks})
    };
    let categories: Vec<_> = report.iter().map(category).collect();
    let document = json!({
        "apiVersion": REPORT_VERSION, "kind": "Check",
        "success": count(report, Outcome::Failed) == 0, "categories": categories,
    });
    format!("{document:#}\n")
}

/// The marks that a terminal can show.
#[derive(Clone, Copy, Debug)]
struct Marks {
    is_ascii: bool,
}

impl Marks {
    fn of_output() -> Self {
        let variable = |name: &str| env::var(name).ok().filter(|it| !it.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(variable);
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        let is_utf8 = locale.contains("utf-8") || locale.contains("utf8");
        let is_console = variable("TERM").is_some_and(|it| it == "linux" || it == "dumb");
        // a file is read elsewhere
        let is_ascii = io::stdout().is_terminal() && (!is_utf8 || is_console);
        Self { is_ascii }
    }

    fn of(self, outcome: Outcome) -> String {
        let (mark, ascii, color) = match outcome {
            Outcome::Passed => ("√", "+", AnsiColor::Green),
            Outcome::Warned => ("‼", "!", AnsiColor::Yellow),
            Outcome::Failed => ("×", "x", AnsiColor::Red),
            Outcome::Skipped => ("·", "-", AnsiColor::BrightBlack),
        };
        let style = Style::new().fg_color(Some(color.into()));
        let mark = if self.is_ascii { ascii } else { mark };
        format!("{style}{mark}{style:#}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Vec<Category> {
        vec![
            Category::new("first", vec![Check::passed("a")]),
            Category::new(
                "second",
                vec![
                    Check::failed("b", "it is not").run("kubectl x"),
                    Check::warned("c", "maybe").advise("look"),
                    Check::skipped("d", "no right"),
                ],
            ),
        ]
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn people_read_every_line_or_what_did_not_pass() {
        let second =
            "second\n------\n× b\n    it is not\n    kubectl x\n‼ c\n    maybe\n    look\n";
        let end = "\n× 1 of 4 checks failed; 1 of 4 could not be checked\n";
        let all = format!("first\n-----\n√ a\n\n{second}· d\n    no right\n{end}");
        assert_eq!(plain(&table(&report())), all);
        assert_eq!(plain(&short(&report())), format!("{second}{end}"));
        assert_eq!(
            plain(&table(&report()[..1])),
            "first\n-----\n√ a\n\n√ all is well\n"
        );
        let mut little = report()[..1].to_vec();
        for what in ["b", "c"] {
            little[0].checks.push(Check::skipped(what, "no right"));
        }
        let end = "\n· nothing failed; 2 of 3 could not be checked\n";
        assert!(plain(&short(&little)).ends_with(&end[1..]), "{little:?}");
    }

    #[test]
    fn a_terminal_without_unicode_gets_marks_of_ascii() {
        let marks = Marks { is_ascii: true };
        let all = [
            Outcome::Passed,
            Outcome::Warned,
            Outcome::Failed,
            Outcome::Skipped,
        ];
        assert_eq!(all.map(|it| plain(&marks.of(it))), ["+", "!", "x", "-"]);
    }

    #[test]
    fn programs_read_one_object() {
        let read: serde_json::Value = serde_json::from_str(&json(&report())).expect("JSON");
        assert_eq!(read["success"], false);
        let checks = &read["categories"][1]["checks"];
        let expected = json!({"description": "b", "result": "error", "error": "it is not", "hint": "kubectl x", "advice": null});
        assert_eq!(checks[0], expected);
        assert_eq!(checks[2]["result"], "skipped");
    }
}
