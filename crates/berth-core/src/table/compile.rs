//! From documents to the table.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use super::{Allocation, AllocationTable, Group, Pool, Rendered, Settings};
use crate::{
    api::{GPUPool, Gpus, WorkloadClass},
    manifest::{Cause, Document, Manifest, Problem},
    selector::Selector,
    size::Excess,
    validate::{Valid, validate, validate_without},
};

/// So many entries of lists and maps a Pod may have by itself, at the least: of the largest that people write.
const OF_A_POD: usize = 1024;

/// Compiles the documents. What has a problem is left out and named.
#[must_use]
pub fn compile(documents: &[Document], settings: &Settings) -> (AllocationTable, Vec<Problem>) {
    let (mut valid, mut problems) = validate(documents, settings.namespaces);
    let ready = ready(&mut valid, documents, &mut problems);
    valid.not_ready.clear();
    (table(&valid, ready, settings), problems)
}

/// The same for objects of which each stands alone: a class with a problem is in the table as one that is not ready, if
/// it is known who may use it. The undecodable are the names of pools that no document was made of.
#[must_use]
pub(crate) fn compile_each(
    documents: &[Document],
    settings: &Settings,
    undecodable: &[String],
) -> (AllocationTable, Vec<Problem>) {
    let (mut valid, mut problems) = validate_without(documents, settings.namespaces, undecodable);
    let ready = ready(&mut valid, documents, &mut problems);
    (table(&valid, ready, settings), problems)
}

/// The allocations of the valid classes. One that would add to each Pod more than a Pod may have, so that each would be
/// denied, has a problem, and is not ready (rule 32).
fn ready(
    valid: &mut Valid<'_>,
    documents: &[Document],
    problems: &mut Vec<Problem>,
) -> Vec<Allocation> {
    let pools = by_name(&valid.pools);
    let mut allocations = Vec::with_capacity(valid.classes.len());
    for class in std::mem::take(&mut valid.classes) {
        let allocation = allocation(class, &pools, None);
        let mut groups = allocation.groups.iter();
        let Some(excess) = groups.find_map(|group| group.size().excess(OF_A_POD)) else {
            valid.classes.push(class);
            allocations.push(allocation);
            continue;
        };
        let problem = too_large(class, excess, documents);
        let words = format!("{}: {}", problem.field, problem.message);
        valid.not_ready.push((class, words));
        problems.push(problem);
    }
    valid
        .not_ready
        .sort_by_key(|(class, _)| name(&class.metadata));
    problems.sort_by_key(|problem| problem.origin);
    allocations
}

fn too_large(class: &WorkloadClass, excess: Excess, documents: &[Document]) -> Problem {
    let is_it =
        |it: &&Document| matches!(&it.manifest, Manifest::Class(it) if std::ptr::eq(it, class));
    let origin = documents.iter().find(is_it).map_or(0, |it| it.origin);
    let message = match excess {
        Excess::Entries(_) => format!("with these pools, a Pod would have {excess}"),
        Excess::Bytes(_) => format!("these pools would add to a Pod {excess}"),
    };
    Problem {
        origin,
        cause: Cause::Invalid,
        field: "spec.pools".to_owned(),
        message: format!("invalid value: {message}"),
        help: "select the pools' nodes by a label they share (nodeSelector), or split the class"
            .to_owned(),
    }
}

type Pools<'a> = BTreeMap<&'a str, &'a GPUPool>;

fn by_name<'a>(pools: &[&'a GPUPool]) -> Pools<'a> {
    let named = pools.iter().map(|pool| (name(&pool.metadata), *pool));
    named.collect()
}

fn table(valid: &Valid<'_>, ready: Vec<Allocation>, settings: &Settings) -> AllocationTable {
    let pools = by_name(&valid.pools);
    let not_ready = valid.not_ready.iter();
    let not_ready = not_ready.map(|(class, problem)| allocation(class, &pools, Some(problem)));
    let mut classes: BTreeMap<String, Allocation> = ready
        .into_iter()
        .chain(not_ready)
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

fn allocation(class: &WorkloadClass, pools: &Pools<'_>, problem: Option<&String>) -> Allocation {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{admit, class, pod, pool};

    /// A class of so many pools, each of a thousand nodes by their hostnames, and another class beside it.
    fn by_hostname(pools: usize) -> Vec<Document> {
        let names: Vec<String> = (0..pools).map(|i| format!("p{i}")).collect();
        let hostnames = |name: &String| -> Vec<String> {
            (0..1000).map(|i| format!("{name}-node-{i}")).collect()
        };
        let spec = |name| json!({"hostnames": hostnames(name)});
        let pools = names.iter().map(|name| pool(name, spec(name)));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let classes = [
            class("c", &names, json!({})),
            class("d", &["p0"], json!({})),
        ];
        let documents = pools.chain(classes).enumerate();
        let numbered = documents.map(|(origin, it)| Document { origin, ..it });
        numbered.collect()
    }

    #[test]
    fn a_class_that_could_place_no_pod_is_a_problem_and_its_neighbour_is_not() {
        let settings = Settings::default();
        let documents = by_hostname(20);
        let (table, problems) = compile(&documents, &settings);
        let [problem] = &*problems else {
            panic!("{problems:?}");
        };
        assert_eq!((problem.origin, &*problem.field), (20, "spec.pools"));
        assert_eq!(
            problem.message,
            "invalid value: with these pools, a Pod would have 41067 entries in its lists and maps, and berth allows 32768"
        );
        assert!(table.class("c").is_none() && table.class("d").is_some());

        let (table, problems) = compile_each(&documents, &settings, &[]);
        assert_eq!(problems.len(), 1);
        let not_ready = table.class("c").and_then(|it| it.not_ready.as_deref());
        assert!(
            not_ready.is_some_and(|it| it.starts_with("spec.pools: invalid value: with these")),
            "{not_ready:?}"
        );

        let documents = by_hostname(15);
        let (table, problems) = compile(&documents, &settings);
        assert_eq!(problems, []);
        assert!(admit(&table.into(), &pod(json!({}))).is_ok());
    }

    #[test]
    fn what_a_class_adds_is_bounded_in_bytes_too() {
        let values = |i: usize| -> Vec<String> {
            (0..700)
                .map(|value| format!("{i:031}-{value:031}"))
                .collect()
        };
        let expressions: Vec<_> = (0..20)
            .map(|i| json!({"key": format!("k{i}"), "operator": "In", "values": values(i)}))
            .collect();
        let selector = json!({"nodeSelector": {"matchExpressions": expressions}});
        let documents = [
            pool("p", selector.clone()),
            pool("q", json!({})),
            class("c", &["p", "q"], json!({})),
        ];
        let (_, problems) = compile(&documents, &Settings::default());
        let message = problems.first().map(|problem| &*problem.message);
        assert_eq!(
            message,
            Some(
                "invalid value: these pools would add to a Pod about 1.8 MiB, and berth allows 1.5 MiB"
            )
        );
    }
}
