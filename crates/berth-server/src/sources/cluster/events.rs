//! Tells the controllers of Pods what was remarked on a review, and GPUPools and WorkloadClasses which of their conditions
//! turned, as Events. Whoever remarks hands it over and goes on; what there is no room for is dropped, and counted. So is
//! what the API server will never take: a Pod's author may name an owner that cannot be, and must not delay the others' Events.

use std::{
    borrow::Cow,
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
};
use crate::{metrics::Metrics, process::host};

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
/// What was done, as an Event about a Pod's controller says it.
const REVIEWING: &str = "Reviewing";
/// What was done, as an Event about one of our objects says it.
const OBSERVING: &str = "Observing";

/// Where remarks are left.
#[derive(Clone, Debug)]
pub struct Events {
    remarked: Sender<Remarked>,
    metrics: Arc<Metrics>,
}

/// A remark, and whom it is for.
#[derive(Debug)]
struct Remarked {
    regarding: ObjectReference,
    action: &'static str,
    remark: Remark,
}

/// What was said lately.
#[derive(Debug, Default)]
struct Said(HashMap<About, Instant>);

/// An object's uid, and a reason.
type About = (String, Cow<'static, str>);

/// Writes Events from now on.
pub(super) fn start(tasks: &mut JoinSet<()>, clients: &Clients, metrics: &Arc<Metrics>) -> Events {
    let (remarked, coming) = mpsc::channel(WAITING);
    let (news, to_write) = mpsc::channel(WAITING);
    tasks.spawn(sort(coming, news, Arc::clone(metrics)));
    let reporter = Reporter {
        controller: names::REPORTER.to_owned(),
        instance: Some(host()),
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
            let regarding = ObjectReference {
                api_version: Some(owner.api_version.to_string()),
                kind: Some(owner.kind.to_string()),
                name: Some(owner.name.to_string()),
                namespace: Some(subject.namespace.to_string()),
                uid: Some(owner.uid.to_string()),
                ..ObjectReference::default()
            };
            self.leave(Remarked {
                regarding,
                action: REVIEWING,
                remark,
            });
        }
    }

    /// Takes what there is to tell of an object of our kinds, which is of no namespace: the Event goes to `default`.
    pub(super) fn turned(&self, regarding: &ObjectReference, remarks: Vec<Remark>) {
        for remark in remarks {
            self.leave(Remarked {
                regarding: regarding.clone(),
                action: OBSERVING,
                remark,
            });
        }
    }

    fn leave(&self, remarked: Remarked) {
        if self.remarked.try_send(remarked).is_err() {
            self.metrics.event("dropped");
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
        let uid = remarked.regarding.uid.clone().unwrap_or_default();
        let about = (uid, remarked.remark.reason.clone());
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
    fn was_said(&self, about: &About, now: Instant) -> bool {
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
        let regarding = remarked.regarding.clone();
        let event = event(remarked);
        let wait = match call(recorder.publish(&event, &regarding)).await {
            Ok(()) => {
                metrics.event("written");
                waits = None;
                if told.ends() {
                    tracing::info!("Events are written again");
                }
                BETWEEN
            }
            Err(failure) if failure.is_of_object => {
                metrics.event("refused");
                tracing::debug!(error = %failure, "an Event is not written, and will not be");
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

fn event(remarked: Remarked) -> Event {
    let Remarked { action, remark, .. } = remarked;
    Event {
        type_: if remark.is_warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: remark.reason.into_owned(),
        note: Some(remark.note),
        action: action.to_owned(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests;
