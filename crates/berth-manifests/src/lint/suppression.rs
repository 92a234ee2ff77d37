//! A comment that suppresses a diagnostic: `# berth-lint: allow BRT008 a plugin of our own advertises it`.

use super::code::{Code, INVALID, SUPPRESSION};

/// How such a comment begins.
const MARK: &str = "berth-lint";

/// One code, suppressed for a reason.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Suppression<'t> {
    /// The kind of diagnostic.
    pub(super) code: &'static Code,
    /// Why, in the author's words.
    pub(super) reason: &'t str,
}

/// Why a comment suppresses nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Error {
    /// It begins as one, and goes on otherwise.
    #[error("this comment silences nothing")]
    Form,
    /// There is no such code, or none that can be suppressed.
    #[error("no finding that can be silenced has the code {0:?}")]
    Code(String),
    /// No reason.
    #[error("{0} is silenced without a reason, and so is not")]
    Reason(&'static Code),
}

impl Error {
    /// What to change.
    pub(super) fn help(&self) -> String {
        match self {
            Self::Form => "write it as \"# berth-lint: allow BRT008 the reason\"".to_owned(),
            Self::Code(_) => "write the code that the finding has".to_owned(),
            Self::Reason(code) => format!("say why after {code}"),
        }
    }
}

/// Reads a comment, without its `#`; nothing where it is another kind of comment.
pub(super) fn parse(comment: &str) -> Option<Result<Suppression<'_>, Error>> {
    let rest = comment.trim().strip_prefix(MARK)?;
    Some(suppression(rest))
}

fn suppression(rest: &str) -> Result<Suppression<'_>, Error> {
    let rest = rest.strip_prefix(':').ok_or(Error::Form)?.trim_start();
    let rest = rest.strip_prefix("allow").ok_or(Error::Form)?;
    if !rest.starts_with(char::is_whitespace) {
        return Err(Error::Form);
    }
    let rest = rest.trim_start();
    let (name, reason) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let name = name.trim_end_matches([':', ',']);
    let code = Code::named(name)
        .filter(|code| ![&INVALID, &SUPPRESSION].contains(code))
        .ok_or_else(|| Error::Code(name.to_owned()))?;
    let reason = reason.trim();
    if !reason.contains(char::is_alphanumeric) {
        return Err(Error::Reason(code));
    }
    Ok(Suppression { code, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suppression_has_a_code_and_a_reason() {
        let parsed = parse(" berth-lint: allow BRT008 a plugin of our own advertises it ");
        let suppression = parsed.expect("one").expect("a suppression");
        assert_eq!(suppression.code.name, "BRT008");
        assert_eq!(suppression.reason, "a plugin of our own advertises it");
        assert_eq!(parse(" an ordinary comment"), None);
    }

    #[test]
    fn what_is_almost_a_suppression_is_told() {
        for (comment, says) in [
            ("berth-lint allow BRT008 x", "this comment silences nothing"),
            (
                "berth-lint: ignore BRT008 x",
                "this comment silences nothing",
            ),
            ("berth-lint: allowBRT008 x", "this comment silences nothing"),
            ("berth-lint: allow", "this comment silences nothing"),
            ("berth-lint: allow BRT999 x", "code \"BRT999\""),
            ("berth-lint: allow brt008 x", "code \"brt008\""),
            ("berth-lint: allow BRT000 x", "code \"BRT000\""),
            ("berth-lint: allow BRT014 x", "code \"BRT014\""),
            ("berth-lint: allow BRT008", "without a reason"),
            ("berth-lint: allow BRT008: -", "without a reason"),
        ] {
            let error = parse(comment).expect(comment).expect_err(comment);
            assert!(error.to_string().contains(says), "{comment}: {error}");
        }
    }
}
