//! A folder as kubelet writes a Secret or ConfigMap volume: names link into `..data`, which links to a folder with a
//! time in its name, and is swapped by a rename.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

pub struct Volume {
    folder: tempfile::TempDir,
    generation: usize,
}

impl Volume {
    /// A volume with these files.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, _) in files {
            let link = folder.path().join(name);
            symlink(Path::new("..data").join(name), link).expect("a link");
        }
        let mut volume = Self {
            folder,
            generation: 0,
        };
        volume.swap(files);
        volume
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file of it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Replaces the content of all files at once, and takes the old away.
    pub fn swap(&mut self, files: &[(&str, &str)]) {
        let old = self.path().join(format!("..{}", self.generation));
        self.generation += 1;
        let name = format!("..{}", self.generation);
        let new = self.path().join(&name);
        fs::create_dir(&new).expect("a folder");
        for (name, content) in files {
            fs::write(new.join(name), content).expect("a file");
        }
        let link = self.path().join("..data_tmp");
        symlink(&name, &link).expect("a link");
        fs::rename(&link, self.path().join("..data")).expect("a rename");
        if old.exists() {
            fs::remove_dir_all(old).expect("removed");
        }
    }
}
