//! Writes the statuses of both kinds: only where this replica holds the Lease, only what has changed, and never so much
//! that anybody would notice. A condition that turned is also told as an Event.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use backon::ExponentialBackoff;
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
    core::DynamicObject,
};
use serde_json::{Value, json};
use tokio::{
    task::{JoinError, spawn_blocking},
    time::{Instant, sleep, sleep_until},
};

use super::{
    calls::{Failure, Told, backoff, call},
    drafts::{Draft, Drafts, Object, status_of},
    events::Events,
    lease::Held,
    picture::Counted,
};
use crate::metrics::Metrics;
use berth_core::remarks::turned;

/// An object is written so often at most, but for the first time after its spec has changed.
const SELDOM: Duration = Duration::from_secs(5);
/// So often it is looked at most what there is to write.
const PAUSE: Duration = Duration::from_millis(500);
/// So much time lies between two writes.
const BETWEEN: Duration = Duration::from_millis(100);
/// So many are written before it is looked again what there is to write.
const IN_A_ROUND: usize = 10;
/// The longest wait after failures in a row, of one object or of all.
const LONGEST: Duration = Duration::from_mins(1);

/// Who writes.
pub(super) struct Writer {
    pub(super) client: Client,
    pub(super) drafts: Arc<Drafts>,
    /// None with `--live off`.
    pub(super) counted: Option<Arc<Counted>>,
    pub(super) held: Held,
    /// Who writes, as the managed fields name it.
    pub(super) manager: String,
    /// Told of conditions that turned; none with `--events off`.
    pub(super) events: Option<Events>,
    pub(super) metrics: Arc<Metrics>,
}

/// What was written, and what went wrong.
#[derive(Debug, Default)]
struct History {
    objects: BTreeMap<Object, Written>,
    told: Told,
    waits: Option<ExponentialBackoff>,
}

/// What was written of one object.
#[derive(Debug)]
struct Written {
    last: Instant,
    next: Instant,
    status: Value,
    /// What that left: others may own parts of it, which ours does not show.
    left: Option<Value>,
    waits: Option<ExponentialBackoff>,
    told: Told,
}

impl Writer {
    /// Writes as long as there may be something to write.
    pub(super) async fn run(mut self) {
        let mut history = History::default();
        while self.held.gained().await.is_ok() {
            let due = match self.round(&mut history).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::error!(%error, "no status was made: a bug in berth");
                    None
                }
            };
            sleep(PAUSE).await;
            match due {
                Some(due) => tokio::select! {
                    () = self.drafts.changed() => {}
                    () = sleep_until(due) => {}
                },
                None => self.drafts.changed().await,
            }
        }
    }

    /// Writes what is due, and says when the next will be.
    async fn round(&self, history: &mut History) -> Result<Option<Instant>, JoinError> {
        let (drafts, counted) = (Arc::clone(&self.drafts), self.counted.clone());
        let drafts = spawn_blocking(move || drafts.to_write(counted.as_deref())).await?;
        self.drafts.forget_gone(&mut history.objects);
        let mut drafts: Vec<(Instant, Draft)> = drafts
            .into_iter()
            .filter_map(|draft| Some((history.due(&draft)?, draft)))
            .collect();
        // who has waited longest is first, so that nobody waits for ever
        drafts.sort_by_key(|(_, draft)| history.objects.get(&draft.object).map(|it| it.last));
        let now = Instant::now();
        let mut written = 0;
        let mut next: Option<Instant> = None;
        for (due, draft) in drafts {
            if due > now || written == IN_A_ROUND || !self.held.is_held() {
                next = Some(next.map_or(due, |next| next.min(due)));
                continue;
            }
            written += 1;
            if let Err(wait) = self.write(draft, history).await {
                sleep(wait).await;
                return Ok(Some(Instant::now()));
            }
            sleep(BETWEEN).await;
        }
        Ok(next)
    }

    /// Writes one. An error is how long everything waits.
    async fn write(&self, draft: Draft, history: &mut History) -> Result<(), Duration> {
        let Draft {
            object,
            status,
            found,
        } = draft;
        let kind = object.kind.as_str();
        let answer = self.apply(&object, &status).await;
        self.metrics.status_written(kind, answer.is_ok());
        match answer {
            Ok((left, uid)) => {
                self.tell(&object, uid, [&found, &status]);
                self.drafts.wrote(object.clone(), left.clone());
                history.succeeds(object, status, left);
                Ok(())
            }
            Err(failure) => match history.fails(object, status, &failure) {
                Some(wait) => Err(wait),
                None => Ok(()),
            },
        }
    }

    /// Tells which conditions turned with a write.
    fn tell(&self, object: &Object, uid: Option<String>, [before, now]: [&Value; 2]) {
        let Some(events) = &self.events else { return };
        let conditions = |status: &Value| {
            let conditions = status.get("conditions").cloned().unwrap_or_default();
            serde_json::from_value::<Vec<Condition>>(conditions).unwrap_or_default()
        };
        let resource = object.kind.resource();
        let regarding = ObjectReference {
            api_version: Some(resource.api_version),
            kind: Some(resource.kind),
            name: Some(object.name.clone()),
            uid,
            ..ObjectReference::default()
        };
        events.turned(&regarding, turned(&conditions(before), &conditions(now)));
    }

    /// What that left of the status, and the object's uid.
    async fn apply(
        &self,
        object: &Object,
        status: &Value,
    ) -> Result<(Value, Option<String>), Failure> {
        let resource = object.kind.resource();
        let patch = json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": {"name": object.name}, "status": status,
        });
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        // what somebody else has written into a status of ours is wrong
        let ours = PatchParams::apply(&self.manager).force();
        let patch = Patch::Apply(&patch);
        let written = call(api.patch_status(&object.name, &ours, &patch)).await?;
        Ok((status_of(&written), written.uid()))
    }
}

impl History {
    /// When a draft may be written; never if it was, and left what is found.
    fn due(&self, draft: &Draft) -> Option<Instant> {
        let now = Instant::now();
        let Some(written) = self.objects.get(&draft.object) else {
            return Some(now);
        };
        if written.status == draft.status && written.left.as_ref() == Some(&draft.found) {
            return None;
        }
        let generation = |status: &Value| status["observedGeneration"].clone();
        let is_new = generation(&written.status) != generation(&draft.status);
        Some(if is_new { now } else { written.next })
    }

    fn succeeds(&mut self, object: Object, status: Value, left: Value) {
        self.waits = None;
        if self.told.ends() {
            tracing::info!("statuses are written again");
        }
        let now = Instant::now();
        let written = Written {
            last: now,
            next: now + SELDOM,
            status,
            left: Some(left),
            waits: None,
            told: Told::default(),
        };
        self.objects.insert(object, written);
    }

    /// How long everything waits after a failure; none where it is about this object alone.
    fn fails(&mut self, object: Object, status: Value, failure: &Failure) -> Option<Duration> {
        if failure.is_of_object {
            self.fails_alone(object, status, failure);
            return None;
        }
        // by its code: what the API server says names the object
        if self.told.is_new(&failure.code.to_string()) {
            tracing::warn!(error = %failure, "no status is written; Pods are placed all the same");
        }
        let waits = self.waits.get_or_insert_with(|| backoff(PAUSE, LONGEST));
        Some(waits.next().unwrap_or(LONGEST))
    }

    fn fails_alone(&mut self, object: Object, status: Value, failure: &Failure) {
        let now = Instant::now();
        let (kind, name) = (object.kind.as_str(), object.name.clone());
        let written = self.objects.entry(object).or_insert_with(|| Written {
            last: now,
            next: now,
            status: Value::Null,
            left: None,
            waits: None,
            told: Told::default(),
        });
        let waits = written
            .waits
            .get_or_insert_with(|| backoff(SELDOM, LONGEST));
        (written.last, written.status) = (now, status);
        written.next = now + waits.next().unwrap_or(LONGEST);
        // one that is gone says nothing: its watch will
        if failure.code != 404 && written.told.is_new(&failure.to_string()) {
            tracing::warn!(kind, name, error = %failure, "status not written");
        }
    }
}

#[cfg(test)]
mod tests;
