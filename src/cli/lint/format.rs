//! What a lint found, as people, programs and GitHub read it.

use std::{fmt::Write, io};

use serde_json::{Value, json};

use crate::cli::report::renderer;
use berth_manifests::{
    diagnostic::{Diagnostic, Place, Severity},
    lint::{Code, Report},
};

/// A diagnostic of a lint, all of which have a code and a place.
struct Linted<'r> {
    code: &'static Code,
    place: &'r Place,
    diagnostic: &'r Diagnostic,
}

impl<'r> Linted<'r> {
    fn of(diagnostic: &'r Diagnostic) -> Option<Self> {
        Some(Self {
            code: Code::named(diagnostic.code?)?,
            place: diagnostic.place.as_ref()?,
            diagnostic,
        })
    }

    fn all(report: &'r Report) -> impl Iterator<Item = Self> {
        report.diagnostics.iter().filter_map(Self::of)
    }
}

/// Each with its source and a caret, in colours.
pub(super) fn text(report: &Report) -> String {
    let renderer = renderer(io::stdout());
    let mut text = String::new();
    for Linted {
        code, diagnostic, ..
    } in Linted::all(report)
    {
        let help = diagnostic.help.as_deref().unwrap_or_default();
        let help = format!("{help}\nwhy: berth lint --explain {code}");
        let diagnostic = diagnostic.clone().with_help(help);
        let _ = writeln!(text, "{}", renderer.render(&diagnostic));
    }
    text
}

/// One object: what was found, and what a comment silences with its reason.
pub(super) fn json(report: &Report) -> String {
    let suppressed = report.suppressed.iter().filter_map(|suppressed| {
        let mut object = object(&Linted::of(&suppressed.diagnostic)?);
        object["reason"] = json!(suppressed.reason);
        Some(object)
    });
    let findings = Linted::all(report).map(|linted| object(&linted));
    let document = json!({
        "findings": findings.collect::<Value>(),
        "silenced": suppressed.collect::<Value>(),
    });
    format!("{document:#}\n")
}

fn object(linted: &Linted<'_>) -> Value {
    let Linted {
        code,
        place,
        diagnostic,
    } = linted;
    let ((line, column), (end_line, end_column)) = (place.start(), place.end());
    json!({
        "code": code.name,
        "severity": diagnostic.severity.as_str(),
        "title": code.title,
        "file": place.source.path.display().to_string(),
        "line": line,
        "column": column,
        "endLine": end_line,
        "endColumn": end_column,
        "field": diagnostic.field,
        "message": diagnostic.message,
        "help": diagnostic.help,
    })
}

/// A workflow command for each, which GitHub shows in the diff of a pull request.
pub(super) fn github(report: &Report) -> String {
    let mut commands = String::new();
    for linted in Linted::all(report) {
        let Linted {
            code,
            place,
            diagnostic,
        } = linted;
        let command = match diagnostic.severity {
            Severity::Note => "notice",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let ((line, column), (end_line, end_column)) = (place.start(), place.end());
        let help = diagnostic.help.as_deref().unwrap_or_default();
        let _ = writeln!(
            commands,
            "::{command} file={},line={line},endLine={end_line},col={column},endColumn={end_column},title={}::{}",
            property(&place.source.path.display().to_string()),
            property(&format!("{code}: {}", code.title)),
            data(&format!("{}; {help}", diagnostic.message)),
        );
    }
    commands
}

/// What stands for a text after the second `::` of a workflow command.
fn data(text: &str) -> String {
    let text = text.replace('%', "%25");
    text.replace('\r', "%0D").replace('\n', "%0A")
}

/// What stands for a text as the value of a property, where `:` and `,` end it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_command_is_one_line_whatever_it_says() {
        assert_eq!(data("100%\r\n::error::x"), "100%25%0D%0A::error::x");
        assert_eq!(property("C:\\a,b%3A.yaml"), "C%3A\\a%2Cb%253A.yaml");
    }
}
