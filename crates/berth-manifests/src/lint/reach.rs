//! Pools that no Pod reaches, and namespaces that do, or do not, reach a class.

use std::collections::BTreeSet;

use super::{Found, Manifests, name_of, node_requirements, requirements};
use berth_core::{
    api::{GPUPool, WorkloadClass},
    names::{EXCLUDED_NAMESPACES, NAMESPACE_NAME_LABEL},
    selector::{Operator, Requirement, Selector},
    shown,
    syntax::is_dns_label,
};

pub(super) fn unused_pool(manifests: &Manifests<'_>, found: &mut Found) {
    if manifests.classes.is_empty() {
        // said once of the table, not of each pool
        return;
    }
    let classes = manifests.classes.iter();
    let used: BTreeSet<&str> = classes
        .flat_map(|(_, class)| &class.spec.pools)
        .map(|pool| pool.name.as_str())
        .collect();
    for (origin, pool) in &manifests.pools {
        let name = name_of(pool);
        if !used.contains(name) {
            found.add(
                *origin,
                "metadata.name",
                format!(
                    "no class uses pool {name}: its GPUs stay idle",
                    name = shown::quoted(name)
                ),
                "name it in a class's pools, or remove it",
            );
        }
    }
}

pub(super) fn closed_class(manifests: &Manifests<'_>, found: &mut Found) {
    for (origin, class) in &manifests.classes {
        if let Some((field, why)) = closed(class) {
            found.add(
                *origin,
                field,
                format!("no Pod can use the class: {why}"),
                "select at least one namespace that can have such Pods",
            );
        }
    }
}

/// The requirement that closes a class to every namespace, and why it does.
fn closed(class: &WorkloadClass) -> Option<(String, String)> {
    let field = "spec.namespaceSelector";
    let selector = class.spec.namespace_selector.as_ref()?;
    if let Some(key) = Selector::new(selector).ok()?.contradicts_itself() {
        let why = format!(
            "what is required of a namespace's label {key} excludes itself",
            key = shown::quoted(key)
        );
        return Some((field.to_owned(), why));
    }
    let all = requirements(field, Some(selector));
    let on_name = || all.iter().filter(|(_, it)| it.key == NAMESPACE_NAME_LABEL);
    if let Some((field, _)) = on_name().find(|(_, it)| it.operator == Operator::DoesNotExist) {
        return Some((
            field.clone(),
            format!("every namespace has the label {NAMESPACE_NAME_LABEL}"),
        ));
    }
    let (field, names) = on_name().find(|(_, it)| it.operator == Operator::In)?;
    let whys: Option<Vec<String>> = names
        .values
        .iter()
        .filter(|name| on_name().all(|(_, it)| it.admits(Some(name))))
        .map(|name| unreachable(name))
        .collect();
    Some((field.clone(), whys?.join(", and ")))
}

/// Why no Pod of a namespace can come to the webhook.
fn unreachable(namespace: &str) -> Option<String> {
    if EXCLUDED_NAMESPACES.contains(&namespace) {
        return Some(format!(
            "the webhook leaves namespace {namespace} out",
            namespace = shown::quoted(namespace)
        ));
    }
    (!is_dns_label(namespace)).then(|| {
        format!(
            "{namespace} is not a valid name of a namespace",
            namespace = shown::quoted(namespace)
        )
    })
}

pub(super) fn covered_pool(manifests: &Manifests<'_>, found: &mut Found) {
    for (origin, class) in &manifests.classes {
        let pools = manifests.pools_of(class);
        for (at, (i, pool)) in pools.iter().enumerate() {
            let mut earlier = pools.iter().take(at).map(|(_, other)| *other);
            let Some(other) = earlier.find(|other| covers(other, pool)) else {
                continue;
            };
            let (pool, other) = (name_of(pool), name_of(other));
            found.add(
                *origin,
                format!("spec.pools[{i}].name"),
                format!(
                    "every node of pool {pool} is of pool {other} too, which the class prefers",
                    other = shown::quoted(other),
                    pool = shown::quoted(pool)
                ),
                format!(
                    "remove it, or put it before {other}",
                    other = shown::quoted(other)
                ),
            );
        }
    }
}

/// Whether the first pool has every node of the second, and serves every Pod that the second would.
fn covers(first: &GPUPool, second: &GPUPool) -> bool {
    let serves = first.spec.resource_name == second.spec.resource_name
        && second
            .spec
            .resource_aliases
            .iter()
            .all(|alias| first.spec.resource_aliases.contains(alias));
    let (wide, narrow) = (node_requirements(first), node_requirements(second));
    let implied = |wide: &Requirement| narrow.iter().any(|(_, narrow)| narrow.implies(wide));
    serves && !wide.is_empty() && wide.iter().all(|(_, wide)| implied(wide))
}

pub(super) fn tenant_label(manifests: &Manifests<'_>, found: &mut Found) {
    for (origin, class) in &manifests.classes {
        let all = requirements(
            "spec.namespaceSelector",
            class.spec.namespace_selector.as_ref(),
        );
        // among namespaces that are named, another label only narrows
        let by_name =
            |it: &Requirement| it.key == NAMESPACE_NAME_LABEL && it.operator == Operator::In;
        if all.iter().any(|(_, it)| by_name(it)) {
            continue;
        }
        if let Some((field, own)) = all.iter().find(|(_, it)| it.key != NAMESPACE_NAME_LABEL) {
            found.add(
                *origin,
                field,
                format!(
                    "whoever may label a namespace decides by {} who uses the class",
                    shown::quoted(&own.key)
                ),
                format!("select by {NAMESPACE_NAME_LABEL}, which nobody can set"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::lint::{
        code,
        testing::{fires, problems},
    };
    use berth_core::{
        manifest::Document,
        names::HOSTNAME_LABEL,
        testing::{class, pool},
    };

    #[test]
    fn a_pool_that_no_class_uses_is_found() {
        let pools = [pool("p", json!({})), pool("q", json!({}))];
        let with = |used: &[&str]| [pools.to_vec(), vec![class("c", used, json!({}))]].concat();
        fires(&code::UNUSED_POOL, &with(&["p"]), Some("metadata.name"));
        fires(&code::UNUSED_POOL, &with(&["p", "q"]), None);
        assert!(
            problems(&code::UNUSED_POOL, &with(&["p"]))[0]
                .1
                .contains("\"q\"")
        );
    }

    fn class_for(selector: Value) -> Vec<Document> {
        let selector = json!({"namespaceSelector": selector});
        vec![pool("p", json!({})), class("c", &["p"], selector)]
    }

    fn on_name(operator: &str, values: &[&str]) -> Value {
        json!({"key": NAMESPACE_NAME_LABEL, "operator": operator, "values": values})
    }

    #[test]
    fn a_class_that_no_namespace_can_use_is_found() {
        let expressions = |all: &[Value]| class_for(json!({"matchExpressions": all}));
        let absent = json!({"key": NAMESPACE_NAME_LABEL, "operator": "DoesNotExist"});
        let field = "spec.namespaceSelector";
        let first = "spec.namespaceSelector.matchExpressions[0]";
        let label = "spec.namespaceSelector.matchLabels[\"kubernetes.io/metadata.name\"]";
        for (documents, expected) in [
            (class_for(json!({})), None),
            (
                class_for(json!({"matchLabels": {NAMESPACE_NAME_LABEL: "ai"}})),
                None,
            ),
            (
                class_for(json!({"matchLabels": {NAMESPACE_NAME_LABEL: "kube-system"}})),
                Some(label),
            ),
            (
                class_for(json!({"matchLabels": {NAMESPACE_NAME_LABEL: "Team_A"}})),
                Some(label),
            ),
            (
                expressions(&[on_name("In", &["a", "b"]), on_name("NotIn", &["a"])]),
                None,
            ),
            (
                expressions(&[on_name("In", &["a"]), on_name("NotIn", &["a"])]),
                Some(field),
            ),
            (expressions(&[on_name("In", &["kube-system", "ai"])]), None),
            (
                expressions(&[
                    on_name("In", &["kube-system", "ai"]),
                    on_name("NotIn", &["ai"]),
                ]),
                Some(first),
            ),
            (
                expressions(&[on_name("In", &["kube-system", "A"])]),
                Some(first),
            ),
            (expressions(&[on_name("NotIn", &["ai"])]), None),
            (expressions(&[absent]), Some(first)),
        ] {
            fires(&code::CLOSED_CLASS, &documents, expected);
        }
    }

    #[test]
    fn a_pool_that_an_earlier_one_covers_is_found() {
        let on = |hostnames: &[&str]| json!({"hostnames": hostnames});
        let selects = |labels: Value| json!({"nodeSelector": {"matchLabels": labels}});
        let second = Some("spec.pools[1].name");
        for (first, later, expected) in [
            (on(&["a", "b"]), on(&["a"]), second),
            (on(&["a"]), on(&["a"]), second),
            (on(&["a"]), on(&["a", "b"]), None),
            (on(&["a"]), on(&["b"]), None),
            (
                on(&["a", "b"]),
                json!({"hostnames": ["a"], "resourceName": "nvidia.com/gpu"}),
                None,
            ),
            (
                on(&["a", "b"]),
                json!({"hostnames": ["a"], "resourceAliases": ["x.io/gpu"]}),
                None,
            ),
            (
                on(&["a", "b"]),
                selects(json!({HOSTNAME_LABEL: "b"})),
                second,
            ),
            (
                selects(json!({"gpu": "amd"})),
                selects(json!({"gpu": "amd", "size": "l"})),
                second,
            ),
            (
                selects(json!({"gpu": "amd", "size": "l"})),
                selects(json!({"gpu": "amd"})),
                None,
            ),
            (on(&["a"]), selects(json!({"gpu": "amd"})), None),
        ] {
            let classes = class("c", &["p", "q"], json!({}));
            let documents = [pool("p", first), pool("q", later), classes];
            fires(&code::COVERED_POOL, &documents, expected);
        }
    }

    #[test]
    fn a_label_that_tenants_may_set_is_found() {
        let team = json!({"key": "team", "operator": "Exists"});
        for (selector, expected) in [
            (
                json!({"matchLabels": {"team": "a"}}),
                Some("spec.namespaceSelector.matchLabels[\"team\"]"),
            ),
            (
                json!({"matchExpressions": [on_name("NotIn", &["x"]), team.clone()]}),
                Some("spec.namespaceSelector.matchExpressions[1]"),
            ),
            (
                json!({"matchExpressions": [on_name("In", &["ai"]), team]}),
                None,
            ),
            (json!({"matchLabels": {NAMESPACE_NAME_LABEL: "ai"}}), None),
        ] {
            fires(&code::TENANT_LABEL, &class_for(selector), expected);
        }
        fires(&code::TENANT_LABEL, &[class("c", &["p"], json!({}))], None);
    }
}
