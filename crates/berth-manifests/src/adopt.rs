//! What people wrote by hand to bring a Pod onto GPUs, and the class that says the same.
//!
//! Nothing here knows a rule: each thing that was written is taken away, and stays away if the Pod that admission makes of
//! the rest has the same GPUs and may run on the same nodes.

use serde_json::Value;

use crate::{init::Node, workload};
use berth_core::view::View;

mod judge;
mod nodes;
mod parts;
mod pod;
mod text;

pub use nodes::Same;
pub use text::text;

use judge::Judge;

/// What of a document could name a class.
#[derive(Debug, Default)]
pub struct Adoption {
    /// Each Pod or template that asks for a GPU, in the document's order.
    pub workloads: Vec<Workload>,
    /// The document with the classes; absent where none is adopted.
    pub adopted: Option<Value>,
}

/// A Pod or template that asks for a GPU.
#[derive(Debug, Eq, PartialEq)]
pub struct Workload {
    /// The kind of the object that holds it.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What could become of it.
    pub outcome: Outcome,
}

/// What could become of what was written by hand.
#[derive(Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It names a class.
    Labelled(String),
    /// A class says the same.
    Adopted(Box<Adopted>),
    /// None does, and why.
    Kept(String),
}

/// A class, and what it makes needless.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Adopted {
    /// The class.
    pub class: String,
    /// Others that say the same.
    pub others: Vec<String>,
    /// The pools, joined by commas.
    pub pool: String,
    /// The fields that the class makes needless.
    pub removed: Vec<String>,
    /// What the Pod gets that nobody wrote, in words; may be empty.
    pub added: String,
    /// Where the result runs.
    pub same: Same,
}

/// Finds what of a document could name a class of the view's table. Where the Nodes are known, a Pod that runs on the same
/// of them is adopted, too.
#[must_use]
pub fn adopt(document: &Value, view: &View, default: &str, nodes: Option<&[Node]>) -> Adoption {
    let mut adoption = Adoption::default();
    for template in workload::templates(document) {
        let mut object = document
            .pointer(&template.object)
            .unwrap_or(document)
            .clone();
        let local = template.below_object();
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let namespace = text("/metadata/namespace").unwrap_or(default).to_owned();
        let name = text("/metadata/name").or_else(|| text("/metadata/generateName"));
        let name = name.unwrap_or_default().to_owned();
        let judge = Judge {
            view,
            namespace: &namespace,
            nodes,
        };
        let Some(outcome) = judge.outcome(&name, &mut object, &local) else {
            continue;
        };
        if matches!(outcome, Outcome::Adopted(_)) {
            let all = adoption.adopted.get_or_insert_with(|| document.clone());
            // the other templates of the object are as they were
            let (path, changed) = (template.path(), object.pointer(local.path()));
            if let (Some(to), Some(changed)) = (all.pointer_mut(path), changed) {
                *to = changed.clone();
            }
        }
        adoption.workloads.push(Workload {
            kind: template.kind.clone(),
            namespace,
            name,
            outcome,
        });
    }
    adoption
}

#[cfg(test)]
mod tests;
