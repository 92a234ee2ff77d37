//! Between the socket and HTTP: how many connections, and how each begins and ends.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io,
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http,
    response::Response,
};
use axum_server::{Handle, Server, accept::Accept};
use clap::Args;
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use tokio::net::TcpStream;
use tower::{
    BoxError, Service,
    util::{ServiceFn, service_fn},
};

use crate::{duration, metrics::Metrics};

mod chunks;
mod connection;
mod seats;

pub use chunks::BoundedChunks;
pub use connection::Connection;
pub use seats::Occupant;
use seats::{Reservation, Seats};

/// The API server's own pool drops an idle connection after 90 s. Who closes first races with its next POST, which it
/// does not repeat (fact 1, kubernetes 127335): so never sooner than this. After a burst, its pool has connections that
/// were never used, too.
const SHORTEST_IDLE: Duration = Duration::from_mins(2);

/// Limits on connections.
#[derive(Args, Clone, Copy, Debug)]
#[group(skip)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Open connections; at the limit a new one takes the place of one without a review in progress
    #[arg(
        long,
        env = "BERTH_MAX_CONNECTIONS",
        value_name = "N",
        default_value = "1024",
        value_parser = at_least_one
    )]
    pub max_connections: usize,
    /// Time for a TLS handshake
    #[arg(long, env = "BERTH_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = duration::above_zero)]
    pub handshake_timeout: Duration,
    /// Time that a connection may idle before a request: at least 2m, since the API server keeps its own for 90s
    #[arg(long, env = "BERTH_IDLE_TIMEOUT", value_name = "TIME", default_value = "3m", value_parser = idle)]
    pub idle_timeout: Duration,
    /// Time in which a client must read an answer
    #[arg(long, env = "BERTH_WRITE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = duration::above_zero)]
    pub write_timeout: Duration,
    /// Bytes of a request's head; more is a 431
    #[arg(long, env = "BERTH_MAX_HEADER_BYTES", value_name = "BYTES", default_value = "16384", value_parser = header_bytes)]
    pub max_header_bytes: usize,
}

impl Limits {
    /// A server on a port, whose HTTP keeps to them.
    pub(crate) fn server<A>(
        &self,
        listener: TcpListener,
        acceptor: A,
        handle: Handle<SocketAddr>,
    ) -> io::Result<Server<SocketAddr, A>> {
        let mut server = axum_server::from_tcp(listener)?
            .acceptor(acceptor)
            .handle(handle)
            .http1_only()
            .first_request_timeout(self.idle_timeout);
        server
            .http_builder()
            .http1()
            // hyper counts a connection's idle time as the time of the next head (fact 1, hyper 3828)
            .header_read_timeout(self.idle_timeout)
            .max_buf_size(self.max_header_bytes);
        Ok(server)
    }
}

fn idle(text: &str) -> Result<Duration, String> {
    let idle = duration::flag(text)?;
    if idle < SHORTEST_IDLE {
        return Err("at least 2m: the API server keeps its idle connections for 90s, and does not repeat a POST on one that we closed".to_owned());
    }
    Ok(idle)
}

/// Reads the number of things that may be at once.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "write a number, 1 or more".to_owned())
}

fn header_bytes(text: &str) -> Result<usize, String> {
    let bytes: usize = text.parse().map_err(|_| "write a number of bytes")?;
    // hyper's own minimum
    if bytes < 8192 {
        return Err("at least 8192".to_owned());
    }
    Ok(bytes)
}

/// Lets in so many connections at a time. At the limit, a new one takes the place of one that has none of its own to
/// lose: see `Seats`.
#[derive(Clone, Debug)]
pub struct Gate {
    seats: Arc<Seats>,
    write_timeout: Duration,
    meters: Meters,
}

/// What a gate counts.
#[derive(Clone, Debug, Default)]
pub struct Meters {
    open: Gauge,
    evicted: Counter,
    refused: Counter,
}

impl Meters {
    /// The webhook's, as they are scraped. The default ones are for a port that shows none.
    #[must_use]
    pub fn webhook(metrics: &Metrics) -> Self {
        Self {
            open: metrics.connections.clone(),
            evicted: metrics.connections_evicted.clone(),
            refused: metrics.connections_refused.clone(),
        }
    }
}

impl Gate {
    /// A gate for that many, each of whom must read an answer within the time.
    #[must_use]
    pub fn new(most: usize, write_timeout: Duration, meters: Meters) -> Self {
        Self {
            seats: Arc::new(Seats::new(most)),
            write_timeout,
            meters,
        }
    }

    /// What answers, as a server takes it. The gate is told of each connection in the order in which they are accepted, and
    /// of their requests.
    pub fn services<A: Answers>(&self, answers: A) -> ServiceFn<impl MakeSeated<A> + use<A>> {
        let gate = self.clone();
        service_fn(move |peer| ready(Ok(gate.seat(answers.clone(), peer))))
    }

    /// What answers a peer that has just been accepted, with its seat, or with none where there is no room.
    #[must_use]
    pub fn seat<A: Answers>(&self, answers: A, peer: SocketAddr) -> Seated<Followed<A>> {
        let reservation = self.reserve(peer);
        Seated {
            service: Followed {
                answers,
                occupant: reservation.as_ref().map(Reservation::occupant),
            },
            reservation: reservation.map(Arc::new),
        }
    }

    fn reserve(&self, peer: SocketAddr) -> Option<Reservation> {
        match self.seats.reserve(peer) {
            Ok((reservation, evicted)) => {
                self.meters.evicted.inc_by(evicted);
                Some(reservation)
            }
            Err(full) => {
                self.meters.refused.inc();
                tracing::debug!(%peer, error = %full, "a connection is refused");
                None
            }
        }
    }

    fn admit(
        &self,
        stream: TcpStream,
        reservation: Option<&Reservation>,
    ) -> io::Result<Connection> {
        let seat = reservation.and_then(Reservation::take).ok_or_else(|| {
            io::Error::new(io::ErrorKind::ConnectionRefused, "too many connections")
        })?;
        stream.set_nodelay(true)?;
        let (time, open) = (self.write_timeout, self.meters.open.clone());
        Ok(Connection::new(stream, seat, time, open))
    }
}

/// What answers a request of whoever is on the connection.
pub trait Answers: Clone + Send + 'static {
    /// The answer. `occupant` is `None` where there is no seat.
    fn answer(
        self,
        request: Request,
        occupant: Option<Occupant>,
    ) -> impl Future<Output = Response> + Send + 'static;
}

/// What makes the service of a connection from its peer.
pub trait MakeSeated<A>:
    FnMut(SocketAddr) -> Ready<Result<Seated<Followed<A>>, Infallible>> + Clone
{
}

impl<A, F> MakeSeated<A> for F where
    F: FnMut(SocketAddr) -> Ready<Result<Seated<Followed<A>>, Infallible>> + Clone
{
}

/// What answers one peer, with the seats, which are told of each answer.
#[derive(Clone, Debug)]
pub struct Followed<A> {
    answers: A,
    /// `None` where there is no seat: the connection is not let in.
    occupant: Option<Occupant>,
}

impl<A, B> Service<http::Request<B>> for Followed<A>
where
    A: Answers,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let Self { answers, occupant } = self.clone();
        Box::pin(async move {
            let answer = answers.answer(request.map(Body::new), occupant.clone());
            let response = answer.await;
            occupant.iter().for_each(Occupant::is_answered);
            Ok(response)
        })
    }
}

/// A service with the seat that is kept for its connection, or none: on the way to the gate, which lets the connection in
/// or not. What is dropped on the way gives the seat back.
#[derive(Clone, Debug)]
pub struct Seated<S> {
    service: S,
    reservation: Option<Arc<Reservation>>,
}

impl<S: Service<R>, R> Service<R> for Seated<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.service.call(request)
    }
}

impl<S> Accept<TcpStream, Seated<S>> for Gate {
    type Stream = Connection;
    type Service = S;
    type Future = Ready<io::Result<(Connection, S)>>;

    fn accept(&self, stream: TcpStream, seated: Seated<S>) -> Self::Future {
        let admitted = self.admit(stream, seated.reservation.as_deref());
        ready(admitted.map(|connection| (connection, seated.service)))
    }
}

/// Counts the connections that an acceptor gives up on, and bounds the chunks that come over the others.
#[derive(Clone, Debug)]
pub struct Bounded<A> {
    inner: A,
    metrics: Arc<Metrics>,
    largest_chunk: usize,
}

impl<A> Bounded<A> {
    /// Counts what `inner` gives up on. No chunk is larger than a body may be.
    #[must_use]
    pub fn new(inner: A, metrics: Arc<Metrics>, largest_chunk: usize) -> Self {
        Self {
            inner,
            metrics,
            largest_chunk,
        }
    }
}

impl<I, S, A> Accept<I, S> for Bounded<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = BoundedChunks<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, A::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let accepting = self.inner.accept(stream, service);
        let (metrics, largest) = (Arc::clone(&self.metrics), self.largest_chunk);
        Box::pin(async move {
            let accepted = accepting.await.inspect_err(|error| {
                metrics.connection_errors.inc();
                tracing::debug!(%error, "a connection failed before its first request");
            });
            accepted.map(|(stream, service)| (BoundedChunks::new(stream, largest), service))
        })
    }
}
