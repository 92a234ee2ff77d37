//! What no webhook can say, since it sees the Pod alone, and only when it is too late.

use serde_json::Value;

use super::PodPreview;
use crate::{
    diagnostic::{Diagnostic, Severity},
    workload::{PodTemplate, advice, ancestors, field},
};
use berth_core::{
    json::pointer_segment,
    names::{CONTAINER_ANNOTATION, INJECT_LABEL},
    outcome::{Reason, Warning},
    quantity::Quantity,
    table::AllocationTable,
};

/// What there is to say about a document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Topic {
    /// The class label is where no Pod gets it.
    LabelElsewhere,
    /// A DaemonSet's controller judges nodes by its template.
    DaemonSetTemplate,
    /// A rollout needs a GPU more than the Pods have.
    SurgeNeedsGpu,
    /// A controller reads the template's limit before berth adds it.
    LimitReadEarly,
    /// An amount that Kubernetes does not read.
    NotAQuantity,
    /// A container has no name.
    ContainerWithoutName,
    /// The template's API does not take what the Pods will get.
    NotInTemplate,
    /// The Pods' containers are not in the document.
    NoContainer,
    /// It looks like a Pod's template, and no controller makes Pods of it.
    NotATemplate,
    /// Kubernetes would not take it as an object.
    NotAnObject,
    /// Another tool makes the manifests of it.
    NotRendered,
    /// A Pod asks for a GPU, and names no class.
    GpuWithoutClass,
    /// A controller adds a container, and so it is not clear which gets the GPU.
    AddedContainer,
}

impl Topic {
    /// The stable word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LabelElsewhere => "LabelElsewhere",
            Self::DaemonSetTemplate => "DaemonSetTemplate",
            Self::SurgeNeedsGpu => "SurgeNeedsGpu",
            Self::LimitReadEarly => "LimitReadEarly",
            Self::NotAQuantity => "NotAQuantity",
            Self::ContainerWithoutName => "ContainerWithoutName",
            Self::NotInTemplate => "NotInTemplate",
            Self::NoContainer => "NoContainer",
            Self::NotATemplate => "NotATemplate",
            Self::NotAnObject => "NotAnObject",
            Self::NotRendered => "NotRendered",
            Self::GpuWithoutClass => "GpuWithoutClass",
            Self::AddedContainer => "AddedContainer",
        }
    }

    /// How much it matters: an error is what the API server does not take, a note of what a preview cannot show.
    const fn severity(self) -> Severity {
        match self {
            // a DaemonSet whose template says nothing makes Pods that never start, on every other node
            Self::NotAQuantity
            | Self::ContainerWithoutName
            | Self::NotAnObject
            | Self::DaemonSetTemplate => Severity::Error,
            Self::NotInTemplate
            | Self::NoContainer
            | Self::NotATemplate
            | Self::NotRendered
            | Self::GpuWithoutClass
            | Self::AddedContainer => Severity::Note,
            _ => Severity::Warning,
        }
    }

    /// Says it about a field, which is a JSON Pointer in the document.
    fn of(self, pointer: &str, message: impl Into<String>, help: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code: Some(self.as_str()),
            severity: self.severity(),
            field: field(pointer),
            message: message.into(),
            help: Some(help.into()),
            place: None,
        }
    }
}

/// What there is to say about a Pod's place in its document.
pub(super) fn of_pod(
    document: &Value,
    pod: &PodPreview,
    table: &AllocationTable,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if pod.left_out.is_some() {
        return;
    }
    let elsewhere = elsewhere(document, pod, table);
    let has_class_elsewhere = !elsewhere.is_empty();
    diagnostics.extend(elsewhere);
    diagnostics.extend(warnings(document, pod));
    if pod.class.is_none() {
        let without_class = || gpu_without_class(document, pod, table);
        diagnostics.extend((!has_class_elsewhere).then(without_class).flatten());
        return;
    }
    for list in ["initContainers", "containers"] {
        let path = format!("{}/{list}", pod.template.spec);
        let containers = document.pointer(&path).and_then(Value::as_array);
        for (i, container) in containers.into_iter().flatten().enumerate() {
            of_container(container, &format!("{path}/{i}"), pod, diagnostics);
        }
    }
    diagnostics.extend(daemon_set(pod));
    diagnostics.extend(surge(document, pod));
    diagnostics.extend(limit_read_early(document, pod));
    diagnostics.extend(not_in_template(pod));
    diagnostics.extend(added_container(document, pod));
}

/// A GPU that berth does not look at.
fn gpu_without_class(
    document: &Value,
    pod: &PodPreview,
    table: &AllocationTable,
) -> Option<Diagnostic> {
    if pod.reason() != Reason::NoClass {
        return None;
    }
    let path = format!("{}/containers", pod.template.spec);
    let containers = document.pointer(&path).and_then(Value::as_array);
    let mut containers = containers.into_iter().flatten().enumerate();
    containers.find_map(|(i, container)| {
        let limits = container["resources"]["limits"].as_object()?;
        let is_asked = |amount: &Value| *amount != 0 && *amount != "0" && !amount.is_null();
        let mut limits = limits.iter();
        let (gpu, _) = limits.find(|(name, amount)| table.is_gpu(name) && is_asked(amount))?;
        Some(Topic::GpuWithoutClass.of(
            &format!("{path}/{i}/resources/limits/{}", pointer_segment(gpu)),
            format!("a limit of {gpu}, and no workload class: berth leaves the Pod alone"),
            format!(
                "add the label {}, if berth should place it",
                table.class_label()
            ),
        ))
    })
}

/// Why it is not clear which container gets the GPU, where the author has written one alone.
fn added_container(document: &Value, pod: &PodPreview) -> Option<Diagnostic> {
    let added = pod.template.added(document)?;
    (pod.reason() == Reason::ContainerAmbiguous).then(|| {
        let kind = &pod.kind;
        Topic::AddedContainer.of(
            &format!("{}/containers", pod.template.spec),
            format!("the controller of a {kind} adds the container {added:?} to these Pods"),
            format!(
                "name your container in the annotation {CONTAINER_ANNOTATION} of this template"
            ),
        )
    })
}

/// What there is to say about a document without Pods.
pub(super) fn of_document(document: &Value, table: &AllocationTable) -> Option<Diagnostic> {
    let has = |field: &str| {
        document[field]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    };
    if !has("apiVersion") || !has("kind") {
        return Some(Topic::NotAnObject.of(
            "",
            "not a Kubernetes object: it has no apiVersion and kind",
            "preview what kubectl would apply: a chart rendered, not its values",
        ));
    }
    let objects = document["items"].as_array().into_iter().flatten();
    let mut all = objects.clone().chain([document]);
    if let Some(rendered) = all.find_map(not_rendered) {
        return Some(rendered);
    }
    let runtime = objects.chain([document]).find(|object| {
        let kind = object["kind"].as_str().unwrap_or_default();
        let group = object["apiVersion"].as_str().unwrap_or_default();
        group.starts_with("serving.kserve.io/") && kind.ends_with("ServingRuntime")
    });
    if let Some(runtime) = runtime {
        let kind = runtime["kind"].as_str().unwrap_or_default();
        let message = format!(
            "a {kind} only looks like a Pod: KServe mixes it into the Pods of an InferenceService"
        );
        let help = "preview the InferenceService, which has the label";
        return Some(Topic::NotATemplate.of("/kind", message, help));
    }
    labelled(document, "", table.class_label()).map(|path| {
        Topic::NoContainer.of(
            &path,
            "this object has no Pod template",
            advice(document).unwrap_or("preview the Pods that its controller creates"),
        )
    })
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
fn not_rendered(object: &Value) -> Option<Diagnostic> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (group, kind) = (text("apiVersion"), text("kind"));
    let row = |row: &&(&str, &str, &str)| group.starts_with(row.0) && kind == row.1;
    let (_, _, help) = NOT_RENDERED.iter().find(row)?;
    let message = format!("the Pods of a {kind} are in what is rendered from it, not here");
    Some(Topic::NotRendered.of("/kind", message, *help))
}

/// The Pods' containers come from elsewhere.
pub(super) fn no_container(template: &PodTemplate) -> Diagnostic {
    Topic::NoContainer.of(
        &template.spec,
        "the containers are not in this object: its controller adds them",
        "berth decides when the Pod is created; preview that Pod",
    )
}

/// The first map of labels that has a key.
fn labelled(value: &Value, path: &str, label: &str) -> Option<String> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            let path = format!("{path}/{}", pointer_segment(key));
            if key == "labels" && value.get(label).is_some() {
                return Some(format!("{path}/{}", pointer_segment(label)));
            }
            labelled(value, &path, label)
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(i, item)| labelled(item, &format!("{path}/{i}"), label)),
        _ => None,
    }
}

/// Labels and annotations for berth that stand where no Pod gets them.
fn elsewhere(document: &Value, pod: &PodPreview, table: &AllocationTable) -> Vec<Diagnostic> {
    let template = &pod.template;
    let (labels, annotations) = (template.labels(document), template.annotations(document));
    let keys: [(&str, bool, Option<&String>); 3] = [
        (
            table.class_label(),
            labels.contains_key(table.class_label()),
            template.labels.last(),
        ),
        (
            INJECT_LABEL,
            labels.contains_key(INJECT_LABEL),
            template.labels.last(),
        ),
        (
            CONTAINER_ANNOTATION,
            annotations.contains_key(CONTAINER_ANNOTATION),
            template.annotations.last(),
        ),
    ];
    let missing = keys.into_iter().filter(|(_, is_there, _)| !is_there);
    let found = missing.filter_map(|(key, _, right)| {
        let segment = pointer_segment(key);
        let mut places = ancestors(&template.spec).flat_map(|above| {
            ["labels", "annotations"].map(|it| format!("{above}/metadata/{it}/{segment}"))
        });
        let path = places.find(|path| document.pointer(path).is_some())?;
        let kind = if right == template.labels.last() {
            "a label"
        } else {
            "an annotation"
        };
        Some(Topic::LabelElsewhere.of(
            &path,
            format!("{key} is here, and the Pods do not get it as {kind}"),
            format!("move it to {}", field(right?)),
        ))
    });
    found.collect()
}

/// What the server would warn of, at the container that it names, else at the Pod's spec.
fn warnings(document: &Value, pod: &PodPreview) -> Vec<Diagnostic> {
    // this one has a check of its own, which says more
    let warnings = pod.warnings().iter();
    let warnings = warnings.filter(|it| **it != Warning::DaemonSetTemplate);
    let found = warnings.map(|warning| {
        let text = warning.to_string();
        let place = |list: &str| {
            let path = format!("{}/{list}", pod.template.spec);
            let containers = document.pointer(&path).and_then(Value::as_array)?;
            let name = warning.container()?;
            let at = containers.iter().position(|it| it["name"] == name)?;
            Some(format!("{path}/{at}"))
        };
        let place = place("containers").or_else(|| place("initContainers"));
        Diagnostic {
            code: Some(warning.as_str()),
            severity: Severity::Warning,
            field: field(&place.unwrap_or_else(|| pod.template.spec.clone())),
            message: text.strip_prefix("berth: ").unwrap_or(&text).to_owned(),
            help: None,
            place: None,
        }
    });
    found.collect()
}

fn of_container(
    container: &Value,
    path: &str,
    pod: &PodPreview,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if !pod.template.names_containers() && container["name"].as_str().is_none_or(str::is_empty) {
        diagnostics.push(Topic::ContainerWithoutName.of(
            &format!("{path}/name"),
            "the container has no name",
            "give it one",
        ));
    }
    for list in ["limits", "requests"] {
        let amounts = container["resources"][list].as_object();
        for (resource, amount) in amounts.into_iter().flatten() {
            let is_quantity = match amount {
                Value::String(text) => Quantity::parse(text).is_some(),
                other => other.is_number() || other.is_null(),
            };
            // a denial names it already
            let is_told = || {
                let message = pod.message().unwrap_or_default();
                message.contains(&format!("{list}[{resource}]: {amount}"))
            };
            if !is_quantity && !is_told() {
                diagnostics.push(Topic::NotAQuantity.of(
                    &format!("{path}/resources/{list}/{}", pointer_segment(resource)),
                    format!("{amount} is not a quantity"),
                    "write a number, as 1, 500m or 2Gi",
                ));
            }
        }
    }
}

fn daemon_set(pod: &PodPreview) -> Option<Diagnostic> {
    let is_judged = pod.warnings().contains(&Warning::DaemonSetTemplate);
    is_judged.then(|| {
        Topic::DaemonSetTemplate.of(
            &pod.template.spec,
            "a DaemonSet's controller judges nodes by this template, not by what berth adds to the Pods",
            "write tolerations and nodeSelector here, too: `berth preview -o yaml` does so with the node affinity",
        )
    })
}

/// A rollout that must start a new Pod before an old one ends. What the author has not written is a note.
fn surge(document: &Value, pod: &PodPreview) -> Option<Diagnostic> {
    let object = document.pointer(&pod.template.object)?;
    let (Some(pool), Some(_)) = (pod.pool(), pod.container()) else {
        return None;
    };
    let replicas = object["spec"]["replicas"].as_u64().unwrap_or(1);
    let strategy = &object["spec"]["strategy"];
    let (second_set, update) = match &*pod.kind {
        "Deployment" if strategy["type"] == "Recreate" => return None,
        "Deployment" => (false, &strategy["rollingUpdate"]),
        "Rollout" if strategy["blueGreen"].is_object() => (true, &strategy["blueGreen"]),
        "Rollout" => (false, &strategy["canary"]),
        _ => return None,
    };
    let share = |field: &str| Share::read(&update[field]);
    let surge = share("maxSurge").rounded_up(replicas);
    let unavailable = share("maxUnavailable").rounded_down(replicas);
    let waits = replicas > 0 && (second_set || (surge > 0 && unavailable == 0));
    let is_written =
        second_set || !update["maxSurge"].is_null() || !update["maxUnavailable"].is_null();
    let path = if strategy.is_null() {
        "spec"
    } else {
        "spec/strategy"
    };
    let (what, help) = match (second_set, &*pod.kind) {
        (true, _) => (
            "a blue-green rollout starts a second set of Pods before the first ends",
            "use spec.strategy.canary with maxSurge: 0 and maxUnavailable: 1, or keep a GPU to spare",
        ),
        (false, "Rollout") => (
            "a rollout starts a new Pod before an old one ends",
            "set spec.strategy.canary.maxSurge: 0 and maxUnavailable: 1",
        ),
        (false, _) => (
            "a rollout starts a new Pod before an old one ends",
            "set spec.strategy.type: Recreate, or spec.strategy.rollingUpdate.maxSurge: 0",
        ),
    };
    waits.then(|| Diagnostic {
        severity: if is_written {
            Severity::Error
        } else {
            Severity::Note
        },
        ..Topic::SurgeNeedsGpu.of(
            &format!("{}/{path}", pod.template.object),
            format!("{what}, and hangs where pool {pool:?} has no GPU to spare"),
            help,
        )
    })
}

/// `maxSurge` or `maxUnavailable`.
enum Share {
    Percent(u64),
    Pods(u64),
}

impl Share {
    /// What is absent is a quarter.
    fn read(value: &Value) -> Self {
        let percent = value.as_str().and_then(|text| text.strip_suffix('%'));
        match (value.as_u64(), percent.and_then(|text| text.parse().ok())) {
            (Some(pods), _) => Self::Pods(pods),
            (None, Some(percent)) => Self::Percent(percent),
            (None, None) => Self::Percent(25),
        }
    }

    fn rounded_up(&self, replicas: u64) -> u64 {
        match self {
            Self::Percent(percent) => percent.saturating_mul(replicas).div_ceil(100),
            Self::Pods(pods) => *pods,
        }
    }

    fn rounded_down(&self, replicas: u64) -> u64 {
        match self {
            Self::Percent(percent) => percent.saturating_mul(replicas) / 100,
            Self::Pods(pods) => *pods,
        }
    }
}

/// Ray, Volcano and Kueue count the template's GPUs before there is a Pod.
fn limit_read_early(document: &Value, pod: &PodPreview) -> Option<Diagnostic> {
    let mut paths = pod.patch.iter().map(|operation| operation.path().as_str());
    let adds_limit = paths.any(|path| path.contains("/resources"));
    let reader = early_reader(document, pod).filter(|_| adds_limit)?;
    Some(Topic::LimitReadEarly.of(
        &pod.template.spec,
        format!(
            "{reader} from this template before berth adds the limit to the Pods, and sees no GPU"
        ),
        "write the limit here, too: `berth preview -o yaml` does, and berth keeps it",
    ))
}

fn not_in_template(pod: &PodPreview) -> Option<Diagnostic> {
    let is_missing = |path: &str| !pod.template.takes(path);
    let mut paths = pod.patch.iter().map(|operation| operation.path().as_str());
    paths.any(is_missing).then(|| {
        Topic::NotInTemplate.of(
            &pod.template.spec,
            "Knative takes no placement in a template, unless its flags kubernetes.podspec-* allow it",
            "leave it to berth, which places the Pods when they are created",
        )
    })
}

fn early_reader(document: &Value, pod: &PodPreview) -> Option<&'static str> {
    let object = document.pointer(&pod.template.object)?;
    let group = object["apiVersion"].as_str().unwrap_or_default();
    let ray_is_told = ancestors(&pod.template.spec).any(|above| {
        document
            .pointer(&format!("{above}/rayStartParams/num-gpus"))
            .is_some()
    });
    // these are queued Pod by Pod, after berth
    let by_pod = ["Pod", "Deployment", "StatefulSet", "ReplicaSet"].contains(&&*pod.kind);
    let queue = &object["metadata"]["labels"]["kueue.x-k8s.io/queue-name"];
    if group.starts_with("ray.io/") && !ray_is_told {
        Some("KubeRay takes num-gpus")
    } else if group.starts_with("batch.volcano.sh/") {
        Some("Volcano takes minResources")
    } else if queue.is_string() && !by_pod {
        Some("Kueue counts the quota")
    } else {
        None
    }
}
