//! Validation (stand-in until merge)
use super::{
    api::{GPUPool, WorkloadClass},
    manifest::{Document, Manifest, Problem},
};
/// valid
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct Valid<'a> {
    pub pools: Vec<&'a GPUPool>,
    pub classes: Vec<&'a WorkloadClass>,
}
/// validate
#[must_use]
pub fn validate(documents: &[Document]) -> (Valid<'_>, Vec<Problem>) {
    let mut v = Valid::default();
    for d in documents {
        match &d.manifest {
            Manifest::Pool(p) => v.pools.push(p),
            Manifest::Class(c) => v.classes.push(c),
        }
    }
    v.pools
        .sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    v.classes
        .sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    (v, Vec::new())
}
