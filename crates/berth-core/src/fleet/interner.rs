//! Values that many have in common, kept once and named by a number, as long as somebody uses them.

use std::{collections::HashMap, hash::Hash, sync::Arc};

/// The number of no value.
pub(super) const NONE: u32 = u32::MAX;

/// Values by number, each with the count of its users.
#[derive(Debug)]
pub(super) struct Interner<T: ?Sized> {
    slots: Vec<Option<(Arc<T>, u32)>>,
    ids: HashMap<Arc<T>, u32>,
    /// Numbers that are free again.
    vacant: Vec<u32>,
}

impl<T: ?Sized> Default for Interner<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            ids: HashMap::new(),
            vacant: Vec::new(),
        }
    }
}

impl<T: ?Sized> Clone for Interner<T> {
    fn clone(&self) -> Self {
        Self {
            slots: self.slots.clone(),
            ids: self.ids.clone(),
            vacant: self.vacant.clone(),
        }
    }
}

impl<T: ?Sized + Eq + Hash> Interner<T> {
    /// The number of a value, which has one more user now; and whether it is new.
    pub(super) fn acquire(&mut self, value: &T, make: impl FnOnce() -> Arc<T>) -> (u32, bool) {
        if let Some(&id) = self.ids.get(value) {
            if let Some(Some((_, users))) = self.slots.get_mut(id as usize) {
                *users += 1;
            }
            return (id, false);
        }
        let value = make();
        let slot = Some((Arc::clone(&value), 1));
        let id = if let Some(id) = self.vacant.pop() {
            if let Some(vacant) = self.slots.get_mut(id as usize) {
                *vacant = slot;
            }
            id
        } else {
            self.slots.push(slot);
            u32::try_from(self.slots.len() - 1).expect("fewer values than numbers")
        };
        self.ids.insert(value, id);
        (id, true)
    }

    /// One user less; gives the value back if that was the last.
    pub(super) fn release(&mut self, id: u32) -> Option<Arc<T>> {
        let slot = self.slots.get_mut(id as usize)?;
        let (value, users) = slot.as_mut()?;
        *users -= 1;
        if *users > 0 {
            return None;
        }
        self.ids.remove(&**value);
        self.vacant.push(id);
        slot.take().map(|(value, _)| value)
    }

    /// The value of a number.
    pub(super) fn get(&self, id: u32) -> Option<&T> {
        let slot = self.slots.get(id as usize)?;
        slot.as_ref().map(|(value, _)| &**value)
    }

    /// The number of a value that somebody uses.
    pub(super) fn find(&self, value: &T) -> Option<u32> {
        self.ids.get(value).copied()
    }

    /// Every value with its number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.ids.iter().map(|(value, id)| (*id, &**value))
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

impl Interner<str> {
    /// The number of a text, which has one more user now.
    pub(super) fn name(&mut self, text: &str) -> u32 {
        self.acquire(text, || Arc::from(text)).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_once_and_as_long_as_somebody_uses_it() {
        let mut names = Interner::<str>::default();
        let (a, b) = (names.name("a"), names.name("b"));
        assert_eq!(names.name("a"), a);
        assert_eq!(names.release(a), None);
        assert_eq!(names.get(a), Some("a"));
        assert_eq!(names.release(a).as_deref(), Some("a"));
        assert_eq!(
            (names.get(a), names.find("a"), names.len()),
            (None, None, 1)
        );
        assert_eq!(names.name("c"), a, "a number is used again");
        assert_eq!(names.get(b), Some("b"));
    }
}
