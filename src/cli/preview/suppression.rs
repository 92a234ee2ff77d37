//! A comment that silences a finding: `# berth-preview: allow SurgeNeedsGpu the pool has a spare GPU`.

use berth_manifests::{
    diagnostic::{Diagnostic, SourceText},
    yaml::{self, Span},
};

/// How such a comment begins.
const MARK: &str = "berth-preview:";

/// One code that a comment silences.
struct Suppression<'c> {
    code: &'c str,
    /// The line that the comment speaks of; none where it is above the document, and speaks of all of it.
    line: Option<usize>,
}

/// Takes out what a comment of the document silences: on the line of the finding, above it, or above the document.
pub(super) fn apply(diagnostics: &mut Vec<Diagnostic>, document: &SourceText) {
    if diagnostics.is_empty() || !document.text.contains(MARK) {
        return;
    }
    let comments = yaml::comments(&document.text);
    let suppressions: Vec<Suppression<'_>> = comments
        .iter()
        .filter_map(|(span, comment)| {
            let code = code(comment)?;
            let line = line_meant(document, span);
            Some(Suppression { code, line })
        })
        .collect();
    diagnostics.retain(|diagnostic| {
        let line = diagnostic.place.as_ref().map(|place| place.start().0);
        let silences = |it: &Suppression<'_>| {
            diagnostic.code == Some(it.code) && (it.line.is_none() || it.line == line)
        };
        !suppressions.iter().any(silences)
    });
}

/// The code of a comment that has a reason, too.
fn code(comment: &str) -> Option<&str> {
    let rest = comment.trim().strip_prefix(MARK)?.trim_start();
    let rest = rest.strip_prefix("allow")?;
    let (code, reason) = rest.trim_start().split_once(char::is_whitespace)?;
    let has_reason = reason.contains(char::is_alphanumeric);
    has_reason.then(|| code.trim_end_matches([':', ',']))
}

/// The line of a comment's own content, else the next one with content.
fn line_meant(document: &SourceText, comment: &Span) -> Option<usize> {
    let has_content = |line: &str| {
        let line = line.trim_start_matches('\u{feff}').trim();
        !line.is_empty() && !line.starts_with(['#', '%']) && line != "---"
    };
    let before = document.text.get(..comment.start).unwrap_or_default();
    if !before.lines().any(has_content) {
        return None;
    }
    let (own, _) = document.line_and_column(comment.start);
    if has_content(before.rsplit('\n').next().unwrap_or_default()) {
        return Some(own);
    }
    let after = document.text.get(comment.start..).unwrap_or_default();
    let mut lines = (own..).zip(after.lines()).skip(1);
    let next = lines.find(|(_, line)| has_content(line));
    next.map(|(line, _)| line)
}
