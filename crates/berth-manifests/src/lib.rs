//! Manifests in files and streams.
pub mod diagnostic;
pub mod files;

pub mod documents;
pub mod table_files;
pub mod yaml;

pub mod lint;

pub mod dry_run;
pub mod preview;
pub mod workload;

pub mod cases;
