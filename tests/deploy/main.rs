//! What is deployed is what the code says, and the chart deploys what kustomize does.
#![allow(
    clippy::panic,
    unreachable_pub,
    reason = "a test fails by a panic, and a test crate has no outside"
)]

mod bounds;
mod chart;
#[path = "../common/mod.rs"]
mod common;
mod crds;
mod gitops;
mod guard;
mod image;
mod kustomize;
mod objects;
mod render;
mod rendering;
mod replica;
mod table;
mod values;
mod webhook;
mod word;
