//! `berth adopt`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anstream::stdout;
use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::Value;

use super::{
    diff::Diff,
    lint::nodes,
    namespace,
    report::{ColorOption, Ended, Failure, for_output, show, tell},
    table::{Origin, TableOrigin},
};
use berth_core::view::View;
use berth_manifests::{
    adopt::{Adoption, Outcome, Same, Workload, adopt, text},
    diagnostic::{Diagnostic, SourceText},
    documents,
    files::Depth,
    init::Node,
    yaml,
};

mod live;

const HEADER: Style = Style::new().bold();
const HUNK: Style = AnsiColor::Cyan.on_default();

const MORE: &str = "\
Examples:
  # the workloads of a folder
  berth adopt --table table.yaml -R -f manifests > adopt.diff
  # the table and the workloads of the cluster that kubectl would ask
  berth adopt --from-cluster -n ai

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
/// The diff goes to standard output, and a sentence for each workload to standard error.
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
    /// The file whose name was printed, and how many lines it has more than before, so far.
    file: Option<(PathBuf, isize)>,
    found: usize,
    adopted: usize,
    kept: usize,
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
            file: None,
            found: 0,
            adopted: 0,
            kept: 0,
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
            self.file = None;
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
                self.show(source, &root, &adopted)?;
            }
            for workload in workloads {
                self.workload(&workload);
            }
        }
        Ok(())
    }

    /// Prints in what the text differs from one that means what it could.
    fn show(&mut self, source: &SourceText, root: &yaml::Node, adopted: &Value) -> io::Result<()> {
        let Some(edited) = text(&source.text, root, adopted) else {
            let error = Diagnostic::error("the change cannot be written into this document");
            let error = error.with_help("write it without anchors, aliases and tags");
            self.unreadable(&error.at(source, root.locate("")));
            return Ok(());
        };
        let mut out = stdout().lock();
        let name = source.path.display().to_string();
        let is_named = self
            .file
            .as_ref()
            .is_some_and(|(path, _)| *path == source.path);
        if !is_named {
            let name = for_output(name.trim_start_matches('/'));
            writeln!(
                out,
                "{HEADER}--- a/{name}{HEADER:#}\n{HEADER}+++ b/{name}{HEADER:#}"
            )?;
            self.file = Some((source.path.clone(), 0));
        }
        let Some((_, shift)) = &mut self.file else {
            return Ok(());
        };
        let first = source.first_line - 1;
        let diff = Diff::new(&source.text, &edited.text);
        for hunk in diff.hunks() {
            let (before, after) = (hunk.before(), hunk.after());
            let start = (first + after.start).saturating_add_signed(*shift);
            let (old, new) = (
                range(first + before.start, before.len()),
                range(start, after.len()),
            );
            writeln!(out, "{HUNK}@@ -{old} +{new} @@{HUNK:#}")?;
            write!(out, "{}", hunk.lines(""))?;
        }
        let lines = |text: &str| isize::try_from(text.lines().count()).unwrap_or_default();
        *shift += lines(&edited.text) - lines(&source.text);
        out.flush()
    }

    fn workload(&mut self, workload: &Workload) {
        self.found += 1;
        let Workload {
            kind,
            namespace,
            name,
            outcome,
        } = workload;
        let subject = format!("{kind}/{name} in {namespace}");
        let sentence = match outcome {
            Outcome::Labelled(class) => format!("names class {class} already"),
            Outcome::Kept(why) => {
                self.kept += 1;
                format!("stays as it is: {why}")
            }
            Outcome::Adopted(adopted) => {
                self.adopted += 1;
                let others = match &*adopted.others {
                    [] => String::new(),
                    others => format!(" (or {})", others.join(", ")),
                };
                let removed = match &*adopted.removed {
                    [] => "nothing is needless".to_owned(),
                    removed => format!("remove {}", removed.join(", ")),
                };
                let nodes = match adopted.same {
                    Same::Everywhere => "it may run on the same nodes".to_owned(),
                    Same::OfNodes(count) => format!(
                        "it runs on the same of the Nodes that there are ({count}), and not on others that come with the labels written by hand"
                    ),
                };
                let added = match &*adopted.added {
                    "" => String::new(),
                    added => format!("; berth adds to what is there: {added}"),
                };
                let (class, pool) = (&adopted.class, &adopted.pool);
                format!("class {class}{others}, pool {pool}: {removed}; {nodes}{added}")
            }
        };
        tell(format_args!("{subject}: {sentence}"));
    }

    fn ended(self) -> Result<Ended, Failure> {
        tell(format_args!(
            "{} with a GPU: {} could name a class, {} cannot",
            self.found, self.adopted, self.kept
        ));
        if self.unreadable {
            return Err(Failure::told());
        }
        Ok(if self.kept > 0 {
            Ended::Found
        } else {
            Ended::Fine
        })
    }
}

/// Lines as the head of a hunk names them, after so many lines.
fn range(start: usize, len: usize) -> String {
    match len {
        1 => (start + 1).to_string(),
        0 => format!("{start},0"),
        len => format!("{},{len}", start + 1),
    }
}
