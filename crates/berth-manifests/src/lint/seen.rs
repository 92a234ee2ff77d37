//! What a pool says of its nodes, held against the Nodes that there are.

use std::collections::BTreeSet;

use super::{Found, Manifests, is_kubernetes_own, name_of, node_requirements, nodes::hostnames};
use crate::init::{Node, Taint as NodeTaint};
use berth_core::{
    api::{GPUPool, Taint, TaintEffect},
    names::HOSTNAME_LABEL,
    selector::{Operator, Requirement},
    shown,
    suggestion::suggestion,
};

/// Requests for a device of this class have no name on a Node.
const OF_DRA: &str = "deviceclass.resource.kubernetes.io/";

/// What a table is held against.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Every Node of the cluster.
    pub nodes: Vec<Node>,
    /// The resources that DRA provides: a Node with them does not list them.
    pub by_dra: BTreeSet<String>,
}

/// The pools with their Nodes; nothing where no Node was seen.
fn pools<'m>(
    manifests: &'m Manifests<'_>,
) -> impl Iterator<Item = (usize, &'m GPUPool, &'m Seen, Vec<&'m Node>)> {
    let seen = manifests.seen;
    let pools = manifests.pools.iter();
    pools.filter_map(move |(origin, pool)| {
        let seen = seen?;
        let requirements = node_requirements(pool);
        // a selector that Kubernetes does not accept has none
        let is_of = |node: &&Node| {
            !requirements.is_empty() && requirements.iter().all(|(_, it)| node.meets(it))
        };
        let nodes = seen.nodes.iter().filter(is_of).collect();
        Some((*origin, *pool, seen, nodes))
    })
}

impl Node {
    fn meets(&self, requirement: &Requirement) -> bool {
        requirement.admits(self.labels.get(&requirement.key).map(String::as_str))
    }
}

pub(super) fn missing_node(manifests: &Manifests<'_>, found: &mut Found) {
    for (origin, pool, seen, nodes) in pools(manifests) {
        // an autoscaler adds them
        if pool.spec.autoscaling.is_some() {
            continue;
        }
        let is_missing = |(_, hostname): &(String, String)| {
            let of = |node: &Node| node.labels.get(HOSTNAME_LABEL) == Some(hostname);
            !seen.nodes.iter().any(of)
        };
        let mut missing = hostnames(pool);
        missing.retain(is_missing);
        if nodes.is_empty() && missing.is_empty() {
            let requirements = node_requirements(pool);
            if let Some((field, _)) = requirements.first() {
                let field = field.split(".match").next().unwrap_or(field);
                let name = shown::quoted(name_of(pool));
                let message = format!("no Node is of pool {name}: none has all of these labels");
                found.add(origin, field, message, nearest(&requirements, &seen.nodes));
            }
        }
        for (field, hostname) in missing {
            let others = seen
                .nodes
                .iter()
                .filter_map(|node| node.labels.get(HOSTNAME_LABEL));
            let help = suggestion(&hostname, others.map(String::as_str)).map_or_else(
                || format!("compare it with `kubectl get nodes -L {HOSTNAME_LABEL}`"),
                |near| format!("did you mean {}?", shown::quoted(near)),
            );
            let hostname = shown::quoted(&hostname);
            found.add(
                origin,
                field,
                format!("no Node has the hostname {hostname}"),
                help,
            );
        }
    }
}

/// The Node that lacks least, and how it gets it.
fn nearest(requirements: &[(String, Requirement)], nodes: &[Node]) -> String {
    let unmet = |node: &&Node| {
        requirements
            .iter()
            .filter(|(_, it)| !node.meets(it))
            .count()
    };
    let compare = "compare them with `kubectl get nodes --show-labels`".to_owned();
    let Some(node) = nodes.iter().min_by_key(unmet) else {
        return "the cluster has no Node".to_owned();
    };
    if unmet(&node) == requirements.len() {
        return compare;
    }
    let lacks = requirements.iter().filter(|(_, it)| !node.meets(it));
    let labels: Vec<String> = lacks.map(|(_, it)| label(it)).collect();
    let (name, labels) = (shown::name(&node.name), labels.join(" "));
    format!("{compare}; what Node {name} lacks: `kubectl label node {name} --overwrite {labels}`")
}

/// What makes a Node meet a requirement, as `kubectl label` takes it.
fn label(requirement: &Requirement) -> String {
    let key = &requirement.key;
    match (requirement.operator, requirement.values.first()) {
        (Operator::In, Some(value)) => format!("{key}={value}"),
        (Operator::Exists, _) => format!("{key}="),
        _ => format!("{key}-"),
    }
}

pub(super) fn unlisted_taint(manifests: &Manifests<'_>, found: &mut Found) {
    for (origin, pool, _, nodes) in pools(manifests) {
        let mut told: Vec<&NodeTaint> = Vec::new();
        for node in &nodes {
            let keeps_away = node.taints.iter().filter(|it| it.keeps_away());
            for taint in keeps_away {
                let listed = pool.spec.taints.iter().any(|own| taint.is(own));
                if listed || told.iter().any(|it| it.text() == taint.text()) {
                    continue;
                }
                told.push(taint);
                let (name, taint, pool) = (
                    shown::name(&node.name),
                    taint.text(),
                    shown::quoted(name_of(pool)),
                );
                found.add(
                    origin,
                    "spec.taints",
                    format!("Node {name} has the taint {taint}, and pool {pool} does not list it: its Pods get no toleration"),
                    format!("list it, or remove it from the Node: `kubectl taint node {name} {taint}-`"),
                );
            }
        }
    }
}

pub(super) fn missing_taint(manifests: &Manifests<'_>, found: &mut Found) {
    for (origin, pool, _, nodes) in pools(manifests) {
        for (i, own) in pool.spec.taints.iter().enumerate() {
            // these are told as such
            if own.effect == TaintEffect::PreferNoSchedule || is_kubernetes_own(&own.key) {
                continue;
            }
            let lacks = |node: &&&Node| !node.taints.iter().any(|taint| taint.is(own));
            let lacking: Vec<&str> = nodes.iter().filter(lacks).map(|node| &*node.name).collect();
            let Some(first) = lacking.first() else {
                continue;
            };
            let taint = of_pool(own);
            found.add(
                origin,
                format!("spec.taints[{i}].key"),
                format!(
                    "{} not have the taint {taint}: other Pods can run there",
                    listed(&lacking, "does", "do")
                ),
                format!(
                    "taint it: `kubectl taint node {} {taint}`, or remove it here",
                    shown::name(first)
                ),
            );
        }
    }
}

pub(super) fn missing_gpus(manifests: &Manifests<'_>, found: &mut Found) {
    for (origin, pool, seen, nodes) in pools(manifests) {
        let resource = &pool.spec.resource_name;
        if resource.starts_with(OF_DRA) || seen.by_dra.contains(resource) {
            continue;
        }
        let has = |node: &Node, resource: &str| {
            node.allocatable
                .get(resource)
                .is_some_and(|amount| *amount > 0)
        };
        let without = || nodes.iter().filter(|node| !has(node, resource));
        let Some(first) = without().next() else {
            continue;
        };
        let names: Vec<&str> = without().map(|node| &*node.name).collect();
        let mut aliases = pool.spec.resource_aliases.iter();
        let name = shown::name(&first.name);
        let help = match aliases.find(|alias| has(first, alias)) {
            Some(alias) => format!(
                "Node {name} has {alias}; a Pod gets the pool's resourceName, so put such Nodes into a pool of their own"
            ),
            None => format!(
                "look for the vendor's device plugin there: `kubectl describe node {name}` lists what it offers under Allocatable"
            ),
        };
        found.add(
            origin,
            "spec.resourceName",
            format!("{} no {resource} to give", listed(&names, "has", "have")),
            help,
        );
    }
}

/// The first Node, and how many more there are.
fn listed(names: &[&str], one: &str, many: &str) -> String {
    let first = shown::name(names.first().copied().unwrap_or_default());
    match names.len() {
        1 => format!("Node {first} {one}"),
        count => format!("Node {first} and {} more {many}", count - 1),
    }
}

impl NodeTaint {
    fn keeps_away(&self) -> bool {
        matches!(&*self.effect, "NoSchedule" | "NoExecute") && !is_kubernetes_own(&self.key)
    }

    fn is(&self, own: &Taint) -> bool {
        self.text() == of_pool(own)
    }

    fn text(&self) -> String {
        written(&self.key, self.value.as_deref(), &self.effect)
    }
}

fn of_pool(taint: &Taint) -> String {
    written(&taint.key, taint.value.as_deref(), taint.effect.as_str())
}

/// As `kubectl taint` takes it.
fn written(key: &str, value: Option<&str>, effect: &str) -> String {
    let value = value.filter(|it| !it.is_empty());
    let equals = value.map(|value| format!("={value}"));
    format!("{key}{}:{effect}", equals.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        init,
        lint::{Code, code, testing::used_pool},
    };

    fn node(name: &str, more: Value) -> Value {
        let mut node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "gpu": "a"}},
            "spec": {}, "status": {"allocatable": {"amd.com/gpu": "1"}},
        });
        let taints = [json!({"key": "k", "value": "v", "effect": "NoSchedule"})];
        node["spec"]["taints"] = json!(taints);
        for (pointer, value) in more.as_object().into_iter().flatten() {
            *node.pointer_mut(pointer).expect("a field") = value.clone();
        }
        node
    }

    fn said(pool: Value, nodes: &[Value]) -> Vec<(&'static Code, String, String)> {
        let mut spec = json!({
            "hostnames": ["n"], "resourceName": "amd.com/gpu",
            "taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}],
        });
        for (field, value) in pool.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        if spec.get("nodeSelector").is_some() {
            spec.as_object_mut().expect("an object").remove("hostnames");
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": nodes});
        let seen = Seen {
            nodes: init::nodes(&list.to_string()).expect("Nodes"),
            by_dra: BTreeSet::from(["gpu.example.com/dra".to_owned()]),
        };
        let found = crate::lint::lint(&used_pool(spec), Some(&seen));
        let found = found.into_iter().map(|(code, problem)| {
            (
                code,
                problem.field,
                format!("{}; {}", problem.message, problem.help),
            )
        });
        found.collect()
    }

    #[track_caller]
    fn fires(pool: Value, nodes: &[Value], expected: Option<(&Code, &str, &str)>) {
        let found = said(pool, nodes);
        match expected {
            None => assert!(found.is_empty(), "{found:#?}"),
            Some((code, field, says)) => {
                assert_eq!(found.len(), 1, "{found:#?}");
                assert_eq!((found[0].0, &*found[0].1), (code, field), "{found:#?}");
                assert!(found[0].2.contains(says), "{found:#?}");
            }
        }
    }

    fn labels(labels: Value) -> Value {
        json!({"nodeSelector": {"matchLabels": labels}})
    }

    #[test]
    fn a_pool_without_a_node_and_a_hostname_that_no_node_has_are_found() {
        let n = || node("n", json!({}));
        let missing = |field, says| Some((&code::MISSING_NODE, field, says));
        fires(json!({}), &[n()], None);
        fires(
            json!({}),
            &[],
            missing("spec.hostnames[0]", "no Node has the hostname \"n\""),
        );
        fires(
            json!({"hostnames": ["n", "khelbem"]}),
            &[n(), node("khelben", json!({}))],
            missing("spec.hostnames[1]", "did you mean \"khelben\"?"),
        );
        fires(labels(json!({"gpu": "a"})), &[n()], None);
        fires(
            labels(json!({"gpu": "a", "disk": "ssd"})),
            &[node("m", json!({"/metadata/labels": {}})), n()],
            missing(
                "spec.nodeSelector",
                "`kubectl label node n --overwrite disk=ssd`",
            ),
        );
        fires(
            labels(json!({"gpu": "b"})),
            &[n()],
            missing(
                "spec.nodeSelector",
                "compare them with `kubectl get nodes --show-labels`",
            ),
        );
        fires(
            labels(json!({"gpu": "b"})),
            &[],
            missing("spec.nodeSelector", "has no Node"),
        );
        let expressions = json!([
            {"key": "gpu", "operator": "In", "values": ["a"]},
            {"key": "disk", "operator": "Exists"}, {"key": "old", "operator": "DoesNotExist"},
        ]);
        fires(
            json!({"nodeSelector": {"matchExpressions": expressions}}),
            &[node(
                "n",
                json!({"/metadata/labels": {"gpu": "a", "old": ""}}),
            )],
            missing("spec.nodeSelector", "--overwrite disk= old-`"),
        );
        // an autoscaler adds them
        fires(
            json!({"autoscaling": {"maxGPUs": 4}, "nodeSelector": {"matchLabels": {"gpu": "b"}}}),
            &[n()],
            None,
        );
    }

    #[test]
    fn a_taint_of_one_side_alone_is_found() {
        let tainted = |taints: Value| node("n", json!({"/spec/taints": taints}));
        let k = || json!({"key": "k", "value": "v", "effect": "NoSchedule"});
        let other = |effect: &str| json!({"key": "other", "effect": effect});
        let unlisted = |says| Some((&code::UNLISTED_TAINT, "spec.taints", says));
        fires(
            json!({}),
            &[tainted(json!([k(), other("NoSchedule")]))],
            unlisted("or remove it from the Node: `kubectl taint node n other:NoSchedule-`"),
        );
        let two = [
            tainted(json!([k(), other("NoExecute")])),
            node("m", json!({"/spec/taints": [k(), other("NoExecute")]})),
        ];
        fires(
            json!({"hostnames": ["n", "m"]}),
            &two,
            unlisted("Node n has the taint other:NoExecute"),
        );
        fires(
            json!({}),
            &[tainted(json!([k(), other("PreferNoSchedule")]))],
            None,
        );
        let unready = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"});
        fires(json!({}), &[tainted(json!([k(), unready]))], None);
        let says = "Node n does not have the taint k=v:NoSchedule: other Pods can run there; taint it: `kubectl taint node n k=v:NoSchedule`";
        fires(
            json!({}),
            &[tainted(json!([]))],
            Some((&code::MISSING_TAINT, "spec.taints[0].key", says)),
        );
        fires(
            json!({"hostnames": ["n", "m"]}),
            &[tainted(json!([])), node("m", json!({"/spec/taints": []}))],
            Some((
                &code::MISSING_TAINT,
                "spec.taints[0].key",
                "Node n and 1 more do not have",
            )),
        );
    }

    #[test]
    fn a_node_without_the_gpus_is_found() {
        let offering =
            |allocatable: Value| [node("n", json!({"/status/allocatable": allocatable}))];
        let missing = |says| Some((&code::MISSING_GPUS, "spec.resourceName", says));
        fires(
            json!({}),
            &offering(json!({"amd.com/gpu": "0"})),
            missing("Node n has no amd.com/gpu to give"),
        );
        fires(
            json!({}),
            &offering(json!({"cpu": "8"})),
            missing("`kubectl describe node n`"),
        );
        fires(
            json!({"resourceName": "gpu.intel.com/i915", "resourceAliases": ["gpu.intel.com/xe"]}),
            &offering(json!({"gpu.intel.com/xe": "1"})),
            missing("Node n has gpu.intel.com/xe; a Pod gets the pool's resourceName"),
        );
        let dra = json!({"resourceName": "deviceclass.resource.kubernetes.io/gpu.amd.com"});
        fires(dra, &offering(json!({"cpu": "8"})), None);
        let found = said(
            json!({"resourceName": "gpu.example.com/dra"}),
            &offering(json!({"cpu": "8"})),
        );
        assert!(
            found.iter().all(|(code, ..)| **code != code::MISSING_GPUS),
            "{found:?}"
        );
    }

    #[test]
    fn nothing_is_found_where_no_node_was_seen() {
        let documents = used_pool(json!({"hostnames": ["n"]}));
        assert_eq!(crate::lint::lint(&documents, None), []);
    }
}
