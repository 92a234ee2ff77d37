//! The labels of namespaces, as far as they are known.

use std::collections::{BTreeMap, HashMap};

use crate::names::NAMESPACE_NAME_LABEL;

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// The labels of namespaces, by the namespace's name.
#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    labels: HashMap<String, Labels>,
    /// Whether a namespace that is not among them is new, and will be.
    is_all: bool,
}

/// A namespace as far as it is known: its name is a label of its own.
#[derive(Clone, Copy, Debug)]
pub struct Namespace<'v> {
    name: &'v str,
    labels: Option<&'v Labels>,
    is_new: bool,
}

impl Namespaces {
    /// The namespaces given, each with its labels.
    pub fn new(namespaces: impl IntoIterator<Item = (String, Labels)>) -> Self {
        Self {
            labels: namespaces.into_iter().collect(),
            is_all: false,
        }
    }

    /// Every namespace of a cluster, as a watch shows them: one that is not among them has just been made.
    pub fn all(namespaces: impl IntoIterator<Item = (String, Labels)>) -> Self {
        Self {
            is_all: true,
            ..Self::new(namespaces)
        }
    }

    /// The names of those whose labels are known, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.labels.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// A namespace by its name, which is all that is known of some.
    #[must_use]
    pub fn of_name<'v>(&'v self, name: &'v str) -> Namespace<'v> {
        let labels = self.labels.get(name);
        Namespace {
            name,
            labels,
            is_new: self.is_all && labels.is_none(),
        }
    }
}

impl<'v> Namespace<'v> {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'v str {
        self.name
    }

    /// Whether it is too new to be seen, so that its labels will be known in a moment.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
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
