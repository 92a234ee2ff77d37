//! Golden cases of a table: a Pod in a file, and what is expected of it. They are found in folders, read strictly, and
//! rewritten where what was found is what is to be expected from now on.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use crate::{
    diagnostic::{Diagnostic, SourceText},
    files::{self, Depth, Links, Located},
    yaml::{self, Node},
};

mod decode;
mod expectation;
mod rewrite;

pub use expectation::{Case, FIELDS};

/// A folder's own table.
pub const TABLE_FILE: &str = "table.yaml";
/// A folder's own table, of several files.
pub const TABLE_FOLDER: &str = "table";

/// A case and its file.
#[derive(Clone, Debug)]
pub struct CaseFile {
    /// The file.
    pub source: SourceText,
    /// The case.
    pub case: Case,
    root: Node,
}

/// Why there is no case in a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read or written.
    #[error(transparent)]
    File(files::Error),
    /// A folder without cases.
    #[error("{}: no case in the folder; put files NAME.yaml with pod: and expect: there", _0.display())]
    Empty(PathBuf),
    /// It is not of a case's shape.
    #[error("{0}")]
    Invalid(Box<Diagnostic>),
    /// What it expects cannot be rewritten in its text.
    #[error("{}: cannot be rewritten; write expect: as a block, not in braces, and try again", _0.display())]
    Rewrite(PathBuf),
}

/// What a file holds.
enum Content {
    Case(Box<CaseFile>),
    /// A manifest, with what is to be said of it where no case names it.
    Manifest(PathBuf, Box<Diagnostic>),
}

/// What the files at a path hold.
#[derive(Default)]
struct Contents {
    cases: Vec<CaseFile>,
    /// The manifests, each with what is to be said of it where no case names it.
    manifests: Vec<(PathBuf, Box<Diagnostic>)>,
    errors: Vec<Error>,
}

/// Every case at a path, a file or a folder and those in it, by name; and what is wrong with the others. Manifests there
/// are those of a table, or cases name them.
#[must_use]
pub fn read(path: &Path, tables: &[PathBuf]) -> (Vec<CaseFile>, Vec<Error>) {
    let mut named: HashSet<PathBuf> = tables.iter().flat_map(fs::canonicalize).collect();
    let mut contents = Contents::default();
    for file in files_at(path) {
        contents.add(file, &mut named);
    }
    let Contents {
        cases,
        mut manifests,
        mut errors,
    } = contents;
    manifests.retain(|(path, _)| {
        let path = fs::canonicalize(path).unwrap_or_default();
        !path.ancestors().any(|part| named.contains(part))
    });
    errors.extend(manifests.into_iter().map(|(_, it)| Error::from(it)));
    if cases.is_empty() && errors.is_empty() {
        errors.push(Error::Empty(path.to_owned()));
    }
    (cases, errors)
}

impl Contents {
    fn add(&mut self, file: Result<Located, files::Error>, named: &mut HashSet<PathBuf>) {
        let content = file.and_then(|file| file.read()).map_err(Error::from);
        match content.and_then(|source| decode::decode(source, named)) {
            Ok(Content::Case(case)) => self.cases.push(*case),
            Ok(Content::Manifest(path, diagnostic)) => self.manifests.push((path, diagnostic)),
            Err(error) => self.errors.push(error),
        }
    }
}

/// The files that may be cases: not those of a table.
fn files_at(path: &Path) -> Vec<Result<Located, files::Error>> {
    let located = Located::from(path);
    if !located.is_folder() {
        return vec![Ok(located)];
    }
    let mut files = located.manifests(Depth::All, Links::ToFiles);
    files.retain(|file| {
        let file = file.as_ref().map(|file| &*file.path);
        !file.is_ok_and(|file| is_of_table(file.strip_prefix(path).unwrap_or(file)))
    });
    files
}

fn is_of_table(path: &Path) -> bool {
    let is_table = |part: &OsStr| part == TABLE_FOLDER || part == TABLE_FILE;
    path.iter().any(is_table)
}

/// The table of a case: that of its own folder or of the nearest above, as far up as the path was written.
#[must_use]
pub fn table_near(case: &Path) -> Option<PathBuf> {
    let folders = case.ancestors().skip(1);
    let tables = folders.flat_map(|folder| [folder.join(TABLE_FILE), folder.join(TABLE_FOLDER)]);
    tables.into_iter().find(|path| path.exists())
}

/// What is expected or found as YAML, in the order of [`FIELDS`].
#[must_use]
pub fn written(fields: &Map<String, Value>) -> String {
    let field = |name: &&str| {
        let value = fields.get(*name)?.clone();
        Some(yaml::write(&json!({*name: value})))
    };
    FIELDS.iter().filter_map(field).collect()
}

impl CaseFile {
    /// Expects what was found. The rest of the file stays as it is.
    pub fn rewrite(&self, found: &Map<String, Value>) -> Result<(), Error> {
        let path = &self.source.path;
        let text = rewrite::rewrite(&self.source.text, &self.root, found)
            .ok_or_else(|| Error::Rewrite(path.clone()))?;
        fs::write(path, text).map_err(|error| files::Error::unreadable(path)(error).into())
    }
}

impl From<files::Error> for Error {
    fn from(error: files::Error) -> Self {
        match error {
            files::Error::Empty { path } => Self::Empty(path),
            other => Self::File(other),
        }
    }
}

impl From<Box<Diagnostic>> for Error {
    fn from(diagnostic: Box<Diagnostic>) -> Self {
        Self::Invalid(diagnostic)
    }
}

#[cfg(test)]
mod tests;
