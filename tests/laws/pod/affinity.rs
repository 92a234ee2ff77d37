//! Node affinity and `nodeSelector`: half of it about the pools' own labels, half about any.

use serde_json::{Map, Value, json};

use super::{optional, set, unknown, value_of};
use crate::{
    draw::Draw,
    words::{HOSTNAME, LABELS, NODES},
};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn node_selector(draw: &mut Draw<'_>, pools: &[&Value]) -> Value {
    let mut selector = Map::new();
    if draw.percent(50) {
        for stated in requirements(draw.pick(pools)) {
            let value = stated["values"][0].clone();
            if stated["operator"] == "In" {
                selector.insert(stated["key"].as_str().unwrap_or_default().to_owned(), value);
            }
        }
    }
    for _ in 0..draw.below(2) {
        let key = key(draw);
        selector.insert(key.to_owned(), json!(value_of(draw, key)));
    }
    Value::Object(selector)
}

pub(super) fn affinity(draw: &mut Draw<'_>, pools: &[&Value]) -> Value {
    let mut affinity = json!({});
    if draw.percent(15) {
        let term =
            json!({"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": "<x>"}}});
        set(
            &mut affinity,
            "podAffinity",
            Some(json!({REQUIRED: [term]})),
        );
    }
    let node = optional(draw, 85, |draw| node_affinity(draw, pools));
    set(&mut affinity, "nodeAffinity", node);
    unknown(draw, &mut affinity);
    affinity
}

fn node_affinity(draw: &mut Draw<'_>, pools: &[&Value]) -> Value {
    let mut affinity = json!({});
    let required = optional(draw, 85, |draw| required(draw, pools));
    set(&mut affinity, REQUIRED, required);
    let preferred = optional(draw, 30, |draw| preferred(draw, pools));
    set(&mut affinity, PREFERRED, preferred);
    unknown(draw, &mut affinity);
    affinity
}

fn required(draw: &mut Draw<'_>, pools: &[&Value]) -> Value {
    let mut required = match draw.below(100) {
        0..=93 => json!({"nodeSelectorTerms": terms(draw, pools)}),
        94..=95 => json!({"nodeSelectorTerms": []}),
        96..=97 => json!({"nodeSelectorTerms": null}),
        _ => json!({}),
    };
    unknown(draw, &mut required);
    required
}

fn terms(draw: &mut Draw<'_>, pools: &[&Value]) -> Value {
    if draw.in_thousand(30) {
        let count = draw.pick(&[40, 70, 129, 999, 1001]).to_owned();
        (0..count).map(|i| json!({"matchExpressions": [{"key": format!("example.com/{i}"), "operator": "Exists"}]})).collect()
    } else {
        draw.several(1, 3, |draw| term(draw, pools)).into()
    }
}

fn term(draw: &mut Draw<'_>, pools: &[&Value]) -> Value {
    let mut term = json!({});
    if draw.percent(6) {
        return draw.pick(&[
            term,
            json!({"matchExpressions": []}),
            json!({"matchExpressions": null, "matchFields": []}),
        ]);
    }
    let count = draw.below(4);
    let mut expressions: Vec<Value> = (0..count).map(|_| expression(draw, pools)).collect();
    if draw.percent(12) {
        expressions.extend(requirements(draw.pick(pools)));
    }
    if !expressions.is_empty() || draw.percent(50) {
        set(&mut term, "matchExpressions", Some(expressions.into()));
    }
    if draw.percent(15) {
        let operator = draw.pick(&["In", "In", "NotIn"]);
        let field =
            json!({"key": "metadata.name", "operator": operator, "values": [draw.pick(NODES)]});
        set(&mut term, "matchFields", Some(json!([field])));
    }
    unknown(draw, &mut term);
    term
}

fn expression(draw: &mut Draw<'_>, pools: &[&Value]) -> Value {
    let mut expression = if draw.percent(40) {
        let stated = requirements(draw.pick(pools));
        like(draw, &stated)
    } else {
        let key = key(draw);
        let values = draw.several(1, 3, |draw| value_of(draw, key));
        stating(draw, key, &json!(values))
    };
    if draw.percent(3) {
        expression["values"] = draw.pick(&[
            Value::Null,
            json!([]),
            json!(["1", "5"]),
            json!(["not a label!"]),
        ]);
    }
    unknown(draw, &mut expression);
    expression
}

/// One of the requirements, in other words now and then.
fn like(draw: &mut Draw<'_>, stated: &[Value]) -> Value {
    let mut stated = draw.pick(stated);
    let key = stated["key"].as_str().unwrap_or_default().to_owned();
    match draw.below(5) {
        0..=1 => {}
        2 => {
            if let Some(values) = stated["values"].as_array_mut() {
                values.push(json!(value_of(draw, &key)));
            }
        }
        3 => {
            if let Some(values) = stated["values"].as_array_mut() {
                values.reverse();
                values.truncate(1);
            }
        }
        _ => return stating(draw, &key, &stated["values"]),
    }
    stated
}

fn stating(draw: &mut Draw<'_>, key: &str, values: &Value) -> Value {
    match draw.below(20) {
        0..=7 => json!({"key": key, "operator": "In", "values": values}),
        8..=11 => json!({"key": key, "operator": "NotIn", "values": values}),
        12..=13 => json!({"key": key, "operator": "Exists"}),
        14..=15 => json!({"key": key, "operator": "DoesNotExist", "values": null}),
        16 => json!({"key": key, "operator": "Near", "values": values}),
        _ => {
            let bound = draw.pick(&["0", "5", "9", "-1", "+1", "ten", "99999999999999999999"]);
            json!({"key": key, "operator": draw.pick(&["Gt", "Lt"]), "values": [bound]})
        }
    }
}

fn preferred(draw: &mut Draw<'_>, pools: &[&Value]) -> Value {
    let one = |draw: &mut Draw<'_>| {
        let weight = draw.pick(&[1, 50, 100]).to_owned();
        let expressions = if draw.percent(60) {
            requirements(draw.pick(pools))
        } else {
            vec![expression(draw, pools)]
        };
        let mut preference = json!({"matchExpressions": expressions});
        if draw.percent(10) {
            preference["matchFields"] =
                json!([{"key": "metadata.name", "operator": "In", "values": ["n1"]}]);
        }
        json!({"weight": weight, "preference": preference})
    };
    draw.several(0, 2, one).into()
}

/// What a pool demands of a node, as expressions.
pub(super) fn requirements(pool: &Value) -> Vec<Value> {
    let spec = &pool["spec"];
    if spec["hostnames"].is_array() {
        return vec![json!({"key": HOSTNAME, "operator": "In", "values": spec["hostnames"]})];
    }
    let selector = &spec["nodeSelector"];
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let equal = labels.map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]}));
    let expressions = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    equal.chain(expressions.cloned()).collect()
}

fn key(draw: &mut Draw<'_>) -> &'static str {
    if draw.percent(4) {
        return "example.com/nobody-has-it";
    }
    draw.pick(LABELS).0
}
