//! The log: one structured event a review, on standard error, as JSON where that is no terminal.
//!
//! It cannot stop a review: what nobody reads in time is dropped, and counted.

use std::{
    io::{IsTerminal, Write, stderr},
    panic::{self, PanicHookInfo},
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use serde_json::json;
use tracing::Subscriber;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::{EnvFilter, fmt, fmt::MakeWriter, util::SubscriberInitExt};

use berth_core::{
    outcome::{Reason, Verdict},
    review::Answer,
};

pub mod filter;
mod line;
mod queue;

use line::{Line, Now};
use queue::Queue;

/// So many characters of a panic's message are logged: it may quote what a client has sent.
const MAX_PANIC: usize = 1 << 10;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a filter.
    #[error(transparent)]
    Filter(#[from] filter::Error),
    /// Someone was first.
    #[error("the log is set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// The log's thread. Dropping it waits until all that was logged is written, and no longer than a second.
#[derive(Debug)]
#[must_use = "the log ends when it is dropped"]
pub struct Log {
    _thread: WorkerGuard,
}

/// Starts the log, and counts the lines that are dropped. A panic becomes a line, too.
pub fn init(level: &str, dropped: Counter) -> Result<Log, Error> {
    let filter = filter::parse(level)?;
    let (queue, thread) = Queue::new(stderr(), dropped);
    let panics = queue.clone();
    let line: fn(&PanicHookInfo<'_>) -> String = if stderr().is_terminal() {
        let log = fmt().with_env_filter(filter).with_writer(queue);
        log.finish().try_init()?;
        |panic| Panic::new(panic).text()
    } else {
        json(filter, queue).try_init()?;
        |panic| Panic::new(panic).json()
    };
    // not as an event: a panic within the log would be a second one here, and end the process
    panic::set_hook(Box::new(move |panic| {
        let _ = panics.clone().write(line(panic).as_bytes());
    }));
    Ok(Log { _thread: thread })
}

/// A panic, as its line shows it.
struct Panic {
    time: String,
    error: String,
    place: String,
}

impl Panic {
    fn new(panic: &PanicHookInfo<'_>) -> Self {
        let error = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string);
        Self {
            time: Now.to_string(),
            error: error.chars().take(MAX_PANIC).collect(),
            place: place.unwrap_or_default(),
        }
    }

    fn json(&self) -> String {
        let Self { time, error, place } = self;
        let line = json!({
            "timestamp": time, "level": "ERROR", "message": "panic", "error": error, "place": place,
            "target": module_path!(),
        });
        format!("{line}\n")
    }

    fn text(&self) -> String {
        let Self { time, error, place } = self;
        format!("{time} ERROR panic error={error:?} place={place}\n")
    }
}

fn json<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .event_format(Line)
        .finish()
}

/// Logs a review that was answered, with its warnings.
pub fn reviewed(answer: &Answer<'_>, warnings: &[&str], table: &str, elapsed: Duration) {
    let Answer {
        subject, decision, ..
    } = answer;
    tracing::info!(
        result = decision.reason.verdict().as_str(),
        reason = decision.reason.as_str(),
        uid = &*subject.uid,
        namespace = &*subject.namespace,
        name = &*subject.name,
        user = &*subject.user,
        owner = subject.owner.as_ref().map(tracing::field::display),
        dry_run = subject.dry_run,
        class = decision.class,
        pool = decision.pool(),
        container = decision.container().as_deref(),
        denial = decision.message,
        warnings = warnings.join(","),
        table,
        seconds = elapsed.as_secs_f64(),
        "review"
    );
}

/// Logs a request that was answered with an HTTP error.
pub fn failed(reason: Reason, error: &str, elapsed: Duration) {
    tracing::warn!(
        result = Verdict::Error.as_str(),
        reason = reason.as_str(),
        code = reason.code(),
        error,
        seconds = elapsed.as_secs_f64(),
        "review"
    );
}

/// Logs a word at apply: `error` is why there was none to say.
pub fn word(result: &'static str, about: [&str; 3], warnings: &[String], error: &str) {
    let [kind, namespace, name] = about;
    let warnings = warnings.join("\n");
    tracing::info!(
        result,
        kind,
        namespace,
        name,
        warnings,
        error,
        "word at apply"
    );
}

#[cfg(test)]
mod tests;
