//! Reviews and tables for the benchmarks, made up by size and shape.
#![allow(
    clippy::missing_panics_doc,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each benchmark uses a part of it"
)]

use std::sync::Arc;

use berth_core::{
    manifest::{Document, Manifest},
    review::{Answer, Error, review},
    table::{AllocationTable, Settings, compile},
    view::View,
};
use serde_json::{Value, json};

pub mod chart;
pub mod cluster;
pub mod growth;

/// A review, and what berth must say to it.
pub struct Case {
    pub name: String,
    pub body: Vec<u8>,
    pub view: View,
    pub reason: &'static str,
}

impl Case {
    /// Answers the review, and holds what is said against what must be.
    pub fn said(&self) -> Result<Answer<'_>, Error> {
        let said = review(&self.body, &self.view);
        let reason = match &said {
            Ok(answer) => answer.decision.reason,
            Err(error) => error.reason(),
        };
        assert_eq!(reason.as_str(), self.reason, "{}", self.name);
        said
    }

    /// The answer to a review that has one.
    pub fn answer(&self) -> Answer<'_> {
        self.said().expect("a review")
    }
}

/// Makes a case when it is its turn: a table of 10,000 classes is not for every run.
pub type Make = Box<dyn Fn() -> Case>;

/// Every case, in groups.
pub fn groups() -> Vec<(&'static str, Vec<(&'static str, Make)>)> {
    let usual = Shape::default;
    vec![
        (
            "size",
            vec![
                sized("2.6KB", 2_600),
                sized("5.5KB", 5_500),
                sized("50KB", 50_000),
                sized("1MB", 1_000_000),
                sized("9MB", 9_000_000),
            ],
        ),
        (
            "answer",
            vec![
                sized("placed", 5_500),
                ("in-place", Box::new(|| in_place("in-place"))),
                ("denied", Box::new(|| denied("denied"))),
                ("no-class", Box::new(|| unlabelled("no-class"))),
            ],
        ),
        (
            "classes",
            vec![
                sized("10", 5_500),
                shaped(
                    "10000",
                    Shape {
                        classes: 10_000,
                        ..usual()
                    },
                ),
            ],
        ),
        (
            "terms",
            vec![
                sized("0", 5_500),
                shaped(
                    "1",
                    Shape {
                        terms: 1,
                        ..usual()
                    },
                ),
                shaped(
                    "64",
                    Shape {
                        terms: 64,
                        ..usual()
                    },
                ),
            ],
        ),
        (
            "containers",
            vec![
                sized("1", 5_500),
                shaped(
                    "50",
                    Shape {
                        containers: 50,
                        bytes: 0,
                        ..usual()
                    },
                ),
            ],
        ),
        (
            "live",
            vec![
                ("off", Box::new(|| two_vendors("off", false))),
                ("on", Box::new(|| two_vendors("on", true))),
            ],
        ),
        (
            "hostile",
            vec![
                hostile("150000-values", "PodTooLarge", || values(150_000)),
                hostile("30000-values", "PlacementContradiction", || values(30_000)),
                hostile("30000-terms", "TooManyTerms", || terms(30_000)),
                hostile("1000-terms", "PlacementContradiction", || terms(1_000)),
                unread("10MB-of-escapes", "BodyTooLarge", escapes),
                unread("10MB-of-values", "BodyTooLarge", || list("\"\"")),
                unread("10MB-of-keys", "BodyTooLarge", || keys("\"\\n\":1")),
            ],
        ),
    ]
}

fn sized(name: &'static str, bytes: usize) -> (&'static str, Make) {
    shaped(
        name,
        Shape {
            bytes,
            ..Shape::default()
        },
    )
}

fn shaped(name: &'static str, shape: Shape) -> (&'static str, Make) {
    (name, Box::new(move || case(name, &shape)))
}

/// A Pod that means harm: many values of the label by which a pool of 1,000 nodes is selected, or many terms of it.
fn hostile(name: &'static str, reason: &'static str, terms: fn() -> Value) -> (&'static str, Make) {
    let make = move || {
        let mut review: Value =
            serde_json::from_str(&request(&Shape::default(), "class-0")).expect("JSON");
        review["request"]["object"]["spec"]["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms()}}});
        Case {
            name: name.to_owned(),
            body: review.to_string().into_bytes(),
            view: compiled(&numbered(pair(0, 1_000).into_iter())),
            reason,
        }
    };
    (name, Box::new(make))
}

/// A Pod of as many bytes as a body may have by default, most of which no rule reads.
fn unread(name: &'static str, reason: &'static str, part: fn() -> String) -> (&'static str, Make) {
    let make = move || {
        let review = request(&Shape::default(), "class-0");
        let begin = "\"spec\":{";
        assert_eq!(review.matches(begin).count(), 1, "the Pod's");
        let body = review.replace(begin, &format!("{begin}{},", part()));
        Case {
            name: name.to_owned(),
            body: body.into_bytes(),
            view: compiled(&numbered(pair(0, 1_000).into_iter())),
            reason,
        }
    };
    (name, Box::new(make))
}

/// What leaves some room for the rest of a body of 10 MiB.
const MOST_UNREAD: usize = 10_000_000;

/// A string of escapes, each of which is followed by another character.
fn escapes() -> String {
    let each = r"\na";
    format!("\"unread\":\"{}\"", each.repeat(MOST_UNREAD / each.len()))
}

/// A list of one value.
fn list(value: &str) -> String {
    let count = MOST_UNREAD / (value.len() + 1);
    format!("\"unread\":[{}]", vec![value; count].join(","))
}

/// One field, again and again.
fn keys(field: &str) -> String {
    vec![field; MOST_UNREAD / (field.len() + 1)].join(",")
}

/// One term that allows so many nodes, none of them the pool's.
fn values(count: usize) -> Value {
    let nodes: Vec<String> = (0..count).map(|i| format!("node-x{i}")).collect();
    json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": nodes}]}])
}

/// So many terms that exclude every node of the pool.
fn terms(count: usize) -> Value {
    let term = json!({"matchExpressions": [
        {"key": "kubernetes.io/hostname", "operator": "Gt", "values": ["1"]},
        {"key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["node-0"]},
    ]});
    Value::Array(vec![term; count])
}

struct Shape {
    bytes: usize,
    classes: usize,
    terms: usize,
    containers: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            bytes: 5_500,
            classes: 10,
            terms: 0,
            containers: 1,
        }
    }
}

fn case(name: &str, shape: &Shape) -> Case {
    let body = request(shape, "class-7").into_bytes();
    Case {
        name: name.to_owned(),
        body,
        view: view(shape.classes),
        reason: "Placed",
    }
}

fn in_place(name: &str) -> Case {
    let mut case = case(name, &Shape::default());
    let answer = case.answer();
    let response: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let patch = response["response"]["patch"].as_str().expect("a patch");
    let patch =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, patch).expect("base64");
    let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a patch");
    let mut review: Value = serde_json::from_slice(&case.body).expect("JSON");
    json_patch::patch(&mut review["request"]["object"], &patch).expect("it applies");
    case.body = review.to_string().into_bytes();
    case.reason = "InPlace";
    case
}

fn denied(name: &str) -> Case {
    let body = request(&Shape::default(), "class-x").into_bytes();
    Case {
        body,
        reason: "ClassUnavailable",
        ..case(name, &Shape::default())
    }
}

fn unlabelled(name: &str) -> Case {
    let body = request(&Shape::default(), "class-7")
        .replace("berth.dev/workload-class", "example.com/workload-class");
    Case {
        body: body.into_bytes(),
        reason: "NoClass",
        ..case(name, &Shape::default())
    }
}

/// A class with a pool of each of two vendors, and a cluster of 2,000 Nodes whose GPUs are counted, or nothing known.
fn two_vendors(name: &str, live: bool) -> Case {
    let view = View::from(two_pools());
    Case {
        view: if live {
            let table = Arc::clone(&view.table);
            view.with_live(Arc::new(cluster::counted(table, 2_000, 10_000)))
        } else {
            view
        },
        ..case(name, &Shape::default())
    }
}

/// The table of a class with a pool of each vendor.
pub fn two_pools() -> AllocationTable {
    let pools = cluster::VENDORS.map(|(name, resource)| {
        let spec =
            json!({"resourceName": resource, "nodeSelector": {"matchLabels": {"kind": name}}});
        Manifest::Pool(serde_json::from_value(object("GPUPool", name, spec)).expect("a pool"))
    });
    let names = cluster::VENDORS.map(|(name, _)| json!({"name": name}));
    let class = object("WorkloadClass", "class-7", json!({"pools": names}));
    let class = Manifest::Class(serde_json::from_value(class).expect("a class"));
    let (table, problems) = compile(
        &numbered(pools.into_iter().chain([class])),
        &Settings::default(),
    );
    assert!(problems.is_empty(), "{problems:?}");
    table
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// The view of a table of so many classes, each with a pool of its own.
pub fn view(classes: usize) -> View {
    compiled(&documents(classes))
}

fn compiled(documents: &[Document]) -> View {
    let (table, problems) = compile(documents, &Settings::default());
    assert!(problems.is_empty(), "{problems:?}");
    table.into()
}

/// The manifests of so many classes and pools.
pub fn documents(classes: usize) -> Vec<Document> {
    numbered((0..classes).flat_map(|i| pair(i, 1)))
}

fn numbered(manifests: impl Iterator<Item = Manifest>) -> Vec<Document> {
    let manifests = manifests.enumerate();
    manifests
        .map(|(origin, manifest)| Document { origin, manifest })
        .collect()
}

/// A class and its pool, of so many nodes.
fn pair(i: usize, nodes: usize) -> [Manifest; 2] {
    let taint = json!({"key": "dedicated", "value": format!("class-{i}"), "effect": "NoSchedule"});
    let hostnames: Vec<String> = (i..i + nodes).map(|i| format!("node-{i}")).collect();
    let pool = json!({"hostnames": hostnames, "taints": [taint], "resourceName": "amd.com/gpu"});
    let pool =
        serde_json::from_value(object("GPUPool", &format!("pool-{i}"), pool)).expect("a pool");
    let class = json!({"pools": [{"name": format!("pool-{i}")}]});
    let class = serde_json::from_value(object("WorkloadClass", &format!("class-{i}"), class))
        .expect("a class");
    [Manifest::Pool(pool), Manifest::Class(class)]
}

/// A review as kube-apiserver writes it, padded with environment variables to the size.
fn request(shape: &Shape, class: &str) -> String {
    let containers: Vec<Value> = (0..shape.containers).map(container).collect();
    let term = |i: usize| json!({"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": [format!("zone-{i}")]}]});
    let terms: Vec<Value> = (0..shape.terms).map(term).collect();
    let mut review = json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "ai", "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller", "uid": "a", "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"]},
            "object": {
                "kind": "Pod", "apiVersion": "v1",
                "metadata": {
                    "generateName": "vllm-7d4b9c6f5d-", "creationTimestamp": null,
                    "labels": {"app": "vllm", "pod-template-hash": "7d4b9c6f5d", "berth.dev/workload-class": class},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "vllm-7d4b9c6f5d", "uid": "b", "controller": true, "blockOwnerDeletion": true}],
                    "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:containers": {"k:{\"name\":\"main\"}": {".": {}, "f:image": {}}}}}}],
                },
                "spec": {
                    "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}, {"name": "shm", "emptyDir": {"medium": "Memory"}}],
                    "containers": containers, "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
                    "serviceAccountName": "default", "securityContext": {}, "schedulerName": "default-scheduler",
                    "tolerations": [
                        {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                    ],
                    "priority": 0, "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority",
                },
                "status": {},
            },
            "oldObject": null, "dryRun": false, "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    });
    if shape.containers > 1 {
        review["request"]["object"]["metadata"]["annotations"] =
            json!({"berth.dev/container": "main"});
    }
    let spec = &mut review["request"]["object"]["spec"];
    if !terms.is_empty() {
        spec["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
    }
    pad(&mut review, shape.bytes);
    review.to_string()
}

fn container(i: usize) -> Value {
    let name = if i == 0 {
        "main".to_owned()
    } else {
        format!("helper-{i}")
    };
    json!({
        "name": name, "image": "vllm/vllm-openai:v0.11.2", "args": ["--model", "Qwen/Qwen3-30B-A3B", "--port", "8000"],
        "ports": [{"containerPort": 8000, "protocol": "TCP"}],
        "resources": {"limits": {"memory": "48Gi"}, "requests": {"cpu": "4", "memory": "32Gi"}},
        "volumeMounts": [{"name": "models", "mountPath": "/models"}, {"name": "shm", "mountPath": "/dev/shm"}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8000, "scheme": "HTTP"}, "periodSeconds": 10},
        "imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
    })
}

fn pad(review: &mut Value, bytes: usize) {
    let missing = bytes.saturating_sub(review.to_string().len());
    let text = "a value of the usual length, as <charts> write it";
    // a Pod has not so many that it would be denied: those of the largest are longer
    let text = text.repeat(1 + missing / 2_000_000 * 4);
    let variable = |i: usize| json!({"name": format!("SETTING_{i:06}"), "value": text});
    let each = variable(0).to_string().len() + 1;
    let variables: Vec<Value> = (0..missing / each).map(variable).collect();
    if !variables.is_empty() {
        review["request"]["object"]["spec"]["containers"][0]["env"] = json!(variables);
    }
}
