//! What changes, as lines: a unified diff, whose context ends where its document does.

use std::{
    io::{self, Write},
    path::Path,
};

use anstream::{AutoStream, stdout};
use anstyle::{AnsiColor, Style};

use super::Formatter;
use crate::cli::{
    diff::{self, Hunk},
    preview::shown::Shown,
    report::for_output,
};
use berth_manifests::documents::Source;

const HEADER: Style = Style::new().bold();
const HUNK: Style = AnsiColor::Cyan.on_default();

/// The diff of each document that changes.
pub(in crate::cli::preview) struct Diff {
    out: AutoStream<std::io::Stdout>,
    /// Whether the source's name has been printed.
    is_named: bool,
    /// How many lines its documents have more than before, so far.
    shift: isize,
}

impl Diff {
    pub(in crate::cli::preview) fn new() -> Self {
        Self {
            out: stdout(),
            is_named: false,
            shift: 0,
        }
    }

    fn name(&mut self, source: &Path) -> io::Result<()> {
        if self.is_named {
            return Ok(());
        }
        self.is_named = true;
        let name = source.display().to_string();
        let name = for_output(name.trim_start_matches('/'));
        writeln!(self.out, "{HEADER}--- a/{name}{HEADER:#}")?;
        writeln!(self.out, "{HEADER}+++ b/{name}{HEADER:#}")
    }

    /// A hunk of a document that begins after so many lines of its source.
    fn hunk(&mut self, hunk: &Hunk<'_>, before: usize) -> io::Result<()> {
        let (old, new) = (hunk.before(), hunk.after());
        let range = |start: usize, len: usize| match len {
            1 => (start + 1).to_string(),
            0 => format!("{start},0"),
            len => format!("{},{len}", start + 1),
        };
        let old = range(before + old.start, old.len());
        let shifted = (before + new.start).saturating_add_signed(self.shift);
        let new = range(shifted, new.len());
        writeln!(self.out, "{HUNK}@@ -{old} +{new} @@{HUNK:#}")?;
        write!(self.out, "{}", hunk.lines(""))
    }
}

impl Formatter for Diff {
    fn source(&mut self, _: &Source) -> io::Result<()> {
        self.is_named = false;
        self.shift = 0;
        Ok(())
    }

    fn document(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        let Some(edited) = shown.edited() else {
            return Ok(());
        };
        self.name(&shown.document.path)?;
        let diff = diff::Diff::new(&shown.document.text, &edited.text);
        for hunk in diff.hunks() {
            self.hunk(&hunk, shown.document.first_line - 1)?;
        }
        let lines = |text: &str| isize::try_from(text.lines().count()).unwrap_or_default();
        self.shift += lines(&edited.text) - lines(&shown.document.text);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
