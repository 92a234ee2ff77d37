//! Resource names and the runtime classes that go with them.

use super::{Found, Manifests};
use berth_core::{
    accelerators, api::GPUPool, shown, suggestion::suggestion, syntax::is_extended_resource,
};

/// Who makes an accelerator: how the runtime classes begin, and how the resources do.
const VENDORS: &[(&str, &str, &[&str])] = &[
    ("NVIDIA", "nvidia", &["nvidia.com/", "volcano.sh/vgpu"]),
    ("AMD", "amd", &["amd.com/"]),
    ("Intel", "intel", &["gpu.intel.com/", "npu.intel.com/"]),
    ("Intel", "habana", &["habana.ai/"]),
    ("Huawei", "ascend", &["huawei.com/Ascend"]),
    ("Google", "tpu", &["google.com/tpu"]),
    ("AWS", "neuron", &["aws.amazon.com/neuron"]),
];

pub(super) fn foreign_runtime(manifests: &Manifests<'_>, found: &mut Found) {
    for (origin, pool) in &manifests.pools {
        let resource = &pool.spec.resource_name;
        let runtime = pool.spec.runtime_class_name.as_deref().unwrap_or_default();
        let (Some(of_runtime), Some(of_resource)) = (
            VENDORS.iter().find(|vendor| runtime.starts_with(vendor.1)),
            VENDORS
                .iter()
                .find(|vendor| vendor.2.iter().any(|prefix| resource.starts_with(prefix))),
        ) else {
            continue;
        };
        if of_runtime != of_resource {
            found.add(
                *origin,
                "spec.runtimeClassName",
                format!(
                    "runtime class {runtime} is {}'s, and the pool's resource {resource} is {}'s",
                    of_runtime.0,
                    of_resource.0,
                    runtime = shown::quoted(runtime)
                ),
                "remove it, or name the resource that the pool's nodes have",
            );
        }
    }
}

pub(super) fn unknown_resource(manifests: &Manifests<'_>, found: &mut Found) {
    for (origin, pool) in &manifests.pools {
        for (field, resource) in names(pool) {
            // of a name that is none at all, loading speaks
            if is_extended_resource(resource) && !accelerators::is_accelerator(resource) {
                found.add(
                    *origin,
                    field,
                    format!(
                        "no device plugin that berth knows advertises {resource}",
                        resource = shown::quoted(resource)
                    ),
                    suggestion(&resource.to_ascii_lowercase(), accelerators::names()).map_or_else(
                        || "compare it with the node's status.allocatable".to_owned(),
                        |name| format!("did you mean {name}?", name = shown::quoted(name)),
                    ),
                );
            }
        }
    }
}

/// The resource of a pool and its aliases, with their fields.
fn names(pool: &GPUPool) -> impl Iterator<Item = (String, &str)> {
    let aliases = pool.spec.resource_aliases.iter().enumerate();
    let aliases = aliases.map(|(i, alias)| (format!("spec.resourceAliases[{i}]"), alias.as_str()));
    let own = pool.spec.resource_name.as_str();
    std::iter::once(("spec.resourceName".to_owned(), own)).chain(aliases)
}

/// Intel's device plugin names the resource by the node's kernel driver. A table that has pools of both knows it.
pub(super) fn intel_driver(manifests: &Manifests<'_>, found: &mut Found) {
    const NAMES: [&str; 2] = ["gpu.intel.com/i915", "gpu.intel.com/xe"];
    let pools = || manifests.pools.iter();
    for (name, other) in [(NAMES[0], NAMES[1]), (NAMES[1], NAMES[0])] {
        let knows = |pool: &GPUPool| pool.spec.resource_aliases.iter().any(|it| it == other);
        let has_both = pools().any(|(_, pool)| pool.spec.resource_name == other);
        let named = pools().filter(|(_, pool)| pool.spec.resource_name == name && !knows(pool));
        for (origin, _) in named.filter(|_| !has_both) {
            found.add(
                *origin,
                "spec.resourceName",
                format!("{name} is what one of Intel's two drivers gives: a Pod that asks for {other} is denied"),
                format!("add {other} to resourceAliases", other = shown::quoted(other)),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::lint::{
        code,
        testing::{fires, problems, used_pool},
    };
    use berth_core::testing::pool;

    #[test]
    fn another_vendors_runtime_class_is_found() {
        for (runtime, resource, expected) in [
            ("nvidia", "nvidia.com/gpu", false),
            ("nvidia-cdi", "nvidia.com/mig-1g.5gb", false),
            ("nvidia", "volcano.sh/vgpu-number", false),
            ("nvidia", "amd.com/gpu", true),
            ("nvidia", "gpu.intel.com/xe", true),
            ("habana", "nvidia.com/gpu", true),
            ("habana", "habana.ai/gaudi", false),
            ("nvidia", "example.com/gpu", false),
            ("kata", "amd.com/gpu", false),
        ] {
            let spec = json!({"runtimeClassName": runtime, "resourceName": resource});
            let field = expected.then_some("spec.runtimeClassName");
            fires(&code::FOREIGN_RUNTIME, &used_pool(spec), field);
        }
        fires(
            &code::FOREIGN_RUNTIME,
            &used_pool(json!({"resourceName": "amd.com/gpu"})),
            None,
        );
    }

    #[test]
    fn a_resource_that_nobody_advertises_is_found_with_a_suggestion() {
        for (resource, says) in [
            ("amd.com/gpu", None),
            ("nvidia.com/mig-2g.10gb", None),
            ("nvidia.com/gpus", Some("\"nvidia.com/gpu\"?")),
            ("nvida.com/gpu", Some("\"nvidia.com/gpu\"?")),
            ("nvidia.com/GPU", Some("\"nvidia.com/gpu\"?")),
            ("gpu.intel.com/i916", Some("\"gpu.intel.com/i915\"?")),
            ("example.com/accelerator", Some("status.allocatable")),
            ("gpu", None),
        ] {
            let spec = json!({"resourceName": resource});
            let found = problems(&code::UNKNOWN_RESOURCE, &used_pool(spec));
            let said = found.first().map(|(_, text)| text.as_str());
            assert_eq!(said.is_some(), says.is_some(), "{resource}: {said:?}");
            assert!(
                said.unwrap_or_default().ends_with(says.unwrap_or_default()),
                "{said:?}"
            );
        }
        let alias =
            json!({"resourceAliases": ["amd.com/gpu.shared"], "resourceName": "amd.com/gpu"});
        fires(
            &code::UNKNOWN_RESOURCE,
            &used_pool(alias),
            Some("spec.resourceAliases[0]"),
        );
    }

    #[test]
    fn one_of_intels_names_without_the_other_is_found() {
        const I915: &str = "gpu.intel.com/i915";
        const XE: &str = "gpu.intel.com/xe";
        let named = |name: &str, aliases: &[&str]| json!({"resourceName": name, "resourceAliases": aliases});
        let field = Some("spec.resourceName");
        fires(&code::INTEL_DRIVER, &used_pool(named(I915, &[])), field);
        fires(&code::INTEL_DRIVER, &used_pool(named(XE, &[])), field);
        fires(&code::INTEL_DRIVER, &used_pool(named(I915, &[XE])), None);
        fires(
            &code::INTEL_DRIVER,
            &used_pool(named("amd.com/gpu", &[])),
            None,
        );
        // with both in the table, an alias would name two pools
        let both = [pool("p", named(I915, &[])), pool("q", named(XE, &[]))];
        fires(&code::INTEL_DRIVER, &both, None);
    }
}
