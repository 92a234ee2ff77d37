//! The allocation table: both manifests, compiled, immutable, replaced whole.
