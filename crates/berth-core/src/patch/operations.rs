//! The operations of a JSON Patch (RFC 6902), written as text straight away.

/// A piece of JSON text. A tuple is its pieces, one after the other: what `format!` would do, at a third of its cost.
pub(super) trait Piece {
    /// Appends the text.
    fn write(&self, out: &mut String);
}

/// The operations so far. Paths and values are given as JSON text.
#[derive(Clone, Debug, Default)]
pub(super) struct Operations(String);

/// Room for the patch of a usual Pod.
const USUAL: usize = 1024;

impl Operations {
    /// Adds a value at a path, appends it to an array where the path ends in `/-`, or replaces what is there.
    pub(super) fn add(&mut self, path: impl Piece, value: impl Piece) {
        self.operation((r#"{"op":"add","path":""#, path, r#"","value":"#, value, "}"));
    }

    /// Inserts a copy of what is at one path at another.
    pub(super) fn copy(&mut self, from: impl Piece, path: impl Piece) {
        self.operation((
            r#"{"op":"copy","from":""#,
            from,
            r#"","path":""#,
            path,
            r#""}"#,
        ));
    }

    /// Moves what is at one path to another.
    pub(super) fn rename(&mut self, from: impl Piece, path: impl Piece) {
        self.operation((
            r#"{"op":"move","from":""#,
            from,
            r#"","path":""#,
            path,
            r#""}"#,
        ));
    }

    /// Appends the values to the array at a path, which is created where there is none.
    pub(super) fn append<V: Piece>(
        &mut self,
        path: impl Piece,
        exists: Presence,
        values: impl IntoIterator<Item = V>,
    ) {
        let mut values = values.into_iter();
        match exists {
            Presence::There => values.for_each(|value| self.add((&path, "/-"), value)),
            Presence::Missing => {
                let Some(first) = values.next() else { return };
                self.operation((r#"{"op":"add","path":""#, path, r#"","value":["#, first));
                for value in values {
                    (",", value).write(&mut self.0);
                }
                self.0.push_str("]}");
            }
        }
    }

    /// The JSON array; none without an operation.
    pub(super) fn into_json(mut self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.push(']');
        Some(self.0)
    }

    fn operation(&mut self, operation: impl Piece) {
        if self.0.is_empty() {
            self.0.reserve(USUAL);
            self.0.push('[');
        } else {
            self.0.push(',');
        }
        operation.write(&mut self.0);
    }
}

impl Piece for str {
    fn write(&self, out: &mut String) {
        out.push_str(self);
    }
}

impl Piece for String {
    fn write(&self, out: &mut String) {
        out.push_str(self);
    }
}

impl Piece for usize {
    fn write(&self, out: &mut String) {
        out.push_str(itoa::Buffer::new().format(*self));
    }
}

impl Piece for u64 {
    fn write(&self, out: &mut String) {
        out.push_str(itoa::Buffer::new().format(*self));
    }
}

impl<T: Piece + ?Sized> Piece for &T {
    fn write(&self, out: &mut String) {
        (**self).write(out);
    }
}

macro_rules! pieces {
    ($($piece:ident),+) => {
        impl<$($piece: Piece),+> Piece for ($($piece,)+) {
            fn write(&self, out: &mut String) {
                #[allow(non_snake_case, reason = "each type has one value of its name")]
                let ($($piece,)+) = self;
                $($piece.write(out);)+
            }
        }
    };
}
pieces!(A, B);
pieces!(A, B, C);
pieces!(A, B, C, D);
pieces!(A, B, C, D, E);

/// Whether the parent of what is added is there; null counts as missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Presence {
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
