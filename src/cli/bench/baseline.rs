//! What berth is measured against, in the same run.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::{
    api::core::v1::{
        Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod,
        Toleration,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::core::{
    DynamicObject,
    admission::{AdmissionRequest, AdmissionResponse, AdmissionReview},
};
use serde::de::IgnoredAny;

use berth_core::{
    names::POOL_ANNOTATION,
    selector::Operator,
    table::{Allocation, AllocationTable, Group},
};

/// A scan: UTF-8 and JSON's structure, checked and thrown away. It reads no key.
#[must_use]
pub fn scan(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// The usual way to write such a webhook with kube-rs: a typed review, a typed Pod, a clone that is changed, and the
/// difference of the two as the patch. It places a Pod as simply as can be, and checks nothing.
#[derive(Debug)]
pub struct Baseline<'t> {
    label: &'t str,
    classes: HashMap<&'t str, &'t Allocation>,
}

impl<'t> Baseline<'t> {
    /// For the classes of a table.
    #[must_use]
    pub fn new(table: &'t AllocationTable) -> Self {
        let classes = table
            .class_names()
            .filter_map(|name| Some((name, table.class(name)?)));
        Self {
            label: table.class_label(),
            classes: classes.collect(),
        }
    }

    /// Answers a review; nothing where it cannot be read.
    #[must_use]
    pub fn answer(&self, body: &[u8]) -> Option<Vec<u8>> {
        let review: AdmissionReview<Pod> = serde_json::from_slice(body).ok()?;
        let request: AdmissionRequest<Pod> = review.try_into().ok()?;
        let mut response = AdmissionResponse::from(&request);
        if let Some(pod) = &request.object
            && let Some(group) = self.group(pod)
        {
            let mut placed = pod.clone();
            place(&mut placed, group);
            let (before, after) = (
                serde_json::to_value(pod).ok()?,
                serde_json::to_value(&placed).ok()?,
            );
            response = response
                .with_patch(json_patch::diff(&before, &after))
                .ok()?;
        }
        let review: AdmissionReview<DynamicObject> = response.into_review();
        serde_json::to_vec(&review).ok()
    }

    fn group(&self, pod: &Pod) -> Option<&'t Group> {
        let class = pod.metadata.labels.as_ref()?.get(self.label)?;
        self.classes.get(class.as_str())?.groups.first()
    }
}

fn place(pod: &mut Pod, group: &Group) {
    let annotations = pod.metadata.annotations.get_or_insert_with(BTreeMap::new);
    annotations.insert(POOL_ANNOTATION.to_owned(), group.name.text.clone());
    let spec = pod.spec.get_or_insert_with(Default::default);
    let tolerations = spec.tolerations.get_or_insert_with(Vec::new);
    tolerations.extend(group.taints.iter().map(|taint| Toleration {
        key: Some(taint.key.clone()),
        operator: Some("Equal".to_owned()),
        value: Some(taint.value.clone()),
        effect: Some(taint.effect.as_str().to_owned()),
        ..Toleration::default()
    }));
    spec.affinity
        .get_or_insert_with(Affinity::default)
        .node_affinity = Some(node_affinity(group));
    if let Some(container) = spec.containers.first_mut() {
        let resources = container.resources.get_or_insert_with(Default::default);
        let limits = resources.limits.get_or_insert_with(BTreeMap::new);
        limits.insert(group.resource.clone(), Quantity("1".to_owned()));
    }
}

fn node_affinity(group: &Group) -> NodeAffinity {
    let requirements = |alternative: &berth_core::table::Alternative| {
        let requirements = alternative.requirements.iter();
        let requirement =
            |(requirement, _): &(berth_core::table::Condition, String)| NodeSelectorRequirement {
                key: requirement.key.clone(),
                operator: requirement.operator.as_str().to_owned(),
                values: matches!(requirement.operator, Operator::In | Operator::NotIn)
                    .then(|| requirement.values.clone()),
            };
        NodeSelectorTerm {
            match_expressions: Some(requirements.map(requirement).collect()),
            match_fields: None,
        }
    };
    NodeAffinity {
        required_during_scheduling_ignored_during_execution: Some(NodeSelector {
            node_selector_terms: group.alternatives.iter().map(requirements).collect(),
        }),
        preferred_during_scheduling_ignored_during_execution: None,
    }
}
