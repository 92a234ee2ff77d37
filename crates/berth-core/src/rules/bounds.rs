//! What berth takes at most (rule 32): of what a Pod has, while it is read, and of what it would have.

use crate::{
    json::Bound,
    outcome::{Denial, Reason},
    placement::{Annotation, ContainerPlacement, Placement, TaintDecision, TermDecision, Terms},
    pod::{CONTAINERS, Pod, Spec, TERMS, TOLERATIONS, Term, list, text},
    size::{Excess, Size},
    table::{Alternative, Group},
};

/// What makes most Pods shorter.
const SHORTEN: &str = "make its longest list shorter";

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
        _ => (Reason::PodTooLarge, SHORTEN),
    };
    let Bound { most, what } = bound;
    let message =
        format!("the Pod has more than {most} {what}, the most that berth reads: {remedy}");
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
    let Some(excess) = added.all().excess(pod.entries) else {
        return Ok(());
    };
    let remedy = added.remedy(pod.entries, excess);
    let message = match excess {
        Excess::Entries(_) => format!("with the class's pools, the Pod would have {excess}"),
        Excess::Bytes(_) => format!("the class's pools would add to the Pod {excess}"),
    };
    Err(Denial::new(
        Reason::PodTooLarge,
        format!("{message}: {remedy}"),
    ))
}

/// What is added, by what it is added to.
#[derive(Clone, Copy, Debug, Default)]
struct Added {
    /// To the terms of the Pod's own.
    terms: Parts,
    /// To the containers with a GPU.
    containers: Parts,
    /// To the Pod, whatever terms and containers it has.
    rest: Size,
}

/// What several things of one kind get.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    /// All together.
    all: Size,
    /// The one that gets most.
    largest: Size,
}

impl Parts {
    fn add(&mut self, part: Size) {
        self.all += part;
        self.largest = self.largest.max(part);
    }
}

impl Added {
    fn by(spec: &Spec<'_>, placement: &Placement<'_>) -> Self {
        let mut added = Self::default();
        added.terms(spec, placement);
        let preferences = placement.affinity.preferences.iter();
        added.rest += preferences.map(|it| it.size()).sum();
        let decided = placement.group.taints.iter().zip(&placement.taints);
        let missing = decided.filter(|(_, it)| **it == TaintDecision::Added);
        added.rest += missing.map(|(taint, _)| taint.size()).sum();
        if placement.annotation == Annotation::Added {
            added.rest += placement.group.name.size();
        }
        for container in &placement.containers {
            added
                .containers
                .add(of_container(container, placement.group));
        }
        added
    }

    fn terms(&mut self, spec: &Spec<'_>, placement: &Placement<'_>) {
        let Group { alternatives, .. } = placement.group;
        match &placement.affinity.terms {
            Terms::NodeChosen | Terms::Implied(_) => {}
            Terms::Added => self.rest += alternatives.iter().map(Alternative::size).sum(),
            Terms::Each(decisions) => {
                let required = spec.affinity.as_ref();
                let required = required.and_then(|it| it.node_affinity.as_ref()?.required.as_ref());
                let terms = required.map_or(&[][..], |required| list(&required.terms));
                let changed = terms.iter().zip(decisions).filter(|(_, it)| it.changes());
                for (term, decision) in changed {
                    self.terms.add(of_term(term, *decision, alternatives));
                }
            }
        }
    }

    fn all(&self) -> Size {
        self.terms.all + self.containers.all + self.rest
    }

    /// What the author can do: of the kinds of which the Pod has several, the one of which one alone would fit.
    fn remedy(&self, own: usize, excess: Excess) -> &'static str {
        let Self {
            terms,
            containers,
            rest,
        } = *self;
        let fits = |size: Size| size.excess(own).is_none();
        if fits(terms.largest + containers.all + rest) {
            "use fewer node affinity terms"
        } else if fits(terms.all + containers.largest + rest) {
            "give the GPU to fewer containers"
        } else if let Excess::Entries(_) = excess {
            SHORTEN
        } else {
            "use fewer node affinity terms, and give the GPU to fewer containers"
        }
    }
}

fn of_container(container: &ContainerPlacement<'_>, group: &Group) -> Size {
    let limit = container.gets_limit();
    let limit = limit.then(|| Size::operation(1, group.resource.len()));
    let variables = container.env.iter();
    limit.unwrap_or_default() + variables.map(|it| it.size()).sum()
}

/// A term that is narrowed, or multiplied: then each of its copies has all that it has itself.
fn of_term(term: &Term<'_>, decision: TermDecision, alternatives: &[Alternative]) -> Size {
    let narrowed: Size = alternatives.iter().map(Alternative::size_in_term).sum();
    let copies = match decision {
        TermDecision::Multiplied => alternatives.len().saturating_sub(1),
        _ => 0,
    };
    let copy = copied(term);
    narrowed
        + Size {
            entries: copies * copy.entries,
            bytes: copies * copy.bytes,
        }
}

/// What a copy of a term has.
fn copied(term: &Term<'_>) -> Size {
    let fields = term.match_fields.map_or(0, |fields| fields.bytes);
    let mut copy = Size::operation(1, fields);
    for expression in list(&term.match_expressions) {
        let values = list(&expression.values);
        let texts = [text(&expression.key), text(&expression.operator)];
        let texts = texts.into_iter().chain(values.iter().map(|value| &**value));
        copy += Size {
            entries: 1 + values.len(),
            // with its quotes, its comma and, for the first two, its name
            bytes: texts.map(|text| text.len() + 16).sum(),
        };
    }
    copy
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        json::ENTRIES,
        outcome::Reason,
        testing::{admit, class, one_pool, pod, pool, view},
        view::View,
    };

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
                Err((reason, message)) => {
                    let remedy = ": make its longest list shorter";
                    assert!(message.contains(remedy), "{count}: {message}");
                    answers.push(reason);
                }
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
                "the Pod has more than 100 containers, the most that berth reads: split the Pod",
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
            let remedy = "and berth allows 32768: use fewer node affinity terms";
            assert!(message.contains(remedy), "{message}");
            let few = admit(&view, &pod(terms(20))).map(|few| few.reason);
            assert_eq!(few.ok(), Some(Reason::Placed));
        }
    }

    /// The longest value that a label may have, different for each number.
    fn long(i: usize) -> String {
        format!("{i:063}")
    }

    fn required(terms: &Value) -> Value {
        json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    }

    #[test]
    fn a_patch_is_bounded_and_what_would_make_it_shorter_is_said() {
        let hostnames = many(300, |i| json!(long(i)));
        let by_hostname = view(&[
            pool("p", json!({"hostnames": hostnames})),
            class("c", &["p"], json!({})),
        ]);
        let exists =
            |i| json!({"matchExpressions": [{"key": format!("k{i}"), "operator": "Exists"}]});
        let env = many(
            64,
            |i| json!({"name": format!("E{i}"), "value": "x".repeat(4000)}),
        );
        let by_env = view(&[
            pool("p", json!({"env": env})),
            class("c", &["p"], json!({"gpus": {"max": 100}})),
        ]);
        let asks =
            |i| json!({"name": format!("c{i}"), "resources": {"limits": {"amd.com/gpu": 1}}});
        for (view, few, spec, remedy) in [
            (
                &by_hostname,
                required(&many(50, exists)),
                required(&many(100, exists)),
                "about 2 MiB, and berth allows 1.5 MiB: use fewer node affinity terms",
            ),
            (
                &by_env,
                json!({"containers": many(5, asks)}),
                json!({"containers": many(8, asks)}),
                "about 2.1 MiB, and berth allows 1.5 MiB: give the GPU to fewer containers",
            ),
        ] {
            let (reason, message) = denied(view, spec);
            assert_eq!(reason, Reason::PodTooLarge, "{message}");
            assert!(message.contains(remedy), "{message}");
            let few = admit(view, &pod(few)).map(|few| few.reason);
            assert_eq!(few.ok(), Some(Reason::Placed), "{remedy}");
        }
    }

    #[test]
    fn what_a_multiplied_term_copies_is_bounded_too() {
        // no two of them merge
        let names: Vec<String> = (0..64).map(|i| format!("p{i}")).collect();
        let select = |name: &String| json!({"nodeSelector": {"matchLabels": {name.as_str(): "x"}}});
        let pools = names.iter().map(|name| pool(name, select(name)));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let documents: Vec<_> = pools.chain([class("c", &names, json!({}))]).collect();
        let view = view(&documents);
        let values = many(200, |i| json!(long(i)));
        let large =
            |_| json!({"matchExpressions": [{"key": "k", "operator": "In", "values": values}]});
        let fields = many(
            150,
            |i| json!({"key": "metadata.name", "operator": "NotIn", "values": [long(i)]}),
        );
        let with_fields = |_| json!({"matchFields": fields});
        for term in [&large as &dyn Fn(usize) -> Value, &with_fields] {
            let (reason, message) = denied(&view, required(&many(2, term)));
            assert_eq!(reason, Reason::PodTooLarge, "{message}");
            let remedy = "MiB, and berth allows 1.5 MiB: use fewer node affinity terms";
            assert!(message.contains(remedy), "{message}");
        }
        let one = admit(&view, &pod(required(&many(1, large)))).map(|one| one.reason);
        assert_eq!(one.ok(), Some(Reason::Placed));
    }

    #[test]
    fn a_pod_without_a_class_is_let_pass_however_large_it_is() {
        let mut large = pod(json!({"tolerations": many(1001, |_| json!({}))}));
        large["metadata"]["labels"] = json!({"app": "x"});
        let reason = admit(&one_pool(), &large).map(|admitted| admitted.reason);
        assert_eq!(reason.ok(), Some(Reason::NoClass));
    }
}
