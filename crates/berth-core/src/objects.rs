//! From the objects of a cluster, as the API server gives them, to the table: each stands alone, so that a bad one is
//! left out alone, and says why.

use std::{collections::BTreeMap, sync::Arc};

use kube_core::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    api::{GPUPool, GPUPoolSpec, WorkloadClass, WorkloadClassSpec},
    manifest::{Cause, Document, Manifest, Problem},
    table::{self, AllocationTable, Settings},
};

/// The table, and a verdict on each object, sorted by name.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What is accepted, and the classes that are not ready.
    pub table: Arc<AllocationTable>,
    /// The `GPUPool`s.
    pub pools: Vec<Judged<GPUPoolSpec>>,
    /// The `WorkloadClass`es.
    pub classes: Vec<Judged<WorkloadClassSpec>>,
}

/// One object, and what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged<S> {
    /// Its name.
    pub name: String,
    /// Its uid, which an Event about it must name.
    pub uid: String,
    /// The generation of its spec.
    pub generation: Option<i64>,
    /// Its spec, if it can be decoded.
    pub spec: Option<S>,
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
    let mut pools = read_all::<GPUPoolSpec>(pools);
    let mut classes = read_all::<WorkloadClassSpec>(classes);
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
        table: Arc::new(table),
        pools,
        classes,
    }
}

impl Compiled {
    /// The manifests of what is accepted.
    #[must_use]
    pub fn documents(&self) -> Vec<Document> {
        let pools = self.pools.iter().filter(|it| it.refusal.is_none());
        let pools =
            pools.filter_map(|it| Some(Manifest::Pool(GPUPool::new(&it.name, it.spec.clone()?))));
        let classes = self.classes.iter().filter(|it| it.refusal.is_none());
        let classes = classes.filter_map(|it| {
            let class = WorkloadClass::new(&it.name, it.spec.clone()?);
            Some(Manifest::Class(class))
        });
        let manifests = pools.chain(classes).enumerate();
        manifests
            .map(|(origin, manifest)| Document { origin, manifest })
            .collect()
    }
}

/// Every object of one kind, sorted by name.
fn read_all<'o, S: DeserializeOwned>(
    objects: impl IntoIterator<Item = &'o DynamicObject>,
) -> Vec<Judged<S>> {
    let mut all: Vec<Judged<S>> = objects.into_iter().map(read).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn read<S: DeserializeOwned>(object: &DynamicObject) -> Judged<S> {
    let metadata = &object.metadata;
    let spec = S::deserialize(object.data.get("spec").unwrap_or(&Value::Null));
    Judged {
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
        generation: metadata.generation,
        refusal: spec.as_ref().err().map(|error| Refusal {
            cause: Cause::Invalid,
            message: format!("spec: {error}: write it as `kubectl explain` says"),
        }),
        spec: spec.ok(),
    }
}

/// Gives each object its problems: the first in words, and the number of the others.
fn refuse<S>(objects: &mut [Judged<S>], before: usize, problems: Vec<Problem>) {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        labels::{Labels, Namespaces},
        outcome::Reason,
        rules::authorise,
        testing::{admit, pod},
        validate::NamespaceLabels,
        view::View,
    };

    fn object(name: &str, spec: Value) -> DynamicObject {
        let object = json!({"metadata": {"name": name, "uid": format!("uid-{name}"), "generation": 2}, "spec": spec});
        serde_json::from_value(object).expect("an object")
    }

    fn compiled(pools: &[DynamicObject], classes: &[DynamicObject]) -> Compiled {
        let settings = Settings {
            namespaces: NamespaceLabels::All,
            ..Settings::default()
        };
        compile_each(pools, classes, &settings)
    }

    fn of(pools: &[&str]) -> Value {
        let pools: Vec<Value> = pools.iter().map(|pool| json!({"name": pool})).collect();
        json!({"pools": pools})
    }

    fn merged(mut spec: Value, more: Value) -> Value {
        let more = more.as_object().expect("an object").clone();
        spec.as_object_mut().expect("an object").extend(more);
        spec
    }

    fn pools() -> Vec<DynamicObject> {
        let amd = json!({"resourceName": "amd.com/gpu", "hostnames": ["n"]});
        let shared = json!({"sharing": {"strategy": "TimeSlicing", "replicas": 2}});
        let alias = json!({"resourceName": "nvidia.com/gpu", "resourceAliases": ["amd.com/gpu"]});
        vec![
            object("good", amd.clone()),
            object("shared", merged(amd.clone(), shared)),
            object("alias", merged(amd.clone(), alias)),
            object("bad", json!({"resourceName": "gpu", "hostnames": ["n"]})),
            object("odd", json!({"resourceName": 5})),
        ]
    }

    #[test]
    fn a_bad_object_is_left_out_alone_and_says_why() {
        let classes = [
            object("good", of(&["good"])),
            object("missing", of(&["good", "goood"])),
            object("unaccepted", of(&["bad"])),
            object("undecoded", of(&["odd"])),
            object("alias", of(&["good", "alias"])),
            object(
                "shared",
                merged(of(&["shared"]), json!({"gpus": {"max": 2}})),
            ),
            object(
                "invalid",
                merged(of(&["good"]), json!({"gpus": {"default": 0}})),
            ),
            object("odd", json!({"pools": "good"})),
        ];
        let compiled = compiled(&pools(), &classes);
        let causes = |name: &str| {
            let class = compiled.classes.iter().find(|it| it.name == name);
            let refusal = class.expect("there").refusal.clone();
            refusal.map(|it| (it.cause, it.message))
        };
        assert_eq!(causes("good"), None);
        for (name, cause, part) in [
            (
                "missing",
                Cause::PoolNotFound,
                "there is no GPUPool \"goood\": did you mean \"good\"?",
            ),
            (
                "unaccepted",
                Cause::PoolNotAccepted,
                "GPUPool \"bad\" is invalid",
            ),
            (
                "undecoded",
                Cause::PoolNotAccepted,
                "GPUPool \"odd\" is invalid",
            ),
            ("alias", Cause::AliasConflict, "amd.com/gpu"),
            ("shared", Cause::SharedMaximum, "pool \"shared\" is shared"),
            (
                "invalid",
                Cause::Invalid,
                "spec.gpus.default: invalid value 0",
            ),
            ("odd", Cause::Invalid, "kubectl explain"),
        ] {
            let (found, message) = causes(name).expect("refused");
            assert_eq!(found, cause, "{name}: {message}");
            assert!(message.contains(part), "{name}: {message}");
        }
        let refused = compiled.pools.iter().filter(|pool| pool.refusal.is_some());
        assert_eq!(
            refused.map(|it| &*it.name).collect::<Vec<_>>(),
            ["bad", "odd"]
        );
        assert_eq!(compiled.pools[0].uid, "uid-alias");
        // the others admit
        let mut good = pod(json!({}));
        good["metadata"]["labels"]["berth.dev/workload-class"] = json!("good");
        let view = View::from(compiled.table.clone());
        assert_eq!(
            admit(&view, &good).expect("admitted").pool.as_deref(),
            Some("good")
        );
    }

    #[test]
    fn a_pod_of_a_class_that_is_not_ready_is_denied_and_told_why_where_it_may_use_it() {
        let selector = json!({"namespaceSelector": {"matchLabels": {"team": "a"}}});
        let wrong = json!({"namespaceSelector": {"matchLabels": {"-": "a"}}});
        let classes = [
            object("open", of(&["gone", "gone-too"])),
            object("closed", merged(of(&["gone"]), selector)),
            object("wrong", merged(of(&["gone"]), wrong)),
        ];
        let table = compiled(&pools(), &classes).table;
        let labels: Labels = [("team".to_owned(), "a".to_owned())].into();
        let namespaces = Namespaces::new([("ai".to_owned(), labels)]);
        let view = View::from(table).with_namespaces(namespaces);
        let denial =
            |class: &str, namespace: &str| authorise(&view, class, namespace).expect_err("denied");
        let denied = denial("open", "lab");
        assert_eq!(denied.reason, Reason::ClassNotReady);
        assert_eq!(
            denied.message,
            "workload class \"open\" is not ready: there is no GPUPool \"gone\" (+1 more)"
        );
        assert_eq!(denial("closed", "ai").reason, Reason::ClassNotReady);
        // nobody learns of a class that is not theirs, or of which it is not known whose it is
        assert_eq!(denial("closed", "lab").reason, Reason::ClassUnavailable);
        assert_eq!(denial("wrong", "ai").reason, Reason::ClassUnavailable);
    }

    #[test]
    fn nothing_is_a_table_and_what_changes_the_answers_changes_the_revision() {
        let nothing = compiled(&[], &[]);
        assert!(nothing.table.is_empty());
        let (one, two) = (of(&["gone"]), of(&["gone", "good"]));
        let revision = |spec: &Value| {
            let table = compiled(&pools(), &[object("c", spec.clone())]).table;
            table.revision().to_owned()
        };
        assert_ne!(revision(&one), revision(&two));
        assert_eq!(revision(&one), revision(&one));
        let mut reversed = pools();
        reversed.reverse();
        let table = compiled(&reversed, &[object("c", one.clone())]).table;
        assert_eq!(table.revision(), revision(&one));
    }

    #[test]
    fn a_device_class_is_a_resource() {
        for (resource, is_taken) in [
            ("deviceclass.resource.kubernetes.io/gpu.amd.com", true),
            ("deviceclass.resource.kubernetes.io/", false),
            ("deviceclass.resource.kubernetes.io/A_b", false),
            ("kubernetes.io/gpu", false),
        ] {
            let pool = object("p", json!({"resourceName": resource, "hostnames": ["n"]}));
            let compiled = compiled(&[pool], &[object("c", of(&["p"]))]);
            assert_eq!(compiled.pools[0].refusal.is_none(), is_taken, "{resource}");
            if is_taken {
                let admitted =
                    admit(&View::from(compiled.table), &pod(json!({}))).expect("admitted");
                let limits = &admitted.pod["spec"]["containers"][0]["resources"]["limits"];
                assert_eq!(limits, &json!({resource: "1"}));
            }
        }
    }

    #[test]
    fn only_a_class_that_has_a_choice_or_shares_a_pool_with_one_is_chosen_between() {
        let nvidia = json!({"resourceName": "nvidia.com/gpu", "hostnames": ["m"]});
        let mut pools = pools();
        pools.push(object("nvidia", nvidia.clone()));
        pools.push(object("alone", nvidia));
        let classes = [
            object("two", of(&["good", "nvidia"])),
            object("beside", of(&["nvidia"])),
            object("alone", of(&["alone"])),
            object("gone", of(&["gone"])),
        ];
        let table = compiled(&pools, &classes).table;
        let chosen = table.classes().filter(|class| class.is_chosen_between);
        assert_eq!(
            chosen.map(|class| &*class.name).collect::<Vec<_>>(),
            ["beside", "two"]
        );
    }
}
