//! The kinds whose APIs differ from what the shape of a Pod template says: how a Pod comes by its labels, which containers
//! a controller adds before berth sees the Pod, and what defaults it gives. One table; each row names its source.

use berth_core::container_annotation;
use serde_json::{Value, json};

use super::{Owner, PodTemplate, ancestors};

/// What there is to know of a kind.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Kind {
    /// How its `apiVersion` begins.
    group: &'static str,
    /// Its `kind`.
    name: &'static str,
    /// Where Pods come from that no template's shape shows: the parent of `labels` and `annotations`, and the spec below
    /// it.
    specs: &'static [(&'static str, &'static str)],
    /// Whose labels its Pods get.
    pub(super) labels: Metadata,
    /// Whose annotations its Pods get.
    pub(super) annotations: Metadata,
    /// A container that its controller adds.
    adds: Option<Added>,
    /// What its API calls a container without a name; empty where it wants one.
    pub(super) unnamed: &'static str,
    /// What to do where it has the class label, and no template.
    advice: &'static str,
}

/// Whose labels or annotations a Pod gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Metadata {
    /// Those of the template alone, as with Kubernetes' own kinds.
    Template,
    /// Those of the object alone.
    Object,
    /// Those of both; the template wins.
    Both,
}

/// A container that a controller adds to the Pods of a template.
#[derive(Debug, Eq, PartialEq)]
struct Added {
    name: &'static str,
    /// A field above the template that must be true.
    if_set: &'static str,
    /// The field that the template is below.
    below: &'static str,
}

/// A kind like Kubernetes' own: the template's metadata, and nothing added.
const PLAIN: Kind = Kind {
    group: "",
    name: "",
    specs: &[],
    labels: Metadata::Template,
    annotations: Metadata::Template,
    adds: None,
    unnamed: "",
    advice: "",
};

/// With the cluster's autoscaler, the operator appends its container to the head's Pod.
const RAY_AUTOSCALER: Option<Added> = Some(Added {
    name: "autoscaler",
    if_set: "enableInTreeAutoscaling",
    below: "/headGroupSpec/",
});

const WORKFLOW: &str = concat!(
    "put the label into spec.podMetadata.labels or a template's metadata.labels; Argo adds the container \"wait\", so give \
     the container \"main\" the GPU limit, or set the annotation ",
    container_annotation!(),
    ": main there"
);
const TEKTON: &str = concat!(
    "each step is a container of the Pod, called step-NAME: set the annotation ",
    container_annotation!(),
    " to the one that needs the GPU"
);
const KUBEVIRT: &str = "the label of a VirtualMachineInstance reaches its Pod, whose container is \"compute\"; of a \
    VirtualMachine, that is spec.template.metadata.labels";

/// The table. A kind that is not here has templates, whose metadata its Pods get, and no container is added: so it is
/// with those of `apps` and `batch`, `JobSet` (kubernetes-sigs/jobset `pkg/controllers/jobset_controller.go`, `constructJob`),
/// `LeaderWorkerSet` (kubernetes-sigs/lws `pkg/webhooks/pod_webhook.go`: labels of its own are added), Volcano's `Job`
/// (volcano-sh/volcano `pkg/controllers/job/job_controller_util.go`, `createJobPod`), the training operator's kinds
/// (kubeflow/training-operator `pkg/controller.v1/common/pod.go`, `createNewPod`: only init containers are added) and Argo's
/// `Rollout` (argoproj/argo-rollouts `utils/replicaset`).
const KINDS: &[Kind] = &[
    // kubeflow/kubeflow components/notebook-controller/controllers/notebook_controller.go, generateStatefulSet: the
    // template's spec alone is taken, and the Notebook's labels and annotations
    Kind {
        group: "kubeflow.org/",
        name: "Notebook",
        labels: Metadata::Object,
        annotations: Metadata::Object,
        ..PLAIN
    },
    // kserve/kserve pkg/controller/v1beta1/inferenceservice/components/predictor.go: Union(isvc.Labels, predictorLabels)
    Kind {
        group: "serving.kserve.io/",
        name: "InferenceService",
        specs: &[
            ("/spec/predictor", ""),
            ("/spec/transformer", ""),
            ("/spec/explainer", ""),
        ],
        labels: Metadata::Both,
        ..PLAIN
    },
    // kserve/kserve pkg/apis/serving/v1alpha1/llm_inference_service_types.go
    Kind {
        group: "serving.kserve.io/",
        name: "LLMInferenceService",
        specs: &[
            ("/spec", "/template"),
            ("/spec", "/worker"),
            ("/spec/prefill", "/template"),
            ("/spec/prefill", "/worker"),
        ],
        ..PLAIN
    },
    // knative/serving pkg/apis/serving/v1/revision_defaults.go, applyDefaultContainerNames. The queue-proxy that is added
    // is one of the injected containers that berth never means
    Kind {
        group: "serving.knative.dev/",
        name: "Service",
        unnamed: "user-container",
        ..PLAIN
    },
    Kind {
        group: "serving.knative.dev/",
        name: "Configuration",
        unnamed: "user-container",
        ..PLAIN
    },
    Kind {
        group: "serving.knative.dev/",
        name: "Revision",
        unnamed: "user-container",
        ..PLAIN
    },
    // kubeflow/spark-operator api/v1beta2/sparkapplication_types.go: SparkPodSpec has labels and annotations; Spark makes
    // the container
    Kind {
        group: "sparkoperator.k8s.io/",
        name: "SparkApplication",
        specs: &[("/spec/driver", ""), ("/spec/executor", "")],
        ..PLAIN
    },
    Kind {
        group: "sparkoperator.k8s.io/",
        name: "ScheduledSparkApplication",
        specs: &[
            ("/spec/template/driver", ""),
            ("/spec/template/executor", ""),
        ],
        ..PLAIN
    },
    // ray-project/kuberay ray-operator/controllers/ray/common/pod.go, DefaultHeadPodTemplate
    Kind {
        group: "ray.io/",
        name: "RayCluster",
        adds: RAY_AUTOSCALER,
        ..PLAIN
    },
    Kind {
        group: "ray.io/",
        name: "RayJob",
        adds: RAY_AUTOSCALER,
        ..PLAIN
    },
    Kind {
        group: "ray.io/",
        name: "RayService",
        adds: RAY_AUTOSCALER,
        ..PLAIN
    },
    // argoproj/argo-workflows workflow/controller/workflowpod.go, addMetadata and createWorkflowPod
    Kind {
        group: "argoproj.io/",
        name: "Workflow",
        advice: WORKFLOW,
        ..PLAIN
    },
    Kind {
        group: "argoproj.io/",
        name: "WorkflowTemplate",
        advice: WORKFLOW,
        ..PLAIN
    },
    Kind {
        group: "argoproj.io/",
        name: "ClusterWorkflowTemplate",
        advice: WORKFLOW,
        ..PLAIN
    },
    Kind {
        group: "argoproj.io/",
        name: "CronWorkflow",
        advice: WORKFLOW,
        ..PLAIN
    },
    // tektoncd/pipeline pkg/pod/pod.go, makeLabels and the steps' containers
    Kind {
        group: "tekton.dev/",
        name: "Task",
        advice: TEKTON,
        ..PLAIN
    },
    Kind {
        group: "tekton.dev/",
        name: "TaskRun",
        advice: TEKTON,
        ..PLAIN
    },
    Kind {
        group: "tekton.dev/",
        name: "PipelineRun",
        advice: TEKTON,
        ..PLAIN
    },
    // kubevirt/kubevirt pkg/virt-controller/services/template.go, podLabels and renderLaunchManifest
    Kind {
        group: "kubevirt.io/",
        name: "VirtualMachine",
        advice: KUBEVIRT,
        ..PLAIN
    },
    Kind {
        group: "kubevirt.io/",
        name: "VirtualMachineInstance",
        advice: KUBEVIRT,
        ..PLAIN
    },
];

/// The fields that Knative's validation does not allow in a template, unless a flag of the cluster allows each.
const NOT_IN_KNATIVE: &[&str] = &[
    "affinity",
    "nodeSelector",
    "runtimeClassName",
    "schedulerName",
    "tolerations",
];

impl Metadata {
    /// The maps of this name, in the object and in what its template has.
    pub(super) fn maps(self, map: &str, object: &str, template: &str) -> Vec<String> {
        let own = format!("{object}/metadata/{map}");
        let of_template = format!("{template}/metadata/{map}");
        match self {
            Self::Template => vec![of_template],
            Self::Object => vec![own],
            Self::Both => vec![own, of_template],
        }
    }
}

impl Kind {
    /// What there is to know of a kind; none where it is like Kubernetes' own.
    pub(super) fn of(group: &str, kind: &str) -> Option<&'static Self> {
        let mut all = KINDS.iter();
        all.find(|known| known.name == kind && group.starts_with(known.group))
    }

    /// The Pods that no template's shape shows.
    pub(super) fn templates_in(
        &'static self,
        value: &Value,
        object: Owner<'_>,
    ) -> impl Iterator<Item = PodTemplate> {
        let there = |spec: &str| value.pointer(spec).is_some_and(Value::is_object);
        let inherited = self.labels == Metadata::Both;
        let inherited = inherited.then(|| format!("{}/metadata/labels", object.path));
        self.specs
            .iter()
            .filter(move |(parent, spec)| there(&format!("{parent}{spec}")))
            .map(move |(parent, spec)| PodTemplate {
                object: object.path.to_owned(),
                spec: format!("{}{parent}{spec}", object.path),
                labels: inherited
                    .iter()
                    .cloned()
                    .chain([format!("{}{parent}/labels", object.path)])
                    .collect(),
                annotations: vec![format!("{}{parent}/annotations", object.path)],
                api_version: object.api_version.to_owned(),
                kind: object.kind.to_owned(),
                known: Some(self),
            })
    }

    /// A spec with what the controller adds to it: the names that are left out, and a container.
    pub(super) fn complete(&self, spec: &mut Value, document: &Value, path: &str) {
        let containers = spec.get_mut("containers").and_then(Value::as_array_mut);
        let Some(containers) = containers else {
            return;
        };
        if !self.unnamed.is_empty() {
            name(containers, self.unnamed);
        }
        let added = self.added(document, path);
        containers.extend(added.map(|name| json!({"name": name})));
    }

    /// The container that the controller adds to the Pods of a template, which is there in a document.
    pub(super) fn added(&self, document: &Value, path: &str) -> Option<&'static str> {
        let added = self.adds.as_ref()?;
        let is_set = |above: &str| {
            let flag = document.pointer(&format!("{above}/{}", added.if_set));
            flag.is_some_and(|flag| *flag == true)
        };
        let is_added = path.contains(added.below) && ancestors(path).any(is_set);
        is_added.then_some(added.name)
    }
}

/// Names the containers that have no name: one alone as it is called, several with a number that is free.
fn name(containers: &mut [Value], default: &str) {
    let is_alone = containers.len() == 1;
    let taken: Vec<Value> = containers.iter().map(|it| it["name"].clone()).collect();
    let free = (0..).map(|i: usize| Value::from(format!("{default}-{i}")));
    let mut free = free.filter(|name| !taken.contains(name));
    for container in containers.iter_mut().filter(|it| it.is_object()) {
        if container["name"].as_str().is_none_or(str::is_empty) {
            let name = if is_alone { None } else { free.next() };
            container["name"] = name.unwrap_or_else(|| default.into());
        }
    }
}

/// What to do where an object of a kind has the class label, and no Pod template.
pub(crate) fn advice(object: &Value) -> Option<&'static str> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let known = Kind::of(text("apiVersion"), text("kind"))?;
    Some(known.advice).filter(|advice| !advice.is_empty())
}

/// Whether a group's API takes a field of the Pod's spec in its templates.
pub(super) fn takes(group: &str, field: &str) -> bool {
    !(group.starts_with("serving.knative.dev/") && NOT_IN_KNATIVE.contains(&field))
}
