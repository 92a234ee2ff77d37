//! A list that is shown as far as a person reads.

/// The first of some things, and how many more there are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bounded<T> {
    /// The first.
    pub shown: Vec<T>,
    /// How many are not shown.
    pub more: usize,
}

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Self {
            shown: Vec::new(),
            more: 0,
        }
    }
}

impl<T> Bounded<T> {
    /// The first so many; of the others nothing is made but their number.
    pub fn new<I>(all: impl IntoIterator<Item = I>, most: usize, make: impl FnMut(I) -> T) -> Self {
        let mut all = all.into_iter();
        Self {
            shown: all.by_ref().take(most).map(make).collect(),
            more: all.count(),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shown.len() + self.more
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty() && self.more == 0
    }
}
