//! Generated tables: pools of several vendors by hostname or labels, and the classes that use them.

use std::collections::BTreeSet;

use berth_core::manifest::{Document, Manifest};
use serde_json::{Map, Value, json};

use crate::{
    draw::Draw,
    nodes::{self, elements},
    words::{ACCELERATORS, HOSTNAME, LABELS, OS, named_values},
};

type Vendor = (
    &'static str,
    &'static [&'static str],
    Option<&'static str>,
    &'static [(&'static str, &'static str)],
);

/// What a vendor's pools ask of a Pod: resource, aliases, runtime class, environment.
const VENDORS: &[Vendor] = &[
    ("amd.com/gpu", &[], None, &[]),
    (
        "amd.com/gpu",
        &["example.com/amd_gpu"],
        None,
        &[("HSA_OVERRIDE_GFX_VERSION", "10.3.0")],
    ),
    (
        "nvidia.com/gpu",
        &["nvidia.com/gpu.shared", "example.com/cuda"],
        Some("nvidia"),
        &[("NVIDIA_DRIVER_CAPABILITIES", "<all> & \"more\"")],
    ),
    ("nvidia.com/gpu", &[], Some("nvidia-cdi"), &[]),
    ("gpu.intel.com/i915", &["gpu.intel.com/xe"], None, &[]),
    (
        "nvidia.com/gpu.shared",
        &[],
        Some("nvidia"),
        &[("NVIDIA_VISIBLE_DEVICES", "all"), ("A", ""), ("B", "2")],
    ),
];

const TAINTS: &[(&str, Option<&str>)] = &[
    ("dedicated", Some("vllm")),
    ("dedicated", Some("other")),
    ("nvidia.com/gpu", Some("present")),
    ("nvidia.com/gpu", None),
];

/// The documents of a table: pools `p0`, `p1`, … and the classes `c` and `d`.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) pools: Vec<Value>,
    pub(crate) classes: Vec<Value>,
}

impl Table {
    pub(crate) fn draw(draw: &mut Draw<'_>) -> Self {
        let mut number = 0;
        let pools = draw.several(1, 5, |draw| {
            number += 1;
            pool(draw, &format!("p{}", number - 1))
        });
        let classes = ["c", "d"]
            .iter()
            .map(|name| class(draw, name, &pools))
            .collect();
        Self { pools, classes }
    }

    /// The documents as the sources hand them to the core, in the order given by `first`.
    pub(crate) fn documents(&self, first: usize) -> Vec<Document> {
        let pool = |pool: &Value| {
            Manifest::Pool(serde_json::from_value(pool.clone()).expect("the pool is well-formed"))
        };
        let class = |class: &Value| {
            Manifest::Class(
                serde_json::from_value(class.clone()).expect("the class is well-formed"),
            )
        };
        let manifests = self
            .pools
            .iter()
            .map(pool)
            .chain(self.classes.iter().map(class));
        let mut documents: Vec<Document> = manifests
            .enumerate()
            .map(|(origin, manifest)| Document { origin, manifest })
            .collect();
        let first = first % documents.len();
        documents.rotate_left(first);
        documents
    }

    pub(crate) fn pool(&self, name: &str) -> &Value {
        self.pools
            .iter()
            .find(|pool| pool["metadata"]["name"] == name)
            .expect("the table has the pool")
    }

    pub(crate) fn class(&self, name: &str) -> &Value {
        self.classes
            .iter()
            .find(|class| class["metadata"]["name"] == name)
            .expect("the table has the class")
    }

    /// Every resource that is a GPU to this table, or to anyone.
    pub(crate) fn every_gpu(&self) -> BTreeSet<&str> {
        let specs = self.pools.iter().map(|pool| &pool["spec"]);
        let names = specs
            .flat_map(|spec| elements(&spec["resourceAliases"]).chain([&spec["resourceName"]]));
        names
            .filter_map(Value::as_str)
            .chain(ACCELERATORS.iter().copied())
            .collect()
    }

    /// The pools of a class, in its order.
    pub(crate) fn pools_of(&self, class: &str) -> Vec<&Value> {
        let names = self.class(class)["spec"]["pools"]
            .as_array()
            .expect("a class has pools");
        names
            .iter()
            .map(|pool| self.pool(pool["name"].as_str().expect("a name")))
            .collect()
    }

    /// The pools of a class by what they ask of the Pod and its operating system, in order of preference.
    pub(crate) fn groups_of(&self, class: &str) -> Vec<Vec<&Value>> {
        let mut groups: Vec<Vec<&Value>> = Vec::new();
        let key = |pool: &Value| (asks(pool), selects_windows(pool));
        for pool in self.pools_of(class) {
            match groups.iter_mut().find(|group| key(group[0]) == key(pool)) {
                Some(group) => group.push(pool),
                None => groups.push(vec![pool]),
            }
        }
        groups
    }
}

/// Whether a pool is for Windows Pods, and for no others.
pub(crate) fn selects_windows(pool: &Value) -> bool {
    pool["spec"]["nodeSelector"]["matchLabels"][OS] == "windows"
}

/// What a pool asks of the Pod itself.
fn asks(pool: &Value) -> (Value, Value, BTreeSet<String>, BTreeSet<String>) {
    let spec = &pool["spec"];
    let set = |field: &str| {
        let values = spec[field].as_array();
        values.into_iter().flatten().map(Value::to_string).collect()
    };
    (
        spec["resourceName"].clone(),
        spec["runtimeClassName"].clone(),
        set("resourceAliases"),
        set("env"),
    )
}

fn pool(draw: &mut Draw<'_>, name: &str) -> Value {
    let (resource, aliases, runtime, env) = draw.pick(VENDORS);
    let env: Vec<Value> = env
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let mut spec = json!({"resourceName": resource, "resourceAliases": aliases, "env": env});
    if let Some(runtime) = runtime {
        spec["runtimeClassName"] = json!(runtime);
    }
    let taints = draw.below(3);
    spec["taints"] = each_once(draw.some_of(0, taints, &every_taint())).into();
    let selection = selection(draw);
    let spec_fields = spec.as_object_mut().expect("an object");
    spec_fields.extend(selection);
    let mut pool = json!({"apiVersion": "berth.dev/v1alpha1", "kind": "GPUPool", "metadata": {"name": name}, "spec": spec});
    if nodes::of_pool(&pool).is_empty() {
        // requirements that exclude each other: no table may have them
        pool["spec"]["nodeSelector"] = json!({"matchLabels": labels(draw, &[HOSTNAME], 1)});
    }
    pool
}

/// A node has one value for a key and an effect.
fn each_once(taints: Vec<Value>) -> Vec<Value> {
    let mut once: Vec<Value> = Vec::new();
    for taint in taints {
        let same =
            |other: &Value| other["key"] == taint["key"] && other["effect"] == taint["effect"];
        if !once.iter().any(same) {
            once.push(taint);
        }
    }
    once
}

fn every_taint() -> Vec<Value> {
    let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let taint = |effect: &str, (key, value): &(&str, Option<&str>)| {
        let mut taint = json!({"key": key, "effect": effect});
        if let Some(value) = value {
            taint["value"] = json!(value);
        }
        taint
    };
    let of = |effect| TAINTS.iter().map(move |it| taint(effect, it));
    effects.into_iter().flat_map(of).collect()
}

/// How a pool selects its nodes: `hostnames` or `nodeSelector`.
fn selection(draw: &mut Draw<'_>) -> Map<String, Value> {
    let keys: Vec<&str> = LABELS
        .iter()
        .map(|(key, _)| *key)
        .filter(|key| *key != OS)
        .collect();
    let selector = match draw.below(20) {
        0..=8 => {
            let hostnames = draw.some_of(1, 2, &named_values(HOSTNAME));
            return fields(json!({"hostnames": hostnames}));
        }
        9..=13 => json!({"matchLabels": labels(draw, &keys, 1)}),
        14..=15 => json!({"matchLabels": labels(draw, &keys, 2)}),
        16..=17 => json!({"matchExpressions": draw.several(1, 3, |draw| expression(draw, &keys))}),
        18 => json!({
            "matchLabels": labels(draw, &keys, 1),
            "matchExpressions": draw.several(1, 2, |draw| expression(draw, &keys)),
        }),
        _ if draw.percent(50) => json!({"matchLabels": {OS: "windows"}}),
        _ => {
            let mut labels = labels(draw, &keys, 1);
            labels[OS] = json!("windows");
            json!({"matchLabels": labels})
        }
    };
    fields(json!({"nodeSelector": selector}))
}

fn labels(draw: &mut Draw<'_>, keys: &[&str], count: usize) -> Value {
    let keys = draw.some_of(count, count, keys);
    let label = |key: &&str| ((*key).to_owned(), json!(draw.pick(&named_values(key))));
    Value::Object(keys.iter().map(label).collect())
}

fn expression(draw: &mut Draw<'_>, keys: &[&str]) -> Value {
    let key = draw.pick(keys);
    let values = draw.some_of(1, 2, &named_values(key));
    match draw.below(6) {
        0..=2 => json!({"key": key, "operator": "In", "values": values}),
        3 => json!({"key": key, "operator": "NotIn", "values": values}),
        4 => json!({"key": key, "operator": "Exists"}),
        _ => json!({"key": key, "operator": "DoesNotExist"}),
    }
}

fn class(draw: &mut Draw<'_>, name: &str, pools: &[Value]) -> Value {
    let mut used: Vec<&Value> = Vec::new();
    for pool in draw.some_of(1, 4, &pools.iter().collect::<Vec<_>>()) {
        if used.iter().all(|other| compatible(other, pool)) {
            used.push(pool);
        }
    }
    let used: Vec<Value> = used
        .iter()
        .map(|pool| json!({"name": pool["metadata"]["name"]}))
        .collect();
    let mut spec = json!({"pools": used});
    if draw.percent(70) {
        let default = 1 + draw.below(2);
        spec["gpus"] = json!({"default": default, "max": default + draw.below(3)});
    }
    if draw.percent(30) {
        spec["containerNames"] = draw.some_of(1, 2, &["main", "vllm", "absent"]).into();
    }
    if draw.percent(25) {
        spec["schedulerName"] = draw.pick(&["volcano", "default-scheduler"]).into();
    }
    if draw.percent(12) {
        let (key, value) = draw.pick(&[
            ("kubernetes.io/metadata.name", "ai"),
            ("kubernetes.io/metadata.name", "lab"),
            ("team", "a"),
            ("team", "b"),
        ]);
        spec["namespaceSelector"] = json!({"matchLabels": {key: value}});
    }
    json!({"apiVersion": "berth.dev/v1alpha1", "kind": "WorkloadClass", "metadata": {"name": name}, "spec": spec})
}

/// Whether one class may use both: an alias is no name of another group's.
fn compatible(a: &Value, b: &Value) -> bool {
    let names = |pool: &Value| {
        let mut names: BTreeSet<String> = asks(pool).2;
        names.insert(pool["spec"]["resourceName"].to_string());
        names
    };
    let clash = |pool: &Value, other: &Value| !asks(pool).2.is_disjoint(&names(other));
    asks(a) == asks(b) || !(clash(a, b) || clash(b, a))
}

fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
