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

mod http_error;

use http_error::HttpError;

/// The path that the webhook's configuration names.
pub const PATH: &str = "/mutate";
/// How much of the API server's deadline is reserved for the response.
const RESERVED: Duration = Duration::from_millis(100);

/// What answers: [`review::review`], unless a test puts in one that panics.
pub type Review = for<'a> fn(&'a [u8], &'a View) -> Result<Answer<'a>, review::Error>;

/// Limits on requests.
#[derive(Args, Clone, Copy, Debug)]
#[group(skip)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    // the largest Pod that can be stored becomes a review of 9 MiB (fact 9)
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

/// When an answer is of use no more: the API server says how long it waits (fact 3).
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

/// While draining, and only then, every response asks its client to connect again: to another replica (facts 4 and 5).
async fn send_elsewhere(State(state): State<Arc<ServerState>>, mut response: Response) -> Response {
    if state.is_draining() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

async fn wrong_path(State(service): State<Arc<Service>>, request: Request) -> Response {
    let error = HttpError::wrong_path(request.uri().path());
    service.fail(error, Instant::now())
}

async fn wrong_method(State(service): State<Arc<Service>>, request: Request) -> Response {
    let error = HttpError::wrong_method(request.method());
    service.fail(error, Instant::now())
}

async fn mutate(State(service): State<Arc<Service>>, request: Request) -> Response {
    let started = Instant::now();
    match service.answer(request, started).await {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => service.fail(error, started),
    }
}

impl Service {
    async fn answer(&self, request: Request, started: Instant) -> Result<Vec<u8>, HttpError> {
        check_media_type(request.headers())?;
        let deadline = Deadline::new(request.uri().query(), started);
        let Some(slot) = self.slot() else {
            self.discard(request.into_body(), started).await;
            return Err(HttpError::overloaded());
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
    ) -> Result<Bytes, HttpError> {
        let limits = &self.webhook.limits;
        let too_slow = started + limits.body_timeout;
        let until = deadline.0.map_or(too_slow, |end| end.min(too_slow));
        let reading = Limited::new(body, limits.max_body_bytes).collect();
        match timeout_at(until.into(), reading).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(HttpError::body_too_large(limits.max_body_bytes))
            }
            Ok(Err(error)) => Err(HttpError::broken_body(error.as_ref())),
            Err(_) if until < too_slow => Err(HttpError::deadline_passed()),
            Err(_) => Err(HttpError::body_too_slow(limits.body_timeout)),
        }
    }

    /// Reads a body and keeps nothing: the API server sends the request again (fact 2), on the same connection.
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
    ) -> Result<Vec<u8>, HttpError> {
        deadline.check()?;
        let view = self.webhook.state.view();
        let view = view.as_deref().ok_or_else(HttpError::no_table)?;
        let review = self.webhook.review;
        let answer = catch_unwind(AssertUnwindSafe(|| review(body, view))).map_err(|_| {
            self.webhook.metrics.panics.inc();
            HttpError::panicked()
        })??;
        deadline.check()?;
        let elapsed = started.elapsed();
        let decision = &answer.decision;
        let metrics = &self.webhook.metrics;
        metrics.answered(decision.reason, decision.class, elapsed);
        telemetry::reviewed(&answer, view.table.revision(), elapsed);
        Ok(answer.body)
    }

    fn fail(&self, error: HttpError, started: Instant) -> Response {
        let elapsed = started.elapsed();
        let reason = error.reason;
        self.webhook.metrics.answered(reason, None, elapsed);
        telemetry::failed(reason, &error.text, elapsed);
        error.into_response()
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
        let end = timeout.and_then(|timeout| started.checked_add(timeout.saturating_sub(RESERVED)));
        Self(end)
    }

    fn check(self) -> Result<(), HttpError> {
        match self.0 {
            Some(end) if Instant::now() >= end => Err(HttpError::deadline_passed()),
            _ => Ok(()),
        }
    }
}

fn check_media_type(headers: &HeaderMap) -> Result<(), HttpError> {
    let given = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let essence = given.unwrap_or_default().split(|byte| *byte == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(b"application/json") {
        return Err(HttpError::media_type());
    }
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(HttpError::encoded());
    }
    Ok(())
}
