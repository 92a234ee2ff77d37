//! GPU limits (rules 14 to 16): who ends with how many GPUs, and what goes with them.

use crate::{
    outcome::{Denial, Reason},
    placement::{ContainerPlacement, Given, GpuRequest, Role, Target},
    pod::{Pod, Spec, list},
    quantity::LARGEST,
};

use super::{
    Context, bundle,
    gpu_requests::{self, Named},
    target,
};

/// The GPU's part of a placement.
#[derive(Debug)]
pub(super) struct Limits<'a> {
    pub(super) containers: Vec<ContainerPlacement<'a>>,
    pub(super) target: Option<Target>,
    /// The Pod's GPUs, as the scheduler counts them.
    pub(super) gpus: u64,
}

/// Gives the Pod's container its limit, and everyone with a GPU what else it needs.
pub(super) fn decide<'a>(
    pod: &Pod<'a>,
    spec: &Spec<'a>,
    resources: &[Vec<Named<'_, 'a>>],
    context: Context<'a>,
) -> Result<Limits<'a>, Denial> {
    let requests = gpu_requests::read(spec, resources, context)?;
    let target = target::choose(pod, context, &requests)?;
    let by_alias = |it: &GpuRequest<'_>| it.gpus() > 0 && it.alias(context.group).is_some();
    let renames = requests.iter().any(by_alias);
    let given = target.filter(|target| target.given == Given::Gpus);
    let place = |(i, request): (usize, GpuRequest<'a>)| {
        let is_given = given.is_some_and(|target| target.container == i);
        ContainerPlacement {
            gpus: if is_given {
                context.class.default_gpus
            } else {
                request.gpus()
            },
            is_renamed: renames && request.alias(context.group).is_some(),
            env: Vec::new(),
            overrides_env_from: false,
            defeats_limit: false,
            request,
        }
    };
    let mut containers: Vec<ContainerPlacement<'a>> =
        requests.into_iter().enumerate().map(place).collect();
    let gpus = effective(&containers);
    within_maximum(context, gpus)?;
    environment(spec, context, gpus, &mut containers);
    Ok(Limits {
        containers,
        target,
        gpus,
    })
}

/// What the containers' environment needs, and what of it defeats the limit (rule 23).
fn environment<'a>(
    spec: &Spec<'a>,
    context: Context<'a>,
    gpus: u64,
    containers: &mut [ContainerPlacement<'a>],
) {
    let reads_visible_devices = bundle::reads_visible_devices(spec, context.group, gpus);
    if gpus == 0 && !reads_visible_devices {
        return;
    }
    let all = list(&spec.init_containers).iter();
    let all = all.chain(list(&spec.containers));
    for (container, placed) in all.zip(containers) {
        if placed.gpus > 0 {
            bundle::environment(container, context.group, placed);
        }
        placed.defeats_limit =
            reads_visible_devices && bundle::shows_devices(container, placed.gpus);
    }
}

/// The Pod's GPUs as the scheduler counts them: an init container runs beside the sidecars before it.
fn effective(containers: &[ContainerPlacement<'_>]) -> u64 {
    let (mut running, mut peak) = (0_u64, 0_u64);
    for ContainerPlacement { request, gpus, .. } in containers {
        match request.role {
            Role::Init => peak = peak.max(running.saturating_add(*gpus)),
            Role::Sidecar | Role::Regular => running = running.saturating_add(*gpus),
        }
    }
    peak.max(running)
}

/// Rule 16.
fn within_maximum(context: Context<'_>, gpus: u64) -> Result<(), Denial> {
    let Context { class, group, .. } = context;
    if gpus <= class.max_gpus {
        return Ok(());
    }
    let or_more = if gpus >= LARGEST { " or more" } else { "" };
    let gpus = gpus.min(LARGEST);
    let message = format!(
        "the Pod asks for {gpus}{or_more} of {}, and workload class {:?} allows {}: ask for fewer, or use another class \
         (a LimitRange of the namespace may have filled in the request)",
        group.resource, class.name, class.max_gpus
    );
    Err(Denial::new(Reason::TooManyGpus, message))
}

#[cfg(test)]
mod tests;
