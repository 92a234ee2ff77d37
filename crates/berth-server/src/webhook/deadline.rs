//! Until when an answer is of use: the API server says how long it waits (fact 3).

use std::time::{Duration, Instant};

use super::http_error::HttpError;
use crate::duration;

/// How much of the API server's time is reserved for the response.
const RESERVED: Duration = Duration::from_millis(100);
/// How long the API server waits where it does not say: the default of `timeoutSeconds`.
const USUAL: Duration = Duration::from_secs(10);

/// Counted from a request's arrival.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    arrived: Instant,
    timeout: Option<Duration>,
}

impl Deadline {
    /// The API server's, from `?timeout=5s`.
    pub(super) fn new(query: Option<&str>, arrived: Instant) -> Self {
        let parameters = query.unwrap_or_default().split('&');
        let timeout = parameters
            .filter_map(|parameter| parameter.strip_prefix("timeout="))
            .find_map(duration::parse)
            .map(|timeout| timeout.saturating_sub(RESERVED))
            .filter(|timeout| arrived.checked_add(*timeout).is_some());
        Self { arrived, timeout }
    }

    /// When nobody waits any more, where the API server said so.
    pub(super) fn end(self) -> Option<Instant> {
        self.timeout.map(|timeout| self.arrived + timeout)
    }

    /// The latest turn. Half of the time is kept for what comes before a request's arrival, which is not seen here (a
    /// connection and its handshake), and for the review: under overload a queue that is let grow to the whole time
    /// answers only those who are about to leave.
    pub(super) fn last_turn(self) -> Instant {
        self.arrived + self.timeout.unwrap_or(USUAL).min(USUAL) / 2
    }

    pub(super) fn check(self) -> Result<(), HttpError> {
        match self.end() {
            Some(end) if Instant::now() >= end => Err(HttpError::deadline_passed()),
            _ => Ok(()),
        }
    }
}
