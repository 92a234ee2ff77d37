//! A dry run on the server shows what berth does, and leaves nothing behind.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;

use crate::{
    cluster_without_gpus,
    common::path,
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

/// The command of the README, and the lines that it shows.
#[tokio::test]
async fn kubectl_shows_what_the_readme_does() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let readme = std::fs::read_to_string(path("README.md")).expect("a file");
    let (_, block) = readme
        .split_once("$ kubectl run first ")
        .expect("its command");
    let (block, _) = block.split_once("```").expect("the block's end");
    let (flags, shown) = block.split_once('\n').expect("its output");
    let arguments: Vec<&str> = ["run", "first"]
        .into_iter()
        .chain(flags.split(' '))
        .collect();
    let (succeeded, said) = cluster.kubectl(&arguments).await;
    assert!(succeeded, "{said}");
    let mut rest = said.as_str();
    for part in shown.split("...\n").filter(|part| !part.is_empty()) {
        let found = rest.split_once(part);
        (_, rest) = found.unwrap_or_else(|| panic!("{part} is not in {said}"));
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
