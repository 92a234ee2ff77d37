//! Manifests in files and streams, and what berth would do with them: no socket, and no asynchronous runtime.
//!
//! ```text
//!   files ─▶ documents ─▶ yaml ─▶ workload ─▶ dry_run ─▶ preview
//!     └────▶ table_files ─▶ lint, guard         ├──────▶ cases
//!                                               └──────▶ adopt
//!                            yaml ─▶ init
//! ```
//!
//! Every module reports what is wrong as a [`diagnostic::Diagnostic`], and one renderer shows it.

pub mod diagnostic;
pub mod files;

pub mod documents;
pub mod table_files;
pub mod yaml;

mod suppression;

pub mod guard;
pub mod init;
pub mod lint;

pub mod adopt;
pub mod dry_run;
pub mod preview;
pub mod word;
pub mod workload;

pub mod cases;
