//! Where the binaries are: `tools/control-plane/build` knows, and builds what is not there.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::Error;

/// What the script ends with where there is neither Go nor a binary.
const MISSING: i32 = 3;

/// The parts of a control plane, by name.
#[derive(Clone, Debug)]
pub struct Parts(BTreeMap<String, PathBuf>);

impl Parts {
    /// Asks the script; for another minor of Kubernetes than the usual, where one is given (`1.33`).
    pub fn find(kubernetes: Option<&str>) -> Result<Self, Error> {
        let script = script();
        let mut command = Command::new(&script);
        if let Some(minor) = kubernetes {
            command.args(["--kubernetes", minor]);
        }
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(Error::io(script.display().to_string()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => Ok(Self::parse(&String::from_utf8_lossy(&output.stdout))),
            Some(MISSING) => Err(Error::Missing(said.trim().to_owned())),
            _ => Err(Error::Parts {
                script,
                message: said.trim().to_owned(),
            }),
        }
    }

    fn parse(lines: &str) -> Self {
        let parts = lines.lines().filter_map(|line| line.split_once('='));
        Self(
            parts
                .map(|(name, path)| (name.to_owned(), path.into()))
                .collect(),
        )
    }

    /// A part's path.
    pub fn path(&self, name: &'static str) -> Result<&Path, Error> {
        let found = self.0.get(name).map(PathBuf::as_path);
        found.ok_or_else(|| Error::Parts {
            script: script(),
            message: format!("it names no {name}"),
        })
    }

    /// A part, to be run.
    pub(crate) fn command(&self, name: &'static str) -> Result<Command, Error> {
        self.path(name).map(Command::new)
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/control-plane/build")
}
