//! Which field a denial is about, where its message names none or more than one: the field without which the Pod would not
//! be denied for that reason.

use std::cmp::Reverse;

use berth_core::{json::pointer_segment, names::CONTAINER_ANNOTATION, outcome::Reason};
use serde_json::Value;

use crate::{
    dry_run::{DryRun, Error},
    workload::unescaped,
};

/// So many are tried at most: each is a review.
const MOST: usize = 32;

const SELECTOR: &str = "/spec/nodeSelector";
const PREFERRED: &str =
    "/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution";
const REQUIRED: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";

/// The field, as a JSON Pointer in the Pod. `ask` gives the server's answer for another Pod in its place.
pub(super) fn cause(
    pod: &Value,
    reason: Reason,
    ask: &dyn Fn(&Value) -> Result<DryRun, Error>,
) -> Option<String> {
    let is_cause = |fields: &Vec<String>| {
        let mut without = pod.clone();
        for field in fields {
            remove(&mut without, field);
        }
        ask(&without).is_ok_and(|run| run.reason != reason)
    };
    let mut candidates = candidates(pod, reason).into_iter().take(MOST);
    let fields = candidates.find(is_cause);
    let field = fields.and_then(|fields| fields.into_iter().next());
    field.or_else(|| whole(reason))
}

/// What a reason is always about.
fn whole(reason: Reason) -> Option<String> {
    let field = match reason {
        Reason::ContainerConflict => {
            let annotation = pointer_segment(CONTAINER_ANNOTATION);
            return Some(format!("/metadata/annotations/{annotation}"));
        }
        Reason::ContainerAmbiguous => "/spec/containers",
        Reason::TooManyTolerations => "/spec/tolerations",
        _ => return None,
    };
    Some(field.to_owned())
}

/// The fields that a reason may be about, those that go together as one. The first of them is marked.
fn candidates(pod: &Value, reason: Reason) -> Vec<Vec<String>> {
    let is_there = |field: &str| pod.pointer(field).is_some();
    match reason {
        Reason::PlacementContradiction | Reason::WindowsPod => {
            let both = [SELECTOR, REQUIRED].map(str::to_owned).to_vec();
            let mut candidates = entries(pod, SELECTOR);
            candidates.extend([vec![both[0].clone()], vec![both[1].clone()], both]);
            candidates.retain(|fields| is_there(&fields[0]));
            candidates
        }
        Reason::OtherGpu | Reason::AliasConflict | Reason::TooManyGpus => resources(pod),
        Reason::TooManyContainers => longest(pod, ["/spec/containers", "/spec/initContainers"]),
        Reason::TooManyTerms => {
            let terms = format!("{REQUIRED}/nodeSelectorTerms");
            longest(pod, [&*terms, PREFERRED])
        }
        // the limit is the one to keep
        Reason::RequestDiffers => requests(pod),
        _ => Vec::new(),
    }
}

/// Lists by their length, the longest first.
fn longest<const N: usize>(pod: &Value, lists: [&str; N]) -> Vec<Vec<String>> {
    let length = |list: &str| pod.pointer(list).and_then(Value::as_array).map(Vec::len);
    let mut lists: Vec<&str> = lists
        .into_iter()
        .filter(|it| length(it).is_some())
        .collect();
    lists.sort_by_key(|list| Reverse(length(list)));
    lists
        .into_iter()
        .map(|list| vec![list.to_owned()])
        .collect()
}

/// Each entry of a map.
fn entries(pod: &Value, map: &str) -> Vec<Vec<String>> {
    let keys = pod.pointer(map).and_then(Value::as_object);
    let keys = keys.into_iter().flat_map(|map| map.keys());
    keys.map(|key| vec![format!("{map}/{}", pointer_segment(key))])
        .collect()
}

/// What each container asks for: a resource's limit with its request.
fn resources(pod: &Value) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = Vec::new();
    for list in ["/spec/containers", "/spec/initContainers"] {
        let containers = pod.pointer(list).and_then(Value::as_array);
        for at in 0..containers.map_or(0, Vec::len) {
            let limits = format!("{list}/{at}/resources/limits");
            let requests = format!("{list}/{at}/resources/requests");
            let first = all.len();
            all.extend(entries(pod, &limits));
            for request in entries(pod, &requests).into_iter().flatten() {
                let limit = request.replacen(&requests, &limits, 1);
                match all[first..].iter_mut().find(|it| it[0] == limit) {
                    Some(fields) => fields.push(request),
                    None => all.push(vec![request]),
                }
            }
        }
    }
    all
}

/// Each request of a container.
fn requests(pod: &Value) -> Vec<Vec<String>> {
    let all = resources(pod).into_iter().flatten();
    let requests = all.filter(|field| field.contains("/resources/requests/"));
    requests.map(|request| vec![request]).collect()
}

fn remove(pod: &mut Value, field: &str) {
    let Some((parent, key)) = field.rsplit_once('/') else {
        return;
    };
    let key = unescaped(key);
    if let Some(parent) = pod.pointer_mut(parent).and_then(Value::as_object_mut) {
        parent.remove(&key);
    }
}
