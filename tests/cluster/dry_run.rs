//! A dry run on the server shows what berth does, and leaves nothing behind.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;

use crate::{
    cluster_without_gpus,
    objects::{limits, pod},
};

#[tokio::test]
async fn a_dry_run_shows_the_patch_and_stores_nothing() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let shown = cluster.dry_run(pod("vllm")).await;
    assert_eq!(limits(&shown)["amd.com/gpu"], "1");
    assert_eq!(
        shown.metadata.annotations.expect("one")["berth.dev/pool"],
        "strix-halo"
    );
    let all = ListParams::default();
    let pods = cluster.api::<Pod>().list(&all).await.expect("Pods");
    assert!(pods.items.is_empty(), "{pods:#?}");
    let events = cluster.api::<Event>().list(&all).await.expect("events");
    assert!(events.items.is_empty(), "{events:#?}");
}

#[tokio::test]
async fn kubectl_shows_it_as_the_readme_says() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let file = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
    serde_json::to_writer(&file, &pod("whisper")).expect("written");
    let name = file.path().to_str().expect("UTF-8");
    let (succeeded, said) = cluster
        .kubectl(&["apply", "--dry-run=server", "-o", "yaml", "-f", name])
        .await;
    assert!(succeeded, "{said}");
    for line in [
        "runtimeClassName: nvidia",
        "nvidia.com/gpu: \"1\"",
        "- elminster",
    ] {
        assert!(said.contains(line), "{line} is not in {said}");
    }
}

#[tokio::test]
async fn the_audit_log_says_which_class_pool_and_table_decided() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    cluster.dry_run(pod("bge-reranker")).await;
    let audit = cluster.audit(|event| {
        let annotations = &event["annotations"];
        let value = |key: &str| annotations[format!("pods.berth.dev/{key}")].as_str();
        Some((
            value("class")?.to_owned(),
            value("pool")?.to_owned(),
            value("table")?.len(),
        ))
    });
    let (class, pool, revision) = audit.await;
    assert_eq!(
        (class.as_str(), pool.as_str()),
        ("bge-reranker", "intel-arc")
    );
    assert!(revision >= 6, "{revision}");
}
