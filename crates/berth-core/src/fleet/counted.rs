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
    /// What each node offers.
    pub(crate) offered: Histogram,
    /// What the nodes offer together.
    pub(crate) allocatable: u64,
    /// What the Pods on the nodes have together.
    pub(crate) allocated: u64,
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
        self.sum_within(u32::MAX, of)
    }

    /// The same of the amounts that are no larger than one.
    pub(crate) fn sum_within(&self, most: u32, of: impl Fn(u64) -> u64) -> i128 {
        let each = self.0.range(..=most);
        each.map(|(amount, count)| i128::from(of(u64::from(*amount))) * i128::from(*count))
            .sum()
    }

    /// The largest amount.
    pub(crate) fn largest(&self) -> u32 {
        self.0.last_key_value().map_or(0, |(amount, _)| *amount)
    }
}

impl Counted {
    pub(super) fn join(&mut self, node: OfNode) {
        self.free.add(node.free());
        self.offered.add(node.allocatable);
        self.allocatable += u64::from(node.allocatable);
        self.allocated += node.allocated;
    }

    pub(super) fn leave(&mut self, node: OfNode) {
        self.free.remove(node.free());
        self.offered.remove(node.allocatable);
        self.allocatable -= u64::from(node.allocatable);
        self.allocated -= node.allocated;
    }

    /// How many Pods of so many GPUs have a node, whatever the scheduler does with the Pods that wait and those that are
    /// taken for: a Pod of `s` GPUs spoils at most s/g places, rounded up, for Pods of `g`. One that asks for more than
    /// `most` spoils none.
    pub(crate) fn slots(&self, gpus: u64, taken: Option<&Histogram>, most: u32) -> i128 {
        let places = |free: u64| free / gpus;
        self.free.sum(places) - self.wanted(taken, most, |size| size.div_ceil(gpus))
    }

    /// The sum of what a function makes of each Pod that waits or is taken for and asks for no more than `most`.
    pub(crate) fn wanted(
        &self,
        taken: Option<&Histogram>,
        most: u32,
        of: impl Fn(u64) -> u64,
    ) -> i128 {
        let waiting = self.waiting.sum_within(most, &of);
        waiting + taken.map_or(0, |it| it.sum_within(most, &of))
    }

    /// The most that one of the nodes offers. A Pod that asks for more is waited for in vain, and takes no room.
    pub(crate) fn largest_node(&self) -> u32 {
        self.offered.largest()
    }

    /// How many of the nodes offer none.
    pub(crate) fn empty_nodes(&self) -> u32 {
        self.offered.0.get(&0).copied().unwrap_or_default()
    }
}

impl OfNode {
    /// What is free: nothing where more is taken than offered, as when a GPU fails.
    pub(super) fn free(self) -> u32 {
        let free = u64::from(self.allocatable).saturating_sub(self.allocated);
        u32::try_from(free).unwrap_or(u32::MAX)
    }
}
