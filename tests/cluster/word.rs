//! A word at apply: what kubectl prints beside "created", and about what the API server asks.

use berth_cluster::Cluster;
use serde_json::{Value, json};

use crate::{cluster_without_gpus, eventually, objects::kubectl_creates};

const LABEL: &str = "berth.dev/workload-class";

/// An object of a kind whose Pods never run, with labels of its own and of its Pods.
fn workload(kind: &str, labels: Value, of_pods: Value) -> Value {
    let mut of_pods = of_pods;
    of_pods["app"] = "w".into();
    let container = json!({"name": "main", "image": "x"});
    let mut template =
        json!({"metadata": {"labels": of_pods}, "spec": {"containers": [container]}});
    let selector = json!({"matchLabels": {"app": "w"}});
    if kind.ends_with("Job") {
        template["spec"]["restartPolicy"] = "Never".into();
    }
    let (version, spec) = match kind {
        "Job" => ("batch/v1", json!({"template": template})),
        "CronJob" => (
            "batch/v1",
            json!({"schedule": "@yearly", "jobTemplate": {"spec": {"template": template}}}),
        ),
        _ => (
            "apps/v1",
            json!({"selector": selector, "template": template}),
        ),
    };
    json!({
        "apiVersion": version, "kind": kind, "spec": spec,
        "metadata": {"name": "w", "labels": labels},
    })
}

/// What kubectl says of an object that is taken.
async fn said(cluster: &Cluster<'_>, object: &Value) -> String {
    let (succeeded, said) = kubectl_creates(cluster, object).await;
    assert!(succeeded, "{said}");
    said
}

/// The API server says to nobody when it has noticed the webhook's port.
async fn is_called(cluster: &Cluster<'_>) {
    let object = workload("Deployment", json!({}), json!({LABEL: "wisper"}));
    let warned = async || {
        let said = said(cluster, &object).await;
        said.contains("Warning: berth: ").then_some(())
    };
    eventually(warned).await.expect("a word at apply");
}

#[tokio::test]
async fn who_applies_a_misspelt_class_or_a_label_beside_the_template_is_warned() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    is_called(&cluster).await;
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"] {
        let misspelt = workload(kind, json!({}), json!({LABEL: "wisper"}));
        let said_of = said(&cluster, &misspelt).await;
        let expected = r#"; did you mean "whisper"?"#;
        assert!(said_of.contains(expected), "{kind}: {said_of}");
        let beside = workload(kind, json!({LABEL: "whisper"}), json!({}));
        let said_of = said(&cluster, &beside).await;
        let expected = "berth: the Pods do not get the label in metadata.labels; move it to spec.";
        assert!(said_of.contains(expected), "{kind}: {said_of}");
    }
}

#[tokio::test]
async fn nothing_is_said_or_asked_where_the_label_is_nowhere() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    is_called(&cluster).await;
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"] {
        let object = workload(kind, json!({"app": "w"}), json!({}));
        let said = said(&cluster, &object).await;
        assert!(!said.contains("Warning"), "{kind}: {said}");
    }
    let log = cluster.homelab().control_plane().path("berth.log");
    let log = std::fs::read_to_string(log).expect("a log");
    let events = log.lines().map(serde_json::from_str::<Value>);
    let words = events.filter_map(Result::ok).filter(|event| {
        event["message"] == "word at apply" && event["namespace"] == cluster.namespace()
    });
    // those of `is_called`
    let mut results = words.map(|event| event["result"].clone());
    assert!(results.all(|result| result == "warned"), "{log}");
}
