//! A placement in words: what a Pod has after it that it had not before.

use berth_core::{
    names::POOL_ANNOTATION,
    placement::{ContainerPlacement, Placement, RuntimeClass, TaintDecision, TermDecision, Terms},
    shown,
};

/// As `1 term, 1 toleration, amd.com/gpu=1 on "vllm"`; empty where nothing is new.
pub(super) fn of(placement: &Placement<'_>) -> String {
    if placement.changes_nothing() {
        return String::new();
    }
    let mut words = Vec::new();
    let preferences = placement.affinity.preferences.len();
    words.extend(counted(terms(placement), "term"));
    words.extend(counted(preferences, "preferred term"));
    words.extend(counted(tolerations(placement), "toleration"));
    let containers = || placement.containers.iter();
    words.extend(containers().filter_map(|it| limit(it, placement)));
    if let RuntimeClass::Added(class) = &placement.runtime_class {
        words.push(format!("runtimeClassName {}", class.text));
    }
    if let Some(scheduler) = placement.scheduler {
        words.push(format!("schedulerName {}", scheduler.text));
    }
    words.extend(containers().flat_map(env));
    if words.is_empty() {
        words.push(format!("the annotation {POOL_ANNOTATION}"));
    }
    words.join(", ")
}

fn counted(count: usize, what: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        many => Some(format!("{many} {what}s")),
    }
}

/// How many terms are added, or have something added.
fn terms(placement: &Placement<'_>) -> usize {
    let alternatives = placement.group.alternatives.len();
    let after = |decision: &TermDecision| match decision {
        TermDecision::Empty | TermDecision::Implied(_) => 0,
        TermDecision::Narrowed => 1,
        TermDecision::Multiplied => alternatives,
    };
    match &placement.affinity.terms {
        Terms::NodeChosen | Terms::Implied(_) => 0,
        Terms::Added => alternatives,
        Terms::Each(decisions) => decisions.iter().map(after).sum(),
    }
}

fn tolerations(placement: &Placement<'_>) -> usize {
    let decisions = placement.taints.iter();
    decisions.filter(|it| **it == TaintDecision::Added).count()
}

/// The limit of a container, where it is new or has a new name.
fn limit(container: &ContainerPlacement<'_>, placement: &Placement<'_>) -> Option<String> {
    let has_new_name = container.is_renamed && container.request.limit.is_some();
    let resource = &placement.group.resource;
    let is_new = container.gets_limit() || has_new_name;
    is_new.then(|| format!("{resource}={} on {}", container.gpus, name(container)))
}

fn env(container: &ContainerPlacement<'_>) -> impl Iterator<Item = String> {
    let on = name(container);
    let variables = container.env.iter();
    variables.map(move |var| format!("env {} on {on}", var.text))
}

fn name(container: &ContainerPlacement<'_>) -> String {
    match &*container.request.container {
        "" => "a container without a name".to_owned(),
        name => shown::quoted(name).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use berth_core::testing::{NAMESPACE, one_pool, pod};
    use serde_json::{Value, json};

    use crate::dry_run::dry_run;

    fn summary(spec: Value) -> String {
        let run = dry_run(&pod(spec), NAMESPACE, &one_pool()).expect("an answer");
        run.summary
    }

    #[test]
    fn what_is_new_is_told_and_nothing_else() {
        let limits = json!({"limits": {"amd.com/gpu": 1}});
        let placed = json!({"nodeSelector": {"kubernetes.io/hostname": "p-node"}, "containers": [{"name": "main", "resources": limits}]});
        for (spec, expected) in [
            (json!({}), "1 term, amd.com/gpu=1 on \"main\""),
            (placed, "the annotation berth.dev/pool"),
            (
                json!({"containers": [{"resources": {}}]}),
                "1 term, amd.com/gpu=1 on a container without a name",
            ),
            (json!({"nodeName": "n"}), ""),
        ] {
            assert_eq!(summary(spec.clone()), expected, "{spec}");
        }
    }
}
