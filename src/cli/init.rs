//! `berth init`.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Args;
use k8s_openapi::api::core::v1;
use kube::Api;

use super::{
    cluster::ClusterOptions,
    is_plugin,
    report::{Ended, Failure, print, tell},
};
use berth_manifests::{
    files,
    init::{self, Node, Proposal},
};

/// Nodes have so many bytes at most: a thousand of them, with their images, are some tens of megabytes.
const MAX_BYTES: u64 = 512 << 20;

const MORE: &str = "\
Examples:
  # then rename the classes after your workloads
  berth init --from-cluster > table.yaml
  # or from what somebody with the right to read Nodes has printed
  kubectl get nodes -o json | berth init -f - > table.yaml

Exit codes:
  0  a table is printed
  1  no Node has a GPU that a Pod can ask for
  2  the flags are wrong
  3  the Nodes cannot be read";

/// Propose a first table from the Nodes of a cluster
///
/// Nodes with the same kind of GPU are a pool: the same resource, model, memory, sharing and taints. A pool selects them by
/// a label that no other node with that resource has, else by their hostnames. Each pool has a class to begin with.
/// Comments say what the Nodes do not, and people know.
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
pub(super) struct Init {
    /// Nodes as `kubectl get nodes -o json` prints them, or -o yaml: a file, or - for standard input; repeatable
    #[arg(
        short,
        long,
        value_name = "FILE|-",
        conflicts_with = "from_cluster",
        help_heading = "Manifests"
    )]
    filename: Vec<PathBuf>,
    /// Take the Nodes of the cluster that kubectl would ask. The plugin `kubectl berth` does so where no file is given
    #[arg(long, help_heading = "Table")]
    from_cluster: bool,
    #[command(flatten)]
    cluster: ClusterOptions,
}

impl Init {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        let nodes = self.nodes()?;
        if nodes.is_empty() {
            let none = match &*self.filename {
                [] => "the cluster has no Node",
                _ => "there is no Node; give what `kubectl get nodes -o json` prints",
            };
            return Err(Failure::unreadable(none));
        }
        let all = match nodes.len() {
            1 => "1 Node".to_owned(),
            all => format!("{all} Nodes"),
        };
        let Proposal {
            text,
            pools,
            remarks,
        } = init::propose(&nodes);
        remarks.iter().for_each(tell);
        if pools == 0 {
            tell(format_args!(
                "no GPU that a Pod can ask for, on {all}; check that the vendor's device plugin runs: kubectl describe node NAME lists it under Allocatable"
            ));
            return Ok(Ended::Found);
        }
        print(text)?;
        tell(format_args!(
            "{pools} {} of {all}; rename the classes after your workloads, and look at what is not known",
            if pools == 1 { "pool" } else { "pools" }
        ));
        Ok(Ended::Fine)
    }

    fn nodes(&self) -> Result<Vec<Node>, Failure> {
        if self.from_cluster || (is_plugin() && self.filename.is_empty()) {
            let cluster = self.cluster.connect()?;
            let api: Api<v1::Node> = Api::all(cluster.client.clone());
            let nodes = cluster.list("Nodes", &api)?;
            return Ok(nodes.into_iter().map(Node::from).collect());
        }
        if let Some(flag) = self.cluster.flag() {
            return Err(Failure::usage(format_args!(
                "{flag} is of use with --from-cluster alone; add it"
            )));
        }
        if self.filename.is_empty() {
            return Err(Failure::usage(
                "there are no Nodes; name a file with -f, or take the cluster's with --from-cluster",
            ));
        }
        let mut nodes = Vec::new();
        for path in &self.filename {
            let failed = |error: &dyn std::fmt::Display| {
                Failure::unreadable(format_args!("{}: {error}", path.display()))
            };
            let text = read(path).map_err(|error| failed(&files::plain(&error)))?;
            nodes.extend(init::nodes(&text).map_err(|error| failed(&error))?);
        }
        Ok(nodes)
    }
}

/// A text of Nodes, of a file or of standard input.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(fs::File::open(path)?)
    };
    let mut text = String::new();
    let read = source.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_BYTES {
        let message = format!(
            "more than {} MiB; give fewer Nodes at a time",
            MAX_BYTES >> 20
        );
        return Err(io::Error::other(message));
    }
    Ok(text)
}
