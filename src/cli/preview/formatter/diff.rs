//! What changes, as lines: a unified diff, whose context ends where its document does.

use std::{
    io::{self, Write},
    mem,
    path::Path,
};

use anstream::{AutoStream, stdout};
use anstyle::{AnsiColor, Style};

use super::Formatter;
use crate::cli::{
    diff::{self, Hunk},
    preview::shown::{Shown, Text},
    report::for_output,
};
use berth_manifests::{diagnostic::SourceText, documents::Source};

const HEADER: Style = Style::new().bold();
const HUNK: Style = AnsiColor::Cyan.on_default();

/// The diff of each document that changes.
pub(in crate::cli::preview) struct Diff {
    out: AutoStream<std::io::Stdout>,
    /// Whether the source's name has been printed.
    is_named: bool,
    /// How many lines its documents have more than before, so far.
    shift: isize,
    /// The text of the document that was not compared yet, and what becomes of it.
    before: String,
    after: String,
    /// How many lines of the document were compared.
    compared: usize,
}

impl Diff {
    pub(in crate::cli::preview) fn new() -> Self {
        Self {
            out: stdout(),
            is_named: false,
            shift: 0,
            before: String::new(),
            after: String::new(),
            compared: 0,
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

    /// A text that stays as it is.
    fn keep(&mut self, text: &str) {
        self.before.push_str(text);
        self.after.push_str(text);
    }

    /// Prints in what the texts differ that came since the last time: whole lines, or the document's end.
    fn compare(&mut self, document: &SourceText) -> io::Result<()> {
        let (before, after) = (mem::take(&mut self.before), mem::take(&mut self.after));
        let lines = |text: &str| text.lines().count();
        let first = document.first_line - 1 + self.compared;
        self.compared += lines(&before);
        if before == after {
            return Ok(());
        }
        self.name(&document.path)?;
        let diff = diff::Diff::new(&before, &after);
        for hunk in diff.hunks() {
            self.hunk(&hunk, first)?;
        }
        let signed = |count: usize| isize::try_from(count).unwrap_or_default();
        self.shift += signed(lines(&after)) - signed(lines(&before));
        Ok(())
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
        match shown.text {
            Text::Edited(edited) => {
                self.before.push_str(shown.before);
                self.after.push_str(&edited.text);
                if shown.before.ends_with('\n') {
                    self.compare(shown.document)?;
                }
            }
            Text::Kept | Text::Unwritable => {
                let (until, from) = shown.before.split_at(end_of_lines(shown.before));
                if !until.is_empty() {
                    self.keep(until);
                    self.compare(shown.document)?;
                }
                self.keep(from);
            }
        }
        if shown.is_last {
            self.compare(shown.document)?;
            self.compared = 0;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Behind the last line that a text ends.
fn end_of_lines(text: &str) -> usize {
    text.rfind('\n').map_or(0, |end| end + 1)
}
