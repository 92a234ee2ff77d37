//! Generated Pods: what users, controllers and other webhooks write, and some that is wrong.

use serde_json::{Map, Value, json};

use crate::{
    draw::Draw,
    table::Table,
    words::{RUNTIME_CLASSES, TEXTS, named_values},
};

mod affinity;
mod containers;
mod settled;

use affinity::{affinity, node_selector};
use containers::{containers, init_containers};

/// A Pod of a class of the table, mostly.
pub(crate) fn pod(draw: &mut Draw<'_>, table: &Table) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod"});
    set(&mut pod, "metadata", Some(metadata(draw)));
    set(&mut pod, "spec", Some(spec(draw, table)));
    if draw.percent(5) {
        settled::settle(draw, &mut pod, table);
    }
    unknown(draw, &mut pod);
    if draw.percent(2) {
        misshape(draw, &mut pod);
    }
    pod
}

/// A field that none of our types knows, now and then.
pub(crate) fn unknown(draw: &mut Draw<'_>, object: &mut Value) {
    if draw.percent(12) {
        let text = draw.pick(TEXTS);
        let value = draw.pick(&[
            json!(text),
            json!({"limits": [null, 1.5, -0.25e-3, {"": text}], "spec": {}}),
            json!([]),
            Value::Null,
            json!(9_007_199_254_740_993_u64),
        ]);
        object["xUnknown"] = value;
    }
}

/// Sets a field, or leaves it absent.
fn set(object: &mut Value, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        object[key] = value;
    }
}

/// Absent, null, or what is drawn.
fn optional(
    draw: &mut Draw<'_>,
    share: usize,
    some: impl FnOnce(&mut Draw<'_>) -> Value,
) -> Option<Value> {
    if draw.percent(share) {
        Some(some(draw))
    } else {
        draw.percent(6).then_some(Value::Null)
    }
}

fn metadata(draw: &mut Draw<'_>) -> Value {
    let mut metadata = json!({"labels": labels(draw)});
    if draw.percent(50) {
        set(&mut metadata, "generateName", Some(json!("x-6d-")));
        let kind = draw.pick(&["ReplicaSet", "DaemonSet"]);
        let owner = json!({"apiVersion": "apps/v1", "kind": kind, "name": "x-6d", "controller": true, "uid": "o"});
        set(&mut metadata, "ownerReferences", Some(json!([owner])));
    } else {
        set(&mut metadata, "name", Some(json!("x")));
    }
    let annotations = optional(draw, 45, annotations);
    set(&mut metadata, "annotations", annotations);
    unknown(draw, &mut metadata);
    metadata
}

fn labels(draw: &mut Draw<'_>) -> Value {
    let mut labels = Map::new();
    let class = match draw.below(100) {
        0..=91 => Some("c"),
        92..=94 => Some("d"),
        95 => Some("vlm"),
        96 => Some("-no label value-"),
        97 => return Value::Null,
        _ => None,
    };
    if let Some(class) = class {
        labels.insert("berth.dev/workload-class".to_owned(), json!(class));
    }
    if draw.percent(2) {
        let inject = draw.pick(&["disabled", "enabled"]);
        labels.insert("berth.dev/inject".to_owned(), json!(inject));
    }
    if draw.percent(30) {
        labels.insert("app.kubernetes.io/name".to_owned(), json!("x"));
    }
    Value::Object(labels)
}

fn annotations(draw: &mut Draw<'_>) -> Value {
    let mut annotations = Map::new();
    let mut put = |key: &str, value: &str| {
        annotations.insert(key.to_owned(), json!(value));
    };
    if draw.percent(20) {
        put(
            "berth.dev/container",
            draw.pick(&["main", "vllm", "istio-proxy", "absent"]),
        );
    }
    if draw.percent(25) {
        put(
            "kubectl.kubernetes.io/default-container",
            draw.pick(&["main", "vllm", "absent"]),
        );
    }
    if draw.percent(25) {
        put(
            "berth.dev/pool",
            draw.pick(&["p0", "p1", "p0,p1", "stale", ""]),
        );
    }
    if draw.percent(40) {
        put("example.com/text", draw.pick(TEXTS));
    }
    if draw.percent(3) {
        put("berth.dev/contaner", draw.pick(TEXTS));
    }
    if draw.in_thousand(5) {
        for i in 0..12 {
            put(&format!("berth.dev/unknown-{i}"), "x");
        }
    }
    if draw.percent(2) {
        put("kubernetes.io/config.mirror", "0123");
    }
    if draw.in_thousand(16) {
        let size = 256 * 1024 - 60 + draw.below(60);
        put("example.com/large", &"x".repeat(size));
    }
    Value::Object(annotations)
}

fn spec(draw: &mut Draw<'_>, table: &Table) -> Value {
    let pools = table.pools_of("c");
    let mut spec = json!({});
    let containers = containers(draw, &pools);
    set(&mut spec, "containers", Some(containers.into()));
    let init = optional(draw, 35, |draw| init_containers(draw, &pools).into());
    set(&mut spec, "initContainers", init);
    let selector = optional(draw, 30, |draw| node_selector(draw, &pools));
    set(&mut spec, "nodeSelector", selector);
    let affinity = optional(draw, 55, |draw| affinity(draw, &pools));
    set(&mut spec, "affinity", affinity);
    let tolerations = optional(draw, 50, |draw| tolerations(draw, &pools));
    set(&mut spec, "tolerations", tolerations);
    let runtime = optional(draw, 15, |draw| {
        let class = draw.pick(RUNTIME_CLASSES);
        json!(if draw.percent(3) { "" } else { class })
    });
    set(&mut spec, "runtimeClassName", runtime);
    let scheduler = optional(draw, 40, |draw| {
        json!(draw.pick(&["default-scheduler", "volcano", "custom"]))
    });
    set(&mut spec, "schedulerName", scheduler);
    if draw.percent(8) {
        set(
            &mut spec,
            "os",
            Some(json!({"name": draw.pick(&["windows", "linux"])})),
        );
    }
    if draw.percent(4) {
        let node = draw.pick(&["", "n1", "n2"]);
        set(&mut spec, "nodeName", Some(json!(node)));
    }
    bystanders(draw, &mut spec);
    spec
}

/// Fields that are not ours (rules 21 and 26), and any that are newer than our types.
fn bystanders(draw: &mut Draw<'_>, spec: &mut Value) {
    let others = [
        ("priorityClassName", json!("high")),
        ("schedulingGates", json!([{"name": "example.com/gate"}])),
        (
            "topologySpreadConstraints",
            json!([{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone"}]),
        ),
        ("resources", json!({"limits": {"cpu": "2"}})),
        (
            "resourceClaims",
            json!([{"name": "gpu", "resourceClaimTemplateName": "t"}]),
        ),
        (
            "volumes",
            json!([{"name": "v", "emptyDir": {}}, {"name": "w", "csi": {"x": "<&>"}}]),
        ),
    ];
    for (key, value) in others {
        if draw.percent(10) {
            set(spec, key, Some(value));
        }
    }
    unknown(draw, spec);
}

fn tolerations(draw: &mut Draw<'_>, pools: &[&Value]) -> Value {
    let count = if draw.in_thousand(15) {
        998 + draw.below(4)
    } else {
        draw.below(4)
    };
    if count > 3 {
        let one = |i| json!({"key": format!("example.com/{i}"), "operator": "Exists"});
        return (0..count).map(one).collect();
    }
    (0..count).map(|_| toleration(draw, pools)).collect()
}

fn toleration(draw: &mut Draw<'_>, pools: &[&Value]) -> Value {
    let taints: Vec<&Value> = pools
        .iter()
        .filter_map(|pool| pool["spec"]["taints"].as_array())
        .flatten()
        .collect();
    let mut toleration = if !taints.is_empty() && draw.percent(75) {
        {
            let taint = draw.pick(&taints);
            like_a_taint(draw, taint)
        }
    } else {
        let any = [
            json!({"operator": "Exists"}),
            json!({"operator": "Exists", "effect": "NoExecute"}),
            json!({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
            json!({"key": "dedicated", "operator": "Lt", "value": "5", "effect": "NoSchedule"}),
            json!({}),
            json!({"key": "", "operator": null, "value": "", "effect": null}),
        ];
        draw.pick(&any)
    };
    unknown(draw, &mut toleration);
    toleration
}

/// A toleration that tolerates the taint, or just does not.
fn like_a_taint(draw: &mut Draw<'_>, taint: &Value) -> Value {
    let mut it = json!({"key": taint["key"], "operator": "Equal", "effect": taint["effect"]});
    set(&mut it, "value", taint.get("value").cloned());
    match draw.below(8) {
        0 => {}
        1 => it["operator"] = Value::Null,
        2 => it = json!({"key": taint["key"], "operator": "Exists"}),
        3 => it["effect"] = Value::Null,
        4 => it["value"] = json!("else"),
        5 => it["effect"] = json!("NoExecute"),
        6 => it["operator"] = draw.pick(&["Gt", "Lt", "Near"]).into(),
        _ => {
            it = json!({"key": taint["key"], "value": taint.get("value").cloned().unwrap_or_default()});
        }
    }
    if draw.percent(15) {
        it["tolerationSeconds"] = json!(60);
    }
    it
}

/// Puts a value of the wrong type where berth reads it.
fn misshape(draw: &mut Draw<'_>, pod: &mut Value) {
    let places = [
        "/spec",
        "/spec/containers",
        "/spec/containers/0",
        "/spec/containers/0/name",
        "/spec/containers/0/resources",
        "/spec/tolerations",
        "/spec/affinity",
        "/spec/nodeSelector",
        "/metadata",
        "/metadata/labels",
        "/metadata/annotations",
    ];
    let wrong = draw.pick(&[
        json!(1),
        json!("text"),
        json!([{}, "x"]),
        json!({"k": {}}),
        json!([null]),
    ]);
    if let Some(place) = pod.pointer_mut(draw.pick(&places)) {
        *place = wrong;
    }
}

/// A value of a label that tables and Pods know, mostly.
fn value_of(draw: &mut Draw<'_>, key: &str) -> String {
    let values = named_values(key);
    if values.is_empty() || draw.percent(4) {
        return draw.pick(&["else", "7"]).to_owned();
    }
    draw.pick(&values).to_owned()
}
