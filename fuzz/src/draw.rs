//! Choices that follow from a number.

/// A source of choices: the same number makes the same.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    state: u64,
    room: usize,
}

impl Draw {
    /// The choices of a number, for an input that may have so many bytes.
    #[must_use]
    pub fn new(seed: u32, room: usize) -> Self {
        let state = u64::from(seed) << 1 | 1;
        Self { state, room }
    }

    /// How many of something, each of so many bytes: of some counts one for which an input has room. The others would be
    /// drawn in vain.
    pub fn count(&mut self, some: &[usize], bytes: usize) -> usize {
        let fit = some.iter().filter(|count| **count * bytes <= self.room);
        let fit = fit.count();
        some.get(self.below(fit)).copied().unwrap_or_default()
    }

    /// A number below another; 0 where that is 0.
    pub fn below(&mut self, most: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let number = usize::try_from(self.state >> 16).unwrap_or_default();
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
