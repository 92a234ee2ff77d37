//! The rest of the bundle: runtime class, environment and scheduler (rules 22 to 24).

use crate::{
    placement::{ContainerPlacement, RuntimeClass},
    pod::{Container, Spec, list, text},
    table::{Allocation, Group, Rendered},
};

const VISIBLE_DEVICES: &str = "NVIDIA_VISIBLE_DEVICES";

/// The runtime class, for a Pod that ends with a GPU (rule 22).
pub(super) fn runtime_class<'a>(spec: &Spec<'a>, group: &'a Group, gpus: u64) -> RuntimeClass<'a> {
    match (&group.runtime_class, &spec.runtime_class_name) {
        (Some(ours), None) if gpus > 0 => RuntimeClass::Added(ours),
        (Some(ours), Some(theirs)) if gpus > 0 && ours.text != **theirs => RuntimeClass::Kept {
            kept: theirs.clone(),
            wanted: ours,
        },
        (Some(_), Some(_)) if gpus > 0 => RuntimeClass::InPlace,
        _ => RuntimeClass::NotNeeded,
    }
}

/// The environment, for one container that ends with a GPU (rule 23).
pub(super) fn environment<'a>(
    container: &Container<'a>,
    group: &'a Group,
    placed: &mut ContainerPlacement<'a>,
) {
    let there = list(&container.env);
    let is_missing = |var: &&Rendered| !there.iter().any(|other| text(&other.name) == var.text);
    placed.env = group.env.iter().filter(is_missing).collect();
    placed.overrides_env_from = !placed.env.is_empty() && !list(&container.env_from).is_empty();
}

/// Whether the NVIDIA runtime reads a variable of the author's that defeats the limit (rule 23).
pub(super) fn reads_visible_devices(spec: &Spec<'_>, group: &Group) -> bool {
    let ours = group.runtime_class.as_ref();
    let ours = ours.map(|class| class.text.as_str());
    let class = spec.runtime_class_name.as_deref().or(ours);
    let is_nvidia = class.unwrap_or_default().starts_with("nvidia");
    is_nvidia && !group.env.iter().any(|var| var.text == VISIBLE_DEVICES)
}

/// Whether a container sets that variable itself.
pub(super) fn sets_visible_devices(container: &Container<'_>) -> bool {
    let mut variables = list(&container.env).iter();
    variables.any(|var| text(&var.name) == VISIBLE_DEVICES)
}

/// The scheduler that is set: the API server's default counts as absent (rule 24).
pub(super) fn scheduler<'a>(spec: &Spec<'_>, class: &'a Allocation) -> Option<&'a Rendered> {
    const DEFAULT: &str = "default-scheduler";
    let is_absent = matches!(spec.scheduler_name.as_deref(), None | Some(DEFAULT));
    let scheduler = class.scheduler.as_ref();
    scheduler.filter(|scheduler| is_absent && scheduler.text != DEFAULT)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        outcome::Reason,
        testing::{Admitted, admit, class, pod, pool, view},
    };

    fn admitted(pool_spec: Value, class_spec: Value, spec: Value) -> Admitted {
        let view = view(&[pool("p", pool_spec), class("c", &["p"], class_spec)]);
        let admitted = admit(&view, &pod(spec)).expect("admitted");
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
