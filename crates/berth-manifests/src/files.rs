//! Files and folders: one reader for tables, manifests and cases, and files as they stand at one moment.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use walkdir::{DirEntry, WalkDir};

use crate::diagnostic::{Place, SourceText};

/// The link that a Secret or ConfigMap volume swaps.
const DATA: &str = "..data";

/// A text has so many bytes at most: wrong input should not fill the memory.
pub const MAX_BYTES: usize = 32 << 20;

/// Why a file or folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system does not give it.
    #[error("{}: {}; check the path and its permissions{}", path.display(), plain(source), hint(path))]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A folder without manifests.
    #[error("{}: no manifest in the folder; put .yaml, .yml or .json files there", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// The bytes are no text.
    #[error("{0}: not UTF-8, and so not YAML; save the file as UTF-8, or leave it out")]
    NotUtf8(
        /// The first such byte.
        Box<Place>,
    ),
    /// There is more than [`MAX_BYTES`].
    #[error("{}:{line}: more than 32 MiB; split it into several files, or a List into its items", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The line where the text begins, counted from 1.
        line: usize,
    },
}

/// How far down a folder is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Depth {
    /// Its own files.
    Folder,
    /// Those of its folders, too.
    All,
}

/// Which links in a folder are followed. One to a file always is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Links {
    /// Those to folders, too. One that leads back is an error.
    ToAll,
    /// Those to folders are left out.
    ToFiles,
}

/// A file or folder.
#[derive(Clone, Debug)]
pub struct Located {
    /// Its path, as it was named.
    pub path: PathBuf,
    /// Where it is read from: in a snapshot, another path.
    place: PathBuf,
}

/// Where files stand at one moment: inside what the nearest `..data` above each points to.
///
/// Files that are resolved through one reading of the link belong together. Without such a link, the path itself.
#[derive(Debug, Default)]
pub struct Snapshot {
    resolved: Vec<(PathBuf, PathBuf)>,
}

/// Reads through a snapshot, and again where a volume was swapped meanwhile and took its files away.
pub fn consistently<T, E>(mut read: impl FnMut(&mut Snapshot) -> Result<T, E>) -> Result<T, E> {
    loop {
        let mut snapshot = Snapshot::default();
        match read(&mut snapshot) {
            Err(_) if snapshot.is_stale() => {}
            result => return result,
        }
    }
}

/// The text of bytes that begin at a line of a file.
pub(crate) fn text(path: &Path, line: usize, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::NotUtf8(Box::new(not_utf8(path, line, error.as_bytes(), at)))
    })
}

/// The place of a byte that is not UTF-8: only its line is kept.
fn not_utf8(path: &Path, first_line: usize, bytes: &[u8], at: usize) -> Place {
    let (valid, rest) = bytes.split_at(at);
    let mut lines = valid.rsplit(|byte| *byte == b'\n');
    let before = lines.next().unwrap_or_default();
    let rest = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let (before, rest) = (
        String::from_utf8_lossy(before),
        String::from_utf8_lossy(rest),
    );
    let wrong = rest.chars().next().map_or(0, char::len_utf8);
    Place {
        span: before.len()..before.len() + wrong,
        source: SourceText {
            first_line: first_line + lines.count(),
            ..SourceText::new(path, format!("{before}{rest}"))
        },
    }
}

/// Opens a regular file, and nothing else: to open a pipe waits for a writer, and to read one may wait for ever.
pub fn regular(path: &Path) -> io::Result<fs::File> {
    // a pipe that is opened in this way does not wait; on a regular file it means nothing
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = fs::File::options();
    let file = options.read(true).custom_flags(nonblocking).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    Err(match kind {
        kind if kind.is_dir() => io::ErrorKind::IsADirectory.into(),
        kind if kind.is_fifo() => io::Error::other("it is a named pipe, not a file"),
        _ => io::Error::other("it is a device or a socket, not a file"),
    })
}

/// Reads so many bytes at most. None where there are more.
pub fn bounded(file: fs::File, max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= max).then_some(bytes))
}

/// What the system says, without its number.
#[must_use]
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split_once(" (os error ").map(|(words, _)| words);
    words.unwrap_or(&text).to_owned()
}

fn hint(path: &Path) -> &'static str {
    if path.as_os_str().as_encoded_bytes().contains(&b'\\') {
        " (is it a Windows path? write / for \\)"
    } else {
        ""
    }
}

impl Error {
    /// The system does not give a path.
    pub(crate) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Unreadable { path, source }
    }
}

impl From<&Path> for Located {
    fn from(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            place: path.to_owned(),
        }
    }
}

impl Located {
    /// Whether it is a folder, or a link to one.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.place.is_dir()
    }

    /// The text of a file, or of what opens as one: a pipe, a device.
    pub fn read(&self) -> Result<SourceText, Error> {
        self.text(fs::File::open(&self.place))
    }

    /// The text of a regular file. Nothing else can stop or delay the reading of one.
    pub fn read_regular(&self) -> Result<SourceText, Error> {
        self.text(regular(&self.place))
    }

    fn text(&self, file: io::Result<fs::File>) -> Result<SourceText, Error> {
        let read = file.and_then(|file| bounded(file, MAX_BYTES));
        let read = read.map_err(Error::unreadable(&self.path))?;
        let Some(bytes) = read else {
            return Err(Error::TooLarge {
                path: self.path.clone(),
                line: 1,
            });
        };
        Ok(SourceText::new(&self.path, text(&self.path, 1, bytes)?))
    }

    /// The manifests of a folder in the order of their names, byte by byte: what ends with .yaml, .yml or .json and is
    /// not hidden. What cannot be read is an error in its place, beside the others.
    #[must_use]
    pub fn manifests(&self, depth: Depth, links: Links) -> Vec<Result<Self, Error>> {
        let depth = match depth {
            Depth::Folder => 1,
            Depth::All => usize::MAX,
        };
        let walk = WalkDir::new(&self.place).max_depth(depth);
        let walk = walk.follow_links(links == Links::ToAll).sort_by_file_name();
        let visible = |entry: &DirEntry| entry.depth() == 0 || !is_hidden(entry.path());
        let entries = walk.into_iter().filter_entry(visible);
        let manifests = entries.filter_map(|entry| match entry {
            Ok(entry) => is_manifest(&entry).then(|| Ok(self.below(entry.path()))),
            Err(error) => is_meant(&error).then(|| Err(self.unreadable(error))),
        });
        let manifests: Vec<_> = manifests.collect();
        if manifests.is_empty() {
            let path = self.path.clone();
            return vec![Err(Error::Empty { path })];
        }
        manifests
    }

    /// What is in the folder, by the folder's own name.
    fn below(&self, place: &Path) -> Self {
        let path = match place.strip_prefix(&self.place) {
            Ok(rest) if !rest.as_os_str().is_empty() => self.path.join(rest),
            _ => self.path.clone(),
        };
        Self {
            path,
            place: place.to_owned(),
        }
    }

    fn unreadable(&self, error: walkdir::Error) -> Error {
        let path = error
            .path()
            .map_or_else(|| self.path.clone(), |place| self.below(place).path);
        let leads_back = || io::Error::other("the link leads back to a folder above it");
        Error::Unreadable {
            path,
            source: error.into_io_error().unwrap_or_else(leads_back),
        }
    }
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

fn is_named_as_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|it| it.to_str());
    matches!(extension, Some("yaml" | "yml" | "json"))
}

fn is_manifest(entry: &DirEntry) -> bool {
    let leads_to_file = || entry.path_is_symlink() && entry.path().is_file();
    is_named_as_manifest(entry.path()) && (entry.file_type().is_file() || leads_to_file())
}

/// Whether an error is about what would be read. A link that leads nowhere and has another name is not: an editor's
/// lock, say.
fn is_meant(error: &walkdir::Error) -> bool {
    let is_other = |path: &Path| {
        let leads_nowhere = path.is_symlink() && error.loop_ancestor().is_none();
        is_hidden(path) || (leads_nowhere && !is_named_as_manifest(path))
    };
    error.depth() == 0 || !error.path().is_some_and(is_other)
}

impl Snapshot {
    /// A file in this snapshot, or a folder whose files are of this snapshot.
    pub fn locate(&mut self, path: &Path) -> Result<Located, Error> {
        let place = self.resolve(path).and_then(|place| {
            if place.is_dir() {
                self.volume(&place)
            } else {
                Ok(place)
            }
        });
        Ok(Located {
            path: path.to_owned(),
            place: place.map_err(Error::unreadable(path))?,
        })
    }

    /// The place of a file in this snapshot.
    pub fn resolve(&mut self, path: &Path) -> io::Result<PathBuf> {
        for volume in path.ancestors().skip(1) {
            let within = path.strip_prefix(volume).unwrap_or(path);
            let first = within.components().next().map(|first| volume.join(first));
            let link = first.and_then(|first| fs::read_link(first).ok());
            if link.is_some_and(|link| link.starts_with(DATA)) {
                return Ok(self.volume(volume)?.join(within));
            }
        }
        Ok(path.to_owned())
    }

    /// The place of a folder's files in this snapshot.
    fn volume(&mut self, folder: &Path) -> io::Result<PathBuf> {
        let link = folder.join(DATA);
        if let Some((_, target)) = self.resolved.iter().find(|(known, _)| *known == link) {
            return Ok(folder.join(target));
        }
        if !link.is_symlink() {
            return Ok(folder.to_owned());
        }
        let target = fs::read_link(&link)?;
        let place = folder.join(&target);
        self.resolved.push((link, target));
        Ok(place)
    }

    fn is_stale(&self) -> bool {
        let moved = |(link, target): &(PathBuf, PathBuf)| {
            fs::read_link(link).is_ok_and(|now| now != *target)
        };
        self.resolved.iter().any(moved)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder with these files, of which those after `->` are links.
    fn folder(entries: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for entry in entries {
            let (name, target) = entry.split_once(" -> ").unwrap_or((entry, ""));
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if target.is_empty() {
                fs::write(path, "a: 1").unwrap();
            } else {
                symlink(target, path).unwrap();
            }
        }
        folder
    }

    /// The names below the folder, and the errors' last words before their advice.
    fn walked(folder: &Path, depth: Depth, links: Links) -> Vec<String> {
        let shown = |found: Result<Located, Error>| match found {
            Ok(file) => file
                .path
                .strip_prefix(folder)
                .unwrap()
                .display()
                .to_string(),
            Err(error) => {
                let text = error.to_string();
                let text = text.split(';').next().unwrap_or_default();
                text.replace(&format!("{}/", folder.display()), "")
            }
        };
        let found = Located::from(folder).manifests(depth, links);
        found.into_iter().map(shown).collect()
    }

    #[test]
    fn a_folder_is_its_manifests_in_the_order_of_their_bytes() {
        let folder = folder(&[
            "b.yml",
            "a/x.yaml",
            "a.yaml",
            "B.json",
            "é.yaml",
            ".hidden.yaml",
            ".hidden/x.yaml",
            "note.md",
            "dir.yaml/y.yaml",
            "link.yaml -> a.yaml",
            ".#lock.yaml -> nobody@nowhere",
            "lock.md -> nobody@nowhere",
            "far -> a",
        ]);
        let own = ["B.json", "a.yaml", "b.yml", "link.yaml", "é.yaml"];
        let of = |depth, links| walked(folder.path(), depth, links);
        assert_eq!(of(Depth::Folder, Links::ToAll), own);
        assert_eq!(of(Depth::Folder, Links::ToFiles), own);
        let all = [
            "B.json",
            "a/x.yaml",
            "a.yaml",
            "b.yml",
            "dir.yaml/y.yaml",
            "link.yaml",
            "é.yaml",
        ];
        assert_eq!(of(Depth::All, Links::ToFiles), all);
        let mut with_links = all.to_vec();
        with_links.insert(5, "far/x.yaml");
        assert_eq!(of(Depth::All, Links::ToAll), with_links);
    }

    #[test]
    fn what_cannot_be_walked_is_an_error_in_its_place() {
        let nothing = folder(&["note.md"]);
        let [only] = &walked(nothing.path(), Depth::All, Links::ToAll)[..] else {
            panic!("one error");
        };
        assert!(only.ends_with(": no manifest in the folder"), "{only}");
        let broken = folder(&["a.yaml", "b.yaml -> nowhere", "c/back -> ..", "d.yaml"]);
        assert_eq!(
            walked(broken.path(), Depth::All, Links::ToAll),
            [
                "a.yaml",
                "b.yaml: No such file or directory",
                "c/back: the link leads back to a folder above it",
                "d.yaml",
            ]
        );
    }

    #[test]
    fn only_a_regular_file_is_read_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.yaml");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let link = folder.path().join("link.yaml");
        symlink(&pipe, &link).unwrap();
        for (path, says) in [
            (&*pipe, "it is a named pipe"),
            (&link, "it is a named pipe"),
            (Path::new("/dev/zero"), "it is a device"),
            (folder.path(), "is a directory"),
        ] {
            let error = Located::from(path).read_regular().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let file = folder.path().join("file.yaml");
        fs::write(&file, "a: 1").unwrap();
        let read = Located::from(&*file).read_regular().unwrap();
        assert_eq!(&*read.text, "a: 1");
    }

    #[test]
    fn a_text_is_bounded_and_utf_8() {
        let folder = tempfile::tempdir().unwrap();
        let read = |bytes: &[u8]| {
            let path = folder.path().join("x.yaml");
            fs::write(&path, bytes).unwrap();
            let read = Located::from(&*path).read();
            read.map(|source| source.text.len())
                .map_err(|error| error.to_string().replace(path.to_str().unwrap(), "x.yaml"))
        };
        assert_eq!(read(b"a: 1\n"), Ok(5));
        assert_eq!(
            read(b"a: 1\n\nb: \xff\n"),
            Err(
                "x.yaml:3:4: not UTF-8, and so not YAML; save the file as UTF-8, or leave it out"
                    .to_owned()
            )
        );
        assert_eq!(read(&vec![b'x'; MAX_BYTES]), Ok(MAX_BYTES));
        let error = read(&vec![b'x'; MAX_BYTES + 1]).unwrap_err();
        assert!(error.starts_with("x.yaml:1: more than 32 MiB"), "{error}");
        let error = Located::from(folder.path()).read().unwrap_err();
        assert!(error.to_string().contains("Is a directory"), "{error}");
    }
}
