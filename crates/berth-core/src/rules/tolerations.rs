//! Tolerations (rules 10 to 12): one is appended for each taint of the pools that none of the Pod's tolerates.

use crate::{
    api::TaintEffect,
    outcome::{Denial, Reason},
    placement::{TaintDecision, TaintDecisions},
    pod::{Spec, TOLERATIONS, Toleration, list, text},
    table::{Group, TolerableTaint},
};

/// What is done about each taint of the group.
pub(super) fn decide(spec: &Spec<'_>, group: &Group) -> Result<TaintDecisions, Denial> {
    let there = list(&spec.tolerations);
    let decide = |taint: &TolerableTaint| {
        let mut tolerations = there.iter().enumerate();
        match tolerations.find(|(_, toleration)| tolerates(toleration, taint)) {
            None => TaintDecision::Added,
            Some((first, toleration))
                if toleration.toleration_seconds.is_some()
                    && taint.effect == TaintEffect::NoExecute =>
            {
                TaintDecision::ToleratedForATime(first)
            }
            Some((first, _)) => TaintDecision::Tolerated(first),
        }
    };
    let decisions: TaintDecisions = group.taints.iter().map(decide).collect();
    let added = decisions.iter().filter(|it| **it == TaintDecision::Added);
    let count = there.len() + added.count();
    if count > TOLERATIONS.most {
        let message = format!(
            "the Pod would have {count} tolerations, and berth allows {}: remove some",
            TOLERATIONS.most
        );
        return Err(Denial::new(Reason::TooManyTolerations, message));
    }
    Ok(decisions)
}

/// Whether a toleration tolerates a taint, as the scheduler sees it (rule 10). Operators that we do not know do not.
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

    use crate::testing::{admit, class, pod, pool, view};

    fn tolerations_after(taints: Value, there: Value) -> Value {
        let view = view(&[
            pool("p", json!({"taints": taints})),
            class("c", &["p"], json!({})),
        ]);
        let spec = if there == Value::Null {
            json!({})
        } else {
            json!({"tolerations": there})
        };
        admit(&view, &pod(spec)).expect("admitted").pod["spec"]["tolerations"].clone()
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
