//! What berth takes at most (rule 32): of what a Pod has, while it is read, and of what it would have.

use crate::{
    json::{Bound, ENTRIES},
    outcome::{Denial, Reason},
    placement::{Annotation, ContainerPlacement, Placement, TaintDecision, TermDecision, Terms},
    pod::{CONTAINERS, Pod, Spec, TERMS, TOLERATIONS, Term, list},
    table::{Alternative, Group},
};

/// A patch has so many bytes at most: the API server stores no object that is larger.
const PATCH: usize = 3 << 19;
/// What an operation of a patch has besides its value.
const OPERATION: usize = 256;

/// The denial of a Pod that has more of something than is read of it.
#[must_use]
pub fn too_many(bound: Bound) -> Denial {
    let (reason, remedy) = match bound {
        CONTAINERS => (Reason::TooManyContainers, "split the Pod"),
        TOLERATIONS => (Reason::TooManyTolerations, "remove some"),
        TERMS => (
            Reason::TooManyTerms,
            "merge terms that differ in one key's values into one In",
        ),
        _ => (Reason::PodTooLarge, "make its longest list shorter"),
    };
    let Bound { most, what } = bound;
    let message = format!("the Pod has more than {most} {what}, and berth reads no more: {remedy}");
    Denial::new(reason, message)
}

/// The containers of both lists.
pub(super) fn containers(spec: &Spec<'_>) -> Result<(), Denial> {
    let count = list(&spec.containers).len() + list(&spec.init_containers).len();
    let most = CONTAINERS.most;
    if count <= most {
        return Ok(());
    }
    let message = format!("the Pod has {count} containers, and berth allows {most}: split the Pod");
    Err(Denial::new(Reason::TooManyContainers, message))
}

/// What the Pod would have after the patch: if it were more than is read, berth could not read its own work (law 2).
pub(super) fn result(
    pod: &Pod<'_>,
    spec: &Spec<'_>,
    placement: &Placement<'_>,
) -> Result<(), Denial> {
    let added = Added::by(spec, placement);
    let entries = pod.entries + added.entries;
    let message = if entries > ENTRIES.most {
        let Bound { most, what } = ENTRIES;
        format!(
            "the Pod would have {entries} {what} with the class's pools, and berth allows {most}"
        )
    } else if added.bytes > PATCH {
        let bytes = added.bytes;
        format!(
            "the class's pools would add about {bytes} bytes to the Pod, and berth allows {PATCH}"
        )
    } else {
        return Ok(());
    };
    Err(Denial::new(
        Reason::PodTooLarge,
        format!("{message}: use fewer node affinity terms"),
    ))
}

/// What a patch adds.
#[derive(Clone, Copy, Debug, Default)]
struct Added {
    /// Entries of lists and maps.
    entries: usize,
    /// Bytes of the patch, about.
    bytes: usize,
}

impl Added {
    fn by(spec: &Spec<'_>, placement: &Placement<'_>) -> Self {
        let mut added = Self::default();
        added.terms(spec, placement);
        for preference in &placement.affinity.preferences {
            added.add(preference.entries, preference.json.len());
        }
        let decided = placement.group.taints.iter().zip(&placement.taints);
        for (taint, _) in decided.filter(|(_, it)| **it == TaintDecision::Added) {
            added.add(1, taint.json.len());
        }
        for container in &placement.containers {
            added.container(container);
        }
        added.entries += usize::from(placement.annotation == Annotation::Added);
        added
    }

    fn add(&mut self, entries: usize, bytes: usize) {
        self.entries += entries;
        self.bytes += bytes + OPERATION;
    }

    fn container(&mut self, container: &ContainerPlacement<'_>) {
        self.entries += usize::from(container.gets_limit());
        for variable in &container.env {
            self.add(1, variable.json.len());
        }
    }

    fn terms(&mut self, spec: &Spec<'_>, placement: &Placement<'_>) {
        let Group { alternatives, .. } = placement.group;
        match &placement.affinity.terms {
            Terms::NodeChosen | Terms::Implied(_) => {}
            Terms::Added => {
                for alternative in alternatives {
                    self.add(1 + alternative.entries, alternative.json.len());
                }
            }
            Terms::Each(decisions) => {
                let required = spec.affinity.as_ref();
                let required = required.and_then(|it| it.node_affinity.as_ref()?.required.as_ref());
                let terms = required.map_or(&[][..], |required| list(&required.terms));
                let changed = terms.iter().zip(decisions).filter(|(_, it)| it.changes());
                for (term, decision) in changed {
                    self.term(term, *decision, alternatives);
                }
            }
        }
    }

    fn term(&mut self, term: &Term<'_>, decision: TermDecision, alternatives: &[Alternative]) {
        for (i, alternative) in alternatives.iter().enumerate() {
            let operations = alternative.requirements.len() * OPERATION;
            self.add(alternative.entries, alternative.json.len() + operations);
            if i > 0 && decision == TermDecision::Multiplied {
                self.add(1 + entries(term), 0);
            }
        }
    }
}

/// What a term has in its lists.
fn entries(term: &Term<'_>) -> usize {
    let expressions = list(&term.match_expressions).iter();
    expressions.map(|it| 1 + list(&it.values).len()).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        outcome::Reason,
        testing::{admit, class, one_pool, pod, pool, view},
        view::View,
    };

    use super::*;

    fn many(count: usize, one: impl Fn(usize) -> Value) -> Value {
        (0..count).map(one).collect()
    }

    fn denied(view: &View, spec: Value) -> (Reason, String) {
        let admitted = admit(view, &pod(spec)).map(|admitted| admitted.pod);
        admitted.expect_err("denied")
    }

    #[test]
    fn a_pod_that_is_as_large_as_may_be_is_read_again_and_in_place() {
        let with = |count: usize| {
            let env = many(count, |i| json!({"name": format!("E{i}")}));
            pod(json!({"containers": [{"name": "main", "env": env}]}))
        };
        let mut answers = Vec::new();
        for count in (ENTRIES.most - 20)..=ENTRIES.most {
            match admit(&one_pool(), &with(count)) {
                Ok(first) => {
                    let again = admit(&one_pool(), &first.pod).expect("admitted again");
                    assert_eq!(again.reason, Reason::InPlace, "{count}");
                    answers.push(Reason::Placed);
                }
                Err((reason, _)) => answers.push(reason),
            }
        }
        answers.dedup();
        assert_eq!(answers, [Reason::Placed, Reason::PodTooLarge]);
    }

    #[test]
    fn what_is_above_a_bound_is_denied_by_its_reason() {
        let containers = |count| many(count, |i| json!({"name": format!("c{i}")}));
        let terms = |count| {
            many(
                count,
                |_| json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}),
            )
        };
        let preferred = |count| many(count, |_| json!({"weight": 1, "preference": {}}));
        let affinity =
            |field: &str, value: Value| json!({"affinity": {"nodeAffinity": {field: value}}});
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        for (spec, reason, says) in [
            (
                json!({"containers": containers(101)}),
                Reason::TooManyContainers,
                "the Pod has more than 100 containers",
            ),
            (
                json!({"initContainers": containers(101)}),
                Reason::TooManyContainers,
                "the Pod has more than 100 containers",
            ),
            (
                json!({"tolerations": many(1001, |_| json!({}))}),
                Reason::TooManyTolerations,
                "the Pod has more than 1000 tolerations",
            ),
            (
                affinity(required, json!({"nodeSelectorTerms": terms(1001)})),
                Reason::TooManyTerms,
                "the Pod has more than 1000 node affinity terms",
            ),
            (
                affinity(
                    "preferredDuringSchedulingIgnoredDuringExecution",
                    preferred(1001),
                ),
                Reason::TooManyTerms,
                "the Pod has more than 1000 node affinity terms",
            ),
            (
                json!({"containers": [{"name": "main", "env": many(40_000, |_| json!({}))}]}),
                Reason::PodTooLarge,
                "the Pod has more than 32768 entries in its lists and maps",
            ),
        ] {
            let (denied, message) = denied(&one_pool(), spec);
            assert_eq!(denied, reason, "{message}");
            assert!(message.starts_with(says), "{message}");
        }
    }

    #[test]
    fn terms_by_nodes_do_not_multiply() {
        let hostnames: Vec<String> = (0..1000).map(|i| format!("node-{i}")).collect();
        let by_hostname = view(&[
            pool("p", json!({"hostnames": hostnames})),
            class("c", &["p"], json!({})),
        ]);
        let labels: serde_json::Map<String, Value> = (0..16)
            .map(|i| (format!("example.com/label-{i}"), json!("x")))
            .collect();
        let by_labels = view(&[
            pool("p", json!({"nodeSelector": {"matchLabels": labels}})),
            class("c", &["p"], json!({})),
        ]);
        let term =
            |i| json!({"matchExpressions": [{"key": format!("k{i}"), "operator": "Exists"}]});
        for view in [by_hostname, by_labels] {
            let terms = |count| json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": many(count, term)}}}});
            let (reason, message) = denied(&view, terms(1000));
            assert_eq!(reason, Reason::PodTooLarge, "{message}");
            let few = admit(&view, &pod(terms(20))).map(|few| few.reason);
            assert_eq!(few.ok(), Some(Reason::Placed));
        }
    }

    #[test]
    fn a_pod_that_is_none_of_ours_is_let_pass_however_large_it_is() {
        let mut large = pod(json!({"tolerations": many(1001, |_| json!({}))}));
        large["metadata"]["labels"] = json!({"app": "x"});
        let reason = admit(&one_pool(), &large).map(|admitted| admitted.reason);
        assert_eq!(reason.ok(), Some(Reason::NoClass));
    }
}
