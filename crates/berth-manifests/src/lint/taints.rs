//! Taints: those that need no toleration, and those that a pool leaves out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Manifests, name_of, nodes::hostnames};
use berth_core::{
    api::{GPUPool, Taint, TaintEffect},
    shown,
};

pub(super) fn soft_taint(manifests: &Manifests<'_>, found: &mut Found) {
    for (origin, pool) in &manifests.pools {
        for (i, taint) in pool.spec.taints.iter().enumerate() {
            let key = &taint.key;
            let (why, help) = if is_kubernetes_own(key) {
                (
                    "Kubernetes sets it while a node is not fit for Pods, and takes it away",
                    "remove it: its toleration would bring Pods to a node that is not fit for them",
                )
            } else if taint.effect == TaintEffect::PreferNoSchedule {
                (
                    "PreferNoSchedule keeps no Pod away",
                    "remove it, or taint the nodes with NoSchedule",
                )
            } else {
                continue;
            };
            let message = format!(
                "taint {key} needs no toleration: {why}",
                key = shown::quoted(key)
            );
            found.add(*origin, format!("spec.taints[{i}].key"), message, help);
        }
    }
}

/// Whether the node controllers set a taint: see Kubernetes' list of well-known taints.
pub(crate) fn is_kubernetes_own(key: &str) -> bool {
    key.starts_with("node.kubernetes.io/") || key.starts_with("node.cloudprovider.kubernetes.io/")
}

/// A taint is its node's: of two pools with the same node, either both have it or its Pods wait.
pub(super) fn unsaid_taint(manifests: &Manifests<'_>, found: &mut Found) {
    let mut nodes: BTreeMap<String, Vec<(usize, &GPUPool, String)>> = BTreeMap::new();
    for (origin, pool) in &manifests.pools {
        for (field, node) in hostnames(pool) {
            nodes.entry(node).or_default().push((*origin, pool, field));
        }
    }
    // two pools may share many nodes: it is said once
    let mut said = BTreeSet::new();
    for (node, pools) in &nodes {
        for (origin, pool, field) in pools {
            let others = pools.iter().map(|(_, other, _)| *other);
            let Some((other, taint)) = unsaid(pool, others) else {
                continue;
            };
            if said.insert((*origin, other)) {
                let (pool, key, effect) = (name_of(pool), &taint.key, taint.effect.as_str());
                found.add(
                    *origin,
                    field,
                    format!(
                        "pool {other} says that node {node} has the taint {key}:{effect}, and pool {pool} does not", node = shown::quoted(node), other = shown::quoted(other), pool = shown::quoted(pool)),
                    "say the same taints of a node in every pool that has it",
                );
            }
        }
    }
}

/// The first pool with a taint that this one leaves out.
fn unsaid<'m>(
    pool: &GPUPool,
    mut others: impl Iterator<Item = &'m GPUPool>,
) -> Option<(&'m str, &'m Taint)> {
    others.find_map(|other| {
        let mut taints = other.spec.taints.iter();
        let taint = taints.find(|taint| is_unsaid(taint, pool))?;
        Some((name_of(other), taint))
    })
}

/// Whether a taint keeps Pods away that a pool's tolerations let through nowhere.
fn is_unsaid(taint: &Taint, pool: &GPUPool) -> bool {
    let same = |own: &Taint| {
        (
            &own.key,
            own.effect,
            own.value.as_deref().unwrap_or_default(),
        ) == (
            &taint.key,
            taint.effect,
            taint.value.as_deref().unwrap_or_default(),
        )
    };
    taint.effect != TaintEffect::PreferNoSchedule && !pool.spec.taints.iter().any(same)
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
    fn a_taint_that_needs_no_toleration_is_found() {
        let taints = |key: &str, effect: &str| json!({"taints": [{"key": key, "effect": effect}]});
        let first = Some("spec.taints[0].key");
        for (spec, expected) in [
            (taints("dedicated", "NoSchedule"), None),
            (taints("dedicated", "NoExecute"), None),
            (taints("dedicated", "PreferNoSchedule"), first),
            (
                taints("node.kubernetes.io/unschedulable", "NoSchedule"),
                first,
            ),
            (
                taints(
                    "node.cloudprovider.kubernetes.io/uninitialized",
                    "NoSchedule",
                ),
                first,
            ),
            (taints("example.com/node.kubernetes.io", "NoSchedule"), None),
        ] {
            fires(&code::SOFT_TAINT, &used_pool(spec), expected);
        }
    }

    #[test]
    fn a_taint_that_another_pool_of_the_node_leaves_out_is_found() {
        let tainted =
            |effect: &str| json!({"hostnames": ["n"], "taints": [{"key": "k", "effect": effect}]});
        for (first, second, expected) in [
            (
                tainted("NoSchedule"),
                json!({"hostnames": ["m", "n"]}),
                Some("spec.hostnames[1]"),
            ),
            (
                tainted("NoSchedule"),
                json!({"nodeSelector": {"matchLabels": {"kubernetes.io/hostname": "n"}}}),
                Some("spec.nodeSelector.matchLabels[\"kubernetes.io/hostname\"]"),
            ),
            (tainted("NoSchedule"), json!({"hostnames": ["m"]}), None),
            (tainted("NoSchedule"), tainted("NoSchedule"), None),
            (
                tainted("PreferNoSchedule"),
                json!({"hostnames": ["n"]}),
                None,
            ),
        ] {
            fires(
                &code::UNSAID_TAINT,
                &[pool("p", first), pool("q", second)],
                expected,
            );
        }
        let both = [
            pool("p", tainted("NoSchedule")),
            pool("q", tainted("NoExecute")),
        ];
        assert_eq!(problems(&code::UNSAID_TAINT, &both).len(), 2);
    }
}
