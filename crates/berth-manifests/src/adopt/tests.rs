//! What people write by hand, and what becomes of it.

use serde_json::json;

use super::*;
use crate::init;
use berth_core::{labels::Namespaces, testing};

/// khelben with a taint, elminster shared and with a runtime class, drizzt and danilo without either.
fn view() -> View {
    testing::view(&[
        testing::pool(
            "strix-halo",
            json!({
                "hostnames": ["khelben"], "resourceName": "amd.com/gpu",
                "taints": [{"key": "dedicated", "value": "vllm", "effect": "NoSchedule"}],
            }),
        ),
        testing::pool(
            "rtx-2070",
            json!({
                "hostnames": ["elminster"], "resourceName": "nvidia.com/gpu", "runtimeClassName": "nvidia",
            }),
        ),
        testing::pool(
            "radeon",
            json!({
                "nodeSelector": {"matchLabels": {"gpu": "radeon"}}, "resourceName": "amd.com/gpu",
                "env": [{"name": "HSA_OVERRIDE_GFX_VERSION", "value": "10.3.0"}],
            }),
        ),
        testing::pool(
            "arc",
            json!({
                "hostnames": ["danilo"], "resourceName": "gpu.intel.com/i915", "resourceAliases": ["gpu.intel.com/xe"],
            }),
        ),
        testing::class("vllm", &["strix-halo"], json!({})),
        testing::class("whisper", &["rtx-2070"], json!({})),
        testing::class("xtts", &["rtx-2070"], json!({})),
        testing::class("embed", &["radeon"], json!({})),
        testing::class("rerank", &["arc"], json!({"gpus": {"max": 2}})),
    ])
}

fn container(resource: &str, gpus: u64) -> Value {
    json!([{"name": "main", "image": "x", "resources": {"limits": {resource: gpus}}}])
}

fn deployment(spec: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "ai"},
        "spec": {"template": {"metadata": {"labels": {"app": "d"}}, "spec": spec}},
    })
}

fn on(hostname: &str) -> Value {
    json!({"kubernetes.io/hostname": hostname})
}

fn required(terms: Value) -> Value {
    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}})
}

fn only(document: &Value, nodes: Option<&[Node]>) -> (Outcome, Option<Value>) {
    let Adoption {
        mut workloads,
        adopted,
    } = adopt(document, &view(), "default", nodes);
    assert_eq!(workloads.len(), 1, "{workloads:?}");
    (workloads.remove(0).outcome, adopted)
}

#[track_caller]
fn adopted(spec: Value) -> (Adopted, Value) {
    match only(&deployment(spec), None) {
        (Outcome::Adopted(adopted), Some(document)) => {
            (*adopted, document["spec"]["template"].clone())
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn kept(document: &Value, why: &str) {
    match only(document, None) {
        (Outcome::Kept(reason), None) => assert!(reason.contains(why), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_class_says_is_needless_and_the_rest_stays() {
    let (found, template) = adopted(json!({
        "nodeSelector": {"kubernetes.io/hostname": "khelben", "disk": "ssd"},
        "tolerations": [
            {"key": "spot", "operator": "Exists"},
            {"key": "dedicated", "value": "vllm", "effect": "NoSchedule"},
        ],
        "containers": [
            {"name": "main", "resources": {"limits": {"amd.com/gpu": 1, "memory": "1Gi"}, "requests": {"amd.com/gpu": "1"}}},
        ],
    }));
    assert_eq!((&*found.class, &*found.pool), ("vllm", "strix-halo"));
    assert_eq!(
        found.removed,
        [
            "spec.template.spec.containers[0].resources.limits[\"amd.com/gpu\"]",
            "spec.template.spec.nodeSelector[\"kubernetes.io/hostname\"]",
            "spec.template.spec.tolerations[1]",
        ]
    );
    assert_eq!(
        (found.same, &*found.added),
        (Same::Everywhere, "the annotation berth.dev/pool")
    );
    assert_eq!(
        template,
        json!({
            "metadata": {"labels": {"app": "d", "berth.dev/workload-class": "vllm"}},
            "spec": {
                "nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "spot", "operator": "Exists"}],
                "containers": [{"name": "main", "resources": {"limits": {"memory": "1Gi"}}}],
            },
        })
    );
}

#[test]
fn affinity_runtime_class_variables_and_aliases_are_needless_where_the_table_says_the_same() {
    let hostname = |values: Value| json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": values}]}]);
    let (found, template) = adopted(json!({
        "affinity": required(hostname(json!(["elminster"]))), "runtimeClassName": "nvidia",
        "containers": container("nvidia.com/gpu", 1),
    }));
    assert_eq!(found.others, ["xtts"]);
    assert_eq!(
        template["spec"],
        json!({"containers": [{"name": "main", "image": "x"}]})
    );

    let mut with_env = container("amd.com/gpu", 1);
    with_env[0]["env"] = json!([{"name": "A", "value": "b"}, {"name": "HSA_OVERRIDE_GFX_VERSION", "value": "10.3.0"}]);
    let (found, template) =
        adopted(json!({"nodeSelector": {"gpu": "radeon"}, "containers": with_env}));
    assert_eq!(found.class, "embed");
    assert_eq!(
        template["spec"],
        json!({"containers": [{"name": "main", "image": "x", "env": [{"name": "A", "value": "b"}]}]})
    );
    // its own value wins, so it stays
    with_env[0]["env"] = json!([{"name": "HSA_OVERRIDE_GFX_VERSION", "value": "11.0.0"}]);
    let (_, template) = adopted(json!({"nodeSelector": {"gpu": "radeon"}, "containers": with_env}));
    assert_eq!(template["spec"]["containers"][0]["env"], with_env[0]["env"]);

    // another name of the same resource, and more of it than a class gives
    let (found, template) = adopted(
        json!({"nodeSelector": on("danilo"), "containers": container("gpu.intel.com/xe", 2)}),
    );
    assert_eq!(found.class, "rerank");
    assert_eq!(
        template["spec"],
        json!({"containers": container("gpu.intel.com/xe", 2)})
    );
}

#[test]
fn the_class_of_the_same_name_is_taken_first() {
    let mut xtts = container("nvidia.com/gpu", 1);
    xtts[0]["name"] = json!("xtts");
    let spec = json!({"nodeSelector": on("elminster"), "containers": xtts});
    let (found, _) = adopted(spec);
    assert_eq!(
        (&*found.class, &*found.others),
        ("xtts", &["whisper".to_owned()][..])
    );
    assert_eq!(found.added, "runtimeClassName nvidia");
}

#[test]
fn what_no_class_says_stays_and_says_why() {
    let vllm = || {
        let mut containers = container("amd.com/gpu", 1);
        containers[0]["name"] = json!("vllm");
        containers
    };
    let tolerated = json!([{"key": "dedicated", "value": "vllm", "effect": "NoSchedule"}]);
    let for_some_time =
        json!([{"key": "dedicated", "operator": "Exists", "tolerationSeconds": 60}]);
    for (spec, why) in [
        (
            json!({"containers": container("amd.com/gpu", 1), "tolerations": tolerated}),
            "only as it is",
        ),
        (
            json!({"nodeSelector": on("drizzt"), "containers": container("amd.com/gpu", 1)}),
            "nor does one of 1 more",
        ),
        (
            json!({"nodeSelector": on("khelben"), "containers": vllm()}),
            "have the taint dedicated, which it does not tolerate, so it waits as it is",
        ),
        (
            json!({"nodeSelector": on("khelben"), "containers": vllm(), "tolerations": for_some_time}),
            "so it waits as it is",
        ),
        (
            json!({"nodeSelector": on("elminster"), "containers": container("nvidia.com/gpu", 2)}),
            "with class \"whisper\" it is denied: ",
        ),
        (
            json!({"containers": container("habana.ai/gaudi", 1)}),
            "no class that namespace \"ai\" may use has habana.ai/gaudi",
        ),
    ] {
        kept(&deployment(spec), why);
    }
    let fine =
        || json!({"nodeSelector": on("elminster"), "containers": container("nvidia.com/gpu", 1)});
    let with = |pointer: &str, value: Value| {
        let mut document = deployment(fine());
        *document.pointer_mut(pointer).expect("a field") = value;
        document
    };
    kept(
        &with("/kind", json!("DaemonSet")),
        "the controller of a DaemonSet reads its template",
    );
    kept(
        &with("/metadata/namespace", json!("kube-system")),
        "leaves namespace kube-system out",
    );
    let out = json!({"berth.dev/inject": "disabled"});
    kept(&with("/spec/template/metadata/labels", out), "it opts out");
    let queued = json!({"name": "d", "labels": {"kueue.x-k8s.io/queue-name": "q"}});
    kept(&with("/metadata", queued), "Kueue counts the GPUs");
}

#[test]
fn a_pod_without_a_gpu_is_nobodys_and_one_with_a_class_is_done() {
    let none = deployment(json!({"nodeSelector": on("khelben"), "containers": [{"name": "main"}]}));
    assert!(adopt(&none, &view(), "default", None).workloads.is_empty());
    let mut labelled = deployment(json!({"containers": container("amd.com/gpu", 1)}));
    labelled["spec"]["template"]["metadata"]["labels"]["berth.dev/workload-class"] = json!("vllm");
    assert_eq!(
        only(&labelled, None),
        (Outcome::Labelled("vllm".to_owned()), None)
    );
}

#[test]
fn every_kind_and_every_item_of_a_list_is_adopted_at_its_place() {
    let spec =
        json!({"nodeSelector": on("elminster"), "containers": container("nvidia.com/gpu", 1)});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec});
    let cron = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"},
        "spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}},
    });
    let typed = json!({"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "i"}, "spec": spec}]});
    let list =
        json!({"apiVersion": "v1", "kind": "List", "items": [deployment(spec.clone()), pod, cron]});
    for (document, paths) in [
        (
            list,
            &[
                "/items/0/spec/template",
                "/items/1",
                "/items/2/spec/jobTemplate/spec/template",
            ][..],
        ),
        (typed, &["/items/0"]),
    ] {
        let found = adopt(&document, &view(), "default", None);
        assert_eq!(found.workloads.len(), paths.len());
        let adopted = found.adopted.expect("a document");
        for path in paths {
            let template = adopted.pointer(path).expect("a template");
            assert_eq!(
                template["metadata"]["labels"]["berth.dev/workload-class"], "whisper",
                "{adopted}"
            );
            assert!(template["spec"].get("nodeSelector").is_none(), "{adopted}");
        }
    }
}

#[test]
fn who_selects_the_same_nodes_by_another_label_is_adopted_where_the_nodes_are_known() {
    let node = |name: &str, gpu: &str, taints: Value| {
        json!({
            "apiVersion": "v1", "kind": "Node", "spec": {"taints": taints},
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "vendor": gpu}},
        })
    };
    let by_vendor = deployment(
        json!({"nodeSelector": {"vendor": "nvidia"}, "containers": container("nvidia.com/gpu", 1)}),
    );
    let nodes = |nodes: &[Value]| {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": nodes});
        init::nodes(&list.to_string()).expect("Nodes")
    };
    let outcome = |all: &[Value]| only(&by_vendor, Some(&nodes(all))).0;
    kept(
        &by_vendor,
        "it may run on a node with another kubernetes.io/hostname and vendor=nvidia only as it is",
    );
    let elminster = || node("elminster", "nvidia", json!([]));
    let Outcome::Adopted(adopted) = outcome(&[elminster(), node("khelben", "amd", json!([]))])
    else {
        panic!("not adopted");
    };
    assert_eq!(
        (adopted.same, &*adopted.removed),
        (
            Same::OfNodes(1),
            &[
                "spec.template.spec.containers[0].resources.limits[\"nvidia.com/gpu\"]".to_owned(),
                "spec.template.spec.nodeSelector[\"vendor\"]".to_owned(),
            ][..]
        )
    );
    for (all, why) in [
        (
            vec![elminster(), node("storm", "nvidia", json!([]))],
            "it may run on Node storm only as it is",
        ),
        (vec![], "only as it is"),
        // on neither
        (
            vec![node(
                "elminster",
                "nvidia",
                json!([{"key": "k", "effect": "NoExecute"}]),
            )],
            "only as it is",
        ),
    ] {
        match outcome(&all) {
            Outcome::Kept(reason) => assert!(reason.contains(why), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_class_for_namespaces_with_a_label_is_for_those_alone() {
    let open = json!({"namespaceSelector": {"matchLabels": {"team": "ml"}}});
    let pool = testing::pool(
        "p",
        json!({"hostnames": ["n"], "resourceName": "amd.com/gpu"}),
    );
    let objects = |labels: &[(&str, &str)]| {
        let labels = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let namespaces = Namespaces::new([("ai".to_owned(), labels.collect())]);
        let settings = berth_core::table::Settings {
            namespaces: berth_core::validate::NamespaceLabels::All,
            ..Default::default()
        };
        let documents = [pool.clone(), testing::class("c", &["p"], open.clone())];
        let (table, problems) = berth_core::table::compile(&documents, &settings);
        assert!(problems.is_empty());
        View::from(table).with_namespaces(namespaces)
    };
    let document =
        deployment(json!({"nodeSelector": on("n"), "containers": container("amd.com/gpu", 1)}));
    let outcome = |view: &View| {
        adopt(&document, view, "default", None)
            .workloads
            .remove(0)
            .outcome
    };
    assert!(matches!(
        outcome(&objects(&[("team", "ml")])),
        Outcome::Adopted(_)
    ));
    assert!(matches!(outcome(&objects(&[])), Outcome::Kept(why) if why.contains("may use")));
}

#[test]
fn a_class_whose_pools_differ_says_the_same_only_with_what_chooses_between_them() {
    let view = testing::view(&[
        testing::pool(
            "amd",
            json!({"hostnames": ["a"], "resourceName": "amd.com/gpu"}),
        ),
        testing::pool(
            "nvidia",
            json!({"hostnames": ["n"], "resourceName": "nvidia.com/gpu"}),
        ),
        testing::class("c", &["amd", "nvidia"], json!({})),
    ]);
    let document =
        deployment(json!({"nodeSelector": on("a"), "containers": container("amd.com/gpu", 1)}));
    let mut found = adopt(&document, &view, "default", None);
    let Outcome::Adopted(adopted) = found.workloads.remove(0).outcome else {
        panic!("not adopted");
    };
    // the selector alone keeps it on that pool, also while the other one has room
    assert_eq!(adopted.removed.len(), 1, "{adopted:?}");
    assert_eq!(adopted.pool, "amd");
}
