//! Two texts beside each other, line by line.

use std::fmt;

use anstyle::{AnsiColor, Style};
use similar::{ChangeTag, TextDiff};

/// Lines that are the same around those that differ.
const CONTEXT: usize = 3;

/// The lines in which two texts differ, `-` from the first and `+` from the second, in colours.
pub(super) struct Diff<'t>(TextDiff<'t, 't, str>);

impl<'t> Diff<'t> {
    pub(super) fn new(before: &'t str, after: &'t str) -> Self {
        Self(TextDiff::from_lines(before, after))
    }
}

impl fmt::Display for Diff<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, group) in self.0.grouped_ops(CONTEXT).iter().enumerate() {
            if i > 0 {
                writeln!(f, "  ...")?;
            }
            for change in group.iter().flat_map(|op| self.0.iter_changes(op)) {
                let (sign, style) = match change.tag() {
                    ChangeTag::Delete => ('-', AnsiColor::Red.on_default()),
                    ChangeTag::Insert => ('+', AnsiColor::Green.on_default()),
                    ChangeTag::Equal => (' ', Style::new()),
                };
                let line = change.value().trim_end_matches(['\r', '\n']);
                writeln!(f, "{style}{sign} {line}{style:#}")?;
            }
        }
        Ok(())
    }
}
