//! `berth adopt` by the laws' own nodes: what a Pod with a class in place of its author's words comes to runs where the Pod
//! of the words ran.

use std::cell::Cell;

use berth_manifests::{
    adopt::{Adoption, Outcome, adopt},
    dry_run::dry_run,
};
use proptest::{prop_assert, prop_assert_eq};
use serde_json::{Value, json};

use crate::{case, cases, effective_request, hold_over, nodes, renaming, validation::validate};

#[test]
fn what_is_adopted_has_the_nodes_and_the_gpus_that_were_written_by_hand_whatever_is_free() {
    let (adopted, needless) = (Cell::new(0), Cell::new(0));
    // each is some hundred reviews
    hold_over(cases() / 10, case::cases(), |case| {
        if !case.pod["metadata"].is_object() || validate(&case.pod).is_err() {
            return Ok(());
        }
        let mut hand = case.pod.clone();
        hand["apiVersion"] = json!("v1");
        hand["kind"] = json!("Pod");
        let namespace = case.request["namespace"].as_str().unwrap_or("ai");
        hand["metadata"]["namespace"] = json!(namespace);
        if let Some(labels) = hand["metadata"]["labels"].as_object_mut() {
            labels.remove("berth.dev/workload-class");
        }
        let found = adopt(&hand, &case.view(0), namespace, None);
        let Adoption {
            workloads,
            adopted: Some(pod),
        } = found
        else {
            return Ok(());
        };
        let Some(Outcome::Adopted(said)) = workloads.into_iter().map(|it| it.outcome).next() else {
            return Ok(());
        };
        adopted.set(adopted.get() + 1);
        needless.set(needless.get() + said.removed.len());
        for view in [case.view(0), case.view(1)] {
            let run = dry_run(&pod, namespace, &view);
            let run =
                run.map_err(|error| proptest::test_runner::TestCaseError::fail(error.to_string()))?;
            prop_assert!(run.is_allowed(), "{:?}: {pod:#}", run.message);
            let (before, after) = (nodes::of_pod(&hand), nodes::of_pod(&run.pod));
            prop_assert!(
                before == after,
                "{} nodes, and now {}: {pod:#}",
                before.count(),
                after.count()
            );
            for name in run.pool.as_deref().unwrap_or_default().split(',') {
                let pool = case.table.pool(name);
                for taint in nodes::elements(&pool["spec"]["taints"]) {
                    prop_assert_eq!(
                        nodes::tolerates(&hand, taint),
                        nodes::tolerates(&run.pod, taint)
                    );
                }
                let renaming = renaming(pool);
                let names = renaming.aliases.iter().chain([&renaming.resource]);
                let by_hand: f64 = names
                    .map(|name| effective_request(&hand, &json!(name)))
                    .sum();
                let now = effective_request(&run.pod, &Value::from(&*renaming.resource));
                prop_assert!(
                    (by_hand - now).abs() < 1e-9,
                    "{by_hand}, and now {now}: {pod:#}"
                );
            }
        }
        Ok(())
    });
    assert!(
        adopted.get() > 20 && needless.get() > adopted.get(),
        "{} adopted, {} needless",
        adopted.get(),
        needless.get()
    );
}
