//! The kinds whose APIs differ from what the shape of a Pod template says: how a Pod comes by its labels, which containers
//! a controller adds before berth sees the Pod, and what defaults it gives. One table; each row names its source.

use std::iter;

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
    /// Where Pods come from that no template's shape shows.
    specs: &'static [Spec],
    /// Whose labels its Pods get; a later one wins.
    pub(super) labels: &'static [Metadata],
    /// Whose annotations its Pods get; a later one wins.
    pub(super) annotations: &'static [Metadata],
    /// The containers that its controller adds.
    adds: &'static [Added],
    /// What its API does with a container without a name.
    pub(super) unnamed: Unnamed,
    /// The scheduler of its Pods where neither the template nor a `schedulerName` above it names one; empty for the
    /// cluster's default.
    scheduler: &'static str,
    /// Whether what looks like a template in it changes the templates of others.
    pub(super) is_patch: bool,
    /// What to do where it has the class label, and no template.
    advice: Option<Advice>,
}

/// What to do with the class label in an object whose controller makes Pods without a template.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Advice {
    /// The labels that reach the Pods, each as how its path ends; `*` is any segment.
    right: &'static [&'static str],
    /// What to do with a label that is elsewhere.
    move_it: &'static str,
    /// What there is to know of the Pods; may be empty.
    then: &'static str,
}

impl Advice {
    /// Whether a label reaches the Pods, by its path in the object.
    pub(crate) fn reaches(&self, label: &str) -> bool {
        let ends_as = |end: &str| {
            let segments = label.rsplit('/').map(Some).chain(iter::repeat(None));
            let mut pairs = end.rsplit('/').zip(segments);
            pairs.all(|(wanted, segment)| {
                segment.is_some() && (wanted == "*" || segment == Some(wanted))
            })
        };
        self.right.iter().any(|end| ends_as(end))
    }

    /// What to do about a label at a path.
    pub(crate) fn help(&self, label: &str) -> String {
        let then = Some(self.then).filter(|then| !then.is_empty());
        let move_it = (!self.reaches(label)).then_some(self.move_it);
        move_it
            .into_iter()
            .chain(then)
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// A Pod's spec that is no part of a `PodTemplateSpec`.
#[derive(Debug, Eq, PartialEq)]
struct Spec {
    /// What has the labels and annotations beside the spec, as a JSON Pointer in the object.
    group: &'static str,
    /// Where it is below the group.
    path: &'static str,
    /// A template below the group that takes its place, if it is there.
    unless: Option<&'static str>,
}

/// Whose labels or annotations a Pod gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Metadata {
    /// Those of the template, as with Kubernetes' own kinds.
    Template,
    /// Those of the object.
    Object,
    /// Those of what has the template.
    Group,
}

/// What an API does with a container without a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unnamed {
    /// It is invalid, as in Kubernetes' own kinds.
    Invalid,
    /// It gets this name, if it is the first.
    First(&'static str),
    /// It gets this name, and a number behind it if it is not alone.
    Numbered(&'static str),
}

/// A container that a controller adds to the Pods of a template.
#[derive(Debug, Eq, PartialEq)]
struct Added {
    name: &'static str,
    /// A field of the spec, or above the template. The container has its `resources`, if it has such.
    field: &'static str,
    /// What the field must be; empty if it must only be there.
    value: &'static str,
    /// The field that the template is below.
    below: &'static str,
}

/// A kind like Kubernetes' own: the template's metadata, and nothing added.
const PLAIN: Kind = Kind {
    group: "",
    name: "",
    specs: &[],
    labels: &[Metadata::Template],
    annotations: &[Metadata::Template],
    adds: &[],
    unnamed: Unnamed::Invalid,
    scheduler: "",
    is_patch: false,
    advice: None,
};

/// ray-project/kuberay `ray-operator/controllers/ray/common/pod.go`, `DefaultHeadPodTemplate`, `DefaultWorkerPodTemplate` and
/// `mergeLabels`: the labels of the group are added to the template's, and win. For the autoscaler of
/// a cluster its container is appended to the head's Pod. `rayjob_controller.go`, `getSubmitterContainer`: in `SidecarMode`,
/// the head's Pod has the container that submits the job.
const RAY: Kind = Kind {
    group: "ray.io/",
    labels: &[Metadata::Template, Metadata::Group],
    adds: &[
        Added {
            name: "autoscaler",
            field: "enableInTreeAutoscaling",
            value: "true",
            below: "/headGroupSpec/",
        },
        Added {
            name: "ray-job-submitter",
            field: "submissionMode",
            value: "SidecarMode",
            below: "/headGroupSpec/",
        },
    ],
    ..PLAIN
};

/// kubeflow/spark-operator `internal/controller/sparkapplication/submission.go`, `driverConfOption`, `executorConfOption`,
/// `buildDriverPodTemplate` and `buildExecutorPodTemplate`: `template` is what Spark begins with, and its settings for the
/// labels of the application, then of the driver or executor, win. Without a template Spark makes the container.
const SPARK: Kind = Kind {
    group: "sparkoperator.k8s.io/",
    labels: &[Metadata::Template, Metadata::Object, Metadata::Group],
    annotations: &[Metadata::Template, Metadata::Group],
    ..PLAIN
};

/// volcano-sh/volcano `pkg/controllers/job/job_controller_util.go`, `createJobPod`, and
/// `pkg/webhooks/admission/jobs/mutate/mutate_job.go`, `patchDefaultScheduler`: a Pod without a scheduler gets the job's, and a
/// job without one gets Volcano's.
const VOLCANO: Kind = Kind {
    group: "batch.volcano.sh/",
    scheduler: "volcano",
    ..PLAIN
};

/// knative/serving `pkg/apis/serving/v1/revision_defaults.go`, `applyDefaultContainerNames`. The queue-proxy that is added is
/// one of the injected containers that berth never means.
const KNATIVE: Kind = Kind {
    group: "serving.knative.dev/",
    unnamed: Unnamed::Numbered("user-container"),
    ..PLAIN
};

/// A spec that is always there with its group.
const fn spec(group: &'static str, path: &'static str) -> Spec {
    Spec {
        group,
        path,
        unless: None,
    }
}

/// A driver or executor of Spark, which may have a template.
const fn spark(group: &'static str) -> Spec {
    Spec {
        group,
        path: "",
        unless: Some("/template"),
    }
}

const WORKFLOW: Advice = Advice {
    right: &["podMetadata/labels/*", "templates/*/metadata/labels/*"],
    move_it: "put it into spec.podMetadata.labels, or into the metadata.labels of a template",
    then: concat!(
        "Argo adds the container \"wait\": give the container \"main\" the GPU limit, or set the annotation ",
        container_annotation!(),
        ": main beside the label"
    ),
};
const TEKTON: Advice = Advice {
    right: &["metadata/labels/*"],
    move_it: "put it into metadata.labels",
    then: concat!(
        "each step is a container of the Pod, called step-NAME: set the annotation ",
        container_annotation!(),
        " to the one that needs the GPU"
    ),
};
const TRAINER: Advice = Advice {
    right: &[],
    move_it: "put it into the Pod templates of the TrainingRuntime of which its Pods are made, and preview that",
    then: "",
};
const MACHINE: Advice = Advice {
    right: &["template/metadata/labels/*"],
    move_it: "put it into spec.template.metadata.labels",
    then: "the GPU goes to the Pod's container \"compute\"",
};
const INSTANCE: Advice = Advice {
    right: &["metadata/labels/*"],
    move_it: "put it into metadata.labels",
    ..MACHINE
};

/// The table. A kind that is not here has templates, whose metadata its Pods get, and no container is added: so it is
/// with those of `apps` and `batch`, `JobSet` (kubernetes-sigs/jobset `pkg/controllers/jobset_controller.go`, `constructJob`),
/// `LeaderWorkerSet` (kubernetes-sigs/lws `pkg/webhooks/pod_webhook.go`: labels of its own are added), the training operator's
/// kinds (kubeflow/training-operator `pkg/controller.v1/common/pod.go`, `createNewPod`; init containers alone are added), the
/// MPI operator's `MPIJob` (kubeflow/mpi-operator `pkg/controller/mpi_job_controller.go`, `newWorker` and
/// `newLauncherPodTemplate`) and Argo's `Rollout` (argoproj/argo-rollouts `rollout/sync.go`, `createDesiredReplicaSet`).
const KINDS: &[Kind] = &[
    // kubeflow/kubeflow components/notebook-controller/controllers/notebook_controller.go, generateStatefulSet: the
    // template's spec alone is taken, and the Notebook's labels and annotations
    Kind {
        group: "kubeflow.org/",
        name: "Notebook",
        labels: &[Metadata::Object],
        annotations: &[Metadata::Object],
        ..PLAIN
    },
    // kubeflow/trainer pkg/apis/trainer/v1alpha1/trainjob_types.go: runtimePatches change the runtime's templates
    Kind {
        group: "trainer.kubeflow.org/",
        name: "TrainJob",
        is_patch: true,
        advice: Some(TRAINER),
        ..PLAIN
    },
    // kserve/kserve pkg/controller/v1beta1/inferenceservice/components/predictor.go, buildObjectMeta and reconcileWorker, and
    // transformer.go and explainer.go beside it: what the component has wins. pkg/apis/serving/v1beta1/predictor_custom.go,
    // Default. With a model, buildPodSpec adds the runtime's container to those that are here
    Kind {
        group: "serving.kserve.io/",
        name: "InferenceService",
        specs: &[
            spec("/spec/predictor", ""),
            spec("/spec/predictor", "/workerSpec"),
            spec("/spec/transformer", ""),
            spec("/spec/explainer", ""),
        ],
        labels: &[Metadata::Object, Metadata::Group],
        annotations: &[Metadata::Object, Metadata::Group],
        adds: &[Added {
            name: "kserve-container",
            field: "model",
            value: "",
            below: "/predictor",
        }],
        unnamed: Unnamed::First("kserve-container"),
        ..PLAIN
    },
    // kserve/kserve pkg/controller/v1alpha2/llmisvc/workload_single_node.go and workload_multi_node.go: spec.labels and
    // spec.prefill.labels reach the Pods; of the object's own, Kueue's alone do
    Kind {
        group: "serving.kserve.io/",
        name: "LLMInferenceService",
        specs: &[
            spec("/spec", "/template"),
            spec("/spec", "/worker"),
            spec("/spec/prefill", "/template"),
            spec("/spec/prefill", "/worker"),
        ],
        labels: &[Metadata::Group],
        annotations: &[Metadata::Group],
        ..PLAIN
    },
    Kind {
        name: "Service",
        ..KNATIVE
    },
    Kind {
        name: "Configuration",
        ..KNATIVE
    },
    Kind {
        name: "Revision",
        ..KNATIVE
    },
    Kind {
        name: "SparkApplication",
        specs: &[spark("/spec/driver"), spark("/spec/executor")],
        ..SPARK
    },
    Kind {
        name: "ScheduledSparkApplication",
        specs: &[
            spark("/spec/template/driver"),
            spark("/spec/template/executor"),
        ],
        // scheduledsparkapplication/controller.go: the applications that it creates have its labels
        ..SPARK
    },
    Kind {
        name: "RayCluster",
        ..RAY
    },
    Kind {
        name: "RayJob",
        ..RAY
    },
    Kind {
        name: "RayCronJob",
        ..RAY
    },
    Kind {
        name: "RayService",
        ..RAY
    },
    Kind {
        name: "Job",
        ..VOLCANO
    },
    Kind {
        name: "CronJob",
        ..VOLCANO
    },
    // argoproj/argo-workflows workflow/controller/workflowpod.go, addMetadata and createWorkflowPod
    Kind {
        group: "argoproj.io/",
        name: "Workflow",
        advice: Some(WORKFLOW),
        ..PLAIN
    },
    Kind {
        group: "argoproj.io/",
        name: "WorkflowTemplate",
        advice: Some(WORKFLOW),
        ..PLAIN
    },
    Kind {
        group: "argoproj.io/",
        name: "ClusterWorkflowTemplate",
        advice: Some(WORKFLOW),
        ..PLAIN
    },
    Kind {
        group: "argoproj.io/",
        name: "CronWorkflow",
        advice: Some(WORKFLOW),
        ..PLAIN
    },
    // tektoncd/pipeline pkg/pod/pod.go, makeLabels and the steps' containers
    Kind {
        group: "tekton.dev/",
        name: "Task",
        advice: Some(TEKTON),
        ..PLAIN
    },
    Kind {
        group: "tekton.dev/",
        name: "TaskRun",
        advice: Some(TEKTON),
        ..PLAIN
    },
    Kind {
        group: "tekton.dev/",
        name: "PipelineRun",
        advice: Some(TEKTON),
        ..PLAIN
    },
    // kubevirt/kubevirt pkg/virt-controller/services/template.go, podLabels and renderLaunchManifest
    Kind {
        group: "kubevirt.io/",
        name: "VirtualMachine",
        advice: Some(MACHINE),
        ..PLAIN
    },
    Kind {
        group: "kubevirt.io/",
        name: "VirtualMachineInstance",
        advice: Some(INSTANCE),
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

/// The maps of this name, of a template that is below `group` in an object.
pub(super) fn maps(
    of: &[Metadata],
    map: &str,
    object: &str,
    group: &str,
    template: Option<&str>,
) -> Vec<String> {
    let maps = of.iter().filter_map(|whose| match whose {
        Metadata::Template => Some(format!("{}/metadata/{map}", template?)),
        Metadata::Object => Some(format!("{object}/metadata/{map}")),
        Metadata::Group => Some(format!("{group}/{map}")),
    });
    maps.collect()
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
        let there = |path: String| value.pointer(&path).is_some_and(Value::is_object);
        let is_there = move |it: &&Spec| {
            let template = it.unless.map(|below| format!("{}{below}", it.group));
            there(format!("{}{}", it.group, it.path)) && !template.is_some_and(there)
        };
        self.specs.iter().filter(is_there).map(move |it| {
            let group = format!("{}{}", object.path, it.group);
            let maps = |of, map| maps(of, map, object.path, &group, None);
            PodTemplate {
                object: object.path.to_owned(),
                labels: maps(self.labels, "labels"),
                annotations: maps(self.annotations, "annotations"),
                spec: format!("{group}{}", it.path),
                api_version: object.api_version.to_owned(),
                kind: object.kind.to_owned(),
                known: Some(self),
            }
        })
    }

    /// A spec with what the controller adds to it: a scheduler, the names that are left out, and containers.
    pub(super) fn complete(&self, spec: &mut Value, document: &Value, path: &str) {
        if let Some(scheduler) = self.scheduler(spec, document, path) {
            spec["schedulerName"] = scheduler.into();
        }
        let containers = spec.get_mut("containers").and_then(Value::as_array_mut);
        let Some(containers) = containers else {
            return;
        };
        match self.unnamed {
            Unnamed::Invalid => {}
            Unnamed::First(default) => name(containers.get_mut(..1).unwrap_or_default(), default),
            Unnamed::Numbered(default) => name(containers, default),
        }
        let added = self.added(document, path);
        containers.extend(added.into_iter().map(|(_, container)| container));
    }

    /// The scheduler that the controller gives to a spec without one.
    fn scheduler(&self, spec: &Value, document: &Value, path: &str) -> Option<String> {
        let is_free = |name: &Value| name.is_null() || name == "";
        if self.scheduler.is_empty() || !spec.is_object() || !is_free(&spec["schedulerName"]) {
            return None;
        }
        let mut above = ancestors(path).filter_map(|above| {
            let name = document.pointer(&format!("{above}/schedulerName"))?;
            name.as_str().filter(|name| !name.is_empty())
        });
        Some(above.next().unwrap_or(self.scheduler).to_owned())
    }

    /// The containers that the controller adds to the Pods of a template, which is there in a document.
    pub(super) fn added(&self, document: &Value, path: &str) -> Vec<(&'static str, Value)> {
        let container = |added: &Added| {
            let is_set = |field: &Value| match field {
                Value::Null => false,
                Value::String(text) => added.value.is_empty() || text == added.value,
                Value::Bool(flag) => added.value == if *flag { "true" } else { "false" },
                _ => added.value.is_empty(),
            };
            let mut places = iter::once(path).chain(ancestors(path));
            let field = places.find_map(|place| {
                let field = document.pointer(&format!("{place}/{}", added.field))?;
                is_set(field).then_some(field)
            })?;
            let mut container = json!({"name": added.name});
            if let Some(resources) = field.get("resources") {
                container["resources"] = resources.clone();
            }
            Some((added.name, container))
        };
        let adds = self.adds.iter().filter(|it| path.contains(it.below));
        adds.filter_map(container).collect()
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
pub(crate) fn advice(object: &Value) -> Option<Advice> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    Kind::of(text("apiVersion"), text("kind"))?.advice
}

/// Kubernetes' own kinds that have Pods, each with the only version that supported releases serve.
const OWN: &[(&str, &str)] = &[
    ("Pod", "v1"),
    ("ReplicationController", "v1"),
    ("Deployment", "apps/v1"),
    ("StatefulSet", "apps/v1"),
    ("DaemonSet", "apps/v1"),
    ("ReplicaSet", "apps/v1"),
    ("Job", "batch/v1"),
    ("CronJob", "batch/v1"),
];

/// The version that an object of Kubernetes' own kinds should have, where it has another of Kubernetes' own.
pub(crate) fn right_version(version: &str, kind: &str) -> Option<&'static str> {
    let (group, _) = version.split_once('/').unwrap_or(("", version));
    let is_own = ["", "apps", "batch", "extensions"].contains(&group);
    let mut kinds = OWN.iter();
    let (_, right) = kinds.find(|(own, _)| is_own && *own == kind)?;
    Some(*right).filter(|right| *right != version)
}

/// Whether a group's API takes a field of the Pod's spec in its templates.
pub(super) fn takes(group: &str, field: &str) -> bool {
    !(group.starts_with("serving.knative.dev/") && NOT_IN_KNATIVE.contains(&field))
}
