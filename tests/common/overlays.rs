//! The overlay for development, in a folder of its own: the certificate of the checkout is its user's.

use std::{fs, path::Path};

use super::{
    path,
    process::{arg, command},
};

/// What an overlay is made of, and a certificate; `dev` is below it.
pub fn copy() -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for folder in ["deploy/kustomize", "examples", "certs"] {
        copy_yaml(&path(folder), &copy.path().join(folder));
    }
    let certs = copy.path().join("certs/dev");
    let made = command()
        .args(["certs", "dev", "--out", arg(&certs)])
        .output();
    assert!(made.expect("berth starts").status.success());
    copy
}

fn copy_yaml(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let from = entry.expect("an entry").path();
        let to = to.join(from.file_name().expect("a name"));
        if from.is_dir() {
            copy_yaml(&from, &to);
        } else if from.extension().is_some_and(|it| it == "yaml") {
            fs::copy(&from, &to).expect("a copy");
        }
    }
}
