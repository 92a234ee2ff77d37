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
mod tests {
    use super::*;
    use crate::check::{Hint, Outcome};
    use crate::names::CLASS_LABEL;

    fn expected() -> Expected {
        Expected {
            class_label: CLASS_LABEL.to_owned(),
            reads_cluster: true,
            path: "/mutate".to_owned(),
        }
    }

    /// As an API server stores it.
    fn stored() -> Value {
        let hook = |name: &str, asks: &str| {
            let mut hook = shipped(&expected(), asks);
            let expressions = hook["objectSelector"].take();
            hook["objectSelector"] = json!({"matchExpressions": expressions});
            hook["name"] = json!(format!("{name}.{GROUP}"));
            hook["timeoutSeconds"] = json!(5);
            hook["clientConfig"] = json!({"service": {"name": "berth", "namespace": "gpu", "path": "/mutate", "port": 443}, "caBundle": "Cg=="});
            let mut namespaces = vec![
                json!({"key": NAMESPACE_NAME_LABEL, "operator": "NotIn", "values": ["gpu", "kube-system", "kube-node-lease"]}),
                opted_out(),
            ];
            if asks == "DoesNotExist" {
                namespaces.push(json!({"key": CLASS_LABEL, "operator": "Exists"}));
            }
            hook["namespaceSelector"] = json!({"matchExpressions": namespaces});
            hook
        };
        json!({
            "metadata": {"name": "berth"},
            "webhooks": [hook(HOOK, "Exists"), hook(NAMESPACE_HOOK, "DoesNotExist")],
        })
    }

    fn check(value: &Value) -> Check {
        let typed = serde_json::from_value(value.clone()).expect("a configuration");
        configuration(&Ok(vec![typed]), &expected())
    }

    #[test]
    fn as_shipped_and_with_what_the_chart_s_values_add_it_passes() {
        let mut value = stored();
        assert_eq!(
            check(&value).outcome,
            Outcome::Passed,
            "{:?}",
            check(&value)
        );
        value["webhooks"][0]["timeoutSeconds"] = json!(10);
        let more = json!({"key": "team", "operator": "Exists"});
        for selector in ["objectSelector", "namespaceSelector"] {
            let all = value["webhooks"][0][selector]["matchExpressions"].as_array_mut();
            all.expect("expressions").push(more.clone());
        }
        let names = &mut value["webhooks"][0]["namespaceSelector"]["matchExpressions"][0]["values"];
        names
            .as_array_mut()
            .expect("names")
            .push(json!("monitoring"));
        assert_eq!(
            check(&value).outcome,
            Outcome::Passed,
            "{:?}",
            check(&value)
        );
    }

    /// Each difference is named, and its patch makes the configuration pass again.
    #[test]
    fn each_difference_is_named_and_its_patch_fixes_it() {
        for (pointer, value, outcome, said) in [
            (
                "/webhooks/0/failurePolicy",
                json!("Ignore"),
                Outcome::Warned,
                "pods.berth.dev failurePolicy is Ignore",
            ),
            (
                "/webhooks/0/matchPolicy",
                json!("Exact"),
                Outcome::Failed,
                "matchPolicy is Exact",
            ),
            (
                "/webhooks/1/reinvocationPolicy",
                json!("Never"),
                Outcome::Failed,
                "namespaces.berth.dev reinvocationPolicy is Never",
            ),
            (
                "/webhooks/0/sideEffects",
                json!("Some"),
                Outcome::Failed,
                "sideEffects is Some",
            ),
            (
                "/webhooks/0/rules/0/operations",
                json!(["UPDATE"]),
                Outcome::Failed,
                "UPDATE",
            ),
            (
                "/webhooks/0/rules/0/resources",
                json!(["pods", "secrets"]),
                Outcome::Failed,
                "secrets",
            ),
            (
                "/webhooks/0/matchConditions",
                json!([]),
                Outcome::Failed,
                "matchConditions is",
            ),
            (
                "/webhooks/0/clientConfig/service/path",
                json!("/"),
                Outcome::Failed,
                "clientConfig.service.path is /",
            ),
            (
                "/webhooks/0/objectSelector/matchExpressions",
                json!([]),
                Outcome::Failed,
                "objectSelector",
            ),
            (
                "/webhooks/0/objectSelector/matchExpressions/0/key",
                json!("other"),
                Outcome::Failed,
                "other",
            ),
            (
                "/webhooks/0/namespaceSelector/matchExpressions/0/values",
                json!(["gpu"]),
                Outcome::Failed,
                "namespaceSelector",
            ),
            (
                "/webhooks/1/namespaceSelector/matchExpressions/2/operator",
                json!("DoesNotExist"),
                Outcome::Failed,
                "namespaceSelector",
            ),
            (
                "/webhooks/1/name",
                json!("other.example.com"),
                Outcome::Failed,
                "namespaces.berth.dev is missing",
            ),
        ] {
            let mut changed = stored();
            *changed.pointer_mut(pointer).expect("a field") = value;
            let found = check(&changed);
            assert_eq!(found.outcome, outcome, "{pointer}: {found:?}");
            let text = found.found.expect("a difference");
            assert!(text.contains(said), "{pointer}: {text}");
            let Some(Hint::Run(command)) = found.hint else {
                panic!("{pointer}");
            };
            let (_, operations) = command.split_once(" -p ").expect("a patch");
            let operations = operations.trim_matches('\'').replace(r"'\''", "'");
            let operations: json_patch::Patch =
                serde_json::from_str(&operations).expect("operations");
            json_patch::patch(&mut changed, &operations).expect("it applies");
            let fixed = check(&changed);
            assert_eq!(fixed.outcome, Outcome::Passed, "{pointer}: {fixed:?}");
        }
    }

    #[test]
    fn none_and_several_fail() {
        let none = configuration(&Ok(vec![]), &expected());
        assert_eq!(none.outcome, Outcome::Failed);
        let typed: MutatingWebhookConfiguration =
            serde_json::from_value(stored()).expect("a configuration");
        let two = configuration(&Ok(vec![typed.clone(), typed]), &expected());
        assert!(two.found.expect("said").contains("berth, berth"));
    }
}
