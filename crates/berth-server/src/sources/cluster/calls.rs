//! Single calls of the API server, beside the watches: bounded in time, and told once where they go on failing.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::timeout;

use super::client;

/// So long a call may take, with what the client itself repeats.
const LONGEST: Duration = Duration::from_secs(5);

/// Why a call has failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    /// The API server's code; 0 where it has not answered.
    pub(super) code: u16,
    message: String,
}

/// What is told once, however often it happens.
#[derive(Debug, Default)]
pub(super) struct Told(Option<String>);

/// Waits for a call, but not for long.
pub(super) async fn call<T>(
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Failure> {
    match timeout(LONGEST, call).await {
        Ok(answer) => answer.map_err(|error| Failure::new(&error)),
        Err(_) => Err(Failure {
            code: 0,
            message: format!("no answer in {} s", LONGEST.as_secs()),
        }),
    }
}

/// The waits after failures in a row.
pub(super) fn backoff(shortest: Duration, longest: Duration) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(shortest)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
        .build()
}

impl Failure {
    fn new(error: &kube::Error) -> Self {
        let code = match error {
            kube::Error::Api(status) => status.code,
            _ => 0,
        };
        let message = match code {
            401 | 403 => {
                let said = client::said(error);
                format!("{said}; bind berth's ClusterRole and Role to its ServiceAccount")
            }
            _ => client::said(error),
        };
        Self { code, message }
    }
}

impl Told {
    /// Whether it was something else that was told last.
    pub(super) fn is_new(&mut self, what: &str) -> bool {
        let is_new = self.0.as_deref() != Some(what);
        if is_new {
            self.0 = Some(what.to_owned());
        }
        is_new
    }

    /// It is over: whether anything was told.
    pub(super) fn ends(&mut self) -> bool {
        self.0.take().is_some()
    }
}
