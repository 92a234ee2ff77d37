//! A Pod as it was before its review: what its controller's template says, or what its author applied.

use k8s_openapi::api::core::v1::Pod;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

/// What kubectl leaves of what was applied.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A controller whose Pods have its template.
pub(super) struct Controller {
    pub(super) resource: ApiResource,
    pub(super) name: String,
}

/// The Pod's controller, if its kind is one of Kubernetes' own, whose template berth knows how to find.
pub(super) fn controller(pod: &Pod) -> Option<Controller> {
    let owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners.into_iter().find(|it| it.controller == Some(true))?;
    let is_known = matches!(&*owner.api_version, "apps/v1" | "batch/v1" | "v1");
    let (group, version) = owner
        .api_version
        .split_once('/')
        .unwrap_or(("", &owner.api_version));
    let kind = GroupVersionKind::gvk(group, version, &owner.kind);
    is_known.then(|| Controller {
        resource: ApiResource::from_gvk(&kind),
        name: owner.name.clone(),
    })
}

/// The Pod as it was sent.
pub(super) fn before(pod: &Pod, made_by: Option<&DynamicObject>) -> Option<Value> {
    if let Some(template) = made_by.and_then(|it| it.data.pointer("/spec/template")) {
        return Some(of_template(template, pod));
    }
    let annotations = pod.metadata.annotations.as_ref()?;
    serde_json::from_str(annotations.get(APPLIED)?).ok()
}

/// A Pod of a template, with the metadata that its controller gives it.
pub(super) fn of_template(template: &Value, pod: &Pod) -> Value {
    let mut metadata = template
        .get("metadata")
        .cloned()
        .unwrap_or_else(|| json!({}));
    metadata["ownerReferences"] = json!(pod.metadata.owner_references);
    metadata["generateName"] = json!(pod.metadata.generate_name);
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": template.get("spec"),
    })
}
