//! The word at apply, in every rendering: it stops nobody, waits for a second at most, and is asked about few objects.

use berth_server::webhook::WARN_PATH;
use serde_json::{Value, json};

use crate::{
    objects::{Object, find},
    render::{chart, refused},
    rendering::renderings,
};

const KIND: &str = "ValidatingWebhookConfiguration";

fn hooks(objects: &[Object]) -> Vec<Value> {
    let hooks = find(objects, KIND, "berth")["webhooks"].as_array();
    hooks.expect("webhooks").clone()
}

#[test]
fn it_never_stops_an_object_and_the_api_server_waits_for_a_second() {
    for rendering in renderings() {
        let name = rendering.name;
        let [hook] = <[_; 1]>::try_from(hooks(&rendering.objects)).expect("one");
        let client = &hook["clientConfig"];
        assert_eq!(client["service"]["path"], WARN_PATH, "{name}");
        assert_eq!(hook["failurePolicy"], "Ignore", "{name}");
        assert_eq!(hook["timeoutSeconds"], 1, "{name}");
        assert_eq!(hook["sideEffects"], "None", "{name}");
        let groups = hook["rules"].as_array().expect("rules").iter();
        let groups: Vec<_> = groups.map(|rule| &rule["apiGroups"][0]).collect();
        assert_eq!(groups, ["apps", "batch"], "{name}");
        let of_pods = &rendering.find("MutatingWebhookConfiguration", "berth")["webhooks"][0];
        for field in ["namespaceSelector", "admissionReviewVersions"] {
            assert_eq!(hook[field], of_pods[field], "{name}: {field}");
        }
        let bundle = &of_pods["clientConfig"]["caBundle"];
        // Helm makes another certificate for each rendering, and one for both in it
        assert_eq!(&client["caBundle"], bundle, "{name}");
        let inject = |kind| {
            let annotations = &rendering.find(kind, "berth")["metadata"]["annotations"];
            annotations["cert-manager.io/inject-ca-from"].clone()
        };
        assert_eq!(
            inject(KIND),
            inject("MutatingWebhookConfiguration"),
            "{name}"
        );
    }
}

#[test]
fn it_is_asked_about_the_kinds_of_the_operators_that_are_named() {
    let all = [
        "argo", "jobset", "knative", "kserve", "kubeflow", "lws", "ray", "volcano",
    ];
    let values = format!("warnings.operators={{{}}}", all.join(","));
    let Some(objects) = chart(&[
        "--set",
        &values,
        "--set",
        "webhook.classLabel=example.com/gpu",
    ]) else {
        return;
    };
    let hooks = hooks(&objects);
    let names: Vec<_> = hooks.iter().map(|hook| hook["name"].as_str()).collect();
    let expected = ["workloads"].iter().chain(&all);
    let expected: Vec<_> = expected.map(|name| format!("{name}.berth.dev")).collect();
    let expected: Vec<_> = expected.iter().map(|name| Some(&**name)).collect();
    assert_eq!(names, expected);
    for hook in &hooks {
        let condition = hook["matchConditions"][2]["expression"].as_str();
        let condition = condition.expect("an expression");
        assert!(condition.contains("'example.com/gpu'"), "{condition}");
        assert!(!condition.contains("berth.dev/"), "{condition}");
    }
    if let Some(said) = refused(&["--set", "warnings.operators={rey}"]) {
        assert!(said.contains("operators"), "{said}");
    }
}

#[test]
fn it_can_be_left_out() {
    if let Some(objects) = chart(&["--set", "warnings.enabled=false"]) {
        assert!(
            objects.iter().all(|it| it["kind"] != KIND),
            "{}",
            json!(objects)
        );
    }
}
