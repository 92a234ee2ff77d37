//! One budget of bytes for all bodies: what is being read, what waits for its review, and what is still to be written.
//!
//! Bytes are counted as they arrive, so that a body that is only declared holds nothing. When the budget is used up,
//! each source address has an equal share of it: who is within its share gets room from who is over, also from answers
//! that are not read, and from bodies that have been on their way for long. Everyone else is asked to come again.

use std::{
    collections::HashMap,
    mem,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::metrics::gauge::Gauge;
use slab::Slab;
use tokio::sync::{Notify, oneshot};

use crate::accept::Occupant;

/// A body that takes longer to arrive makes room for others when the budget is used up. The API server sends 10 MiB in
/// a tenth of this.
const SLOW: Duration = Duration::from_secs(1);

/// The budget is used up, and it is not another's turn to make room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Full;

/// The budget, and who holds how much of it.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    ledger: Mutex<Ledger>,
    freed: Notify,
    shown: Gauge,
}

#[derive(Debug, Default)]
struct Ledger {
    held: usize,
    bodies: Slab<Entry>,
}

#[derive(Debug)]
struct Entry {
    source: IpAddr,
    /// Since when it is in its stage.
    since: Instant,
    bytes: usize,
    stage: Stage,
}

/// What may happen to a body.
#[derive(Debug)]
enum Stage {
    Arriving(oneshot::Sender<()>),
    /// Told to make room, which takes until its task runs again.
    Leaving,
    /// All of it is there, and it is reviewed.
    Whole,
    /// It is an answer, which its client may read or not.
    Answer(Option<Occupant>),
}

/// What became of asking for bytes.
enum Asked {
    Held,
    /// Others have been told to make room.
    Wait,
    Full,
}

impl Budget {
    /// A budget of so many bytes, which shows in the gauge how many are held.
    pub(super) fn new(limit: usize, shown: Gauge) -> Arc<Self> {
        Arc::new(Self {
            limit,
            ledger: Mutex::default(),
            freed: Notify::new(),
            shown,
        })
    }

    /// A claim of nothing yet, for a body that begins to arrive, and what ends when it must make room for another.
    pub(super) fn claim(
        self: &Arc<Self>,
        source: IpAddr,
        since: Instant,
    ) -> (Claim, oneshot::Receiver<()>) {
        let (tell, told) = oneshot::channel();
        let entry = Entry {
            source,
            since,
            bytes: 0,
            stage: Stage::Arriving(tell),
        };
        let id = self.ledger().bodies.insert(entry);
        let budget = Arc::clone(self);
        (Claim { budget, id }, told)
    }

    /// A panic in another thread leaves numbers behind, which are right at every step.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, id: usize, bytes: usize) -> Asked {
        let mut ledger = self.ledger();
        let Some(before) = ledger.bodies.get(id).map(|entry| entry.bytes) else {
            return Asked::Full;
        };
        let after = ledger.held - before + bytes;
        if bytes <= before || after <= self.limit {
            ledger.set(id, bytes);
            self.show(ledger, bytes < before);
            return Asked::Held;
        }
        if ledger.make_room(id, bytes, after - self.limit, self.limit) {
            Asked::Wait
        } else {
            Asked::Full
        }
    }

    fn show(&self, ledger: MutexGuard<'_, Ledger>, freed: bool) {
        let held = i64::try_from(ledger.held).unwrap_or(i64::MAX);
        self.shown.set(held);
        drop(ledger);
        if freed {
            self.freed.notify_waiters();
        }
    }
}

impl Ledger {
    fn set(&mut self, id: usize, bytes: usize) {
        if let Some(entry) = self.bodies.get_mut(id) {
            self.held = self.held - entry.bytes + bytes;
            entry.bytes = bytes;
        }
    }

    /// Tells as many bodies to leave as it takes, and none where that is not enough.
    fn make_room(&mut self, id: usize, bytes: usize, missing: usize, limit: usize) -> bool {
        let Some(asking) = self.bodies.get(id) else {
            return false;
        };
        let by_source = self.by_source();
        let share = limit / by_source.len().max(1);
        let of = |source| by_source.get(source).copied().unwrap_or_default();
        let within_share = of(&asking.source) - asking.bytes + bytes <= share;
        let quick = asking.since.elapsed() < SLOW;
        let mut room = 0;
        let mut candidates = Vec::new();
        for (other, entry) in &self.bodies {
            let over_share = within_share && of(&entry.source) > share;
            let slow = quick && entry.since.elapsed() >= SLOW;
            match entry.stage {
                Stage::Leaving => room += entry.bytes,
                Stage::Arriving(_) if over_share || slow => {
                    candidates.push((entry.since, other, entry.bytes));
                }
                // who reads takes no second
                Stage::Answer(_) if over_share && entry.since.elapsed() >= SLOW => {
                    candidates.push((entry.since, other, entry.bytes));
                }
                Stage::Arriving(_) | Stage::Whole | Stage::Answer(_) => {}
            }
        }
        candidates.sort_unstable();
        let mut leaving = Vec::new();
        for (_, other, bytes) in candidates {
            if room >= missing {
                break;
            }
            room += bytes;
            leaving.push(other);
        }
        if room < missing {
            return false;
        }
        for other in leaving {
            self.send_away(other);
        }
        true
    }

    fn by_source(&self) -> HashMap<IpAddr, usize> {
        let mut sums = HashMap::new();
        for (_, entry) in &self.bodies {
            *sums.entry(entry.source).or_default() += entry.bytes;
        }
        sums
    }

    fn send_away(&mut self, id: usize) {
        let Some(entry) = self.bodies.get_mut(id) else {
            return;
        };
        match mem::replace(&mut entry.stage, Stage::Leaving) {
            // an error says that the body is gone by itself
            Stage::Arriving(tell) => drop(tell.send(())),
            Stage::Answer(occupant) => occupant.iter().for_each(Occupant::must_go),
            Stage::Leaving | Stage::Whole => {}
        }
    }
}

/// The bytes that one body holds, until it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    budget: Arc<Budget>,
    id: usize,
}

impl Claim {
    /// Holds so many bytes in all from now on, and waits for those who are told to make room.
    pub(super) async fn hold(&mut self, bytes: usize) -> Result<(), Full> {
        loop {
            // made before the question, so that no release between the two is missed
            let freed = self.budget.freed.notified();
            match self.budget.ask(self.id, bytes) {
                Asked::Held => return Ok(()),
                Asked::Full => return Err(Full),
                Asked::Wait => freed.await,
            }
        }
    }

    /// Holds so many bytes in all from now on, if they are there.
    pub(super) fn hold_now(&mut self, bytes: usize) -> Result<(), Full> {
        match self.budget.ask(self.id, bytes) {
            Asked::Held => Ok(()),
            Asked::Full | Asked::Wait => Err(Full),
        }
    }

    /// All of the body is there: from now on it makes room for nobody. Who waits for its room asks again.
    pub(super) fn whole(&mut self) {
        let mut ledger = self.budget.ledger();
        let entry = ledger.bodies.get_mut(self.id);
        let before = entry.map(|entry| mem::replace(&mut entry.stage, Stage::Whole));
        drop(ledger);
        if let Some(Stage::Leaving) = before {
            self.budget.freed.notify_waiters();
        }
    }

    /// It is an answer since then: if its client does not read it in time, it makes room again.
    pub(super) fn answer(&mut self, occupant: Option<Occupant>, since: Instant) {
        if let Some(entry) = self.budget.ledger().bodies.get_mut(self.id) {
            entry.stage = Stage::Answer(occupant);
            entry.since = since;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut ledger = self.budget.ledger();
        if let Some(entry) = ledger.bodies.try_remove(self.id) {
            ledger.held -= entry.bytes;
        }
        self.budget.show(ledger, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn budget() -> Arc<Budget> {
        Budget::new(64 * MIB, Gauge::default())
    }

    fn body(budget: &Arc<Budget>, source: u8, age: Duration) -> (Claim, oneshot::Receiver<()>) {
        let since = Instant::now().checked_sub(age).expect("an instant");
        budget.claim([10, 0, 0, source].into(), since)
    }

    fn new(budget: &Arc<Budget>, source: u8) -> (Claim, oneshot::Receiver<()>) {
        body(budget, source, Duration::ZERO)
    }

    /// As many bodies as there is room for, but no more than that.
    fn bodies(
        budget: &Arc<Budget>,
        source: u8,
        most: usize,
        bytes: usize,
    ) -> Vec<(Claim, oneshot::Receiver<()>)> {
        let held = (0..most).map_while(|_| {
            let (mut claim, told) = new(budget, source);
            claim.hold_now(bytes).ok().map(|()| (claim, told))
        });
        held.collect()
    }

    #[test]
    fn over_the_budget_nothing_is_held_and_what_is_given_back_can_be_had_again() {
        let budget = budget();
        let mut held = bodies(&budget, 1, 32, 9 * MIB);
        assert_eq!(held.len(), 7);
        assert_eq!(budget.shown.get(), 63 << 20);
        let (mut other, _told) = new(&budget, 1);
        assert_eq!(other.hold_now(2 * MIB), Err(Full));
        held.pop();
        assert_eq!(other.hold_now(2 * MIB), Ok(()));
        drop((held, other));
        assert_eq!(budget.shown.get(), 0);
    }

    #[tokio::test]
    async fn who_is_within_its_share_gets_room_from_who_is_over() {
        let budget = budget();
        let mut held = bodies(&budget, 1, 64, MIB);
        let (oldest, told) = held.remove(0);
        let (mut small, _told) = new(&budget, 2);
        let leaves = async {
            told.await.expect("told");
            drop(oldest);
        };
        assert_eq!(tokio::join!(small.hold(4096), leaves).0, Ok(()));
        for (_, told) in &mut held {
            assert!(told.try_recv().is_err(), "one was enough");
        }
    }

    #[test]
    fn who_is_over_its_share_gets_no_room_from_who_is_within() {
        let budget = budget();
        let _large = bodies(&budget, 1, 40, MIB);
        let _small = bodies(&budget, 2, 24, MIB);
        let (mut one_more, _told) = new(&budget, 1);
        assert_eq!(one_more.hold_now(MIB), Err(Full));
    }

    #[tokio::test]
    async fn a_body_that_is_slow_makes_room_for_a_new_one_of_the_same_source() {
        let budget = budget();
        let (mut slow, told) = body(&budget, 1, 2 * SLOW);
        slow.hold_now(60 * MIB).expect("room");
        let (mut fresh, _told) = new(&budget, 1);
        fresh.hold_now(MIB).expect("room");
        assert_eq!(slow.hold_now(64 * MIB), Err(Full), "not for a slow one");
        let leaves = async {
            told.await.expect("told");
            drop(slow);
        };
        assert_eq!(tokio::join!(fresh.hold(10 * MIB), leaves).0, Ok(()));
    }

    #[test]
    fn a_body_that_is_whole_makes_room_for_nobody() {
        let budget = budget();
        let (mut whole, _told) = body(&budget, 1, 2 * SLOW);
        whole.hold_now(60 * MIB).expect("room");
        whole.whole();
        let (mut fresh, _told) = new(&budget, 2);
        assert_eq!(fresh.hold_now(10 * MIB), Err(Full));
        assert_eq!(whole.hold_now(MIB), Ok(()), "its answer is smaller");
        assert_eq!(fresh.hold_now(10 * MIB), Ok(()));
    }

    #[tokio::test]
    async fn who_waits_for_a_body_that_is_whole_after_all_is_told_that_there_is_no_room() {
        let budget = budget();
        let (mut slow, told) = body(&budget, 1, 2 * SLOW);
        slow.hold_now(60 * MIB).expect("room");
        let (mut fresh, _told) = new(&budget, 1);
        let arrives = async {
            told.await.expect("told");
            slow.whole();
        };
        assert_eq!(tokio::join!(fresh.hold(10 * MIB), arrives).0, Err(Full));
    }

    #[tokio::test]
    async fn an_answer_that_nobody_reads_makes_room_and_one_that_is_being_read_does_not() {
        let budget = budget();
        let (occupant, told_to_go) = Occupant::alone();
        let (mut answer, _told) = new(&budget, 1);
        answer.hold_now(60 * MIB).expect("room");
        answer.whole();
        answer.answer(Some(occupant.clone()), Instant::now());
        let (mut fresh, _fresh_told) = new(&budget, 2);
        assert_eq!(fresh.hold_now(10 * MIB), Err(Full), "it may be being read");
        let ago = Instant::now().checked_sub(2 * SLOW).expect("an instant");
        answer.answer(Some(occupant), ago);
        let leaves = async {
            told_to_go.await;
            drop(answer);
        };
        assert_eq!(tokio::join!(fresh.hold(10 * MIB), leaves).0, Ok(()));
    }
}
