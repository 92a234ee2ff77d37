//! What a lint found, as people, programs and GitHub read it.

use std::{fmt::Write, io};

use serde_json::{Value, json};

use crate::cli::{annotation::annotation, report::renderer};
use berth_manifests::{
    diagnostic::{Diagnostic, Place},
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

/// One object: what was found, and what a comment suppresses with its reason.
pub(super) fn json(report: &Report) -> String {
    let suppressed = report.suppressed.iter().filter_map(|suppressed| {
        let mut object = object(&Linted::of(&suppressed.diagnostic)?);
        object["reason"] = json!(suppressed.reason);
        Some(object)
    });
    let findings = Linted::all(report).map(|linted| object(&linted));
    let document = json!({
        "findings": findings.collect::<Value>(),
        "suppressed": suppressed.collect::<Value>(),
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

/// An annotation for each.
pub(super) fn github(report: &Report) -> String {
    let annotated = |linted: Linted<'_>| {
        let title = format!("{}: {}", linted.code, linted.code.title);
        annotation(linted.diagnostic, &title)
    };
    Linted::all(report).map(annotated).collect()
}
