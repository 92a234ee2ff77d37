//! Pods as large as a request may be, as many at once as an API server lets in, through a real one.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    common::process::peak_memory,
    exclusive,
    objects::{dry_run, limits, object, pod},
    stand::is_soak,
};

/// A Pod of about so many bytes: no field but those of containers may be so long.
fn large(bytes: usize) -> Pod {
    let mut large = json!(pod("vllm"));
    let value = "v".repeat(1000);
    let variable = |n| json!({"name": format!("VARIABLE_{n}"), "value": value});
    let variables: Vec<Value> = (0..bytes / 1040).map(variable).collect();
    large["spec"]["containers"][0]["env"] = json!(variables);
    object(large)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_of_2_9_mb_at_once_are_placed_within_128_mib() {
    let Some(homelab) = exclusive().await else {
        return;
    };
    let cluster = homelab.cluster_without_gpus().await;
    let serving = &homelab.webhook().serving;
    let (large, began) = (large(2_900_000), Instant::now());
    let mut creating = JoinSet::new();
    for _ in 0..if is_soak() { 64 } else { 4 } {
        let (pods, large): (Api<Pod>, _) = (cluster.api(), large.clone());
        creating.spawn(async move { pods.create(&dry_run(), &large).await });
    }
    let created = creating.join_all().await;
    let took = began.elapsed();
    let (placed, failed): (Vec<_>, Vec<_>) = created.into_iter().partition(Result::is_ok);
    let peak = peak_memory(serving.id());
    println!(
        "Pods of 2.9 MB at once: {} placed and {} failed in {took:.1?}, VmHWM {peak} MiB",
        placed.len(),
        failed.len()
    );
    for pod in placed.iter().flatten() {
        assert_eq!(limits(pod)["amd.com/gpu"], "1");
    }
    assert!(failed.is_empty(), "{:?}", failed.first());
    assert!(peak < 128, "{peak} MiB");
}
