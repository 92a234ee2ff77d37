//! What berth refuses, read where the Pod's owner looks.

use berth_cluster::until;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Event};
use kube::runtime::watcher;

use crate::{
    cluster_without_gpus,
    objects::{deployment, pod},
};

/// What every message of a refused class begins with.
pub const DENIED: &str = r#"admission webhook "pods.berth.dev" denied the request: workload class "vlm" is not available"#;

#[tokio::test]
async fn a_bare_pods_creator_reads_the_message() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let status = cluster.refuses(pod("vlm")).await;
    assert_eq!(status.code, 403);
    assert!(status.message.starts_with(DENIED), "{}", status.message);
    assert!(
        status.message.contains("did you mean \"vllm\"?"),
        "{}",
        status.message
    );
}

#[tokio::test]
async fn a_deployments_owner_reads_it_in_the_event_and_in_the_condition() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    cluster.create(deployment("vlm")).await;
    let failed = watcher::Config::default().fields("reason=FailedCreate");
    let message = until(cluster.api::<Event>(), failed, |events| {
        let event = events.values().next()?;
        assert_eq!(event.involved_object.kind.as_deref(), Some("ReplicaSet"));
        event.message.clone()
    });
    let message = message.await.expect("an event of the ReplicaSet");
    assert!(message.contains(DENIED), "{message}");
    let one = watcher::Config::default();
    let condition = until(cluster.api::<Deployment>(), one, |deployments| {
        let status = deployments["vlm"].status.as_ref()?;
        let mut conditions = status.conditions.iter().flatten();
        let failure =
            conditions.find(|condition| condition.type_.as_deref() == Some("ReplicaFailure"))?;
        failure.message.clone()
    });
    let message = condition.await.expect("a condition of the Deployment");
    assert!(message.contains(DENIED), "{message}");
}
