//! What is wrong with a `GPUPool`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{Found, LABEL_VALUE, SUBDOMAIN, Syntax, memory, name, repeated, selector_bounds};
use crate::{
    api::{
        GPUPool, GPUPoolSpec, Sharing, SharingStrategy,
        bounds::{
            MAX_ALIASES, MAX_ENV, MAX_ENV_NAME, MAX_ENV_VALUE, MAX_HOSTNAMES, MAX_KEY,
            MAX_POOL_GPUS, MAX_REPLICAS, MAX_RESOURCE, MAX_TAINTS, MIN_POOL_GPUS, MIN_REPLICAS,
        },
    },
    selector::Selector,
    shown,
    syntax::{is_device_class_resource, is_env_name, is_extended_resource, is_qualified_name},
};

const RESOURCE: Syntax = Syntax {
    holds: |text| is_extended_resource(text) || is_device_class_resource(text),
    name: "an extended resource",
    help: "name the resource that the device plugin advertises, as nvidia.com/gpu",
};
const TAINT_KEY: Syntax = Syntax {
    holds: is_qualified_name,
    name: "a taint key",
    help: "write it as dedicated or example.com/dedicated",
};
const ENV_NAME: Syntax = Syntax {
    holds: is_env_name,
    name: "a variable name",
    help: "use printable ASCII without =",
};

pub(super) fn check(pool: &GPUPool, found: &mut Found) {
    let spec = &pool.spec;
    found.must(SUBDOMAIN, "metadata.name", name(&pool.metadata));
    nodes(spec, found);
    taints(spec, found);
    resources(spec, found);
    memory(
        "spec.memoryPerGPU",
        spec.memory_per_gpu.as_ref().map(|it| it.0.as_str()),
        found,
    );
    if let Some(sharing) = spec.sharing {
        replicas(sharing, found);
    }
    if let Some(autoscaling) = spec.autoscaling {
        grown(autoscaling.max_gpus, found);
    }
    if let Some(class) = &spec.runtime_class_name {
        found.must(SUBDOMAIN, "spec.runtimeClassName", class);
    }
    env(spec, found);
}

/// Exactly one of `hostnames` and `nodeSelector`, and it selects.
fn nodes(spec: &GPUPoolSpec, found: &mut Found) {
    const EITHER: &str = "give hostnames, or a nodeSelector over the nodes' labels";
    match (&spec.hostnames, &spec.node_selector) {
        (Some(_), Some(_)) => found.add(
            "spec.nodeSelector",
            "invalid value: only one of hostnames and nodeSelector may be set",
            "remove one of them",
        ),
        (None, None) => found.add("spec", "required value: hostnames or nodeSelector", EITHER),
        (Some(hostnames), None) => {
            if hostnames.is_empty() {
                found.add(
                    "spec.hostnames",
                    "required value: at least one hostname",
                    EITHER,
                );
            }
            found.at_most(
                MAX_HOSTNAMES,
                "spec.hostnames",
                hostnames.len(),
                "select the nodes by a label that they share, with nodeSelector",
            );
            for (i, hostname) in hostnames.iter().enumerate() {
                let field = format!("spec.hostnames[{i}]");
                if hostname.is_empty() {
                    found.add(
                        field,
                        "invalid value \"\": a hostname cannot be empty",
                        "remove it",
                    );
                } else {
                    found.must(LABEL_VALUE, field, hostname);
                }
            }
            for (i, hostname) in repeated(hostnames) {
                found.add(
                    format!("spec.hostnames[{i}]"),
                    format!(
                        "duplicate value {hostname}",
                        hostname = shown::quoted(hostname)
                    ),
                    "remove one of them",
                );
            }
        }
        (None, Some(selector)) => node_selector(selector, found),
    }
}

fn node_selector(selector: &LabelSelector, found: &mut Found) {
    selector_bounds("spec.nodeSelector", selector, found);
    let selector = match Selector::new(selector) {
        Ok(selector) => selector,
        Err(error) => {
            return found.add(
                format!("spec.nodeSelector.{}", error.field),
                error.message,
                "write a LabelSelector as Kubernetes accepts it",
            );
        }
    };
    if selector.requirements().is_empty() {
        found.add(
            "spec.nodeSelector",
            "invalid value: an empty nodeSelector selects every node",
            "select by a label that only the GPU nodes have",
        );
    }
    if let Some(key) = selector.contradicts_itself() {
        found.add(
            "spec.nodeSelector",
            format!(
                "invalid value: the requirements on label {key} contradict each other",
                key = shown::quoted(key)
            ),
            "remove one of them: no node meets all",
        );
    }
}

fn taints(spec: &GPUPoolSpec, found: &mut Found) {
    const HELP: &str = "one taint is enough to keep other Pods away";
    found.at_most(MAX_TAINTS, "spec.taints", spec.taints.len(), HELP);
    for (i, taint) in spec.taints.iter().enumerate() {
        let key = format!("spec.taints[{i}].key");
        found.no_longer_than(MAX_KEY, key.as_str(), &taint.key);
        found.must(TAINT_KEY, key, &taint.key);
        let value = taint.value.as_deref().unwrap_or_default();
        found.must(LABEL_VALUE, format!("spec.taints[{i}].value"), value);
    }
    let identities: Vec<_> = spec
        .taints
        .iter()
        .map(|taint| (taint.key.as_str(), taint.effect.as_str()))
        .collect();
    for (i, (key, effect)) in repeated(&identities) {
        found.add(
            format!("spec.taints[{i}]"),
            format!("duplicate value {key}:{effect}"),
            "remove one of them: a node has one value for a key and an effect",
        );
    }
}

fn resources(spec: &GPUPoolSpec, found: &mut Found) {
    let (own, aliases) = ("spec.resourceName", spec.resource_aliases.len());
    found.no_longer_than(MAX_RESOURCE, own, &spec.resource_name);
    found.must(RESOURCE, own, &spec.resource_name);
    found.at_most(
        MAX_ALIASES,
        "spec.resourceAliases",
        aliases,
        "leave out those that no Pod uses",
    );
    for (i, alias) in spec.resource_aliases.iter().enumerate() {
        let field = format!("spec.resourceAliases[{i}]");
        found.no_longer_than(MAX_RESOURCE, field.as_str(), alias);
        found.must(RESOURCE, field.as_str(), alias);
        if *alias == spec.resource_name {
            found.add(
                field,
                format!(
                    "invalid value {alias}: an alias cannot be the pool's own resource",
                    alias = shown::quoted(alias)
                ),
                "remove it",
            );
        }
    }
    for (i, alias) in repeated(&spec.resource_aliases) {
        found.add(
            format!("spec.resourceAliases[{i}]"),
            format!("duplicate value {alias}", alias = shown::quoted(alias)),
            "remove one of them",
        );
    }
}

fn replicas(sharing: Sharing, found: &mut Found) {
    let (field, shared) = (
        "spec.sharing.replicas",
        sharing.strategy != SharingStrategy::None,
    );
    match sharing.replicas {
        None if shared => found.add(
            "spec.sharing",
            "required value: replicas",
            "write how many Pods share one GPU, as in the device plugin's configuration",
        ),
        Some(_) if !shared => found.add(
            field,
            "invalid value: a GPU that is not shared has no replicas",
            "remove replicas, or set strategy to TimeSlicing or MPS",
        ),
        Some(replicas) if replicas < MIN_REPLICAS => found.add(
            field,
            format!("invalid value {replicas}: replicas must be at least {MIN_REPLICAS}"),
            format!("set at least {MIN_REPLICAS}, or remove sharing"),
        ),
        Some(replicas) if replicas > MAX_REPLICAS => found.add(
            field,
            format!("invalid value {replicas}: replicas must be at most {MAX_REPLICAS}"),
            "write how many Pods share one GPU, as in the device plugin's configuration",
        ),
        _ => {}
    }
}

fn grown(gpus: u32, found: &mut Found) {
    if !(MIN_POOL_GPUS..=MAX_POOL_GPUS).contains(&gpus) {
        found.add(
            "spec.autoscaling.maxGPUs",
            format!("invalid value {gpus}: must be from {MIN_POOL_GPUS} to {MAX_POOL_GPUS}"),
            "write how many GPUs the pool has when it has grown, or remove autoscaling",
        );
    }
}

fn env(spec: &GPUPoolSpec, found: &mut Found) {
    const HELP: &str = "give the container the others by a ConfigMap";
    let names: Vec<&str> = spec.env.iter().map(|var| var.name.as_str()).collect();
    found.at_most(MAX_ENV, "spec.env", names.len(), HELP);
    for (i, var) in spec.env.iter().enumerate() {
        let field = format!("spec.env[{i}]");
        found.no_longer_than(MAX_ENV_NAME, format!("{field}.name"), &var.name);
        found.no_longer_than(MAX_ENV_VALUE, format!("{field}.value"), &var.value);
        found.must(ENV_NAME, format!("{field}.name"), &var.name);
    }
    for (i, name) in repeated(&names) {
        found.add(
            format!("spec.env[{i}].name"),
            format!("duplicate value {name}", name = shown::quoted(name)),
            "remove one of them",
        );
    }
}
