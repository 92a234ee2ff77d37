//! `berth classes`.

use std::collections::BTreeMap;

use clap::Args;
use comfy_table::presets::NOTHING;

use super::{
    SettingsOptions,
    cluster::{Cluster, ClusterOptions},
    dry_run,
    facts::Reading,
    namespace,
    report::{Ended, Failure, Format, print, tell, versioned},
};
use berth_core::explain::{self, Classes};
use berth_manifests::diagnostic::printable;

const MORE: &str = "\
Examples:
  # what the Pods of your namespace may use
  berth classes
  # what those of another may use, for a program
  berth classes -n ai -o json

Exit codes:
  0  it is printed, also where there is none
  2  the flags are wrong, or there is no way to a cluster
  3  there is nothing that may be read";

/// A class that nobody has: whoever asks for it is told which there are.
const NOBODYS: &str = "berth-classes.asks-for.none";

/// List the classes that a namespace may use, with their free GPUs
///
/// Free is what no Pod has or waits for. It reads with your rights: without those to read Nodes and Pods, it tells what
/// berth wrote into the status of the pools; without those to read the classes, it asks berth by a dry run for their names.
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
pub(super) struct ClassesOfNamespace {
    /// The namespace, if not that of the kubeconfig's context
    #[arg(short = 'n', long = "namespace", value_name = "NAME", value_parser = namespace)]
    in_namespace: Option<String>,
    /// The form of the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    #[command(flatten)]
    cluster: ClusterOptions,
    #[command(flatten)]
    settings: SettingsOptions,
}

impl ClassesOfNamespace {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        let cluster = self.cluster.connect()?;
        let namespace = self
            .in_namespace
            .unwrap_or_else(|| cluster.namespace.clone());
        let reading = Reading::new(&cluster, self.settings.try_into()?);
        let label = reading.settings.class_label.clone();
        let facts = reading.facts(Some(&namespace))?;
        let mut classes = explain::classes(&namespace, &facts);
        let mut sentence = None;
        if !facts.sees_classes {
            let asked = asked(&cluster, &namespace, &label);
            let said = asked.ok_or_else(|| Failure::unreadable(facts.unread.join("; ")))?;
            sentence = Some(said);
        }
        match (&sentence, self.output) {
            (Some(sentence), Format::Text) => print(format_args!("{}\n", printable(sentence)))?,
            (None, Format::Text) => print(text(&classes))?,
            (_, Format::Json) => {
                classes.said = sentence;
                print(versioned("Classes", &classes)?)?;
            }
        }
        if self.output == Format::Text {
            classes.unread.iter().for_each(tell);
        }
        Ok(Ended::Fine)
    }
}

/// What berth says to a Pod of no class: the names of those that there are. Nothing is stored.
fn asked(cluster: &Cluster, namespace: &str, label: &str) -> Option<String> {
    let labels = BTreeMap::from([(label.to_owned(), NOBODYS.to_owned())]);
    let pod = dry_run::pod("berth-classes-", &labels, "none");
    match dry_run::create(cluster, namespace, &pod) {
        Err(kube::Error::Api(status)) => {
            let message = &status.message;
            if let Some((_, listed)) = message.split_once("available here: ") {
                return Some(format!("available in namespace {namespace}: {listed}"));
            }
            let is_none = message.contains("no class is available here");
            is_none.then(|| format!("no class is available in namespace {namespace}"))
        }
        _ => None,
    }
}

fn text(classes: &Classes) -> String {
    if classes.classes.is_empty() {
        return format!("no class is available in namespace {}\n", classes.namespace);
    }
    let mut table = comfy_table::Table::new();
    table.load_style(NOTHING);
    table.set_header(["CLASS", "POOLS", "GPUS", "FREE", "READY", "RATIONALE"]);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for line in &classes.classes {
        let ready = match line.ready {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        let rationale = line.rationale.clone().unwrap_or_default();
        let cells = [
            line.name.clone(),
            line.pool_names(),
            line.gpus(),
            line.free(),
            ready.to_owned(),
            rationale,
        ];
        // a rationale may have several lines
        table.add_row(cells.map(|cell| printable(&cell.replace('\n', " "))));
    }
    let mut text = format!("{}\n", table.trim_fmt());
    for line in &classes.classes {
        if let Some(message) = &line.message {
            text.push_str(&printable(&format!("{}: {message}\n", line.name)));
        }
    }
    text
}
