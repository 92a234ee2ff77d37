//! Golden cases from files: one a file, found in a folder, read strictly, and rewritten where what was found is what
//! is to be expected from now on.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use crate::case::{Case, FIELDS};
use crate::{
    table_files::{File, Finding},
    yaml::{self, Node},
};

mod decode;
mod rewrite;

/// A folder's own table.
pub const TABLE_FILE: &str = "table.yaml";
/// A folder's own table, of several files.
pub const TABLE_FOLDER: &str = "table";

/// A case and its file.
#[derive(Clone, Debug)]
pub struct CaseFile {
    /// The file.
    pub file: File,
    /// The case.
    pub case: Case,
    root: Node,
}

/// Why there is no case in a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{}: {source}; check the path and its permissions", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no text.
    #[error("{}: not UTF-8, and so no YAML; save it as UTF-8", _0.display())]
    NotText(PathBuf),
    /// There is none.
    #[error("{}: no case here: put files NAME.yaml with pod: and expect: there", _0.display())]
    Empty(PathBuf),
    /// It is not of a case's shape.
    #[error("{0}")]
    Misshapen(Box<Finding>),
    /// What it expects cannot be rewritten in its text.
    #[error("{}: cannot be rewritten: write expect: as a block, not in braces, and try again", _0.display())]
    Rewrite(PathBuf),
}

/// What a file holds.
enum Content {
    Case(Box<CaseFile>),
    /// A manifest, which should be one that a case names.
    Manifest(Finding),
}

/// Every case at a path, a file or a folder and those in it, by name; and what is wrong with the others. Manifests there
/// are those of a table, or cases name them.
#[must_use]
pub fn read(path: &Path, tables: &[PathBuf]) -> (Vec<CaseFile>, Vec<Error>) {
    let mut files = Vec::new();
    if let Err(source) = walk(path, &mut files) {
        let path = path.to_owned();
        return (Vec::new(), vec![Error::Unreadable { path, source }]);
    }
    let (mut cases, mut manifests, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let mut named: HashSet<PathBuf> = tables.iter().flat_map(fs::canonicalize).collect();
    for file in &files {
        match content(file, &mut named) {
            Ok(Content::Case(case)) => cases.push(*case),
            Ok(Content::Manifest(finding)) => manifests.push(finding),
            Err(error) => errors.push(error),
        }
    }
    manifests.retain(|finding| {
        let path = fs::canonicalize(&finding.file.path).unwrap_or_default();
        !path.ancestors().any(|part| named.contains(part))
    });
    let manifests = manifests.into_iter().map(Error::from);
    errors.extend(manifests);
    if cases.is_empty() && errors.is_empty() {
        errors.push(Error::Empty(path.to_owned()));
    }
    (cases, errors)
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
        let path = &self.file.path;
        let text = rewrite::rewrite(&self.file.text, &self.root, found)
            .ok_or_else(|| Error::Rewrite(path.clone()))?;
        fs::write(path, text).map_err(unreadable(path))
    }
}

/// The case files at a path. A link to a folder is not followed: it may lead back.
fn walk(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
    let mut entries = entries.collect::<io::Result<Vec<PathBuf>>>()?;
    entries.sort();
    for entry in entries.iter().filter(|entry| is_looked_at(entry)) {
        walk(entry, files)?;
    }
    Ok(())
}

fn is_looked_at(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with('.') || name == TABLE_FILE || name == TABLE_FOLDER {
        return false;
    }
    if path.is_dir() {
        return !path.is_symlink();
    }
    path.extension()
        .is_some_and(|it| it == "yaml" || it == "yml")
}

fn content(path: &Path, named: &mut HashSet<PathBuf>) -> Result<Content, Error> {
    let file = load(path)?;
    decode::decode(file, named)
}

fn load(path: &Path) -> Result<File, Error> {
    let text = fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => Error::NotText(path.to_owned()),
        _ => unreadable(path)(source),
    })?;
    Ok(File {
        path: path.to_owned(),
        text: text.into(),
    })
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Unreadable { path, source }
}

impl From<Finding> for Error {
    fn from(finding: Finding) -> Self {
        Self::Misshapen(Box::new(finding))
    }
}

#[cfg(test)]
mod tests;
