//! Which class says of a workload what was written by hand.

use std::{cmp::Reverse, collections::BTreeSet, sync::Arc};

use serde_json::{Map, Value};

use super::{
    Adopted, Outcome, Same,
    nodes::Place,
    parts,
    pod::{self, Gpus},
};
use crate::{
    dry_run::{self, DryRun, dry_run},
    init::Node,
    workload::{PodTemplate, field},
};
use berth_core::{
    labels::Labels,
    live::{Choice, Live, Room, Wish},
    names::{DISABLED, EXCLUDED_NAMESPACES, INJECT_LABEL},
    rules::authorise,
    shown,
    table::Allocation,
    view::View,
};

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
pub(super) struct Judge<'a> {
    pub(super) view: &'a View,
    pub(super) namespace: &'a str,
    pub(super) nodes: Option<&'a [Node]>,
}

impl Judge<'_> {
    /// Makes of an object what it could be; nothing where it asks for no GPU.
    pub(super) fn outcome(
        &self,
        name: &str,
        object: &mut Value,
        template: &PodTemplate,
    ) -> Option<Outcome> {
        let table = &self.view.table;
        let hand = template.pod(object);
        let labels = template.labels(object);
        if let Some(class) = labels.get(table.class_label()) {
            let class = class.as_str().unwrap_or_default();
            let denial = authorise(self.view, class, self.namespace).err();
            let denial = denial.filter(|_| self.left_out(&labels).is_none());
            return Some(match denial {
                Some(denial) => Outcome::Kept(format!("its Pods are denied: {}", denial.message)),
                None => Outcome::Labelled(class.to_owned()),
            });
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

    /// Why berth is not asked about it, or leaves it alone.
    fn left_out(&self, labels: &Map<String, Value>) -> Option<String> {
        if EXCLUDED_NAMESPACES.contains(&self.namespace) {
            return Some(format!(
                "the webhook leaves namespace {} out",
                self.namespace
            ));
        }
        let opts_out = self.view.namespace(self.namespace).label(INJECT_LABEL) == Some(DISABLED);
        let opts_out = opts_out || labels.get(INJECT_LABEL).is_some_and(|it| it == DISABLED);
        opts_out.then(|| format!("it opts out by {INJECT_LABEL}: {DISABLED}"))
    }

    /// Why a class would do nothing here, or more than it should.
    fn never(
        &self,
        object: &Value,
        template: &PodTemplate,
        labels: &Map<String, Value>,
    ) -> Option<String> {
        if let Some(why) = self.left_out(labels) {
            return Some(why);
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
