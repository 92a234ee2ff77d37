//! How many GPUs are free, as far as that is known.

use std::collections::BTreeMap;

use crate::table::Group;

/// Free GPUs by pool. It is what the choice between groups prefers by, and no reservation.
#[derive(Clone, Debug, Default)]
pub struct FreeGpus(BTreeMap<String, u64>);

impl FreeGpus {
    /// The counts of the pools given; those of other pools are unknown.
    pub fn new(free: impl IntoIterator<Item = (String, u64)>) -> Self {
        Self(free.into_iter().collect())
    }

    /// Whether one pool of the group has room for that many: unknown counts as room (rule 0).
    #[must_use]
    pub fn have_room(&self, group: &Group, gpus: u64) -> bool {
        let has_room = |pool: &String| self.0.get(pool).is_none_or(|free| *free >= gpus);
        group.pools.iter().any(has_room)
    }
}
