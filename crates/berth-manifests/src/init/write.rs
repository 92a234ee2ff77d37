//! A group as a pool and a class, with comments.

use berth_core::names::{CLASS_LABEL, GROUP, VERSION};
use serde_json::{Value, json};

use super::{
    group::{Group, Select},
    product,
};
use crate::yaml::emit::{Dialect, flow};

/// The manifests of a group. Names of nodes and values of labels stand in quotes where YAML would read them otherwise,
/// and comments have no text that could end their line.
pub(super) fn manifests(group: &Group) -> String {
    let nodes = group.nodes.len();
    let plural = if nodes == 1 { "node" } else { "nodes" };
    let each = match group.counts {
        (least, most) if least == most => format!("{least}"),
        (least, most) => format!("{least} to {most}"),
    };
    let (resource, named) = (&group.resource, group.named());
    let mut lines = vec![comment(&format!(
        "{nodes} {plural} with {each} of {resource}: {named}"
    ))];
    lines.extend(unknown(group).iter().map(|it| comment(it)));
    let name = inline(&json!(group.name));
    lines.push(head("GPUPool", &name));
    lines.extend(spec(group).into_iter().map(|(field, why)| {
        let why = why.map_or_else(String::new, |why| format!("   # {why}"));
        format!("  {field}{why}")
    }));
    lines.push("---".to_owned());
    lines.push(comment(&format!(
        "what a Pod names in its label {CLASS_LABEL}: rename it after the workload, as vllm"
    )));
    lines.push(head("WorkloadClass", &name));
    lines.push(format!("  pools: [{{name: {name}}}]"));
    lines.join("\n") + "\n"
}

/// What comes before the fields of a spec.
fn head(kind: &str, name: &str) -> String {
    format!("apiVersion: {GROUP}/{VERSION}\nkind: {kind}\nmetadata:\n  name: {name}\nspec:")
}

/// The fields of the pool, each in a line, with why they are there.
fn spec(group: &Group) -> Vec<(String, Option<String>)> {
    let mut fields = Vec::new();
    let mut add = |name: &str, value: &Value, why: Option<&str>| {
        fields.push((format!("{name}: {}", inline(value)), why.map(str::to_owned)));
    };
    match &group.select {
        Select::Label(key, value) => add(
            "nodeSelector",
            &json!({"matchLabels": {*key: value}}),
            Some("no other node with this resource has this label"),
        ),
        Select::Hostnames(names) => add("hostnames", &json!(names), None),
    }
    if !group.taints.is_empty() {
        let taints = group.taints.iter().map(|(key, value, effect)| match value {
            Some(value) => json!({"key": key, "value": value, "effect": effect}),
            None => json!({"key": key, "effect": effect}),
        });
        add("taints", &taints.collect(), Some("as the nodes have them"));
    }
    add("resourceName", &json!(group.resource), None);
    let other = match &*group.resource {
        "gpu.intel.com/i915" => Some("gpu.intel.com/xe"),
        "gpu.intel.com/xe" => Some("gpu.intel.com/i915"),
        _ => None,
    };
    if let Some(other) = other {
        add(
            "resourceAliases",
            &json!([other]),
            Some("the name with the other driver: a Pod may use either"),
        );
    }
    if let Some(memory) = product::memory(&group.resource, &group.labels) {
        add("memoryPerGPU", &json!(memory), None);
    }
    if let Some((strategy, replicas)) = product::sharing(&group.resource, &group.labels) {
        add(
            "sharing",
            &json!({"strategy": strategy, "replicas": replicas}),
            None,
        );
    }
    if group.is_talos && group.resource.starts_with("nvidia.com/") {
        add(
            "runtimeClassName",
            &json!("nvidia"),
            Some("Talos does not use NVIDIA's runtime by default"),
        );
    }
    if let Some(quirk) = product::quirk(&group.labels) {
        let (name, value) = quirk.env;
        add(
            "env",
            &json!([{"name": name, "value": value}]),
            Some(quirk.why),
        );
    }
    fields
}

/// What the Nodes do not say, and people know.
fn unknown(group: &Group) -> Vec<String> {
    let mut unknown = Vec::new();
    let is_nvidia = group.resource.starts_with("nvidia.com/");
    if product::product(&group.resource, &group.labels).is_none() {
        unknown.push(
            "not known: the model. No label says it; if the nodes have different GPUs, make a pool for each".to_owned(),
        );
    }
    if product::memory(&group.resource, &group.labels).is_none() {
        unknown.push("not known: memoryPerGPU".to_owned());
    }
    let is_shared = product::sharing(&group.resource, &group.labels).is_some();
    let says = group.labels.contains_key("nvidia.com/gpu.replicas");
    if group.counts.1 > 1 && !is_shared && !says {
        unknown.push(
            "not known: whether one GPU is shared. If a node has fewer cards than it says, add sharing".to_owned(),
        );
    }
    if is_nvidia && !group.is_talos {
        unknown.push(
            "not known: whether containers see the GPU without runtimeClassName: nvidia. They do with GPU operator and CDI, and not on k3s"
                .to_owned(),
        );
    }
    unknown
}

fn inline(value: &Value) -> String {
    flow(value, Dialect::Yaml)
}

/// A comment of one line, whatever a name has in it.
fn comment(text: &str) -> String {
    format!("# {}", berth_core::shown::message(text))
}
