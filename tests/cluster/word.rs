//! A word at apply: what kubectl prints beside "created", and about what the API server asks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use berth_cluster::Cluster;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    cluster_without_gpus, eventually,
    objects::kubectl_creates,
    replica::{apply, kubectl},
};

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

/// Berth is down: it takes a call and never answers, or its port is closed.
#[tokio::test]
async fn where_nobody_answers_about_a_word_what_is_applied_is_taken_all_the_same() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let control_plane = cluster.homelab().control_plane();
    let get = [
        "get",
        "validatingwebhookconfiguration",
        "berth",
        "-o",
        "json",
    ];
    let shipped = kubectl(control_plane, &get).await;
    let mut silent: Value = serde_json::from_str(&shipped).expect("JSON");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let name = format!("silent-{}", cluster.namespace());
    silent["metadata"] = json!({"name": name});
    for hook in silent["webhooks"].as_array_mut().expect("a list") {
        let ca = hook["clientConfig"]["caBundle"].clone();
        hook["clientConfig"] = json!({"url": format!("https://{address}/word"), "caBundle": ca});
        let of_test = json!({"kubernetes.io/metadata.name": cluster.namespace()});
        hook["namespaceSelector"] = json!({"matchLabels": of_test});
    }
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let takes = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((call, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            held.push(call);
        }
    });
    apply(control_plane, &silent).await;
    let misspelt = workload("Deployment", json!({}), json!({LABEL: "wisper"}));
    let is_asked = async || {
        said(&cluster, &misspelt).await;
        (calls.load(Ordering::Relaxed) > 0).then_some(())
    };
    eventually(is_asked).await.expect("it is asked");
    // less than the 10 s that a webhook has which says nothing of it
    let began = Instant::now();
    said(&cluster, &misspelt).await;
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    takes.abort();
    let _ = takes.await;
    said(&cluster, &misspelt).await;
    kubectl(
        control_plane,
        &["delete", "validatingwebhookconfiguration", &name],
    )
    .await;
}
