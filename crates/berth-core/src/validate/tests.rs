use serde_json::{Value, json};

use super::*;
use crate::testing::{class, pool};

/// The fields and messages of the problems, `field: message`.
fn problems(documents: &[Document]) -> Vec<String> {
    let (_, problems) = validate(documents, NamespaceLabels::NameAlone);
    assert!(problems.iter().all(|problem| !problem.help.is_empty()));
    let text = |problem: Problem| format!("{}: {}", problem.field, problem.message);
    problems.into_iter().map(text).collect()
}

/// The one problem of a pool with these fields.
fn of_pool(spec: Value) -> String {
    one(&[pool("p", spec)])
}

/// The one problem of a class of pool `p` with these fields.
fn of_class(spec: Value) -> String {
    one(&[pool("p", json!({})), class("c", &["p"], spec)])
}

fn one(documents: &[Document]) -> String {
    let mut problems = problems(documents);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

fn named(name: &str, mut document: Document) -> Document {
    let metadata = match &mut document.manifest {
        Manifest::Pool(pool) => &mut pool.metadata,
        Manifest::Class(class) => &mut class.metadata,
    };
    metadata.name = Some(name.to_owned());
    document
}

#[test]
fn what_is_right_has_no_problem() {
    let none: Vec<String> = Vec::new();
    assert_eq!(problems(&[]), none);
    let full = json!({
        "hostnames": ["a", "b.c"], "taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}, {"key": "k", "effect": "NoExecute"}],
        "resourceName": "nvidia.com/gpu", "resourceAliases": ["nvidia.com/gpu.shared"], "memoryPerGPU": "8Gi",
        "sharing": {"strategy": "MPS", "replicas": 2}, "runtimeClassName": "nvidia", "env": [{"name": "A", "value": ""}],
    });
    let selected =
        json!({"nodeSelector": {"matchExpressions": [{"key": "a/b", "operator": "Exists"}]}});
    let wide = json!({
        "gpus": {"default": 1, "max": 1}, "gpuMemory": "4Gi", "containerNames": ["main"], "schedulerName": "volcano",
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ai"}}, "rationale": "x",
    });
    assert_eq!(
        problems(&[
            class("c", &["p", "q"], wide),
            pool("p", full),
            pool("q", selected)
        ]),
        none
    );
}

#[test]
fn every_problem_of_a_pool_is_found() {
    let none = json!(null);
    for (spec, expected) in [
        (
            json!({"hostnames": none}),
            "spec: neither hostnames nor nodeSelector",
        ),
        (
            json!({"hostnames": []}),
            "spec.hostnames: hostnames is empty",
        ),
        (
            json!({"hostnames": [""]}),
            "spec.hostnames[0]: a hostname is empty",
        ),
        (
            json!({"hostnames": ["a b"]}),
            "spec.hostnames[0]: \"a b\" is no label value",
        ),
        (
            json!({"hostnames": ["a", "a"]}),
            "spec.hostnames[1]: hostname \"a\" is there twice",
        ),
        (
            json!({"nodeSelector": {}}),
            "spec.nodeSelector: an empty nodeSelector selects every node",
        ),
        (
            json!({"nodeSelector": {"matchLabels": {"a b": "c"}}}),
            "spec.nodeSelector.matchLabels.a b: \"a b\" is no label key",
        ),
        (
            json!({"nodeSelector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}}),
            "spec.nodeSelector: no node can meet what is required of its label \"a\"",
        ),
        (
            json!({"hostnames": ["a"], "nodeSelector": {"matchLabels": {"a": "b"}}}),
            "spec.nodeSelector: both hostnames and nodeSelector",
        ),
        (
            json!({"taints": [{"key": "", "effect": "NoSchedule"}]}),
            "spec.taints[0].key: \"\" is no taint key",
        ),
        (
            json!({"taints": [{"key": "k", "value": "a b", "effect": "NoSchedule"}]}),
            "spec.taints[0].value: \"a b\" is no label value",
        ),
        (
            json!({"taints": [{"key": "k", "value": "a", "effect": "NoSchedule"}, {"key": "k", "effect": "NoSchedule"}]}),
            "spec.taints[1]: taint k:NoSchedule is there twice",
        ),
        (
            json!({"resourceName": "gpu"}),
            "spec.resourceName: \"gpu\" is no extended resource",
        ),
        (
            json!({"resourceAliases": ["cpu"]}),
            "spec.resourceAliases[0]: \"cpu\" is no extended resource",
        ),
        (
            json!({"resourceAliases": ["amd.com/gpu"]}),
            "spec.resourceAliases[0]: alias \"amd.com/gpu\" is the pool's own resource",
        ),
        (
            json!({"resourceAliases": ["a/b", "a/b"]}),
            "spec.resourceAliases[1]: alias \"a/b\" is there twice",
        ),
        (
            json!({"memoryPerGPU": "8 GB"}),
            "spec.memoryPerGPU: \"8 GB\" is no amount of memory",
        ),
        (
            json!({"memoryPerGPU": "0"}),
            "spec.memoryPerGPU: \"0\" is no amount of memory",
        ),
        (
            json!({"sharing": {"strategy": "TimeSlicing"}}),
            "spec.sharing: a shared GPU without replicas",
        ),
        (
            json!({"sharing": {"strategy": "None", "replicas": 2}}),
            "spec.sharing.replicas: replicas of a GPU that is not shared",
        ),
        (
            json!({"sharing": {"strategy": "MPS", "replicas": 1}}),
            "spec.sharing.replicas: replicas 1 is no sharing",
        ),
        (
            json!({"runtimeClassName": "N"}),
            "spec.runtimeClassName: \"N\" is no name that Kubernetes takes",
        ),
        (
            json!({"env": [{"name": "A=B"}]}),
            "spec.env[0].name: \"A=B\" is no variable name",
        ),
        (
            json!({"env": [{"name": "A"}, {"name": "A"}]}),
            "spec.env[1].name: variable \"A\" is there twice",
        ),
    ] {
        assert_eq!(of_pool(spec), expected);
    }
    assert_eq!(
        one(&[pool("P", json!({"hostnames": ["a"]}))]),
        "metadata.name: \"P\" is no name that Kubernetes takes"
    );
    assert_eq!(
        one(&[pool("p", json!({})), pool("p", json!({}))]),
        "metadata.name: there is another GPUPool \"p\""
    );
}

#[test]
fn every_problem_of_a_class_is_found() {
    for (spec, expected) in [
        (json!({"pools": []}), "spec.pools: no pools"),
        (
            json!({"pools": [{"name": "p"}, {"name": "p"}]}),
            "spec.pools[1].name: pool \"p\" is there twice",
        ),
        (
            json!({"pools": [{"name": "nowhere"}]}),
            "spec.pools[0].name: there is no GPUPool \"nowhere\"",
        ),
        (
            json!({"gpus": {"default": 2, "max": 1}}),
            "spec.gpus.max: default 2 is above max 1",
        ),
        (json!({"gpus": {"default": 0}}), "spec.gpus.default: 0 GPUs"),
        (
            json!({"gpuMemory": "much"}),
            "spec.gpuMemory: \"much\" is no amount of memory",
        ),
        (
            json!({"containerNames": ["Main"]}),
            "spec.containerNames[0]: \"Main\" is no DNS label",
        ),
        (
            json!({"containerNames": ["a", "a"]}),
            "spec.containerNames[1]: container \"a\" is there twice",
        ),
        (
            json!({"schedulerName": "V"}),
            "spec.schedulerName: \"V\" is no name that Kubernetes takes",
        ),
        (
            json!({"namespaceSelector": {"matchLabels": {"team": "a"}}}),
            "spec.namespaceSelector: label \"team\" of a namespace is not known without the cluster",
        ),
        (
            json!({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}),
            "spec.namespaceSelector.matchExpressions[0].operator: operator \"Like\" is not In, NotIn, Exists or DoesNotExist",
        ),
    ] {
        assert_eq!(of_class(spec), expected);
    }
    let p = || pool("p", json!({}));
    let c = |name| class(name, &["p"], json!({}));
    assert_eq!(
        one(&[p(), c("a.b")]),
        "metadata.name: \"a.b\" is no DNS label"
    );
    assert_eq!(
        one(&[p(), c("c"), c("c")]),
        "metadata.name: there is another WorkloadClass \"c\""
    );
    let shared = pool("p", json!({"sharing": {"strategy": "MPS", "replicas": 4}}));
    let greedy = class("c", &["p"], json!({"gpus": {"max": 2}}));
    assert_eq!(
        one(&[shared, greedy]),
        "spec.gpus.max: max 2 on the shared pool \"p\""
    );
}

#[test]
fn a_name_stands_for_one_group_of_a_class() {
    let amd = || pool("a", json!({"resourceName": "amd.com/gpu"}));
    let c = || class("c", &["a", "b"], json!({}));
    let taken = pool(
        "b",
        json!({"resourceName": "x.io/gpu", "resourceAliases": ["amd.com/gpu"]}),
    );
    let expected = "spec.pools[1].name: \"amd.com/gpu\" stands for pool \"a\" and for pool \"b\", which ask for different things";
    assert_eq!(one(&[amd(), taken, c()]), expected);
    // one resource in two groups is no riddle: the runtime class is what differs
    let classed = pool("b", json!({"runtimeClassName": "rocm"}));
    assert_eq!(problems(&[amd(), classed, c()]), Vec::<String>::new());
}

#[test]
fn what_has_a_problem_is_left_out_and_what_needs_it_too() {
    let documents = [
        pool("bad", json!({"resourceName": "gpu"})),
        pool("good", json!({})),
        class("served", &["good"], json!({})),
        named("waits", class("waits", &["good", "bad"], json!({}))),
    ];
    let (valid, problems) = validate(&documents, NamespaceLabels::NameAlone);
    assert_eq!(valid.pools.len(), 1);
    assert_eq!(valid.classes.len(), 1);
    assert_eq!(problems.len(), 2);
    assert_eq!(problems[1].message, "GPUPool \"bad\" is invalid");
}
