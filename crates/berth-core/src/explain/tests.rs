use kube_core::DynamicObject;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    fleet::{NodeView, PodView},
    manifest::{Document, Manifest},
    objects::compile_each,
    table::Settings,
    testing::{class, pool, table},
};

/// Pool `p`: nodes of kind p, with a taint. Pool `q` of another vendor: nodes of kind q.
fn documents() -> Vec<Document> {
    let of = |kind: &str| json!({"matchLabels": {"kind": kind}});
    let taint = json!([{"key": "only", "value": "gpu", "effect": "NoSchedule"}]);
    let other = json!({"nodeSelector": of("q"), "resourceName": "nvidia.com/gpu"});
    vec![
        pool("p", json!({"nodeSelector": of("p"), "taints": taint})),
        pool("q", other),
        class("c", &["p"], json!({"gpus": {"max": 4}})),
        class("both", &["p", "q"], json!({})),
    ]
}

/// A document as an object of the cluster.
fn object(document: &Document) -> DynamicObject {
    let object = match &document.manifest {
        Manifest::Pool(pool) => serde_json::to_value(pool),
        Manifest::Class(class) => serde_json::to_value(class),
    };
    serde_json::from_value(object.expect("JSON")).expect("an object")
}

/// What one may see of these Nodes and Pods.
fn facts(nodes: &[Value], pods: &[Value]) -> Facts {
    let table = std::sync::Arc::new(table(&documents()));
    let mut counted = Counted::new(std::sync::Arc::clone(&table));
    for node in nodes {
        let node: NodeView = serde_json::from_value(node.clone()).expect("a Node");
        counted.node(&node);
    }
    for pod in pods {
        let pod: PodView = serde_json::from_value(pod.clone()).expect("a Pod");
        counted.pod(&pod, table.class_label(), None);
    }
    Facts {
        now: at(1_000),
        view: View::from(table),
        compiled: compile_each([], [], &Settings::default()),
        sees_pools: true,
        sees_classes: true,
        sees_namespace: true,
        written: BTreeMap::new(),
        statuses: Statuses::default(),
        counted: Some(counted.complete()),
        webhook: Webhook::Unread,
        unread: Vec::new(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn merge(whole: &mut Value, part: Value) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (key, value) in part {
                merge(whole.entry(key).or_insert(Value::Null), value);
            }
        }
        (whole, part) => *whole = part,
    }
}

fn node(name: &str, kind: &str, gpus: u32, change: Value) -> Value {
    let resource = if kind == "q" {
        "nvidia.com/gpu"
    } else {
        "amd.com/gpu"
    };
    let taints = json!([{"key": "only", "value": "gpu", "effect": "NoSchedule"}]);
    let mut node = json!({
        "metadata": {"name": name, "labels": {"kind": kind}},
        "spec": {"taints": if kind == "p" { taints } else { json!([]) }},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {resource: gpus.to_string()},
        },
    });
    merge(&mut node, change);
    node
}

/// A Pod of class `c` as berth placed it 100 s ago, which the scheduler has no node for.
fn waits(gpus: u32, change: Value) -> Value {
    let message = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector. no new claims";
    let mut pod = json!({
        "metadata": {
            "name": "x", "namespace": "ai", "uid": "u-x", "creationTimestamp": "1970-01-01T00:15:00Z",
            "labels": {"berth.dev/workload-class": "c"}, "annotations": {"berth.dev/pool": "p"},
        },
        "spec": {
            "tolerations": [{"key": "only", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}],
            "containers": [{"name": "main", "resources": {
                "limits": {"amd.com/gpu": gpus.to_string()}, "requests": {"amd.com/gpu": gpus.to_string()},
            }}],
        },
        "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message},
        ]},
    });
    merge(&mut pod, change);
    pod
}

fn runs(name: &str, node: &str, gpus: u32) -> Value {
    let change = json!({
        "metadata": {
            "name": name, "uid": format!("u-{name}"), "labels": {"pod-template-hash": "6f"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "llm-6f", "uid": "r", "controller": true}],
        },
        "spec": {"nodeName": node}, "status": {"phase": "Running"},
    });
    waits(gpus, change)
}

fn explain(nodes: &[Value], others: &[Value], ours: &Value) -> Explanation {
    let mut pods = others.to_vec();
    pods.push(ours.clone());
    let pod_of = |it: &Value| serde_json::from_value(it.clone()).expect("a Pod");
    pod(&pod_of(ours), &[], &facts(nodes, &pods))
}

#[test]
fn the_step_after_which_no_node_is_left_is_the_conclusion() {
    let ours = waits(1, json!({}));
    let full = [runs("a", "n1", 1)];
    let not_ready = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    let tainted =
        json!({"spec": {"taints": [{"key": "other", "value": "", "effect": "NoExecute"}]}});
    for (nodes, others, reason, sentence) in [
        (
            vec![node("n1", "x", 1, json!({}))],
            &[][..],
            Why::NoNode,
            "pool p has no node: 0 of 1 match kind In [p]; 1 node offers amd.com/gpu and is in no pool: n1",
        ),
        (
            vec![node("n1", "p", 1, not_ready)],
            &[],
            Why::NotReady,
            "the only node of pool p, n1, is not ready",
        ),
        (
            vec![
                node("n1", "p", 1, json!({"spec": {"unschedulable": true}})),
                node("n2", "p", 1, json!({"spec": {"unschedulable": true}})),
            ],
            &[],
            Why::Cordoned,
            "no node of pool p can be used: 2 of 2 are cordoned: n1, n2",
        ),
        (
            vec![node("n1", "p", 1, tainted)],
            &[],
            Why::UntoleratedTaint,
            "the only node of pool p, n1, has the taint other:NoExecute, which the Pod does not tolerate",
        ),
        (
            vec![node("n1", "p", 0, json!({}))],
            &[],
            Why::TooFewGpus,
            "the only node of pool p, n1, offers no amd.com/gpu",
        ),
        (
            vec![node("n1", "p", 1, json!({}))],
            &full,
            Why::NoFreeGpu,
            "pool p has no free GPU: 1 of 1 taken",
        ),
        (
            vec![node("n1", "p", 2, json!({}))],
            &full,
            Why::NotTheGpu,
            "1 GPU of pool p is free, on n1; the scheduler names something else: 1 Insufficient cpu",
        ),
    ] {
        let explained = explain(&nodes, others, &ours);
        assert_eq!(explained.reason, reason, "{explained:#?}");
        assert_eq!(explained.conclusion, format!("Pending 100s: {sentence}"));
    }
}

#[test]
fn gpus_that_are_spread_over_nodes_are_none_for_a_pod_of_several() {
    let nodes = ["n1", "n2"].map(|name| node(name, "p", 2, json!({})));
    let others = [runs("a", "n1", 1), runs("b", "n2", 1)];
    let explained = explain(&nodes, &others, &waits(2, json!({})));
    let sentence =
        "Pending 100s: no node of pool p has 2 GPUs free: at most 1 on one node, 2 of 4 in all";
    assert_eq!(explained.conclusion, sentence);
    let commands: Vec<&str> = explained
        .advice
        .iter()
        .map(|it| it.command.as_str())
        .collect();
    assert_eq!(
        commands,
        ["kubectl -n ai scale deploy/llm --replicas=0", ""]
    );
    let more = explain(&nodes, &others, &waits(4, json!({})));
    assert_eq!(more.reason, Why::TooFewGpus, "{more:#?}");
}

#[test]
fn what_is_not_about_nodes_comes_first() {
    let nodes = [node("n1", "p", 1, json!({}))];
    let insufficient = json!({"status": {"conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient amd.com/gpu."},
    ]}});
    for (change, reason, part) in [
        (
            json!({"status": {"phase": "Succeeded"}}),
            Why::Finished,
            "has ended",
        ),
        (
            json!({"metadata": {"deletionTimestamp": "1970-01-01T00:16:00Z"}}),
            Why::Leaving,
            "is being deleted",
        ),
        (
            json!({"spec": {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}}),
            Why::Gated,
            "Kueue holds it",
        ),
        (
            json!({"status": {"nominatedNodeName": "n1"}}),
            Why::Preempting,
            "room is made for it on n1",
        ),
        (
            json!({"metadata": {"labels": {"berth.dev/inject": "disabled"}}}),
            Why::OptedOut,
            "has the label",
        ),
        (
            json!({"metadata": {"labels": null}}),
            Why::NoClass,
            "neither it nor its namespace has the label",
        ),
        (
            json!({"metadata": {"labels": {"berth.dev/workload-class": null, "berth.dev/workload-clas": "c"}}}),
            Why::NoClass,
            "is berth.dev/workload-clas meant",
        ),
        (
            json!({"metadata": {"annotations": null}}),
            Why::NeverSeen,
            "berth never saw this Pod",
        ),
        (
            json!({"metadata": {"annotations": {"berth.dev/pool": "gone"}}}),
            Why::PoolGone,
            "not in the table any more",
        ),
        (
            json!({"spec": {"nodeSelector": {"arch": "arm64"}}}),
            Why::OwnConstraints,
            "asks of a node: nodeSelector arch: arm64",
        ),
        (
            insufficient,
            Why::FreeNow,
            "is free, on n1; when the scheduler looked last",
        ),
        (
            json!({"status": {"conditions": []}}),
            Why::NotScheduledYet,
            "has not said anything",
        ),
        (
            json!({"spec": {"schedulerName": "volcano"}, "status": {"conditions": []}}),
            Why::OtherScheduler,
            "scheduler volcano has not said",
        ),
    ] {
        let mut ours = waits(1, json!({}));
        merge(&mut ours, change);
        without_nulls(&mut ours);
        let explained = explain(&nodes, &[], &ours);
        assert_eq!(explained.reason, reason, "{explained:#?}");
        assert!(
            explained.conclusion.contains(part),
            "{}",
            explained.conclusion
        );
    }
}

fn without_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, it| !it.is_null());
        fields.values_mut().for_each(without_nulls);
    }
}

#[test]
fn another_pool_of_the_class_that_has_room_now_is_named() {
    let nodes = [node("n1", "p", 1, json!({})), node("n2", "q", 1, json!({}))];
    let ours = waits(
        1,
        json!({"metadata": {"labels": {"berth.dev/workload-class": "both"}}}),
    );
    let explained = explain(&nodes, &[runs("a", "n1", 1)], &ours);
    assert_eq!(explained.reason, Why::Overtaken);
    let sentence = "Pending 100s: pool p has no free GPU: 1 of 1 taken; another pool of its class has room now: q";
    assert_eq!(explained.conclusion, sentence);
    assert_eq!(explained.advice[0].command, "kubectl -n ai delete pod x");
}

#[test]
fn what_a_device_class_provides_is_not_known() {
    let nodes = [node("n1", "p", 0, json!({}))];
    let ours = waits(1, json!({}));
    let mut facts = facts(&nodes, std::slice::from_ref(&ours));
    let provided = vec![("gpu.amd.com".to_owned(), Some("amd.com/gpu".to_owned()))];
    facts
        .counted
        .as_mut()
        .expect("counted")
        .device_classes(provided);
    let explained = pod(&serde_json::from_value(ours).expect("a Pod"), &[], &facts);
    assert_eq!(explained.reason, Why::ProvidedByDra, "{explained:#?}");
}

#[test]
fn what_is_known_of_the_webhook_says_why_a_pod_was_never_seen() {
    let mut ours = waits(1, json!({}));
    ours["metadata"]["annotations"] = json!({});
    let ours = serde_json::from_value(ours).expect("a Pod");
    let mut facts = facts(&[], &[]);
    for (webhook, part) in [
        (Webhook::Unread, "it has no annotation berth.dev/pool"),
        (
            Webhook::Missing,
            "and no MutatingWebhookConfiguration asks berth",
        ),
        (
            Webhook::Since(at(950)),
            "webhook was registered later, 50s ago",
        ),
        (
            Webhook::Since(at(800)),
            "berth was not asked, or did not answer",
        ),
    ] {
        facts.webhook = webhook;
        let explained = pod(&ours, &[], &facts);
        assert_eq!(explained.reason, Why::NeverSeen);
        assert!(
            explained.conclusion.contains(part),
            "{}",
            explained.conclusion
        );
    }
    // what may not be seen of the namespace is not said
    let mut nobodys = ours.clone();
    nobodys.metadata.labels = None;
    facts.sees_namespace = false;
    let explained = pod(&nobodys, &[], &facts);
    assert!(
        explained
            .conclusion
            .ends_with("whether its namespace has, you may not see"),
        "{explained:#?}"
    );
}

#[test]
fn a_pod_that_was_bound_meanwhile_is_not_kept_from_its_node_by_itself() {
    let nodes = [node("n1", "p", 1, json!({}))];
    let ours = waits(1, json!({}));
    let bound = waits(1, json!({"spec": {"nodeName": "n1"}}));
    let facts = facts(&nodes, &[bound]);
    let explained = pod(&serde_json::from_value(ours).expect("a Pod"), &[], &facts);
    assert_eq!(explained.reason, Why::Starting, "{explained:#?}");
}

#[test]
fn a_pod_on_a_node_is_told_with_what_is_wrong_there() {
    let nodes = [
        node("n1", "p", 1, json!({})),
        node(
            "n2",
            "p",
            1,
            json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
        ),
    ];
    let crashes = json!({"status": {"containerStatuses": [{
        "name": "main", "image": "x", "imageID": "", "ready": false, "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
    }]}});
    let no_class = json!({"metadata": {
        "labels": {"berth.dev/workload-class": null, "berth.dev/workload-clas": "c"}, "annotations": null,
    }});
    for (on, change, sentence, remark) in [
        (
            "n1",
            json!({}),
            "Running on n1, with 1 of amd.com/gpu in container main. Nothing to explain",
            None,
        ),
        (
            "n1",
            crashes,
            "Running on n1, with 1 of amd.com/gpu in container main; container main: CrashLoopBackOff (back-off 5m0s)",
            None,
        ),
        (
            "n1",
            no_class,
            "Running on n1, with 1 of amd.com/gpu in container main",
            Some(
                "berth leaves it alone: it has no label berth.dev/workload-class; is berth.dev/workload-clas meant to be it?",
            ),
        ),
        (
            "n2",
            json!({}),
            "Running on n2, with 1 of amd.com/gpu in container main. Nothing to explain",
            Some("node n2 is not ready, so its Pods may not run any more"),
        ),
        (
            "n3",
            json!({}),
            "Running on n3, with 1 of amd.com/gpu in container main. Nothing to explain",
            Some("node n3 is not in the cluster any more"),
        ),
    ] {
        let mut ours = runs("x", on, 1);
        merge(&mut ours, change);
        without_nulls(&mut ours);
        let explained = explain(&nodes, &[], &ours);
        assert_eq!(explained.reason, Why::Running, "{explained:#?}");
        assert_eq!(explained.conclusion, sentence);
        assert_eq!(explained.remarks.first().map(String::as_str), remark);
    }
    let failed = json!({"status": {
        "phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "Allocate failed",
    }});
    let explained = explain(&nodes, &[], &waits(1, failed));
    let sentence = "the Pod has ended: Failed: UnexpectedAdmissionError: Allocate failed";
    assert_eq!(explained.conclusion, sentence);
}

#[test]
fn a_taint_of_kubernetes_is_told_as_what_it_stands_for() {
    let taint = |key: &str, effect: &str| json!({"key": format!("node.kubernetes.io/{key}"), "effect": effect});
    let tainted = |ready: &str, taints: Value| {
        let change = json!({
            "spec": {"taints": taints},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        });
        [node("n1", "p", 1, change)]
    };
    // what every Pod has, by an admission plugin of the API server
    let for_a_time = |key: &str| {
        json!({
            "key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": "NoExecute",
            "tolerationSeconds": 300,
        })
    };
    let own = json!({"key": "only", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"});
    let tolerations = json!([own, for_a_time("not-ready"), for_a_time("unreachable")]);
    let ours = waits(1, json!({"spec": {"tolerations": tolerations}}));
    let not_ready = json!([
        taint("not-ready", "NoSchedule"),
        taint("not-ready", "NoExecute")
    ]);
    for (nodes, reason) in [
        (tainted("False", not_ready), Why::NotReady),
        (
            tainted("True", json!([taint("disk-pressure", "NoSchedule")])),
            Why::UntoleratedTaint,
        ),
    ] {
        let explained = explain(&nodes, &[], &ours);
        assert_eq!(explained.reason, reason, "{explained:#?}");
        // nobody takes such a taint away by hand
        let commands: Vec<&str> = explained
            .advice
            .iter()
            .map(|it| it.command.as_str())
            .collect();
        assert_eq!(commands, ["kubectl describe node n1"], "{explained:#?}");
    }
}

#[test]
fn a_pod_of_a_daemon_set_on_a_node_beside_the_pool_is_told_what_its_template_lacks() {
    let nodes = [node("n1", "p", 1, json!({}))];
    let on_other = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]},
    ]}}});
    let owner = json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "d", "controller": true}]);
    let change = json!({"metadata": {"ownerReferences": owner}, "spec": {"affinity": on_other}});
    let explained = explain(&nodes, &[], &waits(1, change));
    assert_eq!(explained.reason, Why::OwnConstraints, "{explained:#?}");
    let text = &explained.advice[0].text;
    assert!(text.contains("give the template a nodeSelector"), "{text}");
}

#[test]
fn of_a_pool_and_a_class_berths_own_count_is_told_where_nobody_may_count() {
    let mut facts = facts(&[], &[]);
    facts.counted = None;
    let documents = documents();
    let pools = [object(&documents[0])];
    let classes = [object(&documents[2])];
    facts.compiled = compile_each(&pools, &classes, &Settings::default());
    for (free, reason, sentence) in [
        (
            0,
            Why::NoFreeGpu,
            "pool p has 0 of 2 GPUs free, as berth counted last",
        ),
        (
            1,
            Why::Ready,
            "pool p has 1 of 2 GPUs free, as berth counted last",
        ),
    ] {
        let status = json!({
            "gpus": {"allocatable": 2, "allocated": 2 - free, "waiting": 0, "free": free},
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Ready", "message": "it is",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }],
        });
        let status = serde_json::from_value(status).expect("a status");
        facts.statuses.pools.insert("p".to_owned(), status);
        for told in [super::pool("p", &facts), super::class("c", "ai", &facts)] {
            let told = told.expect("it is there");
            assert_eq!((told.reason, &*told.conclusion), (reason, sentence));
        }
    }
    // an old berth wrote no conditions
    facts
        .statuses
        .pools
        .insert("p".to_owned(), crate::api::GPUPoolStatus::default());
    let told = super::pool("p", &facts).expect("it is there");
    assert_eq!(told.reason, Why::Unknown, "{told:#?}");

    facts.sees_pools = false;
    let told = super::class("c", "ai", &facts).expect("it is there");
    assert_eq!(told.reason, Why::Unknown, "{told:#?}");
    assert_eq!(told.conclusion, "the pools of class c could not be read");
}

#[test]
fn without_nodes_what_berth_wrote_is_told_and_nothing_more() {
    let ours = waits(1, json!({}));
    let mut facts = facts(&[], &[]);
    facts.counted = None;
    let ours = serde_json::from_value(ours).expect("a Pod");
    let explained = pod(&ours, &[], &facts);
    assert_eq!(explained.reason, Why::Unknown);
    assert!(explained.pools.is_empty());
    let gpus = crate::api::GpuCounts {
        allocatable: 2,
        allocated: 2,
        ..Default::default()
    };
    let status = crate::api::GPUPoolStatus {
        gpus: Some(gpus),
        ..Default::default()
    };
    facts.statuses.pools.insert("p".to_owned(), status);
    let explained = pod(&ours, &[], &facts);
    let sentence = "Pending 100s: pool p has 0 of 2 GPUs free, as berth counted last; the scheduler found no node, and says why below";
    assert_eq!(explained.conclusion, sentence);
}

/// A node as chance has it.
#[derive(Clone, Debug)]
struct Drawn {
    kind: &'static str,
    gpus: u32,
    is_ready: bool,
    is_cordoned: bool,
    has_other_taint: bool,
    arch: &'static str,
    /// The GPUs of each Pod on it, and of each for which room is made there.
    bound: Vec<u32>,
    nominated: Vec<u32>,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let flags = (
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
    );
    let kind = prop::sample::select(vec!["p", "p", "p", "q", "x"]);
    let arch = prop::sample::select(vec!["amd64", "amd64", "arm64"]);
    let bound = prop::collection::vec(0..3_u32, 0..4);
    let nominated = prop::collection::vec(1..2_u32, 0..2);
    (kind, 0..5_u32, flags, arch, bound, nominated).prop_map(
        |(kind, gpus, (is_ready, is_cordoned, has_other_taint), arch, bound, nominated)| Drawn {
            kind,
            gpus,
            is_ready,
            is_cordoned,
            has_other_taint,
            arch,
            bound,
            nominated,
        },
    )
}

impl Drawn {
    fn node(&self, name: &str) -> Value {
        let mut taints = vec![];
        if self.kind == "p" {
            taints.push(json!({"key": "only", "value": "gpu", "effect": "NoSchedule"}));
        }
        if self.has_other_taint {
            taints.push(json!({"key": "other", "effect": "NoSchedule"}));
        }
        let ready = if self.is_ready { "True" } else { "False" };
        let change = json!({
            "metadata": {"labels": {"arch": self.arch}},
            "spec": {"taints": taints, "unschedulable": self.is_cordoned},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        });
        node(name, self.kind, self.gpus, change)
    }

    fn pods(&self, node: &str) -> Vec<Value> {
        let bound = (0..)
            .zip(&self.bound)
            .map(|(i, gpus)| runs(&format!("{node}-b{i}"), node, *gpus));
        let nominated = (0..).zip(&self.nominated).map(|(i, gpus)| {
            let name = format!("{node}-n{i}");
            let change = json!({
                "metadata": {"name": name, "uid": name}, "status": {"nominatedNodeName": node},
            });
            waits(*gpus, change)
        });
        bound.chain(nominated).collect()
    }

    /// Whether a Pod of pool `p` finds so many GPUs free here, by the definition.
    fn is_free(&self, gpus: u32, arch: Option<&str>) -> bool {
        let taken: u32 = self.bound.iter().chain(&self.nominated).sum();
        self.may_run(arch) && self.gpus >= gpus + taken.min(self.gpus)
    }

    fn may_run(&self, arch: Option<&str>) -> bool {
        self.kind == "p"
            && self.is_ready
            && !self.is_cordoned
            && !self.has_other_taint
            && arch.is_none_or(|it| it == self.arch)
    }
}

proptest! {
    /// Never "no free GPU" where one is free, and never another cause of the nodes' either.
    #[test]
    fn a_gpu_that_is_free_is_never_said_to_be_taken(
        all in prop::collection::vec(drawn(), 0..6),
        gpus in 1..4_u32,
        arch in prop::option::of(prop::sample::select(vec!["amd64", "arm64"])),
    ) {
        let name = |i: usize| format!("n{i}");
        let nodes: Vec<Value> = all.iter().enumerate().map(|(i, it)| it.node(&name(i))).collect();
        let others: Vec<Value> = all.iter().enumerate().flat_map(|(i, it)| it.pods(&name(i))).collect();
        let selector = arch.map_or_else(|| json!({}), |arch| json!({"spec": {"nodeSelector": {"arch": arch}}}));
        let explained = explain(&nodes, &others, &waits(gpus, selector));
        let in_pool: Vec<&Drawn> = all.iter().filter(|it| it.kind == "p").collect();
        let is_free = in_pool.iter().any(|it| it.is_free(gpus, arch));
        prop_assert_eq!(explained.reason == Why::NotTheGpu, is_free, "{:#?}", explained);
        match explained.reason {
            Why::NotTheGpu => {}
            Why::NoFreeGpu => prop_assert!(in_pool.iter().any(|it| it.may_run(arch) && it.gpus >= gpus)),
            Why::TooFewGpus => prop_assert!(in_pool.iter().any(|it| it.may_run(arch)) && in_pool.iter().all(|it| !it.may_run(arch) || it.gpus < gpus)),
            Why::UntoleratedTaint => prop_assert!(in_pool.iter().any(|it| it.has_other_taint)),
            Why::Cordoned => prop_assert!(in_pool.iter().any(|it| it.is_cordoned)),
            Why::NotReady => prop_assert!(in_pool.iter().any(|it| !it.is_ready)),
            Why::OwnConstraints => prop_assert!(in_pool.iter().all(|it| Some(it.arch) != arch)),
            Why::NoNode => prop_assert!(in_pool.is_empty()),
            other => prop_assert!(false, "{other}: {explained:#?}"),
        }
        let steps: Vec<usize> = explained.pools[0].steps.iter().map(|it| it.nodes).collect();
        prop_assert!(steps.is_sorted_by(|a, b| a >= b), "{steps:?}");
        prop_assert_eq!(steps[0], all.len());
        prop_assert_eq!(steps[1], in_pool.len());
        let free = in_pool.iter().filter(|it| it.is_free(gpus, arch)).count();
        prop_assert_eq!(steps[7], free);
    }
}
