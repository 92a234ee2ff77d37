//! The core decides: synchronous, total, values in and values out. It knows no file, socket or clock.

pub mod api;
pub mod manifest;
pub mod validate;

pub mod table;

pub mod review;

pub mod pod;

pub mod rules;

pub mod patch;

pub mod outcome;

pub mod accelerators;
pub mod json;
pub mod nearest;
pub mod quantity;
pub mod selector;
pub mod syntax;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
