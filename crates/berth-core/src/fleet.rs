//! The cluster as it is counted: Nodes, the Pods that use or want GPUs, and the pools of the table.
//!
//! Every [`Change`] moves the counts by what it changes, so that a question about a group costs as much as there are
//! different amounts, and not a look at each node. A Pod costs 64 bytes with its place in the map: names, demands and
//! tolerations are kept once and named by a number. Kept is who asks for a GPU or is of a class, and who names no class, so
//! that it is counted when its namespace does.
//!
//! Words: a node is usable by a pool if the pool selects it, it is ready and not cordoned, and every hard taint that it
//! has is one of the pool's. A Pod waits if it has no node, no gate, and is not being deleted.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    api::PodCounts,
    labels::Labels,
    names::DEVICE_CLASS_PREFIX,
    table::{AllocationTable, Group},
};
use interner::Interner;
use names::PodNames;
use nodes::Node;
use pods::{Pod, Uid};
use pools::PoolRule;
pub(crate) use pools::{Set, SetId};
use reach::Reach;
use shared::Shared;

pub(crate) mod counted;
mod demand;
mod interner;
mod names;
mod nodes;
mod occupancy;
mod pods;
mod pools;
mod reach;
mod seen;
mod shared;
mod survey;

pub use counted::Histogram;
pub use names::PodName;
pub use occupancy::{Holding, NodeState, Occupancy, OccupiedNode};
pub use seen::{
    ContainerView, NodeSpecView, NodeStatusView, NodeView, PodSpecView, PodStatusView, PodView,
    ResourcesView, SeenNode, SeenPod, Tolerated,
};
pub use survey::{Example, PoolSurvey};

/// Something that a watch says.
#[derive(Clone, Debug)]
pub enum Change {
    /// A list of all objects of a kind begins. What is known stays in force meanwhile.
    RelistBegins(Kind),
    /// The list is complete: what was not in it is gone.
    RelistEnds(Kind),
    /// A Pod that is not finished, in a list or by itself.
    Pod(Box<SeenPod>),
    /// A Pod that is deleted or finished.
    PodGone {
        /// Its uid.
        uid: String,
    },
    /// A Node, in a list or by itself.
    Node(Box<SeenNode>),
    /// A Node that is deleted.
    NodeGone {
        /// Its name.
        name: String,
    },
    /// Every DeviceClass, by name, with the extended resource that it provides besides that of its own name.
    DeviceClasses(Vec<(String, Option<String>)>),
    /// Namespaces that name another class now for their Pods that name none, or none any more.
    NamespaceClasses(Vec<(String, Option<String>)>),
}

/// What a node offers of a resource, and what of it is taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Offer {
    /// What it offers.
    pub allocatable: u32,
    /// What the Pods on it have.
    pub allocated: u64,
    /// What is kept for Pods for which room is made there.
    pub nominated: u64,
    /// What is left.
    pub free: u32,
}

/// What is listed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Nodes.
    Node,
    /// Pods.
    Pod,
}

/// The cluster as it is counted. A copy costs nothing until one of the two is changed.
#[derive(Clone, Debug)]
pub struct Fleet {
    table: Arc<AllocationTable>,
    names: Shared<Interner<str>>,
    demands: Shared<Interner<[(u32, u32)]>>,
    reaches: Shared<Interner<Reach>>,
    /// The sets of pools that the Pods of a reach may go to.
    reached: Shared<HashMap<u32, Arc<[SetId]>>>,
    nodes: Shared<HashMap<u32, Node>>,
    pods: Shared<HashMap<Uid, Pod>>,
    /// The node on which room is made for a Pod that waits.
    nominated: Shared<HashMap<Uid, u32>>,
    /// Kept for who shows them alone.
    pod_names: Option<Shared<PodNames>>,
    classes: HashMap<Arc<str>, PodCounts>,
    device_classes: Vec<(String, Option<String>)>,
    pools: Vec<PoolRule>,
    sets: Vec<Set>,
    /// The sets of a group's name, one for each resource.
    sets_of_name: HashMap<String, Vec<SetId>>,
    has_nodes: bool,
    has_pods: bool,
}

impl Fleet {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(table: Arc<AllocationTable>) -> Self {
        let mut fleet = Self {
            table,
            names: Shared::default(),
            demands: Shared::default(),
            reaches: Shared::default(),
            reached: Shared::default(),
            nodes: Shared::default(),
            pods: Shared::default(),
            nominated: Shared::default(),
            pod_names: None,
            classes: HashMap::new(),
            device_classes: Vec::new(),
            pools: Vec::new(),
            sets: Vec::new(),
            sets_of_name: HashMap::new(),
            has_nodes: false,
            has_pods: false,
        };
        fleet.count_by_table();
        fleet
    }

    /// The same, which also keeps the names of the Pods that it counts, up to a bound.
    #[must_use]
    pub fn with_pod_names(self) -> Self {
        Self {
            pod_names: Some(Shared::default()),
            ..self
        }
    }

    /// The same cluster, counted by another table. It looks at every node, so it is made beside the one in force.
    #[must_use]
    pub fn with_table(&self, table: Arc<AllocationTable>) -> Self {
        let mut fleet = Self {
            table,
            ..self.clone()
        };
        fleet.count_by_table();
        fleet
    }

    /// Whether a change must first copy what somebody else has too, which takes as long as the cluster is large.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        let names = self.pod_names.as_ref().is_some_and(Shared::is_shared);
        let interned =
            self.names.is_shared() || self.demands.is_shared() || self.reaches.is_shared();
        let pods = self.pods.is_shared() || self.nominated.is_shared() || self.reached.is_shared();
        self.nodes.is_shared() || pods || interned || names
    }

    /// The same, which nobody else has.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self {
            names: self.names.copied(),
            demands: self.demands.copied(),
            reaches: self.reaches.copied(),
            reached: self.reached.copied(),
            nodes: self.nodes.copied(),
            pods: self.pods.copied(),
            nominated: self.nominated.copied(),
            pod_names: self.pod_names.as_ref().map(Shared::copied),
            ..self.clone()
        }
    }

    /// The table that it is counted by.
    #[must_use]
    pub fn table(&self) -> &AllocationTable {
        &self.table
    }

    /// Whether Nodes and Pods were listed once, so that a count says something.
    #[must_use]
    pub const fn is_synced(&self) -> bool {
        self.has_nodes && self.has_pods
    }

    /// Takes a change, and says whether it is the first sight of a Pod.
    pub fn apply(&mut self, change: &Change) -> bool {
        match change {
            Change::RelistBegins(Kind::Node) => {
                self.nodes.values_mut().for_each(Node::unlist);
            }
            Change::RelistBegins(Kind::Pod) => {
                self.pods.values_mut().for_each(Pod::unlist);
            }
            Change::RelistEnds(Kind::Node) => {
                let gone = self.nodes.iter().filter(|(_, node)| node.is_gone());
                let gone: Vec<u32> = gone.map(|(id, _)| *id).collect();
                for id in gone {
                    self.remove_node(id);
                }
                self.has_nodes = true;
            }
            Change::RelistEnds(Kind::Pod) => {
                let gone = self.pods.iter().filter(|(_, pod)| !pod.is_listed());
                let gone: Vec<Uid> = gone.map(|(uid, _)| *uid).collect();
                for uid in gone {
                    self.remove_pod(uid);
                }
                self.has_pods = true;
            }
            Change::Pod(pod) => return self.put_pod(pod),
            Change::PodGone { uid } => self.remove_pod(Uid::of(uid)),
            Change::Node(node) => self.put_node(node),
            Change::NodeGone { name } => {
                if let Some(id) = self.names.find(name) {
                    self.remove_node(id);
                }
            }
            Change::DeviceClasses(classes) => {
                self.device_classes.clone_from(classes);
                self.mark_provided();
            }
            Change::NamespaceClasses(classes) => self.classify(classes),
        }
        false
    }

    /// How many Pods are kept.
    #[must_use]
    pub fn pod_count(&self) -> usize {
        self.pods.len()
    }

    /// How many Nodes are known.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.values().filter(|node| node.is_known()).count()
    }

    /// How many names, demands and ways to be placed are kept: what memory grows with, besides the Pods and Nodes.
    #[must_use]
    pub fn kept(&self) -> [usize; 3] {
        [self.names.len(), self.demands.len(), self.reaches.len()]
    }

    /// The labels of a Node that is known.
    #[must_use]
    pub fn node_labels(&self, name: &str) -> Option<Labels> {
        let node = self.nodes.get(&self.names.find(name)?)?;
        let text = |id: u32| self.names.get(id).unwrap_or_default().to_owned();
        let labels = node.labels()?.iter();
        Some(
            labels
                .map(|(key, value)| (text(*key), text(*value)))
                .collect(),
        )
    }

    /// The Pods of a class.
    #[must_use]
    pub fn class_pods(&self, class: &str) -> PodCounts {
        self.classes.get(class).copied().unwrap_or_default()
    }

    /// The devices of a resource that a node has free for a Pod of the same priority as those for which room is made.
    #[must_use]
    pub fn free(&self, node: &str, resource: &str) -> u32 {
        self.offer(node, resource).free
    }

    /// What a node offers of a resource, and what of it is taken.
    #[must_use]
    pub fn offer(&self, node: &str, resource: &str) -> Offer {
        let node = self.names.find(node).and_then(|id| self.nodes.get(&id));
        let of = |node: &Node| Some(node.offer(self.names.find(resource)?));
        node.and_then(of).unwrap_or_default()
    }

    /// Whether a node is usable by a pool.
    #[must_use]
    pub fn usable(&self, node: &str, pool: &str) -> bool {
        let node = self.names.find(node).and_then(|id| self.nodes.get(&id));
        let pool = self.pools.iter().position(|it| it.name == pool);
        let (Some(node), Some(pool)) = (node, pool) else {
            return false;
        };
        node.pools
            .iter()
            .any(|it| it.pool as usize == pool && it.is_usable)
    }

    /// The set in which a group is counted, if the table in force has it.
    pub(crate) fn set_of(&self, group: &Group) -> Option<SetId> {
        let sets = self.sets_of_name.get(&group.name.text)?;
        let resource = self.names.find(&group.resource)?;
        let of_resource = |id: &&SetId| self.set(**id).is_some_and(|it| it.resource == resource);
        sets.iter().find(of_resource).copied()
    }

    pub(crate) fn set(&self, id: SetId) -> Option<&Set> {
        self.sets.get(id as usize)
    }

    /// How many sets there are.
    pub(crate) fn set_count(&self) -> usize {
        self.sets.len()
    }

    /// The sets of a resource that have one of these pools.
    pub(crate) fn sets_with(&self, resource: &str, pools: &[String]) -> Vec<SetId> {
        let Some(resource) = self.names.find(resource) else {
            return Vec::new();
        };
        let of_pools = self.pools.iter().filter(|it| pools.contains(&it.name));
        let sets: HashSet<SetId> = of_pools.flat_map(|it| it.sets.iter().copied()).collect();
        let of_resource = |id: &SetId| self.set(*id).is_some_and(|it| it.resource == resource);
        sets.into_iter().filter(of_resource).collect()
    }

    /// The pools of a set.
    pub(crate) fn pools_of(&self, set: &Set) -> impl Iterator<Item = &PoolRule> {
        set.pools
            .iter()
            .filter_map(|pool| self.pools.get(*pool as usize))
    }

    /// Every DeviceClass, by name, with the extended resource that it provides besides that of its own name.
    #[must_use]
    pub fn device_classes(&self) -> &[(String, Option<String>)] {
        &self.device_classes
    }

    /// Marks the sets whose resource a DeviceClass provides.
    fn mark_provided(&mut self) {
        let own = self.device_classes.iter();
        let mut provided: HashSet<String> = own
            .map(|(name, _)| format!("{DEVICE_CLASS_PREFIX}{name}"))
            .collect();
        let extended = self.device_classes.iter();
        provided.extend(extended.filter_map(|(_, resource)| resource.clone()));
        let names = &self.names;
        for set in &mut self.sets {
            let name = names.get(set.resource).unwrap_or_default();
            set.is_provided = provided.contains(name);
        }
    }
}
