//! Each pool against its Nodes: which are missing, what they carry, and what they offer.

use super::{Check, Outcome, Seen, counted, shell};
use crate::{
    api::GPUPoolSpec,
    fleet::SeenNode,
    names::DEVICE_CLASS_PREFIX,
    objects::{Compiled, Judged},
    selector::Requirement,
    table::{AllocationTable, Pool},
};

mod absent;
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
    provided: &'c Seen<Vec<(String, String)>>,
}

/// Every accepted pool against the Nodes. The device classes are by name, with the extended resource that each provides.
#[must_use]
pub fn pools(
    compiled: &Seen<Compiled>,
    nodes: &Seen<Vec<SeenNode>>,
    device_classes: &Seen<Vec<(String, Option<String>)>>,
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
    let accepted = compiled.pools.iter().filter(|it| it.refusal.is_none());
    accepted
        .flat_map(|it| pool(it, &compiled.table, nodes, device_classes))
        .collect()
}

/// One accepted pool against the Nodes.
#[must_use]
pub fn pool(
    judged: &Judged<GPUPoolSpec>,
    table: &AllocationTable,
    nodes: &[SeenNode],
    device_classes: &Seen<Vec<(String, Option<String>)>>,
) -> Vec<Check> {
    let mut pools = table.pools().iter();
    let pool = pools.find(|it| it.name == judged.name);
    let (Some(pool), Some(spec)) = (pool, &judged.spec) else {
        return Vec::new();
    };
    let provided = device_classes.as_deref().map(provided);
    let provided = provided.map_err(Clone::clone);
    let selected = nodes.iter();
    let selected = selected.filter(|node| selects(&pool.requirements, node));
    let of_pool = OfPool {
        name: &pool.name,
        spec,
        pool,
        nodes: selected.collect(),
        all: nodes,
        provided: &provided,
    };
    of_pool.checks()
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

    /// Those that are ready and not cordoned: what else keeps Pods away from others goes with that state.
    fn open(&self) -> impl Iterator<Item = &SeenNode> {
        let nodes = self.nodes.iter().copied();
        nodes.filter(|it| it.is_ready && !it.is_cordoned)
    }

    /// How bad it is to lose these: with another one left, Pods still have a place.
    fn without(&self, is_lost: impl Fn(&SeenNode) -> bool) -> Outcome {
        if self.open().all(is_lost) {
            Outcome::Failed
        } else {
            Outcome::Warned
        }
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
        let said = |found: String| Check::found(self.without(|_| false), &*what, found);
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
