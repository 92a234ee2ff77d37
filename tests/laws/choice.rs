//! Rule 0 has an oracle of its own: each group is tried alone, as a class with no other, and which of them should have
//! been chosen is said here, without a look at how berth chooses.

use proptest::prop_assert_eq;
use serde_json::Value;

use crate::{
    case::{Admission, Case},
    effective_request, every_amount, hold, is_named,
    live::Free,
    nodes::elements,
    validation::quantity,
};

#[test]
fn rule_0_chooses_the_first_group_that_has_room_unless_the_pod_is_placed_already() {
    hold(|case| {
        let admission = case.admit();
        if !admission.is_placed() || has_a_zero(case) {
            return Ok(());
        }
        let groups = case.table.groups_of(case.class());
        let alone = groups.iter().map(|group| case.only(group).admit());
        let candidates: Vec<Admission> = alone.filter(Admission::is_placed).collect();
        let chosen = should_be_chosen(case, &candidates);
        prop_assert_eq!(&admission.pools, &candidates[chosen].pools);
        prop_assert_eq!(&admission.result, &candidates[chosen].result);
        Ok(())
    });
}

/// Whether the Pod has a zero for a GPU of the class: it counts in every group (rule 15), which no group alone shows.
fn has_a_zero(case: &Case) -> bool {
    let pools = case.table.pools_of(case.class());
    let of_class = |name: &str| pools.iter().any(|pool| is_named(pool, name));
    every_amount(&case.pod)
        .any(|(name, amount)| of_class(name) && quantity(amount).is_some_and(|it| it <= 0.0))
}

fn should_be_chosen(case: &Case, candidates: &[Admission]) -> usize {
    let first = |holds: &dyn Fn(&Admission) -> bool| candidates.iter().position(holds);
    first(&|it| it.patch.is_none())
        .or_else(|| first(&lacks_the_annotation_alone))
        .or_else(|| first(&|it| has_room(case, it, false)))
        .or_else(|| first(&|it| has_room(case, it, true)))
        .unwrap_or(0)
}

fn lacks_the_annotation_alone(admission: &Admission) -> bool {
    let operations = admission.patch.iter().flat_map(elements);
    let mut paths = operations.map(|operation| operation["path"].as_str().unwrap_or_default());
    paths.all(|path| path.starts_with("/metadata/annotations"))
}

/// Whether one pool has as many free GPUs as the Pod asks for in the end, and, unless that is no matter, no Pod waits for
/// them; if nothing is known of a pool, there is room.
fn has_room(case: &Case, admission: &Admission, if_wanted: bool) -> bool {
    let resource: &Value = &case.table.pool(&admission.pools[0])["spec"]["resourceName"];
    let asked = effective_request(&admission.result, resource);
    let known = |name: &String| case.free[0].get(name).copied();
    let fits = |free: Free| f64::from(u32::try_from(free.gpus).expect("few")) >= asked;
    asked <= 0.0
        || admission.pools.iter().any(|name| known(name).is_none())
        || admission
            .pools
            .iter()
            .filter_map(known)
            .any(|free| fits(free) && (if_wanted || !free.is_wanted))
}
