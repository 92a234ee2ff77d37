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
        process::arg,
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
    // kubectl shows each Warning header of an answer
    assert!(!said.contains("Warning"), "{said}");
    cluster.define().await;
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
    for (field, words) in [
        ("gpupool", "A GPUPool is one kind of GPU hardware"),
        ("gpool.spec.sharing.strategy", "TimeSlicing"),
        ("gpool.status.gpus", "free\t<integer>"),
        ("wclass.spec.pools", "in order of preference"),
        ("wclass.spec.gpus.default", "How many a Pod gets"),
    ] {
        let (fine, said) = cluster.kubectl(&["explain", field]).await;
        assert!(fine && said.contains(words), "{field}: {said}");
    }
}

/// A printer column shows only the first match of its path, and nothing where there is none.
#[tokio::test]
async fn the_columns_show_what_is_in_the_status() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    define(&cluster).await;
    let condition = |ready: &str, reason: &str| {
        json!([{"type": "Ready", "status": ready, "reason": reason, "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}])
    };
    let gpus = json!({"allocatable": 2, "allocated": 1, "waiting": 1, "free": 0});
    let pool = json!({
        "apiVersion": "berth.dev/v1alpha1", "kind": "GPUPool", "metadata": {"name": "columns"},
        "spec": {"resourceName": "nvidia.com/gpu", "hostnames": ["n"], "memoryPerGPU": "8Gi",
                 "sharing": {"strategy": "TimeSlicing", "replicas": 2}},
        "status": {"nodes": {"matched": 1, "usable": 1}, "gpus": gpus, "conditions": condition("True", "Ready")},
    });
    let class = json!({
        "apiVersion": "berth.dev/v1alpha1", "kind": "WorkloadClass", "metadata": {"name": "columns"},
        "spec": {"pools": [{"name": "columns"}, {"name": "other"}], "rationale": "It fits."},
        "status": {"poolNames": "columns,other", "pods": {"running": 2, "waiting": 1, "gated": 0}, "readyPools": 0,
                   "conditions": condition("False", "NoPoolReady")},
    });
    for (object, expected) in [
        (
            &pool,
            [
                "NAME RESOURCE NODES GPUS FREE WAITING READY MEMORY SHARING REASON AGE",
                "columns nvidia.com/gpu 1 2 0 1 True 8Gi TimeSlicing Ready",
            ],
        ),
        (
            &class,
            [
                "NAME POOLS GPUS RUNNING WAITING READY REASON RATIONALE AGE",
                "columns columns,other 1 2 1 False NoPoolReady It fits.",
            ],
        ),
    ] {
        let manifest = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
        serde_json::to_writer(&manifest, object).expect("written");
        let manifest = arg(manifest.path());
        let short = match object["kind"].as_str() {
            Some("GPUPool") => "gpool",
            _ => "wclass",
        };
        for arguments in [
            &["apply", "--server-side", "-f", manifest][..],
            &[
                "apply",
                "--server-side",
                "--subresource=status",
                "-f",
                manifest,
            ],
            &["get", short, "columns", "-o", "wide"],
        ] {
            let (fine, said) = cluster.kubectl(arguments).await;
            assert!(fine, "{said}");
            if arguments[0] != "get" {
                continue;
            }
            let lines = said.lines().map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                words.join(" ")
            });
            let lines: Vec<String> = lines.collect();
            assert_eq!(lines[0], expected[0]);
            // the last column is the age
            let (row, _) = lines[1].rsplit_once(' ').expect("columns");
            assert_eq!(row, expected[1]);
        }
        let (fine, said) = cluster.kubectl(&["delete", short, "columns"]).await;
        assert!(fine, "{said}");
    }
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
