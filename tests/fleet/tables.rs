//! Tables of the tests, from objects as a cluster has them.

use std::sync::Arc;

use berth_core::{
    objects::compile_each,
    table::{AllocationTable, Settings},
};
use kube::core::DynamicObject;
use serde_json::{Value, json};

pub(crate) const NVIDIA: &str = "nvidia.com/gpu";
pub(crate) const AMD: &str = "amd.com/gpu";

/// A pool of the nodes with the label `kind` of this value.
pub(crate) fn pool(name: &str, resource: &str, kind: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"resourceName": resource, "nodeSelector": {"matchLabels": {"kind": kind}}}})
}

pub(crate) fn class(name: &str, pools: &[&str]) -> Value {
    let pools: Vec<Value> = pools.iter().map(|pool| json!({"name": pool})).collect();
    json!({"metadata": {"name": name}, "spec": {"pools": pools, "gpus": {"max": 8}}})
}

fn with(mut pool: Value, fields: Value) -> Value {
    let spec = pool["spec"].as_object_mut().expect("an object");
    spec.extend(fields.as_object().expect("an object").clone());
    pool
}

pub(crate) fn table(pools: &[Value], classes: &[Value]) -> Arc<AllocationTable> {
    let object = |value: &Value| -> DynamicObject {
        serde_json::from_value(value.clone()).expect("an object")
    };
    let pools: Vec<_> = pools.iter().map(object).collect();
    let classes: Vec<_> = classes.iter().map(object).collect();
    let compiled = compile_each(&pools, &classes, &Settings::default());
    let refusals = compiled.pools.iter().filter_map(|it| it.refusal.as_ref());
    let refusals = refusals.chain(compiled.classes.iter().filter_map(|it| it.refusal.as_ref()));
    assert_eq!(refusals.collect::<Vec<_>>(), Vec::<&_>::new());
    compiled.table
}

/// The tables between which the random events change.
pub(crate) fn all() -> Vec<Arc<AllocationTable>> {
    let tainted = json!({"taints": [{"key": "only", "value": "gpu", "effect": "NoSchedule"}, {"key": "soft", "effect": "PreferNoSchedule"}]});
    let not = json!({"matchExpressions": [{"key": "kind", "operator": "NotIn", "values": ["a"]}, {"key": "zone", "operator": "Exists"}]});
    let a = with(pool("a", NVIDIA, "a"), tainted);
    let b = with(
        pool("b", NVIDIA, "b"),
        json!({"autoscaling": {"maxGPUs": 12}}),
    );
    let c = with(
        pool("c", AMD, "c"),
        json!({"taints": [{"key": "only", "value": "gpu", "effect": "NoExecute"}]}),
    );
    let d = with(pool("d", NVIDIA, "d"), json!({"nodeSelector": not}));
    let classes = [
        class("x", &["a", "c"]),
        class("y", &["b"]),
        class("z", &["a", "b", "d", "c"]),
        class("w", &["c", "b"]),
    ];
    let whole = table(&[a.clone(), b.clone(), c.clone(), d.clone()], &classes);
    let renamed = with(pool("a", AMD, "b"), json!({}));
    let other = table(
        &[renamed, b, c, d],
        &[
            class("x", &["a"]),
            class("y", &["b", "a"]),
            class("z", &["a", "c", "d"]),
            class("w", &["d"]),
        ],
    );
    vec![whole, other]
}
