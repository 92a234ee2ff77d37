//! A first table from the Nodes of a cluster: what their resources, taints and labels say, with a comment for what they
//! do not.

use std::collections::BTreeMap;

use k8s_openapi::api::core;
use serde::{Deserialize, de};
use serde_json::Value;

use crate::yaml;

mod group;
mod product;
mod write;

use group::groups;

/// An object of a text, as far as it matters whether it is a Node: what kubectl prints of one has ten times as much.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Object {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: Spec,
    status: Status,
    items: Vec<Self>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    taints: Option<Vec<Taint>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Taint {
    pub(crate) key: String,
    pub(crate) value: Option<String>,
    pub(crate) effect: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    /// A hand may have written a number without quotes.
    allocatable: Option<BTreeMap<String, Value>>,
    node_info: NodeInfo,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeInfo {
    os_image: String,
}

/// A Node: its name, labels, taints, and what can be asked for there.
#[derive(Clone, Debug, Default)]
pub struct Node {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) taints: Vec<Taint>,
    pub(crate) allocatable: BTreeMap<String, u64>,
    os_image: String,
}

/// A table to begin with.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Proposal {
    /// The manifests as YAML, each with comments that say why.
    pub text: String,
    /// How many pools it has, and as many classes.
    pub pools: usize,
    /// What people should know besides: nodes that are in no pool, and why.
    pub remarks: Vec<String>,
}

/// Why a text gives no Nodes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error(transparent)]
    NotYaml(#[from] yaml::Error),
    /// It has other types than Nodes have.
    #[error("not what `kubectl get nodes -o json` prints: {0}")]
    NotNodes(#[from] serde_json::Error),
}

/// The Nodes in a text: by themselves or in lists, as JSON or YAML. Other objects are left out.
pub fn nodes(text: &str) -> Result<Vec<Node>, Error> {
    let objects: Vec<Object> = if text.trim_start().starts_with('{') {
        vec![serde_json::from_str(text)?]
    } else {
        let documents = yaml::parse(text)?;
        documents.iter().map(object).collect::<Result<_, _>>()?
    };
    let mut nodes = Vec::new();
    for object in objects {
        object.into_nodes(false, &mut nodes);
    }
    Ok(nodes)
}

fn object(document: &yaml::Node) -> serde_json::Result<Object> {
    let value = document.to_json();
    if value.is_object() {
        serde_json::from_value(value)
    } else {
        // a list would be read as an object, field by field
        Err(de::Error::custom("a document is no object"))
    }
}

/// A Node as the API server gives it.
impl From<core::v1::Node> for Node {
    fn from(node: core::v1::Node) -> Self {
        let status = node.status.unwrap_or_default();
        let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
        let amounts = status.allocatable.into_iter().flatten();
        Self {
            name: node.metadata.name.unwrap_or_default(),
            labels: node.metadata.labels.unwrap_or_default(),
            taints: taints
                .into_iter()
                .map(|taint| Taint {
                    key: taint.key,
                    value: taint.value,
                    effect: taint.effect,
                })
                .collect(),
            allocatable: amounts
                .filter_map(|(resource, amount)| Some((resource, amount.0.parse().ok()?)))
                .collect(),
            os_image: status.node_info.map(|it| it.os_image).unwrap_or_default(),
        }
    }
}

impl Object {
    /// The items of a typed list need not say what they are.
    fn into_nodes(self, is_of_nodes: bool, nodes: &mut Vec<Node>) {
        let is_node = self.api_version == "v1" && self.kind == "Node";
        if is_node || (is_of_nodes && self.kind.is_empty()) {
            let amounts = self.status.allocatable.into_iter().flatten();
            let amounts = amounts.filter_map(|(resource, amount)| {
                let text = amount
                    .as_str()
                    .map_or_else(|| amount.to_string(), str::to_owned);
                Some((resource, text.parse().ok()?))
            });
            nodes.push(Node {
                name: self.metadata.name,
                labels: self.metadata.labels.unwrap_or_default(),
                taints: self.spec.taints.unwrap_or_default(),
                allocatable: amounts.collect(),
                os_image: self.status.node_info.os_image,
            });
        } else if let Some(of) = self.kind.strip_suffix("List") {
            for item in self.items {
                item.into_nodes(of == "Node", nodes);
            }
        }
    }
}

/// Proposes a table: a pool for each kind of GPU, and a class for each pool.
#[must_use]
pub fn propose(nodes: &[Node]) -> Proposal {
    let (groups, remarks) = groups(nodes);
    Proposal {
        text: groups
            .iter()
            .map(write::manifests)
            .collect::<Vec<_>>()
            .join("---\n"),
        pools: groups.len(),
        remarks,
    }
}

#[cfg(test)]
mod tests;
