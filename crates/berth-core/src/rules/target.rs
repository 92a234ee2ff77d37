//! Which container gets the limit (rules 13 and 19): asked in an order that never guesses.

use crate::{
    names::{CONTAINER_ANNOTATION, DEFAULT_CONTAINER_ANNOTATION},
    outcome::{Denial, Reason},
    placement::{Given, GpuRequest, Role, Target, Way},
    pod::Pod,
    shown,
    table::{Allocation, AllocationTable},
};

use super::Context;

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

/// A container that may get the GPU, with its index among all.
type Candidate<'r, 'a> = (usize, &'r GpuRequest<'a>);

/// The container that the GPU is for, how it was found, and what it is given.
pub(super) fn choose(
    pod: &Pod<'_>,
    context: Context<'_>,
    requests: &[GpuRequest<'_>],
) -> Result<Option<Target>, Denial> {
    let asking = eligible(requests).find(|(_, request)| request.gpus() > 0);
    let (way, (container, request)) = match (annotated(pod, requests)?, asking) {
        (Some((_, named)), Some((_, asking))) if named.gpus() == 0 => {
            return Err(conflict(named, asking));
        }
        (Some(named), _) => (Way::Annotated, named),
        (None, Some(asking)) => (Way::Asks, asking),
        (None, None) => match eligible(requests).find(|(_, request)| request.has_claims) {
            Some(claiming) => (Way::Claims, claiming),
            None => {
                unasked(pod, context, requests).ok_or_else(|| ambiguous(context.class, requests))?
            }
        },
    };
    let given = match request {
        request if request.gpus() > 0 => Given::ItsOwn,
        request if request.has_claims => Given::Claim,
        request if request.opts_out().is_some() => Given::OptedOut,
        _ => Given::Gpus,
    };
    Ok(Some(Target {
        container,
        way,
        given,
    }))
}

/// Regular containers and native sidecars, regular ones first.
fn eligible<'r, 'a>(requests: &'r [GpuRequest<'a>]) -> impl Iterator<Item = Candidate<'r, 'a>> {
    let of = |role| {
        requests
            .iter()
            .enumerate()
            .filter(move |(_, request)| request.role == role)
    };
    of(Role::Regular).chain(of(Role::Sidecar))
}

fn regular<'r, 'a>(requests: &'r [GpuRequest<'a>]) -> impl Iterator<Item = Candidate<'r, 'a>> {
    eligible(requests).filter(|(_, request)| request.role == Role::Regular)
}

fn named<'r, 'a>(requests: &'r [GpuRequest<'a>], name: &str) -> Option<Candidate<'r, 'a>> {
    eligible(requests).find(|(_, request)| *request.container == *name)
}

/// The container that the author's annotation names.
fn annotated<'r, 'a>(
    pod: &Pod<'_>,
    requests: &'r [GpuRequest<'a>],
) -> Result<Option<Candidate<'r, 'a>>, Denial> {
    let Some(name) = pod.annotation(CONTAINER_ANNOTATION) else {
        return Ok(None);
    };
    named(requests, name).map(Some).ok_or_else(|| {
        let message = format!(
            "annotation {CONTAINER_ANNOTATION} names {}, and the Pod has {}: name one of them",
            shown::named(name),
            names(requests)
        );
        Denial::new(Reason::ContainerConflict, message)
    })
}

/// The container that gets the GPU where nobody asks and no annotation of ours says so.
fn unasked<'r, 'a>(
    pod: &Pod<'_>,
    context: Context<'_>,
    requests: &'r [GpuRequest<'a>],
) -> Option<(Way, Candidate<'r, 'a>)> {
    let by_class = || {
        let mut names = context.class.container_names.iter();
        names.find_map(|name| named(requests, name))
    };
    let by_kubectl = || {
        let name = pod.annotation(DEFAULT_CONTAINER_ANNOTATION)?;
        named(requests, name)
    };
    let by_framework =
        || only(regular(requests).filter(|(_, request)| USERS.contains(&&*request.container)));
    let found = |way| move |candidate| (way, candidate);
    by_class()
        .map(found(Way::NamedByClass))
        .or_else(|| only_regular(requests, &context.view.table).map(found(Way::OnlyOne)))
        .or_else(|| by_kubectl().map(found(Way::KubectlDefault)))
        .or_else(|| by_framework().map(found(Way::NamedByFramework)))
}

/// The only regular container, injected ones left out where others remain.
fn only_regular<'r, 'a>(
    requests: &'r [GpuRequest<'a>],
    table: &AllocationTable,
) -> Option<Candidate<'r, 'a>> {
    let is_injected = |name: &str| INJECTED.contains(&name) || table.injects(name);
    let own = || regular(requests).filter(|(_, request)| !is_injected(&request.container));
    if own().next().is_some() {
        only(own())
    } else {
        only(regular(requests))
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

fn conflict(named: &GpuRequest<'_>, asking: &GpuRequest<'_>) -> Denial {
    let message = format!(
        "annotation {CONTAINER_ANNOTATION} names container {}, and container {} asks for the GPU: change one of them",
        shown::named(&named.container),
        shown::named(&asking.container)
    );
    Denial::new(Reason::ContainerConflict, message)
}

fn ambiguous(class: &Allocation, requests: &[GpuRequest<'_>]) -> Denial {
    let message = format!(
        "workload class {} cannot tell which container gets the GPU ({}): \
         set the annotation {CONTAINER_ANNOTATION} to its name, or give that container the limit",
        shown::quoted(&class.name),
        names(requests)
    );
    Denial::new(Reason::ContainerAmbiguous, message)
}

fn names(requests: &[GpuRequest<'_>]) -> String {
    let names: Vec<_> = eligible(requests)
        .map(|(_, request)| shown::name(&request.container))
        .collect();
    if names.is_empty() {
        "no container".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests;
