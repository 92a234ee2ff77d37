//! How much a Pod gets, as it is counted against the bounds of rule 32.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign},
};

use crate::json::{Bound, ENTRIES};

/// So many bytes may be added to a Pod, about: etcd takes no object that is larger, and says so only to the API server.
const BYTES: usize = 3 << 19;
/// What an operation of a patch has besides its value.
const OPERATION: usize = 256;

/// What is added to a Pod, or a part of that.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Size {
    /// Entries of lists and maps.
    pub(crate) entries: usize,
    /// Bytes of JSON: of the patch, and of what its operations copy.
    pub(crate) bytes: usize,
}

/// What is more than a Pod may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Excess {
    /// So many entries.
    Entries(usize),
    /// So many bytes are added.
    Bytes(usize),
}

impl Size {
    /// An operation that adds so many entries, and so many bytes of JSON.
    pub(crate) const fn operation(entries: usize, bytes: usize) -> Self {
        Self {
            entries,
            bytes: bytes + OPERATION,
        }
    }

    /// What is too much, if this is added to a Pod of so many entries.
    pub(crate) const fn excess(self, own: usize) -> Option<Excess> {
        if own + self.entries > ENTRIES.most {
            Some(Excess::Entries(own + self.entries))
        } else if self.bytes > BYTES {
            Some(Excess::Bytes(self.bytes))
        } else {
            None
        }
    }

    /// The larger of two in each respect.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            entries: self.entries.max(other.entries),
            bytes: self.bytes.max(other.bytes),
        }
    }
}

impl Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            entries: self.entries + other.entries,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Size {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), Self::add)
    }
}

/// The amount and the bound, as `40000 entries in its lists and maps, and berth allows 32768`.
impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries(entries) => {
                let Bound { most, what } = ENTRIES;
                write!(f, "{entries} {what}, and berth allows {most}")
            }
            Self::Bytes(bytes) => {
                let (bytes, most) = (Mebibytes(*bytes), Mebibytes(BYTES));
                write!(f, "about {bytes}, and berth allows {most}")
            }
        }
    }
}

/// Bytes as people read them, with a tenth, rounded up: what is above a bound never looks as if it were within it.
struct Mebibytes(usize);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10).div_ceil(1 << 20);
        match (tenths / 10, tenths % 10) {
            (whole, 0) => write!(f, "{whole} MiB"),
            (whole, tenth) => write!(f, "{whole}.{tenth} MiB"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_is_told_with_the_amount_in_units_that_people_read() {
        let of = |entries, bytes| Size { entries, bytes };
        for (own, size, says) in [
            (32_767, of(1, BYTES), None),
            (
                32_768,
                of(1, 0),
                Some("32769 entries in its lists and maps, and berth allows 32768"),
            ),
            (
                0,
                of(0, BYTES + 1),
                Some("about 1.6 MiB, and berth allows 1.5 MiB"),
            ),
            (
                0,
                of(0, 5 << 20),
                Some("about 5 MiB, and berth allows 1.5 MiB"),
            ),
        ] {
            let excess = size.excess(own).map(|it| it.to_string());
            assert_eq!(excess.as_deref(), says, "{size:?}");
        }
    }
}
