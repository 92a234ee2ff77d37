//! Whether a Pod runs on Windows, by any of the ways to say so, and the groups that there are for it (rule 32).

use crate::{
    names::{OS_LABEL, WINDOWS},
    outcome::{Denial, Reason},
    pod::{Expression, Spec, Term, list, text},
    table::{Allocation, Group, Os},
};

use super::node_affinity::is_empty;

/// The groups for the Pod's operating system, of which there is one at least.
pub(super) fn groups<'a>(
    spec: &Spec<'_>,
    class: &'a Allocation,
) -> Result<impl Iterator<Item = &'a Group> + Clone, Denial> {
    let windows = windows(spec);
    let os = windows.map_or(Os::NotWindows, |_| Os::Windows);
    let groups = class.groups.iter().filter(move |group| group.os == os);
    if groups.clone().next().is_some() {
        return Ok(groups);
    }
    let name = &class.name;
    let message = match windows {
        Some(by) => format!(
            "{by}, and no pool of workload class {name:?} selects {OS_LABEL}={WINDOWS}: \
             use a class with a Windows pool"
        ),
        None => format!(
            "every pool of workload class {name:?} selects {OS_LABEL}={WINDOWS}, and the Pod does not: \
             set spec.os.name to {WINDOWS}, or use a class with another pool"
        ),
    };
    Err(Denial::new(Reason::WindowsPod, message))
}

/// How the Pod says that it runs on Windows, if it does.
fn windows(spec: &Spec<'_>) -> Option<&'static str> {
    if spec
        .os
        .as_ref()
        .is_some_and(|os| *text(&os.name) == *WINDOWS)
    {
        return Some("spec.os.name is windows");
    }
    let selector = spec.node_selector.as_ref();
    if selector.is_some_and(|it| it.get(OS_LABEL).is_some_and(|os| **os == *WINDOWS)) {
        return Some("spec.nodeSelector selects Windows");
    }
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let terms = list(&affinity.required.as_ref()?.terms);
    let mut terms = terms.iter().filter(|term| !is_empty(term)).peekable();
    let all = terms.peek().is_some() && terms.all(term_selects);
    all.then_some("the Pod's required node affinity selects Windows")
}

fn term_selects(term: &Term<'_>) -> bool {
    let selects = |it: &Expression<'_>| {
        let values = list(&it.values);
        text(&it.key) == OS_LABEL
            && text(&it.operator) == "In"
            && !values.is_empty()
            && values.iter().all(|value| **value == *WINDOWS)
    };
    list(&term.match_expressions).iter().any(selects)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        outcome::Reason,
        testing::{admit, class, pod, pool, view},
        view::View,
    };

    const OS: &str = "kubernetes.io/os";

    fn required(terms: Value) -> Value {
        json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}
        }}})
    }

    fn selects(values: &[&str]) -> Value {
        json!({"key": OS, "operator": "In", "values": values})
    }

    /// Linux and Windows nodes with the same GPU, each pool with a taint of its own, and one pool of either.
    fn mixed() -> View {
        let taint = |key: &str| json!([{"key": key, "effect": "NoSchedule"}]);
        view(&[
            pool(
                "w",
                json!({"nodeSelector": {"matchLabels": {OS: "windows"}}, "taints": taint("w")}),
            ),
            pool("l", json!({"taints": taint("l")})),
            pool(
                "either",
                json!({"nodeSelector": {"matchExpressions": [selects(&["linux", "windows"])]}}),
            ),
            pool(
                "w2",
                json!({"nodeSelector": {"matchLabels": {OS: "windows", "model": "x"}}}),
            ),
            class("c", &["w", "l", "either", "w2"], json!({})),
        ])
    }

    #[test]
    fn a_pod_is_placed_on_the_pools_of_its_operating_system_alone() {
        let selects_windows = json!({"matchExpressions": [selects(&["windows"])]});
        let other = json!({"matchExpressions": [{"key": "zone", "operator": "Exists"}, selects(&["windows"])]});
        let either = json!({"matchExpressions": [selects(&["linux", "windows"])]});
        for (spec, windows) in [
            (json!({"os": {"name": "windows"}}), true),
            (json!({"nodeSelector": {OS: "windows"}}), true),
            (required(json!([selects_windows])), true),
            (required(json!([{}, selects_windows, other])), true),
            (json!({}), false),
            (json!({"os": {"name": "linux"}}), false),
            (json!({"nodeSelector": {OS: "linux"}}), false),
            (
                required(
                    json!([selects_windows, {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]),
                ),
                false,
            ),
            (required(json!([either])), false),
            (
                required(
                    json!([{"matchExpressions": [{"key": OS, "operator": "In", "values": []}]}]),
                ),
                false,
            ),
        ] {
            let admitted = admit(&mixed(), &pod(spec.clone())).expect("admitted");
            let (pools, taint) = if windows {
                ("w,either,w2", "w")
            } else {
                ("l,either", "l")
            };
            assert_eq!(admitted.pool.as_deref(), Some(pools), "{spec}");
            let tolerations = admitted.pod["spec"]["tolerations"].as_array().unwrap();
            assert_eq!(tolerations.len(), 1, "{spec}");
            assert_eq!(tolerations[0]["key"], taint, "{spec}");
        }
    }

    #[test]
    fn a_class_without_a_pool_of_the_pods_operating_system_denies_it() {
        let windows = json!({"nodeSelector": {"matchLabels": {OS: "windows"}}});
        let only = |pool| view(&[pool, class("c", &["p"], json!({}))]);
        let linux = only(pool("p", json!({})));
        let windows = only(pool("p", windows));
        let term = json!([{"matchExpressions": [selects(&["windows"])]}]);
        for (view, spec, says) in [
            (
                &linux,
                json!({"os": {"name": "windows"}}),
                "spec.os.name is windows, and no pool",
            ),
            (
                &linux,
                json!({"nodeSelector": {OS: "windows"}}),
                "spec.nodeSelector selects Windows, and no pool",
            ),
            (
                &linux,
                required(term),
                "required node affinity selects Windows, and no pool",
            ),
            (&windows, json!({}), "set spec.os.name to windows"),
        ] {
            let denied = admit(view, &pod(spec.clone())).map(|it| it.pod);
            let (reason, message) = denied.expect_err("denied");
            assert_eq!(reason, Reason::WindowsPod, "{spec}");
            assert!(message.contains(says), "{message}");
        }
    }
}
