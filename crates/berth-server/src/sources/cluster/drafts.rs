//! What the statuses are written from. Those who see the cluster put it here and go on: nobody waits for the writer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use berth_core::{
    api::{GPUPool, WorkloadClass},
    conditions::{Sight, Statuses, statuses},
    objects::Compiled,
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::core::{ApiResource, DynamicObject};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::Notify;

use super::{
    contact::Seen,
    kept::Kept,
    picture::{Count, Counted},
};

/// One of our two kinds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Kind {
    Pool,
    Class,
}

/// An object of our kinds.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Object {
    pub(super) kind: Kind,
    pub(super) name: String,
}

/// A status that differs from what the object has.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) object: Object,
    pub(super) status: Value,
    /// What the object has.
    pub(super) found: Value,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    known: Mutex<Known>,
    changed: Notify,
}

#[derive(Clone, Debug, Default)]
struct Known {
    /// In force.
    compiled: Option<Arc<Compiled>>,
    pools: Kept<Value>,
    classes: Kept<Value>,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Pool => "GPUPool",
            Self::Class => "WorkloadClass",
        }
    }

    pub(super) fn resource(self) -> ApiResource {
        match self {
            Self::Pool => ApiResource::erase::<GPUPool>(&()),
            Self::Class => ApiResource::erase::<WorkloadClass>(&()),
        }
    }
}

impl Drafts {
    /// Takes what a watch has shown of the statuses.
    pub(super) fn see(&self, kind: Kind, seen: &Seen<DynamicObject>) {
        let status = |object: &DynamicObject| status_of(object);
        if self.known().of(kind).take(seen, status) {
            self.change();
        }
    }

    /// Takes what a write has left of a status.
    pub(super) fn wrote(&self, object: Object, status: Value) {
        let mut known = self.known();
        let kept = known.of(object.kind);
        // one that was deleted meanwhile is not there again
        if kept.has(&object.name) {
            kept.put(object.name, status);
        }
    }

    /// Takes out what is kept of objects that are not there any more.
    pub(super) fn forget_gone<T>(&self, kept: &mut BTreeMap<Object, T>) {
        let mut known = self.known();
        kept.retain(|object, _| known.of(object.kind).has(&object.name));
    }

    /// These objects are in force.
    pub(super) fn put(&self, compiled: Arc<Compiled>) {
        self.known().compiled = Some(compiled);
        self.change();
    }

    /// Something was seen that a status may show.
    pub(super) fn change(&self) {
        self.changed.notify_one();
    }

    /// Waits for a change since the last one that was waited for.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The statuses that are to be written as things are. There are none while the GPUs are counted by another table than the one in
    /// force: then a change follows.
    pub(super) fn to_write(&self, counted: Option<&Counted>) -> Vec<Draft> {
        let known = self.known().clone();
        let Some(compiled) = &known.compiled else {
            return Vec::new();
        };
        let count = counted.map(|counted| counted.count(compiled));
        let sight = match &count {
            None => Sight::Off,
            Some(Count::ByAnotherTable) => return Vec::new(),
            Some(Count::NotSynced) => Sight::NotSynced,
            Some(Count::Counts(counts)) => Sight::Counted(counts),
        };
        let before = Statuses {
            pools: decoded(&known.pools),
            classes: decoded(&known.classes),
        };
        let made = statuses(compiled, sight, &before, &now());
        let pools = drafts(Kind::Pool, made.pools, &known.pools);
        pools
            .chain(drafts(Kind::Class, made.classes, &known.classes))
            .collect()
    }

    /// A panic elsewhere leaves a map whole or one entry old, and the next event mends it.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    const fn of(&mut self, kind: Kind) -> &mut Kept<Value> {
        match kind {
            Kind::Pool => &mut self.pools,
            Kind::Class => &mut self.classes,
        }
    }
}

/// An object's status as it is.
pub(super) fn status_of(object: &DynamicObject) -> Value {
    object.data.get("status").cloned().unwrap_or_default()
}

fn decoded<S: DeserializeOwned>(kept: &Kept<Value>) -> BTreeMap<String, S> {
    let listed = kept.listed.iter().flatten();
    let decoded = listed.filter_map(|(name, status)| {
        let status = S::deserialize(status).ok()?;
        Some((name.clone(), status))
    });
    decoded.collect()
}

fn drafts<S: Serialize>(
    kind: Kind,
    made: BTreeMap<String, S>,
    kept: &Kept<Value>,
) -> impl Iterator<Item = Draft> {
    made.into_iter().filter_map(move |(name, status)| {
        let status = serde_json::to_value(status).ok()?;
        let listed = kept.listed.as_ref();
        let found = listed.and_then(|it| it.get(&name));
        let found = found.cloned().unwrap_or_default();
        let object = Object { kind, name };
        (status != found).then_some(Draft {
            object,
            status,
            found,
        })
    })
}

/// In whole seconds, which is what Kubernetes keeps of a time.
fn now() -> Time {
    let now = Timestamp::now();
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}
