//! Where a Pod may run, and whether another may run just there: law 3, both ways.
//!
//! It is decided, not tried: a node matters only by whether each of its labels is one of the values that are compared with,
//! another one, or absent. So all nodes that differ in that are looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;

use super::pod::{elements, tolerates};
use crate::{init::Node, lint};

/// So many nodes are compared at most.
const COMPARED: usize = 1 << 16;
/// The one field of a Node that a Pod may select by. No label has such a key.
const NAME: &str = "metadata.name (field)";
/// A value that nobody writes, since no label may have it.
const ANOTHER: &str = "(another value)";

/// Where a result runs, held against what was written by hand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Same {
    /// On the same nodes, whichever there are.
    Everywhere,
    /// On the same of the Nodes that there are, of which these are so many; it is not for Nodes to come.
    OfNodes(usize),
}

/// What a Pod asks of its node.
pub(super) struct Place<'p> {
    pod: &'p Value,
    selector: Vec<Expression<'p>>,
    /// One of these, where there are any.
    terms: Option<Vec<Vec<Expression<'p>>>>,
}

struct Expression<'p> {
    key: &'p str,
    operator: &'p str,
    values: Vec<&'p str>,
}

/// A node's labels, as far as they matter.
type Labels<'l> = BTreeMap<&'l str, &'l str>;

impl<'p> Place<'p> {
    pub(super) fn of(pod: &'p Value) -> Self {
        let spec = &pod["spec"];
        let selector = spec["nodeSelector"].as_object().into_iter().flatten();
        let selector = selector.map(|(key, value)| Expression {
            key,
            operator: "In",
            values: vec![value.as_str().unwrap_or_default()],
        });
        let required = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
            ["nodeSelectorTerms"];
        let terms = required
            .as_array()
            .map(|terms| terms.iter().map(term).collect());
        Self {
            pod,
            selector: selector.collect(),
            terms,
        }
    }

    /// How another Pod's place is the same, or a node that tells them apart.
    pub(super) fn compared(&self, other: &Self, nodes: Option<&[Node]>) -> Result<Same, String> {
        let everywhere = self.differs(other);
        if let Some(nodes) = nodes {
            let one_sided = |node: &&Node| self.takes(node) != other.takes(node);
            if let Some(node) = nodes.iter().find(one_sided) {
                let only = if self.takes(node) {
                    "as it is"
                } else {
                    "with the class"
                };
                return Err(format!("it may run on Node {} only {only}", node.name));
            }
            let count = nodes.iter().filter(|node| self.takes(node)).count();
            if everywhere.is_err() && count > 0 {
                return Ok(Same::OfNodes(count));
            }
        }
        everywhere.map(|()| Same::Everywhere)
    }

    /// Whether it may run on a Node, by its labels and taints.
    fn takes(&self, node: &Node) -> bool {
        let mut labels: Labels<'_> = node.labels.iter().map(|(k, v)| (&**k, &**v)).collect();
        labels.insert(NAME, &node.name);
        let mut taints = node.taints.iter().filter(|taint| {
            matches!(&*taint.effect, "NoSchedule" | "NoExecute")
                && !lint::is_kubernetes_own(&taint.key)
        });
        let tolerated = taints.all(|taint| {
            let value = taint.value.as_deref().unwrap_or_default();
            tolerates(self.pod, &taint.key, value, &taint.effect)
        });
        tolerated && self.admits(&labels)
    }

    fn admits(&self, labels: &Labels<'_>) -> bool {
        let all = |expressions: &[Expression<'_>]| expressions.iter().all(|it| it.admits(labels));
        let any = |terms: &Vec<Vec<Expression<'_>>>| {
            // a term that asks for nothing is of no node
            terms.iter().any(|term| !term.is_empty() && all(term))
        };
        all(&self.selector) && self.terms.as_ref().is_none_or(any)
    }

    fn expressions(&self) -> impl Iterator<Item = &Expression<'p>> {
        self.selector
            .iter()
            .chain(self.terms.iter().flatten().flatten())
    }

    /// An error names a node on which one of both may run.
    fn differs(&self, other: &Self) -> Result<(), String> {
        let mut values: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for expression in self.expressions().chain(other.expressions()) {
            let of_key = values.entry(expression.key).or_default();
            of_key.extend(expression.values.iter().map(|it| (*it).to_owned()));
            of_key.extend(expression.beside());
        }
        let choices: Vec<(&str, Vec<Option<&str>>)> = values
            .iter()
            .map(|(key, values)| {
                let absent = (*key != NAME).then_some(None);
                let values = values.iter().map(|it| Some(&**it));
                (*key, values.chain([Some(ANOTHER)]).chain(absent).collect())
            })
            .collect();
        let size = choices.iter().try_fold(1_usize, |size, (_, values)| {
            size.checked_mul(values.len())
                .filter(|size| *size <= COMPARED)
        });
        let Some(size) = size else {
            return Err("it selects nodes by too many labels to compare them all".to_owned());
        };
        for number in 0..size {
            let mut rest = number;
            let mut labels = Labels::new();
            for (key, values) in &choices {
                if let Some(Some(value)) = values.get(rest % values.len()) {
                    labels.insert(key, value);
                }
                rest /= values.len();
            }
            if self.admits(&labels) != other.admits(&labels) {
                let only = if self.admits(&labels) {
                    "as it is"
                } else {
                    "with the class"
                };
                let keys = choices.iter().map(|(key, _)| *key);
                let example = Example {
                    keys: keys.collect(),
                    labels,
                };
                return Err(format!("it may run on a node with {example} only {only}"));
            }
        }
        Ok(())
    }
}

fn term(term: &Value) -> Vec<Expression<'_>> {
    let fields = elements(&term["matchFields"]).map(|field| Expression {
        key: NAME,
        ..expression(field)
    });
    let expressions = elements(&term["matchExpressions"]).map(expression);
    expressions.chain(fields).collect()
}

fn expression(expression: &Value) -> Expression<'_> {
    Expression {
        key: expression["key"].as_str().unwrap_or_default(),
        operator: expression["operator"].as_str().unwrap_or_default(),
        values: elements(&expression["values"])
            .filter_map(Value::as_str)
            .collect(),
    }
}

impl Expression<'_> {
    fn admits(&self, labels: &Labels<'_>) -> bool {
        let label = labels.get(self.key).copied();
        match self.operator {
            "In" => label.is_some_and(|it| self.values.contains(&it)),
            "NotIn" => label.is_none_or(|it| !self.values.contains(&it)),
            "Exists" => label.is_some(),
            "DoesNotExist" => label.is_none(),
            "Gt" | "Lt" => {
                let label = label.and_then(|it| it.parse::<i64>().ok());
                let (Some(label), Some(bound)) = (label, self.bound()) else {
                    return false;
                };
                if self.operator == "Gt" {
                    label > bound
                } else {
                    label < bound
                }
            }
            _ => false,
        }
    }

    fn bound(&self) -> Option<i64> {
        self.values.first()?.parse().ok()
    }

    /// The numbers beside the one that it compares with.
    fn beside(&self) -> impl Iterator<Item = String> {
        let bound = self
            .bound()
            .filter(|_| matches!(self.operator, "Gt" | "Lt"));
        let beside = bound.map(|it| [it.saturating_sub(1), it.saturating_add(1)]);
        beside.into_iter().flatten().map(|it| it.to_string())
    }
}

/// A node by its labels, as `gpu=amd and no kubernetes.io/hostname`.
struct Example<'l> {
    keys: Vec<&'l str>,
    labels: Labels<'l>,
}

impl fmt::Display for Example<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, key) in self.keys.iter().enumerate() {
            let and = if i == 0 { "" } else { " and " };
            match self.labels.get(key).copied() {
                None => write!(f, "{and}no {key}")?,
                Some(ANOTHER) => write!(f, "{and}another {key}")?,
                Some(value) => write!(f, "{and}{key}={value}")?,
            }
        }
        Ok(())
    }
}
