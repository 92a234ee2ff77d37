//! One replica chooses between pools for all: the holder of the Lease. The others send it the reviews in which there is
//! something to choose, and give its answer as their own.
//!
//! Two replicas that choose for themselves promise the last GPU twice. Whatever goes wrong here, the choice is made where
//! the review has arrived, [`PATIENCE`] later at the most.

use std::{
    error::Error,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header::CONTENT_TYPE},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, pki_types::ServerName};
use time::OffsetDateTime;
use tokio::{sync::Semaphore, time::timeout_at};

use super::{
    calls::Told,
    client::plainly,
    lease::{Held, Holders},
};
use crate::{
    metrics::Metrics,
    tls::peer::{self, Peers},
    traces::TRACEPARENT,
    webhook,
};

/// What a review carries that another replica has sent. It is never sent on.
const FORWARDED: &str = "berth-forwarded";
/// So long the holder's answer is waited for, and the holder is told so.
const PATIENCE: Duration = Duration::from_millis(300);
/// The path, with [`PATIENCE`] as the API server would tell it.
const QUERY: &str = "timeout=300ms";
/// So long after a failure nothing is sent. Then one review is, and if that fails, too, nothing again for as long.
const PAUSE: Duration = Duration::from_secs(1);
/// So many reviews are with the holder at a time, each on a connection of its own. The next ones wait, within [`PATIENCE`].
const MOST: usize = 32;
/// A connection that is not used is closed after so long, which is sooner than the holder closes it.
const IDLE: Duration = Duration::from_mins(1);
/// An answer is a patch of a Pod's few fields, and never so large.
const LARGEST: usize = 256 << 10;

/// Where this replica can be reached by others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Advertised {
    ip: IpAddr,
    port: Option<u16>,
}

impl Advertised {
    /// Reads `IP` or `IP:PORT`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let words = || {
            "write the Pod's IP, as 10.0.0.7 or fd00::7, or with a port as [fd00::7]:8443"
                .to_owned()
        };
        let address = text.parse().map(|ip| Self { ip, port: None });
        let address = address.or_else(|_| {
            text.parse::<SocketAddr>().map(|address| Self {
                ip: address.ip(),
                port: Some(address.port()),
            })
        });
        let address = address.map_err(|_| words())?;
        if address.ip.is_unspecified() || address.ip.is_multicast() || address.port == Some(0) {
            return Err(words());
        }
        Ok(address)
    }

    /// The address, with the port on which the webhook listens where none was given.
    pub(super) fn address(self, listens: u16) -> SocketAddr {
        (self.ip, self.port.unwrap_or(listens)).into()
    }
}

/// The way to the replica that chooses.
#[derive(Clone, Debug)]
pub struct Forward(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    held: Held,
    holders: Holders,
    /// None until the files by which the holder is known have been read.
    way: ArcSwapOption<Way>,
    turns: Semaphore,
    pause: Mutex<Pause>,
    metrics: Arc<Metrics>,
}

type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The connections, and what new ones are made with.
#[derive(Debug)]
struct Way {
    config: ClientConfig,
    name: ServerName<'static>,
    http: Http,
}

/// Since when the holder does not answer.
#[derive(Debug, Default)]
struct Pause {
    until: Option<Instant>,
    told: Told,
}

/// Why the holder's answer is not there.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no answer within 300 ms")]
    Late,
    #[error("no answer in the time that the review had left")]
    Hurried,
    #[error("{0}")]
    Unreachable(String),
    #[error("it answers with HTTP {0}")]
    Refused(StatusCode),
    #[error("its answer is not complete, or longer than 256 KiB: {0}")]
    Answer(String),
}

/// Whether another replica has sent it.
#[must_use]
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED)
}

impl Forward {
    /// A way to the holder, and what reads the files for it, which is to be called again when they change.
    pub(super) fn new(
        peers: Peers,
        held: Held,
        holders: Holders,
        metrics: &Arc<Metrics>,
    ) -> (Self, impl FnMut() + Send + use<>) {
        let forward = Self(Arc::new(Inner {
            held,
            holders,
            way: ArcSwapOption::empty(),
            turns: Semaphore::new(MOST),
            pause: Mutex::default(),
            metrics: Arc::clone(metrics),
        }));
        let (inner, mut told) = (Arc::clone(&forward.0), Told::default());
        let read = move || match Way::read(&peers) {
            Ok(way) => {
                if told.ends() {
                    tracing::info!("the files by which other replicas are known can be used");
                }
                inner.way.store(Some(Arc::new(way)));
            }
            Err(error) => {
                if told.is_new(&error.to_string()) {
                    tracing::warn!(%error, "no other replica can be asked: what is in use stays, and without it each chooses for itself");
                }
            }
        };
        (forward, read)
    }

    /// Whether another replica chooses, or may.
    pub(crate) fn is_elsewhere(&self) -> bool {
        !self.0.held.is_held()
    }

    /// The holder's answer to a review in which there is something to choose. None: this replica chooses. With a header, its
    /// span is below this replica's.
    pub(crate) async fn ask(
        &self,
        review: Bytes,
        latest: Instant,
        traceparent: Option<HeaderValue>,
    ) -> Option<Bytes> {
        let now = Instant::now();
        let inner = &self.0;
        let (way, holder) = (inner.way.load_full(), inner.holders.other(now));
        let (Some(way), Some(holder), true) = (way, holder, inner.pause().lets(now)) else {
            inner.metrics.forwarded("skipped");
            return None;
        };
        let until = latest.min(now + PATIENCE);
        let answer = timeout_at(until.into(), inner.send(&way, holder, review, traceparent)).await;
        let late = if until == latest {
            Failure::Hurried
        } else {
            Failure::Late
        };
        match answer.unwrap_or(Err(late)) {
            Ok(answer) => {
                inner.answers(holder);
                Some(answer)
            }
            Err(failure) => {
                inner.fails(holder, &failure, &way);
                None
            }
        }
    }
}

impl Inner {
    async fn send(
        &self,
        way: &Way,
        holder: SocketAddr,
        review: Bytes,
        traceparent: Option<HeaderValue>,
    ) -> Result<Bytes, Failure> {
        let unreachable = |error: &(dyn Error + 'static)| Failure::Unreachable(plainly(error));
        // nothing closes the semaphore
        let _turn = self.turns.acquire().await.map_err(|it| unreachable(&it))?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("https://{holder}{}?{QUERY}", webhook::PATH))
            .header(CONTENT_TYPE, "application/json")
            .header(FORWARDED, "1")
            .body(Full::new(review))
            .map_err(|it| unreachable(&it))?;
        if let Some(traceparent) = traceparent {
            request.headers_mut().insert(TRACEPARENT, traceparent);
        }
        let answer = way.http.request(request).await;
        let answer = answer.map_err(|it| unreachable(&it))?;
        if answer.status() != StatusCode::OK {
            return Err(Failure::Refused(answer.status()));
        }
        let whole = Limited::new(answer.into_body(), LARGEST).collect().await;
        let whole = whole.map_err(|it| Failure::Answer(plainly(&*it)))?;
        Ok(whole.to_bytes())
    }

    fn pause(&self) -> MutexGuard<'_, Pause> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answers(&self, holder: SocketAddr) {
        self.metrics.forwarded("answered");
        let mut pause = self.pause();
        pause.until = None;
        if pause.told.ends() {
            tracing::info!(%holder, "the holder of the Lease chooses again for this replica");
        }
    }

    fn fails(&self, holder: SocketAddr, failure: &Failure, way: &Arc<Way>) {
        self.metrics.forwarded("failed");
        let mut pause = self.pause();
        // who refuses one review may answer the next, and one in a hurry says nothing of the holder
        if matches!(failure, Failure::Late | Failure::Unreachable(_)) {
            pause.until = Some(Instant::now() + PAUSE);
            // a connection that says nothing is not used again; files that were read meanwhile stay in use
            let anew = Some(Arc::new(way.anew()));
            self.way.compare_and_swap(&Some(Arc::clone(way)), anew);
        }
        if pause.told.is_new(&format!("{holder} {failure}")) {
            tracing::warn!(%holder, error = %failure, "the holder of the Lease does not choose for this replica, which chooses itself");
        }
    }
}

impl Pause {
    /// Whether a review may be sent. At the end of a pause it is one, and the next ones see how that ends.
    fn lets(&mut self, now: Instant) -> bool {
        match self.until {
            Some(until) if now < until => false,
            Some(_) => {
                self.until = Some(now + PAUSE);
                true
            }
            None => true,
        }
    }
}

impl Way {
    fn read(peers: &Peers) -> Result<Self, peer::Error> {
        let config = peers.config(OffsetDateTime::now_utc())?;
        Ok(Self::new(config, peers.name()?))
    }

    fn new(config: ClientConfig, name: ServerName<'static>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(PATIENCE));
        let tls = HttpsConnectorBuilder::new()
            .with_tls_config(config.clone())
            .https_only()
            .with_server_name_resolver(FixedServerNameResolver::new(name.clone()))
            .enable_http1()
            .wrap_connector(tcp);
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MOST)
            .build(tls);
        Self { config, name, http }
    }

    /// The same, without a connection.
    fn anew(&self) -> Self {
        Self::new(self.config.clone(), self.name.clone())
    }
}

#[cfg(test)]
mod tests;
