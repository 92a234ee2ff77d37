//! Nodes and Pods as they were listed: counted by the fleet, and by name as far as a person wants to hear of them.

use std::sync::Arc;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use super::Holder;
use crate::{
    conditions::{self, Counts, Sight, Statuses},
    fleet::{Change, Fleet, Kind, NodeView, PodView, SeenNode},
    ledger::Ledger,
    objects::Compiled,
    table::AllocationTable,
};

/// Nodes and Pods.
#[derive(Clone, Debug)]
pub struct Counted {
    pub(super) ledger: Ledger,
    /// Sorted by name.
    pub(super) nodes: Vec<SeenNode>,
    pub(super) holders: Vec<Holder>,
}

impl Counted {
    /// Nothing listed yet.
    #[must_use]
    pub fn new(table: Arc<AllocationTable>) -> Self {
        Self {
            ledger: Ledger::new(table),
            nodes: Vec::new(),
            holders: Vec::new(),
        }
    }

    /// Takes a Node of the list.
    pub fn node(&mut self, node: &NodeView) {
        let seen = node.seen();
        self.ledger.apply(&Change::Node(Box::new(seen.clone())));
        self.nodes.push(seen);
    }

    /// Takes a Pod of the list. The class of its namespace counts where it names none.
    pub fn pod(&mut self, pod: &PodView, class_label: &str, class_of_namespace: Option<&str>) {
        let Some(seen) = pod.seen(class_label, class_of_namespace) else {
            return;
        };
        self.holders.extend(Holder::of(pod, &seen));
        self.ledger.apply(&Change::Pod(Box::new(seen)));
    }

    /// Takes every DeviceClass, by name, with the extended resource that it provides.
    pub fn device_classes(&mut self, classes: Vec<(String, Option<String>)>) {
        self.ledger.apply(&Change::DeviceClasses(classes));
    }

    /// The lists are complete.
    #[must_use]
    pub fn complete(mut self) -> Self {
        for kind in [Kind::Node, Kind::Pod] {
            self.ledger.apply(&Change::RelistEnds(kind));
        }
        self.nodes.sort_by(|a, b| a.name.cmp(&b.name));
        self
    }

    /// The status that each object should have now.
    #[must_use]
    pub fn statuses(&self, compiled: &Compiled, now: Timestamp) -> Statuses {
        let counts = Counts::of(self.fleet(), compiled);
        let sight = counts.as_ref().map_or(Sight::NotSynced, Sight::Counted);
        conditions::statuses(compiled, sight, &Statuses::default(), &Time(now))
    }

    /// The counts.
    #[must_use]
    pub const fn fleet(&self) -> &Fleet {
        self.ledger.fleet()
    }
}
