//! Who is connected, and who goes when one more comes than there are seats.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

/// There is no seat, and nobody who can be asked to go.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("too many connections, and each has a review in progress")]
pub(super) struct Full;

/// The connections by their peers.
///
/// At the limit somebody goes who has no review in progress: first of a source address that has more than its share,
/// which is the same for each; then the oldest connection that has had no request answered, which is where handshakes,
/// half requests and silence are; then the one whose last answer is the longest ago. If each has a review in progress,
/// the oldest of a source goes that has more than its share, for one of a source that has not.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    began: Instant,
    taken: Mutex<HashMap<SocketAddr, Taken>>,
    reservations: AtomicU64,
}

#[derive(Debug)]
struct Taken {
    /// Which reservation it is of: another connection of the same peer may come before the end of this one is known.
    id: u64,
    since: Instant,
    stage: Arc<Stage>,
    /// Tells the connection to go.
    tell: oneshot::Sender<()>,
    /// Where it hears of that, until it sits down.
    told: Option<oneshot::Receiver<()>>,
}

/// How far a connection is, as a number: who has the smaller one goes first. It changes twice for each review, and so
/// without the lock.
#[derive(Debug, Default)]
struct Stage(AtomicU64);

impl Stage {
    /// No request has been answered. Above it are the times of the last answers, in nanoseconds since `Seats::began`.
    const NEW: u64 = 0;
    /// A review has arrived whole, and has no answer yet.
    const BUSY: u64 = u64::MAX;

    fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn set_busy(&self) {
        self.0.store(Self::BUSY, Ordering::Release);
    }

    fn set_answered(&self, since_began: Duration) {
        let nanoseconds = u64::try_from(since_began.as_nanos()).unwrap_or(Self::BUSY);
        let at = nanoseconds.clamp(Self::NEW + 1, Self::BUSY - 1);
        self.0.store(at, Ordering::Release);
    }
}

impl Seats {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            began: Instant::now(),
            taken: Mutex::default(),
            reservations: AtomicU64::new(0),
        }
    }

    /// Keeps a seat for a peer that has just been accepted, and says how many had to go for it. It is asked in the order
    /// of the connections, which the tasks that serve them do not keep: those that come late would take each other for
    /// the newest.
    pub(super) fn reserve(self: &Arc<Self>, peer: SocketAddr) -> Result<(Reservation, u64), Full> {
        let (tell, told) = oneshot::channel();
        let id = self.reservations.fetch_add(1, Ordering::Relaxed);
        let stage = Arc::new(Stage::default());
        let newcomer = Taken {
            id,
            since: Instant::now(),
            stage: Arc::clone(&stage),
            tell,
            told: Some(told),
        };
        let mut taken = self.taken();
        // an earlier connection of the same peer has ended, though its task does not know yet
        taken.remove(&peer);
        let mut evicted = 0;
        while taken.len() >= self.most {
            let goes = leaver(&taken, peer.ip(), self.most).ok_or(Full)?;
            if let Some(leaver) = taken.remove(&goes) {
                // an error says that the connection ends by itself
                let _ = leaver.tell.send(());
                evicted += 1;
            }
        }
        taken.insert(peer, newcomer);
        let seats = Arc::clone(self);
        let occupant = Occupant {
            seats,
            peer,
            id,
            stage,
        };
        Ok((Reservation(occupant), evicted))
    }

    /// A panic elsewhere leaves a map that is right at every step.
    fn taken(&self) -> MutexGuard<'_, HashMap<SocketAddr, Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who goes for one more of the source.
fn leaver(taken: &HashMap<SocketAddr, Taken>, source: IpAddr, most: usize) -> Option<SocketAddr> {
    let mut by_source = HashMap::from([(source, 1)]);
    for peer in taken.keys() {
        *by_source.entry(peer.ip()).or_insert(0) += 1;
    }
    let share = (most / by_source.len()).max(1);
    let within_share = |source: IpAddr| by_source.get(&source).is_none_or(|held| *held <= share);
    let newcomer_within = within_share(source);
    // each stage is read once, since it may change at any time
    let staged = taken.iter().map(|(peer, one)| (peer, one, one.stage.get()));
    let may_go = staged.filter(|(peer, _, stage)| {
        *stage != Stage::BUSY || newcomer_within && !within_share(peer.ip())
    });
    let goes = may_go.min_by_key(|(peer, one, stage)| {
        let busy = *stage == Stage::BUSY;
        (busy, within_share(peer.ip()), *stage, one.since)
    });
    goes.map(|(peer, ..)| *peer)
}

/// A seat that is kept for a connection. It is given back when it is dropped before anyone sits down: a connection can
/// end before its task begins.
#[derive(Debug)]
pub(super) struct Reservation(Occupant);

impl Reservation {
    /// The seat, unless another needed it by now.
    pub(super) fn take(&self) -> Option<Seat> {
        let Self(occupant) = self;
        let mut taken = occupant.seats.taken();
        let kept = taken.get_mut(&occupant.peer);
        let told = kept.filter(|one| one.id == occupant.id)?.told.take()?;
        Some(Seat {
            occupant: occupant.clone(),
            told,
        })
    }

    /// Who sits there, or will.
    pub(super) fn occupant(&self) -> Occupant {
        self.0.clone()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // who sits there gives it back
        drop(self.take());
    }
}

/// A connection's seat, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    occupant: Occupant,
    told: oneshot::Receiver<()>,
}

impl Seat {
    /// Ends when the connection must make room for another.
    pub(super) fn poll_told(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.told.is_terminated() {
            return Poll::Ready(());
        }
        Pin::new(&mut self.told).poll(context).map(drop)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.occupant.free();
    }
}

/// Who is on a connection, for the requests that come over it.
#[derive(Clone, Debug)]
pub struct Occupant {
    seats: Arc<Seats>,
    peer: SocketAddr,
    id: u64,
    stage: Arc<Stage>,
}

impl Occupant {
    /// The address and port that it connects from.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The address that it connects from.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.peer.ip().to_canonical()
    }

    /// Its review is there: until the answer, the connection makes room for nobody who has as much.
    pub fn has_sent(&self) {
        self.stage.set_busy();
    }

    /// It has its answer.
    pub(super) fn is_answered(&self) {
        self.stage.set_answered(self.seats.began.elapsed());
    }

    /// It does not read its answer: the connection ends.
    pub fn must_go(&self) {
        if let Some(taken) = self.free() {
            // an error says that the connection ends by itself
            let _ = taken.tell.send(());
        }
    }

    /// Gives the seat back, unless another has it by now.
    fn free(&self) -> Option<Taken> {
        let mut taken = self.seats.taken();
        let is_its = taken.get(&self.peer).is_some_and(|one| one.id == self.id);
        is_its.then(|| taken.remove(&self.peer)).flatten()
    }
}

#[cfg(test)]
impl Occupant {
    /// The only one of its seats, and what ends when it must go.
    pub(crate) fn alone() -> (Self, impl Future<Output = ()>) {
        let (seats, peer) = (Arc::new(Seats::new(1)), ([10, 0, 0, 1], 1).into());
        let reserved = seats.reserve(peer).expect("a seat").0;
        let mut seat = reserved.take().expect("a seat");
        let told = std::future::poll_fn(move |context| seat.poll_told(context));
        (reserved.occupant(), told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(source: u8, port: u16) -> SocketAddr {
        ([10, 0, 0, source], port).into()
    }

    /// Seats, of which the peers given take one each, in that order.
    fn seats(most: usize, peers: &[SocketAddr]) -> (Arc<Seats>, Vec<Seat>) {
        let seats = Arc::new(Seats::new(most));
        let taken = peers.iter().map(|peer| sit(&seats, *peer).0);
        let taken = taken.collect();
        (seats, taken)
    }

    fn sit(seats: &Arc<Seats>, peer: SocketAddr) -> (Seat, u64) {
        let (reservation, evicted) = seats.reserve(peer).expect("a seat");
        (reservation.take().expect("a seat"), evicted)
    }

    /// The peers that have been told to go.
    fn gone(taken: &mut [Seat]) -> Vec<SocketAddr> {
        let gone = taken.iter_mut().filter_map(|seat| {
            let told = seat.told.is_terminated() || seat.told.try_recv().is_ok();
            told.then_some(seat.occupant.peer)
        });
        gone.collect()
    }

    fn answered(seats: &Seats, peers: &[SocketAddr]) {
        for peer in peers {
            seats.taken()[peer]
                .stage
                .set_answered(seats.began.elapsed());
        }
    }

    #[test]
    fn the_oldest_without_an_answer_goes_first_then_the_longest_idle() {
        let peers = [peer(1, 1), peer(1, 2), peer(1, 3), peer(1, 4)];
        let (seats, mut taken) = seats(4, &peers);
        answered(&seats, &[peers[1], peers[0]]);
        let mut newcomers = Vec::new();
        for goes in [peers[2], peers[3]] {
            newcomers.push(sit(&seats, peer(1, goes.port() + 10)).0);
            assert_eq!(gone(&mut taken).last(), Some(&goes));
        }
        answered(&seats, &[peer(1, 13), peer(1, 14)]);
        for (port, goes) in [(21, vec![1, 2, 3]), (22, vec![0, 1, 2, 3])] {
            newcomers.push(sit(&seats, peer(1, port)).0);
            seats.taken()[&peer(1, port)].stage.set_busy();
            let goes: Vec<_> = goes.into_iter().map(|n| peers[n]).collect();
            assert_eq!(gone(&mut taken), goes);
        }
    }

    #[test]
    fn who_has_a_review_in_progress_stays_and_one_more_is_refused() {
        let peers = [peer(1, 1), peer(2, 1)];
        let (seats, mut taken) = seats(2, &peers);
        for busy in peers {
            seats.taken()[&busy].stage.set_busy();
        }
        assert_eq!(seats.reserve(peer(3, 1)).err(), Some(Full));
        assert_eq!(gone(&mut taken), []);
        answered(&seats, &[peers[1]]);
        let newcomer = sit(&seats, peer(3, 1));
        assert_eq!(newcomer.1, 1);
        assert_eq!(gone(&mut taken), [peers[1]]);
    }

    #[test]
    fn who_was_accepted_first_goes_first_though_it_sits_down_last() {
        let seats = Arc::new(Seats::new(2));
        let reserve = |port| seats.reserve(peer(1, port)).expect("a seat").0;
        let [first, second, third] = [1, 2, 3].map(reserve);
        let mut taken = [third, second].map(|kept| kept.take().expect("a seat"));
        assert!(first.take().is_none());
        let _fourth = reserve(4);
        assert_eq!(gone(&mut taken), [peer(1, 2)]);
    }

    #[test]
    fn a_connection_that_ends_before_anyone_sits_down_keeps_no_seat() {
        let seats = Arc::new(Seats::new(2));
        let (ended, _) = seats.reserve(peer(1, 1)).expect("a seat");
        drop(ended);
        assert!(seats.taken().is_empty());
        // the same peer comes again before the end of its first connection is known
        let (old, _) = seats.reserve(peer(1, 1)).expect("a seat");
        let (new, _) = seats.reserve(peer(1, 1)).expect("a seat");
        drop(old);
        let seat = new.take().expect("a seat");
        drop(new);
        assert_eq!(seats.taken().len(), 1);
        drop(seat);
        assert!(seats.taken().is_empty());
    }

    #[test]
    fn a_source_with_more_than_its_share_keeps_nobody_out_with_reviews_in_progress() {
        let flood = [peer(1, 1), peer(1, 2), peer(1, 3)];
        let (seats, mut taken) = seats(3, &flood);
        for busy in flood {
            seats.taken()[&busy].stage.set_busy();
        }
        assert_eq!(seats.reserve(peer(1, 4)).err(), Some(Full));
        let _newcomer = sit(&seats, peer(2, 1));
        assert_eq!(gone(&mut taken), [peer(1, 1)]);
    }

    #[test]
    fn who_must_go_is_told_and_has_no_seat() {
        let (seats, mut taken) = seats(2, &[peer(1, 1)]);
        taken[0].occupant.must_go();
        assert_eq!(gone(&mut taken), [peer(1, 1)]);
        assert!(seats.taken().is_empty());
    }

    #[test]
    fn one_source_cannot_take_the_share_of_another() {
        let idle: Vec<_> = (1..=8).map(|port| peer(1, port)).collect();
        let api_server: Vec<_> = (1..=4).map(|port| peer(2, port)).collect();
        let (seats, mut first) = seats(8, &idle);
        answered(&seats, &idle);
        let mut second: Vec<_> = api_server.iter().map(|peer| sit(&seats, *peer).0).collect();
        assert_eq!(gone(&mut first), idle[..4]);
        answered(&seats, &api_server);
        let flood: Vec<_> = (100..200)
            .map(|port| sit(&seats, peer(1, port)).0)
            .collect();
        assert_eq!(gone(&mut second), []);
        assert_eq!(seats.taken().len(), 8);
        drop((flood, first, second));
        assert!(seats.taken().is_empty());
    }

    #[test]
    fn an_old_connection_of_the_same_peer_does_not_give_the_new_ones_seat_back() {
        let (seats, old) = seats(1, &[peer(1, 1)]);
        let (new, evicted) = sit(&seats, peer(1, 1));
        assert_eq!(evicted, 0);
        old[0].occupant.must_go();
        assert_eq!(seats.taken().len(), 1);
        drop(old);
        assert_eq!(seats.taken().len(), 1);
        drop(new);
        assert!(seats.taken().is_empty());
    }
}
