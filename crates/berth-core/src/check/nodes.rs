//! Each pool against its Nodes: which are missing, what they carry, and what they offer.

use std::collections::BTreeSet;

use super::{Check, Seen, counted, shell};
use crate::{
    api::GPUPoolSpec,
    fleet::SeenNode,
    names::{DEVICE_CLASS_PREFIX, HOSTNAME_LABEL},
    objects::{Compiled, Judged},
    selector::{Operator, Requirement},
    table::Pool,
};

mod offered;
mod taints;

use taints::declared;

/// So many nodes of a pool are named for one reason.
const NAMED: usize = 3;

/// A pool with the nodes that it selects.
struct OfPool<'c> {
    name: &'c str,
    spec: &'c GPUPoolSpec,
    pool: &'c Pool,
    nodes: Vec<&'c SeenNode>,
    all: &'c [SeenNode],
    /// The extended resources that a DeviceClass provides, with its name.
    provided: &'c [(String, String)],
}

/// Every accepted pool against the Nodes. The device classes are by name, with the extended resource that each provides.
#[must_use]
pub fn pools(
    compiled: &Seen<Compiled>,
    nodes: &Seen<Vec<SeenNode>>,
    device_classes: &[(String, Option<String>)],
) -> Vec<Check> {
    let what = "each pool has its Nodes";
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(why) => return vec![Check::skipped(what, why)],
    };
    let nodes = match nodes {
        Ok(nodes) => nodes,
        Err(why) => return vec![Check::skipped(what, why)],
    };
    let provided = provided(device_classes);
    let accepted = compiled.pools.iter().filter(|it| it.refusal.is_none());
    let found = |judged: &Judged<GPUPoolSpec>| {
        let pool = compiled
            .table
            .pools()
            .iter()
            .find(|it| it.name == judged.name)?;
        let selected = nodes
            .iter()
            .filter(|node| selects(&pool.requirements, node));
        let of_pool = OfPool {
            name: &pool.name,
            spec: judged.spec.as_ref()?,
            pool,
            nodes: selected.collect(),
            all: nodes,
            provided: &provided,
        };
        Some(of_pool.checks())
    };
    accepted.filter_map(found).flatten().collect()
}

fn provided(device_classes: &[(String, Option<String>)]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (class, resource) in device_classes {
        all.push((format!("{DEVICE_CLASS_PREFIX}{class}"), class.clone()));
        all.extend(resource.clone().map(|resource| (resource, class.clone())));
    }
    all
}

fn selects(requirements: &[Requirement], node: &SeenNode) -> bool {
    let mut all = requirements.iter();
    all.all(|it| it.admits(node.labels.get(&it.key).map(String::as_str)))
}

fn offers(node: &SeenNode, resource: &str) -> u32 {
    let mut all = node.allocatable.iter();
    all.find(|(name, _)| name == resource)
        .map_or(0, |(_, count)| *count)
}

/// `node a`, or `nodes a, b, c and 2 more`.
fn named(nodes: &[&SeenNode]) -> String {
    let names: Vec<&str> = nodes.iter().take(NAMED).map(|it| &*it.name).collect();
    let more = match nodes.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let one = if nodes.len() == 1 { "node" } else { "nodes" };
    format!("{one} {}{more}", names.join(", "))
}

/// The names of all of them, for a command.
fn listed(nodes: &[&SeenNode]) -> String {
    let names: Vec<String> = nodes.iter().map(|it| shell(&it.name)).collect();
    names.join(" ")
}

impl OfPool<'_> {
    fn checks(&self) -> Vec<Check> {
        let mut checks = self.absent();
        if self.nodes.is_empty() {
            return checks;
        }
        checks.extend(self.undeclared());
        checks.extend(self.missing());
        checks.extend(self.closed());
        checks.extend(self.empty());
        if checks.is_empty() {
            checks.push(Check::passed(self.summary()));
        }
        checks
    }

    fn resource(&self) -> &str {
        &self.pool.resource
    }

    fn summary(&self) -> String {
        let gpus: u32 = self
            .nodes
            .iter()
            .map(|it| offers(it, self.resource()))
            .sum();
        let nodes = counted(self.nodes.len(), "node", "nodes");
        let taints: Vec<String> = self.pool.taints.iter().map(declared).collect();
        let taints = match taints.as_slice() {
            [] => "no taint".to_owned(),
            taints => format!("taint {}", taints.join(", ")),
        };
        let gpus = match self.provider().filter(|_| gpus == 0) {
            Some(class) => format!("{} by DRA (DeviceClass {class})", self.resource()),
            None => format!("{gpus} {}", self.resource()),
        };
        format!("{}: {nodes} with {gpus}, {taints}", self.name)
    }

    /// Nodes that the pool names or selects, and that are not there.
    fn absent(&self) -> Vec<Check> {
        if self.nodes.is_empty() {
            return vec![self.no_node()];
        }
        let there: BTreeSet<&str> = self
            .nodes
            .iter()
            .filter_map(|it| it.labels.get(HOSTNAME_LABEL).map(String::as_str))
            .collect();
        let hostnames = self.spec.hostnames.iter().flatten();
        let missing: Vec<&String> = hostnames
            .filter(|it| !there.contains(it.as_str()))
            .collect();
        let mut checks: Vec<Check> = missing
            .iter()
            .take(NAMED)
            .map(|it| self.no_host(it))
            .collect();
        if let Some(more) = missing.len().checked_sub(NAMED + 1) {
            let found = format!("{} more of its hostnames have no Node", more + 1);
            checks.push(
                Check::warned(self.what(), found)
                    .run(format!("kubectl get nodes -L {HOSTNAME_LABEL}")),
            );
        }
        checks
    }

    fn what(&self) -> String {
        format!("{}: its Nodes are there", self.name)
    }

    fn no_host(&self, hostname: &str) -> Check {
        let found = format!("no Node has the label {HOSTNAME_LABEL}={hostname}");
        let check = if self.nodes.is_empty() {
            Check::failed(self.what(), found)
        } else {
            Check::warned(self.what(), found)
        };
        // kubelet gives the label, and somebody has taken it away or changed it
        let is_named = |node: &&SeenNode| {
            node.name == hostname || node.name.split('.').next() == Some(hostname)
        };
        match self.all.iter().find(is_named) {
            Some(node) => check.run(format!(
                "kubectl label node {} {HOSTNAME_LABEL}={} --overwrite",
                shell(&node.name),
                shell(hostname)
            )),
            None => check.run(format!("kubectl get nodes -L {HOSTNAME_LABEL}")),
        }
    }

    fn no_node(&self) -> Check {
        if let Some(may_grow) = self.spec.autoscaling {
            let what = format!(
                "{}: no node now, and an autoscaler may bring {} GPUs",
                self.name, may_grow.max_gpus
            );
            return Check::passed(what);
        }
        if let Some(hostnames) = &self.spec.hostnames {
            return match hostnames.as_slice() {
                [hostname] => self.no_host(hostname),
                all => Check::failed(
                    self.what(),
                    format!(
                        "no Node has the label {HOSTNAME_LABEL} with one of {}",
                        all.join(", ")
                    ),
                )
                .run(format!("kubectl get nodes -L {HOSTNAME_LABEL}")),
            };
        }
        let wanted: Vec<String> = self
            .pool
            .requirements
            .iter()
            .map(ToString::to_string)
            .collect();
        let wanted = wanted.join(" and ");
        let with_gpu: Vec<&SeenNode> = self
            .all
            .iter()
            .filter(|it| offers(it, self.resource()) > 0)
            .collect();
        let found = format!("no Node of {} matches {wanted}", self.all.len());
        if with_gpu.is_empty() {
            let keys: Vec<&str> = self.pool.requirements.iter().map(|it| &*it.key).collect();
            return Check::failed(self.what(), found)
                .run(format!("kubectl get nodes -L {}", shell(&keys.join(","))));
        }
        let offer = if with_gpu.len() == 1 {
            "offers"
        } else {
            "offer"
        };
        let found = format!("{found}; {} {offer} {}", named(&with_gpu), self.resource());
        let check = Check::failed(self.what(), found);
        match self.labels() {
            Some(labels) => check.run(format!(
                "kubectl label node {} {labels} --overwrite",
                listed(&with_gpu)
            )),
            None => check.advise("compare its nodeSelector with `kubectl get nodes --show-labels`"),
        }
    }

    /// The labels that the selector wants, if each of them can be given.
    fn labels(&self) -> Option<String> {
        let label = |it: &Requirement| {
            let value = match it.operator {
                Operator::In => it.values.first()?.clone(),
                Operator::Exists => String::new(),
                Operator::NotIn | Operator::DoesNotExist => return None,
            };
            Some(shell(&format!("{}={value}", it.key)))
        };
        let labels: Option<Vec<String>> = self.pool.requirements.iter().map(label).collect();
        Some(labels?.join(" "))
    }

    /// Those that are ready and not cordoned: what else keeps Pods away from others goes with that state.
    fn open(&self) -> impl Iterator<Item = &SeenNode> {
        let nodes = self.nodes.iter().copied();
        nodes.filter(|it| it.is_ready && !it.is_cordoned)
    }

    fn closed(&self) -> Vec<Check> {
        let cordoned: Vec<&SeenNode> = self
            .nodes
            .iter()
            .copied()
            .filter(|it| it.is_cordoned)
            .collect();
        let unready: Vec<&SeenNode> = self
            .nodes
            .iter()
            .copied()
            .filter(|it| !it.is_ready)
            .collect();
        let what = format!("{}: its Nodes take Pods", self.name);
        let said = |found: String| {
            if self.open().next().is_none() {
                Check::failed(&*what, found)
            } else {
                Check::warned(&*what, found)
            }
        };
        let is = |nodes: &[&SeenNode]| if nodes.len() == 1 { "is" } else { "are" };
        let mut checks = Vec::new();
        if !cordoned.is_empty() {
            let found = format!("{} {} cordoned", named(&cordoned), is(&cordoned));
            checks.push(said(found).run(format!("kubectl uncordon {}", listed(&cordoned))));
        }
        if !unready.is_empty() {
            let found = format!("{} {} not ready", named(&unready), is(&unready));
            checks.push(said(found).run(format!("kubectl describe node {}", listed(&unready))));
        }
        checks
    }
}

#[cfg(test)]
mod tests;
