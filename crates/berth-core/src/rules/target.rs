//! Which container gets the limit (rules 13 and 19): asked in an order that never guesses.

use crate::{
    outcome::{Denial, Reason, Warning},
    pod::Pod,
    table::Allocation,
};

use super::{
    Plan,
    gpu_limits::{Ask, Role},
};

/// The author's word on which container it is.
const ANNOTATION: &str = "berth.dev/container";
/// kubectl's word on which container is the main one.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
/// What serving frameworks name the user's container.
const USERS: &[&str] = &["kserve-container", "user-container"];
/// Containers that other webhooks inject: never meant where others remain.
const INJECTED: &[&str] = &[
    "consul-dataplane",
    "daprd",
    "istio-proxy",
    "kuma-sidecar",
    "linkerd-proxy",
    "queue-proxy",
    "vault-agent",
];

/// The index of the ask that is given the class's GPUs; none where a container asks itself, opts out, or has claims.
pub(super) fn choose(
    pod: &Pod<'_>,
    class: &Allocation,
    asks: &[Ask<'_>],
    plan: &mut Plan<'_>,
) -> Result<Option<usize>, Denial> {
    let asking = eligible(asks).find(|(_, ask)| ask.gpus() > 0);
    let chosen = match (annotated(pod, asks)?, asking) {
        (Some((_, named)), Some((_, asking))) if named.gpus() == 0 => {
            return Err(conflict(named, asking));
        }
        (_, Some(_)) => return Ok(None),
        (Some(named), None) => named,
        (None, None) => match eligible(asks).find(|(_, ask)| ask.container.has_claims()) {
            Some(claiming) => claiming,
            None => unasked(pod, class, asks).ok_or_else(|| ambiguous(class, asks))?,
        },
    };
    let (index, ask) = chosen;
    if ask.container.has_claims() {
        plan.warnings.push(Warning::ClaimsOnly {
            container: ask.name_of_container().to_owned(),
        });
        return Ok(None);
    }
    Ok((!ask.opts_out()).then_some(index))
}

/// Regular containers and native sidecars, regular ones first.
fn eligible<'a, 'p>(asks: &'a [Ask<'p>]) -> impl Iterator<Item = (usize, &'a Ask<'p>)> {
    let of = |role| {
        asks.iter()
            .enumerate()
            .filter(move |(_, ask)| ask.role == role)
    };
    of(Role::Regular).chain(of(Role::Sidecar))
}

fn regular<'a, 'p>(asks: &'a [Ask<'p>]) -> impl Iterator<Item = (usize, &'a Ask<'p>)> {
    eligible(asks).filter(|(_, ask)| ask.role == Role::Regular)
}

fn named<'a, 'p>(asks: &'a [Ask<'p>], name: &str) -> Option<(usize, &'a Ask<'p>)> {
    eligible(asks).find(|(_, ask)| ask.name_of_container() == name)
}

/// The container that the author's annotation names.
fn annotated<'a, 'p>(
    pod: &Pod<'_>,
    asks: &'a [Ask<'p>],
) -> Result<Option<(usize, &'a Ask<'p>)>, Denial> {
    let Some(name) = pod.annotation(ANNOTATION) else {
        return Ok(None);
    };
    named(asks, name).map(Some).ok_or_else(|| {
        let message = format!(
            "annotation {ANNOTATION} names {name:?}, and the Pod has {}: name one of them",
            names(asks)
        );
        Denial::new(Reason::ContainerConflict, message)
    })
}

/// The container that gets the GPU where nobody asks and no annotation of ours says so.
fn unasked<'a, 'p>(
    pod: &Pod<'_>,
    class: &Allocation,
    asks: &'a [Ask<'p>],
) -> Option<(usize, &'a Ask<'p>)> {
    let of_class = || {
        class
            .container_names
            .iter()
            .find_map(|name| named(asks, name))
    };
    let default = || {
        pod.annotation(DEFAULT_CONTAINER)
            .and_then(|name| named(asks, name))
    };
    let users = || only(regular(asks).filter(|(_, ask)| USERS.contains(&ask.name_of_container())));
    of_class()
        .or_else(|| only_regular(asks))
        .or_else(default)
        .or_else(users)
}

/// The only regular container, injected ones left out where others remain.
fn only_regular<'a, 'p>(asks: &'a [Ask<'p>]) -> Option<(usize, &'a Ask<'p>)> {
    let own = || regular(asks).filter(|(_, ask)| !INJECTED.contains(&ask.name_of_container()));
    if own().next().is_some() {
        only(own())
    } else {
        only(regular(asks))
    }
}

fn only<T>(mut candidates: impl Iterator<Item = T>) -> Option<T> {
    let first = candidates.next();
    if candidates.next().is_some() {
        None
    } else {
        first
    }
}

fn conflict(named: &Ask<'_>, asking: &Ask<'_>) -> Denial {
    let message = format!(
        "annotation {ANNOTATION} names container {:?}, and container {:?} asks for the GPU: change one of them",
        named.name_of_container(),
        asking.name_of_container()
    );
    Denial::new(Reason::ContainerConflict, message)
}

fn ambiguous(class: &Allocation, asks: &[Ask<'_>]) -> Denial {
    let message = format!(
        "workload class {:?} cannot tell which container gets the GPU ({}): \
         set the annotation {ANNOTATION} to its name, or give that container the limit",
        class.name,
        names(asks)
    );
    Denial::new(Reason::ContainerAmbiguous, message)
}

fn names(asks: &[Ask<'_>]) -> String {
    let names: Vec<&str> = eligible(asks)
        .map(|(_, ask)| ask.name_of_container())
        .collect();
    if names.is_empty() {
        "no container".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests;
