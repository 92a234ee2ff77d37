//! What an answer depends on besides the review: all that berth knows, as it stands at one moment.

use std::sync::Arc;

use crate::{
    free_gpus::FreeGpus,
    labels::{Namespace, Namespaces, Nodes},
    table::AllocationTable,
};

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
        self.namespaces.of_name(name)
    }
}
