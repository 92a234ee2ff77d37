//! A placement as a JSON Patch: the one writer. What a rule decided stands in the [`Placement`]; how it is written here.
//!
//! Created are only the parents that the Pod lacks, so that nothing of the author's is replaced (law 4).

use crate::{
    json::pointer_segment,
    names::POOL_ANNOTATION,
    placement::{
        Annotation, ContainerPlacement, NodeAffinity, Placement, Role, RuntimeClass, TaintDecision,
        Terms,
    },
    pod::{Container, Pod, Resources, Spec, list},
    table::{Alternative, Group, Preference},
};
use operations::{Operations, Piece, Presence};

mod operations;

const NODE_AFFINITY: &str = "/spec/affinity/nodeAffinity";
const REQUIRED: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
const TERMS: &str =
    "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
const PREFERRED: &str =
    "/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution";

/// A container's place in the Pod, written as its JSON Pointer.
#[derive(Clone, Copy, Debug)]
struct Place(Role, usize);

impl Piece for Place {
    fn write(&self, out: &mut String) {
        ("/spec/", self.0.list(), "/", self.1).write(out);
    }
}

/// The JSON of the patch that makes the Pod what the placement says; none where it stays as it is.
#[must_use]
pub fn write(placement: &Placement<'_>, pod: &Pod<'_>) -> Option<String> {
    let no_spec = Spec::default();
    let spec = pod.spec.as_ref().unwrap_or(&no_spec);
    let group = placement.group;
    let mut out = Operations::default();
    node_affinity(&placement.affinity, spec, group, &mut out);
    tolerations(placement, spec, &mut out);
    for container in &placement.containers {
        of_container(container, spec, group, &mut out);
    }
    if let RuntimeClass::Added(class) = &placement.runtime_class {
        out.add("/spec/runtimeClassName", &class.json);
    }
    if let Some(scheduler) = placement.scheduler {
        out.add("/spec/schedulerName", &scheduler.json);
    }
    if placement.annotation == Annotation::Added {
        annotation(pod, group, &mut out);
    }
    out.into_json()
}

fn node_affinity(
    affinity: &NodeAffinity<'_>,
    spec: &Spec<'_>,
    group: &Group,
    out: &mut Operations,
) {
    let there = spec.affinity.as_ref().map(|it| it.node_affinity.as_ref());
    let own = there.flatten();
    if let Terms::Each(decisions) = &affinity.terms {
        let terms = own.and_then(|own| own.required.as_ref());
        let terms = terms.map_or(&[][..], |required| list(&required.terms));
        // from the last to the first, so that an inserted copy moves no term that is still to come
        for (i, term) in terms.iter().enumerate().rev() {
            if decisions.get(i).is_some_and(|decision| decision.changes()) {
                let expressions = Presence::from(&term.match_expressions);
                multiply(i, expressions, &group.alternatives, out);
            }
        }
    }
    let required = (affinity.terms == Terms::Added).then_some(&*group.required);
    let preferred = &affinity.preferences;
    match (there, own) {
        (_, Some(own)) => {
            if let Some(required) = required {
                out.add(REQUIRED, required);
            }
            let preferred = preferred.iter().map(|term| &term.json);
            out.append(PREFERRED, Presence::from(&own.preferred), preferred);
        }
        _ if required.is_none() && preferred.is_empty() => {}
        (Some(_), None) => out.add(NODE_AFFINITY, ("{", Fields(required, preferred), "}")),
        (None, None) => {
            let value = (r#"{"nodeAffinity":{"#, Fields(required, preferred), "}}");
            out.add("/spec/affinity", value);
        }
    }
}

/// Term `i` becomes one term for each alternative, in their order.
fn multiply(i: usize, expressions: Presence, alternatives: &[Alternative], out: &mut Operations) {
    for copy in 1..alternatives.len() {
        out.copy((TERMS, "/", i), (TERMS, "/", i + copy));
    }
    for (term, alternative) in (i..).zip(alternatives) {
        let path = (TERMS, "/", term, "/matchExpressions");
        let ours = alternative.requirements.iter().map(|(_, json)| json);
        out.append(path, expressions, ours);
    }
}

/// The fields of a node affinity: what is required, and what is preferred.
#[derive(Clone, Copy, Debug)]
struct Fields<'a>(Option<&'a str>, &'a [&'a Preference]);

impl Piece for Fields<'_> {
    fn write(&self, out: &mut String) {
        let Self(required, preferred) = self;
        if let Some(required) = required {
            let key = r#""requiredDuringSchedulingIgnoredDuringExecution":"#;
            (key, *required).write(out);
        }
        for (i, term) in preferred.iter().enumerate() {
            let before = match i {
                0 if required.is_none() => r#""preferredDuringSchedulingIgnoredDuringExecution":["#,
                0 => r#","preferredDuringSchedulingIgnoredDuringExecution":["#,
                _ => ",",
            };
            (before, &term.json).write(out);
        }
        if !preferred.is_empty() {
            out.push(']');
        }
    }
}

fn tolerations(placement: &Placement<'_>, spec: &Spec<'_>, out: &mut Operations) {
    let decided = placement.group.taints.iter().zip(&placement.taints);
    let missing = decided.filter(|(_, decision)| **decision == TaintDecision::Added);
    let there = Presence::from(&spec.tolerations);
    out.append(
        "/spec/tolerations",
        there,
        missing.map(|(taint, _)| &taint.json),
    );
}

fn of_container(
    placed: &ContainerPlacement<'_>,
    spec: &Spec<'_>,
    group: &Group,
    out: &mut Operations,
) {
    let request = &placed.request;
    let place = Place(request.role, request.index);
    let containers = match request.role {
        Role::Regular => &spec.containers,
        Role::Sidecar | Role::Init => &spec.init_containers,
    };
    let Some(container) = list(containers).get(request.index) else {
        return;
    };
    if let Some(alias) = request.alias(group).filter(|_| placed.is_renamed) {
        let alias = pointer_segment(alias);
        for (list, amount) in [("limits", request.limit), ("requests", request.request)] {
            if amount.is_some() {
                let parent = (place, "/resources/", list, "/");
                out.rename((parent, &alias), (parent, &group.pointer));
            }
        }
    }
    if placed.gets_limit() {
        limit(place, container, placed.gpus, group, out);
    }
    let env = placed.env.iter().map(|var| &var.json);
    out.append((place, "/env"), Presence::from(&container.env), env);
}

/// The limit alone: the API server defaults the request (rules 15 and 20).
fn limit(place: Place, container: &Container<'_>, gpus: u64, group: &Group, out: &mut Operations) {
    let resource = &group.resource;
    let limits = |resources: &Resources<'_>| resources.limits.is_some();
    match container.resources.as_ref().map(limits) {
        None => {
            let value = (r#"{"limits":{""#, resource, r#"":""#, gpus, r#""}}"#);
            out.add((place, "/resources"), value);
        }
        Some(false) => {
            let value = (r#"{""#, resource, r#"":""#, gpus, r#""}"#);
            out.add((place, "/resources/limits"), value);
        }
        Some(true) => {
            let path = (place, "/resources/limits/", &group.pointer);
            out.add(path, ("\"", gpus, "\""));
        }
    }
}

fn annotation(pod: &Pod<'_>, group: &Group, out: &mut Operations) {
    let metadata = pod.metadata.as_ref();
    let annotations = metadata.and_then(|metadata| metadata.annotations.as_ref());
    if annotations.is_some() {
        let path = ("/metadata/annotations/", pointer_segment(POOL_ANNOTATION));
        out.add(path, &group.name.json);
    } else {
        let value = ("{\"", POOL_ANNOTATION, "\":", &group.name.json, "}");
        out.add("/metadata/annotations", value);
    }
}
