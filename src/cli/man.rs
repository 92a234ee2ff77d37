//! `berth man`.

use std::{fs, path::PathBuf};

use clap::{Args, CommandFactory};
use clap_mangen::{Man as Page, generate_to};

use super::{
    Cli,
    report::{Ended, Failure, print},
};

/// Print the manual page: berth man | man -l -
#[derive(Args, Debug)]
pub(super) struct Man {
    /// Write a page for each command into this folder instead
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        let Some(folder) = self.out else {
            let mut page = Vec::new();
            Page::new(Cli::command().disable_help_subcommand(true)).render(&mut page)?;
            print(String::from_utf8_lossy(&page))?;
            return Ok(Ended::Fine);
        };
        fs::create_dir_all(&folder)
            .and_then(|()| generate_to(Cli::command(), &folder))
            .map_err(|error| Failure::usage(format_args!("--out {}: {error}", folder.display())))?;
        Ok(Ended::Fine)
    }
}
