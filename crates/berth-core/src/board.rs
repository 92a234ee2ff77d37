//! What the board shows to who would rather look than read, as values: pools with a cell for each GPU, classes with their
//! pools, what is wrong, and what was decided lately.
//!
//! All of it is bounded, since a page of 10,000 pools helps nobody: what is left out is counted.

use std::collections::HashMap;

use crate::{
    conditions::{Counts, Sight},
    fleet::{Fleet, Occupancy},
    objects::Compiled,
    table::AllocationTable,
};

mod bounded;
mod class;
mod decided;
mod pool;
mod wrong;

pub use bounded::Bounded;
pub use class::{ClassPool, ClassRow, Step};
pub use decided::{Decided, Ending};
pub use pool::{Cell, NodeRow, PoolRow};
pub use wrong::Wrong;

/// So many pools are shown, and so many classes.
const ROWS: usize = 100;

/// What is known of the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Known<'k> {
    /// The table in force.
    pub table: &'k AllocationTable,
    /// The verdict on each object; none for a table of files, which is in force whole or not at all.
    pub compiled: Option<&'k Compiled>,
    /// The Nodes and Pods; none where nobody looks at them.
    pub fleet: Option<&'k Fleet>,
}

/// What is known of GPUs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Gpus {
    /// Nothing: the table is in files, or berth may not look at Nodes and Pods.
    Unknown,
    /// Not all yet.
    BeingListed,
    /// Each of them.
    Counted,
}

/// The board, but for the decisions.
#[derive(Clone, Debug)]
pub struct Board {
    /// The table's revision.
    pub revision: String,
    /// What is known of GPUs.
    pub gpus: Gpus,
    /// The pools, sorted by name.
    pub pools: Bounded<PoolRow>,
    /// The classes, sorted by name.
    pub classes: Bounded<ClassRow>,
    /// What is wrong with the table and its Nodes; what does not work comes first.
    pub wrong: Bounded<Wrong>,
}

/// What is counted, where all of the cluster was seen, with the places of the GPUs of the first pools by name.
struct Counted<'k> {
    fleet: &'k Fleet,
    counts: Counts,
    occupancies: HashMap<&'k str, Occupancy>,
}

impl Board {
    /// The board of what is known.
    #[must_use]
    pub fn of(known: Known<'_>) -> Self {
        let counted = Counted::of(known);
        let gpus = match (&counted, known.fleet) {
            (Some(_), _) => Gpus::Counted,
            (None, Some(_)) => Gpus::BeingListed,
            (None, None) => Gpus::Unknown,
        };
        Self {
            revision: known.table.revision().to_owned(),
            gpus,
            pools: pool::rows(known, counted.as_ref()),
            classes: class::rows(known, counted.as_ref()),
            wrong: wrong::all(known, counted.as_ref()),
        }
    }
}

impl<'k> Counted<'k> {
    fn of(known: Known<'k>) -> Option<Self> {
        let (fleet, compiled) = (known.fleet?, known.compiled?);
        let counts = Counts::of(fleet, compiled)?;
        let names = fleet.table().pools().iter().map(|it| it.name.as_str());
        Some(Self {
            fleet,
            counts,
            occupancies: names.zip(fleet.occupancy(ROWS)).collect(),
        })
    }
}

/// What the conditions of a pool are made from.
fn sight<'c>(known: Known<'_>, counted: Option<&'c Counted<'_>>) -> Sight<'c> {
    match (counted, known.fleet) {
        (Some(counted), _) => Sight::Counted(&counted.counts),
        (None, Some(_)) => Sight::NotSynced,
        (None, None) => Sight::Off,
    }
}

#[cfg(test)]
mod tests;
