//! The codes: what each means, how much it matters, and its page.

use std::fmt;

use crate::diagnostic::Severity;

/// One kind of diagnostic.
#[derive(Debug, Eq, PartialEq)]
pub struct Code {
    /// The stable name, `BRT001`; never used again for something else.
    pub name: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it finds, in a line.
    pub title: &'static str,
    /// Its page, in Markdown.
    pub page: &'static str,
}

/// Every code, in order.
pub const CODES: &[&Code] = &[
    &INVALID,
    &UNUSED_POOL,
    &CLOSED_CLASS,
    &IMPOSSIBLE_NODE,
    &COVERED_POOL,
    &MEMORY_BUDGET,
    &SOFT_TAINT,
    &FOREIGN_RUNTIME,
    &UNKNOWN_RESOURCE,
    &INTEL_DRIVER,
    &SHARED_PRODUCT,
    &REPLACED_HOSTNAME,
    &TENANT_LABEL,
    &UNSAID_TAINT,
    &SUPPRESSION,
    &NO_CLASS,
    &DOTTED_HOSTNAME,
    &MIXED_CLASS,
    &MISSING_NODE,
    &UNLISTED_TAINT,
    &MISSING_TAINT,
    &MISSING_GPUS,
];

macro_rules! codes {
    ($($(#[$doc:meta])* $visibility:vis $constant:ident = $name:literal, $severity:ident, $title:literal;)*) => {$(
        $(#[$doc])*
        $visibility const $constant: Code = Code {
            name: $name,
            severity: Severity::$severity,
            title: $title,
            page: include_str!(concat!("../../../../docs/lint/", $name, ".md")),
        };
    )*};
}

codes! {
    /// What makes a table invalid; not found by a check.
    pub INVALID = "BRT000", Error, "a table that does not load";
    pub(super) UNUSED_POOL = "BRT001", Warning, "a pool that no class uses";
    pub(super) CLOSED_CLASS = "BRT002", Error, "a class that no namespace can use";
    pub(super) IMPOSSIBLE_NODE = "BRT003", Error, "a node that cannot exist";
    pub(super) COVERED_POOL = "BRT004", Warning, "a pool whose nodes an earlier one of the class has all";
    pub(super) MEMORY_BUDGET = "BRT005", Error, "more GPU memory expected than there is";
    pub(super) SOFT_TAINT = "BRT006", Warning, "a taint that needs no toleration";
    pub(super) FOREIGN_RUNTIME = "BRT007", Error, "another vendor's runtime class";
    pub(super) UNKNOWN_RESOURCE = "BRT008", Warning, "a resource that no known device plugin advertises";
    pub(super) INTEL_DRIVER = "BRT009", Warning, "one of Intel's two resource names without the other";
    pub(super) SHARED_PRODUCT = "BRT010", Error, "a product label that a shared GPU does not have";
    pub(super) REPLACED_HOSTNAME = "BRT011", Warning, "the hostname of a node that an autoscaler replaces";
    pub(super) TENANT_LABEL = "BRT012", Warning, "namespaces chosen by a label that tenants may set";
    pub(super) UNSAID_TAINT = "BRT013", Warning, "a taint of a node that one of its pools leaves out";
    /// A comment that should suppress a diagnostic and does not; not found by a check.
    pub SUPPRESSION = "BRT014", Warning, "a suppression that suppresses nothing";
    /// A table that denies every Pod; not found by a check, since no object may be there to be about.
    pub(super) NO_CLASS = "BRT015", Warning, "a table without a class";
    pub(super) DOTTED_HOSTNAME = "BRT016", Warning, "a hostname with a dot";
    pub(super) MIXED_CLASS = "BRT017", Warning, "a class of hostnames and of nodes that Karpenter adds";
    pub(super) MISSING_NODE = "BRT018", Warning, "a pool without a Node, or a hostname that no Node has";
    pub(super) UNLISTED_TAINT = "BRT019", Warning, "a taint of a Node that its pool does not list";
    pub(super) MISSING_TAINT = "BRT020", Warning, "a taint of a pool that a Node of it does not have";
    pub(super) MISSING_GPUS = "BRT021", Warning, "a Node without the resource of its pool";
}

impl Code {
    /// The code of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        CODES.iter().copied().find(|code| code.name == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::CHECKS;

    #[test]
    fn the_codes_are_the_checks_in_order_and_three_more() {
        let names: Vec<&str> = CODES.iter().map(|code| code.name).collect();
        assert!(names.is_sorted_by(|one, next| one < next));
        let checks: Vec<&str> = CHECKS.iter().map(|check| check.0.name).collect();
        let found_otherwise = [INVALID.name, SUPPRESSION.name, NO_CLASS.name];
        let expected: Vec<&str> = names
            .into_iter()
            .filter(|name| !found_otherwise.contains(name))
            .collect();
        assert_eq!(checks, expected);
    }
}
