//! Every kind of owner: its Pods run where their class says, and what is refused is read where the owner is looked at.

use std::fmt::Debug;

use berth_cluster::{Cluster, Created, Workload, until};
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        batch::v1::{CronJob, Job},
        core::v1::{Event, Pod},
    },
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
    runtime::watcher,
};
use serde_json::{Value, json};

use crate::{
    cluster, cluster_without_gpus,
    denied::DENIED,
    eventually,
    objects::{container, kubectl_creates, limits, object, service, template, tolerations},
};

/// An owner of Pods of a class, with more fields of its spec.
fn owner<K: Workload>(class: &str, more: Value) -> K {
    let mut spec =
        json!({"selector": {"matchLabels": {"app": class}}, "template": template(class)});
    merge(&mut spec, more);
    object(json!({"metadata": {"name": class}, "spec": spec}))
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

/// The spec of a Job of a class. The API server gives it the selector.
fn work(class: &str) -> Value {
    let mut template = template(class);
    template["spec"]["restartPolicy"] = json!("Never");
    json!({"template": template, "backoffLimit": 0})
}

fn job(class: &str) -> Job {
    object(json!({"metadata": {"name": class}, "spec": work(class)}))
}

/// Waits until a Pod has done its work on the node.
async fn ran_on<K: Workload>(created: &Created<K>, node: &str) -> Pod {
    let done = |pod: &Pod| {
        let phase = pod.status.as_ref()?.phase.as_deref();
        (phase == Some("Succeeded")).then(|| pod.clone())
    };
    let pod = created.pod(done).await;
    let found = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    assert_eq!(found, Some(node), "{pod:#?}");
    pod
}

#[tokio::test]
async fn the_pod_of_a_statefulset_runs() {
    let Some(cluster) = cluster().await else {
        return;
    };
    let owner: StatefulSet = owner("whisper", json!({"serviceName": "whisper"}));
    let pod = cluster.create(owner).await.runs_on("elminster").await;
    assert_eq!(pod.name_any(), "whisper-0");
    assert_eq!(limits(&pod)["nvidia.com/gpu"], "1");
}

#[tokio::test]
async fn the_pod_of_a_job_runs_to_its_end() {
    let Some(cluster) = cluster().await else {
        return;
    };
    let created = cluster.create(job("bge-reranker")).await;
    let pod = ran_on(&created, "danilo.home.arpa").await;
    assert_eq!(limits(&pod)["gpu.intel.com/i915"], "1");
    let complete = until(cluster.api::<Job>(), watcher::Config::default(), |jobs| {
        let status = jobs["bge-reranker"].status.as_ref()?;
        status.completion_time.clone()
    });
    complete.await.expect("a Job that ends");
}

#[tokio::test]
async fn the_pod_of_a_cronjob_runs_to_its_end() {
    let Some(cluster) = cluster().await else {
        return;
    };
    let class = "bge-embeddings";
    let spec = json!({"schedule": "@hourly", "jobTemplate": {"spec": work(class)}});
    let cron_job: CronJob = object(json!({"metadata": {"name": class}, "spec": spec}));
    let created = cluster.create(cron_job).await;
    // the controller makes up for what it has missed: nobody waits for the full hour
    let last = Timestamp::now() - SignedDuration::from_hours(2);
    let missed = json!({"status": {"lastScheduleTime": last.to_string()}});
    let patch = Patch::Merge(&missed);
    let cron_jobs = cluster.api::<CronJob>();
    let params = PatchParams::default();
    let patched = cron_jobs.patch_status(class, &params, &patch).await;
    patched.expect("a status");
    let pod = ran_on(&created, "drizzt.home.arpa").await;
    assert_eq!(limits(&pod)["amd.com/gpu"], "1");
    assert_eq!(container(&pod).env.iter().flatten().count(), 1);
}

/// The warnings in berth's log of the first Pod of the test's namespace.
async fn warnings(cluster: &Cluster<'_>) -> String {
    let log = cluster.homelab().control_plane().path("berth.log");
    let logged = async || {
        let log = std::fs::read_to_string(&log).ok()?;
        let mut events = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        // before it is the word at apply about the owner
        let is_ours = |event: &Value| {
            event["message"] == "review" && event["namespace"] == cluster.namespace()
        };
        let review = events.find(is_ours)?;
        Some(review["warnings"].as_str()?.to_owned())
    };
    eventually(logged).await.expect("a review in berth's log")
}

/// What berth says to the Pod of a DaemonSet that it places.
const TEMPLATE_TOO: &str =
    "berth: put the tolerations and a nodeSelector into the DaemonSet's template, too";

#[tokio::test]
async fn a_daemonset_whose_template_says_where_has_its_one_pod_there() {
    let Some(cluster) = cluster().await else {
        return;
    };
    let place = json!({
        "nodeSelector": {"kubernetes.io/hostname": "khelben"},
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "vllm", "effect": "NoSchedule"}],
    });
    let owner: DaemonSet = owner("vllm", json!({"template": {"spec": place}}));
    let pod = cluster.create(owner).await.runs_on("khelben").await;
    assert_eq!(limits(&pod)["amd.com/gpu"], "1");
    let dedicated = tolerations(&pod).filter(|key| *key == "dedicated");
    assert_eq!(dedicated.count(), 1);
    let sets = until(
        cluster.api::<DaemonSet>(),
        watcher::Config::default(),
        |sets| {
            let status = sets["vllm"].status.as_ref()?;
            (status.number_ready == 1).then_some(status.desired_number_scheduled)
        },
    );
    assert_eq!(sets.await.expect("a ready DaemonSet"), 1);
    // it takes a GPU of each of its nodes, which is rarely meant
    assert_eq!(warnings(&cluster).await, "DaemonSetGpu");
}

#[tokio::test]
async fn a_daemonset_whose_template_does_not_gets_the_wrong_nodes_and_a_warning() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let created = cluster.create(owner::<DaemonSet>("vllm", json!({}))).await;
    // its controller sends Pods to the nodes that the template tolerates, of which none is khelben
    let reason = created.stays_pending().await;
    assert!(reason.contains("0/4 nodes are available"), "{reason}");
    let pod = created.pod(|pod| Some(pod.clone())).await;
    assert_eq!(warnings(&cluster).await, "DaemonSetTemplate,DaemonSetGpu");
    // the controller-manager tells nobody of warnings, kubectl does: the same Pod from a person's hand
    let mut again = pod.clone();
    again.metadata.name = Some("again".to_owned());
    again.metadata.resource_version = None;
    again.spec.as_mut().expect("a spec").affinity = None;
    let (fine, said) = kubectl_creates(&cluster, &again).await;
    assert!(fine, "{said}");
    assert!(said.contains(&format!("Warning: {TEMPLATE_TOO}")), "{said}");
}

const NEW_IMAGE: &str = "rocm/vllm:newer";

async fn new_image(cluster: &Cluster<'_>) {
    let image = format!("vllm={NEW_IMAGE}");
    let (fine, said) = cluster
        .kubectl(&["set", "image", "deployment/vllm", &image])
        .await;
    assert!(fine, "{said}");
}

fn is_new(pod: &Pod) -> bool {
    container(pod).image.as_deref() == Some(NEW_IMAGE)
}

#[tokio::test]
async fn a_rollout_of_the_examples_vllm_completes_on_its_one_gpu() {
    let Some(cluster) = cluster().await else {
        return;
    };
    let created = cluster.create(service("vllm")).await;
    created.runs_on("khelben").await;
    new_image(&cluster).await;
    let (fine, said) = cluster
        .kubectl(&["rollout", "status", "deployment/vllm", "--timeout=60s"])
        .await;
    assert!(fine, "{said}");
    assert!(said.contains("successfully rolled out"), "{said}");
    let running = created.runs_on("khelben").await;
    assert!(is_new(&running), "{running:#?}");
}

#[tokio::test]
async fn a_rollout_that_starts_the_new_pod_first_waits_for_the_gpu_of_the_old() {
    let Some(cluster) = cluster().await else {
        return;
    };
    let mut first: Deployment = service("vllm");
    first.spec.strategy = None;
    let created = cluster.create(first).await;
    created.runs_on("khelben").await;
    new_image(&cluster).await;
    let waiting = created.stays_pending().await;
    assert!(waiting.contains("1 Insufficient amd.com/gpu"), "{waiting}");
    let pending = created.pod(|pod| is_new(pod).then_some(())).await;
    assert_eq!(pending, ());
}

/// The owner of a refused Pod has the message in its events.
async fn read_in_the_events_of<K: Workload + Debug>(kind: &str, owner: K) {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    cluster.create(owner).await;
    let failed = watcher::Config::default().fields("reason=FailedCreate");
    let event = until(cluster.api::<Event>(), failed, |events| {
        events.values().next().cloned()
    });
    let event = event.await.expect("an event");
    assert_eq!(event.involved_object.kind.as_deref(), Some(kind));
    let message = event.message.unwrap_or_default();
    assert!(message.contains(DENIED), "{message}");
    let (fine, said) = cluster.kubectl(&["describe", kind, "vlm"]).await;
    assert!(fine && said.contains(DENIED), "{said}");
}

#[tokio::test]
async fn a_jobs_owner_reads_in_its_events_why_a_pod_is_refused() {
    read_in_the_events_of("Job", job("vlm")).await;
}

#[tokio::test]
async fn a_statefulsets_owner_reads_in_its_events_why_a_pod_is_refused() {
    let owner: StatefulSet = owner("vlm", json!({"serviceName": "vlm"}));
    read_in_the_events_of("StatefulSet", owner).await;
}

#[tokio::test]
async fn a_daemonsets_owner_reads_in_its_events_why_a_pod_is_refused() {
    read_in_the_events_of("DaemonSet", owner::<DaemonSet>("vlm", json!({}))).await;
}
