//! Classes that keep Karpenter from adding a node.

use super::{Found, Manifests, name_of, node_requirements};
use berth_core::{api::GPUPool, names::HOSTNAME_LABEL, shown};

/// The labels by which EKS Auto Mode, which is Karpenter, names its nodes; those of Karpenter itself have its prefix.
const AUTO_MODE: &str = "eks.amazonaws.com/";

/// A Pod that names `kubernetes.io/hostname` anywhere in its node affinity, be it in one of several terms or in a
/// preference, is left out by Karpenter before it looks for a node: kubernetes-sigs/karpenter#3214, #1596.
pub(super) fn mixed_class(manifests: &Manifests<'_>, found: &mut Found) {
    for (origin, class) in &manifests.classes {
        let pools = manifests.pools_of(class);
        let mixed = pools
            .iter()
            .filter(|(_, pool)| selects_hostnames(pool))
            .find_map(|(i, pool)| {
                // only pools of one group come into the affinity of one Pod
                let group = |(_, other): &&(usize, &GPUPool)| other.spec.asks_the_same(&pool.spec);
                let mut group = pools.iter().filter(group).map(|(_, other)| other);
                Some((i, pool, group.find(|other| is_added(other))?))
            });
        if let Some((i, named, added)) = mixed {
            let (named, added) = (name_of(named), name_of(added));
            found.add(
                *origin,
                format!("spec.pools[{i}].name"),
                format!(
                    "pool {named} selects by hostname, so Karpenter adds no node of pool {added} for a Pod of the class", added = shown::quoted(added), named = shown::quoted(named)),
                format!("give each a class, or select the nodes of {named} by another label", named = shown::quoted(named)),
            );
        }
    }
}

fn selects_hostnames(pool: &GPUPool) -> bool {
    let mut requirements = node_requirements(pool).into_iter();
    requirements.any(|(_, requirement)| requirement.key == HOSTNAME_LABEL)
}

/// Whether Karpenter adds the nodes of a pool when a Pod waits for one.
fn is_added(pool: &GPUPool) -> bool {
    let labels = |key: &str| {
        // karpenter.sh, karpenter.k8s.aws, karpenter.azure.com
        key.starts_with("karpenter.")
            || key
                .strip_prefix(AUTO_MODE)
                .is_some_and(|label| label == "compute-type" || label.starts_with("instance-"))
    };
    let mut requirements = node_requirements(pool).into_iter();
    requirements.any(|(_, requirement)| labels(&requirement.key))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::lint::{code, testing::fires};
    use berth_core::testing::{class, pool};

    fn labelled(key: &str) -> Value {
        json!({"nodeSelector": {"matchLabels": {key: "gpu"}}})
    }

    #[test]
    fn a_class_of_hostnames_and_of_nodes_that_karpenter_adds_is_found() {
        let tower = || json!({"hostnames": ["tower"]});
        let (first, second) = (Some("spec.pools[0].name"), Some("spec.pools[1].name"));
        let both = json!({"nodeSelector": {"matchLabels": {HOSTNAME_LABEL: "tower", "karpenter.sh/nodepool": "gpu"}}});
        let other = json!({"resourceName": "nvidia.com/gpu", "nodeSelector": {"matchLabels": {"karpenter.sh/nodepool": "gpu"}}});
        for (p, q, expected) in [
            (tower(), labelled("karpenter.sh/nodepool"), first),
            (
                labelled("karpenter.k8s.aws/instance-gpu-name"),
                tower(),
                second,
            ),
            (
                labelled("karpenter.azure.com/sku-gpu-name"),
                labelled(HOSTNAME_LABEL),
                second,
            ),
            (tower(), labelled("eks.amazonaws.com/compute-type"), first),
            (
                tower(),
                labelled("eks.amazonaws.com/instance-gpu-name"),
                first,
            ),
            (both, labelled("example.com/gpu"), first),
            // an autoscaler of node groups tries the Pod on a node of each group
            (tower(), labelled("eks.amazonaws.com/nodegroup"), None),
            (tower(), labelled("example.com/gpu"), None),
            (tower(), tower(), None),
            // two groups: a Pod gets the terms of one
            (tower(), other, None),
        ] {
            let documents = [
                pool("p", p),
                pool("q", q),
                class("c", &["p", "q"], json!({})),
            ];
            fires(&code::MIXED_CLASS, &documents, expected);
        }
    }
}
