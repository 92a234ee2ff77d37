//! The findings as people, programs and GitHub read them.

use std::fmt::{self, Write};

use miette::{MietteHandler, MietteHandlerOpts, ReportHandler};
use serde_json::{Value, json};

use crate::cli::report::Shown;
use berth_manifests::{
    lint::Severity,
    table_lint::{Linted, Report},
};

/// Each with its source and a caret, in colours.
pub(super) fn text(report: &Report) -> String {
    // whether colours are wanted, the stream decides
    let handler = MietteHandlerOpts::new()
        .color(true)
        .terminal_links(false)
        .build();
    let mut text = String::new();
    for linted in &report.findings {
        let shown = Shown::with_code(linted.finding.clone(), linted.code);
        let _ = writeln!(text, "{}", Rendered(&handler, shown));
    }
    text
}

struct Rendered<'h>(&'h MietteHandler, Shown);

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug(&self.1, f)
    }
}

/// One object: the findings, and those that are silenced with their reasons.
pub(super) fn json(report: &Report) -> String {
    let silenced = report.silenced.iter().map(|(linted, reason)| {
        let mut object = object(linted);
        object["reason"] = json!(reason);
        object
    });
    let document = json!({
        "findings": report.findings.iter().map(object).collect::<Value>(),
        "silenced": silenced.collect::<Value>(),
    });
    format!("{document:#}\n")
}

fn object(linted: &Linted) -> Value {
    let Linted { code, finding, .. } = linted;
    let ((line, column), (end_line, end_column)) = (finding.line_and_column(), finding.end());
    json!({
        "code": code.name,
        "severity": code.severity.as_str(),
        "title": code.title,
        "file": finding.file.path.display().to_string(),
        "line": line,
        "column": column,
        "endLine": end_line,
        "endColumn": end_column,
        "field": linted.field,
        "message": finding.message,
        "help": finding.help,
    })
}

/// A workflow command a finding, which GitHub shows in the diff of a pull request.
pub(super) fn github(report: &Report) -> String {
    let mut commands = String::new();
    for Linted { code, finding, .. } in &report.findings {
        let command = match code.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let ((line, column), (end_line, end_column)) = (finding.line_and_column(), finding.end());
        let _ = writeln!(
            commands,
            "::{command} file={},line={line},endLine={end_line},col={column},endColumn={end_column},title={}::{}",
            property(&finding.file.path.display().to_string()),
            property(&format!("{code}: {}", code.title)),
            data(&format!("{}; {}", finding.message, finding.help)),
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
