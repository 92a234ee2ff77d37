//! The lint of a table's files: its findings with their places, less those that a comment silences.

use std::sync::Arc;

use crate::table_files::{Error, File, Finding, TableFiles, decode, line_and_column};
use crate::{
    lint::{self, Code, REFUSED, SILENCE, silence},
    yaml::{self, Place},
};
use berth_core::validate::{NamespaceLabels, validate};

/// What the lint of a table says.
#[derive(Debug, Default)]
pub struct Report {
    /// How many files there are.
    pub files: usize,
    /// What it found, in the order of the files and their lines.
    pub findings: Vec<Linted>,
    /// What it found and a comment silences, with the reason.
    pub silenced: Vec<(Linted, String)>,
}

/// A finding with its code.
#[derive(Clone, Debug)]
pub struct Linted {
    /// What kind of finding it is.
    pub code: &'static Code,
    /// The field, as `spec.resourceName`; empty where it is about the text.
    pub field: String,
    /// Where it is, and what it says.
    pub finding: Finding,
    /// The line on which the object begins, where it is about an object.
    object_line: Option<usize>,
}

/// A comment that silences one code on one line.
struct Silence {
    file: usize,
    place: Place,
    /// The line that it speaks of, from 1.
    line: usize,
    parsed: Result<(&'static Code, String), silence::Error>,
    used: bool,
}

impl Report {
    /// Whether the table does not load.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.findings.iter().any(|linted| linted.code == &REFUSED)
    }
}

impl TableFiles {
    /// Reads and lints. What loading refuses is among the findings.
    pub fn lint(&self) -> Result<Report, Error> {
        Ok(lint(&self.read()?))
    }
}

fn lint(files: &[File]) -> Report {
    let mut silences: Vec<Silence> = (0..)
        .zip(files)
        .flat_map(|(i, file)| silences(i, file))
        .collect();
    let mut report = Report {
        files: files.len(),
        ..Report::default()
    };
    for linted in all_findings(files) {
        match silences.iter_mut().find_map(|it| it.reason(files, &linted)) {
            Some(reason) => report.silenced.push((linted, reason)),
            None => report.findings.push(linted),
        }
    }
    let idle = silences.iter().filter_map(|it| it.finding(files));
    report.findings.extend(idle);
    let order = |linted: &Linted| {
        let file = files
            .iter()
            .position(|file| is_same(file, &linted.finding.file));
        (file, linted.finding.place.start, linted.code.name)
    };
    report.findings.sort_by_cached_key(order);
    report
}

/// What loading refuses, and what the checks find in a table that can be decoded.
fn all_findings(files: &[File]) -> Vec<Linted> {
    let refused = |finding| Linted {
        code: &REFUSED,
        field: String::new(),
        finding,
        object_line: None,
    };
    let decoded = match decode::decode(files) {
        Ok(decoded) => decoded,
        Err(findings) => return findings.into_iter().map(refused).collect(),
    };
    let documents = decoded.documents();
    let (_, problems) = validate(&documents, NamespaceLabels::NameAlone);
    let problems = problems.into_iter().map(|problem| Linted {
        field: problem.field.clone(),
        ..refused(decoded.finding(problem))
    });
    let findings = lint::lint(&documents).into_iter().map(|found| {
        let object = decoded.place(found.origin, "");
        let finding = Finding {
            file: decoded.file(found.origin).clone(),
            place: decoded.place(found.origin, &found.field),
            message: found.message,
            help: found.help,
        };
        Linted {
            object_line: Some(line_of(&finding.file.text, object.start)),
            code: found.code,
            field: found.field,
            finding,
        }
    });
    problems.chain(findings).collect()
}

/// The comments of a file that silence, or should.
fn silences(file: usize, source: &File) -> Vec<Silence> {
    let text = &*source.text;
    let comments = yaml::comments(text).into_iter();
    let silence = |(place, comment): (Place, String)| {
        let parsed = silence::parse(&comment)?;
        Some(Silence {
            file,
            line: line_meant(text, &place),
            place,
            parsed: parsed.map(|it| (it.code, it.reason.to_owned())),
            used: false,
        })
    };
    comments.filter_map(silence).collect()
}

/// The line that a comment speaks of: its own, or the next one with content where it stands alone.
fn line_meant(text: &str, comment: &Place) -> usize {
    let own = line_of(text, comment.start);
    let has_content = |line: &str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#') && line != "---"
    };
    let mut lines = (1..).zip(text.lines()).skip(own - 1);
    let mut before_comment = text.get(..comment.start).unwrap_or_default().rsplit('\n');
    if has_content(before_comment.next().unwrap_or_default()) {
        return own;
    }
    let next = lines.find(|(number, line)| *number > own && has_content(line));
    next.map_or(own, |(number, _)| number)
}

fn line_of(text: &str, at: usize) -> usize {
    line_and_column(text, at).0
}

/// Whether two are one reading of a file.
fn is_same(a: &File, b: &File) -> bool {
    Arc::ptr_eq(&a.text, &b.text)
}

impl Silence {
    /// The reason, where it silences the finding.
    fn reason(&mut self, files: &[File], linted: &Linted) -> Option<String> {
        let (code, reason) = self.parsed.as_ref().ok()?;
        let finding = &linted.finding;
        let line = line_of(&finding.file.text, finding.place.start);
        let speaks_of_it = *code == linted.code
            && files
                .get(self.file)
                .is_some_and(|file| is_same(file, &finding.file))
            && (line == self.line || linted.object_line == Some(self.line));
        speaks_of_it.then(|| {
            self.used = true;
            reason.clone()
        })
    }

    /// What is to be said of the comment itself.
    fn finding(&self, files: &[File]) -> Option<Linted> {
        let (message, help) = match &self.parsed {
            Err(error) => (error.to_string(), error.help()),
            Ok(_) if self.used => return None,
            Ok((code, _)) => (
                format!("nothing is found here that is {code}"),
                "remove the comment, or put it on or above the line of the finding".to_owned(),
            ),
        };
        Some(Linted {
            code: &SILENCE,
            field: String::new(),
            finding: Finding {
                file: files.get(self.file)?.clone(),
                place: self.place.clone(),
                message,
                help,
            },
            object_line: None,
        })
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

    fn report(text: &str) -> Report {
        lint(&[File {
            path: "t.yaml".into(),
            text: text.into(),
        }])
    }

    /// Each finding as `line code`, then each reason.
    fn said(text: &str) -> Vec<String> {
        let report = report(text);
        let found = report.findings.iter().map(|linted| {
            let (line, _) = linted.finding.line_and_column();
            format!("{line} {}", linted.code)
        });
        let reasons = report.silenced.iter().map(|(_, reason)| reason.clone());
        found.chain(reasons).collect()
    }

    fn with(line: &str, comment: &str) -> String {
        assert!(TYPO.contains(line));
        TYPO.replacen(line, &format!("{comment}{line}"), 1)
    }

    #[test]
    fn a_finding_has_its_place_and_a_comment_silences_it() {
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
    fn a_silence_elsewhere_or_of_another_code_is_a_finding_itself() {
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
    fn what_loading_refuses_is_told_beside_what_the_checks_find() {
        let selector = "spec: {pools: [{name: p}], namespaceSelector: {matchLabels: {team: a}}}";
        let text = TYPO.replace("spec: {pools: [{name: p}]}", selector);
        assert_eq!(said(&text), ["6 BRT008", "11 BRT000", "11 BRT012"]);
        assert!(report(&text).is_refused());
        assert_eq!(said("a: ["), ["1 BRT000"]);
        assert_eq!(said(""), Vec::<String>::new());
    }

    #[test]
    fn what_is_refused_cannot_be_silenced() {
        let text = TYPO.replace("hostnames", "hostname");
        let text = format!("# berth-lint: allow BRT000 x\n{text}");
        assert_eq!(said(&text), ["1 BRT014", "6 BRT000"]);
    }
}
