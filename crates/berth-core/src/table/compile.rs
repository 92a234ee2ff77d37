//! From documents to the table.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use super::{Allocation, AllocationTable, Group, Pool, Rendered, Settings};
use crate::{
    api::{GPUPool, Gpus, WorkloadClass},
    manifest::{Document, Problem},
    selector::Selector,
    validate::{Valid, validate, validate_without},
};

/// Compiles the documents. What has a problem is left out and named.
#[must_use]
pub fn compile(documents: &[Document], settings: &Settings) -> (AllocationTable, Vec<Problem>) {
    let (valid, problems) = validate(documents, settings.namespaces);
    let ready = Valid {
        not_ready: Vec::new(),
        ..valid
    };
    (table(&ready, settings), problems)
}

/// The same for objects of which each stands alone: a class with a problem is in the table as one that is not ready, if
/// it is known who may use it. The undecodable are the names of pools that no document was made of.
#[must_use]
pub(crate) fn compile_each(
    documents: &[Document],
    settings: &Settings,
    undecodable: &[String],
) -> (AllocationTable, Vec<Problem>) {
    let (valid, problems) = validate_without(documents, settings.namespaces, undecodable);
    (table(&valid, settings), problems)
}

fn table(valid: &Valid<'_>, settings: &Settings) -> AllocationTable {
    let pools: BTreeMap<&str, &GPUPool> = valid
        .pools
        .iter()
        .map(|pool| (name(&pool.metadata), *pool))
        .collect();
    let ready = valid.classes.iter().map(|class| (*class, None));
    let not_ready = valid.not_ready.iter();
    let all = ready.chain(not_ready.map(|(class, problem)| (*class, Some(problem))));
    let mut classes: BTreeMap<String, Allocation> = all
        .map(|(class, problem)| allocation(class, &pools, problem))
        .map(|class| (class.name.clone(), class))
        .collect();
    mark_choices(&mut classes);
    AllocationTable {
        revision: revision(valid, settings),
        class_label: settings.class_label.clone(),
        names: classes.keys().cloned().collect(),
        classes: classes.into_iter().collect(),
        resources: resources(&valid.pools, settings),
        companions: settings.companion_resources.iter().cloned().collect(),
        injected: settings.injected_containers.iter().cloned().collect(),
        pools: valid.pools.iter().map(|pool| Pool::of(pool)).collect(),
    }
}

/// Marks the classes with several groups, and those that share a pool with one of them: their Pods take from what the
/// choice counts.
fn mark_choices(classes: &mut BTreeMap<String, Allocation>) {
    let several = classes.values().filter(|class| class.groups.len() > 1);
    let pools = several.flat_map(|class| &class.groups);
    let pools: HashSet<String> = pools.flat_map(|group| group.pools.clone()).collect();
    for class in classes.values_mut() {
        let mut used = class.groups.iter().flat_map(|group| &group.pools);
        class.is_chosen_between = used.any(|pool| pools.contains(pool));
    }
}

/// The names that the operator adds, in any order; nothing where there are none.
fn names(settings: &Settings) -> impl Iterator<Item = String> {
    let lists = [
        &settings.gpu_resources,
        &settings.companion_resources,
        &settings.injected_containers,
    ];
    let added = lists.iter().any(|list| !list.is_empty());
    let sets = lists.map(|list| json(&list.iter().collect::<BTreeSet<_>>()));
    sets.into_iter().filter(move |_| added)
}

fn name(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

fn resources(pools: &[&GPUPool], settings: &Settings) -> HashSet<String> {
    pools
        .iter()
        .flat_map(|pool| {
            pool.spec
                .resource_aliases
                .iter()
                .chain([&pool.spec.resource_name])
        })
        .chain(&settings.gpu_resources)
        .cloned()
        .collect()
}

fn allocation(
    class: &WorkloadClass,
    pools: &BTreeMap<&str, &GPUPool>,
    problem: Option<&String>,
) -> Allocation {
    let spec = &class.spec;
    let of_ready = spec.pools.iter().filter(|_| problem.is_none());
    let used: Vec<&GPUPool> = of_ready
        .filter_map(|pool| pools.get(pool.name.as_str()).copied())
        .collect();
    let gpus = spec.gpus.unwrap_or(Gpus {
        default: None,
        max: None,
    });
    let default_gpus = u64::from(gpus.default.unwrap_or(1));
    Allocation {
        name: name(&class.metadata).to_owned(),
        groups: Group::all_of(&used),
        default_gpus,
        max_gpus: gpus.max.map_or(default_gpus, u64::from),
        container_names: spec.container_names.clone(),
        namespaces: spec
            .namespace_selector
            .as_ref()
            .map(|selector| Selector::new(selector).expect("validated")),
        scheduler: spec.scheduler_name.as_deref().map(Rendered::string),
        is_chosen_between: false,
        not_ready: problem.cloned(),
    }
}

impl Rendered {
    /// A text and its JSON string.
    pub(super) fn string(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            json: json(text),
        }
    }
}

/// The JSON of a value that cannot fail to serialise: strings, and lists and maps of them.
pub(super) fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("strings serialise")
}

/// FNV-1a, 48 bits of it in hex, of the manifests by kind and name, and of the settings: it tells two tables apart in a
/// message, no more.
fn revision(valid: &Valid<'_>, settings: &Settings) -> String {
    let pools = valid
        .pools
        .iter()
        .map(|pool| json(&(name(&pool.metadata), &pool.spec)));
    let classes = valid
        .classes
        .iter()
        .map(|class| json(&(name(&class.metadata), &class.spec)));
    let not_ready = valid
        .not_ready
        .iter()
        .map(|(class, problem)| json(&(name(&class.metadata), &class.spec, problem)));
    let mut hasher = fnv::FnvHasher::default();
    for part in pools
        .chain(["\n".to_owned()])
        .chain(classes)
        .chain(not_ready)
        .chain([settings.class_label.clone()])
        .chain(names(settings))
    {
        std::hash::Hasher::write(&mut hasher, part.as_bytes());
    }
    format!("{:012x}", std::hash::Hasher::finish(&hasher) >> 16)
}
