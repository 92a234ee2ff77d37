//! A small model of API validation: of a Pod's fields those that a patch of ours may touch.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::nodes::{elements, is_label_value};

/// Says why kube-apiserver would refuse the Pod.
pub(crate) fn validate(pod: &Value) -> Result<(), String> {
    annotations(&pod["metadata"]["annotations"])?;
    let spec = &pod["spec"];
    let containers = elements(&spec["containers"]);
    ensure(containers.count() > 0, "no containers")?;
    for container in elements(&spec["containers"]).chain(elements(&spec["initContainers"])) {
        resources(&container["resources"])?;
        environment(&container["env"])?;
    }
    for toleration in elements(&spec["tolerations"]) {
        tolerates_legally(toleration)?;
    }
    node_affinity(&spec["affinity"]["nodeAffinity"])?;
    for name in [&spec["runtimeClassName"], &spec["schedulerName"]] {
        let legal = name.is_null() || name.as_str().is_some_and(|name| !name.is_empty());
        ensure(legal, format!("no name: {name}"))?;
    }
    Ok(())
}

/// A quantity's value; the vocabulary's are exact in this type.
pub(crate) fn quantity(value: &Value) -> Option<f64> {
    let text = match value {
        Value::Null => return Some(0.0),
        Value::Number(number) => return number.as_f64(),
        value => value.as_str()?,
    };
    let starts = text
        .trim_start_matches(['+', '-'])
        .starts_with(|c: char| c.is_ascii_digit());
    let (digits, thousandths) = match text.strip_suffix('m') {
        Some(digits) => (digits, 1.0),
        None => text
            .strip_suffix('k')
            .map_or((text, 1e3), |digits| (digits, 1e6)),
    };
    let digits: f64 = digits.parse().ok().filter(|_| starts)?;
    Some((digits * thousandths).round() / 1e3)
}

fn ensure(holds: bool, otherwise: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

fn annotations(annotations: &Value) -> Result<(), String> {
    let entries = annotations.as_object().into_iter().flatten();
    let size = |(key, value): (&String, &Value)| key.len() + value.as_str().map_or(0, str::len);
    let bytes: usize = entries.map(size).sum();
    ensure(bytes <= 256 * 1024, format!("{bytes} bytes of annotations"))
}

fn resources(resources: &Value) -> Result<(), String> {
    let (limits, requests) = (&resources["limits"], &resources["requests"]);
    for (name, amount) in [limits, requests]
        .into_iter()
        .filter_map(Value::as_object)
        .flatten()
    {
        let value = quantity(amount).ok_or_else(|| format!("{name}: {amount} is no quantity"))?;
        ensure(value >= 0.0, format!("{name}: {amount} is negative"))?;
        let whole = !is_extended(name) || value.fract() == 0.0;
        ensure(whole, format!("{name}: {amount} is not whole"))?;
    }
    for (name, request) in requests.as_object().into_iter().flatten() {
        match limits.get(name) {
            Some(limit) if is_extended(name) => {
                ensure(
                    quantity(limit) == quantity(request),
                    format!("{name}: {request} of {limit}"),
                )?;
            }
            Some(limit) => ensure(
                quantity(limit) >= quantity(request),
                format!("{name}: above {limit}"),
            )?,
            None => ensure(
                !is_extended(name),
                format!("{name}: a request without a limit"),
            )?,
        }
    }
    Ok(())
}

/// Whether a resource cannot be overcommitted, which those of Kubernetes itself can.
fn is_extended(resource: &str) -> bool {
    resource.contains('/')
}

/// Names must be there; that they are there once is more than Kubernetes asks, and what we do.
fn environment(env: &Value) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for variable in elements(env) {
        let name = variable["name"].as_str().unwrap_or_default();
        ensure(
            !name.is_empty() && names.insert(name),
            format!("env {name:?} again, or nameless"),
        )?;
        ensure(
            variable["value"].is_null() || variable["value"].is_string(),
            "env has no text",
        )?;
    }
    Ok(())
}

fn tolerates_legally(toleration: &Value) -> Result<(), String> {
    let text = |field: &str| toleration[field].as_str().unwrap_or_default();
    let operator = text("operator");
    ensure(
        ["", "Equal", "Exists", "Lt", "Gt"].contains(&operator),
        format!("operator {operator}"),
    )?;
    ensure(
        operator == "Exists" || !text("key").is_empty(),
        "an empty key without Exists",
    )?;
    ensure(
        operator != "Exists" || text("value").is_empty(),
        "Exists with a value",
    )?;
    ensure(is_label_value(text("value")), "a toleration's value")?;
    let effect = text("effect");
    let effects = ["", "NoSchedule", "PreferNoSchedule", "NoExecute"];
    ensure(effects.contains(&effect), format!("effect {effect}"))?;
    let ends = !toleration["tolerationSeconds"].is_null();
    ensure(
        !ends || effect == "NoExecute",
        format!("tolerationSeconds with {effect:?}"),
    )
}

fn node_affinity(affinity: &Value) -> Result<(), String> {
    let required = &affinity["requiredDuringSchedulingIgnoredDuringExecution"];
    if !required.is_null() {
        let terms = &required["nodeSelectorTerms"];
        ensure(elements(terms).count() > 0, "no terms")?;
        elements(terms).try_for_each(term)?;
    }
    for preferred in elements(&affinity["preferredDuringSchedulingIgnoredDuringExecution"]) {
        let weight = preferred["weight"].as_u64();
        ensure(
            weight.is_some_and(|weight| (1..=100).contains(&weight)),
            "weight",
        )?;
        term(&preferred["preference"])?;
    }
    Ok(())
}

fn term(term: &Value) -> Result<(), String> {
    elements(&term["matchExpressions"]).try_for_each(expression)?;
    for field in elements(&term["matchFields"]) {
        let known = field["key"] == "metadata.name"
            && (field["operator"] == "In" || field["operator"] == "NotIn");
        ensure(
            known && elements(&field["values"]).count() == 1,
            format!("field {field}"),
        )?;
    }
    Ok(())
}

fn expression(expression: &Value) -> Result<(), String> {
    let values = elements(&expression["values"]);
    let legal = values
        .clone()
        .all(|value| value.as_str().is_some_and(is_label_value));
    let count = values.count();
    let fits = match expression["operator"].as_str().unwrap_or_default() {
        "In" | "NotIn" => count > 0,
        "Exists" | "DoesNotExist" => count == 0,
        "Gt" | "Lt" => count == 1,
        _ => false,
    };
    let keyed = expression["key"]
        .as_str()
        .is_some_and(|key| !key.is_empty());
    ensure(keyed && fits && legal, format!("expression {expression}"))
}
