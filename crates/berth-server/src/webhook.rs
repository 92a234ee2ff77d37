//! `POST /mutate`: from HTTP to a review and back. All of "transport" in the table of answers.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue,
        header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE},
    },
    middleware::map_response_with_state,
    response::{IntoResponse, Response},
    routing::post,
};
use clap::Args;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout_at,
};

use crate::{accept::at_least_one, duration, metrics::Metrics, state::ServerState, telemetry};
use berth_core::{
    review::{self, Answer},
    view::View,
};

mod refusal;

use refusal::Refusal;

/// The path that the webhook's configuration names.
pub const PATH: &str = "/mutate";
/// What the answer's way back may take of the API server's deadline.
const WAY_BACK: Duration = Duration::from_millis(100);

/// What answers: [`review::review`], unless a test puts in one that panics.
pub type Review = for<'a> fn(&'a [u8], &'a View) -> Result<Answer<'a>, review::Error>;

/// Limits on requests.
#[derive(Args, Clone, Copy, Debug)]
#[group(skip)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Bytes of a request's body; more is a 413
    #[arg(
        long,
        env = "BERTH_MAX_BODY_BYTES",
        value_name = "BYTES",
        default_value = "10485760"
    )]
    pub max_body_bytes: usize,
    /// Time for a request's body; longer is a 408
    #[arg(long, env = "BERTH_BODY_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = duration::flag)]
    pub body_timeout: Duration,
    /// Requests that are being read or answered; more are a 503, which the API server repeats
    #[arg(
        long,
        env = "BERTH_MAX_IN_FLIGHT",
        value_name = "N",
        default_value = "256",
        value_parser = at_least_one
    )]
    pub max_in_flight: usize,
}

/// All that an answer needs.
#[derive(Debug)]
pub struct Webhook {
    /// What answers.
    pub review: Review,
    /// The view in force.
    pub state: Arc<ServerState>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// What is too much.
    pub limits: Limits,
}

/// The webhook and its free slots.
#[derive(Debug)]
struct Service {
    webhook: Webhook,
    slots: Semaphore,
}

/// A request's slot, counted while it is held.
#[derive(Debug)]
struct Slot<'a> {
    metrics: &'a Metrics,
    _permit: SemaphorePermit<'a>,
}

/// When an answer is of use no more.
#[derive(Clone, Copy, Debug)]
struct Deadline(Option<Instant>);

/// The routes.
pub fn router(webhook: Webhook) -> Router {
    let state = Arc::clone(&webhook.state);
    let slots = Semaphore::new(webhook.limits.max_in_flight.min(Semaphore::MAX_PERMITS));
    let service = Arc::new(Service { webhook, slots });
    Router::new()
        .route(PATH, post(mutate).fallback(wrong_method))
        .fallback(wrong_path)
        .with_state(service)
        .layer(map_response_with_state(state, send_elsewhere))
}

/// While draining, every response asks its client to connect anew: to another replica.
async fn send_elsewhere(State(state): State<Arc<ServerState>>, mut response: Response) -> Response {
    if state.is_draining() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

async fn wrong_path(State(service): State<Arc<Service>>, request: Request) -> Response {
    let refusal = Refusal::wrong_path(request.uri().path());
    service.refuse(refusal, Instant::now())
}

async fn wrong_method(State(service): State<Arc<Service>>, request: Request) -> Response {
    let refusal = Refusal::wrong_method(request.method());
    service.refuse(refusal, Instant::now())
}

async fn mutate(State(service): State<Arc<Service>>, request: Request) -> Response {
    let started = Instant::now();
    match service.answer(request, started).await {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(refusal) => service.refuse(refusal, started),
    }
}

impl Service {
    async fn answer(&self, request: Request, started: Instant) -> Result<Vec<u8>, Refusal> {
        check_media_type(request.headers())?;
        let deadline = Deadline::new(request.uri().query(), started);
        let Some(slot) = self.slot() else {
            self.discard(request.into_body(), started).await;
            return Err(Refusal::overloaded());
        };
        let body = self.receive(request.into_body(), started, deadline).await?;
        let answer = self.decide(&body, started, deadline);
        drop(slot);
        answer
    }

    fn slot(&self) -> Option<Slot<'_>> {
        let permit = self.slots.try_acquire().ok()?;
        self.webhook.metrics.in_flight.inc();
        Some(Slot {
            metrics: &self.webhook.metrics,
            _permit: permit,
        })
    }

    async fn receive(
        &self,
        body: Body,
        started: Instant,
        deadline: Deadline,
    ) -> Result<Bytes, Refusal> {
        let limits = &self.webhook.limits;
        let too_slow = started + limits.body_timeout;
        let until = deadline.0.map_or(too_slow, |end| end.min(too_slow));
        let reading = Limited::new(body, limits.max_body_bytes).collect();
        match timeout_at(until.into(), reading).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(Refusal::body_too_large(limits.max_body_bytes))
            }
            Ok(Err(error)) => Err(Refusal::broken_body(error.as_ref())),
            Err(_) if until < too_slow => Err(Refusal::deadline_passed()),
            Err(_) => Err(Refusal::body_too_slow(limits.body_timeout)),
        }
    }

    /// Reads a body and keeps nothing: the API server repeats the request on the same connection.
    async fn discard(&self, body: Body, started: Instant) {
        let limits = &self.webhook.limits;
        let mut body = Limited::new(body, limits.max_body_bytes);
        let reading = async { while let Some(Ok(_)) = body.frame().await {} };
        let until = started + limits.body_timeout;
        let _ = timeout_at(until.into(), reading).await;
    }

    fn decide(
        &self,
        body: &[u8],
        started: Instant,
        deadline: Deadline,
    ) -> Result<Vec<u8>, Refusal> {
        deadline.check()?;
        let view = self.webhook.state.view();
        let view = view.as_deref().ok_or_else(Refusal::no_table)?;
        let review = self.webhook.review;
        let answer = catch_unwind(AssertUnwindSafe(|| review(body, view))).map_err(|_| {
            self.webhook.metrics.panics.inc();
            Refusal::panicked()
        })??;
        deadline.check()?;
        let elapsed = started.elapsed();
        let decision = &answer.decision;
        let metrics = &self.webhook.metrics;
        metrics.answered(decision.reason, decision.class, elapsed);
        telemetry::reviewed(&answer, view.table.revision(), elapsed);
        Ok(answer.body)
    }

    fn refuse(&self, refusal: Refusal, started: Instant) -> Response {
        let elapsed = started.elapsed();
        let reason = refusal.reason;
        self.webhook.metrics.answered(reason, None, elapsed);
        telemetry::refused(reason, &refusal.text, elapsed);
        refusal.into_response()
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
    }
}

impl Deadline {
    /// The API server's, from `?timeout=5s`.
    fn new(query: Option<&str>, started: Instant) -> Self {
        let parameters = query.unwrap_or_default().split('&');
        let timeout = parameters
            .filter_map(|parameter| parameter.strip_prefix("timeout="))
            .find_map(duration::parse);
        let end = timeout.and_then(|timeout| started.checked_add(timeout.saturating_sub(WAY_BACK)));
        Self(end)
    }

    fn check(self) -> Result<(), Refusal> {
        match self.0 {
            Some(end) if Instant::now() >= end => Err(Refusal::deadline_passed()),
            _ => Ok(()),
        }
    }
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let essence = given.unwrap_or_default().split(|byte| *byte == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(b"application/json") {
        return Err(Refusal::media_type());
    }
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Refusal::encoded());
    }
    Ok(())
}
