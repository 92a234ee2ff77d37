//! A word at apply: what a preview finds in one object, as warnings of admission. The API server hands them to whoever
//! applies the object, and kubectl prints each on a line of its own.

use std::iter;

use serde_json::Value;

use berth_core::view::View;

use crate::{
    diagnostic::{Diagnostic, Severity},
    preview::{Namespaces, Preview, Topic, preview},
    workload,
};

/// Characters of a warning: what Kubernetes recommends, since clients cut what is longer.
pub const LONGEST: usize = 120;
/// Warnings of an object.
pub const MOST: usize = 6;
/// Pod templates of an object: the time of a preview grows with their number and with the object's size.
const MOST_TEMPLATES: usize = 32;
/// Lines of what was found, each of which is a warning.
const LINES: usize = 2;
/// What every warning begins with, as those of Pods do.
const FROM: &str = "berth: ";

/// What whoever applies an object should know, each of at most [`LONGEST`] characters. Nothing where all is well, or
/// where the object has more Pod templates than are looked at. The object's `managedFields` are not looked at.
#[must_use]
pub fn word(mut object: Value, namespace: &str, view: &View) -> Vec<String> {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    if workload::templates(&object).len() > MOST_TEMPLATES {
        return Vec::new();
    }
    // what the webhook's configuration leaves out is not sent here
    let namespaces = Namespaces::new(namespace, []);
    sentences(&preview(&object, view, &namespaces))
}

fn sentences(preview: &Preview) -> Vec<String> {
    let denials = preview
        .pods
        .iter()
        .flat_map(|pod| &pod.denials)
        .map(of_denial);
    let matters = |it: &&Diagnostic| it.severity >= Severity::Warning;
    let others = preview
        .diagnostics
        .iter()
        .filter(matters)
        .map(of_diagnostic);
    let mut said: Vec<String> = Vec::new();
    for line in denials.chain(others).flat_map(|clauses| lines(&clauses)) {
        if said.len() < MOST && !said.contains(&line) {
            said.push(line);
        }
    }
    said
}

/// A denial says what it is about. The revision of the table is for those who read logs.
fn of_denial(denial: &Diagnostic) -> Vec<String> {
    let message = match denial.message.rsplit_once(" (table ") {
        Some((message, revision)) if revision.ends_with(')') => message,
        _ => &denial.message,
    };
    let mut clauses = clauses(message, denial.help.as_deref());
    // what to write instead goes before the list of what there is, which may be cut
    if let Some(rest) = clauses.get_mut(1..) {
        rest.sort_by_key(|clause| !clause.starts_with("did you mean"));
    }
    clauses
}

fn of_diagnostic(diagnostic: &Diagnostic) -> Vec<String> {
    let field = &diagnostic.field;
    let message = if diagnostic.code == Some(Topic::LabelElsewhere.as_str()) {
        let labels = field
            .rsplit_once('[')
            .map_or(&**field, |(labels, _)| labels);
        format!("the Pods do not get the label in {labels}")
    } else if field.is_empty() {
        diagnostic.message.clone()
    } else {
        format!("{field}: {}", diagnostic.message)
    };
    clauses(&message, diagnostic.help.as_deref())
}

fn clauses(message: &str, help: Option<&str>) -> Vec<String> {
    let texts = iter::once(message).chain(help);
    let clauses = texts.flat_map(|text| text.split("; "));
    clauses.map(str::to_owned).collect()
}

/// As few lines as hold the clauses, and not more than [`LINES`].
fn lines(clauses: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for clause in clauses {
        let fits = |line: &&mut String| length(line) + 2 + length(clause) <= LONGEST;
        if let Some(line) = lines.last_mut().filter(fits) {
            line.push_str(if line.ends_with('?') { " " } else { "; " });
            line.push_str(clause);
        } else {
            lines.push(cut(&format!("{FROM}{clause}")));
        }
    }
    lines.truncate(LINES);
    lines
}

/// A text of at most [`LONGEST`] characters, which ends in an ellipsis where something is left out.
fn cut(text: &str) -> String {
    if length(text) <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_clause_is_cut_on_the_border_of_a_character() {
        let clauses = ["ä".repeat(300), "then".to_owned(), "last".to_owned()];
        let lines = lines(&clauses);
        assert_eq!(length(&lines[0]), LONGEST);
        assert!(lines[0].ends_with("ä…"), "{lines:?}");
        assert_eq!(lines[1..], ["berth: then; last"]);
    }

    #[test]
    fn no_more_than_two_lines_are_said_of_a_finding() {
        let clauses = ["a", "b", "c"].map(|letter| letter.repeat(100));
        assert_eq!(lines(&clauses).len(), LINES);
    }

    #[test]
    fn what_to_write_comes_before_what_there_is() {
        let message = r#"workload class "x" is not available; available here: y; did you mean "y"? (table 0)"#;
        let said = lines(&of_denial(&Diagnostic::error(message)));
        assert_eq!(
            said,
            [r#"berth: workload class "x" is not available; did you mean "y"? available here: y"#]
        );
    }
}
