//! Kubernetes' own admission plugins around berth, and what the user reads where one of them refuses.

use k8s_openapi::{
    DeepMerge,
    api::{
        core::v1::{LimitRange, Pod, ResourceQuota},
        node::v1::RuntimeClass,
    },
};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
    runtime::watcher,
};
use serde_json::{Value, json};

use berth_cluster::{Cluster, until};

use crate::{
    cluster_without_gpus, eventually, exclusive,
    objects::{
        dry_run, explained, limits, object, plain, pod, pods_of_a_namespace, refusal, tolerations,
    },
};

async fn limit_range(cluster: &Cluster<'_>, limit: Value) {
    let spec = json!({"limits": [limit]});
    let range: LimitRange = object(json!({"metadata": {"name": "limits"}, "spec": spec}));
    let created = cluster.api().create(&PostParams::default(), &range).await;
    created.expect("a LimitRange");
}

#[tokio::test]
async fn what_a_limit_range_fills_in_stays_beside_the_gpu() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let filled = json!({"cpu": "500m", "memory": "1Gi"});
    limit_range(&cluster, json!({"type": "Container", "default": filled})).await;
    let shown = cluster.dry_run(pod("vllm")).await;
    let limits = limits(&shown);
    let limit = |name: &str| limits.get(name).map(String::as_str);
    assert_eq!(limit("cpu"), Some("500m"));
    assert_eq!(limit("memory"), Some("1Gi"));
    assert_eq!(limit("amd.com/gpu"), Some("1"));
}

#[tokio::test]
async fn a_gpu_that_a_limit_range_fills_in_counts_as_asked_for() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    limit_range(
        &cluster,
        json!({"type": "Container", "default": {"nvidia.com/gpu": "1"}}),
    )
    .await;
    let shown = cluster.dry_run(pod("whisper")).await;
    assert_eq!(limits(&shown)["nvidia.com/gpu"], "1");
    let status = cluster.refuses(pod("vllm")).await;
    assert_eq!(status.code, 403);
    for word in ["asks for nvidia.com/gpu", "has amd.com/gpu"] {
        assert!(status.message.contains(word), "{word}: {}", status.message);
    }
}

#[tokio::test]
async fn more_gpus_than_the_class_allows_may_be_a_limit_ranges_and_the_message_says_so() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    limit_range(
        &cluster,
        json!({"type": "Container", "default": {"nvidia.com/gpu": "2"}}),
    )
    .await;
    let status = cluster.refuses(pod("whisper")).await;
    assert_eq!(status.code, 403);
    let words = "asks for 2 of nvidia.com/gpu, and workload class \"whisper\" allows 1";
    assert!(status.message.contains(words), "{}", status.message);
    assert!(status.message.contains("LimitRange"), "{}", status.message);
}

#[tokio::test]
async fn a_limit_range_without_room_for_the_gpu_refuses_by_its_name() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    limit_range(
        &cluster,
        json!({"type": "Pod", "max": {"nvidia.com/gpu": "0"}}),
    )
    .await;
    let status = cluster.refuses(pod("whisper")).await;
    assert_eq!(status.code, 403);
    let words = "maximum nvidia.com/gpu usage per Pod is 0, but limit is 1";
    explained(&status.message, words);
}

#[tokio::test]
async fn a_container_maximum_of_none_is_filled_in_and_reads_as_no_gpu_wanted() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    limit_range(
        &cluster,
        json!({"type": "Container", "max": {"nvidia.com/gpu": "0"}}),
    )
    .await;
    let shown = cluster.dry_run(pod("whisper")).await;
    assert_eq!(limits(&shown)["nvidia.com/gpu"], "0");
    assert!(shown.spec.expect("a spec").runtime_class_name.is_none());
}

#[tokio::test]
async fn a_quota_counts_the_gpu_that_berth_adds_and_refuses_by_its_name() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let hard = json!({"requests.nvidia.com/gpu": "1"});
    let quota: ResourceQuota =
        object(json!({"metadata": {"name": "gpus"}, "spec": {"hard": hard}}));
    let quotas = cluster.api::<ResourceQuota>();
    quotas
        .create(&PostParams::default(), &quota)
        .await
        .expect("a quota");
    // it counts when its controller has written its status, and the API server has seen that
    let mut two = plain("two");
    let limits = json!({"limits": {"nvidia.com/gpu": "2"}});
    two.spec.as_mut().expect("a spec").containers[0].resources = Some(object(limits));
    let counts = eventually(async || {
        let created = cluster.api::<Pod>().create(&dry_run(), &two).await;
        created.err()
    });
    counts.await.expect("a quota in force");
    let mut first = pod("whisper");
    // it takes the quota, and no GPU of another test
    let gate =
        json!({"spec": {"containers": [], "schedulingGates": [{"name": "example.com/never"}]}});
    first.merge_from(object(gate));
    cluster.create(first).await;
    let used = until(quotas, watcher::Config::default(), |quotas| {
        let used = quotas["gpus"].status.as_ref()?.used.clone()?;
        (used["requests.nvidia.com/gpu"].0 == "1").then_some(())
    });
    used.await.expect("the first Pod is counted");
    let status = cluster.refuses(pod("xtts")).await;
    assert_eq!(status.code, 403);
    let words = "exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, used: requests.nvidia.com/gpu=1, \
                 limited: requests.nvidia.com/gpu=1";
    explained(&status.message, words);
    // other hardware is not its business
    cluster.dry_run(pod("bge-reranker")).await;
}

/// A namespace that lets its Pods tolerate these keys alone.
async fn whitelist(cluster: &Cluster<'_>, keys: &[&str]) -> Api<Pod> {
    let tolerations = keys
        .iter()
        .map(|key| json!({"key": key, "operator": "Exists"}));
    let whitelist = Value::Array(tolerations.collect()).to_string();
    let annotations = json!({"scheduler.alpha.kubernetes.io/tolerationsWhitelist": whitelist});
    pods_of_a_namespace(cluster, json!({"annotations": annotations})).await
}

/// What Kubernetes adds to every Pod, the last where CPU or memory is asked for.
const ALWAYS: [&str; 3] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/memory-pressure",
];

#[tokio::test]
async fn a_namespaces_whitelist_refuses_a_toleration_that_berth_adds() {
    let Some(homelab) = exclusive().await else {
        return;
    };
    let cluster = homelab.cluster_without_gpus().await;
    let pods = whitelist(&cluster, &ALWAYS).await;
    pods.create(&dry_run(), &plain("plain"))
        .await
        .expect("no toleration, no refusal");
    let status = refusal(pods.create(&dry_run(), &pod("vllm")).await);
    // Kubernetes names neither the toleration nor whose it is
    assert_eq!(status.code, 500);
    let words = "pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace \
                 whitelist";
    explained(&status.message, words);
}

#[tokio::test]
async fn a_namespaces_whitelist_with_the_pools_taint_lets_the_pod_in() {
    let Some(homelab) = exclusive().await else {
        return;
    };
    let cluster = homelab.cluster_without_gpus().await;
    let keys = [&ALWAYS[..], &["dedicated", "amd.com/gpu"]].concat();
    let pods = whitelist(&cluster, &keys).await;
    let mut burstable = pod("vllm");
    let resources = json!({"requests": {"cpu": "1"}});
    burstable.spec.as_mut().expect("a spec").containers[0].resources = Some(object(resources));
    let shown = pods.create(&dry_run(), &burstable).await.expect("a Pod");
    assert!(
        tolerations(&shown).any(|key| key == "dedicated"),
        "{shown:#?}"
    );
}

#[tokio::test]
async fn the_plugin_for_extended_resources_tolerates_the_gpu_that_berth_adds() {
    let Some(homelab) = exclusive().await else {
        return;
    };
    let cluster = homelab.cluster_without_gpus().await;
    let shown = cluster.dry_run(pod("vllm")).await;
    for key in ["dedicated", "amd.com/gpu"] {
        let found = tolerations(&shown).filter(|found| *found == key);
        assert_eq!(found.count(), 1, "{key}: {shown:#?}");
    }
}

/// The runtime class of the pool rtx-2070, for a test that has the homelab for itself.
struct Nvidia(Api<RuntimeClass>);

impl Nvidia {
    fn of(client: Client) -> Self {
        Self(Api::all(client))
    }

    async fn delete(&self) {
        let deleted = self.0.delete("nvidia", &DeleteParams::default()).await;
        deleted.expect("it was there");
    }

    async fn create(&self, more: Value) {
        let mut class: RuntimeClass =
            object(json!({"metadata": {"name": "nvidia"}, "handler": "nvidia"}));
        class.merge_from(object(
            json!({"metadata": {}, "handler": "nvidia", "overhead": more}),
        ));
        let created = self.0.create(&PostParams::default(), &class).await;
        created.expect("a runtime class");
    }
}

#[tokio::test]
async fn a_runtime_class_that_berth_adds_has_its_overhead_counted_and_is_named_where_it_is_missing()
{
    let Some(homelab) = exclusive().await else {
        return;
    };
    let cluster = homelab.cluster_without_gpus().await;
    let (nvidia, pods) = (Nvidia::of(cluster.client()), cluster.api::<Pod>());
    nvidia.delete().await;
    // the plugin reads a cache
    let refused = eventually(
        async || match pods.create(&dry_run(), &pod("whisper")).await {
            Err(kube::Error::Api(status)) => Some(status),
            _ => None,
        },
    );
    let status = refused.await.expect("a refusal");
    let words = "pod rejected: RuntimeClass \"nvidia\" not found";
    explained(&status.message, words);
    assert_eq!(status.code, 403);

    nvidia.create(json!({"podFixed": {"memory": "64Mi"}})).await;
    let shown = eventually(async || pods.create(&dry_run(), &pod("whisper")).await.ok());
    let spec = shown.await.and_then(|shown| shown.spec).expect("a Pod");
    assert_eq!(spec.runtime_class_name.as_deref(), Some("nvidia"));
    assert_eq!(spec.overhead.expect("the class's")["memory"].0, "64Mi");
}
