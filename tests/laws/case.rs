//! A case: a table, namespaces, Nodes, a review of a Pod's creation, and two pictures of what is free; and what berth makes of it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use berth_core::{
    labels::{Labels, Namespaces},
    outcome::{Reason, Warning},
    review::review,
    table::{Settings, compile},
    validate::NamespaceLabels,
    view::View,
};
use proptest::prelude::{Strategy, any};
use serde_json::{Value, json};

use crate::{
    draw::Draw,
    json_text::Style,
    live::{Free, Picture},
    nodes,
    pod::{pod, unknown},
    table::Table,
    words::LABELS,
};

/// So many choices at most.
const CHOICES: usize = 900;

/// One case.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) table: Table,
    pub(crate) pod: Value,
    /// The request without its object.
    pub(crate) request: Value,
    /// What is known of the pools, on the first pass and on the second.
    pub(crate) free: [BTreeMap<String, Free>; 2],
    /// The labels of the namespaces that are known.
    pub(crate) namespaces: Vec<(String, Labels)>,
    /// The labels of the Nodes that are known.
    pub(crate) nodes: Vec<(String, Labels)>,
    pub(crate) style: Style,
    /// Another order of the documents.
    pub(crate) rotation: usize,
}

/// What berth answers.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) reason: Reason,
    /// The chosen pools.
    pub(crate) pools: Vec<String>,
    pub(crate) message: Option<String>,
    pub(crate) patch: Option<Value>,
    /// The Pod after the patch.
    pub(crate) result: Value,
    /// The response's bytes.
    pub(crate) body: Vec<u8>,
    /// The words of the warnings.
    pub(crate) warnings: Vec<&'static str>,
}

/// Every case, as proptest draws and shrinks it.
pub(crate) fn cases() -> impl Strategy<Value = Case> {
    proptest::collection::vec(any::<u16>(), 0..=CHOICES)
        .prop_map(|choices| Case::draw(&mut Draw::new(&choices)))
}

impl Case {
    fn draw(draw: &mut Draw<'_>) -> Self {
        let style = if draw.percent(60) { draw.number() } else { 0 };
        let rotation = draw.below(8);
        let table = Table::draw(draw);
        let free = [free(draw, &table), free(draw, &table)];
        let request = request(draw);
        let pod = pod(draw, &table);
        let namespaces = ["ai", "lab"].map(|name| (name.to_owned(), team(draw)));
        let nodes = known_nodes(draw);
        Self {
            table,
            pod,
            request,
            free,
            namespaces: namespaces.into(),
            nodes,
            style: Style::new(style),
            rotation,
        }
    }

    /// The view of the first pass (0) or the second (1).
    pub(crate) fn view(&self, pass: usize) -> View {
        self.view_of(0, self.free[pass].clone())
    }

    /// The same with the pools of one group for the class, and no others.
    pub(crate) fn only(&self, group: &[&Value]) -> Self {
        let mut case = self.clone();
        let name = self.class().to_owned();
        let pools = group
            .iter()
            .map(|pool| json!({"name": pool["metadata"]["name"]}));
        let pools: Vec<Value> = pools.collect();
        for class in &mut case.table.classes {
            if class["metadata"]["name"] == name.as_str() {
                class["spec"]["pools"] = pools.clone().into();
            }
        }
        case
    }

    /// The view in which that is known of the pools, its table from the documents in another order.
    pub(crate) fn view_of(&self, first: usize, free: BTreeMap<String, Free>) -> View {
        let settings = Settings {
            namespaces: NamespaceLabels::All,
            ..Settings::default()
        };
        let (table, problems) = compile(&self.table.documents(first), &settings);
        assert!(problems.is_empty(), "the generator made {problems:?}");
        View::from(table)
            .with_namespaces(Namespaces::new(self.namespaces.clone()))
            .with_live(Arc::new(Picture {
                free,
                nodes: self.nodes.iter().cloned().collect(),
            }))
    }

    /// The review's bytes.
    pub(crate) fn body(&self) -> Vec<u8> {
        self.body_of(&self.pod, self.style)
    }

    /// The review of another Pod in a style.
    pub(crate) fn body_of(&self, pod: &Value, style: Style) -> Vec<u8> {
        let mut request = self.request.clone();
        request["object"] = pod.clone();
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        style.write(&review).into_bytes()
    }

    /// The class that the Pod names, or that most Pods do.
    pub(crate) fn class(&self) -> &str {
        let name = self
            .pod
            .pointer("/metadata/labels/berth.dev~1workload-class");
        let known = |name: &&str| *name == "d";
        name.and_then(Value::as_str).filter(known).unwrap_or("c")
    }

    /// The nodes that the Pod may run on: where `nodeName` names one that is known, those with its labels.
    pub(crate) fn nodes_of_pod(&self, pod: &Value) -> nodes::Nodes {
        let name = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        let known = self.nodes.iter().find(|(known, _)| known == name);
        known.map_or_else(
            || nodes::of_pod(pod),
            |(_, labels)| nodes::of_labels(labels),
        )
    }

    /// The first pass, of the plain text.
    pub(crate) fn admit_plain(&self) -> Admission {
        admit(&self.body_of(&self.pod, Style::new(0)), &self.view(0))
    }

    /// The first pass.
    pub(crate) fn admit(&self) -> Admission {
        admit(&self.body(), &self.view(0))
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for document in self.table.pools.iter().chain(&self.table.classes) {
            writeln!(f, "{document}")?;
        }
        writeln!(
            f,
            "free: {:?}\nnamespaces: {:?}\nnodes: {:?}\nrequest: {}\nPod: {:#}",
            self.free, self.namespaces, self.nodes, self.request, self.pod
        )?;
        write!(f, "body: {}", String::from_utf8_lossy(&self.body()))
    }
}

impl Admission {
    pub(crate) fn is_allowed(&self) -> bool {
        self.message.is_none()
    }

    /// The response.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether berth chose a place.
    pub(crate) fn is_placed(&self) -> bool {
        matches!(self.reason, Reason::Placed | Reason::InPlace)
    }
}

/// Admits the review's Pod as kube-apiserver does: the patch is applied to the object received.
pub(crate) fn admit(body: &[u8], view: &View) -> Admission {
    let answer = review(body, view).expect("the review is readable");
    let response: Value = serde_json::from_slice(&answer.body).expect("the response is JSON");
    let patch = patch_of(&response);
    let review: Value = serde_json::from_slice(body).expect("the review is JSON");
    let mut result = review["request"]["object"].clone();
    if let Some(patch) = &patch {
        apply(&mut result, patch);
    }
    let decision = answer.decision;
    let pools = decision.pool().unwrap_or_default().split(',');
    Admission {
        reason: decision.reason,
        pools: pools
            .filter(|pool| !pool.is_empty())
            .map(str::to_owned)
            .collect(),
        warnings: answer.warnings.iter().map(Warning::as_str).collect(),
        message: decision.message,
        patch,
        result,
        body: answer.body,
    }
}

/// The patch of a response, decoded.
pub(crate) fn patch_of(response: &Value) -> Option<Value> {
    let patch = response["response"].get("patch")?;
    let patch = STANDARD
        .decode(patch.as_str().expect("the patch is text"))
        .expect("the patch is base64");
    Some(serde_json::from_slice(&patch).expect("the patch is JSON"))
}

/// Applies a patch that must apply (law 1).
pub(crate) fn apply(pod: &mut Value, patch: &Value) {
    let operations: json_patch::Patch =
        serde_json::from_value(patch.clone()).expect("the patch is a JSON Patch");
    json_patch::patch(pod, &operations).expect("the patch applies");
}

fn free(draw: &mut Draw<'_>, table: &Table) -> BTreeMap<String, Free> {
    let names = table.pools.iter();
    let names = names.map(|pool| pool["metadata"]["name"].as_str().unwrap_or_default());
    let known = names.filter_map(|name| Some((name.to_owned(), Free::draw(draw)?)));
    known.collect()
}

/// The labels of a namespace, which a class may select by.
fn team(draw: &mut Draw<'_>) -> Labels {
    let team = draw.pick(&[Some("a"), Some("b"), None]);
    let team = team.map(|team| ("team".to_owned(), team.to_owned()));
    team.into_iter().collect()
}

/// Some Nodes, each with a value or none for every label of the universe.
fn known_nodes(draw: &mut Draw<'_>) -> Vec<(String, Labels)> {
    let mut nodes = Vec::new();
    for name in ["n1", "n2"] {
        let labels = LABELS.iter().filter_map(|(key, values)| {
            let value = draw.pick(values)?;
            Some(((*key).to_owned(), value.to_owned()))
        });
        let labels: Labels = labels.collect();
        if draw.percent(70) {
            nodes.push((name.to_owned(), labels));
        }
    }
    nodes
}

fn request(draw: &mut Draw<'_>) -> Value {
    let mut request = json!({
        "uid": draw.pick(&["705ab4f5-6393-11e8-b7cc-42010a800002", "<&>", "ü\u{1F680}"]),
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "namespace": "ai",
        "oldObject": null,
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller", "groups": ["a"]},
    });
    if draw.percent(5) {
        request["namespace"] = json!("lab");
    }
    if draw.percent(40) {
        request["dryRun"] = draw.pick(&[json!(true), json!(false), Value::Null]);
    }
    match draw.below(100) {
        97 => request["operation"] = json!("UPDATE"),
        98 => request["subResource"] = json!("ephemeralcontainers"),
        99 => request["resource"]["resource"] = json!("podtemplates"),
        _ => {}
    }
    unknown(draw, &mut request);
    request
}
