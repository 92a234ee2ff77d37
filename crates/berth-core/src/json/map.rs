//! A JSON object whose keys are the user's: labels, annotations, amounts.

use super::{Error, Problem, Read, Reader, Text};

/// More entries than this are searched for duplicates by sorting.
const FEW: usize = 16;

/// A JSON object with keys of the user's, in their order, each there once.
#[derive(Clone, Debug)]
pub struct Map<'a, V>(Vec<(Text<'a>, V)>);

impl<V> Default for Map<'_, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, V> Map<'a, V> {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&V> {
        self.iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    /// The entries, in the order in which they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.entries().map(|(key, value)| (&**key, value))
    }

    /// The entries with their keys as they are: borrowed from the text for as long as that lives.
    pub fn entries(&self) -> impl Iterator<Item = (&Text<'a>, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    fn duplicate(&self) -> Option<&str> {
        if self.0.len() > FEW {
            let mut keys: Vec<&str> = self.iter().map(|(key, _)| key).collect();
            keys.sort_unstable();
            return keys.array_windows().find(|[a, b]| a == b).map(|[a, _]| *a);
        }
        let repeated = |(i, (key, _)): (usize, &(Text<'a>, V))| {
            self.0.iter().take(i).any(|(earlier, _)| earlier == key)
        };
        self.0
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
            match V::read(reader) {
                Ok(value) => map.0.push((Text(key), value)),
                Err(error) => {
                    return Err(error.below(format_args!("[{}]", crate::shown::quoted(&key))));
                }
            }
            Ok(())
        })?;
        match map.duplicate() {
            Some(key) => Err(reader.error(Problem::Duplicate(key.to_owned()))),
            None => Ok(map),
        }
    }
}
