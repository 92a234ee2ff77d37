//! `berth crds`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::report::{Ended, Failure, print};
use berth_core::api;

const MORE: &str = "\
Examples:
  berth crds | kubectl apply -f -
  berth crds --out deploy/crds

Exit codes:
  0  they are printed or written
  2  the flags are wrong, or the files cannot be written";

/// Print the CustomResourceDefinitions of GPUPool and WorkloadClass
///
/// Only `berth serve --table-source cluster` reads such objects; the chart and kustomize set it, unless you choose a table
/// of files. A berth that reads its table from files (--table) ignores them: the cluster accepts them, and nothing happens.
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
pub(super) struct Crds {
    /// Write a file for each into this folder instead
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Crds {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        let definitions = api::crds();
        match self.out {
            Some(folder) => {
                write(&folder, &definitions).map_err(|error| Failure::out(&folder, &error))?;
            }
            None => print(documents(&definitions).map_err(Failure::usage)?)?,
        }
        Ok(Ended::Fine)
    }
}

fn documents(definitions: &[CustomResourceDefinition]) -> io::Result<String> {
    let documents = definitions
        .iter()
        .map(|definition| Ok(format!("---\n{}", yaml(definition)?)));
    documents.collect()
}

fn write(folder: &Path, definitions: &[CustomResourceDefinition]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for definition in definitions {
        let file = folder.join(format!("{}.yaml", definition.spec.names.plural));
        fs::write(file, yaml(definition)?)?;
    }
    Ok(())
}

fn yaml(definition: &CustomResourceDefinition) -> io::Result<String> {
    serde_saphyr::to_string(definition).map_err(io::Error::other)
}
