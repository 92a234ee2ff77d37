//! GPUs that several Pods share: their memory, and their name.

use super::{Found, Manifests, name_of, requirements};
use berth_core::{memory, selector::Operator, shown};

/// The label by which NVIDIA's feature discovery names the product.
const PRODUCT: &str = "nvidia.com/gpu.product";

pub(super) fn memory_budget(manifests: &Manifests<'_>, found: &mut Found) {
    for (origin, pool) in &manifests.pools {
        let classes = manifests.classes.iter();
        let classes =
            classes.filter_map(|(_, class)| Some((class.metadata.name.as_deref()?, &class.spec)));
        for over in memory::overcommitted(name_of(pool), &pool.spec, classes) {
            found.add(
                *origin,
                "spec.memoryPerGPU",
                over,
                "lower gpuMemory, share by fewer replicas, or move a class to another pool",
            );
        }
    }
}

/// Where a GPU is shared under its own name, feature discovery appends `-SHARED` to its product.
pub(super) fn shared_product(manifests: &Manifests<'_>, found: &mut Found) {
    for (origin, pool) in &manifests.pools {
        let spec = &pool.spec;
        if spec.sharers() == 1 || spec.resource_name == "nvidia.com/gpu.shared" {
            continue;
        }
        for (field, product) in requirements("spec.nodeSelector", spec.node_selector.as_ref()) {
            let shared = |value: &String| value.ends_with("-SHARED");
            let selects = product.key == PRODUCT && product.operator == Operator::In;
            if let Some(value) = product.values.first()
                && selects
                && !product.values.iter().any(shared)
            {
                found.add(
                    *origin,
                    field,
                    format!(
                        "no node matches {value}: {PRODUCT} of a shared GPU ends in -SHARED",
                        value = shown::quoted(value)
                    ),
                    format!("select {}", shown::quoted(&format!("{value}-SHARED"))),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::lint::{
        code,
        testing::{fires, problems, used_pool},
    };
    use berth_core::{
        manifest::Document,
        testing::{class, pool},
    };

    fn table(spec: Value, needs: &[&str]) -> Vec<Document> {
        let classes = needs
            .iter()
            .enumerate()
            .map(|(i, memory)| class(&format!("c{i}"), &["p"], json!({"gpuMemory": memory})));
        classes.chain([pool("p", spec)]).collect()
    }

    #[test]
    fn more_memory_than_there_is_is_found() {
        let mps = json!({"memoryPerGPU": "8Gi", "sharing": {"strategy": "MPS", "replicas": 2}});
        let alone = json!({"memoryPerGPU": "8Gi"});
        let shared =
            json!({"memoryPerGPU": "8Gi", "sharing": {"strategy": "TimeSlicing", "replicas": 2}});
        let unshared = json!({"memoryPerGPU": "8Gi", "sharing": {"strategy": "None"}});
        let field = Some("spec.memoryPerGPU");
        for (spec, needs, expected) in [
            (&alone, &["8Gi", "7Gi"][..], None),
            (&alone, &["8Gi", "9Gi"], field),
            (&unshared, &["8Gi", "8Gi"], None),
            (&shared, &["4Gi", "4Gi"], None),
            (&shared, &["4Gi", "4100Mi"], field),
            // only two meet on one GPU
            (&shared, &["4Gi", "4Gi", "4Gi"], None),
            (&shared, &["1Gi", "4Gi", "5Gi"], field),
            // MPS gives each its share, whatever the other needs
            (&mps, &["4Gi", "4Gi"], None),
            (&mps, &["5Gi", "1Gi"], field),
            (&json!({}), &["90Gi"], None),
        ] {
            fires(&code::MEMORY_BUDGET, &table(spec.clone(), needs), expected);
        }
        let text = &problems(&code::MEMORY_BUDGET, &table(shared, &["1Gi", "4Gi", "5Gi"]))[0].1;
        assert!(
            text.starts_with("c2 (5Gi) and c1 (4Gi) on one GPU of pool \"p\""),
            "{text}"
        );
    }

    #[test]
    fn a_pod_with_several_gpus_has_the_memory_of_all() {
        let two = |memory: &str| {
            let spec = json!({"gpuMemory": memory, "gpus": {"default": 2}});
            [
                pool("p", json!({"memoryPerGPU": "24Gi"})),
                class("c", &["p"], spec),
            ]
        };
        fires(&code::MEMORY_BUDGET, &two("48Gi"), None);
        fires(
            &code::MEMORY_BUDGET,
            &two("49Gi"),
            Some("spec.memoryPerGPU"),
        );
    }

    #[test]
    fn a_product_that_a_shared_gpu_does_not_have_is_found() {
        let sliced = json!({"strategy": "TimeSlicing", "replicas": 2});
        let named = |sharing: &Value, resource: &str, values: &[&str]| {
            let expression = json!({"key": PRODUCT, "operator": "In", "values": values});
            let selector = json!({"matchExpressions": [expression]});
            used_pool(
                json!({"sharing": sharing, "resourceName": resource, "nodeSelector": selector}),
            )
        };
        let field = Some("spec.nodeSelector.matchExpressions[0]");
        let gpu = "nvidia.com/gpu";
        for (documents, expected) in [
            (named(&sliced, gpu, &["Tesla-T4"]), field),
            (
                named(
                    &json!({"strategy": "MPS", "replicas": 4}),
                    gpu,
                    &["Tesla-T4"],
                ),
                field,
            ),
            (named(&sliced, gpu, &["Tesla-T4-SHARED"]), None),
            (named(&sliced, gpu, &["Tesla-T4", "Tesla-T4-SHARED"]), None),
            (
                named(&json!({"strategy": "None"}), gpu, &["Tesla-T4"]),
                None,
            ),
            // renamed by default, the product keeps its name
            (named(&sliced, "nvidia.com/gpu.shared", &["Tesla-T4"]), None),
        ] {
            fires(&code::SHARED_PRODUCT, &documents, expected);
        }
        let label =
            json!({"sharing": sliced, "nodeSelector": {"matchLabels": {PRODUCT: "Tesla-T4"}}});
        let field = Some("spec.nodeSelector.matchLabels[\"nvidia.com/gpu.product\"]");
        fires(&code::SHARED_PRODUCT, &used_pool(label), field);
    }
}
