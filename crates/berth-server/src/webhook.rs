//! `POST /mutate`: from HTTP to a review and back. All of "transport" in the table of answers. `POST /warn` comes the same
//! way, and is answered by `word`.

use std::{
    net::{IpAddr, Ipv6Addr},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{
        HeaderMap, HeaderValue, Method,
        header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use clap::Args;
use http_body_util::{BodyExt, Limited};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout_at,
};

use crate::{
    accept::{Answers, Occupant, at_least_one},
    board::Board,
    duration,
    metrics::Metrics,
    sources::cluster::{Events, Forward, is_forwarded},
    state::ServerState,
    telemetry,
    traces::{Span, Traces},
};
use berth_core::{
    outcome::Warning,
    review::{self, Answer},
    view::View,
};

mod body;
mod budget;
mod buffer;
mod deadline;
mod http_error;
mod word;

use body::{Counted, Unread};
use budget::Budget;
use buffer::Buffer;
use deadline::Deadline;
use http_error::HttpError;

pub use word::PATH as WARN_PATH;

/// The path that the webhook's configuration names.
pub const PATH: &str = "/mutate";
/// A review up to this size is answered on the thread that read it, in microseconds. A larger one takes its turn on
/// another thread, so that this one goes on reading: the others' time is counted from the moment that they arrive.
const SMALL: usize = 16 << 10;

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
        default_value = "10485760",
        value_parser = at_least_one
    )]
    pub max_body_bytes: usize,
    /// Time for a request's body; longer is a 408
    #[arg(long, env = "BERTH_BODY_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = duration::above_zero)]
    pub body_timeout: Duration,
    /// Bytes of all bodies and answers at a time; over it a request is a 503, which the API server repeats
    #[arg(
        long,
        env = "BERTH_MAX_BODY_MEMORY",
        value_name = "BYTES",
        default_value = "67108864",
        value_parser = at_least_one
    )]
    pub max_body_memory: usize,
    /// Reviews that have arrived and wait for their answer; more are a 503, which the API server repeats
    #[arg(
        long,
        env = "BERTH_MAX_IN_FLIGHT",
        value_name = "N",
        default_value = "1024",
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
    /// Who tells the Pods' owners; none without a cluster, or with `--events off`.
    pub events: Option<Events>,
    /// The way to the replica that chooses between pools for all; none without a cluster, or where it is not known.
    pub forward: Option<Forward>,
    /// Who shows the last decisions; none without a board.
    pub board: Option<Board>,
    /// Where the spans go.
    pub traces: Traces,
}

/// What is asked, by the path of the request.
#[derive(Clone, Copy)]
enum Question {
    /// Where a Pod goes.
    Place,
    /// What to say of an object that makes Pods.
    Warn,
}

impl Question {
    const fn path(self) -> &'static str {
        match self {
            Self::Place => PATH,
            Self::Warn => WARN_PATH,
        }
    }
}

/// A review that has arrived.
#[derive(Debug)]
struct Arrival<B = Buffer> {
    body: Counted<B>,
    occupant: Option<Occupant>,
    arrived: Instant,
    deadline: Deadline,
    span: Span,
}

/// What a look at a review comes to.
enum Looked {
    /// It takes no GPU, and this is the answer.
    Answered(Bytes),
    /// A group is to be chosen.
    Chooses(Arrival),
}

/// The webhook and what its requests share.
#[derive(Debug)]
struct Service {
    webhook: Webhook,
    budget: Arc<Budget>,
    slots: Semaphore,
    /// One for each processor: more at once would only make each of them later.
    turns: Arc<Semaphore>,
}

/// A request that is being read or answered, as the gauge counts it.
#[derive(Debug)]
struct InFlight<'a>(&'a Gauge);

/// What answers on the port. There are two paths, and no router: axum's made 22 allocations for each request.
#[derive(Clone, Debug)]
pub struct Routes(Arc<Service>);

impl Routes {
    /// The webhook on its paths.
    #[must_use]
    pub fn new(webhook: Webhook) -> Self {
        Self(Arc::new(Service::new(webhook)))
    }
}

impl Answers for Routes {
    async fn answer(self, request: Request, occupant: Option<Occupant>) -> Response {
        let Self(service) = self;
        let question = match request.uri().path() {
            PATH => Ok(Question::Place),
            WARN_PATH => Ok(Question::Warn),
            other => Err(HttpError::wrong_path(other)),
        };
        let mut response = match question {
            Ok(_) if request.method() != Method::POST => {
                let error = HttpError::wrong_method(request.method());
                service.fail(error, Instant::now())
            }
            Ok(question) => service.respond(request, occupant, question).await,
            Err(error) => service.fail(error, Instant::now()),
        };
        // while draining, and only then, every response asks its client to connect again: to another replica (facts 4 and 5)
        if service.webhook.state.is_draining() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    }
}

/// The response to a review.
fn reviewed(body: Bytes) -> Response {
    let mut response = Response::new(body.into());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

impl Service {
    fn new(webhook: Webhook) -> Self {
        let limits = &webhook.limits;
        let processors = available_parallelism().map_or(1, usize::from);
        Self {
            budget: Budget::new(limits.max_body_memory, webhook.metrics.body_bytes.clone()),
            slots: Semaphore::new(limits.max_in_flight.min(Semaphore::MAX_PERMITS)),
            turns: Arc::new(Semaphore::new(processors)),
            webhook,
        }
    }

    async fn respond(
        self: &Arc<Self>,
        request: Request,
        occupant: Option<Occupant>,
        question: Question,
    ) -> Response {
        let arrived = Instant::now();
        let span = self
            .webhook
            .traces
            .begin(question.path(), request.headers());
        let answer = self.answer(request, occupant, arrived, question, span.clone());
        match answer.await {
            Ok(body) => reviewed(body),
            Err(error) => {
                span.failed(error.reason);
                match question {
                    Question::Place => self.fail(error, arrived),
                    Question::Warn => self.no_word(error),
                }
            }
        }
    }

    async fn answer(
        self: &Arc<Self>,
        request: Request,
        occupant: Option<Occupant>,
        arrived: Instant,
        question: Question,
        span: Span,
    ) -> Result<Bytes, HttpError> {
        check_media_type(request.headers())?;
        let is_sent_on = is_forwarded(request.headers());
        let _in_flight = InFlight::new(&self.webhook.metrics.in_flight);
        let deadline = Deadline::new(request.uri().query(), arrived);
        let source = occupant.as_ref().map(Occupant::source);
        let body = self.receive(request.into_body(), source, arrived, deadline);
        let body = body.await?;
        // the slot is for who has sent a review, and so is the certainty of a connection
        occupant.iter().for_each(Occupant::has_sent);
        let _slot = self
            .slots
            .try_acquire()
            .map_err(|_| HttpError::overloaded())?;
        let arrival = Arrival {
            body,
            occupant,
            arrived,
            deadline,
            span,
        };
        if let Question::Warn = question {
            return self.compute(arrival, Self::word).await;
        }
        let forward = self.webhook.forward.as_ref();
        match forward.filter(|it| !is_sent_on && it.is_elsewhere()) {
            None => self.compute(arrival, Self::decide).await,
            Some(forward) => self.leave(arrival, forward).await,
        }
    }

    /// Leaves the choice to another replica, where there is one. If that fails, it is made here.
    async fn leave(
        self: &Arc<Self>,
        arrival: Arrival,
        forward: &Forward,
    ) -> Result<Bytes, HttpError> {
        let arrival = match self.compute(arrival, Self::look).await? {
            Looked::Answered(answer) => return Ok(answer),
            Looked::Chooses(arrival) => arrival,
        };
        let (review, arrival) = arrival.shared();
        let traceparent = arrival.span.traceparent();
        let answer = forward.ask(review, arrival.deadline.last_turn(), traceparent);
        match answer.await {
            Some(answer) => {
                arrival.span.forwarded();
                arrival.answered(answer.to_vec())
            }
            None => self.compute(arrival, Self::decide).await,
        }
    }

    /// Computes what is small here, and what is large on another thread in its turn.
    async fn compute<B, T>(
        self: &Arc<Self>,
        arrival: Arrival<B>,
        work: fn(&Self, Arrival<B>) -> Result<T, HttpError>,
    ) -> Result<T, HttpError>
    where
        B: AsRef<[u8]> + Send + 'static,
        T: Send + 'static,
    {
        if arrival.body.as_ref().len() <= SMALL {
            return work(self, arrival);
        }
        let turn = self.turn(arrival.deadline).await?;
        let service = Arc::clone(self);
        let computing = spawn_blocking(move || {
            // here, since the work goes on where the client has gone
            let _turn = turn;
            work(&service, arrival)
        });
        computing.await.map_err(|_| HttpError::panicked())?
    }

    /// Waits for a processor, first come first served, but for no longer than leaves time for the answer.
    async fn turn(&self, deadline: Deadline) -> Result<OwnedSemaphorePermit, HttpError> {
        let turns = Arc::clone(&self.turns);
        let turn = timeout_at(deadline.last_turn().into(), turns.acquire_owned()).await;
        // nothing closes the semaphore
        turn.ok()
            .and_then(Result::ok)
            .ok_or_else(HttpError::overloaded)
    }

    async fn receive(
        &self,
        mut body: Body,
        source: Option<IpAddr>,
        arrived: Instant,
        deadline: Deadline,
    ) -> Result<Counted, HttpError> {
        let limits = &self.webhook.limits;
        let limit = limits.max_body_bytes.min(limits.max_body_memory);
        let too_slow = arrived + limits.body_timeout;
        let until = deadline.end().map_or(too_slow, |end| end.min(too_slow));
        let source = source.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
        let claim = self.budget.claim(source, arrived);
        match body::read(&mut body, limit, until, claim).await {
            Ok(body) => Ok(body),
            Err(Unread::TooLarge) => Err(HttpError::body_too_large(limit)),
            Err(Unread::Broken(error)) => Err(HttpError::broken_body(&error)),
            Err(Unread::Full) => {
                discard(body, limit, until).await;
                Err(HttpError::no_memory())
            }
            Err(Unread::Late) if until < too_slow => Err(HttpError::deadline_passed()),
            Err(Unread::Late) => Err(HttpError::body_too_slow(limits.body_timeout)),
        }
    }

    /// The answer, for which GPUs are taken.
    fn decide<B: AsRef<[u8]>>(&self, arrival: Arrival<B>) -> Result<Bytes, HttpError> {
        let body = arrival.body.as_ref();
        let view = self.webhook.state.view();
        let view = view.as_deref().ok_or_else(HttpError::no_table)?;
        let answer = self.review(self.webhook.review, body, view, arrival.deadline)?;
        self.tell(&answer, view, &arrival);
        let answer = answer.body;
        arrival.answered(answer)
    }

    /// The answer, unless GPUs would be taken for it.
    fn look(&self, arrival: Arrival) -> Result<Looked, HttpError> {
        let body = arrival.body.as_ref();
        let view = self.webhook.state.view();
        let view = view.as_deref().ok_or_else(HttpError::no_table)?;
        let answer = self.review(review::peek, body, view, arrival.deadline)?;
        if answer.decision.is_chosen() {
            return Ok(Looked::Chooses(arrival));
        }
        self.tell(&answer, view, &arrival);
        let answer = answer.body;
        arrival.answered(answer).map(Looked::Answered)
    }

    fn review<'a>(
        &self,
        review: Review,
        body: &'a [u8],
        view: &'a View,
        deadline: Deadline,
    ) -> Result<Answer<'a>, HttpError> {
        deadline.check()?;
        let answer = catch_unwind(AssertUnwindSafe(|| review(body, view))).map_err(|_| {
            self.webhook.metrics.panics.inc();
            HttpError::panicked()
        })??;
        deadline.check()?;
        Ok(answer)
    }

    fn tell<B>(&self, answer: &Answer<'_>, view: &View, arrival: &Arrival<B>) {
        let elapsed = arrival.arrived.elapsed();
        let decision = &answer.decision;
        let revision = view.table.revision();
        let metrics = &self.webhook.metrics;
        let warnings: Vec<_> = answer.warnings.iter().map(Warning::as_str).collect();
        metrics.decided(decision, &warnings, elapsed);
        telemetry::reviewed(answer, &warnings, revision, elapsed);
        if let Some(events) = &self.webhook.events {
            events.tell(answer, revision);
        }
        if let Some(board) = &self.webhook.board {
            board.decided(answer);
        }
        arrival.span.decided(answer);
    }

    fn fail(&self, error: HttpError, started: Instant) -> Response {
        let elapsed = started.elapsed();
        let reason = error.reason;
        self.webhook.metrics.failed(reason, elapsed);
        telemetry::failed(reason, &error.text, elapsed);
        error.into_response()
    }
}

impl Arrival {
    /// The body once more, for another replica.
    fn shared(self) -> (Bytes, Arrival<Bytes>) {
        let Counted { bytes, claim } = self.body;
        let bytes = Bytes::from_owner(bytes);
        let arrival = Arrival {
            body: Counted {
                bytes: bytes.clone(),
                claim,
            },
            occupant: self.occupant,
            arrived: self.arrived,
            deadline: self.deadline,
            span: self.span,
        };
        (bytes, arrival)
    }
}

impl<B> Arrival<B> {
    /// The answer, which takes over what the body held of the budget.
    fn answered(self, answer: Vec<u8>) -> Result<Bytes, HttpError> {
        let Counted { bytes, mut claim } = self.body;
        drop(bytes);
        claim
            .hold_now(answer.len())
            .map_err(|_| HttpError::no_memory())?;
        claim.answer(self.occupant, Instant::now());
        let answer = Counted {
            bytes: answer.into(),
            claim,
        };
        Ok(answer.into())
    }
}

/// Reads a body and keeps nothing: the API server sends the request again (fact 2), on the same connection.
async fn discard(body: Body, limit: usize, until: Instant) {
    let mut body = Limited::new(body, limit);
    let reading = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = timeout_at(until.into(), reading).await;
}

impl<'a> InFlight<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
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
