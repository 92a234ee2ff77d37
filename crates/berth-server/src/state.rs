//! What the server is at this moment: the table in force, and whether it drains.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::{ArcSwapOption, Guard};

use berth_core::table::AllocationTable;

/// Shared by all that serves and all that reloads.
#[derive(Debug, Default)]
pub struct ServerState {
    table: ArcSwapOption<AllocationTable>,
    draining: AtomicBool,
}

/// Why the server should get no traffic.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotReady {
    /// Nothing to answer from.
    #[error("no table has been loaded yet")]
    NoTable,
    /// On the way out.
    #[error("draining")]
    Draining,
}

impl ServerState {
    /// One snapshot of the table in force.
    #[must_use]
    pub fn table(&self) -> Guard<Option<Arc<AllocationTable>>> {
        self.table.load()
    }

    /// Puts a table in force, whole.
    pub fn set_table(&self, table: AllocationTable) {
        self.table.store(Some(Arc::new(table)));
    }

    /// Whether every response should send its client elsewhere.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// From now on the server drains.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server should get traffic.
    pub fn ready(&self) -> Result<(), NotReady> {
        if self.is_draining() {
            return Err(NotReady::Draining);
        }
        self.table().as_ref().map(|_| ()).ok_or(NotReady::NoTable)
    }
}
