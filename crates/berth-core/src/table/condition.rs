//! A requirement of the table's, ready to be held against the values that Pods state, of which there may be many.

use std::ops::Deref;

use crate::selector::Requirement;

/// A requirement with its values sorted, so that a Pod's value is found among a thousand without a search.
#[derive(Clone, Debug)]
pub struct Condition {
    requirement: Requirement,
    /// The places of the values in their order, each value once.
    sorted: Vec<u32>,
    /// The ranks of the values that the alternative's other requirements on the key do not admit.
    closed: Vec<usize>,
}

impl Deref for Condition {
    type Target = Requirement;

    fn deref(&self) -> &Requirement {
        &self.requirement
    }
}

impl From<Requirement> for Condition {
    fn from(requirement: Requirement) -> Self {
        let value = |at: &u32| requirement.values.get(*at as usize);
        let count = u32::try_from(requirement.values.len()).unwrap_or(u32::MAX);
        let mut sorted: Vec<u32> = (0..count).collect();
        sorted.sort_by_key(value);
        sorted.dedup_by_key(|at| value(at));
        Self {
            sorted,
            requirement,
            closed: Vec::new(),
        }
    }
}

impl Condition {
    /// The requirements of one alternative.
    pub(super) fn all(requirements: Vec<Requirement>) -> Vec<Self> {
        let mut conditions: Vec<Self> = requirements.into_iter().map(Self::from).collect();
        let closed: Vec<Vec<usize>> = (0..conditions.len())
            .map(|i| closed(&conditions, i))
            .collect();
        for (condition, closed) in conditions.iter_mut().zip(closed) {
            condition.closed = closed;
        }
        conditions
    }

    /// How many different values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The rank of a value among those of the condition.
    #[must_use]
    pub fn rank(&self, value: &str) -> Option<usize> {
        let found = self.sorted.binary_search_by(|at| self.at(*at).cmp(value));
        found.ok()
    }

    /// The value of a rank.
    #[must_use]
    pub fn value(&self, rank: usize) -> &str {
        self.sorted.get(rank).map_or("", |at| self.at(*at))
    }

    /// Whether the alternative's other requirements on the key admit the value of a rank.
    #[must_use]
    pub fn is_open(&self, rank: usize) -> bool {
        self.closed.binary_search(&rank).is_err()
    }

    /// Whether that is so of every value.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.is_empty() && self.closed.len() == self.len()
    }

    /// How many entries of lists it is in a Pod: itself, and its values.
    pub(super) fn entries(&self) -> usize {
        1 + self.requirement.values.len()
    }

    fn at(&self, at: u32) -> &str {
        let value = self.requirement.values.get(at as usize);
        value.map_or("", String::as_str)
    }
}

/// The ranks of the values of condition `i` that another one on its key does not admit.
fn closed(conditions: &[Condition], i: usize) -> Vec<usize> {
    let Some(ours) = conditions.get(i) else {
        return Vec::new();
    };
    let others = || {
        let others = conditions.iter().enumerate().filter(|(j, _)| *j != i);
        others
            .map(|(_, other)| other)
            .filter(|it| it.key == ours.key)
    };
    if others().next().is_none() {
        return Vec::new();
    }
    let is_closed = |rank: &usize| others().any(|other| !other.admits(Some(ours.value(*rank))));
    (0..ours.len()).filter(is_closed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Operator;

    fn requirement(operator: Operator, values: &[&str]) -> Requirement {
        Requirement {
            key: "k".to_owned(),
            operator,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    #[test]
    fn a_value_is_found_by_its_rank_and_one_that_is_there_twice_has_one() {
        let condition = Condition::from(requirement(Operator::In, &["c", "a", "b", "a"]));
        assert_eq!(condition.len(), 3);
        for (rank, value) in ["a", "b", "c"].into_iter().enumerate() {
            assert_eq!(condition.rank(value), Some(rank));
            assert_eq!(condition.value(rank), value);
            assert!(condition.is_open(rank));
        }
        assert_eq!(condition.rank("d"), None);
        assert_eq!(condition.values, ["c", "a", "b", "a"]);
    }

    #[test]
    fn a_value_that_another_requirement_excludes_is_closed() {
        let of = |operator, values: &[&str]| requirement(operator, values);
        let conditions = Condition::all(vec![
            of(Operator::In, &["b", "a"]),
            of(Operator::NotIn, &["b"]),
            of(Operator::Exists, &[]),
        ]);
        let open: Vec<bool> = (0..2).map(|rank| conditions[0].is_open(rank)).collect();
        assert_eq!(open, [true, false]);
        assert!(!conditions[0].is_closed());
        let none = Condition::all(vec![of(Operator::In, &["a"]), of(Operator::In, &["b"])]);
        assert!(none[0].is_closed() && none[1].is_closed());
    }
}
