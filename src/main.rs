//! The binary.

use std::process::ExitCode;

use berth::cli::Cli;

fn main() -> ExitCode {
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("nothing has installed another provider");
    Cli::from_environment().run()
}
