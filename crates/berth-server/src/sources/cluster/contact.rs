//! One watch: its events, and what the log and the metrics are told of it.

use std::{fmt::Debug, pin::pin, sync::Arc, time::Duration};

use futures_util::StreamExt;
use kube::{
    Api, Resource,
    runtime::watcher::{self, Error, Event, watcher},
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc::Sender, time::sleep};

use super::{
    calls::{Told, backoff},
    client,
};
use crate::metrics::Metrics;

/// The first wait after a failure.
const SHORTEST: Duration = Duration::from_millis(500);
/// The longest wait where rights or definitions are missing: somebody is giving them, and asking is cheap.
const MISSING: Duration = Duration::from_secs(2);
/// The longest wait where a kind is missing that may never come.
const OPTIONAL: Duration = Duration::from_mins(1);
/// The longest wait else.
const LONGEST: Duration = Duration::from_secs(15);

/// What a watch gives: an event, or why there is none for now.
pub(super) type Seen<K> = Result<Event<K>, String>;

/// A watch of one kind.
#[derive(Debug)]
pub(super) struct Contact {
    kind: &'static str,
    metrics: Arc<Metrics>,
    /// The longest wait where rights or the definition are missing.
    missing: Duration,
    /// Why the last attempt failed, as it was logged.
    failed: Told,
}

impl Contact {
    pub(super) fn new(kind: &'static str, metrics: Arc<Metrics>) -> Self {
        Self {
            kind,
            metrics,
            missing: MISSING,
            failed: Told::default(),
        }
    }

    /// For a kind that older clusters do not have.
    pub(super) fn optional(self) -> Self {
        Self {
            missing: OPTIONAL,
            ..self
        }
    }

    /// Sends everything that is seen, until nobody takes it.
    pub(super) async fn follow<K, N>(
        mut self,
        api: Api<K>,
        config: watcher::Config,
        news: Sender<N>,
        name: impl Fn(Seen<K>) -> N + Send,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
        N: Send,
    {
        let mut events = pin!(watcher(api, config));
        let mut waits = backoff(SHORTEST, LONGEST);
        let mut waits_for_rights = backoff(SHORTEST, self.missing);
        while let Some(event) = events.next().await {
            let wait = match &event {
                // it begins anew with each attempt, and says nothing about it
                Ok(Event::Init) => None,
                Ok(event) => {
                    self.succeeds(matches!(event, Event::InitDone));
                    waits = backoff(SHORTEST, LONGEST);
                    waits_for_rights = backoff(SHORTEST, self.missing);
                    None
                }
                Err(error) => {
                    let code = code(error);
                    self.metrics.watch_failed(self.kind, code);
                    let missing = matches!(code, 401 | 403 | 404);
                    let waits = if missing {
                        &mut waits_for_rights
                    } else {
                        &mut waits
                    };
                    Some(waits.next().unwrap_or(LONGEST))
                }
            };
            let seen = event.map_err(|error| self.fails(&error));
            if news.send(name(seen)).await.is_err() {
                return;
            }
            if let Some(wait) = wait {
                sleep(wait).await;
            }
        }
    }

    fn succeeds(&mut self, listed: bool) {
        let kind = self.kind;
        // the answer itself is noted where requests pass by
        if listed {
            self.metrics.relisted(kind);
        }
        if self.failed.ends() {
            tracing::info!(kind, "seen again");
        }
    }

    /// Says once why a watch fails, however often it is tried.
    fn fails(&mut self, error: &Error) -> String {
        let kind = self.kind;
        let is_older_cluster = self.missing == OPTIONAL && code(error) == 404;
        let error = explained(kind, error);
        if self.failed.is_new(&error) {
            if is_older_cluster {
                tracing::info!(
                    kind,
                    "this API server has no such kind, and berth does without it"
                );
            } else {
                tracing::warn!(kind, %error, "not seen: what was seen last stays in force");
            }
        }
        error
    }
}

/// The API server's code; 0 where it has not answered.
fn code(error: &Error) -> u16 {
    match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchFailed(kube::Error::Api(status))
        | Error::WatchError(status) => status.code,
        _ => 0,
    }
}

/// What is wrong, and what to do.
fn explained(kind: &str, error: &Error) -> String {
    let said = match error {
        Error::InitialListFailed(error)
        | Error::WatchStartFailed(error)
        | Error::WatchFailed(error) => client::said(error),
        Error::WatchError(status) => status.message.clone(),
        Error::NoResourceVersion => "the API server gives no resourceVersion".to_owned(),
    };
    match code(error) {
        404 => format!(
            "{kind} is not defined in this cluster; apply the CustomResourceDefinitions of deploy/crds"
        ),
        401 | 403 => format!(
            "{kind} may not be listed and watched: {said}; bind berth's ClusterRole and Role to its ServiceAccount"
        ),
        _ => format!("{kind}: {said}"),
    }
}
