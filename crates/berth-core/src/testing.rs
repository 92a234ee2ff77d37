//! What the tables of cases beside the rules share: a Pod goes in, the Pod after admission or the denial comes out.
#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::unwrap_used,
    reason = "it is for tests, which fail by a panic"
)]

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    fleet::{Change, Fleet, Kind, NodeView, PodView},
    labels::Labels,
    live::{Choice, Live, Plan, Room, Wish},
    manifest::{Document, Manifest},
    names::{CLASS_LABEL, GROUP, VERSION},
    outcome::Reason,
    placement::{Terms, Way},
    review::review,
    table::{AllocationTable, Settings, compile},
    view::View,
};

/// The namespace of every Pod here.
pub const NAMESPACE: &str = "ai";

/// A Pod after admission.
#[derive(Debug)]
pub struct Admitted {
    /// The Pod with the patch applied.
    pub pod: Value,
    /// What the review came to.
    pub reason: Reason,
    /// The chosen pools, joined by commas.
    pub pool: Option<String>,
    /// The patch's operations.
    pub patch: Vec<Value>,
    /// The warnings as they are worded.
    pub warnings: Vec<String>,
    /// By which way of rule 13 the container was found.
    pub way: Option<Way>,
    /// What was done to the required terms.
    pub terms: Option<Terms>,
}

/// A pool whose spec has the fields given, and a hostname and AMD's resource where they say nothing else.
pub fn pool(name: &str, spec: Value) -> Document {
    let mut full = json!({"resourceName": "amd.com/gpu"});
    if spec.get("nodeSelector").is_none() {
        full["hostnames"] = json!([format!("{name}-node")]);
    }
    document("GPUPool", name, merged(full, spec))
}

/// A class of the pools given, with further fields.
pub fn class(name: &str, pools: &[&str], spec: Value) -> Document {
    let pools: Vec<Value> = pools.iter().map(|pool| json!({"name": pool})).collect();
    document("WorkloadClass", name, merged(json!({"pools": pools}), spec))
}

fn document(kind: &str, name: &str, spec: Value) -> Document {
    let object = json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind, "metadata": {"name": name}, "spec": spec});
    let manifest = match kind {
        "GPUPool" => Manifest::Pool(serde_json::from_value(object).unwrap()),
        _ => Manifest::Class(serde_json::from_value(object).unwrap()),
    };
    Document {
        origin: 0,
        manifest,
    }
}

fn merged(mut full: Value, spec: Value) -> Value {
    full.as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    full
}

/// The table of the documents, which must have no problem.
pub fn table(documents: &[Document]) -> AllocationTable {
    let (table, problems) = compile(documents, &Settings::default());
    assert!(problems.is_empty(), "{problems:?}");
    table
}

/// The view of a table of the documents, as files know it.
pub fn view(documents: &[Document]) -> View {
    table(documents).into()
}

/// A fleet that has listed these Nodes and Pods.
pub fn listed(mut fleet: Fleet, nodes: &[Value], pods: &[Value]) -> Fleet {
    for kind in [Kind::Node, Kind::Pod] {
        fleet.apply(&Change::RelistBegins(kind));
        fleet.apply(&Change::RelistEnds(kind));
    }
    for node in nodes {
        let node: NodeView = serde_json::from_value(node.clone()).unwrap();
        fleet.apply(&Change::Node(Box::new(node.seen())));
    }
    for pod in pods {
        let pod: PodView = serde_json::from_value(pod.clone()).unwrap();
        let seen = pod.seen(CLASS_LABEL, None).expect("not finished");
        fleet.apply(&Change::Pod(Box::new(seen)));
    }
    fleet
}

/// One class `c` of one pool `p`: node `p-node`, AMD, no taint.
pub fn one_pool() -> View {
    view(&[pool("p", json!({})), class("c", &["p"], json!({}))])
}

/// A picture that says what the test says.
#[derive(Debug, Default)]
pub struct Said {
    /// Free GPUs by pool, of which the best of a group counts; of others nothing is known.
    pub free: BTreeMap<String, u64>,
    /// The labels of the Nodes.
    pub nodes: BTreeMap<String, Labels>,
}

impl Live for Said {
    fn choose(&self, wish: &Wish<'_>) -> Choice {
        let of_pool = |pool: &String, gpus: u64| match self.free.get(pool) {
            None => Room::Unknown,
            Some(free) if *free >= gpus => Room::Enough,
            Some(_) => Room::None,
        };
        Choice::between(wish.plans, |plan: &Plan<'_>| {
            let mut rooms = plan.group.pools.iter().map(|pool| of_pool(pool, plan.gpus));
            rooms.find(|room| *room != Room::None).unwrap_or(Room::None)
        })
    }

    fn node(&self, name: &str) -> Option<Labels> {
        self.nodes.get(name).cloned()
    }
}

/// A view with counts of free GPUs by pool.
pub fn with_free(view: View, free: &[(&str, u64)]) -> View {
    let free = free.iter().map(|(pool, free)| ((*pool).to_owned(), *free));
    view.with_live(Arc::new(Said {
        free: free.collect(),
        ..Said::default()
    }))
}

/// A Pod of class `c` with one container `main` and the spec's fields given.
pub fn pod(spec: Value) -> Value {
    let full = json!({"containers": [{"name": "main", "resources": {}}]});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "x", "namespace": NAMESPACE, "labels": {CLASS_LABEL: "c"}},
        "spec": merged(full, spec),
    })
}

/// The review of a Pod's creation.
pub fn review_of(pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "operation": "CREATE", "namespace": NAMESPACE, "name": "x",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "object": pod,
        }
    })
}

/// The Pod after admission, or the denial's reason and message. Checks laws 1 and 2 on the way.
pub fn admit(view: &View, pod: &Value) -> Result<Admitted, (Reason, String)> {
    let admitted = admit_once(view, pod)?;
    let again = admit_once(view, &admitted.pod).expect("the result is admitted again");
    assert_eq!(
        again.patch,
        Vec::<Value>::new(),
        "the result is patched again: {:#}",
        admitted.pod
    );
    Ok(admitted)
}

fn admit_once(view: &View, pod: &Value) -> Result<Admitted, (Reason, String)> {
    let body = review_of(pod).to_string();
    let answer = review(body.as_bytes(), view).expect("the review is readable");
    let decision = answer.decision;
    let warnings = answer.warnings;
    let pool = decision.pool().map(str::to_owned);
    let placement = decision.placement.as_ref();
    let way = placement.and_then(|it| it.target).map(|target| target.way);
    let terms = placement.map(|it| it.affinity.terms.clone());
    if let Some(message) = decision.message {
        return Err((decision.reason, message));
    }
    let response: Value = serde_json::from_slice(&answer.body).expect("the response is JSON");
    let patch = response["response"]["patch"]
        .as_str()
        .map(|patch| STANDARD.decode(patch).expect("base64"));
    let patch: Vec<Value> = patch.map_or_else(Vec::new, |patch| {
        serde_json::from_slice(&patch).expect("JSON")
    });
    let mut pod = pod.clone();
    let operations: json_patch::Patch = serde_json::from_value(json!(patch)).expect("a JSON Patch");
    json_patch::patch(&mut pod, &operations).expect("the patch applies");
    Ok(Admitted {
        pod,
        reason: decision.reason,
        pool,
        patch,
        warnings: warnings.iter().map(ToString::to_string).collect(),
        way,
        terms,
    })
}
