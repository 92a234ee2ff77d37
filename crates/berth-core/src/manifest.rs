//! A manifest with its origin, and what may be wrong with it.

use crate::api::{GPUPool, WorkloadClass};

/// One object of the table's source form, and where it stood.
#[derive(Clone, Debug)]
pub struct Document {
    /// Which document of its source it is; a problem carries it back.
    pub origin: usize,
    /// The object.
    pub manifest: Manifest,
}

/// A typed object.
#[derive(Clone, Debug)]
pub enum Manifest {
    /// GPUs of one kind, and their nodes.
    Pool(GPUPool),
    /// A kind of workload, and the pools that it may use.
    Class(WorkloadClass),
}

/// Something wrong with one object, which is left out of the table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The [`Document::origin`] of the object.
    pub origin: usize,
    /// The field, as `spec.pools[0].name`.
    pub field: String,
    /// What is wrong: lower-case, no final dot, names the value.
    pub message: String,
    /// What to change.
    pub help: String,
}
