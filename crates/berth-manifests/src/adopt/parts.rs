//! The parts of a template that a class may make needless, and how they are taken out.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::workload::{PodTemplate, unescaped};
use berth_core::{
    json::pointer_segment,
    table::{Allocation, AllocationTable},
};

/// The containers of a Pod.
const CONTAINERS: [&str; 2] = ["initContainers", "containers"];
const REQUIRED: &str = "affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";

/// Something that was written by hand: what is removed together.
pub(super) struct Part(Vec<String>);

/// The parts, each behind those that its removal would move.
pub(super) fn parts(
    object: &Value,
    template: &PodTemplate,
    class: &Allocation,
    table: &AllocationTable,
) -> Vec<Part> {
    let spec = &template.spec;
    let Some(pod) = object.pointer(spec) else {
        return Vec::new();
    };
    let mut parts: Vec<Part> = Vec::new();
    let mut one = |pointer: String| parts.push(Part(vec![pointer]));
    for name in ["runtimeClassName", "schedulerName"] {
        if pod.get(name).is_some() {
            one(format!("{spec}/{name}"));
        }
    }
    let taints = class.groups.iter().flat_map(|group| &group.taints);
    let keys: BTreeSet<&str> = taints.map(|taint| &*taint.key).collect();
    for (i, toleration) in elements(&pod["tolerations"]).enumerate().rev() {
        // who may stay for some time only says more than a class does
        let is_ours = toleration["key"]
            .as_str()
            .is_some_and(|key| keys.contains(key));
        if is_ours && toleration.get("tolerationSeconds").is_none() {
            one(format!("{spec}/tolerations/{i}"));
        }
    }
    for key in pod["nodeSelector"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|it| it.0)
    {
        one(format!("{spec}/nodeSelector/{}", pointer_segment(key)));
    }
    let terms = format!("{spec}/{REQUIRED}/nodeSelectorTerms");
    if let Some(found) = object.pointer(&terms) {
        one(format!("{spec}/{REQUIRED}"));
        for (i, term) in elements(found).enumerate().rev() {
            for (j, _) in elements(&term["matchExpressions"]).enumerate().rev() {
                one(format!("{terms}/{i}/matchExpressions/{j}"));
            }
        }
    }
    for list in CONTAINERS {
        for (i, container) in elements(&pod[list]).enumerate() {
            of_container(
                &format!("{spec}/{list}/{i}"),
                container,
                class,
                table,
                &mut parts,
            );
        }
    }
    parts
}

fn of_container(
    path: &str,
    container: &Value,
    class: &Allocation,
    table: &AllocationTable,
    parts: &mut Vec<Part>,
) {
    let amounts = |of: &str| {
        container["resources"][of]
            .as_object()
            .cloned()
            .unwrap_or_default()
    };
    let (limits, requests) = (amounts("limits"), amounts("requests"));
    let resources: BTreeSet<&String> = limits.keys().chain(requests.keys()).collect();
    for resource in resources.into_iter().filter(|it| table.is_gpu(it)) {
        let of = [("limits", &limits), ("requests", &requests)];
        let of = of
            .into_iter()
            .filter(|(_, amounts)| amounts.contains_key(resource));
        let pointers =
            of.map(|(of, _)| format!("{path}/resources/{of}/{}", pointer_segment(resource)));
        parts.push(Part(pointers.collect()));
    }
    let names = class.groups.iter().flat_map(|group| &group.env);
    let names: BTreeSet<&str> = names.map(|it| &*it.text).collect();
    for (i, variable) in elements(&container["env"]).enumerate().rev() {
        if variable["name"]
            .as_str()
            .is_some_and(|name| names.contains(name))
        {
            parts.push(Part(vec![format!("{path}/env/{i}")]));
        }
    }
}

impl Part {
    /// Where it is, or the first of what is removed together.
    pub(super) fn pointer(&self) -> &str {
        self.0.first().map(String::as_str).unwrap_or_default()
    }

    /// Takes it out, and what is empty then.
    pub(super) fn remove(&self, object: &mut Value, template: &PodTemplate) {
        for pointer in &self.0 {
            let mut pointer = pointer.as_str();
            remove(object, pointer);
            while let Some((above, _)) = pointer.rsplit_once('/') {
                let is_empty = object
                    .pointer(above)
                    .is_some_and(|it| *it == json!({}) || *it == json!([]));
                if !is_empty || above.len() <= template.spec.len() {
                    break;
                }
                remove(object, above);
                pointer = above;
            }
        }
    }
}

fn remove(object: &mut Value, pointer: &str) {
    let Some((above, last)) = pointer.rsplit_once('/') else {
        return;
    };
    match object.pointer_mut(above) {
        Some(Value::Object(fields)) => {
            fields.remove(&unescaped(last));
        }
        Some(Value::Array(items)) => {
            if let Some(i) = last.parse().ok().filter(|i| *i < items.len()) {
                items.remove(i);
            }
        }
        _ => {}
    }
}

/// Gives the Pods a class.
pub(super) fn label(object: &mut Value, template: &PodTemplate, label: &str, class: &str) {
    let Some(path) = template.labels.last() else {
        return;
    };
    let mut at = object;
    for segment in path.split('/').skip(1) {
        if at.is_null() {
            *at = json!({});
        }
        let Some(fields) = at.as_object_mut() else {
            return;
        };
        at = fields.entry(unescaped(segment)).or_insert(Value::Null);
    }
    if at.is_null() {
        *at = json!({});
    }
    if let Some(labels) = at.as_object_mut() {
        labels.insert(label.to_owned(), class.into());
    }
}

fn elements(array: &Value) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
    array
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
}
