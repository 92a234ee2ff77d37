//! How many requests were answered, and how.
//!
//! The counter of a Pod that is placed, or that names no class, is found without a lock, and without a copy of its labels:
//! it is looked up once for a table, and kept beside the class and the pools.

use std::{collections::HashMap, sync::OnceLock};

use arc_swap::ArcSwap;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use berth_core::{outcome::Reason, table::AllocationTable};

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Outcome {
    result: &'static str,
    reason: &'static str,
    class: String,
    pool: String,
}

/// A counter that is looked up when it first counts, so that no outcome is shown that there never was.
type Kept = OnceLock<Counter>;

/// The counters.
#[derive(Debug)]
pub(super) struct Reviews {
    all: Family<Outcome, Counter>,
    /// Those without a class, by reason.
    without_class: [Kept; Reason::ALL.len()],
    /// Those of the table in force.
    by_class: ArcSwap<HashMap<Box<str>, Box<[Goal]>>>,
}

/// Where a Pod of a class may go.
#[derive(Debug)]
struct Goal {
    /// The pools, as the label has them.
    pool: Box<str>,
    placed: Kept,
    in_place: Kept,
}

impl Default for Reviews {
    fn default() -> Self {
        Self {
            all: Family::default(),
            without_class: [const { Kept::new() }; Reason::ALL.len()],
            by_class: ArcSwap::default(),
        }
    }
}

impl Reviews {
    pub(super) fn register(&self, r: &mut Registry) {
        let help = "Requests answered, by result and reason, and by class and pool of the table";
        r.register("reviews", help, self.all.clone());
    }

    /// Makes room for the counters of a table.
    pub(super) fn expect(&self, table: &AllocationTable) {
        let by_class = table.classes().map(|class| {
            let goals = class.groups.iter().map(|group| Goal {
                pool: group.name.text.as_str().into(),
                placed: Kept::new(),
                in_place: Kept::new(),
            });
            (class.name.as_str().into(), goals.collect())
        });
        self.by_class
            .store(by_class.collect::<HashMap<_, _>>().into());
    }

    /// Counts an answer. One about a class or pools that were of an earlier table finds its counter by its labels.
    pub(super) fn count(&self, reason: Reason, class: Option<&str>, pool: Option<&str>) {
        let find = || {
            self.all.get_or_create_owned(&Outcome {
                result: reason.verdict().as_str(),
                reason: reason.as_str(),
                class: class.unwrap_or_default().to_owned(),
                pool: pool.unwrap_or_default().to_owned(),
            })
        };
        let by_class = self.by_class.load();
        match self.kept(&by_class, reason, class, pool) {
            Some(kept) => kept.get_or_init(find).inc(),
            None => find().inc(),
        };
    }

    fn kept<'k>(
        &'k self,
        by_class: &'k HashMap<Box<str>, Box<[Goal]>>,
        reason: Reason,
        class: Option<&str>,
        pool: Option<&str>,
    ) -> Option<&'k Kept> {
        let (class, pool) = match (class, pool) {
            (None, None) => return self.without_class.get(reason as usize),
            (class, pool) => (class?, pool?),
        };
        let mut goals = by_class.get(class)?.iter();
        let goal = goals.find(|goal| *goal.pool == *pool)?;
        match reason {
            Reason::Placed => Some(&goal.placed),
            Reason::InPlace => Some(&goal.in_place),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_counter_is_the_one_of_its_labels() {
        let reviews = Reviews::default();
        let counts = |reason: Reason, class: Option<&str>, pool: Option<&str>| {
            let labels = Outcome {
                result: reason.verdict().as_str(),
                reason: reason.as_str(),
                class: class.unwrap_or_default().to_owned(),
                pool: pool.unwrap_or_default().to_owned(),
            };
            reviews.all.get_or_create(&labels).get()
        };
        let outcomes = Reason::ALL.iter().flat_map(|reason| {
            [
                (*reason, None, Some("p")),
                (*reason, None, None),
                (*reason, Some("a"), None),
                (*reason, Some("a"), Some("p")),
                (*reason, Some("a"), Some("q")),
                (*reason, Some("b"), Some("p")),
            ]
        });
        let outcomes: Vec<_> = outcomes.collect();
        for round in 1..=3 {
            for (reason, class, pool) in &outcomes {
                reviews.count(*reason, *class, *pool);
                assert_eq!(counts(*reason, *class, *pool), round);
            }
            // then they are kept, and then kept anew
            reviews.by_class.store(table().into());
        }
    }

    fn table() -> HashMap<Box<str>, Box<[Goal]>> {
        let goal = |pool: &str| Goal {
            pool: pool.into(),
            placed: Kept::new(),
            in_place: Kept::new(),
        };
        let goals = |pools: &[&str]| pools.iter().map(|pool| goal(pool)).collect();
        HashMap::from([
            ("a".into(), goals(&["p", "q"])),
            ("b".into(), goals(&["p"])),
        ])
    }
}
