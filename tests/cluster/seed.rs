//! The five rows of the seed, on the seed's nodes.

use berth_cluster::Workload;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::{
    cluster,
    objects::{container, deployment, limits, object, pod, service},
};

/// Class, hostname and GPU.
const ROWS: [(&str, &str, &str); 5] = [
    ("vllm", "khelben", "amd.com/gpu"),
    ("whisper", "elminster", "nvidia.com/gpu"),
    ("xtts", "elminster", "nvidia.com/gpu"),
    ("bge-embeddings", "drizzt", "amd.com/gpu"),
    ("bge-reranker", "danilo", "gpu.intel.com/i915"),
];

/// All rows at once: each gets its node, and its GPU, and no other's.
async fn every_row<K: Workload>(workload: impl Fn(&str) -> K) {
    let Some(cluster) = cluster().await else {
        return;
    };
    let mut created = Vec::new();
    for (class, ..) in ROWS {
        created.push(cluster.create(workload(class)).await);
    }
    for ((class, hostname, resource), created) in ROWS.into_iter().zip(created) {
        let pod = created.runs_on(hostname).await;
        assert_eq!(limits(&pod)[resource], "1", "{class}");
        let spec = pod.spec.as_ref().expect("a spec");
        let nvidia = (hostname == "elminster").then_some("nvidia");
        assert_eq!(spec.runtime_class_name.as_deref(), nvidia, "{class}");
        let env = container(&pod).env.iter().flatten();
        let gfx = env.filter(|env| env.name == "HSA_OVERRIDE_GFX_VERSION");
        assert_eq!(gfx.count(), usize::from(hostname == "drizzt"), "{class}");
    }
}

#[tokio::test]
async fn every_row_runs_as_a_bare_pod() {
    every_row(pod).await;
}

#[tokio::test]
async fn every_row_runs_as_the_deployment_of_the_example() {
    every_row(service).await;
}

#[tokio::test]
async fn a_third_pod_on_the_shared_card_stays_pending_with_the_schedulers_reason() {
    let Some(cluster) = cluster().await else {
        return;
    };
    let whisper = cluster.create(pod("whisper")).await;
    let xtts = cluster.create(pod("xtts")).await;
    whisper.runs_on("elminster").await;
    xtts.runs_on("elminster").await;
    let third = cluster.create(deployment("whisper")).await;
    let reason = third.stays_pending().await;
    assert!(reason.contains("0/4 nodes are available"), "{reason}");
    assert!(reason.contains("1 Insufficient nvidia.com/gpu"), "{reason}");
    assert!(reason.contains("affinity/selector"), "{reason}");
}

#[tokio::test]
async fn a_pod_without_a_class_cannot_run_on_khelben() {
    let Some(cluster) = cluster().await else {
        return;
    };
    let intruder = json!({
        "metadata": {"name": "intruder"},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": "khelben"},
            "containers": [{"name": "intruder", "image": "intruder"}],
        },
    });
    let intruder = cluster.create(object::<Pod>(intruder)).await;
    let reason = intruder.stays_pending().await;
    assert!(
        reason.contains("1 node(s) had untolerated taint"),
        "{reason}"
    );
    // where it is not told where to run, it runs elsewhere
    let anywhere = json!({
        "metadata": {"name": "anywhere"},
        "spec": {"containers": [{"name": "anywhere", "image": "anywhere"}]},
    });
    let anywhere = cluster.create(object::<Pod>(anywhere)).await;
    let node = anywhere
        .pod(|pod| pod.spec.as_ref()?.node_name.clone())
        .await;
    assert_ne!(node, "khelben.home.arpa");
}
