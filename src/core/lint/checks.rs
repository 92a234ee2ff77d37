//! The checks, a function each.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use strsim::damerau_levenshtein;

use super::{Check, Finding, Manifests, Severity, name_of};
use crate::core::{
    accelerators,
    api::{GPUPool, SharingStrategy, TaintEffect, WorkloadClass},
    quantity::Quantity,
    selector::{Operator, Selector},
};

/// Every check, in the order of the codes.
pub const CHECKS: &[Check] = &[
    Check {
        code: "BRT001",
        severity: Severity::Warning,
        title: "a pool that no class uses",
        run: unused_pool,
    },
    Check {
        code: "BRT002",
        severity: Severity::Error,
        title: "a class that no namespace can use",
        run: closed_class,
    },
    Check {
        code: "BRT003",
        severity: Severity::Error,
        title: "a pool that no node can be of",
        run: impossible_pool,
    },
    Check {
        code: "BRT004",
        severity: Severity::Warning,
        title: "a pool that an earlier one of the class covers",
        run: covered_pool,
    },
    Check {
        code: "BRT005",
        severity: Severity::Error,
        title: "more GPU memory expected than there is",
        run: memory_budget,
    },
    Check {
        code: "BRT006",
        severity: Severity::Warning,
        title: "a taint that needs no toleration",
        run: soft_taint,
    },
    Check {
        code: "BRT007",
        severity: Severity::Error,
        title: "another vendor's runtime class",
        run: foreign_runtime,
    },
    Check {
        code: "BRT008",
        severity: Severity::Warning,
        title: "a resource that no known device plugin advertises",
        run: unknown_resource,
    },
    Check {
        code: "BRT009",
        severity: Severity::Warning,
        title: "one of Intel's two resource names without the other",
        run: intel_driver,
    },
    Check {
        code: "BRT010",
        severity: Severity::Error,
        title: "a product label that a shared GPU does not have",
        run: shared_product,
    },
    Check {
        code: "BRT011",
        severity: Severity::Warning,
        title: "hostnames of nodes that an autoscaler replaces",
        run: replaced_hostname,
    },
    Check {
        code: "BRT012",
        severity: Severity::Warning,
        title: "namespaces chosen by a label that tenants may set",
        run: tenant_label,
    },
];

fn unused_pool(manifests: &Manifests<'_>) -> Vec<Finding> {
    let used = |pool: &GPUPool| {
        manifests
            .classes
            .iter()
            .flat_map(|(_, class)| &class.spec.pools)
            .any(|used| used.name == name_of(pool))
    };
    let unused = manifests.pools.iter().filter(|(_, pool)| !used(pool));
    let finding = |(origin, pool): &(usize, &GPUPool)| {
        let message = format!("no class uses pool {:?}: its GPUs stay idle", name_of(pool));
        Finding::new(
            *origin,
            "metadata.name",
            message,
            "name it in a class's pools, or remove it",
        )
    };
    unused.map(finding).collect()
}

fn closed_class(manifests: &Manifests<'_>) -> Vec<Finding> {
    let closed = |class: &WorkloadClass| {
        class
            .spec
            .namespace_selector
            .as_ref()
            .is_some_and(is_impossible)
    };
    let classes = manifests.classes.iter().filter(|(_, class)| closed(class));
    let finding = |(origin, _): &(usize, &WorkloadClass)| {
        let message =
            "no namespace can match this selector: every Pod of the class is denied".to_owned();
        Finding::new(
            *origin,
            "spec.namespaceSelector",
            message,
            "remove the requirement that contradicts the others",
        )
    };
    classes.map(finding).collect()
}

fn impossible_pool(manifests: &Manifests<'_>) -> Vec<Finding> {
    let impossible = |pool: &GPUPool| pool.spec.node_selector.as_ref().is_some_and(is_impossible);
    let pools = manifests.pools.iter().filter(|(_, pool)| impossible(pool));
    let finding = |(origin, pool): &(usize, &GPUPool)| {
        let message = format!(
            "no node can match the selector of pool {:?}: its Pods stay Pending",
            name_of(pool)
        );
        Finding::new(
            *origin,
            "spec.nodeSelector",
            message,
            "remove the requirement that contradicts the others",
        )
    };
    pools.map(finding).collect()
}

/// Whether two requirements of a selector exclude each other on one key.
fn is_impossible(selector: &LabelSelector) -> bool {
    Selector::new(selector).is_ok_and(|selector| selector.contradicts_itself().is_some())
}

fn covered_pool(manifests: &Manifests<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (origin, class) in &manifests.classes {
        let pools: Vec<(usize, &GPUPool)> = manifests.pools_of(class).collect();
        for (i, pool) in &pools {
            let earlier = pools.iter().take_while(|(earlier, _)| earlier < i);
            if let Some((_, other)) = earlier.copied().find(|(_, other)| covers(other, pool)) {
                let message = format!(
                    "every node of pool {:?} is of pool {:?}, which the class prefers",
                    name_of(pool),
                    name_of(other)
                );
                findings.push(Finding::new(
                    *origin,
                    format!("spec.pools[{i}]"),
                    message,
                    "remove it, or put it first",
                ));
            }
        }
    }
    findings
}

/// Whether the first pool has every node of the second, for the same resource.
fn covers(first: &GPUPool, second: &GPUPool) -> bool {
    let same_resource = first.spec.resource_name == second.spec.resource_name;
    let nodes = match (&first.spec.hostnames, &second.spec.hostnames) {
        (Some(first), Some(second)) => second.iter().all(|hostname| first.contains(hostname)),
        (None, None) => first.spec.node_selector == second.spec.node_selector,
        _ => false,
    };
    same_resource && nodes
}

/// The classes that may meet on one GPU of a pool, as many as it has replicas, the largest first.
fn memory_budget(manifests: &Manifests<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (origin, pool) in &manifests.pools {
        let Some(there) = pool
            .spec
            .memory_per_gpu
            .as_ref()
            .and_then(|memory| bytes(&memory.0))
        else {
            continue;
        };
        let mut needs: Vec<(u64, &str)> = manifests
            .classes
            .iter()
            .filter(|(_, class)| {
                class
                    .spec
                    .pools
                    .iter()
                    .any(|used| used.name == name_of(pool))
            })
            .filter_map(|(_, class)| {
                Some((
                    bytes(&class.spec.gpu_memory.as_ref()?.0)?,
                    class.metadata.name.as_deref()?,
                ))
            })
            .collect();
        needs.sort_unstable_by(|a, b| b.cmp(a));
        needs.truncate(sharers(pool));
        let needed = needs
            .iter()
            .fold(0_u64, |sum, (bytes, _)| sum.saturating_add(*bytes));
        if needed > there {
            let classes: Vec<&str> = needs.iter().map(|(_, class)| *class).collect();
            let message = format!(
                "{} expect {} of memory together on one GPU of pool {:?}, which has {}",
                classes.join(" and "),
                mebibytes(needed),
                name_of(pool),
                mebibytes(there)
            );
            findings.push(Finding::new(
                *origin,
                "spec.memoryPerGPU",
                message,
                "lower gpuMemory, share by fewer replicas, or move a class",
            ));
        }
    }
    findings
}

fn sharers(pool: &GPUPool) -> usize {
    let sharing = pool
        .spec
        .sharing
        .as_ref()
        .filter(|sharing| sharing.strategy != SharingStrategy::None);
    sharing
        .and_then(|sharing| sharing.replicas)
        .and_then(|replicas| usize::try_from(replicas).ok())
        .unwrap_or(1)
}

fn bytes(quantity: &str) -> Option<u64> {
    Quantity::parse(quantity)?.whole()
}

fn mebibytes(bytes: u64) -> String {
    format!("{}Mi", bytes >> 20)
}

fn soft_taint(manifests: &Manifests<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (origin, pool) in &manifests.pools {
        for (i, taint) in pool.spec.taints.iter().enumerate() {
            let why = if taint.effect == TaintEffect::PreferNoSchedule {
                "PreferNoSchedule keeps no Pod away"
            } else if taint.key.starts_with("node.kubernetes.io/") {
                "Kubernetes sets and tolerates its own taints"
            } else {
                continue;
            };
            let message = format!("taint {:?} needs no toleration: {why}", taint.key);
            findings.push(Finding::new(
                *origin,
                format!("spec.taints[{i}]"),
                message,
                "remove it from the pool, or use NoSchedule on the nodes",
            ));
        }
    }
    findings
}

fn foreign_runtime(manifests: &Manifests<'_>) -> Vec<Finding> {
    let foreign = |pool: &GPUPool| {
        let runtime = pool.spec.runtime_class_name.as_deref().unwrap_or_default();
        runtime.starts_with("nvidia") && !pool.spec.resource_name.starts_with("nvidia.com/")
    };
    let finding = |(origin, pool): &(usize, &GPUPool)| {
        let runtime = pool.spec.runtime_class_name.as_deref().unwrap_or_default();
        let message = format!(
            "runtime class {runtime:?} is NVIDIA's, and the pool's resource is {}",
            pool.spec.resource_name
        );
        Finding::new(
            *origin,
            "spec.runtimeClassName",
            message,
            "remove it: AMD and Intel need no runtime class",
        )
    };
    manifests
        .pools
        .iter()
        .filter(|(_, pool)| foreign(pool))
        .map(finding)
        .collect()
}

fn unknown_resource(manifests: &Manifests<'_>) -> Vec<Finding> {
    let unknown = manifests
        .pools
        .iter()
        .filter(|(_, pool)| !accelerators::is_accelerator(&pool.spec.resource_name));
    let finding = |(origin, pool): &(usize, &GPUPool)| {
        let resource = &pool.spec.resource_name;
        let near = accelerators::names().min_by_key(|name| damerau_levenshtein(name, resource));
        let near = near.filter(|name| damerau_levenshtein(name, resource) <= 3);
        let help = near.map_or_else(
            || "check the node's allocatable resources".to_owned(),
            |name| format!("did you mean {name:?}?"),
        );
        Finding::new(
            *origin,
            "spec.resourceName",
            format!("no device plugin that berth knows advertises {resource:?}"),
            help,
        )
    };
    unknown.map(finding).collect()
}

/// Intel's device plugin names the resource by the kernel driver.
fn intel_driver(manifests: &Manifests<'_>) -> Vec<Finding> {
    const NAMES: [&str; 2] = ["gpu.intel.com/i915", "gpu.intel.com/xe"];
    let mut findings = Vec::new();
    for (origin, pool) in &manifests.pools {
        let spec = &pool.spec;
        for (name, other) in [(NAMES[0], NAMES[1]), (NAMES[1], NAMES[0])] {
            if spec.resource_name == name
                && !spec.resource_aliases.iter().any(|alias| alias == other)
            {
                let message = format!(
                    "{name} is advertised by one of Intel's two drivers: a Pod that asks for {other} is denied"
                );
                findings.push(Finding::new(
                    *origin,
                    "spec.resourceName",
                    message,
                    format!("add {other:?} to resourceAliases"),
                ));
            }
        }
    }
    findings
}

/// GPU feature discovery appends a suffix to the product of a time-sliced GPU.
fn shared_product(manifests: &Manifests<'_>) -> Vec<Finding> {
    const KEY: &str = "nvidia.com/gpu.product";
    let mut findings = Vec::new();
    for (origin, pool) in manifests.pools.iter().filter(|(_, pool)| sharers(pool) > 1) {
        let Some(Ok(selector)) = pool.spec.node_selector.as_ref().map(Selector::new) else {
            continue;
        };
        let products = selector
            .into_requirements()
            .into_iter()
            .filter(|it| it.key == KEY && it.operator == Operator::In);
        let plain: Vec<String> = products
            .flat_map(|it| it.values)
            .filter(|value| !value.ends_with("-SHARED"))
            .collect();
        if let Some(value) = plain.first() {
            let message = format!(
                "a shared GPU's {KEY} ends in -SHARED, and {value:?} does not: no node matches"
            );
            findings.push(Finding::new(
                *origin,
                "spec.nodeSelector",
                message,
                format!("select {value}-SHARED"),
            ));
        }
    }
    findings
}

fn replaced_hostname(manifests: &Manifests<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (origin, pool) in &manifests.pools {
        for (i, hostname) in pool
            .spec
            .hostnames
            .iter()
            .flatten()
            .enumerate()
            .filter(|(_, hostname)| is_replaced(hostname))
        {
            let message = format!(
                "{hostname:?} looks like a node of an autoscaled group: its replacement has another name"
            );
            findings.push(Finding::new(
                *origin,
                format!("spec.hostnames[{i}]"),
                message,
                "select the nodes by a label instead",
            ));
        }
    }
    findings
}

/// The names that EKS, GKE and AKS give to the nodes of a group.
fn is_replaced(hostname: &str) -> bool {
    let octets = hostname.strip_prefix("ip-").map(|rest| {
        rest.split(['-', '.'])
            .take(4)
            .all(|octet| octet.parse::<u8>().is_ok())
    });
    octets.unwrap_or(false)
        || hostname.starts_with("gke-")
        || (hostname.starts_with("aks-") && hostname.contains("-vmss"))
}

fn tenant_label(manifests: &Manifests<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (origin, class) in &manifests.classes {
        let Some(Ok(selector)) = class.spec.namespace_selector.as_ref().map(Selector::new) else {
            continue;
        };
        if let Some(own) = selector
            .into_requirements()
            .into_iter()
            .find(|it| it.key != "kubernetes.io/metadata.name")
        {
            let message = format!(
                "whoever may label a namespace may set {:?}, and use the class",
                own.key
            );
            findings.push(Finding::new(
                *origin,
                "spec.namespaceSelector",
                message,
                "select by kubernetes.io/metadata.name",
            ));
        }
    }
    findings
}
