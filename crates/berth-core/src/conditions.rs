//! What the statuses of both manifests say: from the verdicts on the objects and the fleet alone, so that equal input gives
//! equal bytes, and nothing is written that does not change.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::{
    api::{GPUPoolSpec, GPUPoolStatus, PodCounts, WorkloadClassSpec, WorkloadClassStatus},
    fleet::{Fleet, PoolSurvey},
    memory,
    objects::{Compiled, Judged, Refusal},
    shown,
};

mod ready;

/// The condition that says whether an object is in the table.
pub const ACCEPTED: &str = "Accepted";
/// The only condition that is bad when it is true.
const MEMORY_OVERCOMMITTED: &str = "MemoryOvercommitted";

/// Whether somebody should do something about a condition that has this status. What is unknown is not bad.
#[must_use]
pub fn is_bad(type_: &str, status: &str) -> bool {
    let bad = if type_ == MEMORY_OVERCOMMITTED {
        "True"
    } else {
        "False"
    };
    status == bad
}

/// So many classes are named in a pool's status.
const CLASSES: usize = 64;

/// What is known of Nodes and Pods.
#[derive(Clone, Copy, Debug)]
pub enum Sight<'f> {
    /// Nothing: berth may not read them.
    Off,
    /// Not all of them yet.
    NotSynced,
    /// All of them.
    Counted(&'f Counts),
}

/// What is counted of each pool and class. It is taken from a fleet in one step, so that nobody else who asks the fleet
/// waits until the statuses are written down.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    pools: BTreeMap<String, PoolSurvey>,
    classes: BTreeMap<String, PodCounts>,
}

impl Counts {
    /// What is counted of a pool.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&PoolSurvey> {
        self.pools.get(name)
    }

    /// The Pods of a class.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<PodCounts> {
        self.classes.get(name).copied()
    }

    /// The counts of these objects; none until the fleet has seen all of the cluster.
    #[must_use]
    pub fn of(fleet: &Fleet, compiled: &Compiled) -> Option<Self> {
        let classes = compiled.classes.iter();
        fleet.is_synced().then(|| Self {
            pools: fleet
                .survey()
                .into_iter()
                .map(|it| (it.name.clone(), it))
                .collect(),
            classes: classes
                .map(|class| (class.name.clone(), fleet.class_pods(&class.name)))
                .collect(),
        })
    }
}

/// The status of every object, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statuses {
    /// Of the pools.
    pub pools: BTreeMap<String, GPUPoolStatus>,
    /// Of the classes.
    pub classes: BTreeMap<String, WorkloadClassStatus>,
}

/// What tells when a condition turned.
#[derive(Clone, Copy, Debug)]
struct Turning<'t> {
    before: Option<&'t [Condition]>,
    now: &'t Time,
}

/// A condition's value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// The word for it, which stays the same.
    pub reason: &'static str,
    /// It in a sentence.
    pub message: String,
}

/// Whether a Pod could run in a pool when a GPU is free.
#[must_use]
pub fn readiness(pool: &Judged<GPUPoolSpec>, sight: Sight<'_>) -> Finding {
    ready::of_pool(pool, sight, sight.survey(&pool.name))
}

/// The status that each object should have. What the conditions were before tells which of them turn; the time is theirs.
#[must_use]
pub fn statuses(compiled: &Compiled, sight: Sight<'_>, before: &Statuses, now: &Time) -> Statuses {
    let (mut pools, mut ready) = (BTreeMap::new(), BTreeMap::new());
    for pool in &compiled.pools {
        let survey = sight.survey(&pool.name);
        let finding = ready::of_pool(pool, sight, survey);
        let turning = Turning {
            before: before.pools.get(&pool.name).map(|it| &*it.conditions),
            now,
        };
        let status = of_pool(pool, compiled, survey, &finding, turning);
        pools.insert(pool.name.clone(), status);
        ready.insert(pool.name.as_str(), finding);
    }
    let classes = compiled.classes.iter().map(|class| {
        let turning = Turning {
            before: before.classes.get(&class.name).map(|it| &*it.conditions),
            now,
        };
        let status = of_class(class, sight, &ready, turning);
        (class.name.clone(), status)
    });
    Statuses {
        pools,
        classes: classes.collect(),
    }
}

impl<'f> Sight<'f> {
    fn survey(self, pool: &str) -> Option<&'f PoolSurvey> {
        match self {
            Self::Counted(counts) => counts.pools.get(pool),
            Self::NotSynced | Self::Off => None,
        }
    }
}

fn of_pool(
    pool: &Judged<GPUPoolSpec>,
    compiled: &Compiled,
    survey: Option<&PoolSurvey>,
    ready: &Finding,
    turning: Turning<'_>,
) -> GPUPoolStatus {
    let uses = |class: &&Judged<WorkloadClassSpec>| {
        let pools = class.spec.iter().flat_map(|spec| &spec.pools);
        pools.into_iter().any(|it| it.name == pool.name)
    };
    let classes = compiled.classes.iter().filter(uses);
    let mut findings = vec![
        (ACCEPTED, accepted(pool.refusal.as_ref())),
        ("Ready", ready.clone()),
    ];
    if pool.refusal.is_none() {
        findings.extend(survey.map(|it| ("TaintsAsDeclared", ready::taints(it))));
        let memory = pool
            .spec
            .as_ref()
            .map(|spec| memory_of(&pool.name, spec, compiled));
        findings.extend(memory.map(|it| (MEMORY_OVERCOMMITTED, it)));
    }
    GPUPoolStatus {
        observed_generation: pool.generation,
        nodes: survey.map(|it| it.nodes),
        gpus: survey.map(|it| it.gpus),
        unknown: survey.map(|it| if it.is_provided { it.empty.count } else { 0 }),
        classes: classes
            .map(|class| class.name.clone())
            .take(CLASSES)
            .collect(),
        conditions: turning.conditions(findings, pool.generation),
    }
}

fn of_class(
    class: &Judged<WorkloadClassSpec>,
    sight: Sight<'_>,
    ready: &BTreeMap<&str, Finding>,
    turning: Turning<'_>,
) -> WorkloadClassStatus {
    let pods = match sight {
        Sight::Counted(counts) => counts.classes.get(&class.name).copied(),
        Sight::NotSynced | Sight::Off => None,
    };
    let names = |spec: &WorkloadClassSpec| {
        let names: Vec<&str> = spec.pools.iter().map(|pool| pool.name.as_str()).collect();
        names.join(",")
    };
    let pools = class.spec.iter().flat_map(|spec| &spec.pools);
    let pools: Vec<Option<&Finding>> = pools.map(|pool| ready.get(&*pool.name)).collect();
    let ready_pools = pools
        .iter()
        .flatten()
        .filter(|it| it.status == "True")
        .count();
    let findings = vec![
        (ACCEPTED, accepted(class.refusal.as_ref())),
        ("Ready", ready::of_class(class.refusal.is_some(), &pools)),
    ];
    WorkloadClassStatus {
        observed_generation: class.generation,
        pods,
        pool_names: class.spec.as_ref().map(names),
        ready_pools: u32::try_from(ready_pools).ok(),
        conditions: turning.conditions(findings, class.generation),
    }
}

fn accepted(refusal: Option<&Refusal>) -> Finding {
    match refusal {
        None => Finding::new("True", "Accepted", "it is in the table"),
        Some(refusal) => Finding::new("False", refusal.cause.as_str(), &*refusal.message),
    }
}

/// True is bad.
fn memory_of(name: &str, spec: &GPUPoolSpec, compiled: &Compiled) -> Finding {
    let accepted = compiled
        .classes
        .iter()
        .filter(|class| class.refusal.is_none());
    let classes = accepted.filter_map(|class| Some((class.name.as_str(), class.spec.as_ref()?)));
    let over = memory::overcommitted(name, spec, classes);
    match over.first() {
        None => Finding::new(
            "False",
            "WithinBudget",
            "no classes that meet on a GPU need more than it has",
        ),
        Some(over) => Finding::new("True", "Overcommitted", over.as_str()),
    }
}

impl Turning<'_> {
    /// The conditions as they are written: the time of the last transition stays where the status does.
    fn conditions(self, findings: Vec<(&str, Finding)>, generation: Option<i64>) -> Vec<Condition> {
        let condition = |(type_, finding): (&str, Finding)| {
            let before = self.before.unwrap_or_default();
            let same = |it: &&Condition| it.type_ == type_ && it.status == finding.status;
            let since = before.iter().find(same).map(|it| &it.last_transition_time);
            Condition {
                type_: type_.to_owned(),
                status: finding.status.to_owned(),
                reason: finding.reason.to_owned(),
                message: shown::within(shown::MESSAGE, &finding.message).into_owned(),
                observed_generation: generation,
                last_transition_time: since.unwrap_or(self.now).clone(),
            }
        };
        findings.into_iter().map(condition).collect()
    }
}

impl Finding {
    fn new(status: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests;
