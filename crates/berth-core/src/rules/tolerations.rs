//! Tolerations (rules 10 to 12): one is appended for each taint of the pools that none of the Pod's tolerates.

use crate::{
    api::TaintEffect,
    outcome::{Denial, Reason, Warning},
    patch::Presence,
    pod::{Spec, Toleration, list, text},
    table::{Group, TolerableTaint},
};

use super::{MAX_ENTRIES, Plan};

/// Lets the Pod onto the group's nodes.
pub(super) fn apply(spec: &Spec<'_>, group: &Group, plan: &mut Plan<'_>) -> Result<(), Denial> {
    let there = list(&spec.tolerations);
    let mut missing = Vec::new();
    for taint in &group.taints {
        match there.iter().find(|toleration| tolerates(toleration, taint)) {
            None => missing.push(taint.json.as_str()),
            Some(first)
                if first.toleration_seconds.is_some() && taint.effect == TaintEffect::NoExecute =>
            {
                plan.warnings.push(Warning::TolerationEnds {
                    taint: taint.key.clone(),
                });
            }
            Some(_) => {}
        }
    }
    let count = there.len() + missing.len();
    if count > MAX_ENTRIES {
        let message = format!(
            "the Pod would have {count} tolerations, and {MAX_ENTRIES} is the most: remove some"
        );
        return Err(Denial::new(Reason::TooManyTolerations, message));
    }
    plan.patch.append(
        "/spec/tolerations",
        Presence::from(&spec.tolerations),
        missing,
    );
    Ok(())
}

/// Whether a toleration tolerates a taint, as the scheduler sees it. Operators that we do not know do not.
fn tolerates(toleration: &Toleration<'_>, taint: &TolerableTaint) -> bool {
    let (key, effect) = (text(&toleration.key), text(&toleration.effect));
    let effect_matches = effect.is_empty() || effect == taint.effect.as_str();
    let matches = match text(&toleration.operator) {
        "" | "Equal" => key == taint.key && text(&toleration.value) == taint.value,
        "Exists" => key.is_empty() || key == taint.key,
        _ => false,
    };
    effect_matches && matches
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{admit, class, pod, pool, table};

    fn tolerations_after(taints: Value, there: Value) -> Value {
        let table = table(&[
            pool("p", json!({"taints": taints})),
            class("c", &["p"], json!({})),
        ]);
        let spec = if there == Value::Null {
            json!({})
        } else {
            json!({"tolerations": there})
        };
        admit(&table, &pod(spec)).expect("admitted").pod["spec"]["tolerations"].clone()
    }

    #[test]
    fn a_toleration_is_added_unless_one_tolerates_the_taint() {
        let taint = json!([{"key": "k", "value": "v", "effect": "NoSchedule"}]);
        let ours = json!({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"});
        let enough = [
            json!({"key": "k", "value": "v", "effect": "NoSchedule"}),
            json!({"key": "k", "operator": "Equal", "value": "v"}),
            json!({"key": "k", "operator": "Exists"}),
            json!({"operator": "Exists"}),
        ];
        for there in enough {
            assert_eq!(
                tolerations_after(taint.clone(), json!([there])),
                json!([there])
            );
        }
        let not_enough = [
            json!({"key": "k", "value": "other"}),
            json!({"key": "k", "value": "v", "effect": "NoExecute"}),
            json!({"key": "k", "operator": "Lt", "value": "v"}),
            json!({"key": "other", "operator": "Exists"}),
        ];
        for there in not_enough {
            assert_eq!(
                tolerations_after(taint.clone(), json!([there])),
                json!([there, ours])
            );
        }
        for nothing in [Value::Null, json!([])] {
            assert_eq!(tolerations_after(taint.clone(), nothing), json!([ours]));
        }
    }
}
