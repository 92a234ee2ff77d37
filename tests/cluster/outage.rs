//! Every replica is down: what stands still, what goes on, and how it ends.

use std::panic::{AssertUnwindSafe, resume_unwind};

use berth_cluster::{Cluster, Created, Homelab, Serving, until};
use futures_util::FutureExt;
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    apps::v1::Deployment,
    core::v1::{Event, Pod, ServiceAccount},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    runtime::watcher,
};
use serde_json::json;

use crate::{
    common, eventually, exclusive,
    objects::{deployment, dry_run, explained, object, plain, pod},
};

/// What the user reads. It names the webhook, and what the API server tried.
const REFUSED: &str = r#"failed calling webhook "pods.berth.dev": failed to call webhook: Post "https://berth.berth.svc:"#;

/// Ends the process as one does who does not wait for the drain.
async fn down(homelab: &Homelab) {
    let serving = &homelab.webhook().serving;
    let ended = async || {
        serving.terminate().expect("kill");
        serving.ended(homelab.control_plane()).then_some(())
    };
    eventually(ended).await.expect("an end");
}

/// Starts another one, and has the Service lead to it: what kubelet and the endpoints do for a Pod.
async fn up(homelab: &Homelab, cluster: &Cluster<'_>) {
    let control_plane = homelab.control_plane();
    let file = |name: &str| {
        control_plane
            .path("berth-tls")
            .join(name)
            .display()
            .to_string()
    };
    let flags = [
        format!(
            "--table={}",
            common::path("examples/homelab.yaml").display()
        ),
        format!("--tls-cert={}", file("tls.crt")),
        format!("--tls-key={}", file("tls.key")),
    ];
    let berth = env!("CARGO_BIN_EXE_berth").as_ref();
    let serving = Serving::start(control_plane, berth, &flags).await;
    let port = serving.expect("it serves").webhook.port();
    let place = "/webhooks/0/clientConfig/service/port";
    let operations = json!([{"op": "replace", "path": place, "value": port}]);
    let patch: Patch<MutatingWebhookConfiguration> = Patch::Json(object(operations));
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(cluster.client());
    let patched = webhooks
        .patch("berth", &PatchParams::default(), &patch)
        .await;
    patched.expect("a port");
}

/// A Pod of a class that the restricted Pod Security Standard lets in.
fn restricted(class: &str) -> Pod {
    let mut pod = pod(class);
    let spec = pod.spec.as_mut().expect("a spec");
    spec.security_context = Some(object(
        json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}),
    ));
    let container = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    spec.containers[0].security_context = Some(object(container));
    pod
}

/// The namespaces that nothing may stop, while berth is down.
async fn exempt_namespaces_go_on(cluster: &Cluster<'_>) {
    for namespace in ["kube-system", "kube-node-lease", "berth"] {
        let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client(), namespace);
        let default = until(accounts, watcher::Config::default(), |accounts| {
            accounts.contains_key("default").then_some(())
        });
        default.await.expect("a service account");
        let pods: Api<Pod> = Api::namespaced(cluster.client(), namespace);
        // with a class, too
        let created = pods.create(&dry_run(), &restricted("vllm")).await;
        created.unwrap_or_else(|error| panic!("{namespace}: {error}"));
    }
}

/// berth's own Pods come back by themselves.
async fn its_own_pods_come_back(cluster: &Cluster<'_>) {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), "berth");
    let all = ListParams::default();
    let old = until(pods.clone(), watcher::Config::default(), |pods| {
        let uids: Vec<_> = pods.values().filter_map(ResourceExt::uid).collect();
        (uids.len() == 2).then_some(uids)
    });
    let old = old.await.expect("two Pods of berth's");
    let at_once = DeleteParams::default().grace_period(0);
    pods.delete_collection(&at_once, &all)
        .await
        .expect("deleted");
    let new = until(pods, watcher::Config::default(), |pods| {
        let new = pods.values().filter(|pod| {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            phase == Some("Running") && pod.uid().is_some_and(|uid| !old.contains(&uid))
        });
        (new.count() == 2).then_some(())
    });
    new.await.expect("two new Pods of berth's");
}

/// What is seen while it is down: the Deployment whose Pod waits.
async fn observe(cluster: &Cluster<'_>) -> Created<Deployment> {
    let status = cluster.refuses(pod("whisper")).await;
    assert_eq!(status.code, 500);
    for words in [REFUSED, "connection refused"] {
        explained(&status.message, words);
    }
    let waiting = cluster.create(deployment("vllm")).await;
    let failed = watcher::Config::default().fields("reason=FailedCreate");
    let read = until(cluster.api::<Event>(), failed, |events| {
        let mut messages = events.values().filter_map(|event| event.message.as_deref());
        messages
            .any(|message| message.contains(REFUSED))
            .then_some(())
    });
    read.await.expect("an event of the ReplicaSet");
    cluster.create(plain("plain")).await;
    exempt_namespaces_go_on(cluster).await;
    its_own_pods_come_back(cluster).await;
    waiting
}

#[tokio::test]
async fn while_it_is_down_only_pods_of_a_class_wait_and_they_come_by_themselves() {
    let Some(homelab) = exclusive().await else {
        return;
    };
    let cluster = homelab.cluster().await;
    down(&homelab).await;
    let observed = AssertUnwindSafe(observe(&cluster)).catch_unwind().await;
    // for the next test, too, whatever this one has seen
    up(&homelab, &cluster).await;
    let waiting = observed.unwrap_or_else(|panic| resume_unwind(panic));
    waiting.runs_on("khelben").await;
}
