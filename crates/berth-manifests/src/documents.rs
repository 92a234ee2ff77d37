//! The documents of files, folders and standard input, one at a time: a stream of any length takes no more memory than
//! its largest document.

use std::{
    fmt, fs,
    io::{self, BufRead, BufReader, Read},
    mem,
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

use chunk::{Chunk, is_marker};

mod chunk;

/// A document has so many bytes at most: bad input should not fill the memory.
const MAX_BYTES: usize = 32 << 20;

/// Why documents cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system does not give it.
    #[error("{name}: {source}; check the path and its permissions{}", hint(name))]
    Unreadable {
        /// The file or folder.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// A folder without manifests.
    #[error(
        "{name}: the folder has no manifest: -f takes its .yaml, .yml and .json files, with -R those of its folders, too"
    )]
    Empty {
        /// The folder.
        name: String,
    },
    /// It is no text.
    #[error("{name}:{line}: not UTF-8, so no manifest: leave the file out, or save it as UTF-8")]
    NotUtf8 {
        /// The file.
        name: String,
        /// The line where the document begins.
        line: usize,
    },
    /// One document is larger than any that Kubernetes stores.
    #[error("{name}:{line}: a document of more than 32 MiB: split it, a List into its items")]
    TooLarge {
        /// The file.
        name: String,
        /// The line where the document begins.
        line: usize,
    },
}

fn hint(name: &str) -> &'static str {
    if name.contains('\\') {
        " (is it a Windows path? write / for \\)"
    } else {
        ""
    }
}

/// Where documents come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// The text of a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Document {
    /// The text, the line that begins it and the comments before it included.
    pub text: String,
    /// Its first line, counted from 1.
    pub line: usize,
}

/// A path as sources: `-` is standard input, a folder its manifests in the order of their names.
///
/// What cannot be read is an error in its place, beside the others.
#[must_use]
pub fn sources(path: &Path, depth: Depth) -> Vec<Result<Source, Error>> {
    if path == Path::new("-") {
        return vec![Ok(Source::Stdin)];
    }
    if !path.is_dir() {
        return vec![Ok(Source::File(path.to_owned()))];
    }
    let depth = match depth {
        Depth::Folder => 1,
        Depth::All => usize::MAX,
    };
    let walk = WalkDir::new(path).follow_links(true).max_depth(depth);
    let entries = walk.sort_by_file_name().into_iter();
    let visible = |entry: &walkdir::DirEntry| entry.depth() == 0 || !is_hidden(entry.path());
    let sources: Vec<_> = entries
        .filter_entry(visible)
        .filter_map(|entry| match entry {
            Ok(entry) if entry.file_type().is_file() && is_manifest(entry.path()) => {
                Some(Ok(Source::File(entry.into_path())))
            }
            Ok(_) => None,
            Err(error) => {
                let name = error.path().unwrap_or(path).display().to_string();
                let source = error.into();
                Some(Err(Error::Unreadable { name, source }))
            }
        })
        .collect();
    if sources.is_empty() {
        let name = path.display().to_string();
        return vec![Err(Error::Empty { name })];
    }
    sources
}

/// How far down a folder is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Depth {
    /// Its own files.
    Folder,
    /// Those of its folders, too.
    All,
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|it| it.to_str());
    matches!(extension, Some("yaml" | "yml" | "json"))
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("-"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Source {
    /// Its documents.
    pub fn documents(&self) -> Result<Documents<Box<dyn BufRead>>, Error> {
        let reader: Box<dyn BufRead> = match self {
            Self::Stdin => Box::new(io::stdin().lock()),
            Self::File(path) => {
                let file = fs::File::open(path).map_err(|source| Error::Unreadable {
                    name: self.to_string(),
                    source,
                })?;
                Box::new(BufReader::new(file))
            }
        };
        Ok(Documents::new(self.to_string(), reader))
    }
}

/// The documents of one source.
#[derive(Debug)]
pub struct Documents<R> {
    name: String,
    reader: R,
    /// The line that begins the next document.
    ahead: Vec<u8>,
    /// The line that comes next, counted from 1.
    line: usize,
    ended: bool,
}

impl<R: BufRead> Documents<R> {
    /// The documents of a text; the name is for errors.
    pub const fn new(name: String, reader: R) -> Self {
        Self {
            name,
            reader,
            ahead: Vec::new(),
            line: 1,
            ended: false,
        }
    }

    /// The bytes up to the next document; none at the end.
    fn chunk(&mut self) -> Result<Vec<u8>, Error> {
        let mut chunk = Chunk::default();
        chunk.push(&mem::take(&mut self.ahead));
        loop {
            let room = MAX_BYTES.saturating_sub(chunk.bytes.len());
            let mut line = Vec::new();
            let mut bounded = self.reader.by_ref().take(room as u64 + 1);
            let read = bounded.read_until(b'\n', &mut line);
            let read = read.map_err(|source| Error::Unreadable {
                name: self.name.clone(),
                source,
            })?;
            if read > room {
                return Err(Error::TooLarge {
                    name: self.name.clone(),
                    line: self.line,
                });
            }
            if read == 0 {
                return Ok(chunk.bytes);
            }
            if chunk.ends_before(&line) {
                self.ahead = line;
                return Ok(chunk.bytes);
            }
            chunk.push(&line);
            if is_marker(&line, b"...") {
                return Ok(chunk.bytes);
            }
        }
    }

    fn document(&mut self) -> Result<Option<Document>, Error> {
        let bytes = self.chunk()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let line = self.line;
        let text = String::from_utf8(bytes).map_err(|_| Error::NotUtf8 {
            name: self.name.clone(),
            line,
        })?;
        self.line += text.matches('\n').count();
        Ok(Some(Document { text, line }))
    }
}

impl<R: BufRead> Iterator for Documents<R> {
    type Item = Result<Document, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let document = self.document().transpose();
        self.ended = !matches!(document, Some(Ok(_)));
        document
    }
}

#[cfg(test)]
mod tests;
