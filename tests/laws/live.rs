//! A picture of the cluster as a case draws it: of each pool how much is free, and whether Pods wait that may take it.

use std::collections::BTreeMap;

use berth_core::{
    labels::Labels,
    live::{Choice, Live, Plan, Room, Wish},
};

use crate::draw::Draw;

/// What is known of one pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Free {
    pub(crate) gpus: u64,
    /// Whether Pods wait that may take them.
    pub(crate) is_wanted: bool,
}

/// What is known of the pools that are named, and of the Nodes.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) free: BTreeMap<String, Free>,
    pub(crate) nodes: BTreeMap<String, Labels>,
}

impl Free {
    /// Something known of a pool, or nothing.
    pub(crate) fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        let gpus = draw.pick(&[None, Some(0), Some(1), Some(8)])?;
        let is_wanted = draw.percent(25);
        Some(Self { gpus, is_wanted })
    }
}

impl Live for Picture {
    fn choose(&self, wish: &Wish<'_>) -> Choice {
        Choice::between(wish.plans, |plan: &Plan<'_>| self.room(plan))
    }

    fn node(&self, name: &str) -> Option<Labels> {
        self.nodes.get(name).cloned()
    }
}

impl Picture {
    fn room(&self, plan: &Plan<'_>) -> Room {
        let known: Vec<_> = plan
            .group
            .pools
            .iter()
            .map(|it| self.free.get(it))
            .collect();
        if known.contains(&None) {
            return Room::Unknown;
        }
        let fitting = known
            .into_iter()
            .flatten()
            .filter(|it| it.gpus >= plan.gpus);
        let doubts: Vec<bool> = fitting.map(|it| it.is_wanted).collect();
        match doubts.iter().all(|it| *it) {
            _ if doubts.is_empty() => Room::None,
            true => Room::Perhaps,
            false => Room::Enough,
        }
    }
}
