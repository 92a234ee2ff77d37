//! A group as a pool and a class, with comments.

use serde_json::{Value, json};

use super::{
    group::{Group, Select},
    product,
};
use crate::yaml::emit::{Dialect, flow};

/// The manifests of a group. Names of nodes and values of labels stand in quotes where YAML would read them otherwise,
/// and comments have no text that could end their line.
pub(super) fn manifests(group: &Group) -> String {
    let mut text = String::new();
    let nodes = group.nodes.len();
    let plural = if nodes == 1 { "node" } else { "nodes" };
    let each = match group.counts {
        (least, most) if least == most => format!("{least}"),
        (least, most) => format!("{least} to {most}"),
    };
    let line = |text: &mut String, line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    line(
        &mut text,
        &comment(&format!(
            "{nodes} {plural} with {each} of {}: {}",
            group.resource,
            group.named()
        )),
    );
    for unknown in unknown(group) {
        line(&mut text, &comment(&unknown));
    }
    line(
        &mut text,
        "apiVersion: berth.dev/v1alpha1\nkind: GPUPool\nmetadata:",
    );
    line(
        &mut text,
        &format!("  name: {}\nspec:", inline(&json!(group.name))),
    );
    for (field, why) in spec(group) {
        let why = why.map_or_else(String::new, |why| format!("   # {why}"));
        line(&mut text, &format!("  {field}{why}"));
    }
    line(&mut text, "---");
    line(
        &mut text,
        "# what a Pod names in its label berth.dev/workload-class: rename it after the workload, as vllm",
    );
    line(
        &mut text,
        "apiVersion: berth.dev/v1alpha1\nkind: WorkloadClass\nmetadata:",
    );
    let name = inline(&json!(group.name));
    line(
        &mut text,
        &format!("  name: {name}\nspec:\n  pools: [{{name: {name}}}]"),
    );
    text
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
