//! `berth completions`.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{
    Cli,
    report::{Ended, Failure, print},
};

/// Print what a shell completes: source <(berth completions bash)
#[derive(Args, Debug)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "berth", &mut script);
        print(String::from_utf8_lossy(&script))?;
        Ok(Ended::Fine)
    }
}
