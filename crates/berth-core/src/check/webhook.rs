//! The `MutatingWebhookConfiguration`: as it is shipped, each difference named.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use serde_json::{Value, json};

use super::{Check, Seen, patch};
use crate::names::{
    DISABLED, EXCLUDED_NAMESPACES, GROUP, INJECT_LABEL, MIRROR_ANNOTATION, NAMESPACE_NAME_LABEL,
};

/// The webhook for Pods that name a class, below the group.
pub const HOOK: &str = "pods";
/// The webhook for Pods whose namespace names one, below the group.
pub const NAMESPACE_HOOK: &str = "namespaces";

/// What the configuration is compared with.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The label by which a Pod names its class.
    pub class_label: String,
    /// Whether the table is in the cluster: then a namespace may name a class, too.
    pub reads_cluster: bool,
    /// The path at which berth answers.
    pub path: String,
}

/// A field that is not as it is shipped.
#[derive(Debug)]
struct Difference {
    /// As a person reads it.
    field: String,
    found: String,
    /// The operation that makes it right.
    operation: Value,
    /// Whether it still works.
    is_choice: bool,
}

/// Whether a configuration is as it is shipped.
#[must_use]
pub fn configuration(
    found: &Seen<Vec<MutatingWebhookConfiguration>>,
    expected: &Expected,
) -> Check {
    let what = "the webhook configuration is as it is shipped";
    let all = match found {
        Ok(all) => all,
        Err(why) => return Check::skipped(what, why),
    };
    let [configuration] = all.as_slice() else {
        let names = all.iter().filter_map(|it| it.metadata.name.as_deref());
        let names: Vec<&str> = names.collect();
        return if names.is_empty() {
            Check::failed(what, format!("no MutatingWebhookConfiguration has the webhook {HOOK}.{GROUP}: the API server asks berth about no Pod"))
                .advise("install berth again: helm upgrade --install berth deploy/chart/berth -n berth, or kubectl apply -k your overlay")
        } else {
            Check::failed(
                what,
                format!(
                    "{} of them ask about the same Pods: {}",
                    names.len(),
                    names.join(", ")
                ),
            )
            .advise("keep one, and delete the others; or name one with --name")
        };
    };
    let name = configuration.metadata.name.as_deref().unwrap_or_default();
    let differences = differences(&json!(configuration), expected);
    if differences.is_empty() {
        return Check::passed(what);
    }
    let said = differences
        .iter()
        .map(|it| format!("{} is {}", it.field, it.found));
    let said = said.collect::<Vec<_>>().join("; ");
    let operations: Vec<&Value> = differences.iter().map(|it| &it.operation).collect();
    let check = if differences.iter().all(|it| it.is_choice) {
        Check::warned(what, said)
    } else {
        Check::failed(what, said)
    };
    check.run(patch(
        &format!("mutatingwebhookconfiguration {name}"),
        &json!(operations),
    ))
}

/// What a webhook should have, without who is asked and whom the API server trusts.
fn shipped(expected: &Expected, asks: &str) -> Value {
    json!({
        "admissionReviewVersions": ["v1"],
        "rules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "Namespaced",
        }],
        "objectSelector": [{"key": expected.class_label, "operator": asks}, opted_out()],
        "matchConditions": [{
            "name": "no-mirror-pod",
            "expression": format!("!('{MIRROR_ANNOTATION}' in object.metadata.?annotations.orValue({{}}))"),
        }],
        "matchPolicy": "Equivalent",
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "NoneOnDryRun",
    })
}

fn opted_out() -> Value {
    json!({"key": INJECT_LABEL, "operator": "NotIn", "values": [DISABLED]})
}

fn differences(configuration: &Value, expected: &Expected) -> Vec<Difference> {
    let hooks = configuration["webhooks"].as_array();
    let find = |name: &str| {
        let name = format!("{name}.{GROUP}");
        let mut all = hooks.into_iter().flatten().enumerate();
        all.find(|(_, hook)| hook["name"] == *name)
    };
    let mut differences = Vec::new();
    if let Some((place, hook)) = find(HOOK) {
        of_hook(&mut differences, place, hook, expected, "Exists");
    }
    match find(NAMESPACE_HOOK) {
        Some((place, hook)) => of_hook(&mut differences, place, hook, expected, "DoesNotExist"),
        None if expected.reads_cluster => {
            if let Some((_, hook)) = find(HOOK) {
                differences.push(without_namespaces(hook, expected));
            }
        }
        None => {}
    }
    differences
}

/// The second webhook is missing: a namespace's class counts for nobody.
fn without_namespaces(first: &Value, expected: &Expected) -> Difference {
    let mut hook = first.clone();
    hook["name"] = json!(format!("{NAMESPACE_HOOK}.{GROUP}"));
    hook["objectSelector"]["matchExpressions"] =
        shipped(expected, "DoesNotExist")["objectSelector"].take();
    let names_one = json!({"key": expected.class_label, "operator": "Exists"});
    if let Some(expressions) = hook["namespaceSelector"]["matchExpressions"].as_array_mut() {
        expressions.push(names_one);
    }
    Difference {
        field: format!("{NAMESPACE_HOOK}.{GROUP}"),
        found: "missing: the class that a namespace names counts for none of its Pods".to_owned(),
        operation: json!({"op": "add", "path": "/webhooks/-", "value": hook}),
        is_choice: false,
    }
}

fn of_hook(
    differences: &mut Vec<Difference>,
    place: usize,
    hook: &Value,
    expected: &Expected,
    asks: &str,
) {
    let name = hook["name"].as_str().unwrap_or_default();
    let mut differs = |field: &str, found: &Value, right: &Value| {
        differences.push(Difference {
            field: format!("{name} {}", field.replace('/', ".")),
            found: shown(found),
            operation: json!({"op": "add", "path": format!("/webhooks/{place}/{field}"), "value": right}),
            // the chart has a value for it
            is_choice: field == "failurePolicy",
        });
    };
    let shipped = shipped(expected, asks);
    for (field, right) in shipped.as_object().into_iter().flatten() {
        if field == "objectSelector" {
            continue;
        }
        if hook[field] != *right {
            differs(field, &hook[field], right);
        }
    }
    let path = &hook["clientConfig"]["service"]["path"];
    if hook["clientConfig"]["service"].is_object() && *path != expected.path {
        differs("clientConfig/service/path", path, &json!(expected.path));
    }
    let own = hook["clientConfig"]["service"]["namespace"].as_str();
    for (selector, right) in [
        (
            "objectSelector",
            with_missing(&hook["objectSelector"], &shipped["objectSelector"]),
        ),
        (
            "namespaceSelector",
            of_namespaces(&hook["namespaceSelector"], own, expected, asks),
        ),
    ] {
        if let Some(right) = right {
            let field = format!("{selector}/matchExpressions");
            differs(&field, &hook[selector]["matchExpressions"], &right);
        }
    }
}

/// The expressions of a selector with those that are missing; none where none is. More of them are a person's choice.
fn with_missing(selector: &Value, right: &Value) -> Option<Value> {
    let mut all = selector["matchExpressions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let before = all.len();
    for expression in right.as_array().into_iter().flatten() {
        if !all.contains(expression) {
            // another one about the same label contradicts it
            all.retain(|it| it["key"] != expression["key"]);
            all.push(expression.clone());
        }
    }
    let was = selector["matchExpressions"].as_array();
    (before != all.len() || was != Some(&all)).then(|| json!(all))
}

/// The same for namespaces: berth's own and those by which a cluster starts must be left out, and others may be.
fn of_namespaces(
    selector: &Value,
    own: Option<&str>,
    expected: &Expected,
    asks: &str,
) -> Option<Value> {
    let mut right = vec![opted_out()];
    if asks == "DoesNotExist" {
        right.push(json!({"key": expected.class_label, "operator": "Exists"}));
    }
    let expressions = selector["matchExpressions"].as_array();
    let by_name = expressions
        .into_iter()
        .flatten()
        .find(|it| it["key"] == NAMESPACE_NAME_LABEL && it["operator"] == "NotIn");
    let mut left_out: Vec<Value> = by_name
        .and_then(|it| it["values"].as_array().cloned())
        .unwrap_or_default();
    for name in own.into_iter().chain(EXCLUDED_NAMESPACES) {
        if !left_out.iter().any(|it| it == name) {
            left_out.push(json!(name));
        }
    }
    right.push(json!({"key": NAMESPACE_NAME_LABEL, "operator": "NotIn", "values": left_out}));
    with_missing(selector, &json!(right))
}

/// A value within a sentence.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
