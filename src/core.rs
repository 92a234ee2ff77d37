//! The core decides: synchronous, total, values in and values out. It knows no file, socket or clock.

pub mod api;
pub mod manifest;
pub mod validate;

pub mod table;

pub mod review;
pub mod trial;

pub mod pod;

pub mod rules;

pub mod patch;

pub mod outcome;

pub mod accelerators;
pub mod case;
pub mod json;
pub mod lint;
pub mod nearest;
pub mod preview;
pub mod quantity;
pub mod selector;
pub mod syntax;
#[cfg(test)]
pub(crate) mod testing;
pub mod workload;
