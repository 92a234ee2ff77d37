//! Bodies as large as berth takes, each made of one list or mapping that a rule reads, as short entries as there are:
//! what is kept of them has a bound, and an answer has one, too.

use allocation_counter::measure;
use berth_core::{
    manifest::{Document, Manifest},
    review::review,
    table::{Settings, compile},
    view::View,
};
use serde_json::{Value, json};

/// What the server takes.
const BODY: usize = 10 << 20;
/// What a review may hold at its peak, its body left out.
const PEAK: u64 = 6 << 20;
/// An answer besides its patch.
const ANSWER: usize = 256 << 10;
/// A place for what is repeated.
const HERE: &str = "\"HERE\"";

/// A body around a list or a mapping: what stands there, and what is repeated in it, by number.
type Subject = (&'static str, &'static str, fn(usize) -> String);

const SUBJECTS: &[Subject] = &[
    ("/spec/tolerations", "[]", |_| "{}".to_owned()),
    ("/spec/containers", "[]", |_| "{}".to_owned()),
    ("/spec/initContainers", "[]", |_| "{}".to_owned()),
    ("/spec/containers/0/env", "[]", |_| "{}".to_owned()),
    ("/spec/containers/0/env", "[]", |_| {
        r#"{"name":"\n"}"#.to_owned()
    }),
    ("/spec/containers/0/envFrom", "[]", |_| "{}".to_owned()),
    ("/spec/containers/0/resources/claims", "[]", |_| {
        "0".to_owned()
    }),
    ("/spec/containers/0/resources/limits", "{}", |i| {
        format!("\"{i:x}\":0")
    }),
    ("/spec/containers/0/resources/requests", "{}", |i| {
        format!("\"nvidia.com/{i:x}\":1")
    }),
    ("/metadata/labels", "{}", |i| format!("\"{i:x}\":\"\"")),
    ("/metadata/labels", "{}", |i| {
        format!("\"berth.dev/{i:x}\":\"\"")
    }),
    ("/metadata/labels", "{}", |i| {
        format!("\"\\n{i:x}\":\"\\t\"")
    }),
    ("/metadata/annotations", "{}", |i| format!("\"{i:x}\":\"\"")),
    ("/metadata/annotations", "{}", |i| {
        format!("\"berth.dev/\\n{i:x}\":\"\"")
    }),
    ("/metadata/ownerReferences", "[]", |_| "{}".to_owned()),
    ("/spec/nodeSelector", "{}", |i| format!("\"{i:x}\":\"\"")),
    (TERMS, "[]", |_| "{}".to_owned()),
    (TERMS, "[]", |_| r#"{"matchExpressions":[{}]}"#.to_owned()),
    (PREFERRED, "[]", |_| "{}".to_owned()),
    (PREFERRED, "[]", |_| r#"{"preference":{}}"#.to_owned()),
    (EXPRESSIONS, "[]", |_| "{}".to_owned()),
    (EXPRESSIONS, "[]", |_| {
        r#"{"key":"kubernetes.io/hostname","operator":"Gt","values":["1"]}"#.to_owned()
    }),
    (FIELDS, "[]", |_| "{}".to_owned()),
    (VALUES, "[]", |_| "\"\"".to_owned()),
    (VALUES, "[]", |i| format!("\"node-{}\"", i % 1_000)),
    (VALUES, "[]", |_| r#""\n""#.to_owned()),
];

const TERMS: &str =
    "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
const PREFERRED: &str =
    "/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution";
const EXPRESSIONS: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchExpressions";
const FIELDS: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields";
const VALUES: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchExpressions/0/values";

/// A class of two pools of a thousand nodes each, with tolerations, environment and a preference.
fn thousands() -> View {
    let nodes: Vec<String> = (0..1_000).map(|i| format!("node-{i}")).collect();
    let zone = json!({"key": "zone", "operator": "In", "values": ["a", "b"]});
    let more = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": nodes});
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let env = json!([{"name": "A", "value": "b"}]);
    let p = json!({"resourceName": "amd.com/gpu", "hostnames": nodes, "taints": [{"key": "gpu", "effect": "NoSchedule"}], "env": env});
    let q = json!({"resourceName": "amd.com/gpu", "nodeSelector": {"matchExpressions": [more, zone]}, "env": env});
    let pool = |name: &str, spec: Value| {
        Manifest::Pool(serde_json::from_value(object("GPUPool", name, spec)).expect("a pool"))
    };
    let class = json!({"pools": [{"name": "p"}, {"name": "q"}]});
    let class = serde_json::from_value(object("WorkloadClass", "c", class)).expect("a class");
    let manifests = [pool("p", p), pool("q", q), Manifest::Class(class)];
    let documents: Vec<Document> = manifests
        .into_iter()
        .map(|manifest| Document {
            origin: 0,
            manifest,
        })
        .collect();
    let (table, problems) = compile(&documents, &Settings::default());
    assert!(problems.is_empty(), "{problems:?}");
    table.into()
}

/// A Pod of the class with everything that a subject may stand in.
fn around() -> Value {
    let term = json!({"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}]});
    json!({
        "metadata": {"labels": {"berth.dev/workload-class": "c"}, "annotations": {}, "ownerReferences": []},
        "spec": {
            "containers": [{"name": "main", "env": [], "resources": {"limits": {}, "requests": {}}}],
            "affinity": {"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]},
            }},
        }
    })
}

/// The review of such a Pod, of so many bytes. What is repeated comes last in its mapping, after the class.
fn body(place: &str, brackets: &str, one: fn(usize) -> String, bytes: usize) -> Vec<u8> {
    let mut pod = around();
    set(&mut pod, place);
    // as kube-apiserver writes it, with the object behind what it is
    let text = format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u-1","resource":{{"group":"","version":"v1","resource":"pods"}},"namespace":"ai","operation":"CREATE","object":{pod}}}}}"#
    );
    let (before, after) = text.split_once(HERE).expect("the place");
    let (open, close) = brackets.split_at(1);
    let mut body = format!("{before}{open}");
    let class = r#""berth.dev/workload-class":"c","#;
    if place == "/metadata/labels" {
        body.push_str(class);
    }
    let room = bytes - body.len() - close.len() - after.len();
    fill(&mut body, one, room);
    body.push_str(close);
    body.push_str(after);
    body.into_bytes()
}

/// Writes entries with commas between them, as many as there is room for.
fn fill(body: &mut String, one: fn(usize) -> String, room: usize) {
    let first = one(0) + ",";
    if one(0) == one(1) {
        body.push_str(&first.repeat(room / first.len()));
    } else {
        let end = body.len() + room;
        for entry in (0..).map(one) {
            if body.len() + entry.len() >= end {
                break;
            }
            body.push_str(&entry);
            body.push(',');
        }
    }
    body.pop();
}

/// Puts the place's mark at a JSON Pointer, whose parent is there.
fn set(pod: &mut Value, place: &str) {
    let (parent, key) = place.rsplit_once('/').expect("a pointer");
    let parent = pod.pointer_mut(parent).expect("a parent");
    parent[key] = json!("HERE");
}

#[test]
fn a_body_of_every_list_is_answered_within_its_bounds() {
    hold(BODY);
}

#[test]
fn a_pod_that_is_as_large_as_may_be_is_answered_within_its_bounds() {
    for bytes in [60 << 10, 250 << 10, 900 << 10] {
        hold(bytes);
    }
}

/// Answers a body of so many bytes for every subject.
fn hold(bytes: usize) {
    let view = thousands();
    let (mut wrong, mut largest) = (Vec::new(), 0);
    for (place, brackets, one) in SUBJECTS {
        let body = body(place, brackets, *one, bytes);
        let mut answered = None;
        let measured = measure(|| answered = review(&body, &view).ok());
        let answered = answered.expect("a review");
        let (reason, answer) = (answered.decision.reason, without_patch(&answered.body));
        largest = largest.max(measured.bytes_max);
        if measured.bytes_max > PEAK || answer > ANSWER {
            let (entry, peak) = (one(0), measured.bytes_max >> 10);
            wrong.push(format!(
                "{place} {entry} within {bytes}: {reason}, {peak} KiB, an answer of {answer}"
            ));
        }
    }
    println!("{bytes}: {} KiB at most", largest >> 10);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The bytes of an answer besides its patch.
fn without_patch(answer: &[u8]) -> usize {
    let response: Value = serde_json::from_slice(answer).expect("JSON");
    let patch = response["response"]["patch"].as_str();
    answer.len() - patch.map_or(0, str::len)
}
