//! The placement rules, in the order in which they are asked: first those of the class, then those of each group.
//!
//! [`place`] chooses the group. A rule is a function of the Pod and the group that appends to the [`Plan`].

use crate::{
    outcome::{Denial, Reason, Warning},
    patch::Patch,
    pod::{Pod, Spec, list, text},
    table::{Allocation, AllocationTable, Group},
};

mod annotation;
mod bundle;
mod class;
mod gpu_limits;
mod node_affinity;
mod target;
mod tolerations;

pub use class::authorise;

/// A Pod may have so many containers, of every kind together: work is bounded.
const MAX_CONTAINERS: usize = 100;
/// The result may have so many terms or tolerations.
const MAX_ENTRIES: usize = 1000;

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
struct Context<'t> {
    table: &'t AllocationTable,
    class: &'t Allocation,
    group: &'t Group,
}

/// What admission to one group would do to the Pod.
#[derive(Clone, Debug)]
pub struct Plan<'t> {
    /// The chosen group.
    pub group: &'t Group,
    /// The patch; empty where the Pod is as it should be.
    pub patch: Patch,
    /// What the author should know.
    pub warnings: Vec<Warning>,
    /// The Pod's GPUs, as the scheduler counts them.
    pub gpus: u64,
    /// The container that has the GPU, if one has.
    pub container: Option<String>,
    /// Whether the Pod is as it should be but for our annotation.
    settled: bool,
}

/// Chooses the group and plans the patch (rule 0): the first for which nothing is to do, else the first for which
/// only our annotation is missing, else the first with enough free GPUs, else the first.
pub fn place<'t>(
    pod: &Pod<'_>,
    table: &'t AllocationTable,
    class: &'t Allocation,
) -> Result<Plan<'t>, Denial> {
    let no_spec = Spec::default();
    let spec = pod.spec.as_ref().unwrap_or(&no_spec);
    bypasses_scheduler(spec, class)?;
    bounded(spec)?;
    let (mut plans, mut denials) = (Vec::new(), Vec::new());
    for group in &class.groups {
        match plan(
            pod,
            spec,
            Context {
                table,
                class,
                group,
            },
        ) {
            Ok(plan) if plan.patch.is_empty() => return Ok(plan),
            Ok(plan) => plans.push(plan),
            Err(denial) => denials.push(denial),
        }
    }
    let settled = plans.iter().position(|plan| plan.settled);
    let free = || {
        plans
            .iter()
            .position(|plan| table.has_free(plan.group, plan.gpus))
    };
    let chosen = settled.or_else(free).unwrap_or(0);
    if plans.is_empty() {
        Err(joined(class, denials))
    } else {
        Ok(plans.swap_remove(chosen))
    }
}

/// Every rule of a group, in order.
fn plan<'t>(pod: &Pod<'_>, spec: &Spec<'_>, context: Context<'t>) -> Result<Plan<'t>, Denial> {
    let group = context.group;
    let mut plan = Plan {
        group,
        patch: Patch::default(),
        warnings: Vec::new(),
        gpus: 0,
        container: None,
        settled: false,
    };
    runs_windows(spec, context)?;
    node_affinity::apply(spec, context, &mut plan)?;
    tolerations::apply(spec, group, &mut plan)?;
    if !plan.patch.is_empty()
        && pod
            .controller()
            .is_some_and(|owner| text(&owner.kind) == "DaemonSet")
    {
        plan.warnings.push(Warning::DaemonSetTemplate);
    }
    gpu_limits::apply(pod, spec, context, &mut plan)?;
    bundle::schedule(spec, context.class, &mut plan);
    plan.settled = plan.patch.is_empty();
    annotation::apply(pod, group, &mut plan);
    Ok(plan)
}

/// Rule 29.
fn bypasses_scheduler(spec: &Spec<'_>, class: &Allocation) -> Result<(), Denial> {
    let node = text(&spec.node_name);
    if node.is_empty() {
        return Ok(());
    }
    let message = format!(
        "spec.nodeName {node:?} bypasses the scheduler, so workload class {:?} cannot place the Pod: \
         remove nodeName and use the label alone, or a nodeSelector",
        class.name
    );
    Err(Denial::new(Reason::NodeNameSet, message))
}

/// Rule 32, of containers.
fn bounded(spec: &Spec<'_>) -> Result<(), Denial> {
    let count = list(&spec.containers).len() + list(&spec.init_containers).len();
    if count <= MAX_CONTAINERS {
        return Ok(());
    }
    let message =
        format!("the Pod has {count} containers: berth places at most {MAX_CONTAINERS}; split it");
    Err(Denial::new(Reason::TooManyContainers, message))
}

/// Rule 32, of Windows.
fn runs_windows(spec: &Spec<'_>, context: Context<'_>) -> Result<(), Denial> {
    let windows = spec
        .os
        .as_ref()
        .is_some_and(|os| text(&os.name) == "windows");
    if !windows || context.group.windows {
        return Ok(());
    }
    let message = format!(
        "spec.os.name is windows, and {} of workload class {:?} does not select kubernetes.io/os=windows: \
         use a class with a Windows pool",
        pools(context.group),
        context.class.name
    );
    Err(Denial::new(Reason::WindowsPod, message))
}

/// One message for the denials of every group: alone as it is, else each with its pools.
fn joined(class: &Allocation, mut denials: Vec<Denial>) -> Denial {
    if denials.len() == 1 {
        return denials.swap_remove(0);
    }
    let reason = denials
        .first()
        .map_or(Reason::PlacementContradiction, |first| first.reason);
    let each = class.groups.iter().zip(&denials);
    let each: Vec<String> = each
        .map(|(group, denial)| format!("{}: {}", pools(group), denial.message))
        .collect();
    Denial::new(
        reason,
        format!(
            "no pools of workload class {:?} fit: {}",
            class.name,
            each.join("; ")
        ),
    )
}

/// `pool "a"` or `pools "a,b"`.
fn pools(group: &Group) -> String {
    let plural = if group.pools.len() == 1 { "" } else { "s" };
    format!("pool{plural} {:?}", group.name.text)
}

#[cfg(test)]
mod tests;
