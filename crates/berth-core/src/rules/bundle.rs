//! The rest of the bundle: runtime class, environment and scheduler (rules 22 to 24).

use crate::{
    accelerators::{vendor_of, vendor_of_runtime},
    json::Raw,
    placement::{ContainerPlacement, Kept, RuntimeClass},
    pod::{Container, Spec, has, list, text},
    table::{Allocation, Group, Rendered},
};

const VISIBLE_DEVICES: &str = "NVIDIA_VISIBLE_DEVICES";
/// The values of it that show no GPU, as JSON.
const HIDING: &[&str] = &["\"\"", "\"none\"", "\"void\""];
/// What the API server gives a Pod that names no scheduler.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// The runtime class, for a Pod that ends with a GPU (rule 22).
pub(super) fn runtime_class<'a>(spec: &Spec<'a>, group: &'a Group, gpus: u64) -> RuntimeClass<'a> {
    let ours = group.runtime_class.as_ref();
    let wanted = ours.filter(|_| gpus > 0);
    let Some(theirs) = &spec.runtime_class_name else {
        return wanted.map_or(RuntimeClass::NotNeeded, RuntimeClass::Added);
    };
    if theirs.is_empty() {
        return RuntimeClass::Empty;
    }
    if ours.is_some_and(|ours| ours.text == **theirs) {
        return wanted.map_or(RuntimeClass::NotNeeded, |_| RuntimeClass::InPlace);
    }
    let kept = theirs.clone();
    match (
        vendor_of_runtime(theirs),
        vendor_of(&group.resource),
        wanted,
    ) {
        (Some(vendor), Some(of_group), _) if vendor != of_group => RuntimeClass::Foreign {
            kept,
            vendor,
            of_group,
        },
        (_, _, Some(wanted)) => RuntimeClass::Kept { kept, wanted },
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
    placed.overrides_env_from = !placed.env.is_empty() && has(container.env_from);
}

/// Whether the NVIDIA runtime reads a variable of the author's that defeats the limit (rule 23): also where nothing ends
/// with a GPU, if the author has set the runtime class.
pub(super) fn reads_visible_devices(spec: &Spec<'_>, group: &Group, gpus: u64) -> bool {
    let ours = group.runtime_class.as_ref().filter(|_| gpus > 0);
    let ours = ours.map(|class| class.text.as_str());
    let class = spec.runtime_class_name.as_deref().or(ours);
    let is_nvidia = class.unwrap_or_default().starts_with("nvidia");
    is_nvidia && !group.env.iter().any(|var| var.text == VISIBLE_DEVICES)
}

/// Whether a container sets that variable itself, to what shows it other GPUs than its own: none is right where it has
/// none.
pub(super) fn shows_devices(container: &Container<'_>, gpus: u64) -> bool {
    let mut variables = list(&container.env).iter();
    let hides = |value: Raw<'_>| HIDING.contains(&value.0);
    variables.any(|var| {
        text(&var.name) == VISIBLE_DEVICES && !(gpus == 0 && var.value.is_some_and(hides))
    })
}

/// The scheduler that is set: the API server's default counts as absent (rule 24).
pub(super) fn scheduler<'a>(spec: &Spec<'_>, class: &'a Allocation) -> Option<&'a Rendered> {
    let is_absent = matches!(
        spec.scheduler_name.as_deref(),
        None | Some(DEFAULT_SCHEDULER)
    );
    let scheduler = class.scheduler.as_ref();
    scheduler.filter(|scheduler| is_absent && scheduler.text != DEFAULT_SCHEDULER)
}

/// The scheduler that stays against the class's (rule 24).
pub(super) fn kept_scheduler<'a>(spec: &Spec<'a>, class: &'a Allocation) -> Option<Kept<'a>> {
    let (kept, wanted) = (spec.scheduler_name.as_ref()?, class.scheduler.as_ref()?);
    let stays = !matches!(&**kept, "" | DEFAULT_SCHEDULER) && wanted.text != **kept;
    stays.then(|| Kept {
        kept: kept.clone(),
        wanted,
    })
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
            [
                "berth: the env added to container main overrides its envFrom: rename a variable there to keep it"
            ]
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
    fn a_runtime_class_that_cannot_be_there_is_said() {
        for (ours, theirs, says) in [
            (
                json!({}),
                "nvidia",
                Some(
                    "berth: runtimeClassName nvidia is NVIDIA's, and pool p has GPUs of AMD: the Pod will not start there",
                ),
            ),
            (
                json!({"runtimeClassName": "amd"}),
                "nvidia-cdi",
                Some("will not start there"),
            ),
            (json!({"resourceName": "example.com/gpu"}), "nvidia", None),
            (json!({"resourceName": "nvidia.com/gpu"}), "nvidia", None),
            // a pool that says so itself knows better
            (json!({"runtimeClassName": "nvidia"}), "nvidia", None),
            (json!({}), "kata", None),
            (
                json!({}),
                "",
                Some(
                    "berth: runtimeClassName is empty: the API server denies it; remove the field",
                ),
            ),
            (json!({"runtimeClassName": "amd"}), "", Some("is empty")),
        ] {
            let admitted = admitted(ours.clone(), json!({}), json!({"runtimeClassName": theirs}));
            assert_eq!(admitted.pod["spec"]["runtimeClassName"], theirs);
            assert_eq!(
                admitted.warnings.len(),
                says.map_or(0, |_| 1),
                "{theirs} on {ours}"
            );
            let said = admitted
                .warnings
                .first()
                .is_none_or(|it| it.contains(says.unwrap_or_default()));
            assert!(said, "{:?}", admitted.warnings);
        }
    }

    #[test]
    fn hiding_the_gpus_from_a_container_without_one_is_right() {
        let nvidia = json!({"resourceName": "nvidia.com/gpu", "runtimeClassName": "nvidia"});
        let sidecar = |var: Value| {
            let spec = json!({"containers": [
                {"name": "main", "resources": {"limits": {"nvidia.com/gpu": 1}}},
                {"name": "exporter", "env": [var]},
            ]});
            admitted(nvidia.clone(), json!({}), spec).warnings
        };
        let var = |value: &str| json!({"name": "NVIDIA_VISIBLE_DEVICES", "value": value});
        for value in ["void", "none", ""] {
            assert_eq!(sidecar(var(value)), Vec::<String>::new(), "{value}");
        }
        let warning = "berth: NVIDIA_VISIBLE_DEVICES shows GPUs to container exporter, which has no GPU: set it to void";
        let from = json!({"name": "NVIDIA_VISIBLE_DEVICES", "valueFrom": {"fieldRef": {"fieldPath": "x"}}});
        for var in [var("all"), var("0"), from] {
            assert_eq!(sidecar(var.clone()), [warning], "{var}");
        }
        // it takes the GPU away from a container that has one
        let main = |resources: Value, spec: Value| {
            let mut spec = spec;
            spec["containers"] =
                json!([{"name": "main", "resources": resources, "env": [var("none")]}]);
            admitted(nvidia.clone(), json!({}), spec).warnings
        };
        assert_eq!(main(json!({}), json!({})).len(), 1);
        // a Pod that opts out of the GPU: its own runtime class reads the variable, and none is given
        let zero = json!({"limits": {"nvidia.com/gpu": "0"}});
        let all = |spec: Value| {
            let mut spec = spec;
            spec["containers"] = json!([{"name": "main", "resources": zero, "env": [var("all")]}]);
            admitted(nvidia.clone(), json!({}), spec).warnings.len()
        };
        assert_eq!(all(json!({})), 1);
        assert_eq!(all(json!({"runtimeClassName": "nvidia"})), 2);
        assert_eq!(
            main(zero.clone(), json!({"runtimeClassName": "nvidia"})).len(),
            1
        );
    }

    #[test]
    fn the_scheduler_is_set_where_the_api_server_would() {
        let volcano = json!({"schedulerName": "volcano"});
        let warning =
            "berth: schedulerName mine kept; the class needs volcano: remove the field to get that";
        for (there, after, warnings) in [
            (json!({}), "volcano", &[][..]),
            (
                json!({"schedulerName": "default-scheduler"}),
                "volcano",
                &[],
            ),
            (json!({"schedulerName": "volcano"}), "volcano", &[]),
            (json!({"schedulerName": "mine"}), "mine", &[warning]),
        ] {
            let admitted = admitted(json!({}), volcano.clone(), there);
            assert_eq!(admitted.pod["spec"]["schedulerName"], after);
            assert_eq!(admitted.warnings, warnings);
        }
        let none = admitted(
            json!({}),
            json!({"schedulerName": "default-scheduler"}),
            json!({}),
        );
        assert_eq!(none.pod["spec"].get("schedulerName"), None);
    }
}
