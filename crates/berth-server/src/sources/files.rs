//! The table from files, read again when they change.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use berth_core::view::View;
use berth_manifests::{
    diagnostic::SourceText,
    table_files::{Error, TableFiles},
};

use super::Publisher;
use crate::{
    metrics::Metrics,
    state::ServerState,
    watch::{self, Watch},
};

/// Why a table cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// There is none to begin with.
    #[error(transparent)]
    Table(#[from] Error),
    /// No thread.
    #[error("the table cannot be followed: {0}")]
    Thread(#[from] io::Error),
}

/// Puts the table of the files in force, and every later one until the watch is dropped.
pub fn follow(
    files: TableFiles,
    state: Arc<ServerState>,
    metrics: Arc<Metrics>,
    poll: Duration,
) -> Result<Watch, FollowError> {
    let mut read = files.read()?;
    let mut publisher = Publisher::new(state, metrics, files.compile(&read)?.into());
    let directories = directories(&files.paths);
    let reload = move || publisher.take(again(&files, &mut read));
    Ok(watch::follow(&directories, poll, reload)?)
}

/// The table of the files where they have changed since they were `read`.
fn again(files: &TableFiles, read: &mut Vec<SourceText>) -> Result<Option<View>, Error> {
    let now = files.read()?;
    if now == *read {
        return Ok(None);
    }
    let table = files.compile(&now)?;
    *read = now;
    Ok(Some(table.into()))
}

/// What to watch: the folders, and those of the files.
fn directories(paths: &[PathBuf]) -> Vec<PathBuf> {
    let (folders, files): (Vec<&Path>, Vec<&Path>) = paths
        .iter()
        .map(PathBuf::as_path)
        .partition(|path| path.is_dir());
    let mut directories: Vec<PathBuf> = folders.into_iter().map(Path::to_owned).collect();
    directories.extend(watch::directories(files));
    directories
}
