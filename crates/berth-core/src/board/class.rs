//! A class as a row, with its pools in their order.

use super::{Bounded, Counted, Known, ROWS};
use crate::{
    api::PodCounts,
    table::{Allocation, Group},
};

/// A class as it is shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClassRow {
    /// Its name.
    pub name: String,
    /// Where its Pods go, in order of preference.
    pub steps: Vec<Step>,
    /// The GPUs of a Pod that asks for none.
    pub default_gpus: u64,
    /// The most that a Pod may ask for.
    pub max_gpus: u64,
    /// Its Pods; none where they are not known.
    pub pods: Option<PodCounts>,
    /// Whether it is for some namespaces alone.
    pub is_restricted: bool,
    /// Why it cannot be used, in a few words.
    pub not_ready: Option<String>,
}

/// Pools between which the scheduler chooses: they ask the same of a Pod.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// The pools, in order of preference.
    pub pools: Vec<ClassPool>,
    /// Whether it is for Windows Pods.
    pub is_windows: bool,
}

/// A pool of a class.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClassPool {
    /// Its name.
    pub name: String,
    /// Its GPUs that are free, less those that Pods wait for, and all of them; none where they are not known.
    pub free: Option<(u64, u64)>,
}

pub(super) fn rows(known: Known<'_>, counted: Option<&Counted<'_>>) -> Bounded<ClassRow> {
    Bounded::new(known.table.classes(), ROWS, |class| row(class, counted))
}

fn row(class: &Allocation, counted: Option<&Counted<'_>>) -> ClassRow {
    let step = |group: &Group| {
        let pools = group.pools.iter();
        Step {
            pools: pools.map(|name| pool(name, counted)).collect(),
            is_windows: group.os == crate::table::Os::Windows,
        }
    };
    ClassRow {
        name: class.name.clone(),
        steps: class.groups.iter().map(step).collect(),
        default_gpus: class.default_gpus,
        max_gpus: class.max_gpus,
        pods: counted.and_then(|it| it.counts.class(&class.name)),
        is_restricted: class.namespaces.is_some(),
        not_ready: class.not_ready.clone(),
    }
}

fn pool(name: &str, counted: Option<&Counted<'_>>) -> ClassPool {
    let survey = counted.and_then(|it| it.counts.pool(name));
    // what DRA provides is not among the sums
    let survey = survey.filter(|it| !it.is_provided || it.empty.count == 0);
    ClassPool {
        name: name.to_owned(),
        free: survey.map(|it| (it.gpus.free, it.gpus.allocatable)),
    }
}
