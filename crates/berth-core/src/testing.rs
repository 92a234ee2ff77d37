//! What the tables of cases beside the rules share: a Pod goes in, the Pod after admission or the denial comes out.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    manifest::{Document, Manifest},
    outcome::Reason,
    review::review,
    table::{AllocationTable, LivePicture, Settings, compile},
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
    let object = json!({"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
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

/// One class `c` of one pool `p`: node `p-node`, AMD, no taint.
pub fn one_pool() -> AllocationTable {
    table(&[pool("p", json!({})), class("c", &["p"], json!({}))])
}

/// A table with a live picture of free GPUs by pool.
pub fn with_free(table: AllocationTable, free: &[(&str, u64)]) -> AllocationTable {
    table.with_live(LivePicture::new(
        free.iter().map(|(pool, free)| ((*pool).to_owned(), *free)),
    ))
}

/// A Pod of class `c` with one container `main` and the spec's fields given.
pub fn pod(spec: Value) -> Value {
    let full = json!({"containers": [{"name": "main", "resources": {}}]});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "x", "namespace": NAMESPACE, "labels": {"berth.dev/workload-class": "c"}},
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
pub fn admit(table: &AllocationTable, pod: &Value) -> Result<Admitted, (Reason, String)> {
    let admitted = admit_once(table, pod)?;
    let again = admit_once(table, &admitted.pod).expect("the result is admitted again");
    assert_eq!(
        again.patch,
        Vec::<Value>::new(),
        "the result is patched again: {:#}",
        admitted.pod
    );
    Ok(admitted)
}

fn admit_once(table: &AllocationTable, pod: &Value) -> Result<Admitted, (Reason, String)> {
    let body = review_of(pod).to_string();
    let answer = review(body.as_bytes(), table).expect("the review is readable");
    let record = answer.record;
    if let Some(message) = record.message {
        return Err((record.reason, message));
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
    let warnings = record.warnings.iter().map(ToString::to_string).collect();
    Ok(Admitted {
        pod,
        reason: record.reason,
        pool: record.pool.map(str::to_owned),
        patch,
        warnings,
    })
}
