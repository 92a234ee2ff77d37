//! A value of another kind than its field takes: how to write the right one.

use serde_json::Value;

use super::{Kind, Node, Style, parse};

impl Node {
    /// How to write what is expected in the place of this value, as `a string`; nothing where there is nothing to add.
    #[must_use]
    pub fn instead(&self, expected: &str, text: &str) -> Option<String> {
        let words = match (expected, &self.kind) {
            ("a string", _) => {
                return Some(
                    self.in_quotes(text)
                        .unwrap_or_else(|| "write one text, on the line of the key".to_owned()),
                );
            }
            ("an object", Kind::Scalar(Value::String(value))) if is(value, Self::is_mapping) => {
                UNQUOTE
            }
            ("a list", Kind::Scalar(Value::String(value))) if is(value, Self::is_list) => UNQUOTE,
            ("an object", Kind::Sequence(_)) => {
                "this is a list; write each entry as key: value, without the -"
            }
            ("an object", _) => "write each entry as key: value, on a line of its own",
            ("a list", _) => "write a list: a line with - for each item",
            ("a boolean", _) => "write true or false, without quotes",
            ("a whole amount", _) => {
                "no quantity has this form; write a number without a unit, as 1"
            }
            ("a whole number", _) => "write a number without quotes, unit and fraction, as 1",
            ("a quantity", _) => "write a number, as 1, 500m or 2Gi",
            _ => return None,
        };
        Some(words.to_owned())
    }

    /// How a value that YAML does not read as a text is written as one; nothing where it cannot be.
    #[must_use]
    pub fn in_quotes(&self, text: &str) -> Option<String> {
        let (kind, value) = match &self.kind {
            Kind::Scalar(Value::Bool(value)) => ("boolean", value.to_string()),
            Kind::Scalar(Value::Number(value)) => ("number", value.to_string()),
            _ => return None,
        };
        // as its author wrote it: 1.10 is not "1.1", and yes not "true"
        let written = text.get(self.span.clone());
        let is_plain = |written: &&str| {
            self.style != Style::Alias
                && !written.starts_with('!')
                && !written.contains(['"', '\\'])
        };
        let written = written.filter(is_plain).unwrap_or(&value);
        Some(format!("{written} is a {kind}; quote it: \"{written}\""))
    }

    const fn is_mapping(&self) -> bool {
        matches!(self.kind, Kind::Mapping(_))
    }

    const fn is_list(&self) -> bool {
        matches!(self.kind, Kind::Sequence(_))
    }
}

const UNQUOTE: &str = "this is a text; write it without quotes, on lines of its own below the key";

/// Whether a text would be of a kind, if it were not one.
fn is(text: &str, kind: fn(&Node) -> bool) -> bool {
    parse(text).is_ok_and(|nodes| nodes.len() == 1 && nodes.iter().all(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_quoted_as_it_is_written() {
        for (written, kind) in [
            ("yes", "boolean"),
            ("No", "boolean"),
            ("true", "boolean"),
            ("1.10", "number"),
            ("0400", "number"),
            ("0x10", "number"),
            ("7", "number"),
        ] {
            let text = format!("a: {written} # c\n");
            let root = parse(&text).expect(written).remove(0);
            let node = root.get("a").expect("there");
            let told = format!("{written} is a {kind}; quote it: \"{written}\"");
            assert_eq!(node.instead("a string", &text), Some(told));
        }
        let text = "a: &x 1.10\nb: *x\n";
        let root = parse(text).expect(text).remove(0);
        let told = root.get("b").and_then(|node| node.in_quotes(text));
        assert_eq!(told.as_deref(), Some("1.1 is a number; quote it: \"1.1\""));
    }

    #[test]
    fn quotes_are_told_to_be_left_out_only_where_that_helps() {
        for (text, expected, says) in [
            ("a: 'b: c'", "an object", UNQUOTE),
            ("a: '[b]'", "a list", UNQUOTE),
            (
                "a: b",
                "an object",
                "write each entry as key: value, on a line of its own",
            ),
            (
                "a: 'b'",
                "a list",
                "write a list: a line with - for each item",
            ),
            (
                "a: 'b: c'",
                "a list",
                "write a list: a line with - for each item",
            ),
        ] {
            let root = parse(text).expect(text).remove(0);
            let told = root.get("a").and_then(|node| node.instead(expected, text));
            assert_eq!(told.as_deref(), Some(says), "{text}");
        }
    }
}
