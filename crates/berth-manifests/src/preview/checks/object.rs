//! Documents that hold no Pod, and why: nothing of Kubernetes', or what another tool or controller makes Pods of.

use serde_json::Value;

use super::{Topic, class::labelled};
use crate::{
    diagnostic::Diagnostic,
    workload::{PodTemplate, advice, right_version},
};
use berth_core::{shown, suggestion::suggestion, table::AllocationTable};

/// What there is to say about a document without Pods.
pub(in crate::preview) fn of_document(
    document: &Value,
    table: &AllocationTable,
) -> Option<Diagnostic> {
    let has = |field: &str| {
        document[field]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    };
    if !has("apiVersion") || !has("kind") {
        return Some(Topic::NotAnObject.of(
            "",
            "not a Kubernetes object: it has no apiVersion and kind",
            misspelt(document).unwrap_or_else(|| {
                "preview what kubectl would apply: a chart rendered, not its values".to_owned()
            }),
        ));
    }
    let items = document["items"].as_array().into_iter().flatten();
    let items = (0..).zip(items);
    let items = items.map(|(i, item)| (format!("/items/{i}"), item));
    let mut objects = items.chain([(String::new(), document)]);
    if let Some(told) = objects.find_map(|(path, object)| {
        not_rendered(object, &path).or_else(|| serving_runtime(object, &path))
    }) {
        return Some(told);
    }
    label_without_template(document, table.class_label())
}

/// An object of Kubernetes' own whose version has no such kind.
pub(in crate::preview) fn wrong_version(object: &Value, path: &str) -> Option<Diagnostic> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let right = right_version(version, kind)?;
    let message = format!("there is no {kind} in {version}");
    let help = format!("write apiVersion: {right}");
    Some(Topic::Invalid.of(&format!("{path}/apiVersion"), message, help))
}

/// The class label in an object that has no Pod template: whether its Pods get it is known of some kinds.
fn label_without_template(document: &Value, label: &str) -> Option<Diagnostic> {
    const PREVIEW_PODS: &str = "preview the Pods that its controller creates";
    let mut paths = Vec::new();
    labelled(document, "", label, &mut paths);
    let first = paths.first()?;
    if let Some(told) = wrong_version(document, "") {
        return Some(told);
    }
    let Some(advice) = advice(document) else {
        let message = "this object has no Pod template";
        return Some(Topic::NoContainer.of(first, message, PREVIEW_PODS));
    };
    let right = paths.iter().find(|path| advice.reaches(path));
    Some(if let Some(path) = right {
        let message =
            "the Pods get this label, and are not made of a template that is previewed here";
        let help = [&*advice.help(path), PREVIEW_PODS].join("; ");
        Topic::NoContainer.of(path, message, help)
    } else {
        let path = first;
        let message =
            "this object has no Pod template, and its Pods do not get the label from here";
        Topic::LabelElsewhere.of(path, message, advice.help(path))
    })
}

/// A key that was probably meant as one of the two that every object has.
fn misspelt(document: &Value) -> Option<String> {
    let keys = || document.as_object().into_iter().flat_map(|it| it.keys());
    ["apiVersion", "kind"].into_iter().find_map(|field| {
        let near = suggestion(field, keys().map(String::as_str)).filter(|near| *near != field)?;
        let near = shown::quoted(near);
        Some(format!("did you mean {field} instead of {near}?"))
    })
}

/// The items of a list that are no objects: the API server takes none of them. Those before `first` are not looked at.
pub(in crate::preview) fn malformed_items(document: &Value, first: usize) -> Vec<Diagnostic> {
    let kind = document["kind"].as_str().unwrap_or_default();
    let Some(of) = kind.strip_suffix("List") else {
        return Vec::new();
    };
    let wrong = |path: String, message: &str| {
        let help = "write an object there, with apiVersion, kind and metadata, or remove it";
        Topic::NotAnObject.of(&path, message, help)
    };
    let items = match &document["items"] {
        Value::Array(items) => items,
        Value::Null => return Vec::new(),
        _ if of.is_empty() => return vec![wrong("/items".to_owned(), "the items are not a list")],
        // a kind of its own that only ends as a list does
        _ => return Vec::new(),
    };
    let has = |item: &Value, field: &str| item[field].as_str().is_some_and(|it| !it.is_empty());
    // what a typed list holds need not say what it is
    let is_object = |item: &Value| {
        item.is_object() && (!of.is_empty() || (has(item, "apiVersion") && has(item, "kind")))
    };
    let items = items
        .iter()
        .enumerate()
        .skip(first)
        .filter(|(_, item)| !is_object(item));
    let items = items.map(|(i, item)| {
        let message = if item.is_object() {
            "this item is not a Kubernetes object: it has no apiVersion and kind"
        } else {
            "this item is not an object"
        };
        wrong(format!("/items/{i}"), message)
    });
    items.collect()
}

/// What is mixed into other objects' Pods.
fn serving_runtime(object: &Value, path: &str) -> Option<Diagnostic> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let group = object["apiVersion"].as_str().unwrap_or_default();
    let is_runtime = group.starts_with("serving.kserve.io/") && kind.ends_with("ServingRuntime");
    is_runtime.then(|| {
        let message = format!(
            "this {kind} only looks like a Pod: KServe mixes it into the Pods of an InferenceService"
        );
        let help = "preview the InferenceService, which has the label";
        Topic::NotATemplate.of(&format!("{path}/kind"), message, help)
    })
}

/// The Pods' containers come from elsewhere.
pub(in crate::preview) fn no_container(template: &PodTemplate) -> Diagnostic {
    Topic::NoContainer.of(
        &template.spec,
        "the containers are not in this object: its controller adds them",
        "berth decides when the Pod is created; preview that Pod",
    )
}

/// What a tool of its own makes manifests of: the group, the kind, and how they are made here.
const NOT_RENDERED: &[(&str, &str, &str)] = &[
    (
        "kustomize.config.k8s.io/",
        "Kustomization",
        "preview what it renders: `kubectl kustomize FOLDER | berth preview -f -`",
    ),
    (
        "kustomize.config.k8s.io/",
        "Component",
        "preview what it renders: `kubectl kustomize FOLDER | berth preview -f -`, with a folder that uses it",
    ),
    (
        "kustomize.toolkit.fluxcd.io/",
        "Kustomization",
        "preview what it renders: `flux build kustomization NAME --path FOLDER | berth preview -f -`",
    ),
    (
        "helm.toolkit.fluxcd.io/",
        "HelmRelease",
        "render its chart with its values: `helm template NAME CHART -f VALUES | berth preview -f -`",
    ),
    (
        "helm.cattle.io/",
        "HelmChart",
        "render its chart with its values: `helm template NAME CHART -f VALUES | berth preview -f -`",
    ),
    (
        "argoproj.io/",
        "Application",
        "render it: `argocd app manifests NAME | berth preview -f -`, or `helm template` with its values",
    ),
    (
        "argoproj.io/",
        "ApplicationSet",
        "render what it generates: `argocd app manifests NAME | berth preview -f -` for each Application",
    ),
];

/// An object of which a tool makes the manifests that have Pods.
fn not_rendered(object: &Value, path: &str) -> Option<Diagnostic> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (group, kind) = (text("apiVersion"), text("kind"));
    let row = |row: &&(&str, &str, &str)| group.starts_with(row.0) && kind == row.1;
    let (_, _, help) = NOT_RENDERED.iter().find(row)?;
    let message = format!("the Pods of this {kind} are in what is rendered from it, not here");
    Some(Topic::NotRendered.of(&format!("{path}/kind"), message, *help))
}
