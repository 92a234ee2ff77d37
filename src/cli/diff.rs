//! Two texts beside each other, line by line: what `preview` and `test` print where something differs.

use std::{fmt, ops::Range};

use anstyle::{AnsiColor, Style};
use similar::{ChangeTag, DiffOp, TextDiff};

use super::report::for_output;

/// Lines that are the same around those that differ.
const CONTEXT: usize = 3;

/// The lines in which two texts differ.
pub(super) struct Diff<'t>(TextDiff<'t, 't, str>);

/// Lines that differ, with those around them.
pub(super) struct Hunk<'d> {
    diff: &'d TextDiff<'d, 'd, str>,
    ops: Vec<DiffOp>,
}

impl<'t> Diff<'t> {
    pub(super) fn new(before: &'t str, after: &'t str) -> Self {
        Self(TextDiff::from_lines(before, after))
    }

    pub(super) fn hunks(&self) -> impl Iterator<Item = Hunk<'_>> {
        let diff = &self.0;
        let groups = diff.grouped_ops(CONTEXT).into_iter();
        groups.map(move |ops| Hunk { diff, ops })
    }
}

impl Hunk<'_> {
    /// Its lines in the first text, counted from 0.
    pub(super) fn before(&self) -> Range<usize> {
        self.span(DiffOp::old_range)
    }

    /// Its lines in the second text, counted from 0.
    pub(super) fn after(&self) -> Range<usize> {
        self.span(DiffOp::new_range)
    }

    fn span(&self, range: fn(&DiffOp) -> Range<usize>) -> Range<usize> {
        match (self.ops.first(), self.ops.last()) {
            (Some(first), Some(last)) => range(first).start..range(last).end,
            _ => 0..0,
        }
    }

    /// Its lines in colours, each with `-` where it is of the first text alone, `+` where of the second, and then `gap`.
    pub(super) fn lines(&self, gap: &str) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            for change in self.ops.iter().flat_map(|op| self.diff.iter_changes(op)) {
                let (sign, style) = match change.tag() {
                    ChangeTag::Delete => ('-', AnsiColor::Red.on_default()),
                    ChangeTag::Insert => ('+', AnsiColor::Green.on_default()),
                    ChangeTag::Equal => (' ', Style::new()),
                };
                let line = for_output(change.value().trim_end_matches('\n'));
                writeln!(f, "{style}{sign}{gap}{line}{style:#}")?;
                if change.missing_newline() {
                    writeln!(f, "\\ No newline at end of file")?;
                }
            }
            Ok(())
        })
    }
}
