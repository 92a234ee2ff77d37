//! Whether a Pod's own node constraints admit a node, as the scheduler reads them: every entry of `nodeSelector`, and one of
//! the required terms.

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

use crate::{
    fleet::SeenNode,
    selector::{Operator, Requirement},
};

/// The only field of a node that a term may name.
const NAME: &str = "metadata.name";

/// The first constraint that a node does not meet, as `kubernetes.io/arch In [arm64]`; none where it meets all.
pub(super) fn unmet(spec: &PodSpec, node: &SeenNode) -> Option<String> {
    let selector = spec.node_selector.iter().flatten();
    for (key, value) in selector {
        if node.labels.get(key) != Some(value) {
            return Some(format!("nodeSelector {key}: {value}"));
        }
    }
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity
        .required_during_scheduling_ignored_during_execution
        .as_ref()?;
    let mut first = None;
    for term in &required.node_selector_terms {
        let unmet = unmet_by(term, node)?;
        first.get_or_insert(unmet);
    }
    Some(first.unwrap_or_else(|| "node affinity without terms".to_owned()))
}

/// The first requirement of a term that a node does not meet. A term without any matches no node.
fn unmet_by(term: &NodeSelectorTerm, node: &SeenNode) -> Option<String> {
    let labels = || term.match_expressions.iter().flatten();
    let fields = || term.match_fields.iter().flatten();
    if labels().chain(fields()).next().is_none() {
        return Some("an empty node affinity term".to_owned());
    }
    let label =
        |it: &&NodeSelectorRequirement| !admits(it, node.labels.get(&it.key).map(String::as_str));
    let field = |it: &&NodeSelectorRequirement| it.key != NAME || !admits(it, Some(&node.name));
    let unmet = labels().find(label).or_else(|| fields().find(field));
    unmet.map(shown)
}

fn admits(expression: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = expression.values.clone().unwrap_or_default();
    let bound = || values.first()?.parse::<i64>().ok();
    let number = || value?.parse::<i64>().ok();
    let operator = match &*expression.operator {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => return number().zip(bound()).is_some_and(|(it, bound)| it > bound),
        "Lt" => return number().zip(bound()).is_some_and(|(it, bound)| it < bound),
        _ => return false,
    };
    let requirement = Requirement {
        key: expression.key.clone(),
        operator,
        values,
    };
    requirement.admits(value)
}

fn shown(expression: &NodeSelectorRequirement) -> String {
    let NodeSelectorRequirement {
        key,
        operator,
        values,
    } = expression;
    match values.as_deref().unwrap_or_default() {
        [] => format!("{key} {operator}"),
        values => format!("{key} {operator} [{}]", values.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(spec: Value) -> Option<String> {
        let mut whole = json!({"containers": []});
        whole
            .as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        let spec: PodSpec = serde_json::from_value(whole).expect("a spec");
        let labels = [("arch", "amd64"), ("gpus", "8")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let node = SeenNode {
            name: "n1".to_owned(),
            labels: labels.into(),
            ..SeenNode::default()
        };
        unmet(&spec, &node)
    }

    fn terms(terms: Value) -> Option<String> {
        of(json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}))
    }

    #[test]
    fn a_node_meets_the_selector_and_one_of_the_terms() {
        let expression = |key: &str, operator: &str, values: &[&str]| json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]);
        assert_eq!(of(json!({})), None);
        assert_eq!(of(json!({"nodeSelector": {"arch": "amd64"}})), None);
        let other = of(json!({"nodeSelector": {"arch": "arm64"}}));
        assert_eq!(other.as_deref(), Some("nodeSelector arch: arm64"));
        for (key, operator, values, is_met) in [
            ("arch", "In", &["arm64", "amd64"][..], true),
            ("arch", "In", &["arm64"], false),
            ("arch", "NotIn", &["arm64"], true),
            ("arch", "Exists", &[], true),
            ("arch", "DoesNotExist", &[], false),
            ("zone", "DoesNotExist", &[], true),
            ("gpus", "Gt", &["4"], true),
            ("gpus", "Gt", &["8"], false),
            ("gpus", "Lt", &["9"], true),
            ("arch", "Lt", &["9"], false),
            ("zone", "Gt", &["1"], false),
            ("arch", "Sometimes", &[], false),
        ] {
            let unmet = terms(expression(key, operator, values));
            assert_eq!(
                unmet.is_none(),
                is_met,
                "{key} {operator} {values:?}: {unmet:?}"
            );
        }
        let or = json!([
            {"matchExpressions": [{"key": "arch", "operator": "In", "values": ["arm64"]}]},
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]},
        ]);
        assert_eq!(terms(or), None);
        assert_eq!(
            terms(json!([{}])).as_deref(),
            Some("an empty node affinity term")
        );
        assert!(terms(json!([])).is_some());
        let unmet = terms(expression("arch", "In", &["arm64"]));
        assert_eq!(unmet.as_deref(), Some("arch In [arm64]"));
    }
}
