//! The log: one structured event a review, on standard error, as JSON where that is no terminal.

use std::{
    io::{IsTerminal, stderr},
    panic,
    time::Duration,
};

use tracing_subscriber::{EnvFilter, fmt};

use berth_core::{
    outcome::{Reason, Verdict, Warning},
    review::Answer,
};

mod json;

use json::Json;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a filter.
    #[error(
        "--log-level {0}: write error, warn, info, debug or trace, or directives as berth=debug,hyper=info"
    )]
    Filter(String),
    /// Someone was first.
    #[error("the log is set up already: {0}")]
    Twice(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Starts the log. A panic becomes an event, too.
pub fn init(level: &str) -> Result<(), Error> {
    let filter = EnvFilter::builder()
        .parse(level)
        .map_err(|_| Error::Filter(level.to_owned()))?;
    let log = fmt().with_env_filter(filter).with_writer(stderr);
    let started = if stderr().is_terminal() {
        log.try_init()
    } else {
        log.event_format(Json).try_init()
    };
    started.map_err(Error::Twice)?;
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string);
        tracing::error!(message, place, "panic");
    }));
    Ok(())
}

/// Logs a review that was answered.
pub fn reviewed(answer: &Answer<'_>, table: &str, elapsed: Duration) {
    let Answer {
        subject, decision, ..
    } = answer;
    let warnings = decision.warnings();
    let warnings = warnings.iter().map(Warning::as_str);
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
        container = decision.container(),
        denial = decision.message,
        warnings = warnings.collect::<Vec<_>>().join(","),
        table,
        seconds = elapsed.as_secs_f64(),
        "review"
    );
}

/// Logs a request that was answered with an HTTP error.
pub fn refused(reason: Reason, error: &str, elapsed: Duration) {
    tracing::warn!(
        result = Verdict::Error.as_str(),
        reason = reason.as_str(),
        code = reason.code(),
        error,
        seconds = elapsed.as_secs_f64(),
        "review"
    );
}
