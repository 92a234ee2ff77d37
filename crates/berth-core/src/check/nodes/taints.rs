//! The taints of a pool's nodes: those that keep its own Pods away, and those that should keep others away.

use serde_json::json;

use super::{OfPool, listed, named};
use crate::{
    api::{Taint, TaintEffect},
    check::{Check, patch, shell},
    fleet::SeenNode,
    names::TAINTS_OF_KUBERNETES,
};

impl OfPool<'_> {
    /// Nodes with a taint that keeps the pool's own Pods away.
    pub(super) fn undeclared(&self) -> Vec<Check> {
        let mut taints: Vec<&(String, String, String)> = Vec::new();
        for node in self.open() {
            taints.extend(node.taints.iter().filter(|it| self.keeps_away(it)));
        }
        taints.sort();
        taints.dedup();
        let outcome = self.without(|node| node.taints.iter().any(|it| self.keeps_away(it)));
        let check = |taint: &(String, String, String)| {
            let nodes: Vec<&SeenNode> =
                self.open().filter(|it| it.taints.contains(taint)).collect();
            let (key, value, effect) = taint;
            let text = written(key, value, effect);
            let what = format!("{}: its Pods tolerate every taint of its Nodes", self.name);
            let has = if nodes.len() == 1 { "has" } else { "have" };
            let found = format!(
                "{} {has} the taint {text}, which the pool does not declare",
                named(&nodes)
            );
            let check = Check::found(outcome, what, found);
            if TAINTS_OF_KUBERNETES.iter().any(|it| key.starts_with(it)) {
                return check.advise(format!(
                    "Kubernetes sets it while a node is not fit for Pods: kubectl describe node {}",
                    listed(&nodes)
                ));
            }
            let mut new = json!({"key": key, "effect": effect});
            if !value.is_empty() {
                new["value"] = json!(value);
            }
            let operation = if self.spec.taints.is_empty() {
                json!([{"op": "add", "path": "/spec/taints", "value": [new]}])
            } else {
                json!([{"op": "add", "path": "/spec/taints/-", "value": new}])
            };
            check.run(patch(&format!("gpupool {}", self.name), &operation))
        };
        taints.into_iter().map(check).collect()
    }

    fn keeps_away(&self, taint: &(String, String, String)) -> bool {
        let hard = taint.2 != TaintEffect::PreferNoSchedule.as_str();
        hard && !self.pool.taints.iter().any(|it| is_same(it, taint))
    }

    /// Nodes without a taint of the pool: others may come.
    pub(super) fn missing(&self) -> Vec<Check> {
        let check = |taint: &Taint| {
            let nodes: Vec<&SeenNode> = self
                .open()
                .filter(|node| !node.taints.iter().any(|it| is_same(taint, it)))
                .collect();
            if nodes.is_empty() {
                return None;
            }
            let what = format!("{}: its Nodes have the taints that it declares", self.name);
            let has = if nodes.len() == 1 { "has" } else { "have" };
            let found = format!(
                "{} {has} no taint {}: others may come",
                named(&nodes),
                declared(taint)
            );
            let command = format!(
                "kubectl taint nodes {} {} --overwrite",
                listed(&nodes),
                shell(&declared(taint))
            );
            Some(Check::warned(what, found).run(command))
        };
        self.pool.taints.iter().filter_map(check).collect()
    }
}

/// A taint as kubectl writes it.
fn written(key: &str, value: &str, effect: &str) -> String {
    let value = if value.is_empty() {
        String::new()
    } else {
        format!("={value}")
    };
    format!("{key}{value}:{effect}")
}

fn is_same(declared: &Taint, (key, value, effect): &(String, String, String)) -> bool {
    declared.key == *key
        && declared.value.as_deref().unwrap_or_default() == value
        && declared.effect.as_str() == effect
}

pub(super) fn declared(taint: &Taint) -> String {
    written(
        &taint.key,
        taint.value.as_deref().unwrap_or_default(),
        taint.effect.as_str(),
    )
}
