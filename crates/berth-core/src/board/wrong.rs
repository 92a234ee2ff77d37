//! What is wrong: objects that are not in the table, and pools whose Nodes are not as they should be.

use super::{Bounded, Counted, Known};
use crate::{
    api::GPUPoolSpec,
    check::{self, Check, Hint, Outcome},
    fleet::PoolSurvey,
    objects::{Compiled, Judged, Refusal},
};

/// So much of it is shown.
const SHOWN: usize = 20;
/// So many pools are compared with the Nodes, each with every Node.
const COMPARED: usize = 50;

/// Something that somebody should look at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wrong {
    /// What it is about, or how it should be.
    pub what: String,
    /// What is there instead.
    pub found: String,
    /// Whether it does not work; else it works, and somebody should know.
    pub is_failure: bool,
    /// What to do about it.
    pub hint: Option<Hint>,
}

pub(super) fn all(known: Known<'_>, counted: Option<&Counted<'_>>) -> Bounded<Wrong> {
    let Some(compiled) = known.compiled else {
        return Bounded::default();
    };
    let pools = compiled.pools.iter();
    let pools = pools.filter_map(|it| refused("GPUPool", &it.name, it.refusal.as_ref()));
    let classes = compiled.classes.iter();
    let classes = classes.filter_map(|it| refused("WorkloadClass", &it.name, it.refusal.as_ref()));
    let of_nodes = counted.iter().flat_map(|it| of_nodes(compiled, it));
    let mut all: Vec<Wrong> = pools.chain(classes).chain(of_nodes).collect();
    all.sort_by_key(|it| !it.is_failure);
    Bounded::new(all, SHOWN, |it| it)
}

fn refused(kind: &str, name: &str, refusal: Option<&Refusal>) -> Option<Wrong> {
    Some(Wrong {
        what: format!("{kind} {name} is in the table"),
        found: refusal?.message.clone(),
        is_failure: true,
        hint: None,
    })
}

/// What `berth check` finds about the Nodes, of the pools whose counts say that there is something to find: to compare each
/// pool with each Node is too much where there are many of both.
fn of_nodes(compiled: &Compiled, counted: &Counted<'_>) -> Vec<Wrong> {
    let suspects = compiled.pools.iter().filter(|judged| {
        let survey = counted.counts.pool(&judged.name);
        let spec = judged.spec.as_ref().filter(|_| judged.refusal.is_none());
        spec.zip(survey)
            .is_some_and(|(spec, it)| is_suspect(spec, it))
    });
    let suspects: Vec<&Judged<GPUPoolSpec>> = suspects.take(COMPARED).collect();
    if suspects.is_empty() {
        return Vec::new();
    }
    let nodes = counted.fleet.seen_nodes();
    let classes = Ok(counted.fleet.device_classes().to_vec());
    let checks = suspects
        .into_iter()
        .flat_map(|it| check::pool(it, &compiled.table, &nodes, &classes));
    checks.filter_map(found).collect()
}

fn is_suspect(spec: &GPUPoolSpec, survey: &PoolSurvey) -> bool {
    let named = spec.hostnames.as_ref().map_or(1, Vec::len);
    let examples = [
        &survey.not_ready,
        &survey.cordoned,
        &survey.undeclared,
        &survey.missing,
        &survey.empty,
    ];
    (survey.nodes.matched as usize) < named || examples.iter().any(|it| it.count > 0)
}

fn found(check: Check) -> Option<Wrong> {
    let is_failure = match check.outcome {
        Outcome::Failed => true,
        Outcome::Warned => false,
        Outcome::Passed | Outcome::Skipped => return None,
    };
    Some(Wrong {
        what: check.what,
        found: check.found.unwrap_or_default(),
        is_failure,
        hint: check.hint,
    })
}
