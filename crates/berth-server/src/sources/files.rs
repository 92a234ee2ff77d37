//! The table from files, read again when they change.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use berth_core::view::View;
use berth_manifests::{
    diagnostic::SourceText,
    table_files::{self, TableFiles},
};
use clap::{Args, builder::BoolishValueParser};

use super::Publisher;
use crate::{
    metrics::Metrics,
    state::ServerState,
    watch::{self, Watch},
};

/// The flags of a server's table, besides where it is.
#[derive(Args, Clone, Copy, Debug, Default)]
#[group(skip)]
#[command(next_help_heading = "Table")]
pub struct Options {
    /// Put a table without a WorkloadClass in force: every Pod that names a class is then denied. Without this flag, berth
    /// keeps the last table, or is not ready if there was none
    #[arg(
        long,
        env = "BERTH_ALLOW_EMPTY_TABLE",
        value_parser = BoolishValueParser::new(),
        help_heading = "Table"
    )]
    pub allow_empty_table: bool,
}

/// Why the files give no table.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// They cannot be read, or are invalid.
    #[error(transparent)]
    Table(#[from] table_files::Error),
    /// An upgrade, a redirection or an editor that was cut off leaves an empty file, and nobody wants that table.
    #[error(
        "--table {}: no WorkloadClass; write one there, or start berth with --allow-empty-table to deny every Pod that names a class",
        listed(_0)
    )]
    Empty(Vec<PathBuf>),
}

fn listed(paths: &[PathBuf]) -> String {
    let paths = paths.iter().map(|path| path.display().to_string());
    paths.collect::<Vec<_>>().join(",")
}

/// The files, and what was read when their table was put in force.
#[derive(Debug)]
struct Reader {
    files: TableFiles,
    options: Options,
    in_force: Option<Vec<SourceText>>,
}

/// Puts the table of the files in force, and every later one until the watch is dropped. As long as there is none, the
/// state says why.
pub fn follow(
    files: TableFiles,
    options: Options,
    state: Arc<ServerState>,
    metrics: Arc<Metrics>,
    poll: Duration,
) -> io::Result<Watch> {
    let panics = metrics.panics.clone();
    let mut publisher = Publisher::new(state, metrics);
    let paths = files.paths.clone();
    let mut reader = Reader {
        files,
        options,
        in_force: None,
    };
    watch::follow(paths, poll, panics, move || publisher.take(reader.read()))
}

impl Reader {
    /// The table of the files, unless it is in force.
    fn read(&mut self) -> Result<Option<View>, Error> {
        let read = self.files.read_regular()?;
        if self.in_force.as_ref() == Some(&read) {
            return Ok(None);
        }
        let table = self.files.compile(&read)?;
        if table.is_empty() && !self.options.allow_empty_table {
            return Err(Error::Empty(self.files.paths.clone()));
        }
        self.in_force = Some(read);
        Ok(Some(table.into()))
    }
}
