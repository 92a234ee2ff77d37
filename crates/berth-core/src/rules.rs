//! The placement rules, in the order in which they are asked: first those of the class, then those of each group.
//!
//! [`place`] chooses the group. A rule is a function of the Pod and the group that gives its part of the [`Placement`].

use smallvec::SmallVec;

use crate::{
    labels::Labels,
    live::{Plan, Wish},
    outcome::{Denial, Reason},
    placement::{NodeAffinity, Placement},
    pod::{Pod, Spec, text},
    shown,
    table::{Allocation, Group},
    view::View,
};

mod annotation;
mod bounds;
mod bundle;
mod class;
mod gpu_limits;
mod gpu_requests;
mod node_affinity;
mod os;
mod target;
mod tolerations;

pub(crate) use class::unseen;
use gpu_requests::Named;

pub use bounds::too_many;
pub use class::authorise;

/// What a rule looks at besides the Pod.
#[derive(Clone, Copy, Debug)]
struct Context<'a> {
    view: &'a View,
    class: &'a Allocation,
    group: &'a Group,
    /// Whether the Node that `nodeName` has chosen already is of the group; none without one (rule 29).
    is_on_node: Option<bool>,
}

/// What the request says of a Pod that is created.
#[derive(Clone, Copy, Debug)]
pub struct Creation<'a> {
    /// The namespace: the object's own may be empty (rule 30).
    pub namespace: &'a str,
    /// Whether nothing is stored in the end.
    pub dry_run: bool,
}

/// What each group that can serve the Pod would do; mostly, there is one.
type Placements<'a> = SmallVec<[Placement<'a>; 1]>;

/// Chooses the group, and decides what its Pod needs (rule 0): the first group for which nothing is to do, else the first
/// for which only our annotation is missing, else by the room that the groups have.
pub fn place<'a>(
    pod: &Pod<'a>,
    creation: Creation<'_>,
    view: &'a View,
    class: &'a Allocation,
) -> Result<Placement<'a>, Denial> {
    let no_spec = Spec::default();
    let spec = pod.spec.as_ref().unwrap_or(&no_spec);
    let node = node(spec, view, class)?;
    bounds::containers(spec)?;
    let resources = gpu_requests::named(spec, &view.table);
    let (mut placements, mut denials) = (Placements::new(), Vec::new());
    let groups = os::groups(spec, class)?;
    for group in groups.clone() {
        let context = Context {
            view,
            class,
            group,
            is_on_node: node.as_ref().map(|labels| group.selects(labels)),
        };
        match in_group(pod, spec, &resources, context) {
            Ok(placement) if placement.changes_nothing() => return Ok(placement),
            Ok(placement) => placements.push(placement),
            Err(denial) => denials.push(denial),
        }
    }
    if placements.is_empty() {
        return Err(joined(class, groups, denials));
    }
    if let Some(in_place) = placements.iter().position(Placement::is_in_place) {
        return Ok(placements.swap_remove(in_place));
    }
    Ok(with_room(placements, pod, creation, view, class))
}

/// The first group with room (rule 0). A class whose groups no class chooses between asks nobody: there is one.
fn with_room<'a>(
    mut placements: Placements<'a>,
    pod: &Pod<'a>,
    creation: Creation<'_>,
    view: &View,
    class: &Allocation,
) -> Placement<'a> {
    if !class.is_chosen_between {
        return placements.swap_remove(0);
    }
    let plan = |it: &Placement<'a>| Plan {
        group: it.group,
        gpus: it.gpus,
    };
    let plans: Vec<Plan<'_>> = placements.iter().map(plan).collect();
    let choice = view.live.choose(&Wish {
        namespace: creation.namespace,
        owner: pod.owner(),
        class,
        plans: &plans,
        dry_run: creation.dry_run,
    });
    let chosen = choice.plan.min(placements.len() - 1);
    Placement {
        choice: Some(choice),
        ..placements.swap_remove(chosen)
    }
}

/// Every rule of a group, in order.
fn in_group<'a>(
    pod: &Pod<'a>,
    spec: &Spec<'a>,
    resources: &[Vec<Named<'_, 'a>>],
    context: Context<'a>,
) -> Result<Placement<'a>, Denial> {
    let group = context.group;
    let affinity = match context.is_on_node {
        Some(true) => NodeAffinity::default(),
        Some(false) => return Err(not_of_group(spec, context)),
        None => node_affinity::decide(spec, context)?,
    };
    let taints = tolerations::decide(spec, group)?;
    let limits = gpu_limits::decide(pod, spec, resources, context)?;
    let controller = pod.controller();
    let placement = Placement {
        group,
        affinity,
        taints,
        runtime_class: bundle::runtime_class(spec, group, limits.gpus),
        containers: limits.containers,
        target: limits.target,
        gpus: limits.gpus,
        scheduler: bundle::scheduler(spec, context.class),
        kept_scheduler: bundle::kept_scheduler(spec, context.class),
        annotation: annotation::decide(pod, group),
        choice: None,
        is_of_daemon_set: controller.is_some_and(|owner| text(&owner.kind) == "DaemonSet"),
    };
    bounds::result(pod, spec, &placement)?;
    Ok(placement)
}

const NODE_NAME: &str = "spec.nodeName";

/// Rule 29: what `nodeName` says bypasses the scheduler, so the Node must be known.
fn node(spec: &Spec<'_>, view: &View, class: &Allocation) -> Result<Option<Labels>, Denial> {
    let name = text(&spec.node_name);
    if name.is_empty() {
        return Ok(None);
    }
    let message = || {
        format!(
            "spec.nodeName {} bypasses the scheduler, so workload class {} cannot place the Pod: \
             remove nodeName and use the label alone, or a nodeSelector",
            shown::named(name),
            shown::quoted(&class.name)
        )
    };
    let labels = view.live.node(name);
    let denied = || Denial::new(Reason::NodeNameSet, message()).at(NODE_NAME, None);
    let labels = labels.ok_or_else(denied)?;
    Ok(Some(labels))
}

/// Rule 29: the Node is none of the group's.
fn not_of_group(spec: &Spec<'_>, context: Context<'_>) -> Denial {
    Denial::of_group(
        Reason::NodeNameSet,
        format!(
            "spec.nodeName {} is not a Node of ",
            shown::named(text(&spec.node_name))
        ),
        format!(
            "{} of workload class {}",
            pools(context.group),
            shown::quoted(&context.class.name)
        ),
        " or ",
        ": remove nodeName and use the label alone, or name a Node of the pool".to_owned(),
    )
    .at(NODE_NAME, None)
}

/// One message for the denials of every group: one sentence, if it is the same for all, else each with its pools
/// (rule 0). The reason is that of the group that is nearest to serving the Pod.
fn joined<'a>(
    class: &Allocation,
    groups: impl Iterator<Item = &'a Group>,
    mut denials: Vec<Denial>,
) -> Denial {
    if denials.len() == 1 {
        return denials.swap_remove(0);
    }
    let reasons = denials.iter().map(|denial| denial.reason);
    let reason = reasons.min_by_key(|reason| distance(*reason));
    let reason = reason.unwrap_or(Reason::PlacementContradiction);
    let mut nearest = denials.iter().filter(|denial| denial.reason == reason);
    let at = nearest.find_map(|denial| denial.at.clone());
    let message = Denial::one_sentence(&denials).unwrap_or_else(|| {
        let each = groups.zip(&denials);
        let each: Vec<String> = each
            .map(|(group, denial)| format!("{}: {}", pools(group), denial.message))
            .collect();
        let class = shown::quoted(&class.name);
        format!(
            "no pools of workload class {class} fit: {}",
            each.join("; ")
        )
    });
    let mut joined = Denial::new(reason, message);
    joined.at = at;
    joined
}

/// How far a group is from serving a Pod that it denies: another GPU is farthest, then other nodes.
fn distance(reason: Reason) -> u8 {
    match reason {
        Reason::OtherGpu => 2,
        Reason::PlacementContradiction | Reason::NodeNameSet => 1,
        _ => 0,
    }
}

/// `pool "a"` or `pools "a,b"`.
fn pools(group: &Group) -> String {
    let noun = one_or_many(group, "pool", "pools");
    format!("{noun} {}", shown::quoted(&group.name.text))
}

/// The word that goes with the pools of a group: for one, or for several.
fn one_or_many<'w>(group: &Group, one: &'w str, many: &'w str) -> &'w str {
    if group.pools.len() == 1 { one } else { many }
}

#[cfg(test)]
mod tests;
