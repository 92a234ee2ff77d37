//! A field as people write it, `spec.containers[0].resources.limits["amd.com/gpu"]`: one spelling in every message.

use crate::shown;

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
}
