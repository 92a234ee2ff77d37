//! The lint of a table's files: what it finds, with its places, less what a comment suppresses.

use super::{
    Seen,
    code::{Code, INVALID, NO_CLASS, SUPPRESSION},
    lint,
    suppression::FORM,
};
use crate::{
    diagnostic::{Diagnostic, SourceText},
    suppression::{self, Comment},
    table_files::{
        Error, TableFiles,
        decode::{self, Decoded},
    },
};
use berth_core::{
    manifest::{Cause, Document, Manifest, Problem},
    validate::{NamespaceLabels, validate},
};

/// What the lint of a table says.
#[derive(Debug, Default)]
pub struct Report {
    /// How many files there are.
    pub files: usize,
    /// What it found, in the order of the files and their lines. Each has a code and a place.
    pub diagnostics: Vec<Diagnostic>,
    /// What it found and a comment suppresses.
    pub suppressed: Vec<Suppressed>,
}

/// What a comment suppresses.
#[derive(Clone, Debug)]
pub struct Suppressed {
    /// What was found.
    pub diagnostic: Diagnostic,
    /// Why it is suppressed, in the author's words.
    pub reason: String,
}

/// What was found, before any comment is asked.
struct Found {
    diagnostic: Diagnostic,
    /// The line on which the object begins, where it is about an object.
    object_line: Option<usize>,
}

impl Report {
    /// Whether the table does not load.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        let mut codes = self.diagnostics.iter().map(|it| it.code);
        codes.any(|code| code == Some(INVALID.name))
    }
}

impl TableFiles {
    /// Reads and lints, also by what was seen of a cluster. What makes the table invalid is among what it finds.
    pub fn lint(&self, seen: Option<&Seen>) -> Result<Report, Error> {
        Ok(report(&self.read()?, NamespaceLabels::NameAlone, seen))
    }
}

/// Lints the objects of a cluster, each a text. What is invalid is among what it finds: the table is without it.
#[must_use]
pub fn lint_objects(objects: &[SourceText], seen: Option<&Seen>) -> Report {
    report(objects, NamespaceLabels::All, seen)
}

fn report(files: &[SourceText], labels: NamespaceLabels, seen: Option<&Seen>) -> Report {
    let mut comments: Vec<Comment<'_>> = files
        .iter()
        .flat_map(|file| suppression::comments(file, &FORM))
        .collect();
    let mut report = Report {
        files: files.len(),
        ..Report::default()
    };
    for found in find(files, labels, seen) {
        let diagnostic = &found.diagnostic;
        match comments
            .iter_mut()
            .find_map(|it| it.reason(diagnostic, found.object_line))
        {
            Some(reason) => report.suppressed.push(Suppressed {
                diagnostic: diagnostic.clone(),
                reason,
            }),
            None => report.diagnostics.push(found.diagnostic),
        }
    }
    let idle = comments.iter().filter_map(Comment::diagnostic);
    let idle = idle.map(|it| coded(&SUPPRESSION, it));
    report.diagnostics.extend(idle);
    let order = |diagnostic: &Diagnostic| {
        let place = diagnostic.place.as_ref()?;
        let file = files
            .iter()
            .position(|file| suppression::is_same(file, &place.source));
        Some((file, place.span.start, diagnostic.code))
    };
    report.diagnostics.sort_by_cached_key(order);
    report
}

/// What makes the table invalid, and what the checks find where it can be decoded.
fn find(files: &[SourceText], labels: NamespaceLabels, seen: Option<&Seen>) -> Vec<Found> {
    let invalid = |diagnostic| Found {
        diagnostic: coded(&INVALID, diagnostic),
        object_line: None,
    };
    let decoded = match decode::decode(files) {
        Ok(decoded) => decoded,
        Err(diagnostics) => return diagnostics.into_iter().map(invalid).collect(),
    };
    let documents = decoded.documents();
    let no_class = no_class(files, &decoded, &documents);
    let (_, problems) = validate(&documents, labels);
    let problems = problems.into_iter();
    let problems = problems.map(|problem| invalid(decoded.diagnostic(problem)));
    let found = lint(&documents, seen)
        .into_iter()
        .map(|(code, problem)| Found {
            object_line: Some(decoded.first_line(problem.origin)),
            diagnostic: coded(code, decoded.diagnostic(problem)),
        });
    problems.chain(found).chain(no_class).collect()
}

/// A table without a class: at its first pool, or at its beginning where it has nothing.
fn no_class(files: &[SourceText], decoded: &Decoded, documents: &[Document]) -> Option<Found> {
    let is_class = |document: &Document| matches!(document.manifest, Manifest::Class(_));
    if documents.iter().any(is_class) {
        return None;
    }
    let message = "the table has no class: every Pod that names one is denied";
    let help = "add a WorkloadClass that names its pools";
    let found = if let Some(first) = documents.first() {
        Found {
            object_line: Some(decoded.first_line(first.origin)),
            diagnostic: decoded.diagnostic(Problem {
                origin: first.origin,
                field: "metadata.name".to_owned(),
                message: message.to_owned(),
                help: help.to_owned(),
                cause: Cause::default(),
            }),
        }
    } else {
        Found {
            object_line: None,
            diagnostic: Diagnostic::error(message)
                .with_help(help)
                .at(files.first()?, 0..0),
        }
    };
    Some(Found {
        diagnostic: coded(&NO_CLASS, found.diagnostic),
        ..found
    })
}

fn coded(code: &Code, diagnostic: Diagnostic) -> Diagnostic {
    Diagnostic {
        code: Some(code.name),
        severity: code.severity,
        ..diagnostic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPO: &str = "apiVersion: berth.dev/v1alpha1
kind: GPUPool
metadata: {name: p}
spec:
  hostnames: [node]
  resourceName: nvidia.com/gpus
---
apiVersion: berth.dev/v1alpha1
kind: WorkloadClass
metadata: {name: c}
spec: {pools: [{name: p}]}
";

    fn lint_of(text: &str) -> Report {
        report(
            &[SourceText::new("t.yaml", text)],
            NamespaceLabels::NameAlone,
            None,
        )
    }

    /// Each diagnostic as `line code`, then each reason.
    fn said(text: &str) -> Vec<String> {
        let report = lint_of(text);
        let found = report.diagnostics.iter().map(|diagnostic| {
            let (line, _) = diagnostic.place.as_ref().unwrap().start();
            format!("{line} {}", diagnostic.code.unwrap())
        });
        let reasons = report.suppressed.iter().map(|it| it.reason.clone());
        found.chain(reasons).collect()
    }

    fn with(line: &str, comment: &str) -> String {
        assert!(TYPO.contains(line));
        TYPO.replacen(line, &format!("{comment}{line}"), 1)
    }

    #[test]
    fn a_diagnostic_has_its_place_and_a_comment_suppresses_it() {
        const ALLOW: &str = "# berth-lint: allow BRT008 our own plugin";
        let field = "  resourceName: nvidia.com/gpus";
        assert_eq!(said(TYPO), ["6 BRT008"]);
        for text in [
            TYPO.replace("/gpus", &format!("/gpus  {ALLOW}")),
            with(field, &format!("  {ALLOW}\n")),
            with(field, &format!("  {ALLOW}\n\n  # and more\n")),
            format!("{ALLOW}\n{TYPO}"),
            format!("{ALLOW}\n---\n{TYPO}").replace('\n', "\r\n"),
            TYPO.replacen("v1alpha1", &format!("v1alpha1 {ALLOW}"), 1),
        ] {
            assert_eq!(said(&text), ["our own plugin"], "{text}");
        }
    }

    #[test]
    fn a_suppression_elsewhere_or_of_another_code_is_told_itself() {
        let elsewhere = with("  hostnames", "  # berth-lint: allow BRT008 x\n");
        assert_eq!(said(&elsewhere), ["5 BRT014", "7 BRT008"]);
        let another = format!("# berth-lint: allow BRT001 x\n{TYPO}");
        assert_eq!(said(&another), ["1 BRT014", "7 BRT008"]);
        let no_reason = format!("# berth-lint: allow BRT008\n{TYPO}");
        assert_eq!(said(&no_reason), ["1 BRT014", "7 BRT008"]);
        let twice = "# berth-lint: allow BRT008 x\n";
        assert_eq!(said(&format!("{twice}{twice}{TYPO}")), ["2 BRT014", "x"]);
        let of_the_next_object = TYPO.replacen("---\n", "---\n# berth-lint: allow BRT008 x\n", 1);
        assert_eq!(said(&of_the_next_object), ["6 BRT008", "8 BRT014"]);
    }

    #[test]
    fn what_makes_a_table_invalid_is_told_beside_what_the_checks_find() {
        let selector = "spec: {pools: [{name: p}], namespaceSelector: {matchLabels: {team: a}}}";
        let text = TYPO.replace("spec: {pools: [{name: p}]}", selector);
        assert_eq!(said(&text), ["6 BRT008", "11 BRT000", "11 BRT012"]);
        assert!(lint_of(&text).is_invalid());
        assert_eq!(said("a: ["), ["1 BRT000"]);
    }

    #[test]
    fn a_table_without_a_class_is_told_once() {
        let (pool, class) = TYPO.split_once("---\n").unwrap();
        let pool = pool.replace("/gpus", "/gpu");
        let second = pool.replace("name: p", "name: q");
        assert_eq!(said(&format!("{pool}---\n{second}")), ["3 BRT015"]);
        assert_eq!(said(&format!("{pool}---\n{class}")), Vec::<String>::new());
        let allowed = format!("# berth-lint: allow BRT015 the classes are elsewhere\n{pool}");
        assert_eq!(said(&allowed), ["the classes are elsewhere"]);
        for empty in ["", "# nothing yet\n", "---\n"] {
            assert_eq!(said(empty), ["1 BRT015"], "{empty:?}");
        }
    }

    #[test]
    fn what_is_invalid_cannot_be_suppressed() {
        let text = TYPO.replace("hostnames", "hostname");
        let text = format!("# berth-lint: allow BRT000 x\n{text}");
        assert_eq!(said(&text), ["1 BRT014", "6 BRT000"]);
    }
}
