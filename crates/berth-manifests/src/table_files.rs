//! The table from files: read strictly, valid as a whole or not at all, read again when they change.

use std::path::{Path, PathBuf};

use crate::{
    diagnostic::{Diagnostic, SourceText},
    files::{self, Depth, Links, Located, Snapshot, consistently},
};
use berth_core::{
    manifest::Document,
    table::{AllocationTable, Settings, compile},
};

pub(crate) mod decode;
mod shape;

/// The files and folders that hold the manifests.
#[derive(Clone, Debug)]
pub struct TableFiles {
    /// As the operator named them.
    pub paths: Vec<PathBuf>,
    /// What is set beside the manifests.
    pub settings: Settings,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("--table {0}")]
    Unreadable(#[from] files::Error),
    /// What is wrong with the manifests, one diagnostic at least.
    #[error("the table is invalid:{}", listed(_0))]
    Invalid(Vec<Diagnostic>),
}

fn listed(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().fold(String::new(), |text, diagnostic| {
        text + "\n" + &diagnostic.to_string()
    })
}

impl TableFiles {
    /// Reads and compiles.
    pub fn load(&self) -> Result<AllocationTable, Error> {
        self.compile(&self.read()?)
    }

    /// The same, with the manifests from which it was compiled.
    pub fn load_with_documents(&self) -> Result<(Vec<Document>, AllocationTable), Error> {
        self.compile_documents(&self.read()?)
    }

    /// Reads every file, as they are at one moment.
    pub fn read(&self) -> Result<Vec<SourceText>, Error> {
        self.read_each(Located::read)
    }

    /// The same, but regular files alone: for who reads again and again, and cannot wait for the writer of a pipe.
    pub fn read_regular(&self) -> Result<Vec<SourceText>, Error> {
        self.read_each(Located::read_regular)
    }

    fn read_each(&self, one: ReadOne) -> Result<Vec<SourceText>, Error> {
        consistently(|snapshot| {
            let mut files = Vec::new();
            for path in &self.paths {
                files.extend(read(snapshot, path, one)?);
            }
            Ok(files)
        })
    }

    /// The table of the files' content.
    pub fn compile(&self, files: &[SourceText]) -> Result<AllocationTable, Error> {
        let (_, table) = self.compile_documents(files)?;
        Ok(table)
    }

    fn compile_documents(
        &self,
        files: &[SourceText],
    ) -> Result<(Vec<Document>, AllocationTable), Error> {
        let decoded = decode::decode(files).map_err(Error::Invalid)?;
        let documents = decoded.documents();
        let (table, problems) = compile(&documents, &self.settings);
        if problems.is_empty() {
            return Ok((documents, table));
        }
        let diagnostics = problems.into_iter().map(|it| decoded.diagnostic(it));
        Err(Error::Invalid(diagnostics.collect()))
    }
}

/// How one file is read.
type ReadOne = fn(&Located) -> Result<SourceText, files::Error>;

/// A file, or the manifests of a folder in the order of their names; not those of folders in it.
fn read(
    snapshot: &mut Snapshot,
    path: &Path,
    one: ReadOne,
) -> Result<Vec<SourceText>, files::Error> {
    let located = snapshot.locate(path)?;
    if !located.is_folder() {
        return Ok(vec![one(&located)?]);
    }
    let manifests = located.manifests(Depth::Folder, Links::ToAll).into_iter();
    manifests.map(|file| one(&file?)).collect()
}

#[cfg(test)]
mod tests;
