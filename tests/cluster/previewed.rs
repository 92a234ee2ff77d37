//! What a preview says without a cluster is what the API server does.

use berth_core::{table::Settings, view::View};
use berth_manifests::{
    diagnostic::Severity,
    preview::{Namespaces, Preview, preview},
    table_files::TableFiles,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};

use crate::{
    cluster_without_gpus,
    common::path,
    objects::{dry_run, kubectl_creates, object},
};

fn previewed(document: &Value) -> Preview {
    let files = TableFiles {
        paths: vec![path("examples/homelab.yaml")],
        settings: Settings::default(),
    };
    let view = View::from(files.load().expect("a table"));
    preview(document, &view, &Namespaces::new("default", []))
}

/// A Pod of a class with more in its spec.
fn pod(spec: Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "labels": {"berth.dev/workload-class": "whisper"}},
        "spec": {"containers": [{"name": "main", "image": "x"}]}});
    let fields = spec.as_object().into_iter().flatten();
    for (field, value) in fields {
        pod["spec"][field] = value.clone();
    }
    pod
}

#[tokio::test]
async fn what_a_preview_calls_invalid_is_denied_and_the_rest_is_not() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let named = |name: &str| json!({"name": name, "image": "x"});
    for spec in [
        json!({}),
        json!({"hostNetwork": "yes"}),
        json!({"activeDeadlineSeconds": "5"}),
        json!({"dnsPolicy": 1}),
        json!({"volumes": {"a": 1}}),
        json!({"runtimeClassName": ""}),
        json!({"initContainers": [named("main")]}),
        json!({"initContainers": [named("other")]}),
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": []}}}}),
    ] {
        let pod = pod(spec);
        let (created, said) = kubectl_creates(&cluster, &pod).await;
        let is_invalid = previewed(&pod).severity() == Some(Severity::Error);
        assert_eq!(created, !is_invalid, "{pod}: {said}");
    }
}

#[tokio::test]
async fn a_null_in_a_map_is_an_empty_entry() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let resource = ApiResource::erase::<Pod>(&());
    let pods: Api<DynamicObject> =
        Api::namespaced_with(cluster.client(), cluster.namespace(), &resource);
    let container =
        json!({"name": "main", "image": "x", "resources": {"limits": {"nvidia.com/gpu": null}}});
    let document = pod(json!({"containers": [container], "nodeSelector": {"a": null}}));
    let sent: DynamicObject = object(document.clone());
    let stored = pods.create(&dry_run(), &sent).await.expect("created");
    let stored = serde_json::to_value(stored).expect("JSON");
    let previewed = previewed(&document).pods.remove(0).outcome;
    let previewed = previewed.expect("an answer").pod;
    for field in ["/spec/containers/0/resources/limits", "/spec/nodeSelector"] {
        assert_eq!(stored.pointer(field), previewed.pointer(field), "{field}");
    }
    assert_eq!(stored["spec"]["nodeSelector"]["a"], "");
}
