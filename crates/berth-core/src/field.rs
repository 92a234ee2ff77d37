//! A field as people write it, `spec.containers[0].resources.limits["amd.com/gpu"]`: one spelling in every message.

use std::borrow::Cow;

use crate::{json::pointer_segment, shown};

/// A field of an object, below another field or at the root. In quotes where the name is not a plain word.
#[must_use]
pub fn below(field: &str, name: &str) -> String {
    let is_plain = !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric());
    match (is_plain, field) {
        (false, _) => entry(field, name),
        (true, "") => name.to_owned(),
        (true, _) => format!("{field}.{name}"),
    }
}

/// An entry of a map: its key is the author's, and always in quotes.
#[must_use]
pub fn entry(map: &str, key: &str) -> String {
    format!("{map}[{}]", shown::quoted(&shown::name(key)))
}

/// A step down a field's path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step<'f> {
    /// A field, or an entry of a map.
    Key(Cow<'f, str>),
    /// An item of a list.
    Index(usize),
}

/// The first step of a field's path, and the rest of the path; nothing where it is no path, or empty.
#[must_use]
pub fn first(field: &str) -> Option<(Step<'_>, &str)> {
    let (step, rest) =
        if let Some(quoted) = field.strip_prefix("[").filter(|it| it.starts_with('"')) {
            let mut texts = serde_json::Deserializer::from_str(quoted).into_iter::<String>();
            let key = texts.next()?.ok()?;
            let rest = quoted.get(texts.byte_offset()..)?.strip_prefix(']')?;
            (Step::Key(Cow::Owned(key)), rest)
        } else if let Some(index) = field.strip_prefix('[') {
            let (index, rest) = index.split_once(']')?;
            (Step::Index(index.parse().ok()?), rest)
        } else {
            let end = field.find(['.', '[']).unwrap_or(field.len());
            let (key, rest) = field.split_at_checked(end).filter(|_| end > 0)?;
            (Step::Key(Cow::Borrowed(key)), rest)
        };
    Some((step, rest.strip_prefix('.').unwrap_or(rest)))
}

/// A field's path as a JSON Pointer; nothing where it is no path.
#[must_use]
pub fn pointer(field: &str) -> Option<String> {
    let mut pointer = String::new();
    let mut rest = field.trim_start_matches('.');
    while !rest.is_empty() {
        let (step, after) = first(rest)?;
        pointer.push('/');
        match step {
            Step::Key(key) => pointer.push_str(&pointer_segment(&key)),
            Step::Index(index) => pointer.push_str(&index.to_string()),
        }
        rest = after;
    }
    Some(pointer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_plain_word_is_in_quotes() {
        for (field, name, expected) in [
            ("", "spec", "spec"),
            ("spec", "hostNetwork", "spec.hostNetwork"),
            ("spec", "host-network", "spec[\"host-network\"]"),
            ("spec", "a.b\"", "spec[\"a.b\\\"\"]"),
            ("", "", "[\"\"]"),
        ] {
            assert_eq!(below(field, name), expected);
        }
        assert_eq!(entry("limits", "cpu"), "limits[\"cpu\"]");
    }

    #[test]
    fn a_path_is_a_pointer() {
        for (field, expected) in [
            ("", Some("")),
            ("spec", Some("/spec")),
            (
                ".spec.nodeSelector[\"a.b/c\"]",
                Some("/spec/nodeSelector/a.b~1c"),
            ),
            ("spec.containers[1].name", Some("/spec/containers/1/name")),
            ("labels[\"a\\\"]\"].x", Some("/labels/a\"]/x")),
            ("spec[", None),
            ("spec[x]", None),
            ("spec[\"x", None),
        ] {
            assert_eq!(pointer(field).as_deref(), expected, "{field}");
        }
    }
}
