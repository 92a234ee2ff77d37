//! Rows and cells, from objects as a cluster has them.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube_core::DynamicObject;
use serde_json::{Value, json};

use super::*;
use crate::{
    fleet::{Change, Kind, NodeState, NodeView, PodView},
    objects::compile_each,
    outcome::Reason,
    review::review,
    table::Settings,
    testing::{self, listed, review_of},
};

fn object(name: &str, spec: Value) -> DynamicObject {
    let object = json!({"metadata": {"name": name, "generation": 1, "uid": "u"}, "spec": spec});
    serde_json::from_value(object).expect("an object")
}

fn pool(name: &str) -> DynamicObject {
    let spec =
        json!({"resourceName": "amd.com/gpu", "nodeSelector": {"matchLabels": {"pool": name}}});
    object(name, spec)
}

fn class(name: &str, pools: &[&str]) -> DynamicObject {
    let pools: Vec<Value> = pools.iter().map(|pool| json!({"name": pool})).collect();
    object(name, json!({"pools": pools}))
}

fn compiled(pools: &[DynamicObject], classes: &[DynamicObject]) -> Compiled {
    compile_each(pools, classes, &Settings::default())
}

fn fleet(compiled: &Compiled, nodes: &[Value], pods: &[Value]) -> Fleet {
    let fleet = Fleet::new(Arc::clone(&compiled.table)).with_pod_names();
    listed(fleet, nodes, pods)
}

fn node(name: &str, pool: &str, gpus: u32) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"pool": pool}},
        "status": {"allocatable": {"amd.com/gpu": gpus.to_string()}, "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn pod(name: &str, node: Option<&str>, gpus: u32) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "ai", "uid": name, "labels": {"berth.dev/workload-class": "c"}},
        "spec": {"nodeName": node, "containers": [{"resources": {"requests": {"amd.com/gpu": gpus.to_string()}}}]},
    })
}

fn board(compiled: &Compiled, fleet: &Fleet) -> Board {
    Board::of(Known {
        table: &compiled.table,
        compiled: Some(compiled),
        fleet: Some(fleet),
    })
}

/// A cell in a few characters.
fn drawn(cell: &Cell) -> String {
    let of = |pod: &Option<Arc<crate::fleet::PodName>>| {
        pod.as_ref().map_or("?".to_owned(), ToString::to_string)
    };
    match cell {
        Cell::Free => "free".to_owned(),
        Cell::Closed => "closed".to_owned(),
        Cell::Kept => "kept".to_owned(),
        Cell::Taken(pod) => of(pod),
        Cell::Lost(pod) => format!("lost {}", of(pod)),
    }
}

fn cells(node: &NodeRow) -> Vec<String> {
    node.cells.shown.iter().map(drawn).collect()
}

#[test]
fn each_gpu_has_a_cell_with_who_has_it() {
    let compiled = compiled(&[pool("p")], &[class("c", &["p"])]);
    let mut cordoned = node("n3", "p", 2);
    cordoned["spec"] = json!({"unschedulable": true});
    let mut nominated = pod("favoured", None, 1);
    nominated["status"] = json!({"nominatedNodeName": "n1"});
    let nodes = [node("n2", "p", 1), node("n1", "p", 4), cordoned];
    let pods = [
        pod("b", Some("n1"), 2),
        pod("a", Some("n2"), 2),
        pod("waits", None, 3),
        nominated,
        pod("idle", Some("n1"), 0),
    ];
    let board = board(&compiled, &fleet(&compiled, &nodes, &pods));
    assert_eq!(board.gpus, Gpus::Counted);
    let row = &board.pools.shown[0];
    let drawn: Vec<_> = row.nodes.shown.iter().map(cells).collect();
    assert_eq!(drawn[0], ["ai/b", "ai/b", "kept", "free"]);
    // one of its GPUs has failed
    assert_eq!(drawn[1], ["ai/a", "lost ai/a"]);
    assert_eq!(drawn[2], ["closed", "closed"]);
    assert_eq!(row.nodes.shown[2].state, NodeState::Cordoned);
    let waiting = row.waiting.shown.iter();
    let waiting: Vec<_> = waiting
        .map(|it| (it.pod.as_ref().expect("a name").to_string(), it.gpus))
        .collect();
    assert_eq!(
        waiting,
        [("ai/favoured".to_owned(), 1), ("ai/waits".to_owned(), 3)]
    );
    assert_eq!(row.gpus.expect("counted").waiting, 4);
    let class = &board.classes.shown[0];
    assert_eq!(class.steps[0].pools[0].free, Some((0, 5)));
    assert_eq!(class.pods.expect("counted").running, 3);
}

#[test]
fn a_pod_that_goes_leaves_no_name() {
    let compiled = compiled(&[pool("p")], &[class("c", &["p"])]);
    let mut fleet = fleet(&compiled, &[node("n", "p", 1)], &[pod("a", Some("n"), 1)]);
    let drawn = |fleet: &Fleet| cells(&board(&compiled, fleet).pools.shown[0].nodes.shown[0]);
    assert_eq!(drawn(&fleet), ["ai/a"]);
    fleet.apply(&Change::PodGone {
        uid: "a".to_owned(),
    });
    assert_eq!(drawn(&fleet), ["free"]);
    // and who does not show them keeps none
    let mut fleet = Fleet::new(Arc::clone(&compiled.table));
    for kind in [Kind::Node, Kind::Pod] {
        fleet.apply(&Change::RelistEnds(kind));
    }
    let view: NodeView = serde_json::from_value(node("n", "p", 1)).expect("a Node");
    fleet.apply(&Change::Node(Box::new(view.seen())));
    let view: PodView = serde_json::from_value(pod("a", Some("n"), 1)).expect("a Pod");
    let seen = view
        .seen("berth.dev/workload-class", None)
        .expect("not finished");
    fleet.apply(&Change::Pod(Box::new(seen)));
    assert_eq!(drawn(&fleet), ["?"]);
}

#[test]
fn what_is_too_much_to_read_is_counted() {
    let pools: Vec<DynamicObject> = (0..10_000).map(|i| pool(&format!("p-{i:05}"))).collect();
    let compiled = compiled(&pools, &[class("c", &["p-00000"])]);
    let nodes = [
        node("n", "p-00000", 4_000_000_000),
        node("m", "p-00001", 3000),
    ];
    let pods: Vec<Value> = (0..40).map(|i| pod(&format!("w-{i}"), None, 1)).collect();
    let board = board(&compiled, &fleet(&compiled, &nodes, &pods));
    assert_eq!((board.pools.shown.len(), board.pools.more), (100, 9_900));
    let first = &board.pools.shown[0];
    let cells = &first.nodes.shown[0].cells;
    assert_eq!((cells.shown.len(), cells.more), (64, 3_999_999_936));
    assert_eq!((first.waiting.shown.len(), first.waiting.more), (16, 24));
    // 9,998 pools have no node
    assert_eq!((board.wrong.shown.len(), board.wrong.more), (20, 30));
}

#[test]
fn cells_are_bounded_over_all_pools() {
    let pools: Vec<DynamicObject> = (0..50).map(|i| pool(&format!("p-{i:02}"))).collect();
    let compiled = compiled(&pools, &[class("c", &["p-00"])]);
    let nodes: Vec<Value> = (0..50)
        .map(|i| node(&format!("n-{i}"), &format!("p-{i:02}"), 64))
        .collect();
    let board = board(&compiled, &fleet(&compiled, &nodes, &[]));
    let cells = board.pools.shown.iter().flat_map(|it| &it.nodes.shown);
    let cells = cells.map(|it| (it.cells.shown.len(), it.cells.more));
    let (shown, more) = cells.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    assert_eq!((shown, more), (2048, 50 * 64 - 2048));
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let bad = object("bad", json!({"resourceName": "gpu", "hostnames": ["n"]}));
    let compiled = compiled(
        &[pool("p"), pool("gone"), bad],
        &[class("c", &["p"]), class("d", &["bad"])],
    );
    let mut unready = node("n", "p", 1);
    unready["status"]["conditions"][0]["status"] = json!("Unknown");
    let fleet = fleet(&compiled, &[unready, node("m", "p", 1)], &[]);
    let board = board(&compiled, &fleet);
    let said = board.wrong.shown.iter();
    let said: Vec<_> = said
        .map(|it| {
            let hint = it.hint.as_ref().map(crate::check::Hint::text);
            (&*it.what, it.is_failure, hint.unwrap_or_default())
        })
        .collect();
    assert_eq!(
        said,
        [
            ("GPUPool bad is in the table", true, ""),
            ("WorkloadClass d is in the table", true, ""),
            (
                "gone: its Nodes are there",
                true,
                "kubectl label node m n pool=gone --overwrite"
            ),
            ("p: its Nodes take Pods", false, "kubectl describe node n"),
        ]
    );
    let ready = board.pools.shown.iter().filter_map(|it| it.ready.as_ref());
    let ready: Vec<_> = ready.map(|it| it.reason).collect();
    assert_eq!(ready, ["NoNodes", "Ready"]);
    assert!(board.classes.shown[1].not_ready.is_some());
}

#[test]
fn before_all_is_listed_and_with_a_table_of_files_nothing_is_counted() {
    let compiled = compiled(&[pool("p")], &[class("c", &["p"])]);
    let fleet = Fleet::new(Arc::clone(&compiled.table));
    let board = board(&compiled, &fleet);
    assert_eq!(board.gpus, Gpus::BeingListed);
    assert_eq!(board.pools.shown[0].gpus, None);
    let table = testing::table(&[
        testing::pool("p", json!({})),
        testing::class("c", &["p"], json!({})),
    ]);
    let board = Board::of(Known {
        table: &table,
        compiled: None,
        fleet: None,
    });
    assert_eq!(board.gpus, Gpus::Unknown);
    assert_eq!((board.pools.len(), board.classes.len()), (1, 1));
    assert!(board.wrong.is_empty());
    assert!(board.pools.shown[0].ready.is_none());
}

#[test]
fn pools_between_which_the_scheduler_chooses_are_one_step() {
    let other = object(
        "b",
        json!({"resourceName": "nvidia.com/gpu", "hostnames": ["n"]}),
    );
    let compiled = compiled(
        &[pool("a"), other, pool("c")],
        &[class("k", &["a", "b", "c"])],
    );
    let board = board(&compiled, &fleet(&compiled, &[], &[]));
    let steps = board.classes.shown[0].steps.iter();
    let steps: Vec<Vec<&str>> = steps
        .map(|step| step.pools.iter().map(|it| it.name.as_str()).collect())
        .collect();
    assert_eq!(steps, [vec!["a", "c"], vec!["b"]]);
}

#[test]
fn a_decision_is_kept_where_it_is_about_a_class() {
    let view = testing::one_pool();
    let decided = |pod: &Value| {
        let body = review_of(pod).to_string();
        let answer = review(body.as_bytes(), &view).expect("readable");
        let of = |older| Decided::of(&answer, Timestamp::UNIX_EPOCH, older);
        let anew = Decided::is_kept(answer.decision.reason).then(|| of(None));
        let older = Decided {
            namespace: "a-longer-one".to_owned(),
            name: "older".to_owned(),
            class: Some("older".to_owned()),
            pools: Some("older".to_owned()),
            message: Some("older".to_owned()),
            ..of(None)
        };
        assert!(anew.is_none() || anew == Some(of(Some(older))));
        anew
    };
    let mut pod = testing::pod(json!({}));
    let placed = decided(&pod).expect("kept");
    assert_eq!(
        (placed.reason, placed.ending()),
        (Reason::Placed, Ending::Placed)
    );
    assert_eq!(placed.pools.as_deref(), Some("p"));
    assert_eq!((&*placed.namespace, &*placed.name), ("ai", "x"));
    pod["metadata"]["labels"]["berth.dev/workload-class"] = json!("nope");
    let denied = decided(&pod).expect("kept");
    assert_eq!(denied.ending(), Ending::Denied);
    assert!(denied.message.expect("one").contains("nope"));
    pod["metadata"]["labels"] = json!({"berth.dev/inject": "disabled"});
    assert_eq!(decided(&pod).map(|it| it.ending()), Some(Ending::LeftAlone));
    pod["metadata"]["labels"] = json!({});
    assert_eq!(decided(&pod), None);
}
