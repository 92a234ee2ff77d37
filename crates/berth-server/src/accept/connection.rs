//! A connection as HTTP and TLS see it: it can be told to go, it must be read from, and its end is heard out.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::seats::Seat;

/// How long what a client still sends is read, and thrown away, after the last answer. Closing on unread bytes resets
/// the connection, and the reset can overtake the answer.
const LINGER: Duration = Duration::from_secs(2);

/// A connection that holds its seat, whose peer must read what we write, and whose end lets it read our last answer.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    seat: Seat,
    linger: Option<Pin<Box<Sleep>>>,
    write_timeout: Duration,
    /// Runs since the peer stopped reading, until it has read all.
    unread: Option<Pin<Box<Sleep>>>,
    open: Gauge,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, seat: Seat, write_timeout: Duration, open: Gauge) -> Self {
        open.inc();
        Self {
            stream,
            seat,
            linger: None,
            write_timeout,
            unread: None,
            open,
        }
    }

    /// An error where the connection must make room for another.
    fn check_seat(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.seat.poll_told(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "closed to make room for a new connection",
            )),
        }
    }

    /// What became of a write. The time is not begun again by a peer that reads a byte now and then.
    fn written(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if outcome.is_ready() {
            return outcome;
        }
        self.check_seat(context)?;
        let time = self.write_timeout;
        let unread = self.unread.get_or_insert_with(|| Box::pin(sleep(time)));
        ready!(unread.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not read the answer",
        )))
    }

    /// Reads and throws away until the client has closed its side, too, or the time is up.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.seat.poll_told(context).is_ready() {
            return Poll::Ready(());
        }
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

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_seat(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// TLS and HTTP come here when they have nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unread = None;
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
