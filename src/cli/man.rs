//! `berth man`.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Command, CommandFactory};
use clap_mangen::{
    Man as Page,
    roff::{Roff, roman},
};

use super::{
    Cli,
    report::{Ended, Failure, print},
};

const MORE: &str = "\
Examples:
  berth man | man -l -
  # a page for each command
  berth man --out /usr/local/share/man/man1

Exit codes:
  0  the pages are printed or written
  2  the flags are wrong, or the pages cannot be written";

/// Print the manual page: berth man | man -l -
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
pub(super) struct Man {
    /// Write a page for each command into this folder instead
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let Some(folder) = self.out else {
            let mut page = Vec::new();
            write(command, &mut page)?;
            print(String::from_utf8_lossy(&page))?;
            return Ok(Ended::Fine);
        };
        fs::create_dir_all(&folder)
            .and_then(|()| pages(&command, &folder))
            .map_err(|error| Failure::out(&folder, &error))?;
        Ok(Ended::Fine)
    }
}

/// A file for the command and for each below it.
fn pages(command: &Command, folder: &Path) -> io::Result<()> {
    let subcommands = command.get_subcommands().filter(|it| !it.is_hide_set());
    for subcommand in subcommands {
        pages(subcommand, folder)?;
    }
    let mut page = Vec::new();
    write(command.clone(), &mut page)?;
    let name = Page::new(command.clone()).get_filename();
    fs::write(folder.join(name), page)
}

/// The page of a command. What clap prints after the flags becomes sections with their own names, instead of one that
/// is named EXTRA.
fn write(command: Command, out: &mut impl Write) -> io::Result<()> {
    let more = command.get_after_long_help();
    let more = more.map(ToString::to_string).unwrap_or_default();
    let has_subcommands = command.get_subcommands().any(|it| !it.is_hide_set());
    let has_version = command.get_version().is_some();
    let page = Page::new(command);
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    if has_subcommands {
        page.render_subcommands_section(out)?;
    }
    sections(&more, out)?;
    if has_version {
        page.render_version_section(out)?;
    }
    Ok(())
}

/// Sections of lines that stay as they are: a line at the margin is a heading.
fn sections(text: &str, out: &mut impl Write) -> io::Result<()> {
    let mut roff = Roff::new();
    for line in text.lines() {
        match line.strip_suffix(':') {
            Some(heading) if !line.starts_with(' ') => {
                // fi ends what nf begins
                roff.control("fi", []);
                roff.control("SH", [&*heading.to_uppercase()]);
                roff.control("nf", []);
            }
            _ => {
                roff.text([roman(line)]);
            }
        }
    }
    roff.control("fi", []);
    roff.to_writer(out)
}
