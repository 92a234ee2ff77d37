//! `berth adopt`.

use std::{io, path::PathBuf};

use clap::Args;
use serde_json::Value;

use super::{
    lint::nodes,
    namespace,
    report::{ColorOption, Ended, Failure, Format, print, show, tell, versioned},
    table::{Origin, TableOrigin},
};
use berth_core::view::View;
use berth_manifests::{
    adopt::{Adoption, adopt, text},
    diagnostic::{Diagnostic, SourceText},
    documents,
    files::Depth,
    init::Node,
    yaml,
};

use patch::Patch;
use told::Told;

mod live;
mod patch;
mod told;

const MORE: &str = "\
Examples:
  # the workloads of a folder
  berth adopt --table table.yaml -R -f manifests > adopt.diff
  # the table and the workloads of the cluster that kubectl would ask
  berth adopt --from-cluster -n ai
  # what could become of each, for a program
  berth adopt --from-cluster -A -o json

Exit codes:
  0  each workload with a GPU names a class, or could
  1  one cannot; it is said why
  2  the flags are wrong
  3  something cannot be read";

/// Show which class workloads could name that were brought onto GPUs by hand
///
/// For each workload that asks for a GPU and names no class, it prints as a diff the label to add, and the tolerations,
/// selectors, limits and runtime class to remove: the Pod has then the same GPUs, and may run on the same nodes. Nothing is
/// applied.
///
/// The diff goes to standard output, and a sentence for each workload to standard error; with -o json, the workloads go
/// to standard output, and there is no diff.
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
pub(super) struct Adopt {
    /// A file of manifests, a folder of such files, or - for standard input; repeatable. If none is given, the workloads
    /// of the cluster, with --from-cluster
    #[arg(short, long, value_name = "FILE|DIR|-", help_heading = "Manifests")]
    filename: Vec<PathBuf>,
    /// Read the folders in a folder, too
    #[arg(short = 'R', long, help_heading = "Manifests")]
    recursive: bool,
    /// The namespace of documents that name none, or of the cluster's workloads; if not given, the one of the kubeconfig's
    /// context with the cluster's table, else default
    #[arg(short, long, value_name = "NAME", value_parser = namespace, help_heading = "Manifests")]
    namespace: Option<String>,
    /// The cluster's workloads of all namespaces
    #[arg(
        short = 'A',
        long,
        conflicts_with_all = ["namespace", "filename"],
        help_heading = "Manifests"
    )]
    all_namespaces: bool,
    /// Nodes as `kubectl get nodes -o json` prints them: a workload that runs on the same of them is adopted, too, whatever
    /// labels select them. With --from-cluster, those of the cluster if none are given
    #[arg(long, value_name = "FILE|-")]
    nodes: Option<PathBuf>,
    /// The form of the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    #[command(flatten)]
    color: ColorOption,
    #[command(flatten)]
    table: TableOrigin,
}

/// One run over all documents.
struct Run<'v> {
    view: &'v View,
    namespace: &'v str,
    nodes: Option<&'v [Node]>,
    output: Format,
    patch: Patch,
    told: Told,
    unreadable: bool,
}

impl Adopt {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        self.color.apply();
        let origin = self.table.named()?;
        let namespace = self.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| origin.namespace().to_owned());
        let seen = match (&self.nodes, &origin) {
            (Some(path), _) => Some(nodes(path)?),
            (None, Origin::Cluster(cluster, _)) => super::table::nodes(cluster)?,
            (None, Origin::Files(_)) => None,
        };
        let view = origin.view(Some(&namespace))?;
        let mut run = Run {
            view: &view,
            namespace: &namespace,
            nodes: seen.as_ref().map(|it| &*it.nodes),
            output: self.output,
            patch: Patch::default(),
            told: Told::default(),
            unreadable: false,
        };
        match &origin {
            _ if !self.filename.is_empty() => run.files(&self.filename, self.recursive)?,
            Origin::Cluster(cluster, _) => {
                let of = (!self.all_namespaces).then_some(&*namespace);
                for source in live::workloads(cluster, of)? {
                    run.document(&source)?;
                }
            }
            Origin::Files(_) => {
                return Err(Failure::usage(
                    "there are no workloads; name their files with -f, or take the cluster's with --from-cluster",
                ));
            }
        }
        run.ended()
    }
}

impl Run<'_> {
    fn files(&mut self, paths: &[PathBuf], recursive: bool) -> Result<(), Failure> {
        let depth = if recursive { Depth::All } else { Depth::Folder };
        for source in paths
            .iter()
            .flat_map(|path| documents::sources(path, depth))
        {
            self.patch = Patch::default();
            let documents = source
                .and_then(documents::Source::open)
                .and_then(documents::Opened::documents);
            let documents = match documents {
                Ok(documents) => documents,
                Err(error) => {
                    self.unreadable(&Diagnostic::from(&error));
                    continue;
                }
            };
            for document in documents {
                match document {
                    Ok(document) => self.document(&document)?,
                    Err(error) => self.unreadable(&Diagnostic::from(&error)),
                }
            }
        }
        Ok(())
    }

    fn unreadable(&mut self, diagnostic: &Diagnostic) {
        self.unreadable = true;
        show(diagnostic);
    }

    fn document(&mut self, source: &SourceText) -> io::Result<()> {
        let roots = match yaml::parse(&source.text) {
            Ok(roots) => roots,
            Err(error) => {
                self.unreadable(&Diagnostic::not_yaml(source, error));
                return Ok(());
            }
        };
        for root in roots {
            let Adoption { workloads, adopted } =
                adopt(&root.to_json(), self.view, self.namespace, self.nodes);
            if let Some(adopted) = adopted {
                self.change(source, &root, &adopted)?;
            }
            for workload in workloads {
                if self.output == Format::Text {
                    tell(told::sentence(&workload));
                }
                self.told.workloads.push(workload.into());
            }
        }
        Ok(())
    }

    /// The text of a document as it could be; none where the change cannot be written into it.
    fn change(
        &mut self,
        source: &SourceText,
        root: &yaml::Node,
        adopted: &Value,
    ) -> io::Result<()> {
        let Some(edited) = text(&source.text, root, adopted) else {
            let error = Diagnostic::error("the change cannot be written into this document");
            let error = error.with_help("write it without anchors, aliases and tags");
            self.unreadable(&error.at(source, root.locate("")));
            return Ok(());
        };
        match self.output {
            Format::Text => self.patch.print(source, &edited.text),
            Format::Json => Ok(()),
        }
    }

    fn ended(self) -> Result<Ended, Failure> {
        match self.output {
            Format::Text => tell(self.told.summary()),
            Format::Json => print(versioned("Adoption", &self.told)?)?,
        }
        if self.unreadable {
            return Err(Failure::told());
        }
        Ok(match self.told.kept() {
            0 => Ended::Fine,
            _ => Ended::Found,
        })
    }
}
