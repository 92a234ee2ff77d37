//! How a command ends: fine, with findings, or with a sentence on standard error, with the source and a caret where
//! there is one.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
    process::ExitCode,
};

use miette::{Diagnostic, LabeledSpan, SourceCode};

use berth_manifests::{
    case_files,
    lint::{Code, Severity},
    table_files::{self, Finding},
};

mod source;

use source::Lines;

/// Writes to standard output, in colours where it takes them.
pub(crate) fn print(text: impl fmt::Display) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush())?;
    Ok(())
}

/// Says a sentence on standard error. Where nobody listens, nothing is lost.
pub(crate) fn tell(sentence: impl fmt::Display) {
    let _ = writeln!(anstream::stderr().lock(), "{sentence}");
}

/// How a command ends that did its work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// There is nothing to report.
    Fine,
    /// It found something, or changes where they were asked for.
    Found,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Fine => Self::SUCCESS,
            Ended::Found => Self::from(1),
        }
    }
}

/// Why a command ends without having done its work.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    diagnostics: Vec<Box<dyn Diagnostic + Send + Sync>>,
}

impl Failure {
    /// The flags do not make sense together, or the system does not give what they ask for.
    pub(crate) fn usage(error: impl fmt::Display) -> Self {
        Self::new(2, error)
    }

    /// Input cannot be read.
    pub(crate) fn unreadable(error: impl fmt::Display) -> Self {
        Self::new(3, error)
    }

    /// Input could not be read, and all has been said about it.
    pub(crate) const fn told() -> Self {
        Self {
            code: 3,
            diagnostics: Vec::new(),
        }
    }

    fn new(code: u8, error: impl fmt::Display) -> Self {
        Self {
            code,
            diagnostics: vec![Box::new(Sentence(error.to_string()))],
        }
    }

    /// Both.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.code = self.code.max(other.code);
        self.diagnostics.extend(other.diagnostics);
        self
    }

    /// Prints it.
    pub(crate) fn report(self) -> ExitCode {
        for diagnostic in self.diagnostics {
            // the Debug form of miette's report is the one for people
            tell(format_args!("{:?}", miette::Report::new_boxed(diagnostic)));
        }
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
        Self::usage(format_args!("standard output: {error}"))
    }
}

impl From<case_files::Error> for Failure {
    fn from(error: case_files::Error) -> Self {
        match error {
            case_files::Error::Misshapen(finding) => Self {
                code: 3,
                diagnostics: vec![Box::new(Shown::new(*finding))],
            },
            other => Self::unreadable(other),
        }
    }
}

impl From<table_files::Error> for Failure {
    fn from(error: table_files::Error) -> Self {
        match error {
            table_files::Error::Refused(findings) => Self {
                code: 3,
                diagnostics: findings
                    .into_iter()
                    .map(|finding| Box::new(Shown::new(finding)) as _)
                    .collect(),
            },
            other => Self::unreadable(other),
        }
    }
}

/// An error of words alone.
#[derive(Debug, Diagnostic, thiserror::Error)]
#[error("{0}")]
struct Sentence(String);

/// A finding with its source.
#[derive(Debug)]
pub(crate) struct Shown {
    code: Option<&'static Code>,
    lines: Option<Lines>,
    finding: Finding,
}

impl Shown {
    fn new(finding: Finding) -> Self {
        Self {
            code: None,
            lines: Lines::around(&finding),
            finding,
        }
    }

    /// The same with its code.
    pub(crate) fn with_code(finding: Finding, code: &'static Code) -> Self {
        Self {
            code: Some(code),
            ..Self::new(finding)
        }
    }
}

impl std::error::Error for Shown {}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { file, message, .. } = &self.finding;
        if self.lines.is_none() {
            let (line, column) = self.finding.line_and_column();
            write!(f, "{}:{line}:{column}: ", file.path.display())?;
        }
        f.write_str(message)
    }
}

impl Diagnostic for Shown {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let code = self.code?;
        Some(Box::new(format!("{} {code}", code.severity.as_str())))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.code?.severity {
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = &self.finding.help;
        Some(match self.code {
            Some(code) => Box::new(format!("{help}\nwhy: berth lint --explain {code}")),
            None => Box::new(help),
        })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.lines.as_ref()?)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.finding.place.clone();
        Some(Box::new([LabeledSpan::underline(place)].into_iter()))
    }
}
