//! What people wrote by hand to bring a Pod onto GPUs, and the class that says the same.
//!
//! Nothing here knows a rule: each thing that was written is taken away, and stays away if the Pod that admission makes of
//! the rest has the same GPUs and may run on the same nodes.

use std::{cmp::Reverse, collections::BTreeSet, sync::Arc};

use serde_json::{Map, Value};

use crate::{
    dry_run::{self, DryRun, dry_run},
    init::Node,
    workload::{self, PodTemplate, field},
};
use berth_core::{
    labels::Labels,
    live::{Choice, Live, Room, Wish},
    names::{DISABLED, EXCLUDED_NAMESPACES, INJECT_LABEL},
    shown,
    table::Allocation,
    view::View,
};

mod nodes;
mod parts;
mod pod;
mod text;

pub use nodes::Same;
pub use text::text;

use nodes::Place;
use pod::Gpus;

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

/// A cluster in which one of the groups has room.
#[derive(Debug)]
struct Favoured(usize);

impl Live for Favoured {
    fn choose(&self, wish: &Wish<'_>) -> Choice {
        Choice {
            plan: self.0.min(wish.plans.len().saturating_sub(1)),
            room: Room::Enough,
        }
    }

    fn node(&self, _: &str) -> Option<Labels> {
        None
    }
}

/// What a workload is judged by.
struct Judge<'a> {
    view: &'a View,
    namespace: &'a str,
    nodes: Option<&'a [Node]>,
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

impl Judge<'_> {
    /// Makes of an object what it could be; nothing where it asks for no GPU.
    fn outcome(&self, name: &str, object: &mut Value, template: &PodTemplate) -> Option<Outcome> {
        let table = &self.view.table;
        let hand = template.pod(object);
        let labels = template.labels(object);
        if let Some(class) = labels.get(table.class_label()) {
            return Some(Outcome::Labelled(
                class.as_str().unwrap_or_default().to_owned(),
            ));
        }
        let gpus = Gpus::of(&hand, table);
        let resource = gpus.resource()?.to_owned();
        if let Some(why) = self.never(object, template, &labels) {
            return Some(Outcome::Kept(why));
        }
        let namespace = self.view.namespace(self.namespace);
        let classes = table
            .open_to(namespace)
            .filter_map(|name| table.class(name));
        let classes: Vec<&Allocation> = classes.filter(|it| it.names(&resource)).collect();
        let (mut fits, mut reasons) = (Vec::new(), Vec::new());
        for class in &classes {
            let likeness = likeness(class, name, &hand);
            match self.by_class(class, object, template, &hand, &gpus) {
                Ok((adopted, changed)) => fits.push((adopted, likeness, changed)),
                Err(reason) => reasons.push((Reverse(likeness), reason)),
            }
        }
        fits.sort_by_key(|(adopted, likeness, _)| {
            let is_weaker = adopted.same != Same::Everywhere;
            (
                Reverse(adopted.removed.len()),
                is_weaker,
                Reverse(*likeness),
            )
        });
        let mut fits = fits.into_iter();
        let Some((mut adopted, _, changed)) = fits.next() else {
            reasons.sort();
            let more = match reasons.len().saturating_sub(1) {
                0 => String::new(),
                more => format!("; nor does one of {more} more"),
            };
            return Some(Outcome::Kept(match reasons.into_iter().next() {
                Some((_, reason)) => reason + &more,
                None => format!(
                    "no class that namespace {} may use has {resource}",
                    shown::quoted(self.namespace)
                ),
            }));
        };
        let equal =
            fits.filter(|(it, ..)| it.removed == adopted.removed && it.pool == adopted.pool);
        adopted.others = equal.map(|(it, ..)| it.class).collect();
        *object = changed;
        Some(Outcome::Adopted(Box::new(adopted)))
    }

    /// Why a class would do nothing here, or more than it should.
    fn never(
        &self,
        object: &Value,
        template: &PodTemplate,
        labels: &Map<String, Value>,
    ) -> Option<String> {
        if EXCLUDED_NAMESPACES.contains(&self.namespace) {
            return Some(format!(
                "the webhook leaves namespace {} out",
                self.namespace
            ));
        }
        let opts_out = self.view.namespace(self.namespace).label(INJECT_LABEL) == Some(DISABLED);
        if opts_out || labels.get(INJECT_LABEL).is_some_and(|it| it == DISABLED) {
            return Some(format!("it opts out by {INJECT_LABEL}: {DISABLED}"));
        }
        match &*template.kind {
            "Deployment" | "StatefulSet" | "ReplicaSet" | "Job" | "CronJob" | "Pod" => {}
            "DaemonSet" => {
                return Some(
                    "the controller of a DaemonSet reads its template, and not what berth adds: keep what is there".to_owned(),
                );
            }
            kind => {
                return Some(format!(
                    "the controller of a {kind} may read the template before berth adds to the Pod: see what `berth preview` says with the label"
                ));
            }
        }
        let queue = object.pointer("/metadata/labels/kueue.x-k8s.io~1queue-name");
        queue.map(|_| {
            "Kueue counts the GPUs of the template, before berth adds to the Pod: keep what is there".to_owned()
        })
    }

    /// The object with a class and without what it makes needless, or why not.
    fn by_class(
        &self,
        class: &Allocation,
        object: &Value,
        template: &PodTemplate,
        hand: &Value,
        gpus: &Gpus,
    ) -> Result<(Adopted, Value), String> {
        let name = shown::quoted(&class.name);
        let mut now = object.clone();
        parts::label(
            &mut now,
            template,
            self.view.table.class_label(),
            &class.name,
        );
        // whichever of its groups has room
        let views: Vec<View> = (0..class.groups.len())
            .map(|group| self.view.clone().with_live(Arc::new(Favoured(group))))
            .collect();
        let runs = |object: &Value| -> Result<Vec<DryRun>, dry_run::Error> {
            let pod = template.pod(object);
            let runs = views.iter().map(|view| dry_run(&pod, self.namespace, view));
            runs.collect()
        };
        let runs_labelled = runs(&now).map_err(|error| error.to_string())?;
        let labelled = runs_labelled.first();
        let labelled = labelled.ok_or_else(|| format!("class {name} is not ready"))?;
        let Some(pool) = labelled.pool.clone().filter(|_| labelled.is_allowed()) else {
            let why = labelled.message.as_deref().unwrap_or_default();
            let why = why.split(" (table ").next().unwrap_or_default();
            return Err(format!("with class {name} it is denied: {why}"));
        };
        let same = self.hold(class, hand, gpus, &runs_labelled);
        let same = same.map_err(|why| format!("class {name} does not say the same: {why}"))?;
        let mut removed = Vec::new();
        for part in parts::parts(&now, template, class, &self.view.table) {
            // what it is a part of may be gone
            if now.pointer(part.pointer()).is_none() {
                continue;
            }
            let mut without = now.clone();
            part.remove(&mut without, template);
            let Ok(next) = runs(&without) else { continue };
            let is_same = self.hold(class, hand, gpus, &next).as_ref() == Ok(&same)
                && next
                    .iter()
                    .all(|it| pod::rest(&it.pod) == pod::rest(&labelled.pod));
            if is_same {
                removed.push(field(part.pointer()));
                now = without;
            }
        }
        removed.reverse();
        let adopted = Adopted {
            class: class.name.clone(),
            others: Vec::new(),
            pool,
            removed,
            added: labelled.summary.clone(),
            same,
        };
        Ok((adopted, now))
    }

    /// Whether each of these has; all of them in the same way.
    fn hold(
        &self,
        class: &Allocation,
        hand: &Value,
        gpus: &Gpus,
        runs: &[DryRun],
    ) -> Result<Same, String> {
        let (mut all, mut pools) = (Same::Everywhere, BTreeSet::new());
        for run in runs {
            pools.insert(&run.pool);
            all = match (all, self.holds(class, hand, gpus, run)?) {
                (Same::Everywhere, same) => same,
                (weaker, _) => weaker,
            };
        }
        if pools.len() > 1 {
            return Err("which of its pools it gets depends on which has room".to_owned());
        }
        Ok(all)
    }

    /// Whether a Pod after admission has the GPUs and the nodes of the one that was written by hand.
    fn holds(
        &self,
        class: &Allocation,
        hand: &Value,
        gpus: &Gpus,
        run: &DryRun,
    ) -> Result<Same, String> {
        if !run.is_allowed() {
            return Err(run.message.clone().unwrap_or_default());
        }
        let of_run = Gpus::of(&run.pod, &self.view.table);
        if of_run.renamed(class) != gpus.renamed(class) {
            return Err(format!("it gets {of_run}, and not {gpus}"));
        }
        let group = class
            .groups
            .iter()
            .find(|it| Some(&*it.name.text) == run.pool.as_deref());
        let pools = run.pool.as_deref().unwrap_or_default();
        for taint in group.iter().flat_map(|it| &it.taints) {
            if !pod::tolerates(hand, &taint.key, &taint.value, taint.effect.as_str()) {
                return Err(format!(
                    "the nodes of pool {} have the taint {}, which it does not tolerate, so it waits as it is",
                    shown::quoted(pools),
                    taint.key
                ));
            }
        }
        Place::of(hand).compared(&Place::of(&run.pod), self.nodes)
    }
}

/// How much a class sounds like a workload: by the name of a container or of the object.
fn likeness(class: &Allocation, name: &str, pod: &Value) -> u8 {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let names = containers.filter_map(|it| it["name"].as_str());
    let names: Vec<&str> = names.chain([name]).collect();
    let is_named =
        |it: &&str| class.name == **it || class.container_names.iter().any(|name| name == it);
    if names.iter().any(is_named) {
        2
    } else {
        u8::from(names.iter().any(|it| it.contains(&class.name)))
    }
}

#[cfg(test)]
mod tests;
