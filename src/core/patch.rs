//! A JSON Patch (RFC 6902), written as text straight away.

use std::fmt::{Display, Write};

/// A resource, label or annotation key as a segment of a JSON Pointer (RFC 6901): `~` first, then `/`.
#[must_use]
pub fn pointer_segment(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The operations so far. Paths and values are given as JSON text.
#[derive(Clone, Debug, Default)]
pub struct Patch(String);

impl Patch {
    /// Whether there is no operation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a value at a path, appends it to an array where the path ends in `/-`, or replaces what is there.
    pub fn add(&mut self, path: impl Display, value: impl Display) {
        self.operation(format_args!(
            r#"{{"op":"add","path":"{path}","value":{value}}}"#
        ));
    }

    /// Inserts a copy of what is at one path at another.
    pub fn copy(&mut self, from: impl Display, path: impl Display) {
        self.operation(format_args!(
            r#"{{"op":"copy","from":"{from}","path":"{path}"}}"#
        ));
    }

    /// Moves what is at one path to another.
    pub fn rename(&mut self, from: impl Display, path: impl Display) {
        self.operation(format_args!(
            r#"{{"op":"move","from":"{from}","path":"{path}"}}"#
        ));
    }

    /// Appends the values to the array at a path, which is created where there is none.
    pub fn append<V: Display>(
        &mut self,
        path: impl Display,
        exists: Presence,
        values: impl IntoIterator<Item = V>,
    ) {
        match exists {
            Presence::There => values
                .into_iter()
                .for_each(|value| self.add(format_args!("{path}/-"), value)),
            Presence::Missing => {
                let mut array = String::new();
                for value in values {
                    let _ = write!(array, "{}{value}", if array.is_empty() { "" } else { "," });
                }
                if !array.is_empty() {
                    self.add(path, format_args!("[{array}]"));
                }
            }
        }
    }

    /// The JSON array.
    #[must_use]
    pub fn into_json(self) -> String {
        format!("[{}]", self.0)
    }

    fn operation(&mut self, operation: impl Display) {
        let separator = if self.is_empty() { "" } else { "," };
        write!(self.0, "{separator}{operation}").expect("a String takes all text");
    }
}

/// Whether the parent of what is added is there; null counts as missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// It is there, if empty.
    There,
    /// It is absent or null.
    Missing,
}

impl<T> From<&Option<T>> for Presence {
    fn from(value: &Option<T>) -> Self {
        if value.is_some() {
            Self::There
        } else {
            Self::Missing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_escaped_for_a_pointer_the_tilde_first() {
        assert_eq!(pointer_segment("nvidia.com/gpu"), "nvidia.com~1gpu");
        assert_eq!(pointer_segment("a~b/c~1"), "a~0b~1c~01");
    }
}
