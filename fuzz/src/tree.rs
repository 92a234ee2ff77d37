//! Trees of JSON that grow, and grow again, from the keys and texts that the rules read.

use serde_json::{Map, Value, json};

use crate::draw::Draw;

/// Keys that a rule reads, and some that it does not.
const KEYS: &[&str] = &[
    "apiVersion",
    "kind",
    "request",
    "uid",
    "resource",
    "group",
    "version",
    "subResource",
    "name",
    "namespace",
    "operation",
    "userInfo",
    "username",
    "dryRun",
    "object",
    "oldObject",
    "metadata",
    "spec",
    "generateName",
    "labels",
    "annotations",
    "ownerReferences",
    "controller",
    "nodeName",
    "nodeSelector",
    "affinity",
    "nodeAffinity",
    "tolerations",
    "containers",
    "initContainers",
    "runtimeClassName",
    "schedulerName",
    "os",
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
    "nodeSelectorTerms",
    "preference",
    "weight",
    "matchExpressions",
    "matchFields",
    "key",
    "operator",
    "values",
    "value",
    "effect",
    "tolerationSeconds",
    "resources",
    "env",
    "envFrom",
    "restartPolicy",
    "limits",
    "requests",
    "claims",
    "image",
    "x",
];

/// Keys of maps: labels, annotations and resources.
const NAMES: &[&str] = &[
    "berth.dev/workload-class",
    "berth.dev/inject",
    "berth.dev/container",
    "berth.dev/pool",
    "berth.dev/contaner",
    "kubernetes.io/config.mirror",
    "kubectl.kubernetes.io/default-container",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "example.com/gpu",
    "topology.kubernetes.io/zone",
    "nvidia.com/gpu",
    "amd.com/gpu",
    "nvidia.com/gpu.shared",
    "gpu.intel.com/i915",
    "nvidia.com/mig-1g.10gb",
    "nvidia.com/gpumem",
    "nvidia.com/a100",
    "huawei.com/Ascend910",
    "cpu",
    "memory",
    "a~b/c",
    "",
];

/// Texts that mean something somewhere.
const TEXTS: &[&str] = &[
    "admission.k8s.io/v1",
    "AdmissionReview",
    "CREATE",
    "UPDATE",
    "pods",
    "v1",
    "main",
    "vllm",
    "istio-proxy",
    "user-container",
    "chat",
    "embeddings",
    "whisper",
    "disabled",
    "In",
    "NotIn",
    "Exists",
    "DoesNotExist",
    "Gt",
    "Lt",
    "Equal",
    "NoSchedule",
    "NoExecute",
    "windows",
    "linux",
    "nvidia",
    "default-scheduler",
    "Always",
    "DaemonSet",
    "ReplicaSet",
    "node-1",
    "l4",
    "1",
    "2",
    "0",
    "500m",
    "1e0",
    "1k",
    "-1",
    "many",
    "",
    "\u{1f680}",
    "\n\t\u{1b}[2J",
    "\u{85}",
    "NVIDIA_VISIBLE_DEVICES",
    "none",
    "all",
    "kubernetes.io/hostname",
    "example.com/gpu",
    "5",
];

/// The review of a usual Pod, from which everything grows.
#[must_use]
pub fn seed() -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "operation": "CREATE", "namespace": "ai", "userInfo": {"username": "u"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "object": {
                "metadata": {"labels": {"berth.dev/workload-class": "chat"}, "annotations": {}},
                "spec": {
                    "containers": [{"name": "main", "resources": {"limits": {}, "requests": {}}, "env": []}],
                    "tolerations": [], "nodeSelector": {},
                    "affinity": {"nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "example.com/gpu", "operator": "In", "values": ["l4"]}]},
                        ]},
                    }},
                },
            },
        },
    })
}

/// Changes a tree in one to four places.
pub fn regrow(root: &mut Value, draw: &mut Draw) {
    for _ in 0..=draw.below(4) {
        change(place(root, draw), draw);
    }
}

/// A place in a tree, deep ones more often than high ones.
fn place<'v>(mut value: &'v mut Value, draw: &mut Draw) -> &'v mut Value {
    while !draw.one_of(7) {
        let children = match value {
            Value::Array(list) => list.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        };
        if children == 0 {
            return value;
        }
        let chosen = draw.below(children);
        value = match value {
            Value::Array(list) => &mut list[chosen],
            Value::Object(map) => map.values_mut().nth(chosen).expect("it has as many"),
            other => other,
        };
    }
    value
}

fn change(value: &mut Value, draw: &mut Draw) {
    match value {
        Value::Array(list) => match draw.below(6) {
            0 if !list.is_empty() => drop(list.remove(draw.below(list.len()))),
            1 if !list.is_empty() => {
                let again = list[draw.below(list.len())].clone();
                let times = draw.count(&[1, 2, 20, 101, 1001], ", {}".len());
                list.extend(std::iter::repeat_n(again, times));
            }
            5 => *value = grown(draw, 2),
            _ => list.push(grown(draw, 3)),
        },
        Value::Object(map) => match draw.below(6) {
            0 if !map.is_empty() => {
                let key = map.keys().nth(draw.below(map.len())).cloned();
                key.and_then(|key| map.remove(&key));
            }
            5 => *value = grown(draw, 2),
            1 => fill(map, draw),
            _ => {
                let key = key(draw);
                let value = of_key(key, draw);
                map.insert(key.to_owned(), value);
            }
        },
        scalar => {
            *scalar = if draw.one_of(8) {
                grown(draw, 2)
            } else {
                leaf(draw)
            }
        }
    }
}

/// Many entries with keys of their own.
fn fill(map: &mut Map<String, Value>, draw: &mut Draw) {
    let prefix = draw.pick(&["nvidia.com/a", "berth.dev/x", "k", "nvidia.com/gpumem-"]);
    let count = draw.count(&[3, 17, 40, 1000], prefix.len() + "0: 0,".len());
    let value = leaf(draw);
    map.extend((0..count).map(|i| (format!("{prefix}{i}"), value.clone())));
}

fn key(draw: &mut Draw) -> &'static str {
    if draw.one_of(3) {
        draw.pick(NAMES)
    } else {
        draw.pick(KEYS)
    }
}

/// A value of the kind that a key has, mostly.
fn of_key(key: &str, draw: &mut Draw) -> Value {
    let list = |value: Value| Value::Array(vec![value]);
    match key {
        _ if draw.one_of(12) => grown(draw, 2),
        "labels" | "annotations" | "limits" | "requests" | "nodeSelector" => {
            json!({draw.pick(NAMES): leaf(draw)})
        }
        "containers" | "initContainers" => list(
            json!({"name": draw.pick(TEXTS), "restartPolicy": draw.pick(TEXTS), "resources": {"limits": {draw.pick(NAMES): leaf(draw)}}}),
        ),
        "tolerations" => list(
            json!({"key": draw.pick(NAMES), "operator": draw.pick(TEXTS), "value": draw.pick(TEXTS), "effect": draw.pick(TEXTS)}),
        ),
        "matchExpressions" => list(expression(draw)),
        "nodeSelectorTerms" => list(json!({"matchExpressions": [expression(draw)]})),
        "preferredDuringSchedulingIgnoredDuringExecution" => {
            list(json!({"weight": 1, "preference": {"matchExpressions": [expression(draw)]}}))
        }
        "requiredDuringSchedulingIgnoredDuringExecution" => {
            json!({"nodeSelectorTerms": [{"matchExpressions": [expression(draw)]}]})
        }
        "env" => list(json!({"name": draw.pick(TEXTS), "value": draw.pick(TEXTS)})),
        "values" => list(json!(draw.pick(TEXTS))),
        "ownerReferences" => list(
            json!({"apiVersion": draw.pick(TEXTS), "kind": draw.pick(TEXTS), "name": draw.pick(TEXTS), "uid": draw.pick(TEXTS), "controller": true}),
        ),
        "matchFields" | "envFrom" | "claims" => list(json!({})),
        "os" => json!({"name": draw.pick(TEXTS)}),
        _ => leaf(draw),
    }
}

fn expression(draw: &mut Draw) -> Value {
    json!({"key": draw.pick(NAMES), "operator": draw.pick(TEXTS), "values": [draw.pick(TEXTS)]})
}

fn leaf(draw: &mut Draw) -> Value {
    match draw.below(10) {
        0 => json!(draw.below(3)),
        1 => Value::Null,
        2 => json!(draw.one_of(2)),
        3 => json!("x".repeat(draw.count(&[250, 254, 1100, 70_000], 1))),
        4 => json!(-0.5),
        _ => json!(draw.pick(TEXTS)),
    }
}

/// Anything, so deep at most.
#[must_use]
pub fn grown(draw: &mut Draw, depth: usize) -> Value {
    match draw.below(4) {
        0 if depth > 0 => (0..draw.below(3)).map(|_| grown(draw, depth - 1)).collect(),
        1 if depth > 0 => {
            let mut map = Map::new();
            for _ in 0..draw.below(4) {
                map.insert(key(draw).to_owned(), grown(draw, depth - 1));
            }
            Value::Object(map)
        }
        _ => leaf(draw),
    }
}
