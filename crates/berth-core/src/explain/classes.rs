//! What a namespace may use.

use serde::Serialize;

use super::Facts;
use crate::{
    api::{WorkloadClassSpec, WorkloadClassStatus},
    objects::Judged,
};

/// The classes of a namespace.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Classes {
    /// The namespace.
    pub namespace: String,
    /// What it may use, by name.
    pub classes: Vec<ClassLine>,
    /// What berth said instead, where the classes may not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// What could not be read.
    pub unread: Vec<String>,
}

/// One class that a namespace may use.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassLine {
    /// Its name.
    pub name: String,
    /// Its pools, in order of preference.
    pub pools: Vec<PoolLine>,
    /// The GPUs of a Pod that asks for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_gpus: Option<u32>,
    /// The most that a Pod may ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_gpus: Option<u32>,
    /// Whether a Pod could run when a GPU is free; none where berth did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Why the class is as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rationale: Option<String>,
}

/// A pool of a class.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolLine {
    /// Its name.
    pub name: String,
    /// Its GPUs that are free, less those that Pods wait for; none where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// Its GPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocatable: Option<u64>,
}

/// The classes that a namespace may use, with what is free now, or what berth wrote where Nodes and Pods may not be read.
#[must_use]
pub fn classes(namespace: &str, facts: &Facts) -> Classes {
    let open = facts.view.table.open_to(facts.view.namespace(namespace));
    let lines = open.map(|name| {
        let mut judged = facts.compiled.classes.iter();
        let judged = judged.find(|class| class.name == name);
        line(name, judged, facts)
    });
    Classes {
        namespace: namespace.to_owned(),
        classes: lines.collect(),
        said: None,
        unread: facts.unread.clone(),
    }
}

fn line(name: &str, judged: Option<&Judged<WorkloadClassSpec>>, facts: &Facts) -> ClassLine {
    let spec = judged.and_then(|it| it.spec.as_ref());
    let pools = spec.iter().flat_map(|it| &it.pools);
    let gpus = spec.and_then(|it| it.gpus);
    let default = gpus.and_then(|it| it.default).unwrap_or(1);
    let status = facts.statuses.classes.get(name);
    // what a table without the pools says of a class is not so
    let refusal = judged.and_then(|it| it.refusal.as_ref());
    let refusal = refusal
        .filter(|_| facts.sees_pools)
        .map(|it| it.message.clone());
    let (ready, message) = match refusal {
        Some(message) => (Some(false), Some(message)),
        None => status.map_or((None, None), readiness),
    };
    ClassLine {
        name: name.to_owned(),
        pools: pools.map(|it| facts.pool_line(&it.name)).collect(),
        default_gpus: spec.map(|_| default),
        max_gpus: spec.map(|_| gpus.and_then(|it| it.max).unwrap_or(default)),
        ready,
        message,
        rationale: spec.and_then(|it| it.rationale.clone()),
    }
}

/// What the condition Ready says.
fn readiness(status: &WorkloadClassStatus) -> (Option<bool>, Option<String>) {
    let ready = status.conditions.iter().find(|it| it.type_ == "Ready");
    match ready.map(|it| (it.status.as_str(), it.message.clone())) {
        Some(("True", _)) => (Some(true), None),
        Some(("False", message)) => (Some(false), Some(message)),
        _ => (None, None),
    }
}

impl Facts {
    /// A pool with its free GPUs, where all of them are known.
    fn pool_line(&self, name: &str) -> PoolLine {
        let status = self.statuses.pools.get(name);
        let status = status.filter(|it| it.unknown.unwrap_or_default() == 0);
        let gpus = status.and_then(|it| it.gpus);
        PoolLine {
            name: name.to_owned(),
            free: gpus.map(|it| it.free),
            allocatable: gpus.map(|it| it.allocatable),
        }
    }
}

impl ClassLine {
    /// The pools' names, joined by commas.
    #[must_use]
    pub fn pool_names(&self) -> String {
        let names: Vec<&str> = self.pools.iter().map(|it| it.name.as_str()).collect();
        names.join(",")
    }

    /// `1`, or `1 to 4`.
    #[must_use]
    pub fn gpus(&self) -> String {
        match (self.default_gpus, self.max_gpus) {
            (Some(default), Some(max)) if default < max => format!("{default} to {max}"),
            (Some(default), _) => default.to_string(),
            (None, _) => "-".to_owned(),
        }
    }

    /// `1 of 2` over all pools; `1 of 2 and unknown` where of some it is not known.
    #[must_use]
    pub fn free(&self) -> String {
        let known = || {
            self.pools
                .iter()
                .filter_map(|it| it.free.zip(it.allocatable))
        };
        if known().next().is_none() {
            return "unknown".to_owned();
        }
        let (free, all) = known().fold((0, 0), |(free, all), it| (free + it.0, all + it.1));
        let is_all = known().count() == self.pools.len();
        let rest = if is_all { "" } else { " and unknown" };
        format!("{free} of {all}{rest}")
    }
}
