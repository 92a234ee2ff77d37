//! `berth`: the right GPU for every Pod. A mutating admission webhook, and the commands around it.
//!
//! ```text
//! crates/berth-core       decides: manifests, table, view, rules, placement, patch; values in, values out
//! crates/berth-manifests  reads: files, YAML with its places, diagnostics, dry run, preview, lint, cases
//! crates/berth-server     serves: state, sources, webhook, TLS, drain, metrics, log, traces
//! src                     the binary: a file for each subcommand
//! crates/xtask            what maintainers run, and users do not get: cluster, load, scale
//! testing/cluster         a real control plane for tests
//!
//!   src ──▶ berth-server ──▶ berth-manifests ──▶ berth-core
//! ```
//!
//! The arrows go one way, and machines keep it so: Cargo refuses a circle between crates, `deny.toml` says who may have
//! the network and an asynchronous runtime, and the core's own `clippy.toml` forbids it clocks, files, locks and the
//! environment. The rules that the code cites by number are in `docs/design`.

// println! ends in a panic where its reader has gone: cli::report prints
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
