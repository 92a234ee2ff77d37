//! Many values held against many: each that a Pod states is looked at once, however many there are on both sides.

use crate::table::Condition;

use super::constraints::Stated;

/// Whether every value of a requirement is among the values given.
pub(super) fn have_all_of<'v>(values: impl Iterator<Item = &'v str>, ours: &Condition) -> bool {
    let mut missing = vec![true; ours.len()];
    let mut count = ours.len();
    for rank in values.filter_map(|value| ours.rank(value)) {
        if let Some(missing) = missing.get_mut(rank).filter(|missing| **missing) {
            *missing = false;
            count -= 1;
        }
    }
    count == 0
}

/// What is left of the values of a requirement's `In`, constraint by constraint.
pub(super) struct Left<'t> {
    ours: &'t Condition,
    /// For each value by its rank, how many `In` have it, if all had so far; [`Self::OUT`] where it is excluded.
    met: Vec<u32>,
    /// How many `In` there were so far.
    sets: u32,
    above: Option<i64>,
    below: Option<i64>,
    /// Whether no value at all is left.
    none: bool,
}

impl<'t> Left<'t> {
    const OUT: u32 = u32::MAX;

    /// All of them.
    pub(super) fn of(ours: &'t Condition) -> Self {
        Self {
            ours,
            met: vec![0; ours.len()],
            sets: 0,
            above: None,
            below: None,
            none: false,
        }
    }

    /// Takes out what a constraint does not admit; an operator that we do not know may admit anything.
    pub(super) fn only(&mut self, stated: Stated<'_>) {
        match stated.operator {
            "In" => {
                let sets = self.sets;
                self.each(stated, |met| *met += u32::from(*met == sets));
                self.sets += 1;
            }
            "NotIn" => self.each(stated, |met| *met = Self::OUT),
            "DoesNotExist" => self.none = true,
            "Gt" => self.above = self.above.max(stated.values.bound()),
            "Lt" => {
                let bounds = [self.below, stated.values.bound()];
                self.below = bounds.into_iter().flatten().min();
            }
            _ => {}
        }
    }

    /// Changes what is known of each value of ours that a constraint names.
    fn each(&mut self, stated: Stated<'_>, change: impl Fn(&mut u32)) {
        for rank in stated.values.iter().filter_map(|it| self.ours.rank(it)) {
            self.met.get_mut(rank).into_iter().for_each(&change);
        }
    }

    /// Whether nothing is left, of what the alternative's other requirements admit.
    pub(super) fn is_nothing(&self) -> bool {
        let is_left = |(rank, met): (usize, &u32)| {
            *met == self.sets && self.ours.is_open(rank) && self.is_between(self.ours.value(rank))
        };
        self.none || !self.met.iter().enumerate().any(is_left)
    }

    fn is_between(&self, value: &str) -> bool {
        if self.above.is_none() && self.below.is_none() {
            return true;
        }
        value.parse::<i64>().is_ok_and(|value| {
            self.above.is_none_or(|bound| value > bound)
                && self.below.is_none_or(|bound| value < bound)
        })
    }
}
