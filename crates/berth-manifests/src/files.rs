//! Files as they stand at one moment.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The link that a Secret or ConfigMap volume swaps.
const DATA: &str = "..data";

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

impl Snapshot {
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
    pub fn volume(&mut self, folder: &Path) -> io::Result<PathBuf> {
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
