//! Nodes that a pool names or selects, and that are not there.

use std::collections::BTreeSet;

use super::{NAMED, OfPool, listed, named, offers};
use crate::{
    check::{Check, shell},
    fleet::SeenNode,
    names::HOSTNAME_LABEL,
    selector::{Operator, Requirement},
};

impl OfPool<'_> {
    /// Nodes that the pool names or selects, and that are not there.
    pub(super) fn absent(&self) -> Vec<Check> {
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
}
