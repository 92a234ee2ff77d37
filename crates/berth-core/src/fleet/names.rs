//! Which Pods they are that use or want GPUs, by name. Nothing is counted by it, and who shows nothing keeps none.

use std::{collections::HashMap, fmt, sync::Arc};

use super::{SeenPod, pods::Uid};

/// So many are kept: 2 MB of names as they are common. A Pod that comes when there is no room is counted without a name.
const MOST: usize = 10_000;

/// A Pod's name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PodName {
    /// The namespace.
    pub namespace: Box<str>,
    /// The name in it.
    pub name: Box<str>,
}

/// The names of Pods.
#[derive(Clone, Debug, Default)]
pub(super) struct PodNames(HashMap<Uid, Arc<PodName>>);

impl PodNames {
    pub(super) fn put(&mut self, uid: Uid, seen: &SeenPod) {
        if self.0.len() < MOST {
            let name = PodName {
                namespace: seen.namespace.as_str().into(),
                name: seen.name.as_str().into(),
            };
            self.0.insert(uid, Arc::new(name));
        }
    }

    pub(super) fn remove(&mut self, uid: Uid) {
        self.0.remove(&uid);
    }

    pub(super) fn get(&self, uid: Uid) -> Option<Arc<PodName>> {
        self.0.get(&uid).cloned()
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
