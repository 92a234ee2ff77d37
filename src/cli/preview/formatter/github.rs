//! Annotations of what is wrong, which GitHub shows in the diff of a pull request.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::Formatter;
use crate::cli::{
    annotation::annotation,
    preview::shown::{Finding, Shown},
};
use berth_manifests::diagnostic::{Diagnostic, Severity};

/// The title of what has no code.
const TITLE: &str = "berth preview";
/// The same finding is annotated so often at most. GitHub shows ten of a step.
const MOST: usize = 10;

/// An annotation for each finding; where the same comes very often, the others are counted.
#[derive(Default)]
pub(in crate::cli::preview) struct Github {
    /// How often each has come, and its title.
    counts: BTreeMap<String, (usize, Severity, String)>,
}

impl Github {
    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        let Finding {
            title,
            words,
            diagnostic,
        } = finding;
        let title = if title == words { TITLE } else { title };
        let first = || (0, diagnostic.severity, title.to_owned());
        let count = self.counts.entry(format!("{title}\0{words}"));
        let (count, ..) = count.or_insert_with(first);
        *count += 1;
        if *count > MOST {
            return Ok(());
        }
        io::stdout().write_all(annotation(diagnostic, title).as_bytes())
    }
}

impl Formatter for Github {
    fn document(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        for pod in &shown.preview.pods {
            for denial in shown.denials(pod) {
                self.finding(&denial)?;
            }
        }
        for finding in shown.findings() {
            self.finding(&finding)?;
        }
        Ok(())
    }

    fn unreadable(&mut self, diagnostic: &Diagnostic) -> io::Result<()> {
        io::stdout().write_all(annotation(diagnostic, TITLE).as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }

    fn end(&mut self) -> io::Result<()> {
        for (count, severity, title) in self.counts.values().filter(|it| it.0 > MOST) {
            let more = Diagnostic {
                severity: *severity,
                ..Diagnostic::error(format!("the same in {} more places", count - MOST))
            };
            io::stdout().write_all(annotation(&more, title).as_bytes())?;
        }
        self.flush()
    }
}
