//! The fleet, and the decisions that it does not show yet: between a review and the moment when a watch shows the Pod,
//! its GPUs are taken here.
//!
//! At a review nothing names the Pod that the watch will show, so a take is kept under what both know: the namespace, the
//! owner, the class and the group. A Pod that is seen for the first time settles the oldest take of its key; what is not
//! settled in [`LIFETIME`] was denied later, and expires.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::Hasher,
    sync::Arc,
    time::Duration,
};

use crate::{
    fleet::{Change, Fleet, Histogram, SeenPod, Set},
    live::{Choice, Plan, Room, Wish},
    table::{AllocationTable, Group},
};

/// So long a take waits for its Pod to be seen.
pub const LIFETIME: Duration = Duration::from_secs(3);
/// So many takes are kept; the oldest go first. It is more than an API server creates in [`LIFETIME`].
const MOST: usize = 100_000;

/// The fleet and what is taken. Whoever holds it behind a lock applies a change and asks in one step each.
#[derive(Clone, Debug)]
pub struct Ledger {
    fleet: Fleet,
    /// By the order in which they were taken.
    takes: BTreeMap<u64, Take>,
    /// The takes of a key, oldest first.
    of_key: HashMap<Key, VecDeque<u64>>,
    /// What is taken that may go to a set's pools, by set.
    taken: Vec<Histogram>,
    next: u64,
    expired: u64,
    /// The latest time that was given: a clock that goes back changes nothing.
    now: Duration,
}

/// What a review and a watch both know of a Pod, as a hash: if two are alike, one settles the other's take, no more.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Key(u64);

#[derive(Clone, Debug)]
struct Take {
    key: Key,
    resource: Arc<str>,
    pools: Arc<[String]>,
    gpus: u32,
    until: Duration,
}

impl Ledger {
    /// Nothing seen and nothing taken.
    #[must_use]
    pub fn new(table: Arc<AllocationTable>) -> Self {
        let fleet = Fleet::new(table);
        Self {
            taken: vec![Histogram::default(); fleet.set_count()],
            fleet,
            takes: BTreeMap::new(),
            of_key: HashMap::new(),
            next: 0,
            expired: 0,
            now: Duration::ZERO,
        }
    }

    /// The same, which also keeps the names of the Pods that it counts, up to a bound.
    #[must_use]
    pub fn with_pod_names(self) -> Self {
        let fleet = self.fleet.with_pod_names();
        Self { fleet, ..self }
    }

    /// What is seen of the cluster.
    #[must_use]
    pub const fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Puts a fleet in force that was counted by another table aside ([`Fleet::with_table`]). What is taken stays taken,
    /// by the names of the pools. No change may have come between.
    pub fn put_fleet(&mut self, fleet: Fleet) {
        self.taken = vec![Histogram::default(); fleet.set_count()];
        self.fleet = fleet;
        let takes = std::mem::take(&mut self.takes);
        for take in takes.values() {
            self.count(take, true);
        }
        self.takes = takes;
    }

    /// Takes a change of the cluster. A Pod that is seen for the first time settles its take.
    pub fn apply(&mut self, change: &Change) {
        let is_new = self.fleet.apply(change);
        if let (true, Change::Pod(pod)) = (is_new, change) {
            self.settle(pod);
        }
    }

    /// Chooses between the plans, and unless it is for a dry run takes the GPUs. The time is since any moment that stays.
    pub fn choose(&mut self, wish: &Wish<'_>, now: Duration) -> Choice {
        self.expire(now);
        let choice = Choice::between(wish.plans, |plan| self.room(plan.group, plan.gpus));
        if let (false, Some(plan)) = (wish.dry_run, wish.plans.get(choice.plan)) {
            self.take(wish, *plan);
        }
        choice
    }

    /// The room that a group has for a Pod of so many GPUs, less what is taken.
    #[must_use]
    pub fn room(&self, group: &Group, gpus: u64) -> Room {
        let Some(id) = self.fleet.set_of(group).filter(|_| self.fleet.is_synced()) else {
            return Room::Unknown;
        };
        let Some(set) = self.fleet.set(id) else {
            return Room::Unknown;
        };
        if gpus == 0 {
            return Room::Enough;
        }
        let counted = &set.counted;
        let taken = self.taken.get(id as usize);
        let most = counted.largest_node();
        if counted.slots(gpus, taken, most) >= 1 {
            return Room::Enough;
        }
        if (set.is_provided && counted.empty_nodes() > 0) || self.may_grow(set, gpus) {
            return Room::Unknown;
        }
        let itself = |size: u64| size;
        let free = counted.free.sum(itself) - counted.wanted(taken, most, itself);
        if u64::from(counted.free.largest()) >= gpus && free >= i128::from(gpus) {
            Room::Perhaps
        } else {
            Room::None
        }
    }

    /// Whether an autoscaler may add a node to one of the pools: what the nodes offer that are there, what waits and finds
    /// no place on them, and this Pod's GPUs are within the pool's bound. A node that comes may be larger than those.
    fn may_grow(&self, set: &Set, gpus: u64) -> bool {
        self.fleet.pools_of(set).any(|pool| {
            let (Some(max), Some(alone)) = (pool.max_gpus, self.fleet.set(pool.set)) else {
                return false;
            };
            let taken = self.taken.get(pool.set as usize);
            let short = (-alone.counted.slots(gpus, taken, u32::MAX)).max(0);
            let gpus = i128::from(gpus);
            i128::from(pool.selected) + short * gpus + gpus <= i128::from(max)
        })
    }

    /// GPUs that are taken, of a pool.
    #[must_use]
    pub fn reserved(&self, pool: &str) -> u64 {
        let takes = self.takes.values();
        let of_pool = takes.filter(|take| take.pools.iter().any(|it| it == pool));
        of_pool.map(|take| u64::from(take.gpus)).sum()
    }

    /// GPUs that are taken, by pool: a take of several pools counts for each.
    #[must_use]
    pub fn reservations(&self) -> HashMap<&str, u64> {
        let mut reserved = HashMap::new();
        for take in self.takes.values() {
            for pool in &*take.pools {
                *reserved.entry(&**pool).or_default() += u64::from(take.gpus);
            }
        }
        reserved
    }

    /// How many takes wait for their Pod.
    #[must_use]
    pub fn len(&self) -> usize {
        self.takes.len()
    }

    /// Whether no take waits for its Pod.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.takes.is_empty()
    }

    /// How many takes have expired so far.
    #[must_use]
    pub const fn expired(&self) -> u64 {
        self.expired
    }

    /// Lets go what was taken too long ago. Every choice does it; where none comes, somebody should.
    pub fn expire(&mut self, now: Duration) {
        self.now = self.now.max(now);
        while let Some(oldest) = self.takes.first_entry() {
            if oldest.get().until > self.now {
                break;
            }
            let order = *oldest.key();
            self.expired += 1;
            self.let_go(order);
        }
    }

    fn take(&mut self, wish: &Wish<'_>, plan: Plan<'_>) {
        if plan.gpus == 0 || self.fleet.set_of(plan.group).is_none() {
            return;
        }
        if self.takes.len() >= MOST
            && let Some((oldest, _)) = self.takes.first_key_value()
        {
            let oldest = *oldest;
            self.expired += 1;
            self.let_go(oldest);
        }
        let take = Take {
            key: Key::of(
                wish.namespace,
                wish.owner,
                &wish.class.name,
                &plan.group.name.text,
            ),
            resource: Arc::from(&*plan.group.resource),
            pools: plan.group.pools.clone().into(),
            gpus: u32::try_from(plan.gpus).unwrap_or(u32::MAX),
            until: self.now + LIFETIME,
        };
        self.count(&take, true);
        self.of_key
            .entry(take.key)
            .or_default()
            .push_back(self.next);
        self.takes.insert(self.next, take);
        self.next += 1;
    }

    /// Lets go the oldest take of a Pod's key.
    fn settle(&mut self, pod: &SeenPod) {
        let (Some(class), Some(pools)) = (&pod.class, &pod.pools) else {
            return;
        };
        let key = Key::of(&pod.namespace, &pod.owner, class, pools);
        if let Some(oldest) = self.of_key.get(&key).and_then(|it| it.front().copied()) {
            self.let_go(oldest);
        }
    }

    fn let_go(&mut self, order: u64) {
        let Some(take) = self.takes.remove(&order) else {
            return;
        };
        if let Some(orders) = self.of_key.get_mut(&take.key) {
            orders.retain(|it| *it != order);
            if orders.is_empty() {
                self.of_key.remove(&take.key);
            }
        }
        self.count(&take, false);
    }

    fn count(&mut self, take: &Take, is_more: bool) {
        for id in self.fleet.sets_with(&take.resource, &take.pools) {
            let Some(taken) = self.taken.get_mut(id as usize) else {
                continue;
            };
            if is_more {
                taken.add(take.gpus);
            } else {
                taken.remove(take.gpus);
            }
        }
    }
}

impl Key {
    fn of(namespace: &str, owner: &str, class: &str, group: &str) -> Self {
        let mut hasher = std::hash::DefaultHasher::new();
        for part in [namespace, owner, class, group] {
            hasher.write(part.as_bytes());
            hasher.write_u8(0);
        }
        Self(hasher.finish())
    }
}
