//! Who has the GPUs of a node.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::OwnerReference, jiff::Timestamp};
use serde::Serialize;

use super::age;
use crate::fleet::{PodView, SeenPod};

/// The label that a Deployment puts on Pods: the name of their `ReplicaSet` is its own with this label's value.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// A Pod that has GPUs of a node, or for which they are kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Holder {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its node.
    pub node: String,
    /// What it asks for of each extended resource.
    pub demand: Vec<(String, u32)>,
    /// When it was created.
    pub since: Option<Timestamp>,
    /// Who can give it up: what to scale, as `deploy/xtts`.
    pub scaled_by: Option<String>,
    /// Whether room is made for it there; else it is on the node.
    pub is_nominated: bool,
}

/// A holder as it is shown.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TakenBy {
    /// Its namespace and name.
    pub pod: String,
    /// Its GPUs.
    pub gpus: u32,
    /// Its age.
    pub age: String,
    /// Whether room is made for it.
    pub is_nominated: bool,
    /// What to scale to give the GPU up, as `deploy/xtts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaled_by: Option<String>,
    /// Its namespace.
    #[serde(skip)]
    pub(super) namespace: String,
}

impl Holder {
    /// The Pod, if it has something of a node.
    #[must_use]
    pub fn of(pod: &PodView, seen: &SeenPod) -> Option<Self> {
        if seen.demand.is_empty() {
            return None;
        }
        let metadata = &pod.metadata;
        Some(Self {
            namespace: seen.namespace.clone(),
            name: metadata.name.clone().unwrap_or_default(),
            node: seen.node.clone().or_else(|| seen.nominated.clone())?,
            demand: seen.demand.clone(),
            since: metadata.creation_timestamp.as_ref().map(|it| it.0),
            scaled_by: scaled_by(pod),
            is_nominated: seen.node.is_none(),
        })
    }

    pub(super) fn gpus(&self, resource: &str) -> u32 {
        let mut demand = self.demand.iter();
        let of = demand.find(|(name, _)| name == resource);
        of.map_or(0, |(_, amount)| *amount)
    }

    pub(super) fn shown(&self, resource: &str, now: Timestamp) -> TakenBy {
        TakenBy {
            pod: format!("{}/{}", self.namespace, self.name),
            gpus: self.gpus(resource),
            age: self.since.map_or_else(String::new, |since| age(since, now)),
            is_nominated: self.is_nominated,
            scaled_by: self.scaled_by.clone(),
            namespace: self.namespace.clone(),
        }
    }
}

/// What to scale to have fewer of the Pod, as `deploy/xtts`.
pub(super) fn scaled_by(pod: &PodView) -> Option<String> {
    let owners = pod.metadata.owner_references.iter().flatten();
    let OwnerReference { kind, name, .. } =
        owners.into_iter().find(|it| it.controller == Some(true))?;
    let hash = pod
        .metadata
        .labels
        .as_ref()
        .and_then(|it| it.get(TEMPLATE_HASH));
    let deployment = hash.and_then(|hash| name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    match (&**kind, deployment) {
        ("ReplicaSet", Some(deployment)) => Some(format!("deploy/{deployment}")),
        ("ReplicaSet", None) => Some(format!("rs/{name}")),
        ("StatefulSet", _) => Some(format!("sts/{name}")),
        _ => None,
    }
}
