//! A table of so many classes, each with a pool of its own.

use serde_json::{Value, json};

/// Class, pool, node and taint have one name.
pub(crate) fn name(i: usize) -> String {
    format!("class-{i}")
}

/// The table as berth reads it.
pub(crate) fn text(classes: usize) -> String {
    let object = |kind: &str, i: usize, spec: Value| {
        json!({"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": {"name": name(i)}, "spec": spec}).to_string()
    };
    let pair = |i: usize| {
        let taint = json!({"key": "dedicated", "value": name(i), "effect": "NoSchedule"});
        let pool =
            json!({"hostnames": [name(i)], "taints": [taint], "resourceName": "amd.com/gpu"});
        let class = json!({"pools": [{"name": name(i)}]});
        [
            object("GPUPool", i, pool),
            object("WorkloadClass", i, class),
        ]
    };
    (0..classes)
        .flat_map(pair)
        .map(|object| object + "\n---\n")
        .collect()
}
