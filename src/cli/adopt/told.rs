//! What is told of a workload: a sentence for people, a record for programs.

use serde::Serialize;

use berth_manifests::adopt::{Adopted, Outcome, Same, Workload};

/// Every workload with a GPU.
#[derive(Debug, Default, Serialize)]
pub(super) struct Told {
    pub(super) workloads: Vec<Record>,
}

/// What could become of one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    kind: String,
    namespace: String,
    name: String,
    /// `adopted`, `labelled` or `kept`.
    outcome: &'static str,
    /// The class that it could name, or names.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    /// Others that say the same.
    others: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    /// The fields that the class makes needless.
    removed: Vec<String>,
    /// Of how many Nodes it was seen that it runs on the same; absent where that holds of every Node that could be.
    #[serde(skip_serializing_if = "Option::is_none")]
    same_of_nodes: Option<usize>,
    /// Why it stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl Told {
    pub(super) fn kept(&self) -> usize {
        self.count("kept")
    }

    fn count(&self, outcome: &str) -> usize {
        let workloads = self.workloads.iter();
        workloads.filter(|it| it.outcome == outcome).count()
    }

    /// How many there are of each.
    pub(super) fn summary(&self) -> String {
        format!(
            "{} with a GPU: {} could name a class, {} cannot",
            self.workloads.len(),
            self.count("adopted"),
            self.kept()
        )
    }
}

impl From<Workload> for Record {
    fn from(workload: Workload) -> Self {
        let mut record = Self {
            kind: workload.kind,
            namespace: workload.namespace,
            name: workload.name,
            outcome: "kept",
            class: None,
            others: Vec::new(),
            pool: None,
            removed: Vec::new(),
            same_of_nodes: None,
            why: None,
        };
        match workload.outcome {
            Outcome::Labelled(class) => {
                (record.outcome, record.class) = ("labelled", Some(class));
            }
            Outcome::Kept(why) => record.why = Some(why),
            Outcome::Adopted(adopted) => {
                let adopted = *adopted;
                record.outcome = "adopted";
                (record.class, record.pool) = (Some(adopted.class), Some(adopted.pool));
                (record.others, record.removed) = (adopted.others, adopted.removed);
                record.same_of_nodes = match adopted.same {
                    Same::Everywhere => None,
                    Same::OfNodes(count) => Some(count),
                };
            }
        }
        record
    }
}

/// A workload in a sentence.
pub(super) fn sentence(workload: &Workload) -> String {
    let Workload {
        kind,
        namespace,
        name,
        outcome,
    } = workload;
    let said = match outcome {
        Outcome::Labelled(class) => format!("names class {class} already"),
        Outcome::Kept(why) => format!("stays as it is: {why}"),
        Outcome::Adopted(adopted) => of_adopted(adopted),
    };
    format!("{kind}/{name} in {namespace}: {said}")
}

fn of_adopted(adopted: &Adopted) -> String {
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
