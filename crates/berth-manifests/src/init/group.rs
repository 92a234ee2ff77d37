//! Nodes with the same kind of GPU, and what selects them.

use std::collections::{BTreeMap, BTreeSet};

use berth_core::{
    accelerators::{Kind, vendor_of},
    names::HOSTNAME_LABEL,
    shown,
};

use crate::lint::is_kubernetes_own;

use super::{
    Node, Taint,
    product::{self, Labels},
};

/// A name of an object and a label's value have so many bytes at most.
const MAX_NAME: usize = 63;
/// A pool names so many nodes at most: the definition's bound.
const MAX_HOSTNAMES: usize = berth_core::api::bounds::MAX_HOSTNAMES;
/// So many nodes are named in a note.
const NAMED: usize = 3;

/// A taint that needs a toleration: key, value, effect.
pub(super) type Hard = (String, Option<String>, String);

/// Nodes of one kind of GPU.
#[derive(Debug)]
pub(super) struct Group {
    /// The name of its pool and its class.
    pub(super) name: String,
    pub(super) resource: String,
    pub(super) taints: Vec<Hard>,
    pub(super) select: Select,
    /// The names of the Nodes.
    pub(super) nodes: Vec<String>,
    /// How many GPUs each has, from the least to the most.
    pub(super) counts: (u64, u64),
    /// The labels that all of them have.
    pub(super) labels: Labels,
    /// Whether their system is one on which NVIDIA's runtime is not the default.
    pub(super) is_talos: bool,
}

/// What selects its nodes.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Select {
    Label(&'static str, String),
    Hostnames(Vec<String>),
}

/// What Nodes have in common that are one group.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Alike {
    resource: String,
    product: Option<String>,
    memory: Option<String>,
    sharing: Option<(&'static str, u32)>,
    taints: Vec<Hard>,
}

/// The groups, by resource and model, and what there is to say of nodes that are in none.
pub(super) fn groups(nodes: &[Node]) -> (Vec<Group>, Vec<String>) {
    let mut alike: BTreeMap<Alike, Vec<&Node>> = BTreeMap::new();
    let mut remarks = Vec::new();
    for node in nodes {
        let gpus = gpus(node);
        if gpus.is_empty() {
            remarks.extend(without_resource(node));
        }
        for (resource, _) in gpus {
            alike.entry(of(node, resource)).or_default().push(node);
        }
    }
    let mut names = BTreeSet::new();
    let groups = alike.iter().map(|(key, members)| {
        let mut group = group(key, members, nodes, &mut remarks);
        group.name = unique(&group, &mut names);
        group
    });
    (groups.collect(), remarks)
}

/// The GPU resources of a Node that can be asked for.
fn gpus(node: &Node) -> Vec<(&str, u64)> {
    let amounts = node
        .allocatable
        .iter()
        .map(|(resource, amount)| (&**resource, *amount));
    amounts
        .filter(|(resource, amount)| *amount > 0 && Kind::of(resource) == Kind::Gpu)
        .collect()
}

fn of(node: &Node, resource: &str) -> Alike {
    let labels = &node.labels;
    let product = product::product(resource, labels).map(|(_, value)| value.to_owned());
    Alike {
        resource: resource.to_owned(),
        memory: product::memory(resource, labels),
        sharing: product::sharing(resource, labels),
        taints: hard(node),
        product,
    }
}

/// The taints that keep Pods away as long as the node is what it is. The others come and go.
fn hard(node: &Node) -> Vec<Hard> {
    let hard = node
        .taints
        .iter()
        .filter(|taint| taint.effect != "PreferNoSchedule" && !passes(taint));
    let mut hard: Vec<Hard> = hard
        .map(|it| {
            let value = it.value.clone().filter(|value| !value.is_empty());
            (it.key.clone(), value, it.effect.clone())
        })
        .collect();
    hard.sort();
    hard
}

/// Whether a taint is of a node that is not fit for Pods now: controllers, autoscalers and network agents set it.
fn passes(taint: &Taint) -> bool {
    let key = &*taint.key;
    let begins = ["karpenter.sh/", "node.cilium.io/"];
    let autoscaler = [
        "ToBeDeletedByClusterAutoscaler",
        "DeletionCandidateOfClusterAutoscaler",
    ];
    is_kubernetes_own(key)
        || begins.iter().any(|begin| key.starts_with(begin))
        || autoscaler.contains(&key)
}

fn group(key: &Alike, members: &[&Node], nodes: &[Node], remarks: &mut Vec<String>) -> Group {
    let mut common = members
        .first()
        .map(|node| node.labels.clone())
        .unwrap_or_default();
    for node in members {
        common.retain(|key, value| node.labels.get(key) == Some(value));
    }
    let counts: Vec<u64> = members
        .iter()
        .flat_map(|node| gpus(node))
        .filter(|(resource, _)| *resource == key.resource)
        .map(|(_, count)| count)
        .collect();
    let counts = (
        counts.iter().min().copied().unwrap_or_default(),
        counts.iter().max().copied().unwrap_or_default(),
    );
    let mut names: Vec<String> = members.iter().map(|node| node.name.clone()).collect();
    names.sort();
    Group {
        name: product::name(&key.resource, &common),
        resource: key.resource.clone(),
        taints: key.taints.clone(),
        select: select(key, members, &common, nodes, remarks),
        counts,
        is_talos: members
            .iter()
            .all(|node| node.os_image.starts_with("Talos")),
        labels: common,
        nodes: names,
    }
}

/// A label that these nodes have, and no other with the same resource; else their hostnames.
fn select(
    key: &Alike,
    members: &[&Node],
    common: &Labels,
    nodes: &[Node],
    remarks: &mut Vec<String>,
) -> Select {
    let count_with = |label: &str, value: &String| {
        let has = |node: &&Node| {
            node.labels.get(label) == Some(value)
                && gpus(node)
                    .iter()
                    .any(|(resource, _)| *resource == key.resource)
        };
        nodes.iter().filter(has).count()
    };
    let telling = product::selectors(&key.resource).find_map(|label| {
        let value = common.get(label).filter(|value| !value.is_empty())?;
        (count_with(label, value) == members.len()).then(|| (label, value.clone()))
    });
    if let Some((label, value)) = telling {
        return Select::Label(label, value);
    }
    let mut hostnames = BTreeSet::new();
    for node in members {
        match node.labels.get(HOSTNAME_LABEL) {
            Some(hostname) => {
                hostnames.insert(hostname.clone());
            }
            None => remarks.push(format!(
                "node {}: it has no label {HOSTNAME_LABEL}, by which a pool names it; set it, or select the pool's nodes by another label",
                shown::quoted(&node.name)
            )),
        }
    }
    if hostnames.len() > MAX_HOSTNAMES {
        remarks.push(format!(
            "{} nodes with {} have no label of their own, and a pool names {MAX_HOSTNAMES} at most; label them, and run berth init again",
            hostnames.len(),
            key.resource
        ));
    }
    Select::Hostnames(hostnames.into_iter().take(MAX_HOSTNAMES).collect())
}

/// What there is to say of a Node whose labels name a GPU that cannot be asked for.
fn without_resource(node: &Node) -> Option<String> {
    let present = node.labels.iter().find(|(key, value)| {
        let says = [
            "nvidia.com/gpu.present",
            "amd.com/gpu.product-name",
            "gpu.intel.com/product",
        ];
        says.contains(&&***key) && *value != "false"
    });
    let (label, _) = present?;
    let vendor = vendor_of(label).map_or("", |vendor| vendor.name);
    Some(format!(
        "node {}: its label {label} tells of a GPU, and no GPU can be asked for there; check the Pods of {vendor}'s device plugin, or whether DRA provides it",
        shown::quoted(&node.name)
    ))
}

/// A name that no other group has: with the node's where it is one, else with a number.
fn unique(group: &Group, names: &mut BTreeSet<String>) -> String {
    let cut = |text: &str| {
        let text = text.get(..MAX_NAME).unwrap_or(text);
        text.trim_end_matches('-').to_owned()
    };
    let mut tries = vec![cut(&group.name)];
    if let (Select::Hostnames(hostnames), [_]) = (&group.select, &*group.nodes) {
        let host = hostnames
            .first()
            .map(|name| name.replace('.', "-").to_lowercase());
        tries.extend(host.map(|host| cut(&format!("{}-{host}", group.name))));
    }
    let numbered = (2..).map(|i| {
        let room = group.name.get(..MAX_NAME - 6).unwrap_or(&group.name);
        format!("{room}-{i}")
    });
    let mut tries = tries.into_iter().chain(numbered);
    let free = tries.find(|name| names.insert(name.clone()));
    free.unwrap_or_default()
}

impl Group {
    /// A few of its nodes by name.
    pub(super) fn named(&self) -> String {
        let named = self.nodes.iter().take(NAMED).map(String::as_str);
        let named = named.collect::<Vec<_>>().join(", ");
        match self.nodes.len().checked_sub(NAMED) {
            None | Some(0) => named,
            Some(more) => format!("{named} and {more} more"),
        }
    }
}
