//! Tells the controllers of Pods what was remarked on a review, as Events. A review hands it over and goes on; what there
//! is no room for is dropped, and counted.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use berth_core::{
    names,
    remarks::{Remark, remarks},
    review::Answer,
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::JoinSet,
    time::sleep,
};

use super::{
    calls::{Failure, Told, backoff, call},
    client::Clients,
    lease,
};
use crate::metrics::Metrics;

/// So many wait at most to be looked at, and so many to be written.
const WAITING: usize = 1000;
/// What says only that all is well leaves so much room to warnings.
const FOR_WARNINGS: usize = WAITING / 2;
/// So long nothing is said again for the same controller and reason. It is longer than the library's series last, so each Event
/// is a new object, and no right to patch one is needed.
const QUIET: Duration = Duration::from_mins(10);
/// So many pairs of a controller and a reason are kept.
const KEPT: usize = 10_000;
/// So much time lies between two.
const BETWEEN: Duration = Duration::from_millis(200);
/// The longest wait after failures in a row.
const LONGEST: Duration = Duration::from_mins(1);
/// What was done, as every Event says it.
const ACTION: &str = "Reviewing";

/// Where a review leaves its remarks.
#[derive(Clone, Debug)]
pub struct Events {
    remarked: Sender<Remarked>,
    metrics: Arc<Metrics>,
}

/// A remark, and whom it is for.
#[derive(Debug)]
struct Remarked {
    owner: ObjectReference,
    remark: Remark,
}

/// What was said lately.
#[derive(Debug, Default)]
struct Said(HashMap<(String, &'static str), Instant>);

/// Writes Events from now on.
pub(super) fn start(tasks: &mut JoinSet<()>, clients: &Clients, metrics: &Arc<Metrics>) -> Events {
    let (remarked, coming) = mpsc::channel(WAITING);
    let (news, to_write) = mpsc::channel(WAITING);
    tasks.spawn(sort(coming, news, Arc::clone(metrics)));
    let reporter = Reporter {
        controller: names::REPORTER.to_owned(),
        instance: Some(lease::host()),
    };
    let recorder = Recorder::new(clients.calls.clone(), reporter);
    tasks.spawn(write(to_write, recorder, Arc::clone(metrics)));
    Events {
        remarked,
        metrics: Arc::clone(metrics),
    }
}

impl Events {
    /// Takes what there is to tell of an answer. It never waits.
    pub(crate) fn tell(&self, answer: &Answer<'_>, revision: &str) {
        let subject = &answer.subject;
        let Some(owner) = &subject.owner else { return };
        for remark in remarks(answer, revision) {
            let owner = ObjectReference {
                api_version: Some(owner.api_version.to_string()),
                kind: Some(owner.kind.to_string()),
                name: Some(owner.name.to_string()),
                namespace: Some(subject.namespace.to_string()),
                uid: Some(owner.uid.to_string()),
                ..ObjectReference::default()
            };
            if self.remarked.try_send(Remarked { owner, remark }).is_err() {
                self.metrics.event("dropped");
            }
        }
    }
}

/// Hands on what was not said lately.
async fn sort(mut coming: Receiver<Remarked>, news: Sender<Remarked>, metrics: Arc<Metrics>) {
    let mut said = Said::default();
    while let Some(remarked) = coming.recv().await {
        let room = if remarked.remark.is_warning {
            0
        } else {
            FOR_WARNINGS
        };
        let uid = remarked.owner.uid.clone().unwrap_or_default();
        let about = (uid, remarked.remark.reason);
        let now = Instant::now();
        if said.was_said(&about, now) {
            continue;
        }
        let has_room = news.capacity() > room && said.has_room(now);
        if has_room && news.try_send(remarked).is_ok() {
            said.0.insert(about, now);
        } else {
            metrics.event("dropped");
        }
    }
}

impl Said {
    fn was_said(&self, about: &(String, &'static str), now: Instant) -> bool {
        let last = self.0.get(about);
        last.is_some_and(|last| now.duration_since(*last) < QUIET)
    }

    /// Whether another may be kept, once those are gone that are over.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.0.len() >= KEPT {
            self.0.retain(|_, last| now.duration_since(*last) < QUIET);
        }
        self.0.len() < KEPT
    }
}

/// Writes one after the other, slowly.
async fn write(mut to_write: Receiver<Remarked>, recorder: Recorder, metrics: Arc<Metrics>) {
    let (mut told, mut waits) = (Told::default(), None);
    while let Some(remarked) = to_write.recv().await {
        let Remarked { owner, remark } = remarked;
        let event = event(remark);
        let wait = match call(recorder.publish(&event, &owner)).await {
            Ok(()) => {
                metrics.event("written");
                waits = None;
                if told.ends() {
                    tracing::info!("Events are written again");
                }
                BETWEEN
            }
            Err(failure) => {
                metrics.event("failed");
                tell(&failure, &mut told);
                let waits = waits.get_or_insert_with(|| backoff(BETWEEN, LONGEST));
                waits.next().unwrap_or(LONGEST)
            }
        };
        sleep(wait).await;
    }
}

/// By its code: what the API server says names the object.
fn tell(failure: &Failure, told: &mut Told) {
    if told.is_new(&failure.code.to_string()) {
        tracing::warn!(error = %failure, "an Event is not written; Pods are placed all the same");
    }
}

fn event(remark: Remark) -> Event {
    Event {
        type_: if remark.is_warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: remark.reason.to_owned(),
        note: Some(remark.note),
        action: ACTION.to_owned(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_is_said_once_and_warnings_have_room_when_the_rest_has_none() {
        let metrics = Arc::new(Metrics::default());
        let (remarked, coming) = mpsc::channel(10 * WAITING);
        let (news, mut to_write) = mpsc::channel(WAITING);
        let remark = |owner: usize, reason, is_warning| Remarked {
            owner: ObjectReference {
                uid: Some(owner.to_string()),
                ..ObjectReference::default()
            },
            remark: Remark {
                reason,
                is_warning,
                note: String::new(),
            },
        };
        for owner in 0..WAITING {
            remarked
                .send(remark(owner, "Placed", false))
                .await
                .expect("room");
        }
        for _ in 0..3 {
            for owner in 0..4 {
                let warning = remark(owner, "TolerationEnds", true);
                remarked.send(warning).await.expect("room");
            }
        }
        drop(remarked);
        sort(coming, news, Arc::clone(&metrics)).await;
        let mut found = [0, 0];
        while let Some(Remarked { remark, .. }) = to_write.recv().await {
            found[usize::from(remark.is_warning)] += 1;
        }
        assert_eq!(found, [WAITING - FOR_WARNINGS, 4]);
        let text = metrics.text().expect("text");
        let dropped = format!("berth_events_total{{result=\"dropped\"}} {FOR_WARNINGS}\n");
        assert!(text.contains(&dropped), "{text}");
    }

    #[test]
    fn what_was_said_is_said_again_after_a_time_and_as_many_are_kept_as_may_be() {
        let mut said = Said::default();
        let now = Instant::now();
        for owner in 0..KEPT {
            assert!(said.has_room(now));
            said.0.insert((owner.to_string(), "Placed"), now);
        }
        let about = ("7".to_owned(), "Placed");
        assert!(said.was_said(&about, now) && !said.has_room(now));
        let later = now + QUIET;
        assert!(!said.was_said(&about, later) && said.has_room(later));
    }
}
