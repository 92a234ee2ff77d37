//! The table of reasons, case by case, from objects as a cluster has them.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube_core::DynamicObject;
use serde_json::{Value, json};

use super::*;
use crate::{fleet::Change, objects::compile_each, table::Settings, testing::listed};

fn object(name: &str, spec: Value) -> DynamicObject {
    let object = json!({"metadata": {"name": name, "generation": 3, "uid": "u"}, "spec": spec});
    serde_json::from_value(object).expect("an object")
}

fn pool_spec() -> Value {
    json!({"resourceName": "amd.com/gpu", "nodeSelector": {"matchLabels": {"gpu": "yes"}}, "taints": [{"key": "only", "value": "gpu", "effect": "NoSchedule"}]})
}

fn compiled(pool: Value) -> Compiled {
    let pools = [object("p", pool)];
    let classes = [object("c", json!({"pools": [{"name": "p"}]}))];
    compile_each(&pools, &classes, &Settings::default())
}

fn fleet(compiled: &Compiled, nodes: &[Value], pods: &[Value]) -> Fleet {
    let fleet = Fleet::new(Arc::clone(&compiled.table));
    listed(fleet, nodes, pods)
}

fn node(name: &str, change: Value) -> Value {
    let mut node = json!({
        "metadata": {"name": name, "labels": {"gpu": "yes"}},
        "spec": {"taints": [{"key": "only", "value": "gpu", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"amd.com/gpu": "2", "cpu": "8"}, "conditions": [{"type": "Ready", "status": "True"}]},
    });
    for (path, value) in change.as_object().expect("an object") {
        *node.pointer_mut(path).expect("a field") = value.clone();
    }
    node
}

/// What is written for the first time.
fn first(compiled: &Compiled, sight: Sight<'_>) -> Statuses {
    statuses(compiled, sight, &Statuses::default(), &now())
}

fn counted(compiled: &Compiled, fleet: &Fleet) -> Statuses {
    let counts = Counts::of(fleet, compiled).expect("synced");
    first(compiled, Sight::Counted(&counts))
}

fn now() -> Time {
    Time(Timestamp::from_second(1_000).expect("a time"))
}

fn said<'s>(conditions: &'s [Condition], type_: &str) -> (&'s str, &'s str, &'s str) {
    let condition = conditions.iter().find(|it| it.type_ == type_);
    let condition = condition.unwrap_or_else(|| panic!("{type_} in {conditions:?}"));
    (&condition.status, &condition.reason, &condition.message)
}

#[test]
fn a_pool_is_ready_or_says_what_is_missing() {
    let cordoned = json!({"/spec": {"unschedulable": true}});
    let other = json!({"/spec/taints/0/key": "other"});
    let empty = json!({"/status/allocatable": {}});
    let absent = json!({"/status/conditions/0/status": "Unknown"});
    let growing = json!({"maxGPUs": 4});
    for (nodes, autoscaling, status, reason, part) in [
        (
            vec![node("n", json!({}))],
            Value::Null,
            "True",
            "Ready",
            "when a GPU is free",
        ),
        (vec![], Value::Null, "False", "NoNodes", "selects no node"),
        (vec![], growing.clone(), "True", "MayScale", "may add 4"),
        (
            vec![node("n", absent.clone())],
            Value::Null,
            "False",
            "NodesNotReady",
            "node n is not ready",
        ),
        (
            vec![node("n", cordoned), node("m", absent)],
            Value::Null,
            "False",
            "Cordoned",
            "kubectl uncordon n",
        ),
        (
            vec![node("n", other.clone()), node("m", other)],
            Value::Null,
            "False",
            "UndeclaredTaint",
            "node m (and 1 more) has the taint other=gpu:NoSchedule",
        ),
        (
            vec![node("n", empty)],
            Value::Null,
            "False",
            "NoGPUs",
            "node n offers no amd.com/gpu",
        ),
    ] {
        let mut spec = pool_spec();
        spec["autoscaling"] = autoscaling;
        let compiled = compiled(spec);
        let fleet = fleet(&compiled, &nodes, &[]);
        let statuses = counted(&compiled, &fleet);
        let ready = said(&statuses.pools["p"].conditions, "Ready");
        assert_eq!((ready.0, ready.1), (status, reason));
        assert!(ready.2.contains(part), "{ready:?}");
        let of_class = said(&statuses.classes["c"].conditions, "Ready");
        let expected = if status == "True" {
            ("True", "Ready")
        } else {
            ("False", "NoPoolReady")
        };
        assert_eq!((of_class.0, of_class.1), expected);
        assert_eq!(
            statuses.classes["c"].ready_pools,
            Some(u32::from(status == "True"))
        );
    }
}

#[test]
fn what_dra_provides_is_ready_and_unknown() {
    let compiled = compiled(pool_spec());
    let mut fleet = fleet(
        &compiled,
        &[node(
            "n",
            json!({"/status/allocatable": {"amd.com/gpu": "0"}}),
        )],
        &[],
    );
    let provided = [("amd".to_owned(), Some("amd.com/gpu".to_owned()))];
    fleet.apply(&Change::DeviceClasses(provided.into()));
    let statuses = counted(&compiled, &fleet);
    let status = &statuses.pools["p"];
    let ready = said(&status.conditions, "Ready");
    assert_eq!((ready.0, ready.1), ("True", "ProvidedByDRA"));
    assert_eq!(
        (status.unknown, status.gpus.map(|it| it.allocatable)),
        (Some(1), Some(0))
    );
}

#[test]
fn without_a_picture_it_is_unknown_and_there_are_no_counts() {
    let compiled = compiled(pool_spec());
    let unsynced = Fleet::new(Arc::clone(&compiled.table));
    assert_eq!(Counts::of(&unsynced, &compiled), None);
    for (sight, reason) in [(Sight::Off, "LiveOff"), (Sight::NotSynced, "NotSynced")] {
        let statuses = first(&compiled, sight);
        let status = &statuses.pools["p"];
        for conditions in [&status.conditions, &statuses.classes["c"].conditions] {
            let ready = said(conditions, "Ready");
            assert_eq!((ready.0, ready.1), ("Unknown", reason));
        }
        assert_eq!(
            (status.nodes, status.gpus, status.unknown),
            (None, None, None)
        );
        assert_eq!(said(&status.conditions, "Accepted").0, "True");
    }
}

#[test]
fn counts_are_those_of_the_usable_nodes_and_of_the_classs_pods() {
    let compiled = compiled(pool_spec());
    let pod = |uid: &str, more: Value| {
        let mut pod = json!({
            "metadata": {"uid": uid, "name": uid, "labels": {"berth.dev/workload-class": "c"}, "annotations": {"berth.dev/pool": "p"}},
            "spec": {"containers": [{"resources": {"requests": {"amd.com/gpu": "1"}}}]},
        });
        for (field, value) in more.as_object().expect("an object") {
            pod["spec"][field] = value.clone();
        }
        pod
    };
    let nodes = [
        node("n", json!({})),
        node("m", json!({"/spec": {"unschedulable": true}})),
    ];
    let pods = [
        pod("a", json!({"nodeName": "n"})),
        pod("b", json!({})),
        pod("c", json!({"schedulingGates": [{"name": "x"}]})),
    ];
    let fleet = fleet(&compiled, &nodes, &pods);
    let statuses = counted(&compiled, &fleet);
    let pool = serde_json::to_value(&statuses.pools["p"]).expect("JSON");
    assert_eq!(pool["nodes"], json!({"matched": 2, "usable": 1}));
    assert_eq!(
        pool["gpus"],
        json!({"allocatable": 2, "allocated": 1, "waiting": 1, "free": 0})
    );
    assert_eq!(
        (&pool["classes"], &pool["observedGeneration"]),
        (&json!(["c"]), &json!(3))
    );
    let class = serde_json::to_value(&statuses.classes["c"]).expect("JSON");
    assert_eq!(
        class["pods"],
        json!({"running": 1, "waiting": 1, "gated": 1})
    );
    assert_eq!(class["poolNames"], "p");
}

#[test]
fn taints_that_are_missing_let_others_come() {
    let compiled = compiled(pool_spec());
    let fleet = fleet(&compiled, &[node("n", json!({"/spec/taints": []}))], &[]);
    let statuses = counted(&compiled, &fleet);
    let taints = said(&statuses.pools["p"].conditions, "TaintsAsDeclared");
    assert_eq!((taints.0, taints.1), ("False", "Missing"));
    assert!(
        taints
            .2
            .ends_with("kubectl taint nodes n only=gpu:NoSchedule"),
        "{taints:?}"
    );
}

#[test]
fn memory_that_classes_may_use_together_is_held_against_the_gpu() {
    let mut spec = pool_spec();
    spec["memoryPerGPU"] = json!("8Gi");
    spec["sharing"] = json!({"strategy": "TimeSlicing", "replicas": 2});
    let pools = [object("p", spec)];
    let class = |name: &str, memory: &str| {
        object(name, json!({"pools": [{"name": "p"}], "gpuMemory": memory}))
    };
    for (memory, expected) in [
        ("5Gi", ("True", "Overcommitted")),
        ("3Gi", ("False", "WithinBudget")),
    ] {
        let classes = [class("a", "5Gi"), class("b", memory)];
        let compiled = compile_each(&pools, &classes, &Settings::default());
        let statuses = first(&compiled, Sight::Off);
        let found = said(&statuses.pools["p"].conditions, "MemoryOvercommitted");
        assert_eq!((found.0, found.1), expected, "{}", found.2);
    }
}

#[test]
fn equal_input_gives_equal_bytes_and_a_time_stays_as_long_as_its_status() {
    let compiled = compiled(pool_spec());
    let old = first(&compiled, Sight::Off);
    let later = Time(Timestamp::from_second(2_000).expect("a time"));
    assert_eq!(statuses(&compiled, Sight::Off, &old, &later), old);
    let fleet = fleet(&compiled, &[node("n", json!({}))], &[]);
    let counts = Counts::of(&fleet, &compiled).expect("synced");
    let turned = statuses(&compiled, Sight::Counted(&counts), &old, &later);
    for condition in &turned.pools["p"].conditions {
        let is_new = ["Ready", "TaintsAsDeclared"].contains(&condition.type_.as_str());
        let expected = if is_new { &later } else { &now() };
        assert_eq!(
            &condition.last_transition_time, expected,
            "{}",
            condition.type_
        );
    }
}

#[test]
fn an_object_that_is_refused_says_why_and_is_not_ready() {
    let pools = [object("p", json!({"resourceName": 5}))];
    let classes = [object(
        "c",
        json!({"pools": [{"name": "p"}, {"name": "q"}]}),
    )];
    let compiled = compile_each(&pools, &classes, &Settings::default());
    let statuses = first(&compiled, Sight::Off);
    let of_pool = &statuses.pools["p"].conditions;
    assert_eq!(said(of_pool, "Accepted").1, "Invalid");
    assert_eq!(said(of_pool, "Ready").1, "NotAccepted");
    assert_eq!(of_pool.len(), 2);
    let accepted = said(&statuses.classes["c"].conditions, "Accepted");
    assert_eq!(accepted.1, "PoolNotAccepted");
    assert!(accepted.2.ends_with("(+1 more)"), "{accepted:?}");
}
