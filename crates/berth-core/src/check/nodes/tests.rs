use std::collections::BTreeMap;

use kube_core::DynamicObject;
use serde_json::{Value, json};

use super::*;
use crate::{
    check::{Outcome, Unseen},
    names::HOSTNAME_LABEL,
    objects::compile_each,
    table::Settings,
    validate::NamespaceLabels,
};

fn node(name: &str, taints: &[(&str, &str, &str)], offers: &[(&str, u32)]) -> SeenNode {
    let hostname = name.split('.').next().unwrap_or_default();
    SeenNode {
        name: name.to_owned(),
        labels: BTreeMap::from([(HOSTNAME_LABEL.to_owned(), hostname.to_owned())]),
        taints: taints
            .iter()
            .map(|(key, value, effect)| {
                ((*key).to_owned(), (*value).to_owned(), (*effect).to_owned())
            })
            .collect(),
        allocatable: offers
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect(),
        is_ready: true,
        is_cordoned: false,
    }
}

const DEDICATED: (&str, &str, &str) = ("dedicated", "vllm", "NoSchedule");

fn khelben() -> SeenNode {
    node("khelben.home.arpa", &[DEDICATED], &[("amd.com/gpu", 1)])
}

/// A pool with khelben, which has more fields.
fn pool(more: Value) -> DynamicObject {
    let mut spec = json!({
        "hostnames": ["khelben"], "resourceName": "amd.com/gpu",
        "taints": [{"key": "dedicated", "value": "vllm", "effect": "NoSchedule"}],
    });
    let more = more.as_object().expect("an object").clone();
    spec.as_object_mut().expect("an object").extend(more);
    serde_json::from_value(json!({"metadata": {"name": "halo"}, "spec": spec})).expect("an object")
}

fn checks(
    pool: DynamicObject,
    nodes: Vec<SeenNode>,
    classes: &[(&str, Option<&str>)],
) -> Vec<Check> {
    let classes = classes
        .iter()
        .map(|(name, resource)| ((*name).to_owned(), resource.map(str::to_owned)))
        .collect();
    checks_with(pool, nodes, &Ok(classes))
}

fn checks_with(
    pool: DynamicObject,
    nodes: Vec<SeenNode>,
    classes: &Seen<Vec<(String, Option<String>)>>,
) -> Vec<Check> {
    let settings = Settings {
        namespaces: NamespaceLabels::All,
        ..Settings::default()
    };
    // without a class, the table has no pool
    let class: DynamicObject = serde_json::from_value(
        json!({"metadata": {"name": "c"}, "spec": {"pools": [{"name": "halo"}]}}),
    )
    .expect("an object");
    let compiled = compile_each(&[pool], &[class], &settings);
    assert_eq!(compiled.pools[0].refusal, None);
    pools(&Ok(compiled), &Ok(nodes), classes)
}

/// The one check there is.
fn one(pool: Value, node: SeenNode) -> (Outcome, String, String) {
    let checks = checks(self::pool(pool), vec![node], &[]);
    let [check] = checks.as_slice() else {
        panic!("{checks:?}");
    };
    let hint = check.hint.as_ref().map(|it| it.text().to_owned());
    (
        check.outcome,
        check.found.clone().unwrap_or_else(|| check.what.clone()),
        hint.unwrap_or_default(),
    )
}

#[test]
fn a_pool_that_is_as_it_says_passes() {
    let (outcome, said, _) = one(json!({}), khelben());
    assert_eq!(outcome, Outcome::Passed);
    assert_eq!(
        said,
        "halo: 1 node with 1 amd.com/gpu, taint dedicated=vllm:NoSchedule"
    );
    let (outcome, said, _) = one(
        json!({"taints": []}),
        node("khelben", &[], &[("amd.com/gpu", 2)]),
    );
    assert_eq!(outcome, Outcome::Passed);
    assert_eq!(said, "halo: 1 node with 2 amd.com/gpu, no taint");
}

#[test]
fn a_node_that_is_not_as_its_pool_says_fails_with_the_command_that_fixes_it() {
    let change = |change: fn(&mut SeenNode)| {
        let mut node = khelben();
        change(&mut node);
        node
    };
    let selector =
        |labels: Value| json!({"hostnames": null, "nodeSelector": {"matchLabels": labels}});
    for (pool, node, outcome, found, hint) in [
        (
            json!({}),
            change(|it| it.labels.clear()),
            Outcome::Failed,
            "no Node has the label kubernetes.io/hostname=khelben",
            "kubectl label node khelben.home.arpa kubernetes.io/hostname=khelben --overwrite",
        ),
        (
            json!({"hostnames": ["gone"]}),
            khelben(),
            Outcome::Failed,
            "no Node has the label kubernetes.io/hostname=gone",
            "kubectl get nodes -L kubernetes.io/hostname",
        ),
        (
            json!({"hostnames": ["khelben", "gone"]}),
            khelben(),
            Outcome::Warned,
            "kubernetes.io/hostname=gone",
            "kubectl get nodes -L kubernetes.io/hostname",
        ),
        (
            selector(json!({"example.com/gpu": "halo"})),
            khelben(),
            Outcome::Failed,
            "no Node of 1 matches example.com/gpu In [halo]; node khelben.home.arpa offers amd.com/gpu",
            "kubectl label node khelben.home.arpa example.com/gpu=halo --overwrite",
        ),
        (
            json!({}),
            change(|it| {
                it.taints
                    .push(("gpu".to_owned(), String::new(), "NoExecute".to_owned()));
            }),
            Outcome::Failed,
            "node khelben.home.arpa has the taint gpu:NoExecute, which the pool does not declare",
            r#"kubectl patch gpupool halo --type=json -p '[{"op":"add","path":"/spec/taints/-","value":{"effect":"NoExecute","key":"gpu"}}]'"#,
        ),
        (
            json!({"taints": []}),
            khelben(),
            Outcome::Failed,
            "dedicated=vllm:NoSchedule",
            r#"kubectl patch gpupool halo --type=json -p '[{"op":"add","path":"/spec/taints","value":[{"effect":"NoSchedule","key":"dedicated","value":"vllm"}]}]'"#,
        ),
        (
            json!({}),
            change(|it| {
                it.taints.push((
                    "node.kubernetes.io/disk-pressure".to_owned(),
                    String::new(),
                    "NoSchedule".to_owned(),
                ));
            }),
            Outcome::Failed,
            "disk-pressure",
            "Kubernetes sets it while a node is not fit for Pods: kubectl describe node khelben.home.arpa",
        ),
        (
            json!({}),
            change(|it| it.taints.clear()),
            Outcome::Warned,
            "node khelben.home.arpa has no taint dedicated=vllm:NoSchedule: others may come",
            "kubectl taint nodes khelben.home.arpa dedicated=vllm:NoSchedule --overwrite",
        ),
        (
            json!({}),
            change(|it| it.is_cordoned = true),
            Outcome::Failed,
            "node khelben.home.arpa is cordoned",
            "kubectl uncordon khelben.home.arpa",
        ),
        (
            json!({}),
            change(|it| it.is_ready = false),
            Outcome::Failed,
            "node khelben.home.arpa is not ready",
            "kubectl describe node khelben.home.arpa",
        ),
        (
            json!({}),
            change(|it| it.allocatable.clear()),
            Outcome::Failed,
            "node khelben.home.arpa offers none: does the device plugin run there?",
            "kubectl get pods -A -o wide --field-selector spec.nodeName=khelben.home.arpa",
        ),
        (
            json!({"resourceName": "gpu.intel.com/i915"}),
            change(|it| it.allocatable = vec![("gpu.intel.com/xe".to_owned(), 1)]),
            Outcome::Failed,
            "gpu.intel.com/xe instead",
            r#"kubectl patch gpupool halo --type=json -p '[{"op":"replace","path":"/spec/resourceName","value":"gpu.intel.com/xe"}]'"#,
        ),
        (
            json!({"resourceName": "nvidia.com/gpu"}),
            change(|it| {
                it.allocatable.clear();
                it.labels.insert(
                    "nvidia.com/gpu.deploy.device-plugin".to_owned(),
                    "false".to_owned(),
                );
            }),
            Outcome::Failed,
            "keeps the device plugin away",
            "kubectl label node khelben.home.arpa nvidia.com/gpu.deploy.device-plugin=true --overwrite",
        ),
    ] {
        let (is, said, does) = one(pool, node);
        assert_eq!(is, outcome, "{said}");
        assert!(said.contains(found), "{said}");
        assert_eq!(does, hint, "{said}");
    }
}

#[test]
fn what_dra_provides_is_not_called_missing_and_its_name_is_said() {
    let mut node = khelben();
    node.allocatable.clear();
    let by_class = checks(
        pool(json!({})),
        vec![node.clone()],
        &[("gpu.amd.com", Some("amd.com/gpu"))],
    );
    assert_eq!(by_class[0].outcome, Outcome::Passed);
    assert!(
        by_class[0]
            .what
            .contains("by DRA (DeviceClass gpu.amd.com)"),
        "{by_class:?}"
    );
    let i915 = pool(json!({"resourceName": "gpu.intel.com/i915"}));
    let found = checks(
        i915,
        vec![node],
        &[("gpu.intel.com", Some("intel.com/gpu"))],
    );
    assert_eq!(found[0].outcome, Outcome::Failed);
    let hint = found[0].hint.as_ref().expect("a hint").text();
    assert!(hint.contains(r#""value":"intel.com/gpu""#), "{hint}");
}

#[test]
fn of_several_nodes_the_first_are_named_and_all_are_in_the_command() {
    let nodes: Vec<SeenNode> = ["a", "b", "c", "d"]
        .map(|name| node(name, &[], &[("amd.com/gpu", 1)]))
        .into();
    let found = checks(pool(json!({"hostnames": ["a", "b", "c", "d"]})), nodes, &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    let said = found[0].found.as_deref().expect("said");
    assert!(
        said.starts_with("nodes a, b, c and 1 more have no taint"),
        "{said}"
    );
    let hint = found[0].hint.as_ref().expect("a hint").text();
    assert!(
        hint.starts_with("kubectl taint nodes a b c d dedicated"),
        "{hint}"
    );
}

#[test]
fn a_pool_that_may_grow_needs_no_node_and_what_is_not_readable_is_skipped() {
    let grows = pool(
        json!({"hostnames": null, "nodeSelector": {"matchLabels": {"a": "b"}}, "autoscaling": {"maxGPUs": 8}}),
    );
    let found = checks(grows, vec![], &[]);
    assert_eq!(found[0].outcome, Outcome::Passed);
    assert!(found[0].what.contains("may bring 8 GPUs"), "{found:?}");
    let compiled = compile_each(&[pool(json!({}))], &[], &Settings::default());
    let unseen = pools(
        &Ok(compiled),
        &Err(Unseen("no right".to_owned())),
        &Ok(Vec::new()),
    );
    assert_eq!(unseen[0].outcome, Outcome::Skipped);
}

#[test]
fn what_another_node_of_the_pool_has_is_a_warning() {
    // the pool has both
    let other = || SeenNode {
        labels: khelben().labels,
        ..node("drizzt", &[DEDICATED], &[("amd.com/gpu", 1)])
    };
    let tainted = |key: &str, mut node: SeenNode| {
        let taint = (key.to_owned(), String::new(), "NoExecute".to_owned());
        node.taints.push(taint);
        node
    };
    let mut empty = other();
    empty.allocatable.clear();
    for (nodes, outcomes) in [
        (vec![khelben(), empty], &[Outcome::Warned][..]),
        (vec![khelben(), tainted("a", other())], &[Outcome::Warned]),
        // each by another taint: none is left
        (
            vec![tainted("a", khelben()), tainted("b", other())],
            &[Outcome::Failed, Outcome::Failed],
        ),
    ] {
        let checks = checks(pool(json!({})), nodes, &[]);
        let found: Vec<Outcome> = checks.iter().map(|it| it.outcome).collect();
        assert_eq!(found, outcomes, "{checks:#?}");
    }
}

#[test]
fn who_may_not_read_the_device_classes_does_not_hear_that_a_node_offers_nothing() {
    let mut empty = khelben();
    empty.allocatable.clear();
    let unread = Err(Unseen("you may not read DeviceClasses".to_owned()));
    let checks = checks_with(pool(json!({})), vec![empty], &unread);
    assert_eq!(checks[0].outcome, Outcome::Skipped, "{checks:#?}");
    let checks = checks_with(pool(json!({})), vec![khelben()], &unread);
    assert_eq!(checks[0].outcome, Outcome::Passed, "{checks:#?}");
}
