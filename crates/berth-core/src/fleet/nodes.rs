//! The nodes: which pools they are of, and what Pods have of them.

use super::{
    Fleet, SeenNode,
    counted::OfNode,
    pools::{NodeTaint, SetId},
};
use crate::api::TaintEffect;

/// A node; while it is not known itself, what the Pods have that are bound to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    spec: Option<Spec>,
    /// What Pods have of each resource.
    used: Vec<(u32, u64)>,
    /// What is kept free for Pods for which others are evicted.
    nominated: Vec<(u32, u64)>,
    /// The pools that select it.
    pub(super) pools: Vec<OfPool>,
    /// The sets with a pool by which it is usable.
    sets: Vec<SetId>,
    is_listed: bool,
}

/// A pool that selects a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfPool {
    /// The pool, by place.
    pub(super) pool: u32,
    pub(super) is_usable: bool,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    /// Sorted by key.
    pub(super) labels: Box<[(u32, u32)]>,
    pub(super) taints: Box<[NodeTaint]>,
    pub(super) allocatable: Box<[(u32, u32)]>,
    pub(super) is_ready: bool,
    pub(super) is_cordoned: bool,
}

impl Fleet {
    /// The number of a node's name; the node is kept from now on.
    pub(super) fn node_id(&mut self, name: &str) -> u32 {
        if let Some(id) = self
            .names
            .find(name)
            .filter(|id| self.nodes.contains_key(id))
        {
            return id;
        }
        let id = self.names.name(name);
        self.nodes.insert(id, Node::default());
        id
    }

    pub(super) fn put_node(&mut self, seen: &SeenNode) {
        let id = self.node_id(&seen.name);
        let spec = self.spec(seen);
        self.uncount_node(id);
        if let Some(node) = self.nodes.get_mut(&id) {
            let old = node.spec.replace(spec);
            node.is_listed = true;
            self.release_spec(old);
        }
        self.count_node(id);
    }

    pub(super) fn remove_node(&mut self, id: u32) {
        self.uncount_node(id);
        if let Some(node) = self.nodes.get_mut(&id) {
            let old = node.spec.take();
            self.release_spec(old);
        }
        self.forget_if_unused(id);
    }

    /// Forgets a node that is gone and that no Pod is bound to.
    fn forget_if_unused(&mut self, id: u32) {
        let unused =
            |node: &Node| node.spec.is_none() && node.used.is_empty() && node.nominated.is_empty();
        if self.nodes.get(&id).is_some_and(unused) {
            self.nodes.remove(&id);
            self.names.release(id);
        }
    }

    /// Moves what Pods have of a node, or what is kept free on it.
    pub(super) fn use_node(&mut self, id: u32, resource: u32, amount: u32, how: Use) {
        let Self { nodes, sets, .. } = self;
        let Some(node) = nodes.get_mut(&id) else {
            return;
        };
        if how.is_nominated {
            change(&mut node.nominated, resource, amount, how.is_more);
        } else {
            let before = node.numbers(resource);
            change(&mut node.used, resource, amount, how.is_more);
            let after = node.numbers(resource);
            for set in &node.sets {
                let set = sets
                    .get_mut(*set as usize)
                    .filter(|it| it.resource == resource);
                if let Some(set) = set {
                    set.counted.leave(before);
                    set.counted.join(after);
                }
            }
        }
        self.forget_if_unused(id);
    }

    /// Takes the node out of the sets and pools.
    fn uncount_node(&mut self, id: u32) {
        let Self {
            nodes, sets, pools, ..
        } = self;
        let Some(node) = nodes.get_mut(&id) else {
            return;
        };
        for set in std::mem::take(&mut node.sets) {
            if let Some(set) = sets.get_mut(set as usize) {
                set.counted.leave(node.numbers(set.resource));
            }
        }
        for of_pool in std::mem::take(&mut node.pools) {
            if let Some(pool) = pools.get_mut(of_pool.pool as usize) {
                pool.selected -= u64::from(node.numbers(pool.resource).allocatable);
            }
        }
    }

    /// Finds the pools of a node, and counts it in their sets.
    fn count_node(&mut self, id: u32) {
        let Self {
            nodes, sets, pools, ..
        } = self;
        let Some(node) = nodes.get_mut(&id) else {
            return;
        };
        let Some(spec) = &node.spec else {
            return;
        };
        let open = spec.is_ready && !spec.is_cordoned;
        let (mut of_pools, mut of_sets) = (Vec::new(), Vec::new());
        for (place, pool) in (0..).zip(pools.iter_mut()) {
            if !pool.selects(&spec.labels) {
                continue;
            }
            let is_usable = open && pool.undeclared(&spec.taints).is_none();
            of_pools.push(OfPool {
                pool: place,
                is_usable,
            });
            pool.selected += u64::from(node.numbers(pool.resource).allocatable);
            if is_usable {
                of_sets.extend(&pool.sets);
            }
        }
        of_sets.sort_unstable();
        of_sets.dedup();
        for set in &of_sets {
            if let Some(set) = sets.get_mut(*set as usize) {
                set.counted.join(node.numbers(set.resource));
            }
        }
        (node.pools, node.sets) = (of_pools, of_sets);
    }

    /// Counts every node and every Pod that waits, where nothing is counted yet.
    pub(super) fn count_all(&mut self) {
        let ids: Vec<u32> = self.nodes.keys().copied().collect();
        for id in ids {
            if let Some(node) = self.nodes.get_mut(&id) {
                node.sets.clear();
                node.pools.clear();
            }
            self.count_node(id);
        }
        self.count_waiting();
    }

    fn spec(&mut self, seen: &SeenNode) -> Spec {
        let names = &mut self.names;
        let labels = seen.labels.iter();
        let mut labels: Vec<(u32, u32)> = labels
            .map(|(key, value)| (names.name(key), names.name(value)))
            .collect();
        labels.sort_unstable();
        let mut taints = Vec::new();
        for (key, value, effect) in &seen.taints {
            if let Some(effect) = TaintEffect::of(effect) {
                let (key, value) = (names.name(key), names.name(value));
                taints.push(NodeTaint { key, value, effect });
            }
        }
        let allocatable = seen.allocatable.iter();
        Spec {
            labels: labels.into(),
            taints: taints.into(),
            allocatable: allocatable
                .map(|(name, count)| (names.name(name), *count))
                .collect(),
            is_ready: seen.is_ready,
            is_cordoned: seen.is_cordoned,
        }
    }

    fn release_spec(&mut self, spec: Option<Spec>) {
        let Some(spec) = spec else {
            return;
        };
        let labels = spec.labels.iter().flat_map(|(key, value)| [*key, *value]);
        let taints = spec
            .taints
            .iter()
            .flat_map(|taint| [taint.key, taint.value]);
        let resources = spec.allocatable.iter().map(|(resource, _)| *resource);
        for id in labels.chain(taints).chain(resources) {
            self.names.release(id);
        }
    }
}

/// How a Pod's demand counts on a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    /// Whether room is made for the Pod there; else it is bound to it.
    pub(super) is_nominated: bool,
    /// Whether it comes; else it goes.
    pub(super) is_more: bool,
}

/// Changes one of some sums; a sum of zero is not kept.
fn change(sums: &mut Vec<(u32, u64)>, resource: u32, amount: u32, is_more: bool) {
    let place = sums.iter().position(|(other, _)| *other == resource);
    let place = place.unwrap_or_else(|| {
        sums.push((resource, 0));
        sums.len() - 1
    });
    let Some((_, sum)) = sums.get_mut(place) else {
        return;
    };
    if is_more {
        *sum += u64::from(amount);
    } else {
        *sum -= u64::from(amount);
    }
    if *sum == 0 {
        sums.swap_remove(place);
    }
}

fn sum_of(sums: &[(u32, u64)], resource: u32) -> u64 {
    let sum = sums.iter().find(|(other, _)| *other == resource);
    sum.map_or(0, |(_, sum)| *sum)
}

impl Node {
    pub(super) const fn unlist(&mut self) {
        self.is_listed = false;
    }

    /// Whether the list that has ended did not have it.
    pub(super) const fn is_gone(&self) -> bool {
        self.spec.is_some() && !self.is_listed
    }

    pub(super) const fn is_known(&self) -> bool {
        self.spec.is_some()
    }

    pub(super) const fn spec(&self) -> Option<&Spec> {
        self.spec.as_ref()
    }

    pub(super) fn labels(&self) -> Option<&[(u32, u32)]> {
        self.spec.as_ref().map(|spec| &*spec.labels)
    }

    pub(super) fn numbers(&self, resource: u32) -> OfNode {
        let allocatable = self.spec.iter().flat_map(|spec| &spec.allocatable);
        let mut allocatable = allocatable.filter(|(other, _)| *other == resource);
        OfNode {
            allocatable: allocatable.next().map_or(0, |(_, count)| *count),
            allocated: sum_of(&self.used, resource),
        }
    }

    /// The same, where what is kept free for Pods counts as taken.
    pub(super) fn numbers_with_nominated(&self, resource: u32) -> OfNode {
        let numbers = self.numbers(resource);
        let allocated = numbers.allocated + sum_of(&self.nominated, resource);
        OfNode {
            allocated,
            ..numbers
        }
    }
}
