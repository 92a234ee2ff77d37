//! The core decides: synchronous, total, values in and values out.

pub mod api;
pub mod manifest;
pub mod outcome;
pub mod review;
pub mod table;
