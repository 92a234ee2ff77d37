//! Reading JSON by borrowing: what no rule reads is skipped, and what a rule reads must be there once.

use std::{borrow::Cow, fmt, ops::Deref};

mod map;
mod pointer;
mod reader;
mod skip;

pub use map::Map;
pub use pointer::pointer_segment;
pub use reader::Reader;
use skip::{At, Brackets};

/// How many of something may be kept of one text (rule 32).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bound {
    /// So many at most.
    pub most: usize,
    /// What they are, in the plural.
    pub what: &'static str,
}

/// What all lists and maps of a text may keep together: so much memory and work does a text take at most.
pub const ENTRIES: Bound = Bound {
    most: 32_768,
    what: "entries in its lists and maps",
};

/// What a text may have of values that no rule reads and of escapes, in steps: an escape is one, what follows it another,
/// and a value [`VALUE`]. That is more than a Pod has that can be stored, and few enough for some milliseconds.
pub const STEPS: Bound = Bound {
    most: 48 * ENTRIES.most,
    what: "escapes, or a quarter as many values that no rule reads",
};

/// A value takes as long as so many escapes.
pub const VALUE: usize = 4;

/// What can be read from JSON.
pub trait Read<'a>: Sized {
    /// How many there may be in one list.
    const BOUND: Bound = ENTRIES;

    /// Reads a value.
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error>;
}

/// Reads a text that is one value.
pub fn parse<'a, T: Read<'a>>(text: &'a str) -> Result<T, Error> {
    let mut reader = Reader::new(text);
    let value = T::read(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| error.located(text))
}

/// What is wrong with a text, and where.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} at line {} column {}", .0.problem, .0.line, .0.column)]
pub struct Error(Box<Fault>);

#[derive(Clone, Debug)]
struct Fault {
    problem: Problem,
    /// How much of the text was left.
    left: usize,
    line: usize,
    column: usize,
    path: String,
    /// What is there.
    at: At,
    /// The brackets around it, from where the reading of a value began.
    open: Brackets,
}

/// What is wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Problem {
    /// The text is cut.
    #[error("it ends too early")]
    Ends,
    /// A value of another kind.
    #[error("expected {expected}, found {found}")]
    Kind {
        /// What is read here.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// Not JSON.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A key that is read is there twice: this makes the whole text untrustworthy, unlike a value of another kind.
    #[error("duplicate key {}", crate::shown::quoted(_0))]
    Duplicate(String),
    /// No escape of JSON's.
    #[error("invalid escape in a string")]
    Escape,
    /// Half a surrogate pair.
    #[error("an escape is one half of a surrogate pair")]
    Surrogate,
    /// A control character as it is.
    #[error("a control character in a string is not escaped")]
    Unescaped,
    /// More than one value.
    #[error("expected the end")]
    Trailing,
    /// More than may be kept: reading ends here.
    #[error("more than {} {}", _0.most, _0.what)]
    TooMany(Bound),
}

impl Error {
    #[cold]
    fn new(problem: Problem, rest: &[u8]) -> Self {
        Self(Box::new(Fault {
            problem: if rest.is_empty() {
                Problem::Ends
            } else {
                problem
            },
            left: rest.len(),
            line: 0,
            column: 0,
            path: String::new(),
            at: At::default(),
            open: Brackets::default(),
        }))
    }

    /// The same error with the place in the whole text, which this is.
    #[cold]
    pub(crate) fn located(mut self, text: &str) -> Self {
        let read = text.as_bytes().split_at(text.len() - self.0.left).0;
        let mut lines = read.rsplit(|byte| *byte == b'\n');
        self.0.column = lines.next().map_or(0, <[u8]>::len) + 1;
        self.0.line = lines.count() + 1;
        self
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.0.problem
    }

    /// Where the value is, as `.spec.containers[0]`; empty at the root.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Whether nothing after it can be read, either: the text is no JSON, or there is too much of it.
    #[must_use]
    pub fn ends_reading(&self) -> bool {
        match self.0.problem {
            Problem::Ends
            | Problem::Expected(_)
            | Problem::Escape
            | Problem::Unescaped
            | Problem::Trailing => true,
            Problem::Kind { .. } | Problem::Duplicate(_) | Problem::Surrogate => false,
            Problem::TooMany(bound) => bound == STEPS,
        }
    }

    /// The same error where something else is than a value.
    #[cold]
    fn at(mut self, at: At) -> Self {
        self.0.at = at;
        self
    }

    /// The same error, seen from outside one more bracket.
    #[cold]
    fn within(mut self, object: bool) -> Self {
        self.0.open.around(object);
        self
    }

    /// The same error, seen from the value around it.
    #[cold]
    pub(crate) fn below(mut self, step: impl fmt::Display) -> Self {
        self.0.path = format!("{step}{}", self.0.path);
        self
    }
}

/// A string, borrowed from the body unless it has escapes.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> Read<'a> for Text<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.string().map(Self)
    }
}

/// A quantity as it was written, a string or a number; null is 0.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Amount<'a>(pub Cow<'a, str>);

impl<'a> Read<'a> for Amount<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self(match reader.token() {
            b'"' => reader.string()?,
            b'-' | b'0'..=b'9' => Cow::Borrowed(reader.skip()?),
            _ if reader.null()? => Cow::Borrowed("0"),
            _ => return Err(reader.other_than("a quantity")),
        }))
    }
}

/// A value that is not read: its text, which is sound.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw<'a>(pub &'a str);

impl<'a> Read<'a> for Raw<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.skip().map(Self)
    }
}

/// A list of which is read only whether something is in it, and how long it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlisted {
    /// Whether there is nothing in it.
    pub is_empty: bool,
    /// The bytes of its text.
    pub bytes: usize,
}

impl Read<'_> for Unlisted {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        if reader.token() != b'[' {
            return Err(reader.other_than("a list"));
        }
        let list = reader.skip()?;
        let inside = list.strip_prefix('[').unwrap_or_default();
        let is_empty = inside.trim_ascii_start().starts_with(']');
        Ok(Self {
            is_empty,
            bytes: list.len(),
        })
    }
}

/// A value of which is read only that it is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unread;

impl Read<'_> for Unread {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.skip().map(|_| Self)
    }
}

impl Read<'_> for bool {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.boolean()
    }
}

/// Null is nothing.
impl<'a, T: Read<'a>> Read<'a> for Option<T> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        if reader.null()? {
            Ok(None)
        } else {
            T::read(reader).map(Some)
        }
    }
}

impl<'a, T: Read<'a>> Read<'a> for Vec<T> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut list = Self::new();
        reader.array(|reader| {
            if list.len() == T::BOUND.most {
                return Err(reader.error(Problem::TooMany(T::BOUND)));
            }
            reader.keep()?;
            match T::read(reader) {
                Ok(value) => list.push(value),
                Err(error) => return Err(error.below(format_args!("[{}]", list.len()))),
            }
            Ok(())
        })?;
        Ok(list)
    }
}

/// Marks a field as seen, which it must not be yet.
#[inline]
pub(crate) fn once(
    reader: &Reader<'_>,
    seen: &mut u32,
    field: u32,
    key: &str,
) -> Result<(), Error> {
    let bit = 1 << field;
    if *seen & bit != 0 {
        return Err(reader.duplicate(key));
    }
    *seen |= bit;
    Ok(())
}

/// Declares an object of which only the named keys are read; each may be absent or null, none may be there twice.
/// Of some there is a bound in one list.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident $(, $bound:ident in a list)? {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $key:literal,)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name<'a> { $($(#[$field_doc])* pub $field: Option<$type>,)+ }

        impl<'a> $crate::json::Read<'a> for $name<'a> {
            $(const BOUND: $crate::json::Bound = $bound;)?

            fn read(reader: &mut $crate::json::Reader<'a>) -> Result<Self, $crate::json::Error> {
                #[allow(non_camel_case_types, reason = "each has its field's name")]
                enum Field { $($field,)+ }
                let (mut object, mut seen) = (Self::default(), 0_u32);
                reader.object(|reader, key| {
                    match &*key {
                        $($key => {
                            $crate::json::once(reader, &mut seen, Field::$field as u32, $key)?;
                            object.$field = $crate::json::Read::read(reader)
                                .map_err(|error: $crate::json::Error| error.below(concat!(".", $key)))?;
                        })+
                        _ => { reader.skip()?; }
                    }
                    Ok(())
                })?;
                Ok(object)
            }
        }
    };
}
pub(crate) use object;

#[cfg(test)]
mod tests;
