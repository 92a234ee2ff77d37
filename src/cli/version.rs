//! `berth version`.

use clap::Args;
use serde_json::json;

use super::report::{Ended, Failure, Format, print};
use berth_core::{
    names::{GROUP, VERSION},
    review::API_VERSION,
};
use berth_server::COMMIT;

const MORE: &str = "\
Examples:
  berth version
  berth version -o json

Exit codes:
  0  it is printed
  2  the flags are wrong";

/// Print the version, the commit, and the versions of the APIs that it speaks
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
pub(super) struct Version {
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

impl Version {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        let version = env!("CARGO_PKG_VERSION");
        let manifests = format!("{GROUP}/{VERSION}");
        print(match self.output {
            Format::Text => {
                let commit = COMMIT.map(|commit| format!(", commit: {commit}"));
                let commit = commit.unwrap_or_default();
                format!("berth {version} (tables: {manifests}, reviews: {API_VERSION}{commit})\n")
            }
            Format::Json => {
                let versions = json!({
                    "version": version, "commit": COMMIT, "tables": manifests, "reviews": API_VERSION,
                });
                format!("{versions:#}\n")
            }
        })?;
        Ok(Ended::Fine)
    }
}
