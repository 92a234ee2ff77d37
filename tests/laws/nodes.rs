//! A universe of nodes, and which of them a Pod may run on: Kubernetes' own semantics (component-helpers'
//! `nodeaffinity` and the labels that apimachinery selects by), written without a look at berth's rules.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use serde_json::Value;

use crate::words::{HOSTNAME, LABELS, NODES};

/// Every node: the product of all values of all labels and all names.
static UNIVERSE: LazyLock<Universe> = LazyLock::new(Universe::new);

/// A set of nodes, a bit each.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Nodes(Vec<u64>);

struct Universe {
    size: usize,
    /// The nodes with a label's value, or without the label.
    by_label: HashMap<&'static str, Vec<(Option<&'static str>, Nodes)>>,
    by_name: Vec<(&'static str, Nodes)>,
}

/// The nodes that a Pod may run on, tolerations aside: both `nodeSelector` and required node affinity.
pub(crate) fn of_pod(pod: &Value) -> Nodes {
    let spec = &pod["spec"];
    let mut nodes = Nodes::all();
    for (key, value) in spec["nodeSelector"].as_object().into_iter().flatten() {
        nodes = nodes.and(&with_label(key, |label| label == value.as_str()));
    }
    let required =
        &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    if required.is_null() {
        return nodes;
    }
    let terms = elements(&required["nodeSelectorTerms"]).map(of_term);
    nodes.and(&terms.fold(Nodes::none(), |all, term| all.or(&term)))
}

/// The nodes of a pool: its hostnames, or what its label selector selects.
pub(crate) fn of_pool(pool: &Value) -> Nodes {
    let spec = &pool["spec"];
    if !spec["hostnames"].is_null() {
        let hostnames: Vec<&str> = texts(&spec["hostnames"]);
        return with_label(HOSTNAME, |label| {
            label.is_some_and(|label| hostnames.contains(&label))
        });
    }
    let selector = &spec["nodeSelector"];
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let equal = labels.map(|(key, value)| with_label(key, |label| label == value.as_str()));
    let expressions = elements(&selector["matchExpressions"]);
    let stated = expressions.map(|it| of_expression(it).expect("a pool's expression is valid"));
    equal
        .chain(stated)
        .fold(Nodes::all(), |all, nodes| all.and(&nodes))
}

/// The nodes with just these labels, whatever their names.
pub(crate) fn of_labels(labels: &BTreeMap<String, String>) -> Nodes {
    let labels = LABELS.iter().map(|(key, _)| {
        let value = labels.get(*key).map(String::as_str);
        with_label(key, |label| label == value)
    });
    labels.fold(Nodes::all(), |all, nodes| all.and(&nodes))
}

/// Whether a toleration of the Pod tolerates the taint (`Toleration.ToleratesTaint`).
pub(crate) fn tolerates(pod: &Value, taint: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    elements(&pod["spec"]["tolerations"]).any(|toleration| {
        let of = |field: &str| (text(&toleration[field]), text(&taint[field]));
        let fits = |(ours, taint): (String, String)| ours.is_empty() || ours == taint;
        let (value, wanted) = of("value");
        let meets = match text(&toleration["operator"]).as_str() {
            "" | "Equal" => value == wanted,
            "Exists" => true,
            _ => false,
        };
        fits(of("effect")) && fits(of("key")) && meets
    })
}

/// A term is an AND; an empty one matches nothing, nor does one with an expression that cannot be parsed.
fn of_term(term: &Value) -> Nodes {
    let expressions = elements(&term["matchExpressions"]).map(of_expression);
    let fields = elements(&term["matchFields"]).map(of_field);
    let all: Option<Vec<Nodes>> = expressions.chain(fields).collect();
    all.filter(|all| !all.is_empty())
        .map_or_else(Nodes::none, |all| {
            all.iter().fold(Nodes::all(), |some, nodes| some.and(nodes))
        })
}

/// The nodes that meet an expression on a label; nothing where the expression is invalid.
fn of_expression(expression: &Value) -> Option<Nodes> {
    let values = texts(&expression["values"]);
    let key = expression["key"].as_str()?;
    if !values.iter().all(|value| is_label_value(value)) {
        return None;
    }
    let integer = || {
        values
            .first()
            .filter(|_| values.len() == 1)?
            .parse::<i64>()
            .ok()
    };
    match expression["operator"].as_str()? {
        "In" if !values.is_empty() => Some(with_label(key, |it| {
            it.is_some_and(|it| values.contains(&it))
        })),
        "NotIn" if !values.is_empty() => Some(with_label(key, |it| {
            it.is_none_or(|it| !values.contains(&it))
        })),
        "Exists" if values.is_empty() => Some(with_label(key, |it| it.is_some())),
        "DoesNotExist" if values.is_empty() => Some(with_label(key, |it| it.is_none())),
        "Gt" => {
            integer().map(|bound| with_label(key, |it| number(it).is_some_and(|it| it > bound)))
        }
        "Lt" => {
            integer().map(|bound| with_label(key, |it| number(it).is_some_and(|it| it < bound)))
        }
        _ => None,
    }
}

/// The nodes that meet an expression on a field, of which there is `metadata.name` alone.
fn of_field(expression: &Value) -> Option<Nodes> {
    let [name] = texts(&expression["values"])[..] else {
        return None;
    };
    match (
        expression["key"].as_str()?,
        expression["operator"].as_str()?,
    ) {
        ("metadata.name", "In") => Some(with_name(|it| it == name)),
        ("metadata.name", "NotIn") => Some(with_name(|it| it != name)),
        _ => None,
    }
}

fn with_label(key: &str, admits: impl Fn(Option<&str>) -> bool) -> Nodes {
    match UNIVERSE.by_label.get(key) {
        Some(values) => {
            let admitted = values.iter().filter(|(value, _)| admits(*value));
            admitted.fold(Nodes::none(), |all, (_, nodes)| all.or(nodes))
        }
        None if admits(None) => Nodes::all(),
        None => Nodes::none(),
    }
}

fn with_name(admits: impl Fn(&str) -> bool) -> Nodes {
    let admitted = UNIVERSE.by_name.iter().filter(|(name, _)| admits(name));
    admitted.fold(Nodes::none(), |all, (_, nodes)| all.or(nodes))
}

fn number(label: Option<&str>) -> Option<i64> {
    label?.parse().ok()
}

/// A label's value, or what an expression compares it with.
pub(crate) fn is_label_value(value: &str) -> bool {
    let ends = [value.chars().next(), value.chars().next_back()];
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    value.len() <= 63
        && value.chars().all(inner)
        && ends.iter().flatten().all(char::is_ascii_alphanumeric)
}

/// The elements of an array, none where there is no array.
pub(crate) fn elements(array: &Value) -> impl Iterator<Item = &Value> + Clone {
    array.as_array().into_iter().flatten()
}

fn texts(array: &Value) -> Vec<&str> {
    elements(array).filter_map(Value::as_str).collect()
}

impl Nodes {
    pub(crate) fn all() -> Self {
        Self::of_numbers(|_| true)
    }

    pub(crate) fn none() -> Self {
        Self(vec![0; UNIVERSE.size.div_ceil(64)])
    }

    pub(crate) fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    pub(crate) fn or(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a | b).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    fn of_numbers(contains: impl Fn(usize) -> bool) -> Self {
        Self::numbered(UNIVERSE.size, contains)
    }

    fn numbered(size: usize, contains: impl Fn(usize) -> bool) -> Self {
        let mut words = vec![0; size.div_ceil(64)];
        for node in (0..size).filter(|node| contains(*node)) {
            words[node / 64] |= 1 << (node % 64);
        }
        Self(words)
    }
}

impl Universe {
    /// Node number `n` reads its values off the digits of `n`, a digit a label and one for the name.
    fn new() -> Self {
        let size = LABELS
            .iter()
            .map(|(_, values)| values.len())
            .product::<usize>()
            * NODES.len();
        let mut place = 1;
        let mut by_digit = |base: usize| -> Vec<Nodes> {
            let at = place;
            place *= base;
            (0..base)
                .map(|digit| Nodes::numbered(size, |node| node / at % base == digit))
                .collect()
        };
        let by_label = LABELS.iter().map(|(key, values)| {
            (
                *key,
                values.iter().copied().zip(by_digit(values.len())).collect(),
            )
        });
        let by_label = by_label.collect();
        let by_name = NODES.iter().copied().zip(by_digit(NODES.len())).collect();
        Self {
            size,
            by_label,
            by_name,
        }
    }
}
