//! Comments that suppress a diagnostic: `# berth-lint: allow BRT008 a plugin of our own advertises it`.
//!
//! A comment speaks of one line: its own, or the next one with content where it stands alone. On the first line of an
//! object it speaks of all of the object.

use std::sync::Arc;

use berth_core::suggestion::suggestion;

use crate::{
    diagnostic::{Diagnostic, SourceText},
    yaml::{self, Span},
};

/// How the comments of a command look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// How such a comment begins.
    pub(crate) mark: &'static str,
    /// A comment that is right, for help.
    pub(crate) example: &'static str,
    /// The codes that can be suppressed.
    pub(crate) codes: fn() -> Vec<&'static str>,
    /// Whether a code is of what cannot be suppressed.
    pub(crate) is_never: fn(&str) -> bool,
}

/// A comment that suppresses one code, or should.
#[derive(Debug)]
pub(crate) struct Comment<'s> {
    source: &'s SourceText,
    span: Span,
    form: &'static Form,
    /// The line that it speaks of, counted from 1.
    line: usize,
    /// The code and the reason.
    parsed: Result<(String, String), Error>,
    used: bool,
}

/// Why a comment suppresses nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
enum Error {
    /// It begins as one, and goes on otherwise.
    #[error("this comment suppresses nothing")]
    Form,
    /// There is no such code, or none that can be suppressed.
    #[error(
        "no finding that can be suppressed has the code {}",
        berth_core::shown::quoted(code)
    )]
    Code {
        code: String,
        /// The code that was probably meant.
        near: Option<&'static str>,
    },
    /// What it would hide stays wrong.
    #[error("{0} cannot be suppressed: the comment does nothing")]
    Never(String),
    /// No reason.
    #[error("{0} is not suppressed: the comment has no reason")]
    Reason(String),
}

/// The comments of a text that suppress, or should.
pub(crate) fn comments<'s>(source: &'s SourceText, form: &'static Form) -> Vec<Comment<'s>> {
    if !source.text.contains(form.mark) {
        return Vec::new();
    }
    let comments = yaml::comments(&source.text).into_iter();
    let comment = |(span, comment): (Span, String)| {
        Some(Comment {
            source,
            line: line_meant(source, &span),
            span,
            form,
            parsed: parse(&comment, form)?,
            used: false,
        })
    };
    comments.filter_map(comment).collect()
}

/// Reads a comment, without its `#`; nothing where it is another kind of comment.
fn parse(comment: &str, form: &Form) -> Option<Result<(String, String), Error>> {
    let rest = comment.trim().strip_prefix(form.mark)?;
    Some(suppression(rest, form))
}

fn suppression(rest: &str, form: &Form) -> Result<(String, String), Error> {
    let rest = rest.strip_prefix(':').ok_or(Error::Form)?.trim_start();
    let rest = rest.strip_prefix("allow").ok_or(Error::Form)?;
    if !rest.starts_with(char::is_whitespace) {
        return Err(Error::Form);
    }
    let rest = rest.trim_start();
    let (code, reason) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let code = code.trim_end_matches([':', ',']).to_owned();
    let reason = reason.trim();
    if (form.is_never)(&code) {
        return Err(Error::Never(code));
    }
    let codes = (form.codes)();
    if !codes.contains(&&*code) {
        let near = suggestion(&code, codes);
        Err(Error::Code { code, near })
    } else if reason.contains(char::is_alphanumeric) {
        Ok((code, reason.to_owned()))
    } else {
        Err(Error::Reason(code))
    }
}

/// The line of a comment's own content, else the next one with content.
fn line_meant(source: &SourceText, comment: &Span) -> usize {
    let has_content = |line: &str| {
        let line = line.trim_start_matches('\u{feff}').trim();
        !line.is_empty() && !line.starts_with(['#', '%']) && line != "---"
    };
    let (own, _) = source.line_and_column(comment.start);
    let before = source.text.get(..comment.start).unwrap_or_default();
    if has_content(before.rsplit('\n').next().unwrap_or_default()) {
        return own;
    }
    let after = source.text.get(comment.start..).unwrap_or_default();
    let mut lines = (own..).zip(after.lines()).skip(1);
    let next = lines.find(|(_, line)| has_content(line));
    next.map_or(own, |(line, _)| line)
}

/// Whether two are one reading of a file.
pub(crate) fn is_same(a: &SourceText, b: &SourceText) -> bool {
    Arc::ptr_eq(&a.text, &b.text)
}

impl Comment<'_> {
    /// The reason, where the comment suppresses what was found in an object that begins on a line.
    pub(crate) fn reason(
        &mut self,
        found: &Diagnostic,
        object_line: Option<usize>,
    ) -> Option<String> {
        let (code, reason) = self.parsed.as_ref().ok()?;
        let place = found.place.as_ref()?;
        let speaks_of_it = found.code == Some(code)
            && is_same(self.source, &place.source)
            && (place.start().0 == self.line || object_line == Some(self.line));
        speaks_of_it.then(|| {
            self.used = true;
            reason.clone()
        })
    }

    /// What is to be said of the comment itself, where it suppresses nothing.
    pub(crate) fn diagnostic(&self) -> Option<Diagnostic> {
        let (message, help) = match &self.parsed {
            Err(error) => (error.to_string(), error.help(self.form)),
            Ok(_) if self.used => return None,
            Ok((code, _)) => (
                format!("nothing is found here that is {code}"),
                "remove the comment, or put it on or above the line of the finding".to_owned(),
            ),
        };
        let diagnostic = Diagnostic::error(message).with_help(help);
        Some(diagnostic.at(self.source, self.span.clone()))
    }
}

impl Error {
    /// What to change.
    fn help(&self, form: &Form) -> String {
        match self {
            Self::Form => format!("write it as \"# {}\"", form.example),
            Self::Code { near: None, .. } => "write the code that the finding has".to_owned(),
            Self::Code {
                near: Some(near), ..
            } => format!("did you mean {near}?"),
            Self::Never(_) => "fix what is wrong, and remove the comment".to_owned(),
            Self::Reason(code) => format!("say why after {code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Form = Form {
        mark: "berth-x",
        example: "berth-x: allow X1 the reason",
        codes: || vec!["X1", "Surge"],
        is_never: |code| code == "Denied",
    };

    #[test]
    fn a_suppression_has_a_code_and_a_reason() {
        for (comment, reason) in [
            (
                " berth-x: allow X1 a plugin of our own ",
                "a plugin of our own",
            ),
            ("berth-x:allow X1: it is ours", "it is ours"),
        ] {
            let parsed = parse(comment, &FORM).expect("one").expect("a suppression");
            assert_eq!(parsed, ("X1".to_owned(), reason.to_owned()));
        }
        assert_eq!(parse(" an ordinary comment", &FORM), None);
    }

    #[test]
    fn what_is_almost_a_suppression_is_told() {
        for (comment, says) in [
            ("berth-x allow X1 x", "this comment suppresses nothing"),
            ("berth-x: ignore X1 x", "this comment suppresses nothing"),
            ("berth-x: allowX1 x", "this comment suppresses nothing"),
            ("berth-x: allow", "this comment suppresses nothing"),
            ("berth-x: allow  ", "this comment suppresses nothing"),
            ("berth-x: allow Y9 x", "code \"Y9\""),
            ("berth-x: allow \u{7}", "code \"\\u0007\""),
            ("berth-x: allow Denied x", "Denied cannot be suppressed"),
            ("berth-x: allow X1", "no reason"),
            ("berth-x: allow X1: -", "no reason"),
        ] {
            let error = parse(comment, &FORM).expect(comment).expect_err(comment);
            assert!(error.to_string().contains(says), "{comment}: {error}");
        }
    }

    #[test]
    fn a_misspelt_code_is_told_with_the_one_that_was_meant() {
        for (comment, help) in [
            ("berth-x: allow Surgee x", "did you mean Surge?"),
            (
                "berth-x: allow Elsewhere x",
                "write the code that the finding has",
            ),
        ] {
            let error = parse(comment, &FORM).expect(comment).expect_err(comment);
            assert_eq!(error.help(&FORM), help, "{comment}");
        }
    }

    #[test]
    fn a_comment_speaks_of_its_own_line_or_of_the_next_with_content() {
        for (text, line) in [
            ("a: b # berth-x: allow X1 x\nc: d\n", 1),
            ("a: b\n# berth-x: allow X1 x\n\n# more\nc: d\n", 5),
            ("\u{feff}# berth-x: allow X1 x\n%YAML 1.1\n---\na: b\n", 4),
            ("--- # berth-x: allow X1 x\na: b\n", 2),
            ("a: b\n# berth-x: allow X1 x\n", 2),
        ] {
            let source = SourceText::new("t", text);
            let lines: Vec<usize> = comments(&source, &FORM).iter().map(|it| it.line).collect();
            assert_eq!(lines, [line], "{text}");
        }
    }
}
