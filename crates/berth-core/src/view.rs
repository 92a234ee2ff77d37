//! What an answer depends on besides the review: all that berth knows, as it stands at one moment.

use std::sync::Arc;

use crate::{
    labels::{Namespace, Namespaces},
    live::{Live, NothingKnown},
    table::AllocationTable,
};

/// The view that a review is answered from, replaced whole. Its parts change at different paces, so each is shared by the
/// views that have it in common.
#[derive(Clone, Debug)]
pub struct View {
    /// The classes and their pools.
    pub table: Arc<AllocationTable>,
    /// The labels of the namespaces that are known.
    pub namespaces: Arc<Namespaces>,
    /// The Nodes, and how full they are. It changes at every Pod, and is asked seldom: by the choice between the groups
    /// of a class, and for a Pod with `nodeName`.
    pub live: Arc<dyn Live>,
}

/// What a table from files knows: no namespace's labels, no Node, and of no pool how full it is.
impl From<AllocationTable> for View {
    fn from(table: AllocationTable) -> Self {
        Arc::new(table).into()
    }
}

/// The same, of a table that others have, too.
impl From<Arc<AllocationTable>> for View {
    fn from(table: Arc<AllocationTable>) -> Self {
        Self {
            table,
            namespaces: Arc::default(),
            live: Arc::new(NothingKnown),
        }
    }
}

impl View {
    /// The same view with another picture of the cluster.
    #[must_use]
    pub fn with_live(self, live: Arc<dyn Live>) -> Self {
        Self { live, ..self }
    }

    /// The same view with the labels of these namespaces.
    #[must_use]
    pub fn with_namespaces(self, namespaces: Namespaces) -> Self {
        let namespaces = Arc::new(namespaces);
        Self { namespaces, ..self }
    }

    /// A namespace by its name.
    #[must_use]
    pub fn namespace<'v>(&'v self, name: &'v str) -> Namespace<'v> {
        self.namespaces.of_name(name)
    }
}
