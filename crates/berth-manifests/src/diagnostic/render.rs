//! A diagnostic as people see it: the message, the lines around its place with a mark, and what to change.

use std::fmt;

use miette::{
    LabeledSpan, MietteError, MietteHandler, MietteHandlerOpts, MietteSpanContents, ReportHandler,
    SourceCode, SourceSpan, SpanContents,
};
use textwrap::{WordSeparator, WordSplitter};

use super::{Diagnostic, Place, Severity, printable};
use crate::yaml::Span;

/// Longer lines than this are not shown: JSON of one line, say.
const LONGEST: usize = 400;

/// Writes diagnostics for people, with colours: the stream that they go to removes those that it does not take.
#[expect(missing_debug_implementations, reason = "miette's handler has none")]
pub struct Renderer(MietteHandler);

impl Renderer {
    /// For a terminal of so many columns. What goes elsewhere is never wrapped.
    #[must_use]
    pub fn new(columns: Option<usize>) -> Self {
        let options = MietteHandlerOpts::new().color(true).terminal_links(false);
        let options = match columns {
            // between words alone: a name that is broken can be neither found nor copied
            Some(columns) => options
                .width(columns)
                .break_words(false)
                .word_separator(WordSeparator::AsciiSpace)
                .word_splitter(WordSplitter::NoHyphenation),
            None => options.wrap_lines(false),
        };
        Self(options.build())
    }

    /// The diagnostic as lines.
    #[must_use]
    pub fn render(&self, diagnostic: &Diagnostic) -> String {
        let shown = Shown::new(diagnostic);
        format!("{}", Rendered(&self.0, &shown))
    }
}

struct Rendered<'r>(&'r MietteHandler, &'r Shown);

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug(self.1, f)
    }
}

/// A diagnostic in miette's words, without what would steer a terminal.
#[derive(Debug)]
struct Shown {
    code: Option<String>,
    severity: Severity,
    message: String,
    help: Option<String>,
    excerpt: Option<Excerpt>,
}

impl Shown {
    fn new(diagnostic: &Diagnostic) -> Self {
        let excerpt = diagnostic.place.as_ref().and_then(Excerpt::around);
        let message = match &diagnostic.place {
            Some(place) if excerpt.is_none() => format!("{place}: {}", diagnostic.message),
            _ => diagnostic.message.clone(),
        };
        let severity = diagnostic.severity;
        Self {
            code: diagnostic
                .code
                .map(|code| format!("{} {code}", severity.as_str())),
            severity,
            message: printable(&message),
            help: diagnostic.help.as_deref().map(printable),
            excerpt,
        }
    }
}

impl std::error::Error for Shown {}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl miette::Diagnostic for Shown {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code.as_ref()?))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Note => miette::Severity::Advice,
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.help.as_ref()?))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.excerpt.as_ref()?)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.excerpt.as_ref()?.span.clone();
        Some(Box::new([LabeledSpan::underline(span)].into_iter()))
    }
}

/// The lines that a place is on, one before and one after. No more is copied: a document may be large, and have many
/// diagnostics.
#[derive(Debug)]
struct Excerpt {
    name: String,
    text: String,
    /// The line of the file with which it begins.
    first_line: usize,
    /// The place in it.
    span: Span,
}

impl Excerpt {
    /// None where a line is too long to be shown.
    fn around(place: &Place) -> Option<Self> {
        let Place { source, span } = place;
        let text = &*source.text;
        let (before, after) = (text.get(..span.start)?, text.get(span.end..)?);
        let line_of = |at: usize| before[..at].rfind('\n').map_or(0, |at| at + 1);
        let own = line_of(before.len());
        let start = line_of(own.saturating_sub(1));
        let mut breaks = after.match_indices('\n').map(|(at, _)| span.end + at);
        let end = breaks.nth(1).unwrap_or(text.len());
        let lines = text.get(start..end)?;
        let is_short = lines.split('\n').all(|line| line.len() <= LONGEST);
        is_short.then(|| Self {
            name: printable(&source.path.display().to_string()),
            text: printable(lines),
            first_line: source.line_and_column(start).0,
            span: span.start - start..span.end - start,
        })
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.text.read_span(span, before, after)?;
        let line = self.text.get(..found.span().offset()).unwrap_or_default();
        let column = line.rsplit('\n').next().unwrap_or_default();
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            found.data(),
            *found.span(),
            found.line() + self.first_line - 1,
            // in characters, as everywhere; miette counts bytes
            column.chars().count(),
            found.line_count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceText;

    /// A place of a word in a text that begins at line 5 of its file.
    fn place(text: &str, word: &str) -> Place {
        let at = text.find(word).unwrap();
        let source = SourceText {
            first_line: 5,
            ..SourceText::new("f.yaml", text)
        };
        let span = at..at + word.len();
        Place { source, span }
    }

    fn rendered(text: &str, word: &str, columns: Option<usize>) -> String {
        let place = place(text, word);
        let diagnostic = Diagnostic::error("no\u{1b}[2J word of it is \u{9b}right")
            .with_help("write\nanother")
            .at(&place.source, place.span);
        let rendered = Renderer::new(columns).render(&diagnostic);
        without_colours(&rendered)
    }

    fn without_colours(text: &str) -> String {
        let mut parts = text.split("\u{1b}[");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| {
            text + part.split_once('m').map_or(part, |(_, rest)| rest)
        })
    }

    #[test]
    fn one_line_before_and_one_after_are_shown() {
        let text = "a\nb\n\nc\nd\ne";
        for (word, lines, first) in [
            ("a", "a\nb", 5),
            ("b", "a\nb\n", 5),
            ("c", "\nc\nd", 7),
            ("d", "c\nd\ne", 8),
            ("e", "d\ne", 9),
            ("b\n\nc", "a\nb\n\nc\nd", 5),
        ] {
            let excerpt = Excerpt::around(&place(text, word)).unwrap();
            assert_eq!(
                (&*excerpt.text, excerpt.first_line),
                (lines, first),
                "{word:?}"
            );
            assert_eq!(&excerpt.text[excerpt.span], word);
        }
    }

    #[test]
    fn the_place_is_marked_and_what_steers_a_terminal_is_not_shown() {
        let text = "a\n\u{1b}]0;x\u{7}é\u{9b}1m\tword\r\n";
        let shown = rendered(text, "word", None);
        for line in [
            "no?[2J word of it is \u{bf}right",
            "[f.yaml:6:12]",
            "?]0;x?é\u{bf}1m",
            "help: write\n        another",
        ] {
            assert!(shown.contains(line), "{line}\n{shown}");
        }
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{9b}', '\r']));
    }

    #[test]
    fn a_line_without_end_is_named_and_not_shown() {
        let text = format!("x\nword{}", "x".repeat(400));
        let shown = rendered(&text, "word", None);
        assert!(shown.contains("f.yaml:6:1: no?[2J word"), "{shown}");
        assert!(!shown.contains("xxx"), "{shown}");
    }

    #[test]
    fn only_a_terminal_is_wrapped_for() {
        let is_one_line = |shown: &str| shown.contains("no?[2J word of it is \u{bf}right");
        assert!(is_one_line(&rendered("word", "word", None)));
        assert!(!is_one_line(&rendered("word", "word", Some(20))));
    }
}
