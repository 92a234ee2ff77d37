//! What no webhook can say, since it sees the Pod alone, and only when it is too late.

use serde_json::Value;

use super::PodPreview;
use crate::workload::{Site, ancestors, field};
use berth_core::{
    outcome::Warning, patch::pointer_segment, quantity::Quantity, table::AllocationTable,
};

/// Something in a document that its author should know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What it is about.
    pub topic: Topic,
    /// The field, as a JSON Pointer in the document.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to change.
    pub help: String,
}

/// What a finding is about.
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
    /// No quantity.
    NotAQuantity,
    /// A container has no name.
    ContainerWithoutName,
    /// The template's API refuses what the Pods will get.
    NotInTemplate,
    /// The Pods' containers are not in the document.
    NoContainer,
    /// It looks like a Pod's template, and is none.
    NotATemplate,
    /// No object of Kubernetes.
    NotAnObject,
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
        }
    }

    /// Whether there is nothing to change: only something that a preview cannot show.
    #[must_use]
    pub const fn is_note(self) -> bool {
        matches!(
            self,
            Self::NotInTemplate | Self::NoContainer | Self::NotATemplate
        )
    }
}

/// What there is to say about a Pod's place in its document.
pub(super) fn of_pod(
    document: &Value,
    pod: &PodPreview,
    table: &AllocationTable,
    findings: &mut Vec<Finding>,
) {
    if pod.class.is_none() {
        findings.extend(label_elsewhere(document, pod, table));
        return;
    }
    for list in ["initContainers", "containers"] {
        let path = format!("{}/{list}", pod.site.spec);
        let containers = document.pointer(&path).and_then(Value::as_array);
        for (i, container) in containers.into_iter().flatten().enumerate() {
            of_container(container, &format!("{path}/{i}"), findings);
        }
    }
    findings.extend(daemon_set(pod));
    findings.extend(surge(document, pod));
    findings.extend(limit_read_early(document, pod));
    findings.extend(not_in_template(document, pod));
}

/// What there is to say about a document without Pods.
pub(super) fn of_document(document: &Value, table: &AllocationTable) -> Option<Finding> {
    let has = |field: &str| {
        document[field]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    };
    if !has("apiVersion") || !has("kind") {
        return Some(Finding {
            topic: Topic::NotAnObject,
            path: String::new(),
            message: "no object of Kubernetes: it has no apiVersion and kind".to_owned(),
            help: "preview what kubectl would apply: a chart rendered, not its values".to_owned(),
        });
    }
    let objects = document["items"].as_array().into_iter().flatten();
    let runtime = objects.chain([document]).find(|object| {
        let kind = object["kind"].as_str().unwrap_or_default();
        let group = object["apiVersion"].as_str().unwrap_or_default();
        group.starts_with("serving.kserve.io/") && kind.ends_with("ServingRuntime")
    });
    if let Some(runtime) = runtime {
        let kind = runtime["kind"].as_str().unwrap_or_default();
        return Some(Finding {
            topic: Topic::NotATemplate,
            path: "/kind".to_owned(),
            message: format!(
                "a {kind} only looks like a Pod: KServe mixes it into the Pods of an InferenceService"
            ),
            help: "preview the InferenceService, which has the label".to_owned(),
        });
    }
    labelled(document, "", table.class_label()).map(|path| Finding {
        topic: Topic::NoContainer,
        path,
        message: "there is no container here to see".to_owned(),
        help: "preview the Pods that come of it".to_owned(),
    })
}

/// The Pods' containers come from elsewhere.
pub(super) fn no_container(site: &Site) -> Finding {
    Finding {
        topic: Topic::NoContainer,
        path: site.spec.clone(),
        message: "there is no container here to see: its controller makes it later".to_owned(),
        help: "berth decides when the Pod is created; preview that Pod".to_owned(),
    }
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

fn label_elsewhere(document: &Value, pod: &PodPreview, table: &AllocationTable) -> Option<Finding> {
    let label = pointer_segment(table.class_label());
    let mut places = ancestors(&pod.site.spec).flat_map(|above| {
        ["labels", "annotations"].map(|it| format!("{above}/metadata/{it}/{label}"))
    });
    let path = places.find(|path| document.pointer(path).is_some())?;
    let right = pod.site.labels.last()?;
    Some(Finding {
        topic: Topic::LabelElsewhere,
        path,
        message: format!(
            "{} stands here, and the Pods do not get it as a label",
            table.class_label()
        ),
        help: format!("move it to {}", field(right)),
    })
}

fn of_container(container: &Value, path: &str, findings: &mut Vec<Finding>) {
    if container["name"].as_str().is_none_or(str::is_empty) {
        findings.push(Finding {
            topic: Topic::ContainerWithoutName,
            path: format!("{path}/name"),
            message: "the container has no name".to_owned(),
            help: "give it one".to_owned(),
        });
    }
    for list in ["limits", "requests"] {
        let amounts = container["resources"][list].as_object();
        for (resource, amount) in amounts.into_iter().flatten() {
            let is_quantity = match amount {
                Value::String(text) => Quantity::parse(text).is_some(),
                other => other.is_number() || other.is_null(),
            };
            if !is_quantity {
                findings.push(Finding {
                    topic: Topic::NotAQuantity,
                    path: format!("{path}/resources/{list}/{}", pointer_segment(resource)),
                    message: format!("{amount} is no quantity"),
                    help: "write a number, as 1, 500m or 2Gi".to_owned(),
                });
            }
        }
    }
}

fn daemon_set(pod: &PodPreview) -> Option<Finding> {
    let is_judged = pod.warnings().contains(&Warning::DaemonSetTemplate);
    is_judged.then(|| Finding {
        topic: Topic::DaemonSetTemplate,
        path: pod.site.spec.clone(),
        message: "a DaemonSet's controller judges nodes by this template, not by what berth adds to the Pods".to_owned(),
        help: "write tolerations and nodeSelector here, too: `berth preview -o yaml` does so with the node affinity".to_owned(),
    })
}

/// A rollout that must start a new Pod before an old one ends.
fn surge(document: &Value, pod: &PodPreview) -> Option<Finding> {
    let object = document.pointer(&pod.site.object)?;
    let (Some(pool), Some(_), "Deployment") = (pod.pool(), pod.container(), &*pod.kind) else {
        return None;
    };
    let strategy = &object["spec"]["strategy"];
    let replicas = object["spec"]["replicas"].as_u64().unwrap_or(1);
    let share = |field: &str| Share::read(&strategy["rollingUpdate"][field]);
    let surge = share("maxSurge").rounded_up(replicas);
    let unavailable = share("maxUnavailable").rounded_down(replicas);
    let waits = strategy["type"] != "Recreate" && replicas > 0 && surge > 0 && unavailable == 0;
    let path = if strategy.is_null() {
        "spec"
    } else {
        "spec/strategy"
    };
    waits.then(|| Finding {
        topic: Topic::SurgeNeedsGpu,
        path: format!("{}/{path}", pod.site.object),
        message: format!(
            "a rollout starts a new Pod before an old one ends, and hangs where pool {pool:?} has no GPU to spare"
        ),
        help: "set spec.strategy.type: Recreate, or spec.strategy.rollingUpdate.maxSurge: 0".to_owned(),
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
fn limit_read_early(document: &Value, pod: &PodPreview) -> Option<Finding> {
    let mut paths = pod.patch.iter().map(|operation| operation.path().as_str());
    let adds_limit = paths.any(|path| path.contains("/resources"));
    let reader = early_reader(document, pod).filter(|_| adds_limit)?;
    Some(Finding {
        topic: Topic::LimitReadEarly,
        path: pod.site.spec.clone(),
        message: format!(
            "{reader} from this template before berth adds the limit to the Pods, and sees no GPU"
        ),
        help: "write the limit here, too: `berth preview -o yaml` does, and berth keeps it"
            .to_owned(),
    })
}

fn not_in_template(document: &Value, pod: &PodPreview) -> Option<Finding> {
    let refused = |path: &str| !pod.site.takes(document, path);
    let mut paths = pod.patch.iter().map(|operation| operation.path().as_str());
    paths.any(refused).then(|| Finding {
        topic: Topic::NotInTemplate,
        path: pod.site.spec.clone(),
        message: "Knative takes no placement in a template, unless its flags kubernetes.podspec-* allow it".to_owned(),
        help: "leave it to berth, which places the Pods when they are created".to_owned(),
    })
}

fn early_reader(document: &Value, pod: &PodPreview) -> Option<&'static str> {
    let object = document.pointer(&pod.site.object)?;
    let group = object["apiVersion"].as_str().unwrap_or_default();
    let ray_is_told = ancestors(&pod.site.spec).any(|above| {
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
