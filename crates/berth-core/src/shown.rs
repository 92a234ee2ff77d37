//! A user's text in what berth says: of bounded length, and without control characters, which the API server and a
//! terminal take badly.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

/// A name has at most so many bytes, as Kubernetes' own.
pub const NAME: usize = 253;
/// A message has at most so many bytes.
pub const MESSAGE: usize = 1024;

/// What stands for what is cut.
const MORE: &str = "…";

/// A name, or another text of a user's within a sentence.
#[must_use]
pub fn name(text: &str) -> Cow<'_, str> {
    within(NAME, text)
}

/// A whole message, a warning's or a denial's.
#[must_use]
pub fn message(text: &str) -> Cow<'_, str> {
    within(MESSAGE, text)
}

/// A text within so many bytes, each control character in it replaced.
#[must_use]
pub fn within(bytes: usize, text: &str) -> Cow<'_, str> {
    let cut = if text.len() <= bytes {
        Cow::Borrowed(text)
    } else {
        let end = text.floor_char_boundary(bytes.saturating_sub(MORE.len()));
        Cow::Owned(format!("{}{MORE}", text.split_at(end).0))
    };
    if may_control(cut.as_bytes()) {
        // of one byte, so that it stays as short
        Cow::Owned(cut.replace(char::is_control, "?"))
    } else {
        cut
    }
}

/// A name as it is kept for the log: the same text mostly.
#[must_use]
pub fn kept(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => name(text),
        Cow::Owned(text) => Cow::Owned(name(&text).into_owned()),
    }
}

/// Whether there may be control characters: those of ASCII, and those after it, which begin with one byte.
fn may_control(bytes: &[u8]) -> bool {
    // looks at every byte: without an early end, the compiler makes vector instructions of it
    let is_one = |byte: u8| matches!(byte, ..b' ' | 0x7f | 0xc2);
    bytes.iter().fold(false, |any, byte| any | is_one(*byte))
}

/// A name in quotes, as [`quoted`], and no longer than a name can be.
#[must_use]
pub fn named(text: &str) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| write!(f, "{}", quoted(&name(text))))
}

/// A user's text in quotes, as both JSON and YAML read it: a control character as `\u001b`.
#[must_use]
pub fn quoted(text: &str) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| {
        f.write_char('"')?;
        for c in text.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_is_read_by_json_as_it_was() {
        for (text, shown) in [
            ("a", "\"a\""),
            ("\u{1b}[2J\u{9b}", "\"\\u001b[2J\\u009b\""),
            ("a\"\\\n\t\r", "\"a\\\"\\\\\\n\\t\\r\""),
            ("e\u{301}", "\"e\u{301}\""),
        ] {
            assert_eq!(quoted(text).to_string(), shown);
            assert_eq!(
                serde_json::from_str::<String>(shown).ok().as_deref(),
                Some(text)
            );
        }
    }

    #[test]
    fn a_text_is_cut_between_characters_and_has_no_control_characters() {
        for (bytes, text, shown) in [
            (5, "", ""),
            (5, "abcde", "abcde"),
            (5, "abcdef", "ab…"),
            (6, "äöüä", "ä…"),
            (9, "a\nb\u{7f}\u{85}c", "a?b??c"),
            (5, "a\nbcdef", "a?…"),
        ] {
            assert_eq!(within(bytes, text), shown, "{text:?}");
        }
        assert_eq!(name(&"x".repeat(300)).len(), NAME);
        assert_eq!(message(&"ü".repeat(600)).len(), MESSAGE - 1);
    }
}
