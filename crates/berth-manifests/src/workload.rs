//! Where a document of any kind holds Pods: found by the shape of a `PodTemplateSpec`, so that a new kind works, too.

use serde_json::{Map, Value, json};

use berth_core::{
    field::{below, entry},
    json::pointer_segment,
};

mod kinds;
mod locate;

use kinds::{Kind, Metadata, Unnamed};

pub(crate) use kinds::{advice, right_version};

/// Where a document holds a Pod, or what a controller makes Pods of: JSON Pointers from the document's root.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PodTemplate {
    /// The object that holds it: its `apiVersion`, `kind` and `metadata` are there.
    pub object: String,
    /// The Pod's spec.
    pub spec: String,
    /// The objects whose entries become the Pod's labels; a later one wins.
    pub labels: Vec<String>,
    /// The objects whose entries become the Pod's annotations; a later one wins, and takes what is new.
    pub annotations: Vec<String>,
    /// The `apiVersion` of the object, which an item of a typed list may leave out.
    pub api_version: String,
    /// The kind of the object.
    pub kind: String,
    /// What there is to know of the kind.
    known: Option<&'static Kind>,
}

/// An object that holds templates.
#[derive(Clone, Copy)]
struct Owner<'o> {
    path: &'o str,
    api_version: &'o str,
    kind: &'o str,
}

/// Every Pod and Pod template of a document, in the document's order.
#[must_use]
pub fn templates(document: &Value) -> Vec<PodTemplate> {
    let mut templates = Vec::new();
    let nobody = Owner {
        path: "",
        api_version: "",
        kind: "",
    };
    walk(document, "", nobody, &mut templates);
    templates
}

fn walk(value: &Value, path: &str, owner: Owner<'_>, templates: &mut Vec<PodTemplate>) {
    match value {
        Value::Object(fields) if is_object(fields) => {
            let itself = Owner {
                path,
                api_version: string(fields, "apiVersion"),
                kind: string(fields, "kind"),
            };
            whole(value, fields, itself, templates);
        }
        Value::Object(fields) if has_containers(fields) && !path.is_empty() => {
            templates.push(PodTemplate::at(path, owner));
        }
        Value::Object(fields) => children(fields, path, owner, templates),
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                walk(item, &format!("{path}/{i}"), owner, templates);
            }
        }
        _ => {}
    }
}

fn children(
    fields: &Map<String, Value>,
    path: &str,
    owner: Owner<'_>,
    templates: &mut Vec<PodTemplate>,
) {
    for (key, value) in fields {
        let path = format!("{path}/{}", pointer_segment(key));
        walk(value, &path, owner, templates);
    }
}

/// An object with a kind of its own: a Pod, a list, a kind of the table, or one that may hold templates. It is not a
/// template itself, whatever it looks like (a `ServingRuntime` does).
fn whole(
    value: &Value,
    fields: &Map<String, Value>,
    object: Owner<'_>,
    templates: &mut Vec<PodTemplate>,
) {
    if (object.api_version, object.kind) == ("v1", "Pod") {
        return templates.push(PodTemplate::at(object.path, object));
    }
    let items = fields.get("items").and_then(Value::as_array);
    if let (Some(items), Some(kind)) = (items, object.kind.strip_suffix("List")) {
        return list(items, object, kind, templates);
    }
    let known = Kind::of(object.api_version, object.kind);
    if let Some(known) = known {
        templates.extend(known.templates_in(value, object));
    }
    if !known.is_some_and(|known| known.is_patch) {
        children(fields, object.path, object, templates);
    }
}

/// The items of a list. Those of a typed one, as a `PodList`, need not say what they are.
fn list(items: &[Value], list: Owner<'_>, kind: &str, templates: &mut Vec<PodTemplate>) {
    for (i, item) in items.iter().enumerate() {
        let path = format!("{}/items/{i}", list.path);
        let itself = Owner {
            path: &path,
            kind,
            ..list
        };
        match item {
            Value::Object(fields) if !is_object(fields) && !kind.is_empty() => {
                whole(item, fields, itself, templates);
            }
            _ => walk(item, &path, list, templates),
        }
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
    fn at(path: &str, owner: Owner<'_>) -> Self {
        let known = Kind::of(owner.api_version, owner.kind);
        let (group, _) = path.rsplit_once('/').unwrap_or_default();
        let maps = |of: Option<&[Metadata]>, map: &str| {
            let of = of.unwrap_or(&[Metadata::Template]);
            kinds::maps(of, map, owner.path, group, Some(path))
        };
        Self {
            object: owner.path.to_owned(),
            spec: format!("{path}/spec"),
            labels: maps(known.map(|it| it.labels), "labels"),
            annotations: maps(known.map(|it| it.annotations), "annotations"),
            api_version: owner.api_version.to_owned(),
            kind: owner.kind.to_owned(),
            known,
        }
    }

    /// The Pod's labels.
    #[must_use]
    pub fn labels(&self, document: &Value) -> Map<String, Value> {
        joined(&self.labels, document)
    }

    /// The Pod's annotations.
    #[must_use]
    pub fn annotations(&self, document: &Value) -> Map<String, Value> {
        joined(&self.annotations, document)
    }

    /// The same, by pointers from the object that holds it.
    #[must_use]
    pub(crate) fn below_object(&self) -> Self {
        let below = |it: &String| it.strip_prefix(&self.object).unwrap_or(it).to_owned();
        Self {
            object: String::new(),
            spec: below(&self.spec),
            labels: self.labels.iter().map(below).collect(),
            annotations: self.annotations.iter().map(below).collect(),
            ..self.clone()
        }
    }

    /// Whether it is a Pod itself, and not what a controller makes Pods of.
    #[must_use]
    pub fn is_pod(&self) -> bool {
        self.kind == "Pod"
    }

    /// Whether the object's API gives a container a name that has none.
    #[must_use]
    pub fn names_containers(&self) -> bool {
        self.known
            .is_some_and(|known| known.unnamed != Unnamed::Invalid)
    }

    /// The names of the containers that the object's controller adds to the Pods.
    #[must_use]
    pub fn added(&self, document: &Value) -> Vec<&'static str> {
        let added = self.known.map(|known| known.added(document, &self.spec));
        let added = added.unwrap_or_default().into_iter();
        added.map(|(name, _)| name).collect()
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
        if self.is_pod() {
            return defaulted(object.clone());
        }
        let mut metadata = json!({"labels": as_written(&self.labels, document)});
        let annotations = as_written(&self.annotations, document);
        if annotations != json!({}) {
            metadata["annotations"] = annotations;
        }
        // a rule asks for this kind of owner
        if self.kind == "DaemonSet" {
            metadata["ownerReferences"] = json!([{"kind": "DaemonSet", "controller": true}]);
        }
        let mut spec = document.pointer(&self.spec).cloned().unwrap_or_default();
        if let Some(known) = self.known {
            known.complete(&mut spec, document, &self.spec);
        }
        defaulted(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
    }

    /// Whether the object's API takes a field of the Pod, which is a JSON Pointer in the document, in its template.
    #[must_use]
    pub fn takes(&self, path: &str) -> bool {
        let below = path.strip_prefix(&self.spec).unwrap_or_default();
        let field = below.split('/').nth(1).unwrap_or_default();
        kinds::takes(&self.api_version, field)
    }

    /// The template, or the Pod itself, as a JSON Pointer.
    #[must_use]
    pub fn path(&self) -> &str {
        self.spec.strip_suffix("/spec").unwrap_or(&self.spec)
    }
}

/// The entries of all maps; a later one wins.
fn joined(maps: &[String], document: &Value) -> Map<String, Value> {
    let maps = maps.iter().filter_map(|it| document.pointer(it));
    let maps = maps.filter_map(Value::as_object).cloned();
    maps.flatten().collect()
}

/// The entries of all maps; what is no map stays as it is, so that its shape is told.
fn as_written(maps: &[String], document: &Value) -> Value {
    let mut values = maps.iter().filter_map(|it| document.pointer(it));
    let other = values.find(|it| !it.is_object() && !it.is_null());
    other
        .cloned()
        .unwrap_or_else(|| joined(maps, document).into())
}

/// A Pod as the API server has it when it asks: what is null is absent, or empty in a map; an empty scheduler is the default one, and a
/// Pod that runs already is judged without the node that the scheduler has chosen.
fn defaulted(mut pod: Value) -> Value {
    without_nulls(&mut pod);
    let is_live = has_run(&pod);
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
        if spec.get("schedulerName").is_some_and(|name| name == "") {
            spec.remove("schedulerName");
        }
        if is_live {
            spec.remove("nodeName");
        }
    }
    pod
}

/// Whether an API server has stored the Pod already.
pub(crate) fn has_run(pod: &Value) -> bool {
    let has = |pointer: &str| {
        let text = pod.pointer(pointer).and_then(Value::as_str);
        text.is_some_and(|text| !text.is_empty())
    };
    has("/metadata/uid") || has("/status/phase")
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                // the key of a map stays, with an empty text or amount
                let empty = match &**key {
                    "limits" | "requests" | "overhead" => "0",
                    "labels" | "annotations" | "nodeSelector" | "matchLabels" => "",
                    _ => continue,
                };
                let entries = value.as_object_mut().into_iter().flatten();
                for (_, entry) in entries {
                    match entry {
                        Value::Null => *entry = empty.into(),
                        // around an amount, blanks do not count
                        Value::String(text) if empty == "0" => *text = text.trim().to_owned(),
                        _ => {}
                    }
                }
            }
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// A segment of a JSON Pointer as the key that it stands for.
pub(crate) fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

/// What is above a JSON Pointer, the nearest first and the root last.
pub fn ancestors(pointer: &str) -> impl Iterator<Item = &str> {
    pointer
        .rmatch_indices('/')
        .map(|(at, _)| pointer.get(..at).unwrap_or_default())
}

/// The fields of a Pod that are maps: their keys are the author's.
const MAPS: [&str; 6] = [
    "labels",
    "annotations",
    "nodeSelector",
    "matchLabels",
    "limits",
    "requests",
];

/// A JSON Pointer as people write a field, and as the server does: `spec.containers[0].resources.limits["amd.com/gpu"]`.
#[must_use]
pub fn field(pointer: &str) -> String {
    let mut field = String::new();
    let mut is_map = false;
    for step in pointer.split('/').skip(1) {
        let step = unescaped(step);
        let is_index = !step.is_empty() && step.bytes().all(|it| it.is_ascii_digit());
        if is_map {
            field = entry(&field, &step);
        } else if is_index {
            field.extend(["[", &step, "]"]);
        } else {
            field = below(&field, &step);
        }
        is_map = !is_index && MAPS.contains(&&*step);
    }
    field
}

#[cfg(test)]
mod tests {
    use json_patch::{AddOperation, Patch, PatchOperation, jsonptr::PointerBuf};

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
    fn a_notebooks_own_labels_reach_its_pods_and_its_templates_do_not() {
        let document = json!({"apiVersion": "kubeflow.org/v1", "kind": "Notebook",
            "metadata": {"labels": {"a": "1"}, "annotations": {"x": "1"}}, "spec": {"template": template()}});
        let template = &templates(&document)[0];
        let metadata = &template.pod(&document)["metadata"];
        assert_eq!(metadata["labels"], json!({"a": "1"}));
        assert_eq!(metadata["annotations"], json!({"x": "1"}));
        assert_eq!(
            template.locate("/metadata/annotations/y"),
            "/metadata/annotations/y"
        );
        assert_eq!(template.locate("/spec/x"), "/spec/template/spec/x");
    }

    #[test]
    fn what_a_controller_adds_and_names_is_in_the_pod() {
        let ray = |scales: bool| {
            let spec = json!({"enableInTreeAutoscaling": scales, "headGroupSpec": {"template": template()},
                "workerGroupSpecs": [{"template": template()}]});
            json!({"apiVersion": "ray.io/v1", "kind": "RayCluster", "spec": spec})
        };
        let names = |document: &Value, at: usize| -> Vec<Value> {
            let pod = templates(document)[at].pod(document);
            let containers = pod["spec"]["containers"].as_array().cloned();
            let containers = containers.unwrap_or_default().into_iter();
            containers.map(|mut it| it["name"].take()).collect()
        };
        assert_eq!(names(&ray(true), 0), ["c", "autoscaler"]);
        assert_eq!(names(&ray(true), 1), ["c"]);
        assert_eq!(names(&ray(false), 0), ["c"]);
        let job = json!({"apiVersion": "ray.io/v1", "kind": "RayJob", "spec": {"submissionMode": "SidecarMode",
            "rayClusterSpec": {"headGroupSpec": {"template": template()}, "workerGroupSpecs": [{"template": template()}]}}});
        assert_eq!(names(&job, 0), ["c", "ray-job-submitter"]);
        assert_eq!(names(&job, 1), ["c"]);
        let served = |predictor: Value| json!({"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "spec": {"predictor": predictor}});
        let custom = served(json!({"containers": [{"image": "x"}]}));
        assert_eq!(names(&custom, 0), ["kserve-container"]);
        let model = json!({"resources": {"limits": {"nvidia.com/gpu": "1"}}});
        let beside =
            served(json!({"model": model, "containers": [{"name": "transformer-container"}]}));
        assert_eq!(
            names(&beside, 0),
            ["transformer-container", "kserve-container"]
        );
        let pod = templates(&beside)[0].pod(&beside);
        assert_eq!(
            pod["spec"]["containers"][1]["resources"],
            model["resources"]
        );
        let knative = |containers: Value| {
            let spec = json!({"template": {"spec": {"containers": containers}}});
            json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "spec": spec})
        };
        assert_eq!(
            names(&knative(json!([{"image": "x"}])), 0),
            ["user-container"]
        );
        let two = knative(json!([{"image": "x"}, {"image": "y", "name": "user-container-0"}]));
        assert_eq!(names(&two, 0), ["user-container-1", "user-container-0"]);
    }

    #[test]
    fn the_labels_of_a_ray_group_and_of_spark_are_added_and_win() {
        let labels = |document: &Value| -> Vec<Value> {
            let pods = templates(document).into_iter().map(|it| it.pod(document));
            pods.map(|mut it| it["metadata"]["labels"].take()).collect()
        };
        let group = |labels: Value| json!({"labels": labels, "template": template()});
        let ray = json!({"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"labels": {"o": "o"}}, "spec": {
            "headGroupSpec": group(json!({"h": "1"})), "workerGroupSpecs": [group(json!({"a": "w"}))]}});
        assert_eq!(
            labels(&ray),
            [json!({"a": "b", "h": "1"}), json!({"a": "w"})]
        );
        let app = json!({"labels": {"d": "d"}, "template": template()});
        let spark = json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication",
            "metadata": {"labels": {"a": "o", "d": "o"}}, "spec": {"driver": app, "executor": {"labels": {"e": "e"}}}});
        // the driver's template is one Pod, and not a second one
        assert_eq!(
            specs(spark.clone()),
            ["/spec/executor", "/spec/driver/template/spec"]
        );
        assert_eq!(
            labels(&spark),
            [
                json!({"a": "o", "d": "o", "e": "e"}),
                json!({"a": "o", "d": "d"})
            ]
        );
        let scheduled = json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "ScheduledSparkApplication",
            "metadata": {"labels": {"o": "o"}}, "spec": {"template": {"driver": app, "executor": {}}}});
        assert_eq!(
            labels(&scheduled),
            [json!({"o": "o"}), json!({"a": "b", "o": "o", "d": "d"})]
        );
    }

    #[test]
    fn a_pod_of_volcano_has_its_scheduler() {
        let job = |job: Value, pod: Value| {
            let mut template = template();
            template["spec"]["schedulerName"] = pod;
            let spec = json!({"schedulerName": job, "tasks": [{"template": template}]});
            let job =
                json!({"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "spec": spec});
            templates(&job)[0].pod(&job)["spec"]["schedulerName"].take()
        };
        assert_eq!(job(json!(null), json!(null)), "volcano");
        assert_eq!(job(json!("theirs"), json!("")), "theirs");
        assert_eq!(job(json!("theirs"), json!("mine")), "mine");
    }

    #[test]
    fn what_a_train_job_changes_in_its_runtime_is_no_template() {
        let patch = json!({"replicatedJobs": [{"template": {"spec": {"template": template()}}}]});
        let spec =
            json!({"runtimePatches": [{"trainingRuntimeSpec": {"template": {"spec": patch}}}]});
        let job = json!({"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "spec": spec});
        assert_eq!(specs(job), Vec::<String>::new());
    }

    #[test]
    fn an_annotation_is_written_where_its_map_is_not_there_yet() {
        let patch = |path: &str, value: Value| {
            let path = PointerBuf::parse(path).unwrap();
            Patch(vec![PatchOperation::Add(AddOperation { path, value })])
        };
        let pool = "/metadata/annotations/berth.dev~1pool";
        let patched = |mut document: Value, patch: Patch| {
            let patch = templates(&document)[0].locate_patch(patch, &document);
            json_patch::patch(&mut document, &patch).unwrap();
            document
        };
        // the Pod has the object's annotations, and the predictor none
        let served = json!({"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
            "metadata": {"annotations": {"x": "1"}}, "spec": {"predictor": {"model": {}}}});
        let served = patched(served, patch(pool, json!("p")));
        let predictor = &served["spec"]["predictor"];
        assert_eq!(predictor["annotations"], json!({"berth.dev/pool": "p"}));
        // the label comes from the group, and the template has no metadata
        let head =
            json!({"labels": {"a": "b"}, "template": {"spec": {"containers": [{"name": "c"}]}}});
        let ray = json!({"apiVersion": "ray.io/v1", "kind": "RayCluster", "spec": {"headGroupSpec": head}});
        let all = json!({"berth.dev/pool": "p"});
        let ray = patched(ray, patch("/metadata/annotations", all.clone()));
        let template = &ray["spec"]["headGroupSpec"]["template"];
        assert_eq!(template["metadata"], json!({"annotations": all}));
    }

    #[test]
    fn what_the_patch_does_to_an_added_container_is_not_written() {
        let ray = json!({"apiVersion": "ray.io/v1", "kind": "RayCluster", "spec": {"enableInTreeAutoscaling": true,
            "headGroupSpec": {"template": template()}}});
        let at = |i: usize| {
            let path = PointerBuf::parse(format!("/spec/containers/{i}/resources")).unwrap();
            PatchOperation::Add(AddOperation {
                path,
                value: json!({}),
            })
        };
        let patch = templates(&ray)[0].locate_patch(Patch(vec![at(0), at(1)]), &ray);
        let paths: Vec<_> = patch.0.iter().map(|it| it.path().as_str()).collect();
        assert_eq!(
            paths,
            ["/spec/headGroupSpec/template/spec/containers/0/resources"]
        );
    }

    #[test]
    fn the_items_of_a_typed_list_are_of_its_kind() {
        let pods = json!({"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"labels": {"a": "b"}}, "spec": {}}]});
        let template = &templates(&pods)[0];
        assert!(template.is_pod());
        assert_eq!(template.spec, "/items/0/spec");
        let deployments = json!({"apiVersion": "apps/v1", "kind": "DeploymentList",
            "items": [{"metadata": {}, "spec": {"template": super::tests::template()}}]});
        let template = &templates(&deployments)[0];
        assert_eq!(
            (&*template.kind, &*template.object),
            ("Deployment", "/items/0")
        );
    }

    #[test]
    fn a_pod_is_as_the_api_server_has_it_when_it_asks() {
        let pod = |metadata: Value| {
            let spec = json!({"nodeName": "n", "schedulerName": "", "runtimeClassName": null});
            let pod =
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
            templates(&pod)[0].pod(&pod)["spec"].take()
        };
        assert_eq!(pod(json!({})), json!({"nodeName": "n"}));
        assert_eq!(pod(json!({"uid": "u"})), json!({}));
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
