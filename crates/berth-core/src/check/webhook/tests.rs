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
        let operations: json_patch::Patch = serde_json::from_str(&operations).expect("operations");
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
