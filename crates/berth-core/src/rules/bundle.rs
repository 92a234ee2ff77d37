//! The rest of the bundle: runtime class, environment and scheduler (rules 22 to 24).

use crate::{
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
    plan.patch
        .append((place, "/env"), Presence::from(&container.env), missing);
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        outcome::Reason,
        testing::{Admitted, admit, class, pod, pool, table},
    };

    fn admitted(pool_spec: Value, class_spec: Value, spec: Value) -> Admitted {
        let table = table(&[pool("p", pool_spec), class("c", &["p"], class_spec)]);
        let admitted = admit(&table, &pod(spec)).expect("admitted");
        assert_eq!(admitted.reason, Reason::Placed);
        admitted
    }

    #[test]
    fn the_runtime_class_is_set_where_there_is_none() {
        let nvidia = json!({"runtimeClassName": "nvidia"});
        for (there, after, warnings) in [
            (json!({}), "nvidia", 0),
            (json!({"runtimeClassName": null}), "nvidia", 0),
            (json!({"runtimeClassName": "nvidia"}), "nvidia", 0),
            (json!({"runtimeClassName": "kata"}), "kata", 1),
        ] {
            let admitted = admitted(nvidia.clone(), json!({}), there);
            assert_eq!(admitted.pod["spec"]["runtimeClassName"], after);
            assert_eq!(admitted.warnings.len(), warnings, "{:?}", admitted.warnings);
        }
        let opted_out = json!({"containers": [{"name": "main", "resources": {"limits": {"amd.com/gpu": "0"}}}]});
        let admitted = admitted(nvidia, json!({}), opted_out);
        assert_eq!(admitted.pod["spec"].get("runtimeClassName"), None);
    }

    #[test]
    fn the_environment_is_appended_where_a_gpu_ends_up() {
        let env = json!({"env": [{"name": "A", "value": "<1>"}, {"name": "B", "value": ""}]});
        let ours = json!([{"name": "A", "value": "<1>"}, {"name": "B", "value": ""}]);
        let theirs = json!([{"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]);
        for (there, after) in [
            (Value::Null, ours.clone()),
            (json!([]), ours.clone()),
            (theirs.clone(), json!([theirs[0], ours[0]])),
            (
                json!([{"name": "A", "value": "x"}, {"name": "B"}]),
                json!([{"name": "A", "value": "x"}, {"name": "B"}]),
            ),
        ] {
            let spec = json!({"containers": [{"name": "main", "env": there}], "initContainers": [
                {"name": "asks", "resources": {"limits": {"amd.com/gpu": 1}}}, {"name": "does-not"},
            ]});
            let admitted = admitted(env.clone(), json!({}), spec);
            let spec = &admitted.pod["spec"];
            assert_eq!(spec["containers"][0]["env"], after);
            assert_eq!(spec["initContainers"][0]["env"], ours);
            assert_eq!(spec["initContainers"][1].get("env"), None);
            assert_eq!(admitted.warnings, Vec::<String>::new());
        }
    }

    #[test]
    fn what_the_environment_hides_or_defeats_is_said() {
        let env = json!({"env": [{"name": "A", "value": "1"}], "runtimeClassName": "nvidia"});
        let from =
            json!({"containers": [{"name": "main", "envFrom": [{"configMapRef": {"name": "x"}}]}]});
        let warnings = admitted(env.clone(), json!({}), from).warnings;
        assert_eq!(
            warnings,
            ["berth: the env added to container main overrides its envFrom"]
        );
        let all = json!({"containers": [{"name": "main", "env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]}]});
        let warnings = admitted(env, json!({}), all.clone()).warnings;
        assert_eq!(
            warnings,
            ["berth: NVIDIA_VISIBLE_DEVICES in container main defeats the GPU limit: remove it"]
        );
        assert_eq!(
            admitted(json!({}), json!({}), all).warnings,
            Vec::<String>::new()
        );
    }

    #[test]
    fn the_scheduler_is_set_where_the_api_server_would() {
        let volcano = json!({"schedulerName": "volcano"});
        for (there, after) in [
            (json!({}), "volcano"),
            (json!({"schedulerName": "default-scheduler"}), "volcano"),
            (json!({"schedulerName": "mine"}), "mine"),
        ] {
            let admitted = admitted(json!({}), volcano.clone(), there);
            assert_eq!(admitted.pod["spec"]["schedulerName"], after);
        }
        let none = admitted(
            json!({}),
            json!({"schedulerName": "default-scheduler"}),
            json!({}),
        );
        assert_eq!(none.pod["spec"].get("schedulerName"), None);
    }
}
