//! The two manifests, `GPUPool` (hardware) and `WorkloadClass` (demand): the product's API.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::LabelSelector};
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The API group of both manifests; its name is also the prefix of every label and annotation of ours.
pub const GROUP: &str = "berth.dev";
/// The API version of both manifests.
pub const VERSION: &str = "v1alpha1";

/// The definitions of both manifests.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![GPUPool::crd(), WorkloadClass::crd()]
}

/// One kind of GPU hardware: the nodes that carry it, and what a Pod needs to run there.
#[derive(CustomResource, Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(group = "berth.dev", version = "v1alpha1", kind = "GPUPool")]
#[serde(rename_all = "camelCase")]
pub struct GPUPoolSpec {
    /// Values of the node label `kubernetes.io/hostname`; exactly one of `hostnames` and `nodeSelector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostnames: Option<Vec<String>>,
    /// Selects the pool's nodes by their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
    /// The taints that the nodes carry; each gets a toleration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// The extended resource that a Pod asks for here.
    pub resource_name: String,
    /// Other names under which a Pod may have asked for it; rewritten to `resourceName`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_aliases: Vec<String>,
    /// The memory of one GPU.
    #[serde(
        default,
        rename = "memoryPerGPU",
        skip_serializing_if = "Option::is_none"
    )]
    pub memory_per_gpu: Option<Quantity>,
    /// How one GPU is shared by several Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Sharing>,
    /// The runtime class that a Pod needs here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// Environment variables that a Pod's containers need here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
}

/// A taint as the nodes carry it.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Taint {
    /// The taint's key, a qualified name.
    pub key: String,
    /// The taint's value; empty where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sharing {
    /// The way of sharing.
    pub strategy: SharingStrategy,
    /// How many Pods share one GPU; with `TimeSlicing` and `MPS` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    pub name: String,
    /// The variable's value.
    #[serde(default)]
    pub value: String,
}

/// What a kind of workload needs: the pools it may use, in order of preference, and how many GPUs.
#[derive(CustomResource, Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "berth.dev",
    version = "v1alpha1",
    kind = "WorkloadClass",
    plural = "workloadclasses"
)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadClassSpec {
    /// The pools that the class may use, in order of preference.
    pub pools: Vec<PoolReference>,
    /// How many GPUs a Pod gets and may ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Gpus>,
    /// Expected use, for the memory budget of a shared GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_memory: Option<Quantity>,
    /// Which container gets the limit: the first of these that the Pod has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub container_names: Vec<String>,
    /// Who may use the class; absent means every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// The scheduler that places the Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler_name: Option<String>,
    /// Why the class is as it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rationale: Option<String>,
}

/// Names a `GPUPool`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolReference {
    /// The pool's name.
    pub name: String,
}

/// How many GPUs a Pod of the class gets.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gpus {
    /// Given to a Pod that asks for none; 1 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<u32>,
    /// The most that a Pod may ask for; `default` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
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
