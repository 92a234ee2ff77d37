//! What a Pod waits for that the scheduler found no node for: the step of the funnel after which no node is left.

use k8s_openapi::jiff::Timestamp;

use super::{
    Counted, Facts, Funnel, Why,
    funnel::{Seeker, Stage, counted},
    obstacle::of_pool,
    pod::{Found, Subject},
};
use crate::{
    live::Room,
    table::{Allocation, Group, Pool},
};

/// The scheduler of a Pod that names none.
pub(super) const DEFAULT_SCHEDULER: &str = "default-scheduler";

impl Subject<'_> {
    /// The funnel of each pool that berth recorded, in their order.
    pub(super) fn funnels(&self) -> Vec<Funnel> {
        let Some(nodes) = &self.facts.counted else {
            return Vec::new();
        };
        let seeker = Seeker {
            spec: self.pod.spec.as_ref(),
            tolerations: self.seen.tolerations.clone(),
        };
        let pools = self.pools().filter_map(|name| self.facts.pool(name));
        pools
            .map(|pool| {
                Funnel::new(
                    pool,
                    self.asks(&pool.resource),
                    &seeker,
                    nodes,
                    self.facts.now,
                )
            })
            .collect()
    }

    /// How many of a resource it asks for.
    fn asks(&self, resource: &str) -> u32 {
        let mut demand = self.seen.demand.iter();
        let of = demand.find(|(name, _)| name == resource);
        of.map_or(0, |(_, amount)| *amount)
    }

    pub(super) fn scheduler(&self) -> &str {
        let spec = self.pod.spec.as_ref();
        let name = spec.and_then(|it| it.scheduler_name.as_deref());
        name.filter(|it| !it.is_empty())
            .unwrap_or(DEFAULT_SCHEDULER)
    }

    /// Whether a pool's spec was written after the Pod was created.
    pub(super) fn is_older_than(&self, pool: &str) -> Option<Timestamp> {
        let written = self.facts.written.get(pool).copied();
        written.filter(|at| self.since.is_some_and(|since| since < *at))
    }
}

impl Facts {
    pub(super) fn pool(&self, name: &str) -> Option<&Pool> {
        let mut pools = self.view.table.pools().iter();
        pools.find(|pool| pool.name == name)
    }
}

pub(super) fn conclude(subject: &Subject<'_>, funnels: &[Funnel]) -> Found {
    let Some(nodes) = &subject.facts.counted else {
        return not_counted(subject);
    };
    if let Some(found) = bound_meanwhile(subject, nodes) {
        return found;
    }
    if funnels.is_empty() {
        return pools_gone(subject);
    }
    by_funnels(subject, funnels, nodes)
}

/// It has a node in the list that was read after it.
fn bound_meanwhile(subject: &Subject<'_>, nodes: &Counted) -> Option<Found> {
    let is_it =
        |name: &str, namespace: &str| name == subject.name && namespace == subject.seen.namespace;
    let mut holders = nodes.holders.iter();
    let itself = holders.find(|it| !it.is_nominated && is_it(&it.name, &it.namespace))?;
    let sentence = format!("the scheduler has just given it node {}", itself.node);
    Some(Found::new(Why::Starting, sentence))
}

/// Nodes and Pods could not be read: what berth wrote down is told, with nothing concluded from it but what it says.
fn not_counted(subject: &Subject<'_>) -> Found {
    let written = subject.pools().filter_map(|pool| {
        let status = subject.facts.statuses.pools.get(pool)?;
        let gpus = status.gpus?;
        Some(format!(
            "pool {pool} has {} of {} free, as berth counted last",
            gpus.free,
            counted(gpus.allocatable)
        ))
    });
    let written: Vec<String> = written.collect();
    let said = subject.scheduler_says().map_or(
        "the scheduler has not said anything",
        |_| "the scheduler found no node, and says why below",
    );
    let mut sentence = format!("{said}; how many GPUs are free could not be read");
    if !written.is_empty() {
        sentence = format!("{}; {said}", written.join(", "));
    }
    Found::new(Why::Unknown, sentence)
}

pub(super) fn pools_gone(subject: &Subject<'_>) -> Found {
    let pools: Vec<&str> = subject.pools().collect();
    let sentence = format!(
        "it was placed in pool {}, which is not in the table any more",
        pools.join(", ")
    );
    Found::new(Why::PoolGone, sentence).advise(subject.made_anew())
}

fn by_funnels(subject: &Subject<'_>, funnels: &[Funnel], nodes: &Counted) -> Found {
    let stage = |funnel: &Funnel| funnel.last().map(|(stage, _)| stage);
    let deepest = funnels.iter().map(stage).max().flatten();
    let is_deepest = |funnel: &&Funnel| stage(funnel) == deepest;
    let Some(first) = funnels.iter().find(is_deepest) else {
        return pools_gone(subject);
    };
    let mut found = of_pool(subject, first);
    let others = funnels.iter().filter(|it| it.pool != first.pool);
    let others: Vec<String> = others.map(|it| of_pool(subject, it).sentence).collect();
    found.remarks.extend(others);
    if deepest < Some(Stage::Free) {
        overtaken(subject, first, nodes, &mut found);
    }
    let scheduler = subject.scheduler();
    if scheduler != DEFAULT_SCHEDULER && found.reason != Why::OtherScheduler {
        found.remarks.push(format!(
            "its scheduler is {scheduler}, which may wait for more than a node"
        ));
    }
    found
}

/// Another group of its class has room: a new Pod would go there.
fn overtaken(subject: &Subject<'_>, funnel: &Funnel, nodes: &Counted, found: &mut Found) {
    let table = &subject.facts.view.table;
    let class: Option<&Allocation> = subject.class.as_deref().and_then(|it| table.class(it));
    let groups = class.iter().flat_map(|class| &class.groups);
    let is_other = |group: &&Group| !group.pools.contains(&funnel.pool);
    let gpus = u64::from(funnel.gpus);
    let mut others = groups.filter(is_other);
    let Some(other) =
        others.find(|group| gpus > 0 && nodes.ledger.room(group, gpus) == Room::Enough)
    else {
        return;
    };
    found.reason = Why::Overtaken;
    found.sentence = format!(
        "{}; another pool of its class has room now: {}",
        found.sentence, other.name.text
    );
    found.advice = vec![subject.made_anew()];
}
