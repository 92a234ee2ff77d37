//! What is suspicious in a table that loads: findings with stable codes, for `berth lint`.
//!
//! A check is a function of the manifests; [`CHECKS`] lists them all.

use super::{
    api::{GPUPool, WorkloadClass},
    manifest::{Document, Manifest},
};

mod checks;

pub use checks::CHECKS;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Works, and is probably not meant.
    Warning,
    /// Cannot work as written.
    Error,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One kind of finding.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// The stable code, `BRT001`; never used again for something else.
    pub code: &'static str,
    /// The severity.
    pub severity: Severity,
    /// What it finds, in a line.
    pub title: &'static str,
    run: fn(&Manifests<'_>) -> Vec<Finding>,
}

/// Something that a check found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The check's code.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The [`Document::origin`] of the object.
    pub origin: usize,
    /// The field, as `spec.resourceName`.
    pub field: String,
    /// What is suspicious: names the value.
    pub message: String,
    /// What to change.
    pub help: String,
}

/// The manifests by kind, with their origins.
#[derive(Debug, Default)]
struct Manifests<'m> {
    pools: Vec<(usize, &'m GPUPool)>,
    classes: Vec<(usize, &'m WorkloadClass)>,
}

/// Every finding, by the order of the documents, then by code.
#[must_use]
pub fn lint(documents: &[Document]) -> Vec<Finding> {
    let mut manifests = Manifests::default();
    for document in documents {
        match &document.manifest {
            Manifest::Pool(pool) => manifests.pools.push((document.origin, pool)),
            Manifest::Class(class) => manifests.classes.push((document.origin, class)),
        }
    }
    let mut findings: Vec<Finding> = CHECKS
        .iter()
        .flat_map(|check| check.findings(&manifests))
        .collect();
    findings.sort_by_key(|finding| finding.origin);
    findings
}

impl Check {
    fn findings(&self, manifests: &Manifests<'_>) -> Vec<Finding> {
        let mut findings = (self.run)(manifests);
        for finding in &mut findings {
            (finding.code, finding.severity) = (self.code, self.severity);
        }
        findings
    }
}

impl Finding {
    /// A finding whose code and severity its check fills in.
    fn new(
        origin: usize,
        field: impl Into<String>,
        message: String,
        help: impl Into<String>,
    ) -> Self {
        let (field, help) = (field.into(), help.into());
        Self {
            code: "",
            severity: Severity::Warning,
            origin,
            field,
            message,
            help,
        }
    }
}

impl<'m> Manifests<'m> {
    /// The pools of a class, with their place in its list.
    fn pools_of(&self, class: &'m WorkloadClass) -> impl Iterator<Item = (usize, &'m GPUPool)> {
        let named = |name: &str| {
            self.pools
                .iter()
                .find(|(_, pool)| name_of(pool) == name)
                .map(|(_, pool)| *pool)
        };
        class
            .spec
            .pools
            .iter()
            .enumerate()
            .filter_map(move |(i, pool)| named(&pool.name).map(|pool| (i, pool)))
    }
}

fn name_of(pool: &GPUPool) -> &str {
    pool.metadata.name.as_deref().unwrap_or_default()
}
