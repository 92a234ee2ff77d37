//! Containers of every kind and what they ask for.

use serde_json::{Map, Value, json};

use super::{optional, set, unknown};
use crate::{
    draw::Draw,
    words::{ACCELERATORS, OTHERS, TEXTS},
};

/// Quantities that may stand for a GPU; the first few are the usual ones.
fn quantities() -> Vec<Value> {
    let usual = [
        json!("1"),
        json!(1),
        json!("2"),
        json!("1"),
        json!(2),
        json!("1e0"),
        json!("1000m"),
        json!("0"),
    ];
    let unusual = [
        json!("500m"),
        json!(null),
        json!(0),
        json!("3"),
        json!(1.0),
        json!("0.002k"),
        json!("1k"),
        json!(0.5),
    ];
    let usual = std::iter::repeat_n(usual, 6).flatten();
    usual
        .chain(unusual)
        .chain([json!("many"), json!("-1"), json!("+1"), json!("")])
        .collect()
}

pub(super) fn containers(draw: &mut Draw<'_>, pools: &[&Value]) -> Vec<Value> {
    let mut names: Vec<String> = if let 0..=9 = draw.below(20) {
        vec!["main".to_owned()]
    } else {
        let names = [
            "main",
            "vllm",
            "kserve-container",
            "logger",
            "user-container",
        ];
        draw.some_of(1, 3, &names)
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    if draw.percent(20) {
        let injected = draw.pick(&["istio-proxy", "linkerd-proxy", "queue-proxy"]);
        let place = draw.below(names.len() + 1);
        names.insert(place, (*injected).to_owned());
    }
    if draw.in_thousand(6) {
        names.extend((0..100).map(|i| format!("more-{i}")));
        return names.iter().map(|name| json!({"name": name})).collect();
    }
    let mut containers: Vec<Value> = names
        .iter()
        .map(|name| container(draw, name, pools))
        .collect();
    if draw.in_thousand(1) {
        let variables = (0..33_000).map(|i| json!({"name": format!("E{i}")}));
        containers[0]["env"] = variables.collect();
    }
    containers
}

pub(super) fn init_containers(draw: &mut Draw<'_>, pools: &[&Value]) -> Vec<Value> {
    let names = draw.some_of(0, 2, &["init", "prefetch", "sidecar", "istio-proxy"]);
    let one = |name: &&str| {
        let mut container = container(draw, name, pools);
        if draw.percent(40) {
            container["restartPolicy"] = json!("Always");
        }
        container
    };
    names.iter().map(one).collect()
}

fn container(draw: &mut Draw<'_>, name: &str, pools: &[&Value]) -> Value {
    let mut container = json!({"name": name, "image": "example.com/i:1"});
    let resources = optional(draw, 65, |draw| resources(draw, pools));
    set(&mut container, "resources", resources);
    let env = optional(draw, 40, |draw| env(draw, pools));
    set(&mut container, "env", env);
    let from = optional(draw, 15, |draw| {
        draw.pick(&[json!([{"configMapRef": {"name": "m"}}]), json!([])])
    });
    set(&mut container, "envFrom", from);
    if draw.percent(20) {
        set(
            &mut container,
            "args",
            Some(json!([draw.pick(TEXTS), "--<x>&"])),
        );
    }
    unknown(draw, &mut container);
    container
}

fn resources(draw: &mut Draw<'_>, pools: &[&Value]) -> Value {
    let (mut limits, mut requests) = (Map::new(), Map::new());
    if draw.percent(65) {
        ask(draw, pools, &mut limits, &mut requests);
    }
    if draw.percent(4) {
        ask(draw, pools, &mut limits, &mut requests);
    }
    for _ in 0..draw.below(3) {
        let other = draw.pick(OTHERS);
        limits.insert(other.to_owned(), json!("2"));
        if draw.percent(50) {
            requests.insert(other.to_owned(), json!(2));
        }
    }
    if draw.in_thousand(4) {
        limits.extend((0..40).map(|i| (format!("nvidia.com/a{i}"), json!(1))));
    }
    let mut resources = json!({});
    for (key, amounts) in [("limits", limits), ("requests", requests)] {
        let empty = [None, Some(Value::Null), Some(json!({}))];
        let value = if amounts.is_empty() {
            draw.pick(&empty)
        } else {
            Some(Value::Object(amounts))
        };
        set(&mut resources, key, value);
    }
    if draw.percent(6) {
        set(
            &mut resources,
            "claims",
            Some(draw.pick(&[json!([{"name": "gpu"}]), json!([]), Value::Null])),
        );
    }
    unknown(draw, &mut resources);
    resources
}

/// An ask for a GPU in limits, requests or both.
fn ask(
    draw: &mut Draw<'_>,
    pools: &[&Value],
    limits: &mut Map<String, Value>,
    requests: &mut Map<String, Value>,
) {
    let name = gpu(draw, pools);
    let amount = draw.pick(&quantities());
    let place = draw.below(20);
    if place < 17 {
        limits.insert(name.clone(), amount.clone());
    }
    if place > 11 {
        let other = draw.percent(15).then(|| draw.pick(&quantities()));
        requests.insert(name, other.unwrap_or(amount));
    }
}

fn gpu(draw: &mut Draw<'_>, pools: &[&Value]) -> String {
    let spec = &draw.pick(pools)["spec"];
    let aliases: Vec<&Value> = spec["resourceAliases"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let name = match draw.below(20) {
        12..=17 if !aliases.is_empty() => draw.pick(&aliases),
        0..=18 => &spec["resourceName"],
        _ => return draw.pick(ACCELERATORS).to_owned(),
    };
    name.as_str().unwrap_or_default().to_owned()
}

fn env(draw: &mut Draw<'_>, pools: &[&Value]) -> Value {
    let of_pool = draw.pick(pools)["spec"]["env"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut env: Vec<Value> = if draw.percent(40) {
        of_pool
    } else {
        Vec::new()
    };
    for _ in 0..draw.below(3) {
        let name = draw.pick(&[
            "PATH",
            "NVIDIA_VISIBLE_DEVICES",
            "HSA_OVERRIDE_GFX_VERSION",
            "A",
        ]);
        let taken = env.iter().any(|var| var["name"] == *name);
        if !taken {
            env.push(json!({"name": name, "value": draw.pick(TEXTS)}));
        }
    }
    if draw.percent(10) {
        env.push(
            json!({"name": "FROM", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
        );
    }
    env.into()
}
