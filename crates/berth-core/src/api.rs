//! The two manifests, `GPUPool` (hardware) and `WorkloadClass` (demand): the product's API.
//!
//! The bounds and rules in the schemas are what the API server can check by itself; `validate` says the same, and
//! the rest, with more words.
#![allow(
    clippy::duplicated_attributes,
    unreachable_pub,
    reason = "each printcolumn has a type; KubeSchema repeats each struct where it cannot be reached"
)]

use std::collections::BTreeSet;

use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition, JSONSchemaProps,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::LabelSelector},
};
use kube_core::CustomResourceExt;
use kube_derive::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use bounds::{
    MAX_ALIASES, MAX_CONTAINER_NAMES, MAX_ENV, MAX_ENV_NAME, MAX_ENV_VALUE, MAX_GPUS,
    MAX_HOSTNAMES, MAX_KEY, MAX_LABEL, MAX_POOL_GPUS, MAX_POOLS, MAX_RATIONALE, MAX_REPLICAS,
    MAX_RESOURCE, MAX_SUBDOMAIN, MAX_TAINTS, MIN_GPUS, MIN_POOL_GPUS, MIN_REPLICAS,
};
use schema::{
    DNS_LABEL, DNS_SUBDOMAIN, ENV_NAME, LABEL_VALUE, QUALIFIED_NAME, RESOURCE, label_selector,
    memory, with_default_gpus, without_unsigned_formats,
};

pub mod bounds;
mod schema;
mod status;

pub use status::{GPUPoolStatus, GpuCounts, NodeCounts, PodCounts, WorkloadClassStatus};

/// The nodes of the pool, and what a Pod needs to run there. A change is for Pods that are created after it.
#[derive(CustomResource, Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "berth.dev",
    version = "v1alpha1",
    kind = "GPUPool",
    category = "berth",
    crates(kube = "::kube_derive", kube_core = "::kube_core"),
    doc = "A GPUPool is one kind of GPU hardware: the nodes that have it, and what a Pod needs to run there. WorkloadClasses name \
           the pools that their Pods may use. Who may write a GPUPool can bring Pods onto any node, with its taints tolerated. \
           A berth that reads its table from files ignores such objects: only `berth serve --table-source cluster` reads them.",
    status = "GPUPoolStatus",
    shortname = "gpool",
    printcolumn(name = "Resource", type_ = "string", json_path = ".spec.resourceName"),
    printcolumn(name = "Nodes", type_ = "integer", json_path = ".status.nodes.matched"),
    printcolumn(
        name = "GPUs",
        type_ = "integer",
        json_path = ".status.gpus.allocatable"
    ),
    printcolumn(name = "Free", type_ = "integer", json_path = ".status.gpus.free"),
    printcolumn(
        name = "Waiting",
        type_ = "integer",
        json_path = ".status.gpus.waiting"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Memory",
        type_ = "string",
        json_path = ".spec.memoryPerGPU",
        priority = 1
    ),
    printcolumn(
        name = "Sharing",
        type_ = "string",
        json_path = ".spec.sharing.strategy",
        priority = 1
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = Rule::new("has(self.hostnames) != has(self.nodeSelector)")
        .message("exactly one of hostnames and nodeSelector must be set"),
    validation = Rule::new("!has(self.nodeSelector) || (has(self.nodeSelector.matchLabels) && size(self.nodeSelector.matchLabels) > 0) || (has(self.nodeSelector.matchExpressions) && size(self.nodeSelector.matchExpressions) > 0)")
        .message("an empty nodeSelector selects every node"),
    validation = Rule::new("!has(self.resourceAliases) || !(self.resourceName in self.resourceAliases)")
        .message("an alias cannot be the pool's own resource"),
    validation = Rule::new("self.resourceName.startsWith('deviceclass.resource.kubernetes.io/') || (!self.resourceName.contains('kubernetes.io/') && !self.resourceName.startsWith('requests.'))")
        .message("resourceName must be an extended resource, and not one of Kubernetes' own"),
    validation = Rule::new("!has(self.resourceAliases) || self.resourceAliases.all(it, it.startsWith('deviceclass.resource.kubernetes.io/') || (!it.contains('kubernetes.io/') && !it.startsWith('requests.')))")
        .message("an alias must be an extended resource, and not one of Kubernetes' own"),
)]
#[serde(rename_all = "camelCase")]
pub struct GPUPoolSpec {
    /// The nodes by name: the values of their label `kubernetes.io/hostname`. Set exactly one of `hostnames` and
    /// `nodeSelector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_HOSTNAMES), inner(length(min = 1, max = MAX_LABEL), regex(pattern = LABEL_VALUE)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub hostnames: Option<Vec<String>>,
    /// The nodes by their labels. An empty selector is not valid, because it would select every node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "label_selector")]
    pub node_selector: Option<LabelSelector>,
    /// The taints that the nodes have. A Pod that is placed here gets a toleration for each of them. berth does not taint
    /// nodes: with `NoSchedule`, they keep other Pods away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_TAINTS))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["key".to_owned(), "effect".to_owned()]))]
    pub taints: Vec<Taint>,
    /// The extended resource by which the nodes offer their GPUs, and which a Pod gets as a limit, for example
    /// `nvidia.com/gpu`.
    #[schemars(length(max = MAX_RESOURCE), regex(pattern = RESOURCE))]
    pub resource_name: String,
    /// Other names of the same resource. berth replaces them in a Pod by `resourceName`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ALIASES), inner(length(max = MAX_RESOURCE), regex(pattern = RESOURCE)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub resource_aliases: Vec<String>,
    /// The memory of one GPU, for example `24Gi`. `berth lint` warns where the classes that
    /// share a GPU need more together.
    #[serde(
        default,
        rename = "memoryPerGPU",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(schema_with = "memory")]
    pub memory_per_gpu: Option<Quantity>,
    /// How one GPU is shared by several Pods. If it is not set, a Pod has its GPUs alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Sharing>,
    /// How far an autoscaler may grow the pool. Set it only if there is an autoscaler for these nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// The RuntimeClass that a Pod needs on these nodes, for example `nvidia`. A Pod that names one keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SUBDOMAIN), regex(pattern = DNS_SUBDOMAIN))]
    pub runtime_class_name: Option<String>,
    /// Environment variables for the container that gets the GPU. A variable that the container has is kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ENV))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub env: Vec<EnvVar>,
}

impl GPUPoolSpec {
    /// How many Pods share one GPU.
    #[must_use]
    pub fn sharers(&self) -> u32 {
        let sharing = self
            .sharing
            .filter(|it| it.strategy != SharingStrategy::None);
        let replicas = sharing.and_then(|sharing| sharing.replicas);
        replicas.unwrap_or(1).max(1)
    }

    /// Whether another pool asks the same of the Pod itself, so that both are of one group (rule 0): aliases and
    /// environment as sets.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let aliases = |spec: &Self| {
            spec.resource_aliases
                .iter()
                .cloned()
                .collect::<BTreeSet<_>>()
        };
        let env = |spec: &Self| {
            let pairs = spec
                .env
                .iter()
                .map(|var| (var.name.clone(), var.value.clone()));
            pairs.collect::<BTreeSet<_>>()
        };
        self.resource_name == other.resource_name
            && self.runtime_class_name == other.runtime_class_name
            && aliases(self) == aliases(other)
            && env(self) == env(other)
    }
}

/// A taint as the nodes carry it.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Taint {
    /// The taint's key, a qualified name.
    #[schemars(length(min = 1, max = MAX_KEY), regex(pattern = QUALIFIED_NAME))]
    pub key: String,
    /// The taint's value. If it is not set, it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_LABEL), regex(pattern = LABEL_VALUE))]
    pub value: Option<String>,
    /// What happens to a Pod that does not tolerate the taint.
    pub effect: TaintEffect,
}

/// What a taint does to a Pod that does not tolerate it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum TaintEffect {
    /// The Pod is not scheduled there.
    NoSchedule,
    /// The scheduler tries to place the Pod elsewhere.
    PreferNoSchedule,
    /// The Pod is not scheduled there, and is evicted where it runs.
    NoExecute,
}

/// How one GPU is shared.
#[derive(Clone, Copy, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = Rule::new("(self.strategy == 'None') != has(self.replicas)")
        .message("replicas must be set with TimeSlicing and MPS, and must not be set with None")
)]
#[serde(rename_all = "camelCase")]
pub struct Sharing {
    /// The way of sharing: `None`, `TimeSlicing` (the Pods take turns) or `MPS` (NVIDIA's Multi-Process Service). It is
    /// set up in the device plugin, and berth must be told.
    pub strategy: SharingStrategy,
    /// How many Pods share one GPU, as the device plugin is set up. Only with `TimeSlicing` and `MPS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = MIN_REPLICAS, max = MAX_REPLICAS))]
    pub replicas: Option<u32>,
}

/// The ways to share a GPU.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum SharingStrategy {
    /// One Pod has the GPU alone.
    None,
    /// The device plugin advertises a GPU several times; its users take turns.
    TimeSlicing,
    /// NVIDIA's Multi-Process Service.
    MPS,
}

/// How far an autoscaler may grow a pool.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// The most GPUs that the pool has when it has grown. Up to it berth may choose the pool though no GPU is free: the
    /// autoscaler adds a node.
    #[serde(rename = "maxGPUs")]
    #[schemars(range(min = MIN_POOL_GPUS, max = MAX_POOL_GPUS))]
    pub max_gpus: u32,
}

/// An environment variable: a name and a value only.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// The variable's name.
    #[schemars(length(min = 1, max = MAX_ENV_NAME), regex(pattern = ENV_NAME))]
    pub name: String,
    /// The variable's value.
    #[serde(default)]
    #[schemars(length(max = MAX_ENV_VALUE))]
    pub value: String,
}

/// What the Pods of the class need, and who may use it. A change is for Pods that are created after it.
#[derive(CustomResource, Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "berth.dev",
    version = "v1alpha1",
    kind = "WorkloadClass",
    plural = "workloadclasses",
    category = "berth",
    crates(kube = "::kube_derive", kube_core = "::kube_core"),
    attr = "x_kube(crates(kube_core = \"::kube_core\"))",
    doc = "A WorkloadClass is what a kind of workload needs: the GPUPools that it may use, in order of preference, and how many \
           GPUs. A Pod names its class by its label workload-class (with the prefix of the group), or its namespace does. \
           A berth that reads its table from files ignores such objects: only `berth serve --table-source cluster` reads them.",
    validation = Rule::new("size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("the name is a Pod label's value, and must be a DNS label: at most 63 lower-case letters, digits and -"),
    status = "WorkloadClassStatus",
    shortname = "wclass",
    printcolumn(name = "Pools", type_ = "string", json_path = ".status.poolNames"),
    printcolumn(name = "GPUs", type_ = "integer", json_path = ".spec.gpus.default"),
    printcolumn(name = "Running", type_ = "integer", json_path = ".status.pods.running"),
    printcolumn(name = "Waiting", type_ = "integer", json_path = ".status.pods.waiting"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "Rationale", type_ = "string", json_path = ".spec.rationale", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(crates(kube_core = "::kube_core"))]
#[serde(rename_all = "camelCase")]
pub struct WorkloadClassSpec {
    /// The GPUPools that the Pods may use, in order of preference.
    #[schemars(length(min = 1, max = MAX_POOLS))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub pools: Vec<PoolReference>,
    /// How many GPUs a Pod gets, and how many it may ask for. If it is not set: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Gpus>,
    /// The GPU memory that a Pod is expected to use, for example `10Gi`. Nothing enforces it: it is added up for GPUs that
    /// are shared, to warn where it is more than a GPU has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "memory")]
    pub gpu_memory: Option<Quantity>,
    /// The containers that may get the GPU limit, by name: the first one that the Pod has. Of a Pod without
    /// any of them, the annotation `berth.dev/container` or a GPU limit says which, if it has several containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_CONTAINER_NAMES), inner(length(min = 1, max = MAX_LABEL), regex(pattern = DNS_LABEL)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub container_names: Vec<String>,
    /// The namespaces that may use the class, by their labels. If it is not set, every namespace may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "label_selector")]
    pub namespace_selector: Option<LabelSelector>,
    /// The scheduler for the Pods. A Pod that names another one than the default keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SUBDOMAIN), regex(pattern = DNS_SUBDOMAIN))]
    pub scheduler_name: Option<String>,
    /// Why the class is as it is, for people to read. berth does not use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_RATIONALE))]
    pub rationale: Option<String>,
}

/// Names a `GPUPool`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolReference {
    /// The pool's name.
    #[schemars(length(min = 1, max = MAX_SUBDOMAIN), regex(pattern = DNS_SUBDOMAIN))]
    pub name: String,
}

/// How many GPUs a Pod of the class gets.
#[derive(Clone, Copy, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = Rule::new("!has(self.max) || (has(self.default) ? self.default : 1) <= self.max")
        .message("max is below default (1 if it is not set)")
)]
#[serde(rename_all = "camelCase")]
pub struct Gpus {
    /// How many a Pod gets that does not ask for any. If it is not set: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = MIN_GPUS, max = MAX_GPUS))]
    pub default: Option<u32>,
    /// How many a Pod may ask for at most. If it is not set: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = MIN_GPUS, max = MAX_GPUS))]
    pub max: Option<u32>,
}

/// The definitions of both manifests.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    let of_pools = with_schema(GPUPool::crd(), without_unsigned_formats);
    let of_classes = with_schema(WorkloadClass::crd(), |schema| {
        without_unsigned_formats(schema);
        with_default_gpus(schema);
    });
    vec![of_pools, of_classes]
}

/// The definition with its schemas changed.
fn with_schema(
    mut definition: CustomResourceDefinition,
    change: impl FnMut(&mut JSONSchemaProps),
) -> CustomResourceDefinition {
    let versions = definition.spec.versions.iter_mut();
    let schemas = versions.filter_map(|it| it.schema.as_mut()?.open_api_v3_schema.as_mut());
    schemas.for_each(change);
    definition
}

impl TaintEffect {
    /// The effect that Kubernetes writes so.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let all = [Self::NoSchedule, Self::PreferNoSchedule, Self::NoExecute];
        all.into_iter().find(|effect| effect.as_str() == text)
    }

    /// The effect as Kubernetes writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}
