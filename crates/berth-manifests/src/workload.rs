//! Where a document of any kind holds Pods: found by the shape of a `PodTemplateSpec`, so that a new kind works, too.

use json_patch::{Patch, PatchOperation, jsonptr::PointerBuf};
use serde_json::{Map, Value, json};

use berth_core::patch::pointer_segment;

mod kinds;

use kinds::BarePodSpec;

/// Where a document holds a Pod, or what a controller makes Pods of: JSON Pointers from the document's root.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PodTemplate {
    /// The object that holds it: its `apiVersion`, `kind` and `metadata` are there.
    pub object: String,
    /// The Pod's spec.
    pub spec: String,
    /// The objects whose entries become the Pod's labels; a later one wins.
    pub labels: Vec<String>,
    /// The object whose entries become the Pod's annotations.
    pub annotations: String,
}

/// Every Pod and Pod template of a document, in the document's order.
#[must_use]
pub fn templates(document: &Value) -> Vec<PodTemplate> {
    let mut templates = Vec::new();
    walk(document, "", "", &mut templates);
    templates
}

fn walk(value: &Value, path: &str, object: &str, templates: &mut Vec<PodTemplate>) {
    match value {
        Value::Object(fields) if is_object(fields) => whole(value, fields, path, templates),
        Value::Object(fields) if has_containers(fields) && !path.is_empty() => {
            templates.push(PodTemplate::at(path, object));
        }
        Value::Object(fields) => children(fields, path, object, templates),
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                walk(item, &format!("{path}/{i}"), object, templates);
            }
        }
        _ => {}
    }
}

fn children(
    fields: &Map<String, Value>,
    path: &str,
    object: &str,
    templates: &mut Vec<PodTemplate>,
) {
    for (key, value) in fields {
        walk(
            value,
            &format!("{path}/{}", pointer_segment(key)),
            object,
            templates,
        );
    }
}

/// An object with a kind of its own: a Pod, a kind of the table, or one that may hold templates. It is not a template
/// itself, whatever it looks like (a `ServingRuntime` does).
fn whole(value: &Value, fields: &Map<String, Value>, path: &str, templates: &mut Vec<PodTemplate>) {
    let (group, kind) = (string(fields, "apiVersion"), string(fields, "kind"));
    if (group, kind) == ("v1", "Pod") {
        return templates.push(PodTemplate::at(path, path));
    }
    match BarePodSpec::of_kind(group, kind) {
        Some(bare) => templates.extend(bare.templates_in(value, path)),
        None => children(fields, path, path, templates),
    }
}

fn is_object(fields: &Map<String, Value>) -> bool {
    !string(fields, "kind").is_empty() && !string(fields, "apiVersion").is_empty()
}

fn string<'v>(fields: &'v Map<String, Value>, key: &str) -> &'v str {
    fields.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn has_containers(fields: &Map<String, Value>) -> bool {
    let containers = fields.get("spec").and_then(|spec| spec.get("containers"));
    containers
        .and_then(Value::as_array)
        .is_some_and(|containers| containers.iter().all(Value::is_object))
}

impl PodTemplate {
    fn at(path: &str, object: &str) -> Self {
        Self {
            object: object.to_owned(),
            spec: format!("{path}/spec"),
            labels: vec![format!("{path}/metadata/labels")],
            annotations: format!("{path}/metadata/annotations"),
        }
    }

    /// The Pod's labels.
    #[must_use]
    pub fn labels(&self, document: &Value) -> Map<String, Value> {
        let maps = self.labels.iter().filter_map(|it| document.pointer(it));
        let maps = maps.filter_map(Value::as_object).cloned();
        maps.flatten().collect()
    }

    /// Whether it is a Pod itself, and not what a controller makes Pods of.
    #[must_use]
    pub fn is_pod(&self, document: &Value) -> bool {
        let object = document.pointer(&self.object).unwrap_or(document);
        object["kind"] == "Pod"
    }

    /// Whether the Pod's containers are in the document.
    #[must_use]
    pub fn has_containers(&self, document: &Value) -> bool {
        let containers = document.pointer(&format!("{}/containers", self.spec));
        containers.is_some_and(|containers| containers != &json!([]))
    }

    /// The Pod itself, or the one that a controller would make of the template, as far as a review reads it.
    #[must_use]
    pub fn pod(&self, document: &Value) -> Value {
        let object = document.pointer(&self.object).unwrap_or(document);
        if self.is_pod(document) {
            return object.clone();
        }
        let mut metadata = json!({"labels": self.labels(document)});
        if let Some(annotations) = document.pointer(&self.annotations) {
            metadata["annotations"] = annotations.clone();
        }
        // a rule asks for this kind of owner
        if object["kind"] == "DaemonSet" {
            metadata["ownerReferences"] = json!([{"kind": "DaemonSet", "controller": true}]);
        }
        let spec = document.pointer(&self.spec).cloned().unwrap_or_default();
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    }

    /// Whether the object's API takes a field of the Pod, which is a JSON Pointer in the document, in its template.
    #[must_use]
    pub fn takes(&self, document: &Value, path: &str) -> bool {
        let object = document.pointer(&self.object).unwrap_or(document);
        let group = object["apiVersion"].as_str().unwrap_or_default();
        let below = path.strip_prefix(&self.spec).unwrap_or_default();
        let field = below.split('/').nth(1).unwrap_or_default();
        kinds::takes(group, field)
    }

    /// The template, or the Pod itself, as a JSON Pointer.
    #[must_use]
    pub fn path(&self) -> &str {
        self.spec.strip_suffix("/spec").unwrap_or(&self.spec)
    }

    /// The Pod's patch as one of the document.
    #[must_use]
    pub fn locate_patch(&self, mut patch: Patch) -> Patch {
        for operation in &mut patch.0 {
            let (to, from) = match operation {
                PatchOperation::Add(it) => (&mut it.path, None),
                PatchOperation::Remove(it) => (&mut it.path, None),
                PatchOperation::Replace(it) => (&mut it.path, None),
                PatchOperation::Test(it) => (&mut it.path, None),
                PatchOperation::Move(it) => (&mut it.path, Some(&mut it.from)),
                PatchOperation::Copy(it) => (&mut it.path, Some(&mut it.from)),
            };
            for pointer in [Some(to), from].into_iter().flatten() {
                if let Ok(located) = PointerBuf::parse(self.locate(pointer.as_str())) {
                    *pointer = located;
                }
            }
        }
        patch
    }

    /// Where a path of the Pod's patch lies in the document.
    #[must_use]
    pub fn locate(&self, path: &str) -> String {
        if let Some(rest) = path.strip_prefix("/metadata/annotations") {
            return format!("{}{rest}", self.annotations);
        }
        path.strip_prefix("/spec")
            .map_or_else(|| path.to_owned(), |rest| format!("{}{rest}", self.spec))
    }
}

/// What is above a JSON Pointer, the nearest first and the root last.
pub fn ancestors(pointer: &str) -> impl Iterator<Item = &str> {
    pointer
        .rmatch_indices('/')
        .map(|(at, _)| pointer.get(..at).unwrap_or_default())
}

/// A JSON Pointer as people write a field: `spec.containers[0].name`.
#[must_use]
pub fn field(pointer: &str) -> String {
    let mut field = String::new();
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        let is_index = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
        if is_index {
            field.extend(["[", &step, "]"]);
        } else {
            let dot = if field.is_empty() { "" } else { "." };
            field.extend([dot, &step]);
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(document: Value) -> Vec<String> {
        templates(&document)
            .into_iter()
            .map(|template| template.spec)
            .collect()
    }

    fn template() -> Value {
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c"}]}})
    }

    #[test]
    fn a_template_is_found_wherever_it_sits() {
        let cases = [
            (
                json!({"apiVersion": "v1", "kind": "Pod", "spec": {}}),
                vec!["/spec"],
            ),
            (
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": template()}}),
                vec!["/spec/template/spec"],
            ),
            (
                json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": template()}}}}),
                vec!["/spec/jobTemplate/spec/template/spec"],
            ),
            (
                json!({"apiVersion": "ray.io/v1", "kind": "RayCluster", "spec": {
                    "headGroupSpec": {"template": template()}, "workerGroupSpecs": [{"template": template()}]}}),
                vec![
                    "/spec/headGroupSpec/template/spec",
                    "/spec/workerGroupSpecs/0/template/spec",
                ],
            ),
            (
                json!({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod", "spec": {}}]}),
                vec!["/items/0/spec"],
            ),
            (
                json!({"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "spec": {"predictor": {"model": {}}}}),
                vec!["/spec/predictor"],
            ),
            (
                json!({"apiVersion": "serving.kserve.io/v1alpha1", "kind": "LLMInferenceService", "spec": {
                    "template": {}, "prefill": {"template": {}}}}),
                vec!["/spec/template", "/spec/prefill/template"],
            ),
        ];
        for (document, expected) in cases {
            assert_eq!(specs(document.clone()), expected, "{document}");
        }
    }

    #[test]
    fn what_only_looks_like_a_template_is_none() {
        for document in [
            json!({"apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime", "spec": {"containers": [{"name": "c"}]}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"spec": "containers"}}),
            json!({"spec": {"containers": []}}),
            json!(null),
        ] {
            assert_eq!(specs(document.clone()), Vec::<String>::new(), "{document}");
        }
    }

    #[test]
    fn an_inference_services_labels_reach_its_pods_and_its_predictors_win() {
        let document = json!({"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
            "metadata": {"labels": {"a": "1", "b": "1"}}, "spec": {"predictor": {"labels": {"b": "2"}}}});
        let template = &templates(&document)[0];
        assert_eq!(
            template.pod(&document)["metadata"]["labels"],
            json!({"a": "1", "b": "2"})
        );
        assert_eq!(
            template.locate("/spec/tolerations/-"),
            "/spec/predictor/tolerations/-"
        );
        assert_eq!(
            template.locate("/metadata/annotations/x"),
            "/spec/predictor/annotations/x"
        );
    }
}
