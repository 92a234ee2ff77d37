//! `berth`: the right GPU for every Pod.

pub mod core;
