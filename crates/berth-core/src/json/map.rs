//! A JSON object whose keys are the user's: labels, annotations, amounts.

use super::{Error, Read, Reader, Text, skip::At};
use crate::shown;

/// More entries than this are sorted, to be found, and to find duplicates.
const FEW: usize = 16;

/// A JSON object with keys of the user's, in their order, each there once.
#[derive(Clone, Debug)]
pub struct Map<'a, V> {
    entries: Vec<(Text<'a>, V)>,
    /// The places of the entries in the order of their keys; nothing where they are few.
    sorted: Vec<u32>,
}

impl<V> Default for Map<'_, V> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            sorted: Vec::new(),
        }
    }
}

impl<'a, V> Map<'a, V> {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&V> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The entry of a key.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<(&str, &V)> {
        if self.sorted.is_empty() {
            return self.iter().find(|(name, _)| *name == key);
        }
        let found = self.sorted.binary_search_by(|at| self.key(*at).cmp(key));
        let at = self.sorted.get(found.ok()?)?;
        let (key, value) = self.entries.get(*at as usize)?;
        Some((key, value))
    }

    /// The entries, in the order in which they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.entries().map(|(key, value)| (&**key, value))
    }

    /// The entries with their keys as they are: borrowed from the text for as long as that lives.
    pub fn entries(&self) -> impl Iterator<Item = (&Text<'a>, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    fn key(&self, at: u32) -> &str {
        self.entries.get(at as usize).map_or("", |(key, _)| key)
    }

    /// Sorts many entries, and gives a key that is there twice.
    fn sort(&mut self) -> Option<&str> {
        if self.entries.len() > FEW {
            let count = u32::try_from(self.entries.len()).ok()?;
            let mut sorted: Vec<u32> = (0..count).collect();
            sorted.sort_unstable_by_key(|at| self.key(*at));
            self.sorted = sorted;
            let mut pairs = self.sorted.array_windows();
            let twice = pairs.find(|[a, b]| self.key(*a) == self.key(*b));
            return twice.map(|[a, _]| self.key(*a));
        }
        let repeated = |(i, (key, _)): (usize, &(Text<'a>, V))| {
            let mut earlier = self.entries.iter().take(i);
            earlier.any(|(earlier, _)| earlier == key)
        };
        self.entries
            .iter()
            .enumerate()
            .find(|entry| repeated(*entry))
            .map(|(_, (key, _))| &**key)
    }
}

impl<'a, V: Read<'a>> Read<'a> for Map<'a, V> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut map = Self::default();
        reader.object(|reader, key| {
            reader.keep()?;
            match V::read(reader) {
                Ok(value) => map.entries.push((Text(key), value)),
                Err(error) => {
                    let key = shown::name(&key);
                    return Err(error.below(format_args!("[{}]", shown::quoted(&key))));
                }
            }
            Ok(())
        })?;
        match map.sort() {
            Some(key) => Err(reader.duplicate(key).at(At::ValuesEnd)),
            None => Ok(map),
        }
    }
}
