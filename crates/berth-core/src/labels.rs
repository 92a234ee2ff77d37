//! The labels of namespaces, as far as they are known.

use std::collections::{BTreeMap, HashMap};

use crate::names::NAMESPACE_NAME_LABEL;

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// The labels of namespaces, by the namespace's name.
#[derive(Clone, Debug, Default)]
pub struct Namespaces(HashMap<String, Labels>);

/// A namespace as far as it is known: its name is a label of its own.
#[derive(Clone, Copy, Debug)]
pub struct Namespace<'v> {
    name: &'v str,
    labels: Option<&'v Labels>,
}

impl Namespaces {
    /// The namespaces given, each with its labels.
    pub fn new(namespaces: impl IntoIterator<Item = (String, Labels)>) -> Self {
        Self(namespaces.into_iter().collect())
    }

    /// A namespace by its name, which is all that is known of some.
    #[must_use]
    pub fn of_name<'v>(&'v self, name: &'v str) -> Namespace<'v> {
        let labels = self.0.get(name);
        Namespace { name, labels }
    }
}

impl<'v> Namespace<'v> {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'v str {
        self.name
    }

    /// The value of one of its labels.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&'v str> {
        if key == NAMESPACE_NAME_LABEL {
            return Some(self.name);
        }
        self.labels?.get(key).map(String::as_str)
    }
}
