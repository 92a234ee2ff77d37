//! The change as a diff for `git apply` and `patch -p1`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anstream::stdout;
use anstyle::{AnsiColor, Style};

use crate::cli::{diff::Diff, report::for_output};
use berth_manifests::diagnostic::SourceText;

const HEADER: Style = Style::new().bold();
const HUNK: Style = AnsiColor::Cyan.on_default();

/// The diff, as far as it is printed.
#[derive(Debug, Default)]
pub(super) struct Patch {
    /// The file whose name was printed, and how many lines it has more than before, so far.
    file: Option<(PathBuf, isize)>,
}

impl Patch {
    /// Prints in what a document differs from its text as it could be.
    pub(super) fn print(&mut self, source: &SourceText, edited: &str) -> io::Result<()> {
        let mut out = stdout().lock();
        let shift = match &mut self.file {
            Some((path, shift)) if *path == source.path => shift,
            file => {
                let name = source.path.display().to_string();
                let name = for_output(name.trim_start_matches('/'));
                writeln!(
                    out,
                    "{HEADER}--- a/{name}{HEADER:#}\n{HEADER}+++ b/{name}{HEADER:#}"
                )?;
                &mut file.insert((source.path.clone(), 0)).1
            }
        };
        let first = source.first_line - 1;
        let diff = Diff::new(&source.text, edited);
        for hunk in diff.hunks() {
            let (before, after) = (hunk.before(), hunk.after());
            let start = (first + after.start).saturating_add_signed(*shift);
            let (old, new) = (
                range(first + before.start, before.len()),
                range(start, after.len()),
            );
            writeln!(out, "{HUNK}@@ -{old} +{new} @@{HUNK:#}")?;
            write!(out, "{}", hunk.lines(""))?;
        }
        let lines = |text: &str| isize::try_from(text.lines().count()).unwrap_or_default();
        *shift += lines(edited) - lines(&source.text);
        out.flush()
    }
}

/// Lines as the head of a hunk names them, after so many lines.
fn range(start: usize, len: usize) -> String {
    match len {
        1 => (start + 1).to_string(),
        0 => format!("{start},0"),
        len => format!("{},{len}", start + 1),
    }
}
