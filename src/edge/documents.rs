//! The documents of files, folders and standard input, one at a time: a stream of any length takes no more memory than
//! its largest document.

use std::{
    fmt, fs,
    io::{self, BufRead, BufReader, Read},
    mem,
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

/// A document has so many bytes at most: bad input should not fill the memory.
const MAX_BYTES: usize = 32 << 20;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

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

/// The lines of a document so far.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Whether there is more than comments, directives and a marker.
    has_content: bool,
    braces: Option<Braces>,
}

impl Chunk {
    /// Whether a line begins the next document: a marker does, and in a stream of JSON the next object.
    fn ends_before(&self, line: &[u8]) -> bool {
        let next_object =
            self.braces.as_ref().is_some_and(Braces::are_closed) && line.starts_with(b"{");
        self.has_content && (is_marker(line, b"---") || next_object)
    }

    fn push(&mut self, line: &[u8]) {
        let content = content(line);
        if !self.has_content && content.starts_with(b"{") {
            self.braces = Some(Braces::default());
        }
        self.has_content |= !content.is_empty();
        if let Some(braces) = &mut self.braces {
            braces.read(line);
        }
        self.bytes.extend_from_slice(line);
    }
}

/// A line without what is no content before the first of a document.
fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    let rest = if is_marker(line, b"---") {
        line.get(3..).unwrap_or_default()
    } else {
        line
    };
    let rest = rest.trim_ascii();
    if rest.starts_with(b"#") || line.starts_with(b"%") {
        b""
    } else {
        rest
    }
}

fn is_marker(line: &[u8], marker: &[u8]) -> bool {
    let rest = line.strip_prefix(marker);
    rest.is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
}

/// How deep in JSON a text is.
#[derive(Default)]
struct Braces {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Braces {
    fn read(&mut self, line: &[u8]) {
        for byte in line {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' if !self.in_string => self.depth += 1,
                b'}' if !self.in_string => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    const fn are_closed(&self) -> bool {
        self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<(usize, String)> {
        let documents = Documents::new("x".to_owned(), text.as_bytes());
        let pair = |document: Result<Document, Error>| {
            let document = document.unwrap();
            (document.line, document.text)
        };
        documents.map(pair).collect()
    }

    #[test]
    fn a_stream_is_split_where_a_document_begins() {
        for (text, expected) in [
            ("", vec![]),
            ("a: 1", vec![(1, "a: 1")]),
            (
                "---\na: 1\n---\nb: 2\n",
                vec![(1, "---\na: 1\n"), (3, "---\nb: 2\n")],
            ),
            (
                "# x\n%YAML 1.1\n---\n\na: 1\n--- # y\n---\nb",
                vec![(1, "# x\n%YAML 1.1\n---\n\na: 1\n"), (6, "--- # y\n---\nb")],
            ),
            (
                "a: |\n  ---\n---x: 1\n",
                vec![(1, "a: |\n  ---\n---x: 1\n")],
            ),
            (
                "--- {a: 1}\n---\tb\n...\nc",
                vec![(1, "--- {a: 1}\n"), (2, "---\tb\n...\n"), (4, "c")],
            ),
            (
                "{\"a\": \"}\\\"{\"}\n{\n \"b\": {\n}\n}\n{\"c\": 1}",
                vec![
                    (1, "{\"a\": \"}\\\"{\"}\n"),
                    (2, "{\n \"b\": {\n}\n}\n"),
                    (6, "{\"c\": 1}"),
                ],
            ),
            (
                "\u{feff}---\r\na: 1\r\n---\r\nb: 2\r\n",
                vec![(1, "\u{feff}---\r\na: 1\r\n"), (3, "---\r\nb: 2\r\n")],
            ),
        ] {
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(line, text)| (line, text.to_owned()))
                .collect();
            assert_eq!(split(text), expected, "{text}");
            assert_eq!(
                split(text)
                    .into_iter()
                    .map(|(_, text)| text)
                    .collect::<String>(),
                text
            );
        }
    }

    #[test]
    fn what_is_no_text_or_endless_is_an_error_and_the_end() {
        let binary = Documents::new("x".to_owned(), &b"a: 1\n---\n\xff\xfe\n---\nb: 1"[..]);
        let errors: Vec<_> = binary
            .filter_map(Result::err)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(
            errors,
            ["x:2: not UTF-8, so no manifest: leave the file out, or save it as UTF-8"]
        );
        let endless = BufReader::new(io::repeat(b'x'));
        let mut endless = Documents::new("x".to_owned(), endless);
        assert!(matches!(
            endless.next(),
            Some(Err(Error::TooLarge { line: 1, .. }))
        ));
        assert!(endless.next().is_none());
    }
}
