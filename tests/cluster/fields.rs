//! Fields that berth's view of a Pod does not know, some of them newer than the oldest Kubernetes of these tests.

use axum::http::Request;
use berth_cluster::Cluster;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::cluster_without_gpus;

/// A Pod of many parts. The API server drops a field that it does not know itself: 1.33 has no `hostnameOverride`.
fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "all-parts", "labels": {"berth.dev/workload-class": "vllm"}, "finalizers": ["example.com/kept"]},
        "spec": {
            "hostnameOverride": "vllm.example.com",
            "schedulingGates": [{"name": "example.com/quota"}],
            "resources": {"limits": {"cpu": "8", "memory": "64Gi"}},
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app": "vllm"}}, "matchLabelKeys": ["tenant"], "nodeTaintsPolicy": "Honor",
            }],
            "readinessGates": [{"conditionType": "example.com/warm"}],
            "securityContext": {"supplementalGroupsPolicy": "Strict", "fsGroup": 2000, "fsGroupChangePolicy": "OnRootMismatch"},
            "resourceClaims": [{"name": "nic", "resourceClaimName": "nic"}],
            "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
            "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 3, "podAffinityTerm": {
                "topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "vllm"}}, "mismatchLabelKeys": ["tenant"],
            }}]}},
            "initContainers": [{
                "name": "models", "image": "models", "restartPolicy": "Always",
                "startupProbe": {"exec": {"command": ["test", "-e", "<&>"]}},
            }],
            "containers": [{
                "name": "vllm", "image": "vllm", "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}],
                "lifecycle": {"preStop": {"sleep": {"seconds": 5}}, "stopSignal": "SIGUSR1"},
                "volumeMounts": [{"name": "weights", "mountPath": "/weights", "recursiveReadOnly": "Disabled", "readOnly": true}],
                "env": [{"name": "N", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}}],
            }],
            "os": {"name": "linux"},
            "volumes": [
                {"name": "weights", "image": {"reference": "example.com/weights:1", "pullPolicy": "IfNotPresent"}},
                {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token", "audience": "vllm"}}]}},
            ],
        },
    })
}

#[tokio::test]
async fn what_berth_does_not_know_is_stored_as_without_berth() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let with_berth = stored(&cluster).await;
    opt_out(&cluster).await;
    let without = stored(&cluster).await;
    let terms = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    assert!(with_berth.pointer(terms).is_some(), "{with_berth:#}");
    assert!(without.pointer(terms).is_none(), "{without:#}");
    let mut lost = Vec::new();
    is_within(&without["spec"], &with_berth["spec"], "spec", &mut lost);
    is_within(
        &without["metadata"]["finalizers"],
        &with_berth["metadata"]["finalizers"],
        "finalizers",
        &mut lost,
    );
    assert_eq!(lost, Vec::<String>::new());
    assert_eq!(
        without["spec"]["readinessGates"][0]["conditionType"],
        "example.com/warm",
    );
}

/// What a create would store, as the API server writes it: no type of ours reads it.
async fn stored(cluster: &Cluster<'_>) -> Value {
    let path = format!("/api/v1/namespaces/{}/pods?dryRun=All", cluster.namespace());
    let request = Request::post(path).header("Content-Type", "application/json");
    let request = request
        .body(pod().to_string().into_bytes())
        .expect("a request");
    let stored = cluster.client().request(request).await;
    stored.unwrap_or_else(|error| panic!("{error}"))
}

/// Takes the namespace out of the webhook's, and returns when the API server knows.
async fn opt_out(cluster: &Cluster<'_>) {
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    let label = Patch::Merge(json!({"metadata": {"labels": {"berth.dev/inject": "disabled"}}}));
    let patched = namespaces
        .patch(cluster.namespace(), &PatchParams::default(), &label)
        .await;
    patched.unwrap_or_else(|error| panic!("{error}"));
    let untouched = crate::eventually(async || {
        let stored = stored(cluster).await;
        stored["spec"]["affinity"]
            .get("nodeAffinity")
            .is_none()
            .then_some(())
    });
    untouched.await.expect("the opt-out counts");
}

/// Collects the paths of what is not in the other, or differs there; lists may have grown at their end.
fn is_within(value: &Value, other: &Value, path: &str, lost: &mut Vec<String>) {
    match (value, other) {
        (Value::Object(fields), Value::Object(_)) => {
            for (key, value) in fields {
                is_within(value, &other[key], &format!("{path}.{key}"), lost);
            }
        }
        (Value::Array(items), Value::Array(_)) => {
            for (i, item) in items.iter().enumerate() {
                is_within(item, &other[i], &format!("{path}[{i}]"), lost);
            }
        }
        _ if value == other => {}
        // each Pod has a token volume of its own name
        _ if value
            .as_str()
            .is_some_and(|text| text.starts_with("kube-api-access-")) => {}
        _ => lost.push(format!("{path} was {value} and is {other}")),
    }
}
