//! `berth`: the right GPU for every Pod.
//!
//! A mutating admission webhook. The core decides and the edge performs; the arrows go one way.
//!
//! ```text
//!   cli ──▶ edge ──▶ core
//!
//!   bytes ─▶ edge::webhook ─▶ core::review ─▶ bytes
//!                                  │
//!                    pod (view)  rules  patch  outcome
//!                                  ▲
//!   manifests ─▶ edge::table_files ─▶ core::validate ─▶ core::table
//! ```
//!
//! In reading order: [`core::api`] (the manifests), [`core::table`] (compiled), [`core::review`] (a review, bytes in
//! and out), [`core::rules`] (one file each), [`core::outcome`] (one reason, everywhere).

// println! ends in a panic where its reader has gone: cli::report prints
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod core;
pub mod edge;
