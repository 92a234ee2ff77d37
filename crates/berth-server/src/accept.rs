//! Between the socket and HTTP: how many connections, and how each begins and ends.

use std::{
    future::{Ready, ready},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum_server::accept::Accept;
use clap::Args;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};

use crate::{duration, metrics::Metrics};

/// The API server's own pool drops an idle connection after 90 s. Who closes first races with its next POST, which it
/// does not repeat (fact 1, kubernetes 127335): so never sooner than this.
const SHORTEST_IDLE: Duration = Duration::from_mins(2);
/// How long what a client still sends is read, and thrown away, after the last answer. Closing on unread bytes resets
/// the connection, and the reset can overtake the answer.
const LINGER: Duration = Duration::from_secs(2);

/// Limits on connections.
#[derive(Args, Clone, Copy, Debug)]
#[group(skip)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Open connections; more are closed at once
    #[arg(
        long,
        env = "BERTH_MAX_CONNECTIONS",
        value_name = "N",
        default_value = "2048",
        value_parser = at_least_one
    )]
    pub max_connections: usize,
    /// Time for a TLS handshake
    #[arg(long, env = "BERTH_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = duration::flag)]
    pub handshake_timeout: Duration,
    /// Time for the head of a connection's first request
    #[arg(long, env = "BERTH_FIRST_REQUEST_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = duration::flag)]
    pub first_request_timeout: Duration,
    /// Time that a connection may idle between requests: at least 2m, since the API server keeps its own for 90s
    #[arg(long, env = "BERTH_IDLE_TIMEOUT", value_name = "TIME", default_value = "3m", value_parser = idle)]
    pub idle_timeout: Duration,
    /// Bytes of a request's head; more is a 431
    #[arg(long, env = "BERTH_MAX_HEADER_BYTES", value_name = "BYTES", default_value = "65536", value_parser = header_bytes)]
    pub max_header_bytes: usize,
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

/// Lets in so many connections at a time.
#[derive(Clone, Debug)]
pub struct Gate {
    slots: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Gate {
    /// A gate for that many.
    #[must_use]
    pub fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        let slots = limits.max_connections.min(Semaphore::MAX_PERMITS);
        Self {
            slots: Arc::new(Semaphore::new(slots)),
            metrics,
        }
    }

    fn admit(&self, stream: TcpStream) -> io::Result<Connection> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| {
            self.metrics.connections_refused.inc();
            io::Error::new(io::ErrorKind::ConnectionRefused, "too many connections")
        })?;
        stream.set_nodelay(true)?;
        self.metrics.connections.inc();
        Ok(Connection {
            stream,
            linger: None,
            metrics: Arc::clone(&self.metrics),
            _slot: slot,
        })
    }
}

impl<S> Accept<TcpStream, S> for Gate {
    type Stream = Connection;
    type Service = S;
    type Future = Ready<io::Result<(Connection, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(self.admit(stream).map(|connection| (connection, service)))
    }
}

/// A connection that holds its slot, and whose end lets the client read our last answer.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    linger: Option<Pin<Box<Sleep>>>,
    metrics: Arc<Metrics>,
    _slot: OwnedSemaphorePermit,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}

impl Connection {
    /// Reads and throws away until the client has closed its side, too, or the time is up.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut waste = [0_u8; 8192];
        loop {
            let mut buffer = ReadBuf::new(&mut waste);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        match &mut self.linger {
            Some(end) => end.as_mut().poll(context),
            None => Poll::Ready(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.linger = Some(Box::pin(sleep(LINGER)));
        }
        self.poll_linger(context).map(Ok)
    }
}

/// Counts the connections that an acceptor gives up on.
#[derive(Clone, Debug)]
pub struct Counted<A> {
    inner: A,
    metrics: Arc<Metrics>,
}

impl<A> Counted<A> {
    /// Counts what `inner` gives up on.
    #[must_use]
    pub fn new(inner: A, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }
}

impl<I, S, A> Accept<I, S> for Counted<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = A::Stream;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(A::Stream, A::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let (accepting, metrics) = (
            self.inner.accept(stream, service),
            Arc::clone(&self.metrics),
        );
        Box::pin(async move {
            accepting.await.inspect_err(|error| {
                metrics.connection_errors.inc();
                tracing::debug!(%error, "a connection failed before its first request");
            })
        })
    }
}
