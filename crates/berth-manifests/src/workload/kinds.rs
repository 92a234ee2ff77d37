//! The kinds whose APIs differ from what the shape of a Pod template says.

use serde_json::Value;

use super::PodTemplate;

/// A kind whose Pods have no template's shape: a bare `PodSpec`, with labels and annotations beside it.
pub(super) struct BarePodSpec {
    kind: &'static str,
    group: &'static str,
    /// The parent of `labels` and `annotations`, and the spec below it.
    specs: &'static [(&'static str, &'static str)],
    /// Whether the object's own labels are copied to its Pods.
    inherits: bool,
}

/// From the types of KServe.
const BARE_POD_SPECS: &[BarePodSpec] = &[
    BarePodSpec {
        kind: "InferenceService",
        group: "serving.kserve.io/",
        specs: &[
            ("/spec/predictor", ""),
            ("/spec/transformer", ""),
            ("/spec/explainer", ""),
        ],
        inherits: true,
    },
    BarePodSpec {
        kind: "LLMInferenceService",
        group: "serving.kserve.io/",
        specs: &[
            ("/spec", "/template"),
            ("/spec", "/worker"),
            ("/spec/prefill", "/template"),
            ("/spec/prefill", "/worker"),
        ],
        inherits: false,
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

impl BarePodSpec {
    /// What there is to know of a kind; none where its Pods have a template.
    pub(super) fn of_kind(group: &str, kind: &str) -> Option<&'static Self> {
        let mut all = BARE_POD_SPECS.iter();
        all.find(|bare| bare.kind == kind && group.starts_with(bare.group))
    }

    pub(super) fn templates_in(
        &self,
        value: &Value,
        path: &str,
    ) -> impl Iterator<Item = PodTemplate> {
        let there = |spec: &str| value.pointer(spec).is_some_and(Value::is_object);
        let inherited = self.inherits.then(|| format!("{path}/metadata/labels"));
        self.specs
            .iter()
            .filter(move |(parent, spec)| there(&format!("{parent}{spec}")))
            .map(move |(parent, spec)| PodTemplate {
                object: path.to_owned(),
                spec: format!("{path}{parent}{spec}"),
                labels: inherited
                    .iter()
                    .cloned()
                    .chain([format!("{path}{parent}/labels")])
                    .collect(),
                annotations: format!("{path}{parent}/annotations"),
            })
    }
}

/// Whether a group's API takes a field of the Pod's spec in its templates.
pub(super) fn takes(group: &str, field: &str) -> bool {
    !(group.starts_with("serving.knative.dev/") && NOT_IN_KNATIVE.contains(&field))
}
