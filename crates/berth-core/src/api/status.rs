//! What berth writes into the status of both manifests: counts of what the scheduler sees, and conditions.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube_derive::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::conditions;

/// What berth sees of a pool. Only the replica that holds the Lease writes it.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(crates(kube_core = "::kube_core"))]
#[serde(rename_all = "camelCase")]
pub struct GPUPoolStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The pool's nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeCounts>,
    /// The GPUs of the pool's usable nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<GpuCounts>,
    /// Usable nodes whose GPUs DRA provides: how many, berth does not know, and the sums leave them out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<u32>,
    /// The classes that use the pool, by name; 64 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub classes: Vec<String>,
    /// Accepted: the pool is in berth's table. Ready: a Pod could run here when a GPU is free. TaintsAsDeclared: the
    /// nodes carry the taints that the pool declares, and no others. MemoryOvercommitted: the classes that share a GPU
    /// may together use more memory than it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

/// Counts of a pool's nodes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeCounts {
    /// Nodes that the pool selects.
    pub matched: u32,
    /// Of these, nodes that a Pod of the pool can run on: ready, not cordoned, and with no hard taint but the pool's.
    pub usable: u32,
}

/// Counts of GPUs, as the scheduler counts them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GpuCounts {
    /// GPUs that the nodes offer.
    pub allocatable: u64,
    /// GPUs that Pods on these nodes have.
    pub allocated: u64,
    /// GPUs that Pods ask for which may run here, and have no node yet.
    pub waiting: u64,
    /// What is left: allocatable less allocated and waiting. A Pod that asks for more than any of the nodes offers takes
    /// none.
    pub free: u64,
}

/// What berth sees of a class. Only the replica that holds the Lease writes it.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(crates(kube_core = "::kube_core"))]
#[serde(rename_all = "camelCase")]
pub struct WorkloadClassStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The class's Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodCounts>,
    /// The names of the class's pools in order of preference, joined by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub pool_names: Option<String>,
    /// How many of the pools are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_pools: Option<u32>,
    /// Accepted: the class is in berth's table. Ready: one of its pools is ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

/// Counts of a class's Pods.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodCounts {
    /// Pods that have a node.
    pub running: u32,
    /// Pods that wait for a node.
    pub waiting: u32,
    /// Pods with a scheduling gate: the scheduler does not look at them yet.
    pub gated: u32,
}
