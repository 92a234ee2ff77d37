//! The laws say nothing of what the generator never makes: every reason and every branch that matters must occur.

use std::{cell::RefCell, collections::BTreeMap};

use berth_core::outcome::{Reason, Verdict, Warning};
use serde_json::{Map, Value};

use crate::{
    AFFINITY, REQUIRED, TERMS,
    case::{self, Admission, Case},
    effective_request, every_amount, hold_over, is_named,
    nodes::elements,
    table::selects_windows,
    validation::quantity,
};

/// So many cases are counted, so many must be of each reason, and so many of each branch.
const COUNTED: u32 = 20_000;
const OF_EACH_REASON: u32 = 10;
const OF_EACH_BRANCH: u32 = 20;

type Branch = (&'static str, fn(&Case, &Admission) -> bool);

/// What a case may be an example of.
const BRANCHES: &[Branch] = &[
    ("affinity is created", |case, it| {
        spec(&case.pod)["affinity"].is_null() && !spec(&it.result)["affinity"].is_null()
    }),
    (
        "nodeAffinity is created in an affinity that is there",
        |case, it| {
            let there = &spec(&case.pod)["affinity"];
            there.is_object() && there["nodeAffinity"].is_null() && adds(it, AFFINITY)
        },
    ),
    (
        "required is created in a nodeAffinity that is there",
        |case, it| case.pod.pointer(AFFINITY).is_some_and(Value::is_object) && adds(it, REQUIRED),
    ),
    ("a nodeSelector implies a pool by itself", |case, it| {
        let selects = spec(&case.pod)["nodeSelector"].is_object();
        selects && it.is_placed() && terms(&it.result).is_empty()
    }),
    ("terms are multiplied", |case, it| {
        (1..terms(&it.result).len()).contains(&terms(&case.pod).len())
    }),
    (
        "a term of several is multiplied, and another stays",
        |case, it| {
            let (before, after) = (terms(&case.pod), terms(&it.result));
            let stays = |term: &Value| {
                after.contains(term) && term.as_object().is_some_and(|it| !it.is_empty())
            };
            after.len() > before.len() && before.iter().any(stays)
        },
    ),
    ("a term is confined and another implied", |case, it| {
        let (before, after) = (terms(&case.pod), terms(&it.result));
        let same = before.iter().zip(&after).filter(|(a, b)| a == b).count();
        it.is_placed() && before.len() == after.len() && (1..before.len()).contains(&same)
    }),
    ("every term is implied", |case, it| {
        let before = terms(&case.pod);
        it.is_placed() && !before.is_empty() && before == terms(&it.result)
    }),
    ("an empty term stays beside a confined one", |case, it| {
        let empty = terms(&case.pod)
            .iter()
            .any(|term| term.as_object().is_some_and(Map::is_empty));
        empty && adds(it, TERMS)
    }),
    ("a term has matchFields alone", |case, it| {
        let alone = |term: &Value| {
            term["matchExpressions"].is_null() && elements(&term["matchFields"]).count() > 0
        };
        adds(it, TERMS) && terms(&case.pod).iter().any(alone)
    }),
    ("null or no terms are left", |case, it| {
        let required = case.pod.pointer(REQUIRED);
        it.is_placed() && required.is_some_and(Value::is_object) && terms(&case.pod).is_empty()
    }),
    ("pools are preferred", |_, it| {
        adds(it, "/spec/affinity/nodeAffinity/preferred")
    }),
    ("tolerations are created", |case, it| {
        spec(&case.pod)["tolerations"].is_null() && adds(it, "/spec/tolerations")
    }),
    ("tolerations are appended", |_, it| {
        adds(it, "/spec/tolerations/-")
    }),
    ("every taint is tolerated", |case, it| {
        let taints = it
            .pools
            .iter()
            .flat_map(|pool| elements(&case.table.pool(pool)["spec"]["taints"]));
        it.is_placed() && taints.count() > 0 && !adds(it, "/spec/tolerations")
    }),
    ("the limit is given with its parents", |_, it| {
        adds(it, "/spec/containers/0/resources")
    }),
    ("the limit is given to another than the first", |_, it| {
        adds(it, "/spec/containers/1/resources/limits")
    }),
    ("the limit is given to a native sidecar", |_, it| {
        adds(it, "/spec/initContainers/0/resources")
    }),
    ("an alias is rewritten", |_, it| operations(it, "move") > 0),
    ("an alias is rewritten in limits and requests", |_, it| {
        operations(it, "move") > 1
    }),
    ("a term is copied", |_, it| operations(it, "copy") > 0),
    ("no GPU is given", |case, it| {
        let resource = it
            .pools
            .first()
            .map(|pool| &case.table.pool(pool)["spec"]["resourceName"]);
        resource.is_some_and(|name| effective_request(&it.result, name) == 0.0)
            && it.warnings.contains(&"ZeroGpus")
    }),
    ("the zero is of a GPU that another group has", |case, it| {
        let zero = |name: &str, amount: &Value| quantity(amount) == Some(0.0) && name.contains('/');
        let of_group = |name: &str| {
            it.pools
                .iter()
                .any(|pool| is_named(case.table.pool(pool), name))
        };
        let mut zeros = every_amount(&case.pod).filter(|(name, amount)| zero(name, amount));
        it.warnings.contains(&"ZeroGpus") && zeros.all(|(name, _)| !of_group(name))
    }),
    ("an init container adds to the request", |case, it| {
        let asks = |container: &Value| container.to_string().contains("/gpu");
        it.is_placed() && elements(&spec(&case.pod)["initContainers"]).any(asks)
    }),
    ("the runtime class is given", |_, it| {
        adds(it, "/spec/runtimeClassName")
    }),
    ("env is created", |_, it| {
        adds(it, "/spec/containers/0/env") && !adds(it, "/spec/containers/0/env/-")
    }),
    ("env is appended", |_, it| {
        adds(it, "/spec/containers/0/env/-")
    }),
    ("env is given to an init container", |_, it| {
        adds(it, "/spec/initContainers/0/env")
    }),
    ("a scheduler replaces the default one", |case, it| {
        spec(&case.pod)["schedulerName"] == "default-scheduler" && adds(it, "/spec/schedulerName")
    }),
    ("a stale annotation is replaced", |case, it| {
        let stale = !case.pod["metadata"]["annotations"]["berth.dev/pool"].is_null();
        stale && adds(it, "/metadata/annotations/berth.dev~1pool")
    }),
    ("a later group is chosen", |case, it| {
        let groups = case.table.groups_of(case.class());
        it.is_placed()
            && groups[0]
                .iter()
                .all(|pool| pool["metadata"]["name"] != it.pools[0])
    }),
    ("several groups are refused", |_, it| {
        it.message
            .as_ref()
            .is_some_and(|message| message.starts_with("no pools of"))
    }),
    ("a group has several pools", |_, it| it.pools.len() > 1),
    ("a class has pools of both operating systems", |case, it| {
        let pools = case.table.pools_of(case.class());
        let windows = pools.iter().filter(|pool| selects_windows(pool)).count();
        it.is_placed() && (1..pools.len()).contains(&windows)
    }),
    ("a Pod is placed on a Windows pool", |case, it| {
        it.pools
            .iter()
            .any(|pool| selects_windows(case.table.pool(pool)))
    }),
];

#[test]
fn the_generator_makes_every_reason_every_warning_and_every_branch() {
    let counts = RefCell::new(BTreeMap::<&str, u32>::new());
    hold_over(COUNTED, case::cases(), |case| {
        let it = case.admit();
        let branches = BRANCHES
            .iter()
            .filter(|(_, is_example)| is_example(case, &it));
        let names = branches.map(|(name, _)| *name);
        let mut counts = counts.borrow_mut();
        for name in names
            .chain([it.reason.as_str()])
            .chain(it.warnings.iter().copied())
        {
            *counts.entry(name).or_default() += 1;
        }
        Ok(())
    });
    let counts = counts.into_inner();
    println!("{counts:#?}");
    // the tables of the cases have no problem; `objects` has tests of those that have
    let of_cases = |reason: &&Reason| **reason != Reason::ClassNotReady;
    let reasons = Reason::ALL
        .iter()
        .filter(of_cases)
        .filter(|reason| reason.verdict() != Verdict::Error);
    let reasons = reasons.map(|reason| (reason.as_str(), OF_EACH_REASON));
    let branches = BRANCHES.iter().map(|(name, _)| (*name, OF_EACH_BRANCH));
    let warnings = every_warning().map(|word| (word, OF_EACH_REASON));
    let rare: Vec<_> = reasons
        .chain(branches)
        .chain(warnings)
        .map(|(name, least)| (name, counts.get(name).copied().unwrap_or_default(), least))
        .filter(|(_, count, least)| count < least)
        .collect();
    assert_eq!(rare, [], "of {COUNTED} cases: name, count, least");
}

fn every_warning() -> impl Iterator<Item = &'static str> {
    let text = String::new;
    let warnings = [
        Warning::DaemonSetTemplate,
        Warning::TolerationEnds { taint: text() },
        Warning::ClaimsOnly { container: text() },
        Warning::ZeroGpus {
            container: text(),
            resource: text(),
            amount: "",
        },
        Warning::ForeignCompanion {
            resource: text(),
            vendor: "",
            pools: text(),
        },
        Warning::UnknownResource { resource: text() },
        Warning::RuntimeClassKept {
            kept: text(),
            wanted: text(),
        },
        Warning::EnvFromOverridden { container: text() },
        Warning::VisibleDevices {
            container: text(),
            has_gpu: true,
        },
        Warning::DaemonSetGpu {
            container: text(),
            resource: text(),
        },
        Warning::ForeignRuntimeClass {
            kept: text(),
            vendor: "",
            pools: text(),
            of_pools: "",
        },
        Warning::RuntimeClassEmpty,
        Warning::SchedulerKept {
            kept: text(),
            wanted: text(),
        },
        Warning::UnknownKey {
            key: text(),
            meant: None,
        },
        Warning::MoreUnknownKeys { count: 1 },
        Warning::UnknownValue {
            key: "",
            value: text(),
            known: "",
        },
        Warning::AnnotationsFull,
        Warning::More,
    ];
    warnings.into_iter().map(|warning| warning.as_str())
}

fn spec(pod: &Value) -> &Value {
    &pod["spec"]
}

fn terms(pod: &Value) -> Vec<Value> {
    pod.pointer(TERMS)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

/// Whether the patch adds something at a path that begins so.
fn adds(it: &Admission, beginning: &str) -> bool {
    let begins = |path: &Value| {
        path.as_str()
            .is_some_and(|path| path.starts_with(beginning))
    };
    let patch = it.patch.as_ref().and_then(Value::as_array);
    let mut operations = patch.into_iter().flatten();
    operations.any(|operation| operation["op"] == "add" && begins(&operation["path"]))
}

fn operations(it: &Admission, op: &str) -> usize {
    let patch = it.patch.as_ref().and_then(Value::as_array);
    patch
        .into_iter()
        .flatten()
        .filter(|operation| operation["op"] == op)
        .count()
}
