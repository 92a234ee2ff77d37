//! Choices: a generated case is read off a list of numbers, so that proptest shrinks a case by shrinking the list.
//! Zero, and the end of the list, always mean the simplest choice.

/// The choices of one case.
pub(crate) struct Draw<'c>(std::slice::Iter<'c, u16>);

impl<'c> Draw<'c> {
    pub(crate) fn new(choices: &'c [u16]) -> Self {
        Self(choices.iter())
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.number() % bound
    }

    /// True in so many of a thousand cases.
    pub(crate) fn in_thousand(&mut self, share: usize) -> bool {
        self.number() % 1000 >= 1000 - share
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, share: usize) -> bool {
        self.in_thousand(share * 10)
    }

    /// One of those given; the first is the simplest.
    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// `from` to `to` values.
    pub(crate) fn several<T>(
        &mut self,
        from: usize,
        to: usize,
        mut one: impl FnMut(&mut Self) -> T,
    ) -> Vec<T> {
        let count = from + self.below(to - from + 1);
        (0..count).map(|_| one(self)).collect()
    }

    /// `from` to `to` of those given, each once, in any order.
    pub(crate) fn some_of<T: Clone>(&mut self, from: usize, to: usize, of: &[T]) -> Vec<T> {
        let mut left = of.to_vec();
        let count = (from + self.below(to - from + 1)).min(left.len());
        (0..count)
            .map(|_| left.remove(self.below(left.len())))
            .collect()
    }

    /// A number of any size.
    pub(crate) fn wide(&mut self) -> usize {
        self.number() << 16 | self.number()
    }

    /// The number as it is.
    pub(crate) fn number(&mut self) -> usize {
        self.0.next().copied().map_or(0, usize::from)
    }
}
