//! The guard: a `ValidatingAdmissionPolicy` that keeps the GPUs of a table for the Pods of its classes.
//!
//! The webhook places Pods that name a class; it cannot keep away a Pod that names none and tolerates a taint by itself.
//! The policy can, in the API server, and without berth. It has the table as literals, which the API server compiles
//! once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use berth_core::{
    api::{GPUPool, TaintEffect, WorkloadClass},
    manifest::{Document, Manifest},
    names::{DISABLED, GROUP, INJECT_LABEL, POOL_ANNOTATION},
    table::AllocationTable,
};

mod cel;

use cel::{literal, quoted};

/// The API server takes 100,000 code points an expression; some of them are the expression's own.
const MOST: usize = 90_000;
/// A class that no Pod has.
const NOBODY: i64 = -2;
/// So many keys of taints are named in a message.
const NAMED: usize = 5;
/// The verb that a user needs to pass by.
pub const BYPASS: &str = "bypass";

/// What becomes of a Pod that the guard objects to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// It is created, and its author is warned.
    Warn,
    /// It is denied.
    Deny,
}

/// What is set beside the table.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of the policy and of its binding.
    pub name: String,
    /// What becomes of a Pod.
    pub action: Action,
    /// Namespaces whose Pods are not looked at.
    pub exempt: Vec<String>,
}

/// Why there is no guard for a table.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One entry of a literal is longer than the API server takes an expression.
    #[error(
        "{0} is used by so many classes that the API server would not take the guard; give the classes pools of their own"
    )]
    TooLong(String),
    /// There is nothing that a policy could guard.
    #[error("the table has no pool, so there is nothing to guard")]
    Nothing,
}

/// The table as the policy needs it, its classes by number.
#[derive(Debug, Default)]
struct Reserved {
    classes: BTreeMap<String, i64>,
    /// By a taint's key, then by value and effect: the classes whose Pods may tolerate it.
    taints: BTreeMap<String, BTreeMap<String, BTreeSet<i64>>>,
    /// By resource: the classes whose Pods may ask for it.
    resources: BTreeMap<String, BTreeSet<i64>>,
}

impl Reserved {
    fn of(documents: &[Document]) -> Self {
        let mut reserved = Self::default();
        let classes = documents.iter().filter_map(|it| match &it.manifest {
            Manifest::Class(class) => Some(class),
            Manifest::Pool(_) => None,
        });
        let classes: BTreeMap<&str, &WorkloadClass> = classes
            .map(|class| (name(&class.metadata.name), class))
            .collect();
        let mut users: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
        for (number, (class, it)) in (0..).zip(&classes) {
            reserved.classes.insert((*class).to_owned(), number);
            for pool in &it.spec.pools {
                users.entry(&pool.name).or_default().insert(number);
            }
        }
        for document in documents {
            if let Manifest::Pool(pool) = &document.manifest {
                let users = users.get(name(&pool.metadata.name)).cloned();
                reserved.pool(pool, &users.unwrap_or_default());
            }
        }
        reserved
    }

    fn pool(&mut self, pool: &GPUPool, users: &BTreeSet<i64>) {
        let resources = [&pool.spec.resource_name].into_iter();
        for resource in resources.chain(&pool.spec.resource_aliases) {
            self.resources
                .entry(resource.clone())
                .or_default()
                .extend(users);
        }
        let taints = pool.spec.taints.iter();
        for taint in taints.filter(|taint| taint.effect != TaintEffect::PreferNoSchedule) {
            let value = taint.value.as_deref().unwrap_or_default();
            let value = format!("{value}:{}", taint.effect.as_str());
            let of_key = self.taints.entry(taint.key.clone()).or_default();
            of_key.entry(value).or_default().extend(users);
        }
    }
}

fn name(name: &Option<String>) -> &str {
    name.as_deref().unwrap_or_default()
}

/// The policy and its binding, for a table that was compiled from the documents.
pub fn render(
    documents: &[Document],
    table: &AllocationTable,
    options: &Options,
) -> Result<[Value; 2], Error> {
    let reserved = Reserved::of(documents);
    if reserved.resources.is_empty() {
        return Err(Error::Nothing);
    }
    let (mut variables, mut validations) = (Vec::new(), Vec::new());
    let classes = reserved
        .classes
        .iter()
        .map(|(class, number)| format!("{}:{number}", quoted(class)));
    let classes = in_parts("classes", classes, &mut variables)?;
    variables.extend(of_the_pod(table.class_label(), &classes));
    validations.push(validation(
        "variables.class >= 0 || variables.added.all(t, has(t.key) && t.key != '') || variables.trusted",
        &format!(
            "tolerates every taint, those of the reserved GPU pools included: name the taints, or a class in the label {}",
            table.class_label()
        ),
    ));
    let taints = reserved.taints.iter().map(|(key, values)| {
        let values = values
            .iter()
            .map(|(value, users)| format!("{}:{}", quoted(value), numbers(users)));
        format!("{}:{}", quoted(key), literal(values))
    });
    for part in in_parts("taints", taints, &mut variables)? {
        validations.push(validation(
            &tolerates(&part),
            &reserved.message_of_taints(table.class_label()),
        ));
    }
    let resources = reserved
        .resources
        .iter()
        .map(|(resource, users)| format!("{}:{}", quoted(resource), numbers(users)));
    for part in in_parts("resources", resources, &mut variables)? {
        validations.push(validation(
            &asks(&part),
            &format!(
                "asks for a GPU of the table without a class that has it: set the label {}, and leave the GPU out",
                table.class_label()
            ),
        ));
    }
    validations.extend(whatever_the_table(table.class_label()));
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": options.name, "annotations": {format!("{GROUP}/table"): table.revision()}},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {"matchExpressions": [
                    {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": options.exempt},
                ]},
                "resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"],
                    "scope": "Namespaced",
                }],
            },
            "variables": variables,
            "validations": validations,
            "auditAnnotations": [{"key": "class", "valueExpression": "string(variables.label)"}],
        },
    });
    let actions = match options.action {
        Action::Warn => ["Warn", "Audit"],
        Action::Deny => ["Deny", "Audit"],
    };
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": options.name},
        "spec": {"policyName": options.name, "validationActions": actions},
    });
    Ok([policy, binding])
}

/// A map as variables of the policy, each short enough: the names of those variables.
fn in_parts(
    name: &str,
    entries: impl Iterator<Item = String>,
    variables: &mut Vec<Value>,
) -> Result<Vec<String>, Error> {
    let mut parts: Vec<Vec<String>> = Vec::new();
    let mut room = 0;
    for entry in entries {
        let length = entry.chars().count() + 1;
        if length > MOST {
            let named = entry.split(':').next().unwrap_or_default();
            return Err(Error::TooLong(named.to_owned()));
        }
        if length > room {
            parts.push(Vec::new());
            room = MOST;
        }
        room -= length;
        if let Some(last) = parts.last_mut() {
            last.push(entry);
        }
    }
    let mut names = Vec::new();
    for (i, part) in parts.into_iter().enumerate() {
        let name = if i == 0 {
            name.to_owned()
        } else {
            format!("{name}{}", i + 1)
        };
        variables.push(variable(&name, literal(part.into_iter())));
        names.push(format!("variables.{name}"));
    }
    Ok(names)
}

/// What the policy knows of the Pod and of who asks.
fn of_the_pod(class_label: &str, classes: &[String]) -> [Value; 8] {
    let opted_out = |of: &str| {
        let label = quoted(INJECT_LABEL);
        format!(
            "({} && {of}.metadata.labels[{label}] == {})",
            has_label(of, INJECT_LABEL),
            quoted(DISABLED)
        )
    };
    let number = classes
        .iter()
        .rev()
        .fold("-1".to_owned(), |otherwise, part| {
            format!("variables.named in {part} ? {part}[variables.named] : ({otherwise})")
        });
    [
        variable("label", label_of("object", class_label)),
        // a namespace may name the class of its Pods without one
        variable(
            "named",
            format!("variables.label != '' ? variables.label : {}", label_of("namespaceObject", class_label)),
        ),
        variable("optedOut", format!("{} || {}", opted_out("object"), opted_out("namespaceObject"))),
        variable("class", format!("variables.optedOut ? -1 : ({number})")),
        // of an update only what is new: a Pod that was there before the guard can still be changed
        variable(
            "added",
            "has(object.spec.tolerations) ? object.spec.tolerations.filter(t, request.operation == 'CREATE' || !has(oldObject.spec.tolerations) || !(t in oldObject.spec.tolerations)) : []"
                .to_owned(),
        ),
        variable(
            "containers",
            "object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : [])".to_owned(),
        ),
        // a kubelet shows its static Pods, which tolerate every taint. A question to the authorizer costs a third of what an
        // expression may: it comes last in each, and is asked once
        variable(
            "trusted",
            format!(
                "'system:nodes' in request.userInfo.groups || authorizer.group({}).resource('gpupools').check({}).allowed()",
                quoted(GROUP),
                quoted(BYPASS)
            ),
        ),
        variable(
            "oldLabel",
            format!("request.operation == 'UPDATE' ? {} : ''", label_of("oldObject", class_label)),
        ),
    ]
}

fn has_label(of: &str, label: &str) -> String {
    format!(
        "has({of}.metadata.labels) && {} in {of}.metadata.labels",
        quoted(label)
    )
}

/// The value of a label, empty where there is none.
fn label_of(of: &str, label: &str) -> String {
    format!(
        "({} ? {of}.metadata.labels[{}] : '')",
        has_label(of, label),
        quoted(label)
    )
}

/// Whether what a Pod tolerates is of a part of the taints alone that its class has, by what tolerates means.
fn tolerates(taints: &str) -> String {
    format!(
        "variables.added.all(t, !has(t.key) || !(t.key in {taints}) || {taints}[t.key].all(v, \
         (has(t.effect) && t.effect != '' && !v.endsWith(':' + t.effect)) \
         || ((!has(t.operator) || t.operator in ['', 'Equal']) && !v.startsWith((has(t.value) ? t.value : '') + ':')) \
         || variables.class in {taints}[t.key][v])) || variables.trusted"
    )
}

/// Whether what a Pod asks for is of a part of the resources alone that its class has.
fn asks(resources: &str) -> String {
    let of = |field: &str| {
        format!(
            "(!has(c.resources.{field}) || c.resources.{field}.all(r, !(r in {resources}) \
             || string(c.resources.{field}[r]) == '0' || variables.class in {resources}[r]))"
        )
    };
    format!(
        "request.operation != 'CREATE' || variables.containers.all(c, !has(c.resources) || ({} && {})) || variables.trusted",
        of("limits"),
        of("requests")
    )
}

fn whatever_the_table(class_label: &str) -> [Value; 2] {
    let same_inject = format!(
        "({}) == ({})",
        label_of("object", INJECT_LABEL),
        label_of("oldObject", INJECT_LABEL)
    );
    let annotation = |of: &str| {
        let key = quoted(POOL_ANNOTATION);
        format!(
            "(has({of}.metadata.annotations) && {key} in {of}.metadata.annotations ? {of}.metadata.annotations[{key}] : '')"
        )
    };
    let same_pool = format!("{} == {}", annotation("object"), annotation("oldObject"));
    [
        validation(
            "request.operation != 'CREATE' || !has(object.spec.nodeName) || object.spec.nodeName == '' || variables.trusted",
            "spec.nodeName passes by the scheduler and every NoSchedule taint: use a nodeSelector",
        ),
        validation(
            &format!(
                "request.operation != 'UPDATE' || (variables.label == variables.oldLabel && {same_inject} && {same_pool}) || variables.trusted"
            ),
            &format!(
                "{class_label}, {INJECT_LABEL} and {POOL_ANNOTATION} cannot be added, changed or removed: delete the Pod, and create it as it should be"
            ),
        ),
    ]
}

impl Reserved {
    fn message_of_taints(&self, class_label: &str) -> String {
        let named: Vec<&str> = self.taints.keys().take(NAMED).map(String::as_str).collect();
        let more = if self.taints.len() > NAMED {
            ", …"
        } else {
            ""
        };
        format!(
            "tolerates the taint of a reserved GPU pool ({}{more}): remove it; the label {class_label} with a class of that pool adds it",
            named.join(", ")
        )
    }
}

fn variable(name: &str, expression: String) -> Value {
    json!({"name": name, "expression": expression})
}

/// Its message stands for itself: an expression for it would be evaluated at every Pod.
fn validation(expression: &str, message: &str) -> Value {
    json!({"expression": expression, "reason": "Forbidden", "message": message})
}

fn numbers(users: &BTreeSet<i64>) -> String {
    let mut numbers: Vec<String> = users.iter().map(i64::to_string).collect();
    if numbers.is_empty() {
        numbers.push(NOBODY.to_string());
    }
    format!("[{}]", numbers.join(","))
}

#[cfg(test)]
mod tests;
