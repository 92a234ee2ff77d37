//! Another webhook changes the Pod before berth or after it: the result is right in both orders.

use axum::Json;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::{
    cluster_without_gpus,
    neighbour::{AFTER, BEFORE, Neighbour, patch},
    objects::{container, limits, plain, pod, tolerations},
};

/// A sidecar at index 0, as a mesh's webhook puts it, and a toleration.
fn sidecar_and_toleration() -> Value {
    json!([
        {"op": "add", "path": "/spec/containers/0", "value": {"name": "mesh", "image": "mesh"}},
        {"op": "add", "path": "/spec/tolerations/-", "value": {"key": "mesh", "operator": "Exists"}},
    ])
}

fn names(pod: &Pod) -> Vec<&str> {
    let containers = &pod.spec.as_ref().expect("a spec").containers;
    containers.iter().map(|one| one.name.as_str()).collect()
}

/// The webhooks that the API server called in its second round, and whether they changed the Pod.
fn second_round(event: &Value) -> Option<Vec<(String, bool)>> {
    let annotations = event["annotations"].as_object()?;
    let rounds = annotations.iter().filter_map(|(key, value)| {
        key.strip_prefix("mutation.webhook.admission.k8s.io/round_1_")?;
        let call: Value = serde_json::from_str(value.as_str()?).ok()?;
        Some((
            call["configuration"].as_str()?.to_owned(),
            call["mutated"].as_bool()?,
        ))
    });
    let rounds: Vec<_> = rounds.collect();
    (!rounds.is_empty()).then_some(rounds)
}

#[tokio::test]
async fn a_sidecar_and_a_toleration_that_come_later_stay_and_berth_has_nothing_to_add() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let later = |review: &Value| patch(review, &sidecar_and_toleration());
    Neighbour::join(&cluster, AFTER, later).await;
    let shown = cluster.dry_run(pod("vllm")).await;
    assert_eq!(names(&shown), ["mesh", "vllm"]);
    assert!(limits(&shown).is_empty(), "{shown:#?}");
    let vllm = &shown.spec.as_ref().expect("a spec").containers[1];
    let limits = vllm
        .resources
        .as_ref()
        .and_then(|resources| resources.limits.as_ref());
    assert_eq!(limits.expect("limits")["amd.com/gpu"].0, "1");
    for key in ["dedicated", "mesh"] {
        let found = tolerations(&shown).filter(|found| *found == key);
        assert_eq!(found.count(), 1, "{key}: {shown:#?}");
    }
    // berth was asked again, and saw that all is well
    let again = cluster.audit(second_round).await;
    assert_eq!(again, [("berth".to_owned(), false)]);
}

#[tokio::test]
async fn a_container_that_comes_later_and_asks_for_the_gpu_gets_what_the_pool_needs() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let warm_up = json!({"name": "warm-up", "image": "warm-up", "resources": {"limits": {"amd.com/gpu": "1"}}});
    let add = json!([{"op": "add", "path": "/spec/initContainers", "value": [warm_up]}]);
    Neighbour::join(&cluster, AFTER, move |review| patch(review, &add)).await;
    let shown = cluster.dry_run(pod("bge-embeddings")).await;
    let init = shown
        .spec
        .as_ref()
        .and_then(|spec| spec.init_containers.as_ref());
    let env = init.expect("one")[0].env.iter().flatten();
    let names: Vec<_> = env.map(|env| env.name.as_str()).collect();
    assert_eq!(names, ["HSA_OVERRIDE_GFX_VERSION"]);
    let again = cluster.audit(second_round).await;
    assert_eq!(again, [("berth".to_owned(), true)]);
}

#[tokio::test]
async fn a_container_that_comes_later_and_asks_for_another_vendors_gpu_is_refused() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let other = json!({"name": "other", "image": "other", "resources": {"limits": {"nvidia.com/gpu": "1"}}});
    let add = json!([{"op": "add", "path": "/spec/containers/-", "value": other}]);
    Neighbour::join(&cluster, AFTER, move |review| patch(review, &add)).await;
    let status = cluster.refuses(pod("vllm")).await;
    assert_eq!(status.code, 403);
    for word in [
        "pods.berth.dev",
        "\"other\"",
        "nvidia.com/gpu",
        "amd.com/gpu",
    ] {
        assert!(status.message.contains(word), "{word}: {}", status.message);
    }
}

/// The Pod's class, as a webhook writes it onto a Pod that has no labels.
fn label(review: &Value) -> Json<Value> {
    let labels = json!({"berth.dev/workload-class": "whisper"});
    patch(
        review,
        &json!([{"op": "add", "path": "/metadata/labels", "value": labels}]),
    )
}

#[tokio::test]
async fn a_class_that_an_earlier_webhook_writes_counts() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    Neighbour::join(&cluster, BEFORE, label).await;
    let shown = cluster.dry_run(plain("asr")).await;
    assert_eq!(limits(&shown)["nvidia.com/gpu"], "1");
}

#[tokio::test]
async fn a_class_that_a_later_webhook_writes_is_never_seen() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    Neighbour::join(&cluster, AFTER, label).await;
    let shown = cluster.dry_run(plain("asr")).await;
    let labels = shown.metadata.labels.as_ref().expect("labels");
    assert_eq!(labels["berth.dev/workload-class"], "whisper");
    assert!(
        container(&shown)
            .resources
            .iter()
            .all(|given| given.limits.is_none()),
        "{shown:#?}"
    );
}
