//! What is wrong with a `WorkloadClass`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    DNS_LABEL, Found, NamespaceLabels, SUBDOMAIN, memory, name, repeated, selector_bounds,
};
use crate::{
    api::{
        GPUPool, SharingStrategy, WorkloadClass, WorkloadClassSpec,
        bounds::{MAX_CONTAINER_NAMES, MAX_GPUS, MAX_POOLS, MAX_RATIONALE, MIN_GPUS},
    },
    manifest::Cause,
    names::NAMESPACE_NAME_LABEL,
    pod::TOLERATIONS,
    selector::Selector,
    shown,
    suggestion::suggestion,
};

pub(super) fn check(
    class: &WorkloadClass,
    pools: &BTreeMap<&str, &GPUPool>,
    left_out: &BTreeSet<&str>,
    found: &mut Found,
) {
    let spec = &class.spec;
    found.must(DNS_LABEL, "metadata.name", name(&class.metadata));
    let used = references(spec, pools, left_out, found);
    gpus(spec, &used, found);
    groups(&used, found);
    tolerations(&used, found);
    memory(
        "spec.gpuMemory",
        spec.gpu_memory.as_ref().map(|it| it.0.as_str()),
        found,
    );
    found.at_most(
        MAX_CONTAINER_NAMES,
        "spec.containerNames",
        spec.container_names.len(),
        concat!(
            "let a Pod name its container with the annotation ",
            crate::container_annotation!()
        ),
    );
    for (i, container) in spec.container_names.iter().enumerate() {
        found.must(DNS_LABEL, format!("spec.containerNames[{i}]"), container);
    }
    for (i, container) in repeated(&spec.container_names) {
        found.add(
            format!("spec.containerNames[{i}]"),
            format!(
                "duplicate value {container}",
                container = shown::quoted(container)
            ),
            "remove one of them",
        );
    }
    if let Some(scheduler) = &spec.scheduler_name {
        found.must(SUBDOMAIN, "spec.schedulerName", scheduler);
    }
    let rationale = spec.rationale.as_deref().unwrap_or_default();
    found.no_longer_than(MAX_RATIONALE, "spec.rationale", rationale);
}

/// A pool that the class uses, and which of its references names it.
type Used<'a> = (usize, &'a GPUPool);

fn references<'a>(
    spec: &WorkloadClassSpec,
    pools: &BTreeMap<&str, &'a GPUPool>,
    left_out: &BTreeSet<&str>,
    found: &mut Found,
) -> Vec<Used<'a>> {
    if spec.pools.is_empty() {
        found.add(
            "spec.pools",
            "required value: at least one GPUPool",
            "name one",
        );
    }
    found.at_most(
        MAX_POOLS,
        "spec.pools",
        spec.pools.len(),
        "join pools that ask the same of a Pod: one pool can have many nodes",
    );
    for (i, pool) in repeated(&spec.pools) {
        found.add(
            format!("spec.pools[{i}].name"),
            format!("duplicate value {}", shown::quoted(&pool.name)),
            "remove one of them: the order is the preference",
        );
    }
    let mut used = Vec::new();
    for (i, reference) in spec.pools.iter().enumerate() {
        let wanted = reference.name.as_str();
        let field = format!("spec.pools[{i}].name");
        if let Some(pool) = pools.get(wanted) {
            used.push((i, *pool));
        } else if left_out.contains(wanted) {
            let message = format!(
                "GPUPool {wanted} is invalid",
                wanted = shown::quoted(wanted)
            );
            found.add_for(
                Cause::PoolNotAccepted,
                field,
                message,
                "fix the pool: the class is then served again",
            );
        } else {
            found.add_for(
                Cause::PoolNotFound,
                field,
                format!(
                    "there is no GPUPool {wanted}",
                    wanted = shown::quoted(wanted)
                ),
                known(wanted, pools),
            );
        }
    }
    used
}

fn known(wanted: &str, pools: &BTreeMap<&str, &GPUPool>) -> String {
    if let Some(near) = suggestion(wanted, pools.keys().copied()) {
        return format!("did you mean {near}?", near = shown::quoted(near));
    }
    let names: Vec<&str> = pools.keys().copied().take(10).collect();
    if names.is_empty() {
        "add the GPUPool to the table".to_owned()
    } else {
        format!("the pools are {}", names.join(", "))
    }
}

fn gpus(spec: &WorkloadClassSpec, used: &[Used<'_>], found: &mut Found) {
    const NONE: &str = "set at least 1: a Pod opts out by itself, with the limit \"0\"";
    const MANY: &str = "set what one node has at most";
    let Some(gpus) = spec.gpus else {
        return;
    };
    let default = gpus.default.unwrap_or(1);
    let max = gpus.max.unwrap_or(default);
    for (field, count) in [
        ("spec.gpus.default", gpus.default),
        ("spec.gpus.max", gpus.max),
    ] {
        let help = if count < Some(MIN_GPUS) { NONE } else { MANY };
        found.between((MIN_GPUS, MAX_GPUS), field, count, help);
    }
    if default > max {
        found.add(
            "spec.gpus.max",
            format!("invalid value {max}: max is below default {default}"),
            "raise max, or lower default (1 if it is not set)",
        );
    }
    let shared = |(_, pool): &&Used<'_>| {
        let sharing = pool.spec.sharing;
        sharing.is_some_and(|sharing| sharing.strategy != SharingStrategy::None)
    };
    if let Some((_, pool)) = used.iter().find(shared).filter(|_| max > 1) {
        let pool = name(&pool.metadata);
        found.add_for(
            Cause::SharedMaximum,
            if gpus.max.is_some() {
                "spec.gpus.max"
            } else {
                "spec.gpus.default"
            },
            format!(
                "invalid value {max}: max must be 1, since pool {pool} is shared",
                pool = shown::quoted(pool)
            ),
            "set 1: two shares may be of the same card",
        );
    }
}

/// No name may stand for two groups of a class: a Pod that asks by it could not be understood.
fn groups(used: &[Used<'_>], found: &mut Found) {
    for (i, pool) in used {
        let others = used
            .iter()
            .take_while(|(j, _)| j < i)
            .map(|(_, other)| *other);
        for other in others.filter(|other| !other.spec.asks_the_same(&pool.spec)) {
            for shared in names(pool).filter(|name| names(other).any(|theirs| theirs == *name)) {
                // two groups may have one resource, and differ in their runtime class, say
                if pool.spec.resource_name == shared && other.spec.resource_name == shared {
                    continue;
                }
                found.add_for(
                    Cause::AliasConflict,
                    format!("spec.pools[{i}].name"),
                    format!(
                        "{shared} is a name of pool {} and of pool {}, which need different things of a Pod",
                        shown::quoted(name(&other.metadata)),
                        shown::quoted(name(&pool.metadata)), shared = shown::quoted(shared)),
                    "remove the alias from one of them, or use two classes",
                );
            }
        }
    }
}

/// The tolerations of one group are within what a Pod may have: else every Pod of the class would be denied (rule 32).
fn tolerations(used: &[Used<'_>], found: &mut Found) {
    for (_, pool) in used {
        let group = used
            .iter()
            .filter(|(_, other)| other.spec.asks_the_same(&pool.spec));
        let taints = group.flat_map(|(_, pool)| &pool.spec.taints);
        let taints: BTreeSet<_> = taints
            .map(|it| {
                (
                    &it.key,
                    it.value.as_deref().unwrap_or_default(),
                    it.effect.as_str(),
                )
            })
            .collect();
        if taints.len() > TOLERATIONS.most {
            return found.add(
                "spec.pools",
                format!(
                    "invalid value: the pools have {} taints, and a Pod can have at most {} tolerations",
                    taints.len(),
                    TOLERATIONS.most
                ),
                "use the same taints in pools of one class",
            );
        }
    }
}

/// The resource of a pool and its aliases.
fn names(pool: &GPUPool) -> impl Iterator<Item = &str> {
    let aliases = pool.spec.resource_aliases.iter();
    aliases
        .chain([&pool.spec.resource_name])
        .map(String::as_str)
}

/// Who may use the class: by labels that are known.
pub(super) fn namespaces(spec: &WorkloadClassSpec, known: NamespaceLabels, found: &mut Found) {
    let Some(selector) = &spec.namespace_selector else {
        return;
    };
    let field = "spec.namespaceSelector";
    selector_bounds(field, selector, found);
    match Selector::new(selector) {
        Err(error) => found.add(
            format!("{field}.{}", error.field),
            error.message,
            "write a LabelSelector as Kubernetes accepts it",
        ),
        Ok(selector) => {
            let unknown = selector
                .into_requirements()
                .into_iter()
                .find(|it| known == NamespaceLabels::NameAlone && it.key != NAMESPACE_NAME_LABEL);
            if let Some(requirement) = unknown {
                found.add(
                    field,
                    format!(
                        "unsupported value: berth does not know the label {} of a namespace from files",
                        shown::quoted(&requirement.key)),
                    format!("select by {NAMESPACE_NAME_LABEL}, whose value is the namespace's name"),
                );
            }
        }
    }
}
