//! A Pod that is created in a dry run: nothing is stored, and every admission plugin and webhook has its say.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::PostParams};
use serde_json::json;

use super::cluster::Cluster;

/// A small Pod that every Pod Security Standard lets in. Its name begins so.
pub(super) fn pod(prefix: &str, labels: &BTreeMap<String, String>, container: &str) -> Pod {
    let pod = json!({
        "metadata": {"generateName": prefix, "labels": labels},
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": container, "image": "none",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    });
    serde_json::from_value(pod).expect("a Pod is written above")
}

/// What a create would store.
pub(super) fn create(cluster: &Cluster, namespace: &str, pod: &Pod) -> kube::Result<Pod> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    cluster.wait(pods.create(&dry_run, pod))
}
