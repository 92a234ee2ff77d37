//! `berth completions`.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{
    Cli,
    report::{Ended, Failure, print},
};

const MORE: &str = "\
Examples:
  # in this shell
  source <(berth completions bash)
  # in every fish
  berth completions fish > ~/.config/fish/completions/berth.fish

Exit codes:
  0  they are printed
  2  there is no such shell";

/// Print what a shell completes: source <(berth completions bash)
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
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
