//! What is counted of some pools together: how many nodes have how many GPUs free, and how many Pods wait for how many.

use std::collections::BTreeMap;

/// How often each amount occurs. A question costs as much as there are different amounts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Histogram(BTreeMap<u32, u32>);

/// Some pools of one resource, counted together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counted {
    /// The free GPUs of each node that is usable by one of the pools.
    pub(crate) free: Histogram,
    /// The GPUs of each Pod that waits and may go to one of the pools.
    pub(crate) waiting: Histogram,
    /// What the nodes offer together.
    pub(crate) allocatable: u64,
    /// What the Pods on the nodes have together.
    pub(crate) allocated: u64,
    /// How many of the nodes offer none.
    pub(crate) without: u32,
}

/// One node's part.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfNode {
    pub(super) allocatable: u32,
    pub(super) allocated: u64,
}

impl Histogram {
    pub(crate) fn add(&mut self, amount: u32) {
        *self.0.entry(amount).or_default() += 1;
    }

    pub(crate) fn remove(&mut self, amount: u32) {
        if let Some(count) = self.0.get_mut(&amount) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&amount);
            }
        }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sum of what a function makes of each amount.
    pub(crate) fn sum(&self, of: impl Fn(u64) -> u64) -> i128 {
        let each = self.0.iter();
        each.map(|(amount, count)| i128::from(of(u64::from(*amount))) * i128::from(*count))
            .sum()
    }

    /// The largest amount.
    pub(crate) fn largest(&self) -> u64 {
        self.0
            .last_key_value()
            .map_or(0, |(amount, _)| u64::from(*amount))
    }
}

impl Counted {
    pub(super) fn join(&mut self, node: OfNode) {
        self.free.add(node.free());
        self.allocatable += u64::from(node.allocatable);
        self.allocated += node.allocated;
        self.without += u32::from(node.allocatable == 0);
    }

    pub(super) fn leave(&mut self, node: OfNode) {
        self.free.remove(node.free());
        self.allocatable -= u64::from(node.allocatable);
        self.allocated -= node.allocated;
        self.without -= u32::from(node.allocatable == 0);
    }

    /// How many Pods of so many GPUs have a node, whatever the scheduler does with the Pods that wait and those that are
    /// taken for: a Pod of `s` GPUs spoils at most s/g places, rounded up, for Pods of `g`.
    pub(crate) fn slots(&self, gpus: u64, taken: Option<&Histogram>) -> i128 {
        let places = |free: u64| free / gpus;
        let spoils = |size: u64| size.div_ceil(gpus);
        let taken = taken.map_or(0, |it| it.sum(spoils));
        self.free.sum(places) - self.waiting.sum(spoils) - taken
    }
}

impl OfNode {
    /// What is free: nothing where more is taken than offered, as when a GPU fails.
    pub(super) fn free(self) -> u32 {
        let free = u64::from(self.allocatable).saturating_sub(self.allocated);
        u32::try_from(free).unwrap_or(u32::MAX)
    }
}
