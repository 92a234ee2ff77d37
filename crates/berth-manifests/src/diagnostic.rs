//! What is wrong in something that people wrote, or what they should know about it: one form for every command, for the
//! log and for programs.

use std::{fmt, path::PathBuf, sync::Arc};

use crate::{
    files,
    yaml::{self, Span},
};

pub mod render;

/// Something to say about a text, an object in it, or a command's input.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    /// The stable word for this kind of diagnostic, as `BRT008`.
    pub code: Option<&'static str>,
    /// How much it matters.
    pub severity: Severity,
    /// The field, as people write it: `spec.pools[0].name`. Empty where it is about the text.
    pub field: String,
    /// What is wrong: lower-case, no final dot, names the value.
    pub message: String,
    /// What to change.
    pub help: Option<String>,
    /// What belongs at the field, where a value of another kind is, as `a string`: where the text is known, the help says
    /// how to write it.
    pub expected: Option<&'static str>,
    /// The text that it is about; absent where there is none.
    pub place: Option<Place>,
}

/// How much a diagnostic matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// There is nothing to change.
    Note,
    /// Works, and is probably not meant.
    Warning,
    /// Cannot work as written.
    Error,
}

/// Where a diagnostic is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The text that was read.
    pub source: SourceText,
    /// The part of the text that is meant.
    pub span: Span,
}

/// A text as it was read: a file, or a document of a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SourceText {
    /// The file, as it was named; `-` is standard input.
    pub path: PathBuf,
    /// The content.
    pub text: Arc<str>,
    /// The line of the file, counted from 1, with which the text begins.
    pub first_line: usize,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Diagnostic {
    /// An error, of which only the message is known.
    #[must_use]
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            code: None,
            severity: Severity::Error,
            field: String::new(),
            message: message.into(),
            help: None,
            expected: None,
            place: None,
        }
    }

    /// The text is not YAML.
    #[must_use]
    pub fn not_yaml(source: &SourceText, error: yaml::Error) -> Self {
        let help = error.help(&source.text).map(str::to_owned);
        Self {
            help,
            ..Self::error(error.message).at(source, error.span)
        }
    }

    /// The same with what to change.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }

    /// The same about a part of a text.
    #[must_use]
    pub fn at(self, source: &SourceText, span: Span) -> Self {
        let source = source.clone();
        Self {
            place: Some(Place { source, span }),
            ..self
        }
    }
}

/// Why a file or folder cannot be read, at its place where it has one.
impl From<&files::Error> for Diagnostic {
    fn from(error: &files::Error) -> Self {
        match error {
            files::Error::NotUtf8(place) => Self {
                place: Some((**place).clone()),
                ..Self::error("not UTF-8, and so not YAML")
                    .with_help("save the file as UTF-8, or leave it out")
            },
            other => Self::error(other.to_string()),
        }
    }
}

/// As `path:line:column: message; help`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// As `path:line:column`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.start();
        write!(f, "{}:{line}:{column}", self.source.path.display())
    }
}

impl Place {
    /// Line and column of the first character, both counted from 1, the column in characters.
    #[must_use]
    pub fn start(&self) -> (usize, usize) {
        self.source.line_and_column(self.span.start)
    }

    /// Line and column after the last character.
    #[must_use]
    pub fn end(&self) -> (usize, usize) {
        self.source.line_and_column(self.span.end)
    }
}

impl SourceText {
    /// A whole file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
            first_line: 1,
        }
    }

    /// Line and column of a byte, both counted from 1, the column in characters.
    #[must_use]
    pub fn line_and_column(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + self.first_line;
        let column = before.rsplit('\n').next().unwrap_or_default();
        (line, column.chars().count() + 1)
    }
}

/// Whether a character turns the direction of the text around it, so that it reads as another text.
#[must_use]
pub const fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text without what would steer a terminal, every character as long as it was.
#[must_use]
pub fn printable(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' | '\t' => c,
        '\r' => ' ',
        // of two bytes, as these are themselves
        '\u{80}'..='\u{9f}' | '\u{61c}' => '\u{bf}',
        c if turns(c) => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => '?',
        c => c,
    };
    text.chars().map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_with_its_place_in_the_file() {
        let source = SourceText {
            first_line: 10,
            ..SourceText::new("x.yaml", "a: 1\né: b")
        };
        let at = source.text.find('b').unwrap();
        let diagnostic = Diagnostic::error("b is wrong");
        assert_eq!(diagnostic.to_string(), "b is wrong");
        let placed = diagnostic.with_help("write c").at(&source, at..at + 1);
        assert_eq!(placed.to_string(), "x.yaml:11:4: b is wrong; write c");
        assert_eq!(placed.place.map(|place| place.end()), Some((11, 5)));
    }
}
