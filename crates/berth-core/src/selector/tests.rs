use serde_json::{Value, json};

use super::*;

fn selector(value: Value) -> Result<Selector, Error> {
    Selector::new(&serde_json::from_value(value).unwrap())
}

fn expression(value: Value) -> Result<Selector, Error> {
    selector(json!({"matchExpressions": [value]}))
}

#[test]
fn labels_match_as_the_api_server_would_have_it() {
    let team_a = |key: &str| (key == "team").then_some("a");
    for (value, matches) in [
        (json!({}), true),
        (json!({"matchLabels": {"team": "a"}}), true),
        (json!({"matchLabels": {"team": "b"}}), false),
        (json!({"matchLabels": {"team": "a", "x": "y"}}), false),
        (
            json!({"matchExpressions": [{"key": "team", "operator": "In", "values": ["b", "a"]}]}),
            true,
        ),
        (
            json!({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]}),
            false,
        ),
        (
            json!({"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["a"]}]}),
            true,
        ),
        (
            json!({"matchExpressions": [{"key": "team", "operator": "Exists"}]}),
            true,
        ),
        (
            json!({"matchExpressions": [{"key": "x", "operator": "Exists"}]}),
            false,
        ),
        (
            json!({"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}),
            true,
        ),
        (
            json!({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}),
            false,
        ),
    ] {
        assert_eq!(
            selector(value.clone()).unwrap().matches(team_a),
            matches,
            "{value}"
        );
    }
}

#[test]
fn what_kubernetes_would_refuse_is_refused_with_its_place() {
    for (result, field) in [
        (
            selector(json!({"matchLabels": {"a b": "c"}})),
            "matchLabels[\"a b\"]",
        ),
        (
            selector(json!({"matchLabels": {"a": "b c"}})),
            "matchLabels[\"a\"]",
        ),
        (
            expression(json!({"key": "a", "operator": "Gt", "values": ["1"]})),
            "matchExpressions[0].operator",
        ),
        (
            expression(json!({"key": "a", "operator": "In"})),
            "matchExpressions[0].operator",
        ),
        (
            expression(json!({"key": "a", "operator": "Exists", "values": ["b"]})),
            "matchExpressions[0].values",
        ),
        (
            expression(json!({"key": "", "operator": "Exists"})),
            "matchExpressions[0]",
        ),
    ] {
        assert_eq!(result.expect_err(field).field, field);
    }
}

#[test]
fn what_no_label_can_meet_is_seen() {
    let on_k = |operator: &str, values: &[&str]| json!({"key": "k", "operator": operator, "values": values});
    let (in_ab, not_a, not_ab) = (
        on_k("In", &["a", "b"]),
        on_k("NotIn", &["a"]),
        on_k("NotIn", &["b", "a"]),
    );
    let (exists, absent) = (
        json!({"key": "k", "operator": "Exists"}),
        json!({"key": "k", "operator": "DoesNotExist"}),
    );
    for (all, contradiction) in [
        (vec![in_ab.clone(), not_a.clone(), exists.clone()], false),
        (vec![in_ab.clone(), not_ab.clone()], true),
        (vec![in_ab.clone(), on_k("In", &["c"])], true),
        (vec![in_ab, absent.clone()], true),
        (vec![exists.clone(), absent.clone()], true),
        (vec![absent, not_ab], false),
        (vec![exists, not_a], false),
    ] {
        let selector = selector(json!({"matchExpressions": all})).unwrap();
        assert_eq!(
            selector.contradicts_itself().is_some(),
            contradiction,
            "{selector:?}"
        );
    }
}

#[test]
fn one_requirement_implies_another_where_every_label_says_so() {
    let all = [
        ("In", &["a"][..]),
        ("In", &["a", "b"]),
        ("NotIn", &["a"]),
        ("NotIn", &["a", "b"]),
        ("NotIn", &["c"]),
        ("Exists", &[]),
        ("DoesNotExist", &[]),
    ];
    let requirement = |(operator, values): (&str, &[&str])| {
        let value = json!({"key": "k", "operator": operator, "values": values});
        expression(value).unwrap().into_requirements().remove(0)
    };
    for one in all.map(requirement) {
        for other in all.map(requirement) {
            // every value that tells the requirements apart, and no label
            let values = [Some("a"), Some("b"), Some("c"), Some("d"), None];
            let follows = values
                .iter()
                .all(|value| !one.admits(*value) || other.admits(*value));
            assert_eq!(one.implies(&other), follows, "{one} -> {other}");
        }
    }
    let elsewhere = Requirement {
        key: "other".to_owned(),
        ..requirement(all[0])
    };
    assert!(!elsewhere.implies(&requirement(all[0])));
}

#[test]
fn a_requirement_reads_as_kubernetes_writes_it() {
    let all = expression(json!({"key": "a", "operator": "In", "values": ["b", "c"]})).unwrap();
    assert_eq!(all.requirements()[0].to_string(), "a In [b, c]");
}
