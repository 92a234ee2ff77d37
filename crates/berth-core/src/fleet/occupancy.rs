//! Where the GPUs of some pools are, and who has them: for who shows them one by one.

use std::{collections::HashMap, sync::Arc};

use super::{
    Fleet, Offer, PodName, SeenNode,
    nodes::{Node, Spec},
    pods::{Pod, State, Uid},
    pools::PoolRule,
};

/// The nodes of one pool, and the Pods that wait for one of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Occupancy {
    /// The nodes that the pool selects, sorted by name.
    pub nodes: Vec<OccupiedNode>,
    /// The Pods that may come here and have no node yet, sorted by name. One that may go to several pools waits in each.
    pub waiting: Vec<Holding>,
}

/// A node of a pool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OccupiedNode {
    /// Its name.
    pub name: String,
    /// Whether Pods of the pool can go there.
    pub state: NodeState,
    /// What it offers of the pool's resource, and how much is taken.
    pub offer: Offer,
    /// The Pods that have GPUs of it, sorted by name.
    pub holders: Vec<Holding>,
}

/// Whether Pods of a pool can go to a node, and if not, why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NodeState {
    /// They can.
    Usable,
    /// It is not ready.
    NotReady,
    /// It is cordoned.
    Cordoned,
    /// It has a hard taint that the pool does not declare.
    Tainted,
}

/// What a Pod has or wants of a resource.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Holding {
    /// The Pod; none where its name is not kept.
    pub pod: Option<Arc<PodName>>,
    /// How many GPUs.
    pub gpus: u32,
}

impl Fleet {
    /// Where the GPUs of the first pools of the table are, sorted by the pools' names. It looks at every Pod and every node
    /// once.
    #[must_use]
    pub fn occupancy(&self, most: usize) -> Vec<Occupancy> {
        let pools = self.pools.get(..most).unwrap_or(&self.pools);
        let mut all = vec![Occupancy::default(); pools.len()];
        let mut of_node: HashMap<u32, Vec<(Uid, Pod)>> = HashMap::new();
        for (uid, pod) in self.pods.iter() {
            match pod.state {
                State::Bound => of_node.entry(pod.node).or_default().push((*uid, *pod)),
                State::Waiting => self.wait_in(pools, &mut all, *uid, *pod),
                State::Gated | State::Leaving => {}
            }
        }
        for (id, node) in self.nodes.iter() {
            let (Some(name), Some(spec)) = (self.names.get(*id), node.spec()) else {
                continue;
            };
            let pods = of_node.get(id).map_or(&[][..], Vec::as_slice);
            for of_pool in &node.pools {
                let place = of_pool.pool as usize;
                let (Some(pool), Some(occupancy)) = (pools.get(place), all.get_mut(place)) else {
                    continue;
                };
                occupancy.nodes.push(OccupiedNode {
                    name: name.to_owned(),
                    state: NodeState::of(spec, of_pool.is_usable),
                    offer: node.offer(pool.resource),
                    holders: self.holders(pods, pool.resource),
                });
            }
        }
        for occupancy in &mut all {
            occupancy.waiting.sort_unstable();
            occupancy.nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        }
        all
    }

    /// The Nodes that are known, as they were seen, sorted by name.
    #[must_use]
    pub fn seen_nodes(&self) -> Vec<SeenNode> {
        let text = |id: u32| self.names.get(id).unwrap_or_default().to_owned();
        let seen = self.nodes.iter().filter_map(|(id, node)| {
            let spec = node.spec()?;
            let labels = spec.labels.iter();
            let taints = spec.taints.iter();
            let allocatable = spec.allocatable.iter();
            Some(SeenNode {
                name: text(*id),
                labels: labels
                    .map(|(key, value)| (text(*key), text(*value)))
                    .collect(),
                taints: taints
                    .map(|it| (text(it.key), text(it.value), it.effect.as_str().to_owned()))
                    .collect(),
                allocatable: allocatable
                    .map(|(name, count)| (text(*name), *count))
                    .collect(),
                is_ready: spec.is_ready,
                is_cordoned: spec.is_cordoned,
            })
        });
        let mut seen: Vec<SeenNode> = seen.collect();
        seen.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        seen
    }

    fn wait_in(&self, pools: &[PoolRule], all: &mut [Occupancy], uid: Uid, pod: Pod) {
        let Some(sets) = self.reached.get(&pod.reach) else {
            return;
        };
        for (pool, occupancy) in pools.iter().zip(all) {
            let gpus = self.gpus(pod, pool.resource);
            // the sets are sorted
            if gpus > 0 && sets.binary_search(&pool.set).is_ok() {
                let pod = self.pod_name(uid);
                occupancy.waiting.push(Holding { pod, gpus });
            }
        }
    }

    fn holders(&self, pods: &[(Uid, Pod)], resource: u32) -> Vec<Holding> {
        let holdings = pods.iter().filter_map(|(uid, pod)| {
            let gpus = self.gpus(*pod, resource);
            let pod = self.pod_name(*uid);
            (gpus > 0).then_some(Holding { pod, gpus })
        });
        let mut holders: Vec<Holding> = holdings.collect();
        holders.sort_unstable();
        holders
    }

    fn gpus(&self, pod: Pod, resource: u32) -> u32 {
        let demand = self.demands.get(pod.demand).unwrap_or_default();
        let of_resource = demand.iter().filter(|(name, _)| *name == resource);
        of_resource.fold(0, |sum, (_, gpus)| sum.saturating_add(*gpus))
    }

    fn pod_name(&self, uid: Uid) -> Option<Arc<PodName>> {
        self.pod_names.as_ref().and_then(|it| it.get(uid))
    }
}

impl NodeState {
    const fn of(spec: &Spec, is_usable: bool) -> Self {
        if is_usable {
            Self::Usable
        } else if !spec.is_ready {
            Self::NotReady
        } else if spec.is_cordoned {
            Self::Cordoned
        } else {
            Self::Tainted
        }
    }
}

impl Node {
    /// What it offers of a resource, and what of it is taken.
    pub(super) fn offer(&self, resource: u32) -> Offer {
        let bound = self.numbers(resource);
        let all = self.numbers_with_nominated(resource);
        Offer {
            allocatable: bound.allocatable,
            allocated: bound.allocated,
            nominated: all.allocated - bound.allocated,
            free: all.free(),
        }
    }
}
