//! Who opts out is not touched, and not asked about.

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::{
    cluster_without_gpus,
    objects::{dry_run, limits, pod, pods_of_a_namespace, refusal},
};

fn with_label(class: &str, value: &str) -> Pod {
    let mut pod = pod(class);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert("berth.dev/inject".to_owned(), value.to_owned());
    pod
}

fn untouched(shown: &Pod) {
    assert!(limits(shown).is_empty(), "{shown:#?}");
    assert!(shown.metadata.annotations.is_none(), "{shown:#?}");
    let affinity = shown.spec.as_ref().and_then(|spec| spec.affinity.as_ref());
    assert!(affinity.is_none(), "{shown:#?}");
}

#[tokio::test]
async fn a_pod_that_opts_out_is_created_as_it_is() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    untouched(&cluster.dry_run(with_label("vllm", "disabled")).await);
    // not even its class is asked about
    untouched(&cluster.dry_run(with_label("vlm", "disabled")).await);
}

#[tokio::test]
async fn an_opt_out_is_spelt_exactly() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    for value in ["Disabled", "enabled", ""] {
        let shown = cluster.dry_run(with_label("vllm", value)).await;
        assert_eq!(limits(&shown)["amd.com/gpu"], "1", "{value}");
    }
}

#[tokio::test]
async fn a_namespace_that_opts_out_has_its_pods_as_they_are() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let out = json!({"labels": {"berth.dev/inject": "disabled"}});
    let pods = pods_of_a_namespace(&cluster, out).await;
    for class in ["vllm", "vlm"] {
        untouched(&pods.create(&dry_run(), &pod(class)).await.expect("a Pod"));
    }
    // the test's own has not opted out
    let status = refusal(cluster.api().create(&dry_run(), &pod("vlm")).await);
    assert_eq!(status.code, 403);
}
