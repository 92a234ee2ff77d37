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
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::LabelSelector},
};
use kube_core::CustomResourceExt;
use kube_derive::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What a label's value may be, and a taint's.
const LABEL_VALUE: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";
/// What a label's key may be, and a taint's.
const QUALIFIED_NAME: &str =
    "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";
/// A qualified name with its prefix.
const RESOURCE: &str = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";
/// A DNS label.
const DNS_LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// A DNS subdomain.
const DNS_SUBDOMAIN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// An environment variable's name.
const ENV_NAME: &str = "^[ -<>-~]+$";
/// An amount of memory.
const MEMORY: &str = "^[+]?[0-9]*[.]?[0-9]+([KMGTPE]i|[kMGTPE]|[eE][0-9]+)?$";

/// One kind of GPU hardware: the nodes that carry it, and what a Pod needs to run there.
#[derive(CustomResource, Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "berth.dev",
    version = "v1alpha1",
    kind = "GPUPool",
    category = "berth",
    crates(kube = "::kube_derive", kube_core = "::kube_core"),
    doc = "One kind of GPU hardware: the nodes that carry it, and what a Pod needs to run there.",
    printcolumn(name = "Resource", type_ = "string", json_path = ".spec.resourceName"),
    printcolumn(name = "Memory", type_ = "string", json_path = ".spec.memoryPerGPU"),
    printcolumn(
        name = "Sharing",
        type_ = "string",
        json_path = ".spec.sharing.strategy"
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
        .message("exactly one of hostnames and nodeSelector"),
    validation = Rule::new("!has(self.nodeSelector) || (has(self.nodeSelector.matchLabels) && size(self.nodeSelector.matchLabels) > 0) || (has(self.nodeSelector.matchExpressions) && size(self.nodeSelector.matchExpressions) > 0)")
        .message("an empty nodeSelector selects every node"),
    validation = Rule::new("!has(self.resourceAliases) || !(self.resourceName in self.resourceAliases)")
        .message("an alias is the pool's own resource"),
)]
#[serde(rename_all = "camelCase")]
pub struct GPUPoolSpec {
    /// Values of the node label `kubernetes.io/hostname`; exactly one of `hostnames` and `nodeSelector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), inner(length(min = 1, max = 63), regex(pattern = LABEL_VALUE)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub hostnames: Option<Vec<String>>,
    /// Selects the pool's nodes by their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "label_selector")]
    pub node_selector: Option<LabelSelector>,
    /// The taints that the nodes carry; each gets a toleration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["key".to_owned(), "effect".to_owned()]))]
    pub taints: Vec<Taint>,
    /// The extended resource that a Pod asks for here.
    #[schemars(length(max = 253), regex(pattern = RESOURCE))]
    pub resource_name: String,
    /// Other names under which a Pod may have asked for it; rewritten to `resourceName`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253), regex(pattern = RESOURCE)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub resource_aliases: Vec<String>,
    /// The memory of one GPU.
    #[serde(
        default,
        rename = "memoryPerGPU",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(schema_with = "memory")]
    pub memory_per_gpu: Option<Quantity>,
    /// How one GPU is shared by several Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Sharing>,
    /// The runtime class that a Pod needs here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_SUBDOMAIN))]
    pub runtime_class_name: Option<String>,
    /// Environment variables that a Pod's containers need here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub env: Vec<EnvVar>,
}

impl GPUPoolSpec {
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
    #[schemars(length(min = 1, max = 317), regex(pattern = QUALIFIED_NAME))]
    pub key: String,
    /// The taint's value; empty where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = LABEL_VALUE))]
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
        .message("replicas go with TimeSlicing and MPS, and these with replicas")
)]
#[serde(rename_all = "camelCase")]
pub struct Sharing {
    /// The way of sharing.
    pub strategy: SharingStrategy,
    /// How many Pods share one GPU; with `TimeSlicing` and `MPS` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 1024))]
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

/// An environment variable: a name and a value only.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// The variable's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = ENV_NAME))]
    pub name: String,
    /// The variable's value.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// What a kind of workload needs: the pools it may use, in order of preference, and how many GPUs.
#[derive(CustomResource, Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "berth.dev",
    version = "v1alpha1",
    kind = "WorkloadClass",
    plural = "workloadclasses",
    category = "berth",
    crates(kube = "::kube_derive", kube_core = "::kube_core"),
    attr = "x_kube(crates(kube_core = \"::kube_core\"))",
    doc = "What a kind of workload needs: the pools it may use, in order of preference, and how many GPUs.",
    validation = Rule::new("size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("the name is a Pod label's value, and must be a DNS label: lower-case letters, digits and -, at most 63"),
    printcolumn(name = "Pools", type_ = "string", json_path = ".spec.pools[*].name"),
    printcolumn(name = "GPUs", type_ = "integer", json_path = ".spec.gpus.default"),
    printcolumn(name = "Rationale", type_ = "string", json_path = ".spec.rationale", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(crates(kube_core = "::kube_core"))]
#[serde(rename_all = "camelCase")]
pub struct WorkloadClassSpec {
    /// The pools that the class may use, in order of preference.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub pools: Vec<PoolReference>,
    /// How many GPUs a Pod gets and may ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Gpus>,
    /// Expected use, for the memory budget of a shared GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "memory")]
    pub gpu_memory: Option<Quantity>,
    /// Which container gets the limit: the first of these that the Pod has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63), regex(pattern = DNS_LABEL)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub container_names: Vec<String>,
    /// Who may use the class; absent means every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "label_selector")]
    pub namespace_selector: Option<LabelSelector>,
    /// The scheduler that places the Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_SUBDOMAIN))]
    pub scheduler_name: Option<String>,
    /// Why the class is as it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub rationale: Option<String>,
}

/// Names a `GPUPool`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolReference {
    /// The pool's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_SUBDOMAIN))]
    pub name: String,
}

/// How many GPUs a Pod of the class gets.
#[derive(Clone, Copy, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = Rule::new("!has(self.max) || (has(self.default) ? self.default : 1) <= self.max")
        .message("default (1 where absent) is above max")
)]
#[serde(rename_all = "camelCase")]
pub struct Gpus {
    /// Given to a Pod that asks for none; 1 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub default: Option<u32>,
    /// The most that a Pod may ask for; `default` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub max: Option<u32>,
}

/// The definitions of both manifests.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![GPUPool::crd(), WorkloadClass::crd()]
}

impl TaintEffect {
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

/// A standard `LabelSelector`, with the bounds that its own type lacks.
fn label_selector(_: &mut schemars::SchemaGenerator) -> Schema {
    let key =
        json!({"type": "string", "minLength": 1, "maxLength": 317, "pattern": QUALIFIED_NAME});
    let value = json!({"type": "string", "maxLength": 63, "pattern": LABEL_VALUE});
    let schema = json!({
        "type": "object",
        "nullable": true,
        "properties": {
            "matchLabels": {
                "description": "Labels that must be there with this value.",
                "type": "object", "maxProperties": 32, "additionalProperties": value,
            },
            "matchExpressions": {
                "description": "Requirements that must all hold.",
                "type": "array", "maxItems": 32,
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": merge(key, "The label."),
                        "operator": {
                            "description": "How the label is compared with the values.",
                            "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                        },
                        "values": {
                            "description": "For In and NotIn, and for these alone.",
                            "type": "array", "maxItems": 1024, "items": value,
                        },
                    },
                },
            },
        },
    });
    schema.try_into().expect("an object is a schema")
}

/// A `Quantity`, with the bounds that its own type lacks.
fn memory(_: &mut schemars::SchemaGenerator) -> Schema {
    let schema = json!({"x-kubernetes-int-or-string": true, "nullable": true, "maxLength": 32, "pattern": MEMORY});
    schema.try_into().expect("an object is a schema")
}

fn merge(mut schema: serde_json::Value, description: &str) -> serde_json::Value {
    schema["description"] = json!(description);
    schema
}
