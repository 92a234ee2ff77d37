//! How a command ends, and where it says so: data on standard output, diagnostics on standard error.

use std::{
    borrow::Cow,
    fmt,
    io::{self, ErrorKind, IsTerminal, Write},
    os::fd::AsFd,
    path::Path,
    process::ExitCode,
};

use anstream::ColorChoice;
use clap::{Args, ValueEnum};
use serde::Serialize;

use berth_core::names::REPORT_VERSION;
use berth_manifests::{
    cases,
    diagnostic::{Diagnostic, Severity, printable, render::Renderer},
    files, table_files,
};

/// How a command prints its data, where there is one way for people and one for programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// From which severity on a command fails.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FailOn {
    /// What cannot work as written
    Error,
    /// That, and what is probably not meant
    Warning,
}

impl From<FailOn> for Severity {
    fn from(fail_on: FailOn) -> Self {
        match fail_on {
            FailOn::Error => Self::Error,
            FailOn::Warning => Self::Warning,
        }
    }
}

/// Whether what a command says has colours.
#[derive(Args, Clone, Copy, Debug)]
#[group(skip)]
pub(crate) struct ColorOption {
    /// When to use colours; auto is on a terminal, unless `NO_COLOR` is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

impl ColorOption {
    /// From here on, for both standard streams.
    pub(crate) fn apply(self) {
        let choice = match self.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::AlwaysAnsi,
            Color::Never => ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// Writes to standard output, in colours where it takes them.
pub(crate) fn print(text: impl fmt::Display) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush())?;
    Ok(())
}

/// Says a sentence on standard error, without what would steer a terminal. Where nobody listens, nothing is lost.
pub(crate) fn tell(sentence: impl fmt::Display) {
    say(printable(&sentence.to_string()));
}

fn say(text: impl fmt::Display) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// A text of a manifest's for standard output: as it is, but on a terminal without what would steer it.
pub(crate) fn for_output(text: &str) -> Cow<'_, str> {
    if io::stdout().is_terminal() {
        Cow::Owned(printable(text))
    } else {
        Cow::Borrowed(text)
    }
}

/// The versioned form for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versioned<'d, D> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    data: &'d D,
}

/// Data for programs, as an object of a kind.
pub(crate) fn versioned(kind: &'static str, data: &impl Serialize) -> Result<String, Failure> {
    let versioned = Versioned {
        api_version: REPORT_VERSION,
        kind,
        data,
    };
    let text = serde_json::to_string_pretty(&versioned).map_err(Failure::bug)?;
    Ok(for_output(&text).into_owned() + "\n")
}

/// Says a diagnostic on standard error, with its source and a caret where it has one.
pub(crate) fn show(diagnostic: &Diagnostic) {
    say(renderer(io::stderr()).render(diagnostic));
}

/// A renderer for a stream: as wide as the terminal, where it is one.
pub(crate) fn renderer(stream: impl AsFd) -> Renderer {
    let size = terminal_size::terminal_size_of(stream);
    Renderer::new(size.map(|(width, _)| width.0.into()))
}

/// How a command ends that did its work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// There is nothing to report.
    Fine,
    /// It found something, or changes where they were asked for.
    Found,
    /// The time was over before all was well.
    TimeOver,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Fine => Self::SUCCESS,
            Ended::Found => Self::from(1),
            // as timeout(1) has it
            Ended::TimeOver => Self::from(124),
        }
    }
}

/// Why a command ends without having done its work.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    diagnostics: Vec<Diagnostic>,
}

impl Failure {
    /// The flags do not make sense together, or the system does not give what they ask for.
    pub(crate) fn usage(error: impl fmt::Display) -> Self {
        Self::new(2, error)
    }

    /// A folder that --out names does not take the files.
    pub(crate) fn out(folder: &Path, error: &io::Error) -> Self {
        let (folder, error) = (folder.display(), files::plain(error));
        Self::usage(format_args!(
            "--out {folder}: {error}; name a folder that can be written to"
        ))
    }

    /// Input cannot be read.
    pub(crate) fn unreadable(error: impl fmt::Display) -> Self {
        Self::new(3, error)
    }

    /// A part of berth has ended by itself: whoever supervises the process starts it again.
    pub(crate) fn bug(error: impl fmt::Display) -> Self {
        Self::new(4, error)
    }

    /// Input could not be read, and all has been said about it.
    pub(crate) const fn told() -> Self {
        Self {
            code: 3,
            diagnostics: Vec::new(),
        }
    }

    /// Input is invalid.
    fn invalid(diagnostics: Vec<Diagnostic>) -> Self {
        Self {
            code: 3,
            diagnostics,
        }
    }

    fn new(code: u8, error: impl fmt::Display) -> Self {
        Self {
            code,
            diagnostics: vec![Diagnostic::error(error.to_string())],
        }
    }

    /// Two failures as one, with the higher code.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.code = self.code.max(other.code);
        self.diagnostics.extend(other.diagnostics);
        self
    }

    /// What is to be said of it.
    pub(crate) fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Prints what there is to say, and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        self.diagnostics.iter().for_each(show);
        ExitCode::from(self.code)
    }
}

/// Standard output cannot be written to. A reader who has seen enough, as `head` has, ends the command quietly.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe {
            return Self {
                code: 0,
                diagnostics: Vec::new(),
            };
        }
        Self::usage(format_args!("standard output: {}", files::plain(&error)))
    }
}

impl From<cases::Error> for Failure {
    fn from(error: cases::Error) -> Self {
        match error {
            cases::Error::Invalid(diagnostic) => Self::invalid(vec![*diagnostic]),
            other => Self::unreadable(other),
        }
    }
}

impl From<table_files::Error> for Failure {
    fn from(error: table_files::Error) -> Self {
        match error {
            table_files::Error::Invalid(diagnostics) => Self::invalid(diagnostics),
            table_files::Error::Unreadable(_) => Self::unreadable(error),
        }
    }
}
