//! Writing YAML: the lines that are added to a text, in the layout of that text.

use serde_json::{Map, Value};

use super::scalar;

/// How a text is laid out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Layout {
    /// Spaces that a mapping below a key is indented by.
    pub(super) step: usize,
    /// Spaces that a list below a key is indented by.
    pub(super) list: usize,
    /// What ends a line.
    pub(super) newline: &'static str,
}

/// How strings are written within brackets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dialect {
    /// Without quotes where they mean the same.
    Yaml,
    /// Always with quotes.
    Json,
}

impl Layout {
    /// A value as lines, each indented and ended.
    pub(super) fn block(self, value: &Value, indent: usize) -> String {
        match value {
            Value::Object(fields) if !fields.is_empty() => fields
                .iter()
                .map(|(key, value)| self.entry(key, value, indent))
                .collect(),
            Value::Array(items) if !items.is_empty() => {
                items.iter().map(|item| self.item(item, indent)).collect()
            }
            flat => self.line(indent, &flow(flat, Dialect::Yaml)),
        }
    }

    /// A key and its value as lines.
    pub(super) fn entry(self, key: &str, value: &Value, indent: usize) -> String {
        let key = string(key, Dialect::Yaml);
        let below = match value {
            Value::Object(fields) if !fields.is_empty() => indent + self.step,
            Value::Array(items) if !items.is_empty() => indent + self.list,
            flat => {
                let line = format!("{key}: {}", flow(flat, Dialect::Yaml));
                return self.line(indent, &line);
            }
        };
        self.line(indent, &format!("{key}:")) + &self.block(value, below)
    }

    /// An item of a list as lines.
    pub(super) fn item(self, value: &Value, indent: usize) -> String {
        let mut lines = self.block(value, indent + 2);
        lines.replace_range(indent..=indent, "-");
        lines
    }

    fn line(self, indent: usize, text: &str) -> String {
        format!("{:indent$}{text}{}", "", self.newline)
    }
}

/// A value within a line.
pub(crate) fn flow(value: &Value, dialect: Dialect) -> String {
    match value {
        Value::Object(fields) => format!("{{{}}}", entries(fields, dialect).join(", ")),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| flow(item, dialect)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::String(text) => string(text, dialect),
        other => other.to_string(),
    }
}

/// The entries of a mapping, as within its brackets.
pub(super) fn entries(fields: &Map<String, Value>, dialect: Dialect) -> Vec<String> {
    let entry = |(key, value): (&String, &Value)| {
        format!("{}: {}", string(key, dialect), flow(value, dialect))
    };
    fields.iter().map(entry).collect()
}

/// A string as every reader of YAML takes it for one: quoted unless it is a plain word.
pub(super) fn string(text: &str, dialect: Dialect) -> String {
    let within = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(within)
        && scalar::resolve(text, true, None).is_ok_and(|value| value == *text);
    if is_word && dialect == Dialect::Yaml {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LAYOUT: Layout = Layout {
        step: 2,
        list: 0,
        newline: "\n",
    };

    #[test]
    fn a_value_is_written_as_lines_and_within_one() {
        let value =
            json!({"a": {"b.c/d": "1", "e": []}, "f": [{"g": 1, "h": [[2, "yes"], null]}, "x y"]});
        let lines = "  a:\n    b.c/d: \"1\"\n    e: []\n  f:\n  - g: 1\n    h:\n    - - 2\n      - \"yes\"\n    - null\n  - \"x y\"\n";
        assert_eq!(LAYOUT.block(&value, 2), lines);
        let within = "{a: {b.c/d: \"1\", e: []}, f: [{g: 1, h: [[2, \"yes\"], null]}, \"x y\"]}";
        assert_eq!(flow(&value, Dialect::Yaml), within);
        assert_eq!(flow(&json!({"a": "b"}), Dialect::Json), r#"{"a": "b"}"#);
    }

    #[test]
    fn what_could_be_read_as_something_else_is_quoted() {
        for text in [
            "", "y", "No", "null", "0400", "1e3", "-", "~", "a: b", "a #b", "{{ x }}", "ä",
            "10.3.0", "a\nb",
        ] {
            assert_eq!(
                string(text, Dialect::Yaml),
                Value::from(text).to_string(),
                "{text}"
            );
        }
        for text in ["nvidia", "berth.dev/pool", "strix-halo", "x_1"] {
            assert_eq!(string(text, Dialect::Yaml), text);
        }
    }
}
