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
            "spec: required value: hostnames or nodeSelector",
        ),
        (
            json!({"hostnames": []}),
            "spec.hostnames: required value: at least one hostname",
        ),
        (
            json!({"hostnames": [""]}),
            "spec.hostnames[0]: invalid value \"\": a hostname cannot be empty",
        ),
        (
            json!({"hostnames": ["a b"]}),
            "spec.hostnames[0]: invalid value \"a b\": not a label value",
        ),
        (
            json!({"hostnames": ["a", "a"]}),
            "spec.hostnames[1]: duplicate value \"a\"",
        ),
        (
            json!({"nodeSelector": {}}),
            "spec.nodeSelector: invalid value: an empty nodeSelector selects every node",
        ),
        (
            json!({"nodeSelector": {"matchLabels": {"a b": "c"}}}),
            "spec.nodeSelector.matchLabels[\"a b\"]: invalid value \"a b\": not a label key",
        ),
        (
            json!({"nodeSelector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}}),
            "spec.nodeSelector: invalid value: the requirements on label \"a\" contradict each other",
        ),
        (
            json!({"hostnames": ["a"], "nodeSelector": {"matchLabels": {"a": "b"}}}),
            "spec.nodeSelector: invalid value: only one of hostnames and nodeSelector may be set",
        ),
        (
            json!({"taints": [{"key": "", "effect": "NoSchedule"}]}),
            "spec.taints[0].key: invalid value \"\": not a taint key",
        ),
        (
            json!({"taints": [{"key": "k", "value": "a b", "effect": "NoSchedule"}]}),
            "spec.taints[0].value: invalid value \"a b\": not a label value",
        ),
        (
            json!({"taints": [{"key": "k", "value": "a", "effect": "NoSchedule"}, {"key": "k", "effect": "NoSchedule"}]}),
            "spec.taints[1]: duplicate value k:NoSchedule",
        ),
        (
            json!({"resourceName": "gpu"}),
            "spec.resourceName: invalid value \"gpu\": not an extended resource",
        ),
        (
            json!({"resourceAliases": ["cpu"]}),
            "spec.resourceAliases[0]: invalid value \"cpu\": not an extended resource",
        ),
        (
            json!({"resourceAliases": ["amd.com/gpu"]}),
            "spec.resourceAliases[0]: invalid value \"amd.com/gpu\": an alias cannot be the pool's own resource",
        ),
        (
            json!({"resourceAliases": ["a/b", "a/b"]}),
            "spec.resourceAliases[1]: duplicate value \"a/b\"",
        ),
        (
            json!({"memoryPerGPU": "8 GB"}),
            "spec.memoryPerGPU: invalid value \"8 GB\": not an amount of memory",
        ),
        (
            json!({"memoryPerGPU": "0"}),
            "spec.memoryPerGPU: invalid value \"0\": not an amount of memory",
        ),
        (
            json!({"sharing": {"strategy": "TimeSlicing"}}),
            "spec.sharing: required value: replicas",
        ),
        (
            json!({"sharing": {"strategy": "None", "replicas": 2}}),
            "spec.sharing.replicas: invalid value: a GPU that is not shared has no replicas",
        ),
        (
            json!({"sharing": {"strategy": "MPS", "replicas": 1}}),
            "spec.sharing.replicas: invalid value 1: replicas must be at least 2",
        ),
        (
            json!({"runtimeClassName": "N"}),
            "spec.runtimeClassName: invalid value \"N\": not a name that Kubernetes accepts",
        ),
        (
            json!({"env": [{"name": "A=B"}]}),
            "spec.env[0].name: invalid value \"A=B\": not a variable name",
        ),
        (
            json!({"env": [{"name": "A"}, {"name": "A"}]}),
            "spec.env[1].name: duplicate value \"A\"",
        ),
    ] {
        assert_eq!(of_pool(spec), expected);
    }
    assert_eq!(
        one(&[pool("P", json!({"hostnames": ["a"]}))]),
        "metadata.name: invalid value \"P\": not a name that Kubernetes accepts"
    );
    assert_eq!(
        one(&[pool("p", json!({})), pool("p", json!({}))]),
        "metadata.name: duplicate value \"p\": another GPUPool has this name"
    );
}

#[test]
fn every_problem_of_a_class_is_found() {
    for (spec, expected) in [
        (
            json!({"pools": []}),
            "spec.pools: required value: at least one GPUPool",
        ),
        (
            json!({"pools": [{"name": "p"}, {"name": "p"}]}),
            "spec.pools[1].name: duplicate value \"p\"",
        ),
        (
            json!({"pools": [{"name": "nowhere"}]}),
            "spec.pools[0].name: there is no GPUPool \"nowhere\"",
        ),
        (
            json!({"gpus": {"default": 2, "max": 1}}),
            "spec.gpus.max: invalid value 1: max is below default 2",
        ),
        (
            json!({"gpus": {"default": 0}}),
            "spec.gpus.default: invalid value 0: must be at least 1",
        ),
        (
            json!({"gpuMemory": "much"}),
            "spec.gpuMemory: invalid value \"much\": not an amount of memory",
        ),
        (
            json!({"containerNames": ["Main"]}),
            "spec.containerNames[0]: invalid value \"Main\": not a DNS label",
        ),
        (
            json!({"containerNames": ["a", "a"]}),
            "spec.containerNames[1]: duplicate value \"a\"",
        ),
        (
            json!({"schedulerName": "V"}),
            "spec.schedulerName: invalid value \"V\": not a name that Kubernetes accepts",
        ),
        (
            json!({"namespaceSelector": {"matchLabels": {"team": "a"}}}),
            "spec.namespaceSelector: unsupported value: berth does not know the label \"team\" of a namespace from files",
        ),
        (
            json!({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}),
            "spec.namespaceSelector.matchExpressions[0].operator: unsupported value \"Like\": use In, NotIn, Exists or DoesNotExist",
        ),
    ] {
        assert_eq!(of_class(spec), expected);
    }
    let p = || pool("p", json!({}));
    let c = |name| class(name, &["p"], json!({}));
    assert_eq!(
        one(&[p(), c("a.b")]),
        "metadata.name: invalid value \"a.b\": not a DNS label"
    );
    assert_eq!(
        one(&[p(), c("c"), c("c")]),
        "metadata.name: duplicate value \"c\": another WorkloadClass has this name"
    );
    let shared = pool("p", json!({"sharing": {"strategy": "MPS", "replicas": 4}}));
    let greedy = class("c", &["p"], json!({"gpus": {"max": 2}}));
    assert_eq!(
        one(&[shared, greedy]),
        "spec.gpus.max: invalid value 2: max must be 1, since pool \"p\" is shared"
    );
}

/// How much is allowed is the schemas' affair; here is what a file's author reads.
#[test]
fn what_is_more_than_the_definitions_allow_is_a_problem() {
    let taints: Vec<Value> = (0..1001)
        .map(|i| json!({"key": format!("k{i}"), "effect": "NoSchedule"}))
        .collect();
    assert_eq!(
        of_pool(json!({"taints": taints})),
        "spec.taints: invalid value: 1001 items, and at most 32 are allowed"
    );
    let names: Vec<String> = (0..129).map(|i| format!("p{i}")).collect();
    let mut documents: Vec<Document> = names.iter().map(|it| pool(it, json!({}))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    documents.push(class("c", &names, json!({})));
    assert_eq!(
        one(&documents),
        "spec.pools: invalid value: 129 items, and at most 64 are allowed"
    );
    for (spec, expected) in [
        (
            json!({"gpus": {"max": 5000}}),
            "spec.gpus.max: invalid value 5000: must be at most 1024",
        ),
        (
            json!({"gpuMemory": "8000m"}),
            "spec.gpuMemory: invalid value \"8000m\": not an amount of memory",
        ),
        (
            json!({"rationale": "ä".repeat(1025)}),
            "spec.rationale: invalid value: 1025 characters, and at most 1024 are allowed",
        ),
    ] {
        assert_eq!(of_class(spec), expected);
    }
}

#[test]
fn a_name_stands_for_one_group_of_a_class() {
    let amd = || pool("a", json!({"resourceName": "amd.com/gpu"}));
    let c = || class("c", &["a", "b"], json!({}));
    let taken = pool(
        "b",
        json!({"resourceName": "x.io/gpu", "resourceAliases": ["amd.com/gpu"]}),
    );
    let expected = "spec.pools[1].name: \"amd.com/gpu\" is a name of pool \"a\" and of pool \"b\", which need different things of a Pod";
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
