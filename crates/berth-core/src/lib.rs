//! The core decides: synchronous, total, values in and values out. It knows no file, socket, clock or lock, and
//! `clippy.toml` beside this crate and `deny.toml` keep it so.
//!
//! ```text
//!   manifests ─▶ validate ─▶ table ─┐
//!                                   ▼
//!              bytes ─▶ review ◀─ view
//!                         │
//!                       rules ─▶ placement ─▶ patch ─▶ bytes
//! ```
//!
//! In reading order: [`api`] and [`names`] (the product's API), [`table`] (compiled), [`view`] (all that is known),
//! [`review`] (bytes in and out), [`rules`] (a file for each), [`placement`] (the decision as data), [`patch`] (its one
//! writer), [`outcome`] (one reason, everywhere).

pub mod api;
pub mod names;

pub mod manifest;
pub mod validate;

pub mod labels;
pub mod table;

pub mod objects;

pub mod fleet;
pub mod ledger;
pub mod live;

pub mod conditions;
pub mod lease;
pub mod view;

pub mod review;

pub mod pod;

pub mod rules;

pub mod placement;

pub mod patch;

pub mod outcome;
pub mod remarks;

pub mod board;
pub mod check;
pub mod explain;

pub mod accelerators;
pub mod field;
pub mod json;
pub mod memory;
pub mod quantity;
pub mod selector;
pub mod shown;
mod size;
pub mod suggestion;
pub mod syntax;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
