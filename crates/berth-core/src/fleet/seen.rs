//! The least of a Pod and of a Node that is counted, as a watch decodes them.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope,
    api::core::v1::{NodeCondition, Taint, Toleration},
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use kube_core::Resource;
use serde::{Deserialize, de::IgnoredAny};

use super::demand;
use crate::{
    api::bounds::MAX_POOLS,
    names::{DISABLED, INJECT_LABEL, POOL_ANNOTATION},
    quantity,
};

/// The names of as many pools as a class has at most, of 253 characters and a comma each. What is longer is not berth's.
const LONGEST: usize = MAX_POOLS * 254;
/// A Pod with more tolerations counts as one that tolerates everything: an author may write 20,000 of them.
const MAX_TOLERATIONS: usize = 100;
/// Of so many resources a Pod's demand is kept. Who asks for more waits in vain, since no node offers as many.
const MAX_RESOURCES: usize = 100;

/// A Pod, as far as it is counted.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PodView {
    /// Its metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What it wants.
    #[serde(default)]
    pub spec: PodSpecView,
    /// How far it is.
    #[serde(default)]
    pub status: PodStatusView,
}

impl PodView {
    /// The same without what is not counted and may be large, as all that an author may write as often as 1.5 MB hold.
    #[must_use]
    pub fn slim(mut self, class_label: &str) -> Self {
        self.metadata.managed_fields = None;
        self.metadata.finalizers = None;
        if let Some(annotations) = &mut self.metadata.annotations {
            annotations.retain(|key, pools| key == POOL_ANNOTATION && pools.len() <= LONGEST);
        }
        if let Some(labels) = &mut self.metadata.labels {
            labels.retain(|key, _| key == class_label || key == INJECT_LABEL);
        }
        if let Some(owners) = &mut self.metadata.owner_references {
            owners.retain(|owner| owner.controller == Some(true));
        }
        let tolerations = &mut self.spec.tolerations;
        if tolerations.as_ref().map_or(0, Vec::len) > MAX_TOLERATIONS {
            *tolerations = Some(vec![Toleration {
                operator: Some("Exists".to_owned()),
                ..Toleration::default()
            }]);
        }
        self
    }
}

/// A Pod's spec, as far as it is counted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpecView {
    /// The node that it is bound to.
    pub node_name: Option<String>,
    /// Regular containers.
    pub containers: Option<Vec<ContainerView>>,
    /// Init containers, native sidecars among them.
    pub init_containers: Option<Vec<ContainerView>>,
    /// What its runtime class adds.
    pub overhead: Option<BTreeMap<String, Quantity>>,
    /// Its tolerations.
    pub tolerations: Option<Vec<Toleration>>,
    /// Its scheduling gates: while it has one, the scheduler does not look at it.
    pub scheduling_gates: Option<Vec<IgnoredAny>>,
}

/// A container of a Pod, as far as it is counted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerView {
    /// Its resources.
    pub resources: Option<ResourcesView>,
    /// `Always` makes an init container a native sidecar.
    pub restart_policy: Option<String>,
}

/// A container's resources, as far as they are counted: the scheduler counts requests alone.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ResourcesView {
    /// What it asks for.
    pub requests: Option<BTreeMap<String, Quantity>>,
}

/// A Pod's status, as far as it is counted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatusView {
    /// `Succeeded` and `Failed` Pods use nothing.
    pub phase: Option<String>,
    /// The node on which other Pods are evicted for it.
    pub nominated_node_name: Option<String>,
}

/// A Node, as far as it is counted.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NodeView {
    /// Its metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Whether and by whom it may be used.
    #[serde(default)]
    pub spec: NodeSpecView,
    /// What it offers.
    #[serde(default)]
    pub status: NodeStatusView,
}

/// A Node's spec, as far as it is counted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSpecView {
    /// Its taints.
    pub taints: Option<Vec<Taint>>,
    /// Whether it is cordoned.
    pub unschedulable: Option<bool>,
}

/// A Node's status, as far as it is counted.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NodeStatusView {
    /// Its conditions, of which `Ready` counts.
    pub conditions: Option<Vec<NodeCondition>>,
    /// What Pods may use of it.
    pub allocatable: Option<BTreeMap<String, Quantity>>,
}

/// What is counted of a Pod that is not finished.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SeenPod {
    /// The uid.
    pub uid: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// What told it from others before it had a uid; as [`Pod::owner`](crate::pod::Pod::owner) says.
    pub owner: String,
    /// The class that it names or its namespace does, unless it opts out.
    pub class: Option<String>,
    /// Whether it names none and does not opt out, so that its class is its namespace's, if that has one.
    pub is_of_namespace: bool,
    /// The pools that berth recorded, joined by commas.
    pub pools: Option<String>,
    /// The node that it is bound to.
    pub node: Option<String>,
    /// The node on which room is made for it.
    pub nominated: Option<String>,
    /// Whether a gate keeps the scheduler from it.
    pub is_gated: bool,
    /// Whether it is being deleted.
    pub is_leaving: bool,
    /// Its tolerations.
    pub tolerations: Vec<Tolerated>,
    /// What it asks for of each extended resource, sorted by name, none of it zero.
    pub demand: Vec<(String, u32)>,
}

/// What a toleration tolerates.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Tolerated {
    /// The taint's key; every key where empty and the operator is `Exists`.
    pub key: String,
    /// `Equal` where empty.
    pub operator: String,
    /// The taint's value.
    pub value: String,
    /// The taint's effect; every effect where empty.
    pub effect: String,
}

/// What is counted of a Node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SeenNode {
    /// The name.
    pub name: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The taints: key, value and effect.
    pub taints: Vec<(String, String, String)>,
    /// What it offers of each extended resource, sorted by name.
    pub allocatable: Vec<(String, u32)>,
    /// Whether it is ready.
    pub is_ready: bool,
    /// Whether it is cordoned.
    pub is_cordoned: bool,
}

impl PodView {
    /// What is counted of the Pod; nothing if it is finished. The class of its namespace counts where it names none.
    #[must_use]
    pub fn seen(&self, class_label: &str, class_of_namespace: Option<&str>) -> Option<SeenPod> {
        if matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            return None;
        }
        let meta = &self.metadata;
        let label = |key: &str| meta.labels.as_ref()?.get(key).map(String::as_str);
        let opts_out = label(INJECT_LABEL) == Some(DISABLED);
        let own = label(class_label);
        let class = own.or(class_of_namespace);
        let annotation = |key: &str| meta.annotations.as_ref()?.get(key).cloned();
        let named = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
        Some(SeenPod {
            uid: meta.uid.clone().unwrap_or_default(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            owner: self.owner().to_owned(),
            class: class.filter(|_| !opts_out).map(str::to_owned),
            is_of_namespace: own.is_none() && !opts_out,
            pools: annotation(POOL_ANNOTATION),
            node: named(&self.spec.node_name),
            nominated: named(&self.status.nominated_node_name),
            is_gated: self
                .spec
                .scheduling_gates
                .as_ref()
                .is_some_and(|it| !it.is_empty()),
            is_leaving: meta.deletion_timestamp.is_some(),
            tolerations: self
                .spec
                .tolerations
                .iter()
                .flatten()
                .map(Tolerated::of)
                .collect(),
            demand: demand::of(&self.spec)
                .into_iter()
                .take(MAX_RESOURCES)
                .collect(),
        })
    }

    /// As [`Pod::owner`](crate::pod::Pod::owner).
    fn owner(&self) -> &str {
        let owners = self.metadata.owner_references.iter().flatten();
        let controller = owners
            .filter(|owner| owner.controller == Some(true))
            .map(|it| &it.uid);
        let meta = &self.metadata;
        let known = controller.chain(&meta.generate_name).chain(&meta.name);
        known
            .map(String::as_str)
            .find(|it| !it.is_empty())
            .unwrap_or_default()
    }
}

impl Tolerated {
    pub(crate) fn of(toleration: &Toleration) -> Self {
        let text = |it: &Option<String>| it.clone().unwrap_or_default();
        Self {
            key: text(&toleration.key),
            operator: text(&toleration.operator),
            value: text(&toleration.value),
            effect: text(&toleration.effect),
        }
    }

    /// Whether a taint is tolerated, as the scheduler sees it. Operators that we do not know do not.
    pub(crate) fn tolerates(&self, key: &str, value: &str, effect: &str) -> bool {
        let effect_matches = self.effect.is_empty() || self.effect == effect;
        let matches = match self.operator.as_str() {
            "" | "Equal" => self.key == key && self.value == value,
            "Exists" => self.key.is_empty() || self.key == key,
            _ => false,
        };
        effect_matches && matches
    }
}

impl NodeView {
    /// What is counted of the Node.
    #[must_use]
    pub fn seen(&self) -> SeenNode {
        let taints = self.spec.taints.iter().flatten();
        let mut conditions = self.status.conditions.iter().flatten();
        SeenNode {
            name: self.metadata.name.clone().unwrap_or_default(),
            labels: self.metadata.labels.clone().unwrap_or_default(),
            taints: taints
                .map(|it| {
                    (
                        it.key.clone(),
                        it.value.clone().unwrap_or_default(),
                        it.effect.clone(),
                    )
                })
                .collect(),
            allocatable: self
                .status
                .allocatable
                .iter()
                .flatten()
                .filter(|(name, _)| demand::is_counted(name))
                .map(|(name, amount)| (name.clone(), count(amount)))
                .collect(),
            is_ready: conditions.any(|it| it.type_ == "Ready" && it.status == "True"),
            is_cordoned: self.spec.unschedulable.unwrap_or_default(),
        }
    }
}

/// A count of devices. What is not whole is cut, what is no quantity is none, and what is above any machine's is bounded,
/// so that no sum overflows.
pub(super) fn count(amount: &Quantity) -> u32 {
    let whole = quantity::Quantity::parse(&amount.0).map_or(0, quantity::Quantity::floor);
    u32::try_from(whole).unwrap_or(u32::MAX)
}

macro_rules! resource {
    ($view:ident, $kind:literal, $plural:literal, $scope:ty) => {
        impl Resource for $view {
            type DynamicType = ();
            type Scope = $scope;

            fn kind((): &()) -> Cow<'_, str> {
                $kind.into()
            }

            fn group((): &()) -> Cow<'_, str> {
                "".into()
            }

            fn version((): &()) -> Cow<'_, str> {
                "v1".into()
            }

            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

resource!(PodView, "Pod", "pods", NamespaceResourceScope);
resource!(NodeView, "Node", "nodes", ClusterResourceScope);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Each list as long as an author may make it, and each text of it as long as Kubernetes allows.
    #[test]
    fn of_a_pod_that_is_as_large_as_may_be_little_is_kept() {
        let many = |each: fn(usize) -> Value| (0..5_000).map(each).collect::<Vec<Value>>();
        let map = |value: &str| -> Value {
            let entry = |i| (format!("example.com/{i:0>50}"), json!(value));
            (0..5_000).map(entry).collect()
        };
        let mut pod = json!({
            "metadata": {
                "name": "x", "uid": "u", "labels": map("x"), "annotations": map("x"),
                "finalizers": many(|i| json!(format!("example.com/{i}"))),
                "ownerReferences": many(|i| json!({
                    "apiVersion": "v1", "kind": "K", "name": "n", "uid": i.to_string(), "controller": i == 7,
                })),
            },
            "spec": {
                "tolerations": many(|i| json!({"key": i.to_string(), "operator": "Exists"})),
                "containers": [{"resources": {"requests": map("1")}}],
            },
        });
        pod["metadata"]["labels"]["class"] = json!("vllm");
        let view: PodView = serde_json::from_value(pod).expect("a Pod");
        let slim = view.slim("class");
        let meta = &slim.metadata;
        assert_eq!(meta.labels.as_ref().map(BTreeMap::len), Some(1));
        assert_eq!(meta.annotations.as_ref().map(BTreeMap::len), Some(0));
        assert_eq!(meta.owner_references.as_ref().map(Vec::len), Some(1));
        assert_eq!(meta.finalizers, None);
        let seen = slim.seen("class", None).expect("not finished");
        assert_eq!(
            (seen.class.as_deref(), &*seen.owner),
            (Some("vllm"), "7"),
            "what counts stays"
        );
        assert_eq!(seen.demand.len(), MAX_RESOURCES);
        let [all] = &*seen.tolerations else {
            panic!("{} tolerations", seen.tolerations.len());
        };
        assert!(all.tolerates("any", "thing", "NoExecute"));
    }
}
