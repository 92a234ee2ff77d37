//! What a copy has in common with what it was copied from, until one of the two changes it.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

/// A value that is copied when it is changed, if somebody else has it too.
#[derive(Debug, Default)]
pub(super) struct Shared<T>(Arc<T>);

impl<T: Clone> Shared<T> {
    /// Whether a change would copy it.
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// One that nobody else has.
    pub(super) fn copied(&self) -> Self {
        Self(Arc::new(T::clone(&self.0)))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}
