//! The rest of the bundle: runtime class, environment and scheduler (rules 22 to 24).

use crate::core::{
    outcome::Warning,
    patch::Presence,
    pod::{Container, Spec, list, text},
    table::{Allocation, Fragment, Group},
};

use super::{Plan, gpu_limits::Place};

const VISIBLE_DEVICES: &str = "NVIDIA_VISIBLE_DEVICES";

/// The runtime class, for a Pod that ends with a GPU (rule 22).
pub(super) fn runtime(spec: &Spec<'_>, group: &Group, plan: &mut Plan<'_>) {
    match (&group.runtime_class, spec.runtime_class_name.as_deref()) {
        (Some(ours), None) => plan.patch.add("/spec/runtimeClassName", &ours.json),
        (Some(ours), Some(theirs)) if ours.text != theirs => {
            let (kept, wanted) = (theirs.to_owned(), ours.text.clone());
            plan.warnings
                .push(Warning::RuntimeClassKept { kept, wanted });
        }
        _ => {}
    }
}

/// The environment, for one container that ends with a GPU (rule 23).
pub(super) fn environment(
    container: &Container<'_>,
    place: Place,
    group: &Group,
    plan: &mut Plan<'_>,
) {
    let there = list(&container.env);
    let missing = |var: &&Fragment| !there.iter().any(|other| text(&other.name) == var.text);
    let missing: Vec<&str> = group
        .env
        .iter()
        .filter(missing)
        .map(|var| var.json.as_str())
        .collect();
    if !missing.is_empty() && !list(&container.env_from).is_empty() {
        plan.warnings.push(Warning::EnvFromOverridden {
            container: text(&container.name).to_owned(),
        });
    }
    plan.patch.append(
        format_args!("{place}/env"),
        Presence::from(&container.env),
        missing,
    );
}

/// A variable of the author's that defeats the limit under the NVIDIA runtime (rule 23).
pub(super) fn visible_devices<'p>(
    spec: &'p Spec<'_>,
    containers: impl Iterator<Item = &'p Container<'p>>,
    group: &Group,
    plan: &mut Plan<'_>,
) {
    let ours = group
        .runtime_class
        .as_ref()
        .map(|class| class.text.as_str());
    let class = spec
        .runtime_class_name
        .as_deref()
        .or(ours)
        .unwrap_or_default();
    if !class.starts_with("nvidia") || group.env.iter().any(|var| var.text == VISIBLE_DEVICES) {
        return;
    }
    for container in containers {
        if list(&container.env)
            .iter()
            .any(|var| text(&var.name) == VISIBLE_DEVICES)
        {
            plan.warnings.push(Warning::VisibleDevices {
                container: text(&container.name).to_owned(),
            });
        }
    }
}

/// The scheduler: the API server's default counts as absent (rule 24).
pub(super) fn schedule(spec: &Spec<'_>, class: &Allocation, plan: &mut Plan<'_>) {
    const DEFAULT: &str = "default-scheduler";
    let free = matches!(spec.scheduler_name.as_deref(), None | Some(DEFAULT));
    if let Some(scheduler) = class
        .scheduler
        .as_ref()
        .filter(|scheduler| free && scheduler.text != DEFAULT)
    {
        plan.patch.add("/spec/schedulerName", &scheduler.json);
    }
}
