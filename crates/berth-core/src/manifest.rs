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
    /// Of which kind it is.
    pub cause: Cause,
    /// The field, as `spec.pools[0].name`.
    pub field: String,
    /// What is wrong: lower-case, no final dot, names the value.
    pub message: String,
    /// What to change.
    pub help: String,
}

/// Why an object is not accepted, as the reason of its condition says it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Cause {
    /// A field has a value that it cannot have.
    #[default]
    Invalid,
    /// A class names a pool that is not there.
    PoolNotFound,
    /// A class names a pool that is not accepted itself.
    PoolNotAccepted,
    /// One name stands for the GPUs of two groups of a class.
    AliasConflict,
    /// A class gives a Pod several shares of a shared GPU.
    SharedMaximum,
}

impl Cause {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid",
            Self::PoolNotFound => "PoolNotFound",
            Self::PoolNotAccepted => "PoolNotAccepted",
            Self::AliasConflict => "AliasConflict",
            Self::SharedMaximum => "SharedMaximum",
        }
    }
}
