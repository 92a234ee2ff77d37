//! A request's body: read into one buffer, which the budget counts.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Instant,
};

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use tokio::{sync::oneshot, time::sleep_until};

use super::{
    budget::{Claim, Full},
    buffer::Buffer,
};

/// The first buffer where the length is not known.
const SMALLEST: usize = 16 << 10;
/// How much of a known length is counted at a time.
const STEP: usize = 64 << 10;

/// A body that is all there, or an answer that is to be written, with the bytes that it holds of the budget.
#[derive(Debug)]
pub(super) struct Counted<B = Buffer> {
    pub(super) bytes: B,
    pub(super) claim: Claim,
}

/// Why a body was not read to its end.
#[derive(Debug)]
pub(super) enum Unread {
    TooLarge,
    /// The budget of all bodies is used up.
    Full,
    Broken(axum::Error),
    /// It was not there in time.
    Late,
}

impl From<Full> for Unread {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Counted<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl From<Counted> for Bytes {
    /// The claim ends when the last byte has been written.
    fn from(counted: Counted) -> Self {
        Self::from_owner(counted)
    }
}

/// Reads a body of at most `limit` bytes no later than `until`, unless it is told to make room for another.
pub(super) async fn read(
    body: &mut Body,
    limit: usize,
    until: Instant,
    (claim, told): (Claim, oneshot::Receiver<()>),
) -> Result<Counted, Unread> {
    let mut collecting = pin!(collect(body, limit, claim));
    let read = if let Some(read) = poll_twice(&mut collecting).await {
        read
    } else {
        tokio::select! {
            biased;
            _ = told => Err(Unread::Full),
            read = collecting => read,
            () = sleep_until(until.into()) => Err(Unread::Late),
        }
    };
    // not before nobody listens: whoever still did would be woken by it, and so would another thread, to look for work
    let mut counted = read?;
    counted.claim.whole();
    Ok(counted)
}

/// Polls twice, and starts nothing before that, above all no timer: most bodies come with their heads, and hyper reads
/// them when they are first asked for.
async fn poll_twice<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut is_second = false;
    poll_fn(|context| match Pin::new(&mut *future).poll(context) {
        Poll::Ready(there) => Poll::Ready(Some(there)),
        Poll::Pending if is_second => Poll::Ready(None),
        Poll::Pending => {
            is_second = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

async fn collect(body: &mut Body, limit: usize, claim: Claim) -> Result<Counted, Unread> {
    // hyper knows it from the Content-Length
    let length = body.size_hint().exact();
    let length = length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if length.is_some_and(|length| length > limit) {
        return Err(Unread::TooLarge);
    }
    let bytes = Buffer::new();
    let mut counted = Counted { bytes, claim };
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Unread::Broken)?.into_data() else {
            continue; // trailers
        };
        if data.len() > limit - counted.bytes.len() {
            return Err(Unread::TooLarge);
        }
        counted.make_room(data.len(), length, limit).await?;
        counted.bytes.push(&data);
    }
    Ok(counted)
}

impl Counted {
    /// Room for so many bytes more. A buffer of known length is made once, and counted as it fills: memory that nothing
    /// has been written to is not there yet. Any other grows, and is counted with the one that it is copied to.
    async fn make_room(
        &mut self,
        more: usize,
        length: Option<usize>,
        limit: usize,
    ) -> Result<(), Unread> {
        let (has, capacity) = (self.bytes.len(), self.bytes.capacity());
        if let Some(length) = length {
            let filled = (has + more).next_multiple_of(STEP).min(length);
            self.claim.hold(filled).await?;
            return self.grow(length.max(has + more));
        }
        if has + more <= capacity {
            return Ok(());
        }
        let larger = (has + more).max(2 * capacity).max(SMALLEST).min(limit);
        self.claim.hold(capacity + larger).await?;
        self.grow(larger)?;
        Ok(self.claim.hold(self.bytes.capacity()).await?)
    }

    fn grow(&mut self, capacity: usize) -> Result<(), Unread> {
        self.bytes.grow(capacity).map_err(|_| Unread::Full)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::Ipv4Addr,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Wake},
    };

    use futures_util::{StreamExt, stream};
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;
    use crate::webhook::budget::Budget;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_body_that_is_there_wakes_nobody() {
        let budget = Budget::new(1 << 20, Gauge::default());
        let woken = Arc::new(Wakes::default());
        let waker = Arc::clone(&woken).into();
        let mut body = Body::from("a review");
        let now = Instant::now();
        let claim = budget.claim(Ipv4Addr::LOCALHOST.into(), now);
        let reading = pin!(read(&mut body, 1 << 10, now, claim));
        let Poll::Ready(Ok(read)) = reading.poll(&mut Context::from_waker(&waker)) else {
            panic!("it is there");
        };
        assert_eq!(read.as_ref(), b"a review");
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    }

    /// There is no runtime here, and so a timer would panic.
    #[test]
    fn a_body_that_comes_when_it_is_asked_for_starts_no_timer() {
        let budget = Budget::new(1 << 20, Gauge::default());
        let woken = Arc::new(Wakes::default());
        let waker = Arc::clone(&woken).into();
        let mut context = Context::from_waker(&waker);
        let mut is_asked_for = false;
        let chunks = stream::poll_fn(move |_| {
            if is_asked_for {
                return Poll::Ready(None);
            }
            is_asked_for = true;
            Poll::Pending
        });
        let first = stream::once(async { Ok::<_, axum::Error>(Bytes::from("a review")) });
        let mut body = Body::from_stream(chunks.chain(first));
        let now = Instant::now();
        let claim = budget.claim(Ipv4Addr::LOCALHOST.into(), now);
        let mut reading = pin!(read(&mut body, 1 << 10, now, claim));
        assert!(reading.as_mut().poll(&mut context).is_pending());
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        let Poll::Ready(Ok(read)) = reading.poll(&mut context) else {
            panic!("it is there");
        };
        assert_eq!(read.as_ref(), b"a review");
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_late() {
        let budget = Budget::new(1 << 20, Gauge::default());
        let mut body = Body::from_stream(stream::pending::<Result<Bytes, axum::Error>>());
        let now = Instant::now();
        let claim = budget.claim(Ipv4Addr::LOCALHOST.into(), now);
        let read = read(&mut body, 1 << 10, now, claim).await;
        assert!(matches!(read, Err(Unread::Late)));
    }
}
