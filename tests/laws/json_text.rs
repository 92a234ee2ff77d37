//! One value, many texts: JSON with other white space, another order of keys and other escapes.

use std::fmt::Write;

use serde_json::Value;

/// How a value is written; a generator of its own, so that one choice decides a whole text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style(u64);

impl Style {
    /// The style of a number; 0 is the compact one.
    pub(crate) fn new(number: usize) -> Self {
        Self(number as u64)
    }

    /// The value's text.
    pub(crate) fn write(mut self, value: &Value) -> String {
        if self.0 == 0 {
            return value.to_string();
        }
        let mut out = String::new();
        self.value(&mut out, value);
        out
    }

    /// xorshift64*
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }

    fn space(&mut self, out: &mut String) {
        if self.below(8) == 0 {
            out.push_str(
                [" ", "\n  ", "\t", "\r\n"][usize::try_from(self.below(4)).unwrap_or_default()],
            );
        }
    }

    fn value(&mut self, out: &mut String, value: &Value) {
        self.space(out);
        match value {
            Value::String(text) => self.string(out, text),
            Value::Array(values) => {
                out.push('[');
                for (i, value) in values.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { "," });
                    self.value(out, value);
                }
                out.push(']');
            }
            Value::Object(fields) => {
                let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
                let first =
                    usize::try_from(self.below(fields.len() as u64 + 1)).unwrap_or_default();
                fields.rotate_left(first);
                out.push('{');
                for (i, (key, value)) in fields.into_iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { "," });
                    self.space(out);
                    self.string(out, key);
                    self.space(out);
                    out.push(':');
                    self.value(out, value);
                }
                out.push('}');
            }
            plain => out.push_str(&plain.to_string()),
        }
        self.space(out);
    }

    /// As Go writes it (`<`, `>` and `&` escaped), or escaped more, or not at all.
    fn string(&mut self, out: &mut String, text: &str) {
        let escaping = self.below(8);
        out.push('"');
        for c in text.chars() {
            let escaped = match escaping {
                0 => true,
                1..=4 => matches!(c, '<' | '>' | '&' | '\u{2028}'),
                _ => false,
            };
            if escaped || c < ' ' || matches!(c, '"' | '\\') {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            } else {
                out.push(c);
            }
        }
        out.push('"');
    }
}
