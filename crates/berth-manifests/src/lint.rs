//! What is suspicious in a table that loads, with stable codes, for `berth lint`.
//!
//! A check is a function of the manifests; `CHECKS` lists them all, and each group of them has a file with its table
//! of cases.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use berth_core::{
    api::{GPUPool, WorkloadClass},
    field,
    manifest::{Cause, Document, Manifest, Problem},
    names::HOSTNAME_LABEL,
    selector::{Operator, Requirement, Selector},
};

mod code;
mod karpenter;
mod nodes;
mod reach;
mod report;
mod resources;
mod seen;
mod sharing;
mod suppression;
mod taints;

pub(crate) use taints::is_kubernetes_own;

pub use code::{CODES, Code, INVALID, SUPPRESSION};
pub use report::{Report, Suppressed, lint_objects};
pub use seen::Seen;

/// Every check, in the order of the codes.
const CHECKS: &[Check] = &[
    Check(&code::UNUSED_POOL, reach::unused_pool),
    Check(&code::CLOSED_CLASS, reach::closed_class),
    Check(&code::IMPOSSIBLE_NODE, nodes::impossible_node),
    Check(&code::COVERED_POOL, reach::covered_pool),
    Check(&code::MEMORY_BUDGET, sharing::memory_budget),
    Check(&code::SOFT_TAINT, taints::soft_taint),
    Check(&code::FOREIGN_RUNTIME, resources::foreign_runtime),
    Check(&code::UNKNOWN_RESOURCE, resources::unknown_resource),
    Check(&code::INTEL_DRIVER, resources::intel_driver),
    Check(&code::SHARED_PRODUCT, sharing::shared_product),
    Check(&code::REPLACED_HOSTNAME, nodes::replaced_hostname),
    Check(&code::TENANT_LABEL, reach::tenant_label),
    Check(&code::UNSAID_TAINT, taints::unsaid_taint),
    Check(&code::DOTTED_HOSTNAME, nodes::dotted_hostname),
    Check(&code::MIXED_CLASS, karpenter::mixed_class),
    Check(&code::MISSING_NODE, seen::missing_node),
    Check(&code::UNLISTED_TAINT, seen::unlisted_taint),
    Check(&code::MISSING_TAINT, seen::missing_taint),
    Check(&code::MISSING_GPUS, seen::missing_gpus),
];

/// A code, and the function that finds it.
struct Check(&'static Code, fn(&Manifests<'_>, &mut Found));

/// The manifests by kind, with their origins.
#[derive(Debug, Default)]
struct Manifests<'m> {
    pools: Vec<(usize, &'m GPUPool)>,
    classes: Vec<(usize, &'m WorkloadClass)>,
    pools_by_name: BTreeMap<&'m str, &'m GPUPool>,
    seen: Option<&'m Seen>,
}

/// The problems that one check finds.
#[derive(Default)]
struct Found(Vec<Problem>);

/// Every problem with its code, by the order of the documents, then by code. The documents need not be valid: what makes
/// them invalid is not said again. They are held against what was seen of a cluster, if anything was.
#[must_use]
pub fn lint(documents: &[Document], seen: Option<&Seen>) -> Vec<(&'static Code, Problem)> {
    let manifests = Manifests {
        seen,
        ..Manifests::of(documents)
    };
    let run = |Check(code, check): &'static Check| {
        let mut found = Found::default();
        check(&manifests, &mut found);
        found.0.into_iter().map(|problem| (*code, problem))
    };
    let mut problems: Vec<_> = CHECKS.iter().flat_map(run).collect();
    problems.sort_by_key(|(_, problem)| problem.origin);
    problems
}

impl Found {
    fn add(
        &mut self,
        origin: usize,
        field: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.0.push(Problem {
            origin,
            cause: Cause::default(),
            field: field.into(),
            message: message.into(),
            help: help.into(),
        });
    }
}

impl<'m> Manifests<'m> {
    fn of(documents: &'m [Document]) -> Self {
        let mut manifests = Self::default();
        for document in documents {
            match &document.manifest {
                Manifest::Pool(pool) => {
                    manifests.pools.push((document.origin, pool));
                    manifests.pools_by_name.insert(name_of(pool), pool);
                }
                Manifest::Class(class) => manifests.classes.push((document.origin, class)),
            }
        }
        manifests
    }

    /// The pools of a class, with their place in its list.
    fn pools_of(&self, class: &WorkloadClass) -> Vec<(usize, &'m GPUPool)> {
        let pools = class.spec.pools.iter().enumerate();
        let known = |(i, pool): (usize, &berth_core::api::PoolReference)| {
            Some((i, *self.pools_by_name.get(pool.name.as_str())?))
        };
        pools.filter_map(known).collect()
    }
}

fn name_of(pool: &GPUPool) -> &str {
    pool.metadata.name.as_deref().unwrap_or_default()
}

/// The requirements of a selector, each with its field below `field`; none where it is invalid to Kubernetes.
fn requirements(field: &str, selector: Option<&LabelSelector>) -> Vec<(String, Requirement)> {
    let Some((selector, Ok(requirements))) =
        selector.map(|selector| (selector, Selector::new(selector)))
    else {
        return Vec::new();
    };
    let labels = selector.match_labels.iter().flatten();
    let labels = labels.map(|(key, _)| field::entry(&format!("{field}.matchLabels"), key));
    let expressions = (0..).map(|i| format!("{field}.matchExpressions[{i}]"));
    labels
        .chain(expressions)
        .zip(requirements.into_requirements())
        .collect()
}

/// What a pool's nodes must all be, with the field that says so.
fn node_requirements(pool: &GPUPool) -> Vec<(String, Requirement)> {
    let spec = &pool.spec;
    match &spec.hostnames {
        Some(hostnames) => {
            let requirement = Requirement {
                key: HOSTNAME_LABEL.to_owned(),
                operator: Operator::In,
                values: hostnames.clone(),
            };
            vec![("spec.hostnames".to_owned(), requirement)]
        }
        None => requirements("spec.nodeSelector", spec.node_selector.as_ref()),
    }
}

#[cfg(test)]
mod testing {
    use serde_json::Value;

    use super::{Code, lint};
    use berth_core::{manifest::Document, testing};

    /// A pool whose class uses it, so that nothing is to be said of either.
    pub(super) fn used_pool(spec: Value) -> Vec<Document> {
        vec![
            testing::pool("p", spec),
            testing::class("c", &["p"], serde_json::json!({})),
        ]
    }

    /// The problems of one code: the field, and the message with the help.
    pub(super) fn problems(code: &Code, documents: &[Document]) -> Vec<(String, String)> {
        let found = lint(documents, None)
            .into_iter()
            .filter(|(of, _)| *of == code);
        found
            .map(|(_, problem)| {
                (
                    problem.field,
                    format!("{}; {}", problem.message, problem.help),
                )
            })
            .collect()
    }

    /// Whether the code fires once, on this field, or not at all.
    pub(super) fn fires(code: &Code, documents: &[Document], expected: Option<&str>) {
        let found = problems(code, documents);
        let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(
            fields,
            expected.into_iter().collect::<Vec<_>>(),
            "{documents:#?}"
        );
    }
}
