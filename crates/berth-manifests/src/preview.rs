//! What would happen to the Pods of a document: by the very function that the server runs, and what no webhook can say.
//! A dry run on a cluster shows it for bare Pods alone, and never for a template (fact 15).

use std::collections::{BTreeMap, HashSet};

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use berth_core::{
    names::{DISABLED, EXCLUDED_NAMESPACES, INJECT_LABEL},
    outcome::{Reason, Warning},
    view::View,
};

use crate::{
    diagnostic::{Diagnostic, Severity},
    dry_run::{self, DryRun, Error, creation},
    workload::{self, PodTemplate},
};

mod checks;
mod denial;
mod document;
mod piece;

pub use checks::Topic;
pub use document::Document;
pub use piece::{Piece, pieces};

/// The namespaces of Pods, as far as they matter.
#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    /// The namespace of objects that name none.
    pub default: String,
    left_out: BTreeMap<String, LeftOut>,
}

/// Why the webhook is never asked about the Pods of a namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LeftOut {
    /// The webhook's configuration excludes it.
    Excluded,
    /// It has the label that opts out, in a document or in the cluster.
    OptedOut,
}

/// What would happen to a document.
#[derive(Debug, Default)]
pub struct Preview {
    /// Its Pods, in the document's order.
    pub pods: Vec<PodPreview>,
    /// What its author should know before it is applied, without its place: only the document's text has that.
    pub diagnostics: Vec<Diagnostic>,
    /// What of the patches belongs into the document, its objects with a denied Pod left out.
    pub patch: Patch,
    /// The document after it; absent where nothing changes.
    pub patched: Option<Value>,
}

/// What would happen to a Pod, or to the Pods of a template.
#[derive(Debug)]
pub struct PodPreview {
    /// Where it is in the document.
    pub template: PodTemplate,
    /// The kind of the object that holds it.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The value of the class label.
    pub class: Option<String>,
    /// Why the webhook would not be asked; none where it would be.
    pub left_out: Option<LeftOut>,
    /// What would come of its creation; why there is no answer, where the review cannot be read.
    pub outcome: Result<DryRun, Error>,
    /// The patch, its paths in the document.
    pub patch: Patch,
    /// Why it is denied, each at its field: what stands first, then what else is wrong with its shape. Without places.
    pub denials: Vec<Diagnostic>,
}

impl Namespaces {
    /// With a default, and those that the webhook's configuration excludes.
    #[must_use]
    pub fn new(default: impl Into<String>, excluded: impl IntoIterator<Item = String>) -> Self {
        let never = EXCLUDED_NAMESPACES.iter().map(|name| (*name).to_owned());
        let excluded = never.chain(excluded);
        Self {
            default: default.into(),
            left_out: excluded.map(|name| (name, LeftOut::Excluded)).collect(),
        }
    }

    /// Takes note of the Namespaces in a document that opt out.
    pub fn learn(&mut self, document: &Value) {
        let items = document["items"].as_array().into_iter().flatten();
        for object in items.chain([document]) {
            let is_namespace = object["apiVersion"] == "v1" && object["kind"] == "Namespace";
            if is_namespace && object["metadata"]["labels"][INJECT_LABEL] == DISABLED {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let known = self.left_out.entry(name.to_owned());
                known.or_insert(LeftOut::OptedOut);
            }
        }
    }
}

/// Previews every Pod of a document.
#[must_use]
pub fn preview(document: &Value, view: &View, namespaces: &Namespaces) -> Preview {
    preview_from(0, document, view, namespaces)
}

/// Previews the items of a List from one of them on: those before it are null.
fn preview_from(first: usize, document: &Value, view: &View, namespaces: &Namespaces) -> Preview {
    let mut diagnostics = Vec::new();
    let mut pods = Vec::new();
    for template in workload::templates(document) {
        if template.has_containers(document) || template.is_pod() {
            pods.push(PodPreview::of(document, template, view, namespaces));
        } else if template
            .labels(document)
            .contains_key(view.table.class_label())
        {
            diagnostics.push(checks::no_container(&template));
        }
    }
    for pod in &pods {
        checks::of_pod(document, pod, &view.table, &mut diagnostics);
    }
    diagnostics.extend(checks::malformed_items(document, first));
    if pods.is_empty() && diagnostics.is_empty() {
        diagnostics.extend(checks::of_document(document, &view.table));
    }
    // what several Pods have in common is said once
    diagnostics.dedup();
    let patch = patch(&pods);
    let patched = (!patch.is_empty()).then(|| {
        let mut patched = document.clone();
        // the laws: a patch applies to its Pod
        json_patch::patch(&mut patched, &patch).map(|()| patched)
    });
    Preview {
        pods,
        diagnostics,
        patch,
        patched: patched.and_then(Result::ok),
    }
}

impl Preview {
    /// How much what was found matters, at most: a denied Pod is an error. Nothing where nothing was found.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        let denied = self.pods.iter().filter(|pod| !pod.is_allowed());
        let denied = denied.map(|_| Severity::Error);
        let found = self.diagnostics.iter().map(|it| it.severity);
        found.chain(denied).max()
    }
}

/// The patches of all Pods as one of the document.
fn patch(pods: &[PodPreview]) -> Patch {
    let denied: HashSet<&str> = pods
        .iter()
        .filter(|pod| !pod.is_allowed())
        .map(|pod| &*pod.template.object)
        .collect();
    let admitted = pods
        .iter()
        .filter(|pod| !denied.contains(&*pod.template.object));
    let operations = admitted.flat_map(|pod| {
        let belongs = |it: &&PatchOperation| pod.template.takes(it.path().as_str());
        pod.patch.iter().filter(belongs)
    });
    Patch(operations.cloned().collect())
}

impl PodPreview {
    fn of(document: &Value, template: PodTemplate, view: &View, namespaces: &Namespaces) -> Self {
        let object = document.pointer(&template.object).unwrap_or(document);
        let is_review = document["kind"] == "AdmissionReview";
        let named = |field: &str| {
            let in_object = string(object, field);
            in_object.or_else(|| string(document, field))
        };
        let namespace = match document.pointer("/request/namespace") {
            Some(namespace) if is_review => namespace.as_str(),
            _ => named("/metadata/namespace"),
        }
        .unwrap_or(&namespaces.default)
        .to_owned();
        let name = named("/metadata/name").or_else(|| named("/metadata/generateName"));
        let name = name.unwrap_or_default().to_owned();
        let pod = template.pod(document);
        let request = if is_review {
            document.clone()
        } else {
            creation(&pod, &namespace)
        };
        let class = template
            .labels(document)
            .get(view.table.class_label())
            .cloned();
        let opted_out = view.namespace(&namespace).label(INJECT_LABEL) == Some(DISABLED);
        let left_out = namespaces.left_out.get(&namespace).copied();
        let left_out = left_out.or(opted_out.then_some(LeftOut::OptedOut));
        let left_out = left_out.filter(|_| class.is_some() && !is_review);
        let outcome = match left_out {
            Some(_) => Ok(DryRun::left_alone(pod.clone())),
            None => dry_run::of_review(&request, &pod, view),
        };
        let denials = match &outcome {
            Ok(run) if run.is_allowed() => Vec::new(),
            outcome => {
                let ask = |pod: &Value| {
                    let request = if is_review {
                        with_object(document, pod)
                    } else {
                        creation(pod, &namespace)
                    };
                    dry_run::of_review(&request, pod, view)
                };
                let label = view.table.class_label();
                denial::all(document, &template, outcome, pod, label, &ask)
            }
        };
        let patch = outcome.as_ref().map(|run| run.patch.clone());
        Self {
            denials,
            kind: template.kind.clone(),
            patch: template.locate_patch(patch.unwrap_or_default(), document),
            template,
            namespace,
            name,
            left_out,
            class: class.and_then(|class| class.as_str().map(str::to_owned)),
            outcome,
        }
    }

    /// Whether the API server would take the Pod.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.outcome.as_ref().is_ok_and(DryRun::is_allowed)
    }

    /// What it comes to.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.outcome
            .as_ref()
            .map_or(Reason::BadReview, |run| run.reason)
    }

    /// The message of a denial, or why the review cannot be read.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        match &self.outcome {
            Ok(run) => run.message.clone(),
            Err(error) => Some(error.to_string()),
        }
    }

    /// The chosen pools, joined by commas.
    #[must_use]
    pub fn pool(&self) -> Option<&str> {
        self.outcome.as_ref().ok()?.pool.as_deref()
    }

    /// The container that has the GPU.
    #[must_use]
    pub fn container(&self) -> Option<&str> {
        self.outcome.as_ref().ok()?.container.as_deref()
    }

    /// The patch in words; empty where the Pod stays as it is.
    #[must_use]
    pub fn summary(&self) -> &str {
        self.outcome.as_ref().map_or("", |run| &run.summary)
    }

    /// What the server would warn of.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        self.outcome.as_ref().map_or(&[], |run| &run.warnings)
    }
}

/// A review of another Pod.
fn with_object(review: &Value, pod: &Value) -> Value {
    let mut review = review.clone();
    review["request"]["object"] = pod.clone();
    review
}

fn string<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

#[cfg(test)]
mod tests;
