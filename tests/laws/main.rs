//! The five laws of the placement rules, as properties over generated Pods and tables.
//!
//! 10,000 cases each; `BERTH_CASES` sets another number. The cases are the same on every run, so that nothing fails by
//! chance; `BERTH_SEED` sets another seed, a number or `random`, and a failure prints the seed with the smallest case
//! found.

use std::{collections::BTreeMap, env, hash::BuildHasher};

use proptest::{
    prelude::{ProptestConfig, Strategy, TestCaseError},
    prop_assert, prop_assert_eq,
    test_runner::{RngAlgorithm, RngSeed, TestRunner},
};
use serde_json::Value;

use berth_core::outcome::Reason;

use case::{Case, admit};
use json_text::Style;
use keeps::{Renaming, keeps};
use nodes::Nodes;
use table::selects_windows;
use validation::{quantity, validate};
use words::OS;

mod adopted;
mod api_server;
mod case;
mod census;
mod choice;
#[path = "../common/mod.rs"]
mod common;
mod draw;

mod fuzz;
mod json_text;
mod keeps;
mod live;
mod nodes;
mod pod;
mod profile;
mod sizes;
mod table;
mod validation;
mod words;

/// The seed, unless `BERTH_SEED` says otherwise.
const SEED: u64 = 29;
/// The number of cases, unless `BERTH_CASES` says otherwise.
const CASES: u32 = 10_000;

/// Where a Pod's node affinity stands, as JSON Pointers.
const AFFINITY: &str = "/spec/affinity/nodeAffinity";
const REQUIRED: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
const TERMS: &str =
    "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";

type Held = Result<(), TestCaseError>;

#[test]
fn law_1_the_patch_applies_and_the_result_is_as_valid_as_the_original() {
    hold(|case| {
        let admission = case.admit();
        if let (true, Ok(())) = (admission.is_placed(), validate(&case.pod)) {
            prop_assert_eq!(
                validate(&admission.result),
                Ok(()),
                "{:#}",
                admission.result
            );
        }
        prop_assert_eq!(
            admission.patch.is_some(),
            admission.reason == Reason::Placed
        );
        Ok(())
    });
}

#[test]
fn law_2_the_result_is_admitted_again_without_a_patch_whatever_is_free() {
    hold(|case| {
        let first = case.admit();
        if !first.is_allowed() {
            return Ok(());
        }
        let again = case.body_of(&first.result, Style::new(0));
        let nothing_known = case.view_of(case.rotation, BTreeMap::new());
        for view in [case.view(1), case.view(0), nothing_known] {
            let second = admit(&again, &view);
            prop_assert_eq!(second.message, None, "{:#}", first.result);
            prop_assert_eq!(second.patch, None, "{:#}", first.result);
            prop_assert_eq!(&second.pools, &first.pools);
        }
        Ok(())
    });
}

#[test]
fn law_3_the_result_runs_on_the_originals_nodes_within_the_chosen_pools() {
    hold(|case| {
        let admission = case.admit();
        let before = case.nodes_of_pod(&case.pod);
        if admission.is_placed() {
            let pools = admission.pools.iter().map(|pool| case.table.pool(pool));
            let pools: Vec<&Value> = pools.collect();
            let of_group = of_pools(&pools);
            let after = case.nodes_of_pod(&admission.result);
            prop_assert!(
                after == before.and(&of_group),
                "{} of the Pod's {} nodes are the group's, and {} are left by {:#}",
                before.and(&of_group).count(),
                before.count(),
                after.count(),
                admission.result
            );
            tolerates_its_nodes(&admission.result, &after, &pools)?;
        }
        if let Some(message) = &admission.message {
            excludes_only_what_cannot_be(case, &before, message)?;
        }
        Ok(())
    });
}

#[test]
fn law_4_what_the_author_wrote_stays_and_only_what_the_rules_add_appears() {
    hold(|case| {
        let admission = case.admit();
        let renaming = admission
            .pools
            .first()
            .map(|pool| renaming(case.table.pool(pool)));
        if let Some(renaming) = renaming {
            prop_assert_eq!(
                keeps(&case.pod, &admission.result, &renaming),
                Ok(()),
                "{:#}",
                admission.result
            );
        } else {
            prop_assert_eq!(&admission.result, &case.pod);
        }
        Ok(())
    });
}

#[test]
fn law_5_the_same_bytes_and_table_get_the_same_answer_dry_run_or_not() {
    hold(|case| {
        let body = case.body();
        let first = admit(&body, &case.view(0));
        let reordered = case.view_of(case.rotation, case.free[0].clone());
        prop_assert_eq!(&admit(&body, &reordered).text(), &first.text());
        let [wet, dry] = [false, true].map(|dry| {
            let mut case = case.clone();
            case.request["dryRun"] = dry.into();
            case.admit_plain().text()
        });
        prop_assert_eq!(wet, dry);
        Ok(())
    });
}

#[test]
fn another_spelling_of_the_same_review_gets_the_same_patch() {
    hold(|case| {
        let (one, other) = (case.admit(), case.admit_plain());
        prop_assert_eq!(one.is_allowed(), other.is_allowed());
        prop_assert_eq!(one.result, other.result);
        Ok(())
    });
}

#[test]
fn a_placed_pod_asks_for_the_groups_resource_alone_and_within_the_maximum() {
    hold(|case| {
        let admission = case.admit();
        if !admission.is_placed() {
            return Ok(());
        }
        let class = case.table.class(case.class());
        let ours = case.table.pool(&admission.pools[0])["spec"]["resourceName"].clone();
        let every_name = case.table.every_gpu();
        for (name, amount) in every_amount(&admission.result) {
            let asks = quantity(amount).is_some_and(|amount| amount > 0.0);
            let foreign = asks && ours != **name && every_name.contains(&name.as_str());
            prop_assert!(!foreign, "{name} is not {ours}: {:#}", admission.result);
        }
        let gpus = effective_request(&admission.result, &ours);
        let gpus_of_class = &class["spec"]["gpus"];
        let default = gpus_of_class["default"].as_f64().unwrap_or(1.0);
        let max = gpus_of_class["max"].as_f64().unwrap_or(default);
        prop_assert!(gpus <= max, "{gpus} of {max}: {:#}", admission.result);
        Ok(())
    });
}

#[test]
fn a_pod_is_placed_on_pools_of_its_operating_system_alone() {
    hold(|case| {
        let admission = case.admit();
        for pool in &admission.pools {
            let pool = case.table.pool(pool);
            prop_assert_eq!(
                selects_windows(pool),
                is_windows(&case.pod),
                "{:#}",
                case.pod
            );
        }
        Ok(())
    });
}

/// Whether a Pod says in one of three ways that it runs on Windows.
fn is_windows(pod: &Value) -> bool {
    let spec = &pod["spec"];
    let selects = |expression: &Value| {
        let mut values = nodes::elements(&expression["values"]).peekable();
        expression["key"] == OS
            && expression["operator"] == "In"
            && values.peek().is_some()
            && values.all(|value| value == "windows")
    };
    let is_empty = |term: &&Value| {
        let lists = ["matchExpressions", "matchFields"];
        let mut entries = lists.iter().flat_map(|list| nodes::elements(&term[list]));
        entries.next().is_none()
    };
    let terms = pod.pointer(TERMS).unwrap_or(&Value::Null);
    let mut terms = nodes::elements(terms)
        .filter(|term| !is_empty(term))
        .peekable();
    spec["os"]["name"] == "windows"
        || spec["nodeSelector"][OS] == "windows"
        || (terms.peek().is_some()
            && terms.all(|term| nodes::elements(&term["matchExpressions"]).any(selects)))
}

#[test]
fn a_zero_of_any_gpu_of_the_class_where_nothing_asks_keeps_every_gpu_away() {
    hold(|case| {
        let admission = case.admit();
        let pools = case.table.pools_of(case.class());
        let of_class = |name: &str| pools.iter().any(|pool| is_named(pool, name));
        let says = |container: &Value, holds: fn(f64) -> bool| {
            let resources = &container["resources"];
            let lists = [&resources["limits"], &resources["requests"]];
            let mut amounts = lists.into_iter().filter_map(Value::as_object).flatten();
            amounts.any(|(name, amount)| of_class(name) && quantity(amount).is_some_and(holds))
        };
        let all =
            || containers(&case.pod, "containers").chain(containers(&case.pod, "initContainers"));
        let asks = all().any(|container| says(container, |amount| amount > 0.0));
        let zeros = all().all(|container| says(container, |amount| amount == 0.0));
        if admission.is_placed() && !asks && zeros {
            for field in ["containers", "initContainers", "runtimeClassName"] {
                prop_assert_eq!(&admission.result["spec"][field], &case.pod["spec"][field]);
            }
        }
        Ok(())
    });
}

/// Runs a law over every case, and fails with the smallest one that breaks it.
fn hold(law: impl Fn(&Case) -> Held) {
    hold_over(cases(), case::cases(), law);
}

fn hold_over<S: Strategy>(cases: u32, strategy: S, law: impl Fn(&S::Value) -> Held) {
    let seed = seed();
    let held = TestRunner::new(config(cases, seed)).run(&strategy, |case| law(&case));
    let failure = held.err().map(|failure| failure.to_string());
    assert!(
        failure.is_none(),
        "BERTH_SEED={seed}: {}",
        failure.unwrap_or_default()
    );
}

fn config(cases: u32, seed: u64) -> ProptestConfig {
    ProptestConfig {
        cases,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(seed),
        ..ProptestConfig::default()
    }
}

fn cases() -> u32 {
    number("BERTH_CASES").unwrap_or(CASES)
}

fn seed() -> u64 {
    match env::var("BERTH_SEED").as_deref() {
        Ok("random") => std::hash::RandomState::new().hash_one(0),
        _ => number("BERTH_SEED").unwrap_or(SEED),
    }
}

/// The number that a variable is set to.
fn number<N: std::str::FromStr>(variable: &str) -> Option<N> {
    let text = env::var(variable).ok()?;
    let number = text.parse().ok();
    assert!(number.is_some(), "{variable}={text} is no number");
    number
}

fn of_pools(pools: &[&Value]) -> Nodes {
    pools
        .iter()
        .fold(Nodes::none(), |all, pool| all.or(&nodes::of_pool(pool)))
}

fn tolerates_its_nodes(result: &Value, after: &Nodes, pools: &[&Value]) -> Held {
    for pool in pools
        .iter()
        .filter(|pool| !after.and(&nodes::of_pool(pool)).is_empty())
    {
        for taint in nodes::elements(&pool["spec"]["taints"]) {
            prop_assert!(
                nodes::tolerates(result, taint),
                "{taint} is not tolerated by {result:#}"
            );
        }
    }
    Ok(())
}

/// Each group of which the message says that the Pod excludes it.
fn excludes_only_what_cannot_be(case: &Case, before: &Nodes, message: &str) -> Held {
    for group in case.table.groups_of(case.class()) {
        let names: Vec<&str> = group
            .iter()
            .filter_map(|pool| pool["metadata"]["name"].as_str())
            .collect();
        let plural = if group.len() == 1 { "" } else { "s" };
        let pools = format!(
            "pool{plural} {:?} of workload class \"{}\"",
            names.join(","),
            case.class()
        );
        let says = |words: &str| message.contains(&format!("{words} {pools}"));
        if says("exclude") || says("is not a Node of") {
            let left = before.and(&of_pools(&group)).count();
            prop_assert_eq!(
                left,
                0,
                "the Pod may run on nodes of {:?}: {}",
                names,
                message
            );
        }
    }
    Ok(())
}

/// Whether a resource is the pool's, under its own name or an alias.
fn is_named(pool: &Value, resource: &str) -> bool {
    let renaming = renaming(pool);
    renaming.resource == resource || renaming.aliases.iter().any(|alias| alias == resource)
}

fn renaming(pool: &Value) -> Renaming {
    let spec = &pool["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Renaming {
        aliases: nodes::elements(&spec["resourceAliases"])
            .map(text)
            .collect(),
        resource: text(&spec["resourceName"]),
    }
}

fn containers<'p>(pod: &'p Value, list: &str) -> impl Iterator<Item = &'p Value> {
    nodes::elements(&pod["spec"][list])
}

fn every_amount(pod: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let containers = containers(pod, "containers").chain(containers(pod, "initContainers"));
    containers.flat_map(|container| {
        let resources = &container["resources"];
        let lists = [&resources["limits"], &resources["requests"]];
        lists.into_iter().filter_map(Value::as_object).flatten()
    })
}

/// The Pod's request as the scheduler counts it: an init container runs beside the sidecars before it.
fn effective_request(pod: &Value, resource: &Value) -> f64 {
    let name = resource.as_str().unwrap_or_default();
    let of =
        |container: &Value| quantity(&container["resources"]["limits"][name]).unwrap_or_default();
    let (mut sidecars, mut peak) = (0.0, 0.0_f64);
    for container in containers(pod, "initContainers") {
        let running = sidecars + of(container);
        peak = peak.max(running);
        if container["restartPolicy"] == "Always" {
            sidecars = running;
        }
    }
    peak.max(sidecars + containers(pod, "containers").map(of).sum::<f64>())
}
