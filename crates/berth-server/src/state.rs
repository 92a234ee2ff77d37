//! What the server is at this moment: the view in force, and whether it drains.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::{ArcSwapOption, Guard};

use berth_core::view::View;

/// Shared by all that serves and all that reloads.
#[derive(Debug, Default)]
pub struct ServerState {
    view: ArcSwapOption<View>,
    draining: AtomicBool,
}

/// Why the server should get no traffic.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotReady {
    /// Nothing to answer from.
    #[error("no table has been loaded yet")]
    NoTable,
    /// SIGTERM has come: new clients should go to another replica.
    #[error("draining")]
    Draining,
}

impl ServerState {
    /// One snapshot of the view in force.
    #[must_use]
    pub fn view(&self) -> Guard<Option<Arc<View>>> {
        self.view.load()
    }

    /// Puts a view in force, whole.
    pub fn set_view(&self, view: View) {
        self.view.store(Some(Arc::new(view)));
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
        self.view().as_ref().map(|_| ()).ok_or(NotReady::NoTable)
    }
}
