//! What changes, as lines: a unified diff, whose context ends where its document does.

use std::{
    io::{self, Write},
    path::Path,
};

use anstream::{AutoStream, stdout};
use anstyle::{AnsiColor, Style};
use similar::{ChangeTag, DiffOp, TextDiff};

use super::{Shown, formatter::Formatter};
use berth_manifests::documents::Source;

const CONTEXT: usize = 3;
const HEADER: Style = Style::new().bold();
const HUNK: Style = AnsiColor::Cyan.on_default();
const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();

/// The diff of each document that changes.
pub(super) struct Diff {
    out: AutoStream<std::io::Stdout>,
    /// Whether the source's name has been printed.
    is_named: bool,
    /// How many lines its documents have more than before, so far.
    shift: isize,
}

impl Diff {
    pub(super) fn new() -> Self {
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
        let name = name.trim_start_matches('/');
        writeln!(self.out, "{HEADER}--- a/{name}{HEADER:#}")?;
        writeln!(self.out, "{HEADER}+++ b/{name}{HEADER:#}")
    }

    fn hunk(
        &mut self,
        diff: &TextDiff<'_, '_, str>,
        ops: &[DiffOp],
        line: usize,
    ) -> io::Result<()> {
        let (Some(first), Some(last)) = (ops.first(), ops.last()) else {
            return Ok(());
        };
        let old = first.old_range().start..last.old_range().end;
        let new = first.new_range().start..last.new_range().end;
        let before = line - 1;
        let range = |start: usize, len: usize| match len {
            1 => (start + 1).to_string(),
            0 => format!("{start},0"),
            len => format!("{},{len}", start + 1),
        };
        writeln!(
            self.out,
            "{HUNK}@@ -{} +{} @@{HUNK:#}",
            range(before + old.start, old.len()),
            range(
                (before + new.start).saturating_add_signed(self.shift),
                new.len()
            ),
        )?;
        for change in ops.iter().flat_map(|op| diff.iter_changes(op)) {
            let (sign, style) = match change.tag() {
                ChangeTag::Equal => (' ', Style::new()),
                ChangeTag::Insert => ('+', ADDED),
                ChangeTag::Delete => ('-', REMOVED),
            };
            let text = change.value().trim_end_matches('\n');
            writeln!(self.out, "{style}{sign}{text}{style:#}")?;
            if change.missing_newline() {
                writeln!(self.out, "\\ No newline at end of file")?;
            }
        }
        Ok(())
    }
}

impl Formatter for Diff {
    fn source(&mut self, _: &Source) -> io::Result<()> {
        self.is_named = false;
        self.shift = 0;
        Ok(())
    }

    fn document(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        let Some(edited) = shown.edited else {
            return Ok(());
        };
        self.name(&shown.document.path)?;
        let diff = TextDiff::from_lines(&*shown.document.text, &*edited.text);
        for ops in diff.grouped_ops(CONTEXT) {
            self.hunk(&diff, &ops, shown.document.first_line)?;
        }
        let lines = |text: &str| isize::try_from(text.lines().count()).unwrap_or_default();
        self.shift += lines(&edited.text) - lines(&shown.document.text);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
