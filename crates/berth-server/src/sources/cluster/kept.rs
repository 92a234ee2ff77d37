//! The objects of one kind as a watch shows them.

use std::collections::BTreeMap;

use kube::{Resource, ResourceExt, runtime::watcher::Event};

use super::contact::Seen;

/// What is kept of each object of a kind, by name.
#[derive(Clone, Debug)]
pub(super) struct Kept<T> {
    /// None before the first complete list.
    pub(super) listed: Option<BTreeMap<String, T>>,
    /// A list that is not complete.
    coming: BTreeMap<String, T>,
    /// Why the last attempt failed.
    pub(super) failed: Option<String>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            listed: None,
            coming: BTreeMap::new(),
            failed: None,
        }
    }
}

impl<T: PartialEq> Kept<T> {
    /// Takes what was seen, and says whether what is kept is another now.
    pub(super) fn take<K: Resource>(&mut self, seen: &Seen<K>, of: impl Fn(&K) -> T) -> bool {
        let event = match seen {
            Err(error) => {
                self.failed = Some(error.clone());
                return false;
            }
            Ok(event) => event,
        };
        match event {
            Event::Init => self.coming.clear(),
            Event::InitApply(object) => {
                self.coming.insert(object.name_any(), of(object));
            }
            Event::InitDone => {
                self.failed = None;
                let listed = std::mem::take(&mut self.coming);
                let changed = self.listed.as_ref() != Some(&listed);
                self.listed = Some(listed);
                return changed;
            }
            Event::Apply(object) => {
                self.failed = None;
                return self.put(object.name_any(), of(object));
            }
            Event::Delete(object) => {
                self.failed = None;
                let listed = self.listed.get_or_insert_default();
                return listed.remove(&object.name_any()).is_some();
            }
        }
        false
    }

    /// Whether there is an object of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        let listed = self.listed.as_ref();
        listed.is_some_and(|listed| listed.contains_key(name))
    }

    /// Keeps one object, and says whether it is another now.
    pub(super) fn put(&mut self, name: String, new: T) -> bool {
        let listed = self.listed.get_or_insert_default();
        let changed = listed.get(&name) != Some(&new);
        listed.insert(name, new);
        changed
    }
}
