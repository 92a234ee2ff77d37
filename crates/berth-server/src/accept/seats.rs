//! Who is connected, and who goes when one more comes than there are seats.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::Response,
};
use tokio::sync::oneshot::{self, error::TryRecvError};

/// There is no seat, and nobody who can be asked to go.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("too many connections, and each has a review in progress")]
pub(super) struct Full;

/// The connections by their peers.
///
/// At the limit somebody goes who has no review in progress: first of a source address that has more than its share,
/// which is the same for each; then the oldest connection that has had no request answered, which is where handshakes,
/// half requests and silence are; then the one whose last answer is the longest ago.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    taken: Mutex<HashMap<SocketAddr, Taken>>,
}

#[derive(Debug)]
struct Taken {
    since: Instant,
    stage: Stage,
    /// Tells the connection to go.
    tell: oneshot::Sender<()>,
    /// Where it hears of that, until it sits down.
    told: Option<oneshot::Receiver<()>>,
}

/// In the order in which they go.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Stage {
    /// No request has been answered.
    New,
    /// The last answer was then.
    Answered(Instant),
    /// A review has arrived whole, and has no answer yet.
    Busy,
}

impl Seats {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            taken: Mutex::default(),
        }
    }

    /// Keeps a seat for a peer that has just been accepted, and says how many had to go for it. It is asked in the order
    /// of the connections, which the tasks that serve them do not keep: those that come late would take each other for
    /// the newest.
    pub(super) fn reserve(&self, peer: SocketAddr) -> Result<u64, Full> {
        let (tell, told) = oneshot::channel();
        let newcomer = Taken {
            since: Instant::now(),
            stage: Stage::New,
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
        Ok(evicted)
    }

    /// The seat that was kept for the peer, unless there was none, or another needed it by now.
    pub(super) fn take(self: &Arc<Self>, peer: SocketAddr) -> Option<Seat> {
        let told = self.taken().get_mut(&peer)?.told.take()?;
        let seats = Arc::clone(self);
        Some(Seat { seats, peer, told })
    }

    fn set(&self, peer: SocketAddr, stage: Stage) {
        if let Some(taken) = self.taken().get_mut(&peer) {
            taken.stage = stage;
        }
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
    let idle = taken.iter().filter(|(_, one)| one.stage != Stage::Busy);
    let goes = idle.min_by_key(|(peer, one)| {
        let within_share = by_source.get(&peer.ip()).is_none_or(|held| *held <= share);
        (within_share, one.stage, one.since)
    });
    goes.map(|(peer, _)| *peer)
}

/// A connection's seat, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    peer: SocketAddr,
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
        let mut taken = self.seats.taken();
        // who was told has no seat any more, and another connection of the same peer may have one
        if self.told.try_recv() == Err(TryRecvError::Empty) {
            taken.remove(&self.peer);
        }
    }
}

/// Who is on a connection, for the requests that come over it.
#[derive(Clone, Debug)]
pub struct Occupant {
    seats: Arc<Seats>,
    peer: SocketAddr,
}

impl Occupant {
    /// The address that it connects from.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.peer.ip().to_canonical()
    }

    /// Its review is there: until the answer, the connection makes room for nobody.
    pub fn has_sent(&self) {
        self.seats.set(self.peer, Stage::Busy);
    }
}

/// Tells the handler who asks, and the seats that there is an answer.
pub(super) async fn follow(
    State(seats): State<Arc<Seats>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let occupant = Occupant { seats, peer };
    request.extensions_mut().insert(occupant.clone());
    let response = next.run(request).await;
    occupant.seats.set(peer, Stage::Answered(Instant::now()));
    response
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
        let evicted = seats.reserve(peer).expect("a seat");
        (seats.take(peer).expect("a seat"), evicted)
    }

    /// The peers that have been told to go.
    fn gone(taken: &mut [Seat]) -> Vec<SocketAddr> {
        let gone = taken.iter_mut().filter_map(|seat| {
            let told = seat.told.is_terminated() || seat.told.try_recv().is_ok();
            told.then_some(seat.peer)
        });
        gone.collect()
    }

    fn answered(seats: &Seats, peers: &[SocketAddr]) {
        for peer in peers {
            seats.set(*peer, Stage::Answered(Instant::now()));
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
            seats.set(peer(1, port), Stage::Busy);
            let goes: Vec<_> = goes.into_iter().map(|n| peers[n]).collect();
            assert_eq!(gone(&mut taken), goes);
        }
    }

    #[test]
    fn who_has_a_review_in_progress_stays_and_one_more_is_refused() {
        let peers = [peer(1, 1), peer(2, 1)];
        let (seats, mut taken) = seats(2, &peers);
        for busy in peers {
            seats.set(busy, Stage::Busy);
        }
        assert_eq!(seats.reserve(peer(3, 1)), Err(Full));
        assert_eq!(gone(&mut taken), []);
        answered(&seats, &[peers[1]]);
        let newcomer = sit(&seats, peer(3, 1));
        assert_eq!(newcomer.1, 1);
        assert_eq!(gone(&mut taken), [peers[1]]);
    }

    #[test]
    fn who_was_accepted_first_goes_first_though_it_sits_down_last() {
        let seats = Arc::new(Seats::new(2));
        for port in 1..=3 {
            seats.reserve(peer(1, port)).expect("a seat");
        }
        let mut taken = [3, 2].map(|port| seats.take(peer(1, port)).expect("a seat"));
        assert!(seats.take(peer(1, 1)).is_none());
        seats.reserve(peer(1, 4)).expect("a seat");
        assert_eq!(gone(&mut taken), [peer(1, 2)]);
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
        let (seats, old) = seats(2, &[peer(1, 1)]);
        let new = sit(&seats, peer(1, 1));
        drop(old);
        assert_eq!(seats.taken().len(), 1);
        drop(new);
        assert!(seats.taken().is_empty());
    }
}
