//! The table from files: read strictly, refused whole, read again when they change.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::files::{Snapshot, consistently};
use crate::yaml::{self, Place};
use berth_core::table::{AllocationTable, Settings, compile};

pub(crate) mod decode;

/// The files and folders that hold the manifests.
#[derive(Clone, Debug)]
pub struct TableFiles {
    /// As the operator named them.
    pub paths: Vec<PathBuf>,
    /// What is set beside the manifests.
    pub settings: Settings,
}

/// A file as it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// Its path, as the operator knows it.
    pub path: PathBuf,
    /// Its content.
    pub text: Arc<str>,
}

/// Something wrong in a file.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The file.
    pub file: File,
    /// Where in its text.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to change.
    pub help: String,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path cannot be read.
    #[error("--table {}: {source}; check the path and its permissions", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is no text.
    #[error("--table {}: not UTF-8, and so no YAML; save it as UTF-8", _0.display())]
    NotText(PathBuf),
    /// A folder without manifests.
    #[error("--table {}: the folder has no manifest: put .yaml, .yml or .json files there", _0.display())]
    Empty(PathBuf),
    /// Findings, at least one.
    #[error("the table is refused:{}", listed(_0))]
    Refused(Vec<Finding>),
}

fn listed(findings: &[Finding]) -> String {
    findings.iter().fold(String::new(), |text, finding| {
        text + "\n" + &finding.to_string()
    })
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_and_column();
        let path = self.file.path.display();
        write!(f, "{path}:{line}:{column}: {}; {}", self.message, self.help)
    }
}

impl Finding {
    /// The text is no YAML.
    #[must_use]
    pub fn not_yaml(file: &File, error: yaml::Error) -> Self {
        Self {
            file: file.clone(),
            help: error.help(&file.text).to_owned(),
            place: error.place,
            message: error.message,
        }
    }

    /// Where it begins: line and column, both from 1, the column in characters.
    #[must_use]
    pub fn line_and_column(&self) -> (usize, usize) {
        line_and_column(&self.file.text, self.place.start)
    }

    /// Where it ends: line and column after its last character.
    #[must_use]
    pub fn end(&self) -> (usize, usize) {
        line_and_column(&self.file.text, self.place.end)
    }
}

pub(crate) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or_default();
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default();
    (line, column.chars().count() + 1)
}

impl TableFiles {
    /// Reads and compiles.
    pub fn load(&self) -> Result<AllocationTable, Error> {
        self.compile(&self.read()?)
    }

    /// Reads every file, as they are at one moment.
    pub fn read(&self) -> Result<Vec<File>, Error> {
        consistently(|snapshot| {
            let mut files = Vec::new();
            for path in &self.paths {
                files.extend(read(snapshot, path)?);
            }
            Ok(files)
        })
    }

    /// The table of the files' content.
    pub fn compile(&self, files: &[File]) -> Result<AllocationTable, Error> {
        let decoded = decode::decode(files).map_err(Error::Refused)?;
        let (table, problems) = compile(&decoded.documents(), &self.settings);
        if problems.is_empty() {
            return Ok(table);
        }
        let findings = problems.into_iter().map(|problem| decoded.finding(problem));
        Err(Error::Refused(findings.collect()))
    }
}

/// A file, or the manifests of a folder in the order of their names.
fn read(snapshot: &mut Snapshot, path: &Path) -> Result<Vec<File>, Error> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| match source.kind() {
            io::ErrorKind::InvalidData => Error::NotText(path),
            _ => Error::Unreadable { path, source },
        }
    };
    let place = snapshot.resolve(path).map_err(unreadable(path))?;
    if !place.is_dir() {
        let text = fs::read_to_string(&place).map_err(unreadable(path))?;
        return Ok(vec![File {
            path: path.to_owned(),
            text: text.into(),
        }]);
    }
    let place = snapshot.volume(&place).map_err(unreadable(path))?;
    let mut names = manifests(&place).map_err(unreadable(path))?;
    names.sort_unstable();
    if names.is_empty() {
        return Err(Error::Empty(path.to_owned()));
    }
    let file = |name: String| {
        let text = fs::read_to_string(place.join(&name)).map_err(unreadable(&path.join(&name)))?;
        Ok(File {
            path: path.join(name),
            text: text.into(),
        })
    };
    names.into_iter().map(file).collect()
}

/// The names of a folder's manifests. Links are followed; folders in it are not.
fn manifests(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let extension = Path::new(&name).extension().and_then(|it| it.to_str());
        let is_manifest = matches!(extension, Some("yaml" | "yml" | "json"));
        if is_manifest && !name.starts_with('.') && !entry.path().is_dir() {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
