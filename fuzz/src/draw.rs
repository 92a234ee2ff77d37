//! Choices that follow from a number.

/// A source of choices: the same number makes the same.
#[derive(Clone, Copy, Debug)]
pub struct Draw(u64);

impl Draw {
    /// The choices of a number.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        Self(u64::from(seed) << 1 | 1)
    }

    /// A number below another; 0 where that is 0.
    pub fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let number = usize::try_from(self.0 >> 16).unwrap_or_default();
        number.checked_rem(most).unwrap_or_default()
    }

    /// One of some.
    pub fn pick<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())]
    }

    /// Whether it happens, one time of so many.
    pub fn one_of(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
