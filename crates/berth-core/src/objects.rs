//! From the objects of a cluster, as the API server gives them, to the table: each stands alone, so that a bad one is
//! left out alone, and says why.

use std::collections::BTreeMap;

use kube_core::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    api::{
        GPUPool, GPUPoolSpec, GPUPoolStatus, WorkloadClass, WorkloadClassSpec, WorkloadClassStatus,
    },
    manifest::{Cause, Document, Manifest, Problem},
    table::{self, AllocationTable, Settings},
};

/// The table, and a verdict on each object, sorted by name.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What is accepted, and the classes that are not ready.
    pub table: AllocationTable,
    /// The `GPUPool`s.
    pub pools: Vec<Judged<GPUPoolSpec, GPUPoolStatus>>,
    /// The `WorkloadClass`es.
    pub classes: Vec<Judged<WorkloadClassSpec, WorkloadClassStatus>>,
}

/// One object, and what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged<S, T> {
    /// Its name.
    pub name: String,
    /// Its uid, which an Event about it must name.
    pub uid: String,
    /// The generation of its spec.
    pub generation: Option<i64>,
    /// Its spec, if it can be decoded.
    pub spec: Option<S>,
    /// The status that it has, if that can be decoded.
    pub status: Option<T>,
    /// Why it is not accepted.
    pub refusal: Option<Refusal>,
}

/// Why an object is not accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The reason of its condition.
    pub cause: Cause,
    /// The first problem with its place and what to do, and how many more there are.
    pub message: String,
}

/// Compiles the objects of both kinds, each by itself. No object is a table, too.
#[must_use]
pub fn compile_each<'o>(
    pools: impl IntoIterator<Item = &'o DynamicObject>,
    classes: impl IntoIterator<Item = &'o DynamicObject>,
    settings: &Settings,
) -> Compiled {
    let mut pools = read_all::<GPUPoolSpec, GPUPoolStatus>(pools);
    let mut classes = read_all::<WorkloadClassSpec, WorkloadClassStatus>(classes);
    let of_pools = pools.iter().enumerate();
    let of_pools = of_pools.filter_map(|(origin, it)| {
        let pool = GPUPool::new(&it.name, it.spec.clone()?);
        let manifest = Manifest::Pool(pool);
        Some(Document { origin, manifest })
    });
    let of_classes = classes.iter().enumerate();
    let of_classes = of_classes.filter_map(|(i, it)| {
        let class = WorkloadClass::new(&it.name, it.spec.clone()?);
        let manifest = Manifest::Class(class);
        let origin = pools.len() + i;
        Some(Document { origin, manifest })
    });
    let documents: Vec<Document> = of_pools.chain(of_classes).collect();
    let undecodable = pools.iter().filter(|it| it.spec.is_none());
    let undecodable: Vec<String> = undecodable.map(|it| it.name.clone()).collect();
    let (table, problems) = table::compile_each(&documents, settings, &undecodable);
    let (of_pools, of_classes): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|it| it.origin < pools.len());
    refuse(&mut pools, 0, of_pools);
    let before = pools.len();
    refuse(&mut classes, before, of_classes);
    Compiled {
        table,
        pools,
        classes,
    }
}

/// Every object of one kind, sorted by name.
fn read_all<'o, S: DeserializeOwned, T: DeserializeOwned>(
    objects: impl IntoIterator<Item = &'o DynamicObject>,
) -> Vec<Judged<S, T>> {
    let mut all: Vec<Judged<S, T>> = objects.into_iter().map(read).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn read<S: DeserializeOwned, T: DeserializeOwned>(object: &DynamicObject) -> Judged<S, T> {
    let metadata = &object.metadata;
    let field = |name: &str| object.data.get(name).unwrap_or(&Value::Null);
    let spec = S::deserialize(field("spec"));
    Judged {
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
        generation: metadata.generation,
        status: T::deserialize(field("status")).ok(),
        refusal: spec.as_ref().err().map(|error| Refusal {
            cause: Cause::Invalid,
            message: format!("spec: {error}: write it as `kubectl explain` says"),
        }),
        spec: spec.ok(),
    }
}

/// Gives each object its problems: the first in words, and the number of the others.
fn refuse<S, T>(objects: &mut [Judged<S, T>], before: usize, problems: Vec<Problem>) {
    let mut by_object: BTreeMap<usize, Vec<Problem>> = BTreeMap::new();
    for problem in problems {
        by_object
            .entry(problem.origin - before)
            .or_default()
            .push(problem);
    }
    for (i, problems) in by_object {
        let (Some(object), Some(first)) = (objects.get_mut(i), problems.first()) else {
            continue;
        };
        let more = match problems.len() - 1 {
            0 => String::new(),
            more => format!(" (+{more} more)"),
        };
        object.refusal = Some(Refusal {
            cause: first.cause,
            message: format!("{}: {}: {}{more}", first.field, first.message, first.help),
        });
    }
}
