//! The documents' own text, with the change.

use std::io::{self, BufWriter, Stdout, Write};

use super::Formatter;
use crate::cli::{
    preview::shown::{Shown, Text as DocumentText},
    report::for_output,
};
use berth_manifests::documents::Source;

/// The documents' own text.
pub(in crate::cli::preview) struct Text {
    out: BufWriter<Stdout>,
    /// Whether the text so far is one that another document can follow.
    at: At,
}

/// Where the text so far ends.
#[derive(Clone, Copy, Eq, PartialEq)]
enum At {
    Start,
    LineStart,
    WithinLine,
    /// In another source than what comes.
    NextSource {
        within_line: bool,
    },
}

impl Text {
    pub(in crate::cli::preview) fn new() -> Self {
        Self {
            out: BufWriter::new(io::stdout()),
            at: At::Start,
        }
    }
}

impl Formatter for Text {
    fn source(&mut self, _: &Source) -> io::Result<()> {
        if self.at != At::Start {
            let within_line = matches!(
                self.at,
                At::WithinLine | At::NextSource { within_line: true }
            );
            self.at = At::NextSource { within_line };
        }
        Ok(())
    }

    fn document(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        let mut text = match shown.text {
            DocumentText::Kept => shown.before,
            DocumentText::Edited(edited) => &*edited.text,
            DocumentText::Unwritable => return Ok(()),
        };
        if let At::NextSource { within_line } = self.at {
            text = text.trim_start_matches('\u{feff}');
            if within_line {
                writeln!(self.out)?;
            }
            if has_directive(text) {
                // a directive may only follow a document that has ended
                writeln!(self.out, "...")?;
            } else if !text.starts_with("---") {
                writeln!(self.out, "---")?;
            }
        }
        self.at = if text.ends_with('\n') {
            At::LineStart
        } else {
            At::WithinLine
        };
        self.out.write_all(for_output(text).as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Whether a directive comes before a text's document, as `%YAML 1.1`.
fn has_directive(text: &str) -> bool {
    let is_content = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    let first = text.lines().find(is_content);
    first.is_some_and(|line| line.starts_with('%'))
}
