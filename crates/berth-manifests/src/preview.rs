//! What would happen to the Pods of a document: by the very function that the server runs, and what no webhook can say.

use std::collections::HashSet;

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use crate::{
    trial::{creation, patch_of},
    workload::{self, Site},
};
use berth_core::{
    outcome::{Reason, Verdict, Warning},
    review::review,
    table::AllocationTable,
};

mod finding;
mod summary;

pub use finding::{Finding, Topic};

/// What would happen to a document.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Its Pods, in the document's order.
    pub pods: Vec<PodPreview>,
    /// What its author should know before it is applied.
    pub findings: Vec<Finding>,
    /// What of the patches belongs into the document, its objects with a denied Pod left out.
    pub patch: Patch,
    /// The document after it; absent where nothing changes.
    pub patched: Option<Value>,
}

/// What would happen to a Pod, or to the Pods of a template.
#[derive(Clone, Debug)]
pub struct PodPreview {
    /// Where it is in the document.
    pub site: Site,
    /// The kind of the object that holds it.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The value of the class label.
    pub class: Option<String>,
    /// What it comes to.
    pub reason: Reason,
    /// The message of a denial.
    pub message: Option<String>,
    /// The chosen pools, joined by commas.
    pub pool: Option<String>,
    /// The container that has the GPU.
    pub container: Option<String>,
    /// What the server would warn of.
    pub warnings: Vec<Warning>,
    /// The patch, its paths in the document.
    pub patch: Patch,
    /// The patch in words.
    pub summary: String,
}

/// Previews every Pod of a document. The namespace is for objects that name none.
#[must_use]
pub fn preview(document: &Value, table: &AllocationTable, namespace: &str) -> Preview {
    let mut findings = Vec::new();
    let mut pods = Vec::new();
    for site in workload::sites(document) {
        if site.has_containers(document) || site.is_pod(document) {
            pods.push(PodPreview::of(document, site, table, namespace));
        } else if site.labels(document).contains_key(table.class_label()) {
            findings.push(finding::no_container(&site));
        }
    }
    for pod in &pods {
        finding::of_pod(document, pod, table, &mut findings);
    }
    if pods.is_empty() && findings.is_empty() {
        findings.extend(finding::of_document(document, table));
    }
    // what several Pods have in common is said once
    findings.dedup();
    let patch = patch(document, &pods);
    let patched = (!patch.is_empty()).then(|| {
        let mut patched = document.clone();
        // the laws: a patch applies to its Pod
        json_patch::patch(&mut patched, &patch).map(|()| patched)
    });
    Preview {
        pods,
        findings,
        patch,
        patched: patched.and_then(Result::ok),
    }
}

impl Preview {
    /// Whether a Pod is denied, or its author has something to change.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        let denied = self.pods.iter().any(|pod| !pod.is_allowed());
        denied || self.findings.iter().any(|finding| !finding.topic.is_note())
    }
}

/// The patches of all Pods as one of the document.
fn patch(document: &Value, pods: &[PodPreview]) -> Patch {
    let denied: HashSet<&str> = pods
        .iter()
        .filter(|pod| !pod.is_allowed())
        .map(|pod| &*pod.site.object)
        .collect();
    let admitted = pods
        .iter()
        .filter(|pod| !denied.contains(&*pod.site.object));
    let operations = admitted.flat_map(|pod| {
        let belongs = |it: &&PatchOperation| pod.site.takes(document, it.path().as_str());
        pod.patch.iter().filter(belongs)
    });
    Patch(operations.cloned().collect())
}

impl PodPreview {
    fn of(document: &Value, site: Site, table: &AllocationTable, namespace: &str) -> Self {
        let object = document.pointer(&site.object).unwrap_or(document);
        let is_review = document["kind"] == "AdmissionReview";
        let named = |field: &str| {
            let in_object = string(object, field);
            in_object.or_else(|| string(document, field))
        };
        let namespace = match document.pointer("/request/namespace") {
            Some(namespace) if is_review => namespace.as_str(),
            _ => named("/metadata/namespace"),
        }
        .unwrap_or(namespace)
        .to_owned();
        let name = named("/metadata/name").or_else(|| named("/metadata/generateName"));
        let name = name.unwrap_or_default().to_owned();
        let pod = site.pod(document);
        let request = if is_review {
            document.clone()
        } else {
            creation(&pod, &namespace)
        };
        let class = site.labels(document).get(table.class_label()).cloned();
        let mut preview = Self {
            kind: string(object, "/kind").unwrap_or_default().to_owned(),
            site,
            namespace,
            name,
            class: class.and_then(|class| class.as_str().map(str::to_owned)),
            reason: Reason::BadReview,
            message: None,
            pool: None,
            container: None,
            warnings: Vec::new(),
            patch: Patch::default(),
            summary: String::new(),
        };
        preview.review(&request, &pod, table);
        preview
    }

    fn review(&mut self, request: &Value, pod: &Value, table: &AllocationTable) {
        let body = request.to_string();
        let answer = match review(body.as_bytes(), table) {
            Ok(answer) => answer,
            Err(error) => {
                self.reason = error.reason();
                self.message = Some(error.to_string());
                return;
            }
        };
        let record = answer.record;
        self.reason = record.reason;
        self.message = record.message;
        self.pool = record.pool.map(str::to_owned);
        self.container = record.container;
        self.warnings = record.warnings;
        let patch = patch_of(&answer.body);
        self.summary = summary::of(pod, &patch);
        self.patch = self.site.locate_patch(patch);
    }

    /// Whether the API server would take the Pod.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self.reason.verdict(), Verdict::Allowed | Verdict::Mutated)
    }
}

fn string<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

#[cfg(test)]
mod tests;
