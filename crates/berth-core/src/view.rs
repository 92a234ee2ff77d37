//! What an answer depends on besides the review: all that berth knows, as it stands at one moment.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{free_gpus::FreeGpus, names::NAMESPACE_NAME_LABEL, table::AllocationTable};

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// The view that a review is answered from, replaced whole. Its parts change at different paces, so each is shared by the
/// views that have it in common.
#[derive(Clone, Debug)]
pub struct View {
    /// The classes and their pools.
    pub table: Arc<AllocationTable>,
    /// Free GPUs; without any, nothing is known and every pool has room.
    pub free: Arc<FreeGpus>,
    /// The labels of the namespaces that are known.
    pub namespaces: Arc<Namespaces>,
    /// The Nodes that are known.
    pub nodes: Arc<Nodes>,
}

/// The labels of namespaces, by the namespace's name.
#[derive(Clone, Debug, Default)]
pub struct Namespaces(HashMap<String, Labels>);

/// The labels of Nodes, by the Node's name.
#[derive(Clone, Debug, Default)]
pub struct Nodes(HashMap<String, Labels>);

/// A namespace as far as it is known: its name is a label of its own.
#[derive(Clone, Copy, Debug)]
pub struct Namespace<'v> {
    name: &'v str,
    labels: Option<&'v Labels>,
}

/// What a table from files knows: no namespace's labels, no Node, and of no pool how full it is.
impl From<AllocationTable> for View {
    fn from(table: AllocationTable) -> Self {
        Self {
            table: Arc::new(table),
            free: Arc::default(),
            namespaces: Arc::default(),
            nodes: Arc::default(),
        }
    }
}

impl View {
    /// The same view with other counts of free GPUs.
    #[must_use]
    pub fn with_free(self, free: FreeGpus) -> Self {
        let free = Arc::new(free);
        Self { free, ..self }
    }

    /// The same view with the labels of these namespaces.
    #[must_use]
    pub fn with_namespaces(self, namespaces: Namespaces) -> Self {
        let namespaces = Arc::new(namespaces);
        Self { namespaces, ..self }
    }

    /// The same view with these Nodes.
    #[must_use]
    pub fn with_nodes(self, nodes: Nodes) -> Self {
        let nodes = Arc::new(nodes);
        Self { nodes, ..self }
    }

    /// A namespace by its name.
    #[must_use]
    pub fn namespace<'v>(&'v self, name: &'v str) -> Namespace<'v> {
        let labels = self.namespaces.0.get(name);
        Namespace { name, labels }
    }
}

impl Namespaces {
    /// The namespaces given, each with its labels.
    pub fn new(namespaces: impl IntoIterator<Item = (String, Labels)>) -> Self {
        Self(namespaces.into_iter().collect())
    }
}

impl Nodes {
    /// The Nodes given, each with its labels.
    pub fn new(nodes: impl IntoIterator<Item = (String, Labels)>) -> Self {
        Self(nodes.into_iter().collect())
    }

    /// The labels of a Node that is known.
    #[must_use]
    pub fn labels(&self, name: &str) -> Option<&Labels> {
        self.0.get(name)
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
