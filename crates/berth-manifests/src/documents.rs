//! The documents of files, folders and standard input, one at a time: a stream of any length takes no more memory than
//! its largest document.

use std::{
    fmt, fs,
    io::{self, BufRead, BufReader, Read},
    mem,
    path::{Path, PathBuf},
};

use crate::{
    diagnostic::SourceText,
    files::{self, Depth, Error, Links, Located, MAX_BYTES},
};
use chunk::{Chunk, is_marker};

mod chunk;

/// Where documents come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// A path as sources: `-` is standard input, a folder its manifests in the order of their names.
///
/// What cannot be read is an error in its place, beside the others.
#[must_use]
pub fn sources(path: &Path, depth: Depth) -> Vec<Result<Source, Error>> {
    if path == Path::new("-") {
        return vec![Ok(Source::Stdin)];
    }
    let located = Located::from(path);
    if !located.is_folder() {
        return vec![Ok(Source::File(path.to_owned()))];
    }
    let manifests = located.manifests(depth, Links::ToAll).into_iter();
    manifests.map(|file| Ok(Source::File(file?.path))).collect()
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}

impl Source {
    /// Its path; `-` is standard input.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Stdin => Path::new("-"),
            Self::File(path) => path,
        }
    }

    /// Opens it. Of what can be read once, as a pipe, its beginning is held: [`MAX_BYTES`] at most.
    pub fn open(self) -> Result<Opened, Error> {
        let path = self.path();
        let once: Box<dyn Read> = match &self {
            Self::Stdin => Box::new(io::stdin().lock()),
            Self::File(path) => {
                let file = fs::File::open(path).map_err(Error::unreadable(path))?;
                if file.metadata().is_ok_and(|it| it.is_file()) {
                    let content = Content::File;
                    return Ok(Opened {
                        source: self,
                        content,
                    });
                }
                Box::new(file)
            }
        };
        let mut head = Vec::new();
        let mut rest = once.take(MAX_BYTES as u64);
        rest.read_to_end(&mut head)
            .map_err(Error::unreadable(path))?;
        rest.set_limit(u64::MAX);
        Ok(Opened {
            content: Content::Once { head, rest },
            source: self,
        })
    }
}

/// A source that is open: its documents can be looked at before they are read.
pub struct Opened {
    source: Source,
    content: Content,
}

enum Content {
    /// It can be opened again.
    File,
    /// It can be read once, and so its beginning is held.
    Once {
        head: Vec<u8>,
        rest: io::Take<Box<dyn Read>>,
    },
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Opened").field(&self.source).finish()
    }
}

impl Opened {
    /// What is open.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Its documents, without taking them: those of the beginning that is held, where it can be read once.
    pub fn ahead(&self) -> Result<Documents<Box<dyn BufRead + '_>>, Error> {
        let reader: Box<dyn BufRead> = match &self.content {
            Content::File => self.source.file()?,
            Content::Once { head, .. } => Box::new(&**head),
        };
        Ok(Documents::new(self.source.path(), reader))
    }

    /// Its documents.
    pub fn documents(self) -> Result<Documents<Box<dyn BufRead>>, Error> {
        let reader: Box<dyn BufRead> = match self.content {
            Content::File => self.source.file()?,
            Content::Once { head, rest } => {
                Box::new(BufReader::new(io::Cursor::new(head).chain(rest)))
            }
        };
        Ok(Documents::new(self.source.path(), reader))
    }
}

impl Source {
    fn file(&self) -> Result<Box<dyn BufRead>, Error> {
        let path = self.path();
        let file = fs::File::open(path).map_err(Error::unreadable(path))?;
        Ok(Box::new(BufReader::new(file)))
    }
}

/// The documents of one source, each with the line that begins it and the comments before it.
#[derive(Debug)]
pub struct Documents<R> {
    path: PathBuf,
    reader: R,
    /// The line that begins the next document.
    ahead: Vec<u8>,
    /// The line that comes next, counted from 1.
    line: usize,
    ended: bool,
}

impl<R: BufRead> Documents<R> {
    /// The documents of a text; the path is for errors.
    pub fn new(path: &Path, reader: R) -> Self {
        Self {
            path: path.to_owned(),
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
            let read = read.map_err(Error::unreadable(&self.path))?;
            if read > room {
                return Err(Error::TooLarge {
                    path: self.path.clone(),
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

    fn document(&mut self) -> Result<Option<SourceText>, Error> {
        let bytes = self.chunk()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let text = files::text(&self.path, self.line, bytes)?;
        let document = SourceText {
            first_line: self.line,
            ..SourceText::new(&self.path, text)
        };
        self.line += document.text.matches('\n').count();
        Ok(Some(document))
    }
}

impl<R: BufRead> Iterator for Documents<R> {
    type Item = Result<SourceText, Error>;

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
