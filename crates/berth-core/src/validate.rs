//! What is wrong with the manifests: all of it, each with its field and what to change.
//!
//! A schema says some of it, too; here it is said for files, and for what no schema can say.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::{
    api::{
        GPUPool, WorkloadClass,
        bounds::{MAX_KEY, MAX_QUANTITY, MAX_REQUIREMENTS, MAX_VALUES},
    },
    manifest::{Cause, Document, Manifest, Problem},
    shown,
};

mod class;
mod pool;

/// Which labels of a namespace are known, so that a class can select by them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum NamespaceLabels {
    /// The one that every namespace has, with its name: what files know.
    #[default]
    NameAlone,
    /// All of them.
    All,
}

/// The objects without a problem, sorted by name. Every reference from a class resolves.
#[derive(Debug, Default)]
pub struct Valid<'a> {
    /// GPUs of one kind, and their nodes.
    pub pools: Vec<&'a GPUPool>,
    /// A kind of workload, and the pools that it may use.
    pub classes: Vec<&'a WorkloadClass>,
    /// The classes that have a problem, but of which is known who may use them; with the first problem. They are no part
    /// of a table from files, which has no problems.
    pub not_ready: Vec<(&'a WorkloadClass, String)>,
}

/// Checks every document. An object with a problem is left out, and so is a class whose pool is.
#[must_use]
pub fn validate(documents: &[Document], known: NamespaceLabels) -> (Valid<'_>, Vec<Problem>) {
    validate_without(documents, known, &[])
}

/// The same where further pools, given by name, are left out already.
pub(crate) fn validate_without<'a>(
    documents: &'a [Document],
    known: NamespaceLabels,
    left_out: &'a [String],
) -> (Valid<'a>, Vec<Problem>) {
    let mut problems = Problems::default();
    let mut pools = BTreeMap::new();
    let mut left_out: BTreeSet<&str> = left_out.iter().map(String::as_str).collect();
    let mut names = Names::default();
    for (origin, pool) in documents.iter().filter_map(as_pool) {
        let mut found = Found::new(origin);
        let is_new = names.take(&pool.metadata, "GPUPool", &mut found);
        pool::check(pool, &mut found);
        let name = name(&pool.metadata);
        if found.is_empty() {
            pools.insert(name, pool);
        } else if is_new {
            left_out.insert(name);
        }
        problems.0.extend(found.problems);
    }
    let (mut classes, mut not_ready) = (BTreeMap::new(), BTreeMap::new());
    let mut names = Names::default();
    for (origin, class) in documents.iter().filter_map(as_class) {
        let mut found = Found::new(origin);
        let is_new = names.take(&class.metadata, "WorkloadClass", &mut found);
        class::check(class, &pools, &left_out, &mut found);
        let others = found.problems.len();
        class::namespaces(&class.spec, known, &mut found);
        let is_known = found.problems.len() == others;
        if found.is_empty() {
            classes.insert(name(&class.metadata), class);
        } else if is_known && is_new && super::syntax::is_dns_label(name(&class.metadata)) {
            not_ready.insert(name(&class.metadata), (class, found.in_words()));
        }
        problems.0.extend(found.problems);
    }
    let valid = Valid {
        pools: pools.into_values().collect(),
        classes: classes.into_values().collect(),
        not_ready: not_ready.into_values().collect(),
    };
    problems.0.sort_by_key(|problem| problem.origin);
    (valid, problems.0)
}

#[derive(Default)]
struct Problems(Vec<Problem>);

/// The names of one kind that are taken.
#[derive(Default)]
struct Names<'a>(HashSet<&'a str>);

impl<'a> Names<'a> {
    /// Takes a name, and says whether it was free.
    fn take(&mut self, metadata: &'a ObjectMeta, kind: &str, found: &mut Found) -> bool {
        let name = name(metadata);
        let is_new = self.0.insert(name);
        if !is_new {
            found.add(
                "metadata.name",
                format!(
                    "duplicate value {name}: another {kind} has this name",
                    name = shown::quoted(name)
                ),
                "rename one of them, or remove it",
            );
        }
        is_new
    }
}

/// The problems of one object.
struct Found {
    origin: usize,
    problems: Vec<Problem>,
}

impl Found {
    fn new(origin: usize) -> Self {
        Self {
            origin,
            problems: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(
        &mut self,
        field: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add_for(Cause::Invalid, field, message, help);
    }

    fn add_for(
        &mut self,
        cause: Cause,
        field: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.problems.push(Problem {
            origin: self.origin,
            cause,
            field: field.into(),
            message: message.into(),
            help: help.into(),
        });
    }

    /// Adds a problem where a list has more than `max` items.
    fn at_most(&mut self, max: usize, field: impl Into<String>, items: usize, help: &str) {
        if items > max {
            let message = format!("invalid value: {items} items, and at most {max} are allowed");
            self.add(field, message, help);
        }
    }

    /// Adds a problem where a text has more than `max` characters.
    fn no_longer_than(&mut self, max: usize, field: impl Into<String>, text: &str) {
        let length = text.chars().count();
        if length > max {
            let message =
                format!("invalid value: {length} characters, and at most {max} are allowed");
            self.add(field, message, "shorten it");
        }
    }

    /// Adds a problem where a number is below `min` or above `max`.
    fn between(&mut self, (min, max): (u32, u32), field: &str, number: Option<u32>, help: &str) {
        let message = match number {
            Some(number) if number < min => {
                format!("invalid value {number}: must be at least {min}")
            }
            Some(number) if number > max => {
                format!("invalid value {number}: must be at most {max}")
            }
            _ => return,
        };
        self.add(field, message, help);
    }

    /// The first problem, for somebody who cannot see the object.
    fn in_words(&self) -> String {
        let Some(first) = self.problems.first() else {
            return String::new();
        };
        let place = match first.cause {
            Cause::Invalid => format!("{}: ", first.field),
            _ => String::new(),
        };
        let more = match self.problems.len() - 1 {
            0 => String::new(),
            more => format!(" (+{more} more)"),
        };
        format!("{place}{}{more}", first.message)
    }

    /// Adds a problem unless the rule holds for the text.
    fn must(&mut self, rule: Syntax, field: impl Into<String>, text: &str) {
        if !(rule.holds)(text) {
            self.add(
                field,
                format!("invalid value {}: not {}", shown::named(text), rule.name),
                rule.help,
            );
        }
    }
}

/// A rule for names.
#[derive(Clone, Copy)]
struct Syntax {
    holds: fn(&str) -> bool,
    name: &'static str,
    help: &'static str,
}

const SUBDOMAIN: Syntax = Syntax {
    holds: super::syntax::is_dns_subdomain,
    name: "a name that Kubernetes accepts",
    help: "use at most 253 lower-case letters, digits, - and ., with a letter or digit at both ends",
};
const LABEL_VALUE: Syntax = Syntax {
    holds: super::syntax::is_label_value,
    name: "a label value",
    help: "use at most 63 letters, digits, -, _ and ., with a letter or digit at both ends: there is no label value of \
           another form",
};
const DNS_LABEL: Syntax = Syntax {
    holds: super::syntax::is_dns_label,
    name: "a DNS label",
    help: "use at most 63 lower-case letters, digits and -, with a letter or digit at both ends",
};

fn as_pool(document: &Document) -> Option<(usize, &GPUPool)> {
    match &document.manifest {
        Manifest::Pool(pool) => Some((document.origin, pool)),
        Manifest::Class(_) => None,
    }
}

fn as_class(document: &Document) -> Option<(usize, &WorkloadClass)> {
    match &document.manifest {
        Manifest::Class(class) => Some((document.origin, class)),
        Manifest::Pool(_) => None,
    }
}

fn name(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

/// A memory size must be an amount above zero.
fn memory(field: &str, quantity: Option<&str>, found: &mut Found) {
    let Some(text) = quantity else {
        return;
    };
    if !super::syntax::is_memory(text) || text.len() > MAX_QUANTITY {
        found.add(
            field,
            format!(
                "invalid value {}: not an amount of memory",
                shown::named(text)
            ),
            "write it as 8Gi or 512Mi",
        );
    }
}

/// A selector must be no larger than its schema allows.
fn selector_bounds(field: &str, selector: &LabelSelector, found: &mut Found) {
    const HELP: &str = "select by a label that these nodes or namespaces share";
    let labels = selector.match_labels.as_ref().map_or(0, BTreeMap::len);
    found.at_most(
        MAX_REQUIREMENTS,
        format!("{field}.matchLabels"),
        labels,
        HELP,
    );
    let expressions = selector.match_expressions.as_deref().unwrap_or_default();
    let field = format!("{field}.matchExpressions");
    found.at_most(MAX_REQUIREMENTS, field.as_str(), expressions.len(), HELP);
    for (i, expression) in expressions.iter().enumerate() {
        let values = expression.values.as_ref().map_or(0, Vec::len);
        found.at_most(MAX_VALUES, format!("{field}[{i}].values"), values, HELP);
        found.no_longer_than(MAX_KEY, format!("{field}[{i}].key"), &expression.key);
    }
}

/// The duplicates of a list, each with its index.
fn repeated<T: PartialEq>(list: &[T]) -> impl Iterator<Item = (usize, &T)> {
    let earlier = |(i, item): &(usize, &T)| list.iter().take(*i).any(|other| other == *item);
    list.iter().enumerate().filter(earlier)
}

#[cfg(test)]
mod tests;
