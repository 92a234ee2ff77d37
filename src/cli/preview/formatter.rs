//! The formats in which a preview is printed.

use std::io;

use super::shown::Shown;
use berth_manifests::{diagnostic::Diagnostic, documents::Source};

mod diff;
mod github;
mod json;
mod table;
mod text;

pub(super) use diff::Diff;
pub(super) use github::Github;
pub(super) use json::{Json, JsonPatch};
pub(super) use table::Table;
pub(super) use text::Text;

/// A format: what is printed of each document, as it comes.
pub(super) trait Formatter {
    /// The documents of another source follow.
    fn source(&mut self, _source: &Source) -> io::Result<()> {
        Ok(())
    }

    /// Prints a document.
    fn document(&mut self, shown: &Shown<'_>) -> io::Result<()>;

    /// Prints that a source cannot be read, where the data says so.
    fn unreadable(&mut self, _diagnostic: &Diagnostic) -> io::Result<()> {
        Ok(())
    }

    /// Prints what is held back, before something is said on standard error.
    fn flush(&mut self) -> io::Result<()>;

    /// Prints what comes last.
    fn end(&mut self) -> io::Result<()> {
        self.flush()
    }
}
