//! What the statuses of both manifests say: from the verdicts on the objects and the fleet alone, so that equal input gives
//! equal bytes, and nothing is written that does not change.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::{
    api::{GPUPoolSpec, GPUPoolStatus, WorkloadClassSpec, WorkloadClassStatus},
    fleet::{Fleet, PoolSurvey},
    memory,
    objects::{Compiled, Judged, Refusal},
    shown,
};

mod ready;

/// So many classes are named in a pool's status.
const CLASSES: usize = 64;

/// What is known of Nodes and Pods.
#[derive(Clone, Copy, Debug)]
pub enum Sight<'f> {
    /// Nothing: berth may not read them.
    Off,
    /// Everything that the fleet has seen, once it has seen all of it.
    Fleet(&'f Fleet),
}

/// The status of every object, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statuses {
    /// Of the pools.
    pub pools: BTreeMap<String, GPUPoolStatus>,
    /// Of the classes.
    pub classes: BTreeMap<String, WorkloadClassStatus>,
}

/// A condition's value: the status, the reason and the message.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Finding {
    status: &'static str,
    reason: &'static str,
    message: String,
}

/// The status that each object should have. The time is that of conditions which turn now.
#[must_use]
pub fn statuses(compiled: &Compiled, sight: Sight<'_>, now: &Time) -> Statuses {
    let surveys = match sight {
        Sight::Fleet(fleet) if fleet.is_synced() => fleet.survey(),
        Sight::Fleet(_) | Sight::Off => Vec::new(),
    };
    let surveys: BTreeMap<&str, &PoolSurvey> =
        surveys.iter().map(|it| (it.name.as_str(), it)).collect();
    let (mut pools, mut ready) = (BTreeMap::new(), BTreeMap::new());
    for pool in &compiled.pools {
        let survey = surveys.get(pool.name.as_str()).copied();
        let finding = ready::of_pool(pool, sight, survey);
        let status = of_pool(pool, compiled, survey, &finding, now);
        pools.insert(pool.name.clone(), status);
        ready.insert(pool.name.as_str(), finding);
    }
    let classes = compiled.classes.iter();
    let classes = classes.map(|class| (class.name.clone(), of_class(class, sight, &ready, now)));
    Statuses {
        pools,
        classes: classes.collect(),
    }
}

fn of_pool(
    pool: &Judged<GPUPoolSpec, GPUPoolStatus>,
    compiled: &Compiled,
    survey: Option<&PoolSurvey>,
    ready: &Finding,
    now: &Time,
) -> GPUPoolStatus {
    let uses = |class: &&Judged<WorkloadClassSpec, WorkloadClassStatus>| {
        let pools = class.spec.iter().flat_map(|spec| &spec.pools);
        pools.into_iter().any(|it| it.name == pool.name)
    };
    let classes = compiled.classes.iter().filter(uses);
    let mut findings = vec![
        ("Accepted", accepted(pool.refusal.as_ref())),
        ("Ready", ready.clone()),
    ];
    if pool.refusal.is_none() {
        findings.extend(survey.map(|it| ("TaintsAsDeclared", ready::taints(it))));
        let memory = pool
            .spec
            .as_ref()
            .map(|spec| memory_of(&pool.name, spec, compiled));
        findings.extend(memory.map(|it| ("MemoryOvercommitted", it)));
    }
    let old = pool.status.as_ref().map(|it| &*it.conditions);
    GPUPoolStatus {
        observed_generation: pool.generation,
        nodes: survey.map(|it| it.nodes),
        gpus: survey.map(|it| it.gpus),
        unknown: survey.map(|it| if it.is_provided { it.empty.count } else { 0 }),
        classes: classes
            .map(|class| class.name.clone())
            .take(CLASSES)
            .collect(),
        conditions: conditions(findings, pool.generation, old.unwrap_or_default(), now),
    }
}

fn of_class(
    class: &Judged<WorkloadClassSpec, WorkloadClassStatus>,
    sight: Sight<'_>,
    ready: &BTreeMap<&str, Finding>,
    now: &Time,
) -> WorkloadClassStatus {
    let pods = match sight {
        Sight::Fleet(fleet) if fleet.is_synced() => Some(fleet.class_pods(&class.name)),
        Sight::Fleet(_) | Sight::Off => None,
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
        ("Accepted", accepted(class.refusal.as_ref())),
        ("Ready", ready::of_class(class.refusal.is_some(), &pools)),
    ];
    let old = class.status.as_ref().map(|it| &*it.conditions);
    WorkloadClassStatus {
        observed_generation: class.generation,
        pods,
        pool_names: class.spec.as_ref().map(names),
        ready_pools: u32::try_from(ready_pools).ok(),
        conditions: conditions(findings, class.generation, old.unwrap_or_default(), now),
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

/// The conditions as they are written: the time of the last transition stays where the status does.
fn conditions(
    findings: Vec<(&str, Finding)>,
    generation: Option<i64>,
    old: &[Condition],
    now: &Time,
) -> Vec<Condition> {
    let condition = |(type_, finding): (&str, Finding)| {
        let mut before = old.iter().filter(|it| it.type_ == type_);
        let same = before.find(|it| it.status == finding.status);
        Condition {
            type_: type_.to_owned(),
            status: finding.status.to_owned(),
            reason: finding.reason.to_owned(),
            message: shown::within(shown::MESSAGE, &finding.message).into_owned(),
            observed_generation: generation,
            last_transition_time: same
                .map_or_else(|| now.clone(), |it| it.last_transition_time.clone()),
        }
    };
    findings.into_iter().map(condition).collect()
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
