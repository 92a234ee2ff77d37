//! The definitions of `deploy/crds` on a real API server: what it stores, and what it says to what it does not.

use berth_cluster::Cluster;
use futures_util::{StreamExt, stream};
use kube::{
    Api,
    api::{DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

use crate::{
    cluster_without_gpus,
    common::{
        bounds::{Case, cases, invalid},
        path,
    },
    objects::kubectl_creates,
};

/// Applies the definitions, and waits until they are in force.
async fn define(cluster: &Cluster<'_>) {
    let folder = path("deploy/crds").display().to_string();
    let (fine, said) = cluster
        .kubectl(&["apply", "--server-side", "-f", &folder])
        .await;
    assert!(fine, "{said}");
    let (fine, said) = cluster
        .kubectl(&[
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "-f",
            &folder,
        ])
        .await;
    assert!(fine, "{said}");
}

fn pool(more: Value) -> Value {
    let mut spec = json!({"resourceName": "amd.com/gpu"});
    let more = more.as_object().expect("an object").clone();
    spec.as_object_mut().expect("an object").extend(more);
    json!({"apiVersion": "berth.dev/v1alpha1", "kind": "GPUPool", "metadata": {"name": "pool"}, "spec": spec})
}

fn class(name: &str, gpus: Value) -> Value {
    let spec = json!({"pools": [{"name": "pool"}], "gpus": gpus});
    json!({"apiVersion": "berth.dev/v1alpha1", "kind": "WorkloadClass", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn the_api_server_takes_the_definitions_and_the_examples() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    define(&cluster).await;
    for example in ["examples/homelab.yaml", "examples/datacenter.yaml"] {
        let name = path(example).display().to_string();
        let (fine, said) = cluster
            .kubectl(&["create", "--dry-run=server", "-f", &name])
            .await;
        assert!(fine, "{example}: {said}");
        assert!(!said.contains("Warning"), "{example}: {said}");
    }
    let (fine, said) = cluster
        .kubectl(&["explain", "gpupool.spec.sharing.strategy"])
        .await;
    assert!(fine && said.contains("TimeSlicing"), "{said}");
}

#[tokio::test]
async fn the_api_server_denies_an_invalid_manifest_and_says_what_is_wrong() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    define(&cluster).await;
    let here = json!({"hostnames": ["khelben"]});
    let with = |more: Value| {
        let mut fields = here.clone();
        let more = more.as_object().expect("an object").clone();
        fields.as_object_mut().expect("an object").extend(more);
        pool(fields)
    };
    for (manifest, message) in [
        (pool(json!({})), "exactly one of hostnames and nodeSelector"),
        (
            with(json!({"nodeSelector": {"matchLabels": {"a": "b"}}})),
            "exactly one of hostnames and nodeSelector",
        ),
        (
            pool(json!({"nodeSelector": {}})),
            "an empty nodeSelector selects every node",
        ),
        (
            with(json!({"resourceAliases": ["amd.com/gpu"]})),
            "an alias cannot be the pool's own resource",
        ),
        (
            with(json!({"sharing": {"strategy": "MPS"}})),
            "replicas must be set with TimeSlicing and MPS, and must not be set with None",
        ),
        (
            with(json!({"sharing": {"strategy": "None", "replicas": 2}})),
            "replicas must be set with TimeSlicing and MPS",
        ),
        (
            with(json!({"sharing": {"strategy": "MIG"}})),
            "Unsupported value: \"MIG\": supported values: \"None\"",
        ),
        (with(json!({"memoryPerGPU": "lots"})), "spec.memoryPerGPU"),
        (
            with(json!({"memoryPerGpu": "64Gi"})),
            "unknown field \"spec.memoryPerGpu\"",
        ),
        (
            with(json!({"taints": [{"key": "a", "effect": "NoWay"}]})),
            "spec.taints[0].effect: Unsupported value",
        ),
        (
            with(json!({"env": [{"name": "A"}, {"name": "A"}]})),
            "spec.env[1]: Duplicate value",
        ),
        (with(json!({"resourceName": "gpu"})), "spec.resourceName"),
        (
            class("vllm", json!({"default": 2, "max": 1})),
            "max is below default (1 if it is not set)",
        ),
        (class("vllm", json!({"default": 0})), "spec.gpus.default"),
        (
            class("v.llm", json!({})),
            "the name is a Pod label's value, and must be a DNS label",
        ),
    ] {
        let (fine, said) = kubectl_creates(&cluster, &manifest).await;
        assert!(!fine, "{manifest}: {said}");
        assert!(said.contains(message), "{manifest}: {said}");
    }
    for manifest in [
        with(json!({"sharing": {"strategy": "TimeSlicing", "replicas": 2}})),
        with(json!({"memoryPerGPU": 64})),
        class("vllm", json!({"max": 4})),
    ] {
        let (fine, said) = kubectl_creates(&cluster, &manifest).await;
        assert!(fine, "{manifest}: {said}");
    }
}

/// Why the API server does not store a case, if it does not.
async fn denied(cluster: &Cluster<'_>, case: &Case) -> Option<String> {
    let kind = GroupVersionKind::gvk("berth.dev", "v1alpha1", &case.kind);
    let api: Api<DynamicObject> = Api::all_with(cluster.client(), &ApiResource::from_gvk(&kind));
    let object = serde_json::from_value(case.object.clone()).expect("an object");
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let error = api.create(&dry_run, &object).await.err()?;
    Some(error.to_string())
}

/// The same cases as `deploy::bounds` holds against a model of the API server.
#[tokio::test]
async fn the_api_server_denies_exactly_what_files_must_not_have() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    define(&cluster).await;
    let cases = cases();
    let differences = stream::iter(&cases).map(async |case| {
        let (server, files) = (denied(&cluster, case).await, invalid(&case.object));
        let differs = server.is_some() != files.is_some();
        differs.then(|| {
            let (kind, field, value) = (&case.kind, &case.field, case.value());
            format!("{kind} {field} = {value}: API server {server:?}, files {files:?}")
        })
    });
    let differences: Vec<String> = differences
        .buffer_unordered(16)
        .filter_map(async |it| it)
        .collect()
        .await;
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
