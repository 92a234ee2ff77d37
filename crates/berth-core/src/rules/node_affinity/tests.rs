use serde_json::{Value, json};

use crate::{
    outcome::Reason,
    placement::{TermDecision, Terms},
    testing::{admit, class, one_pool, pod, pool, view},
    view::View,
};

const OURS: &str = "kubernetes.io/hostname";

fn hostname(values: &[&str]) -> Value {
    json!({"key": OURS, "operator": "In", "values": values})
}

fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
    json!({"key": key, "operator": operator, "values": values})
}

fn required(terms: Value) -> Value {
    json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
}

fn terms(pod: &Value) -> Value {
    pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"].clone()
}

fn terms_after(view: &View, spec: Value) -> Value {
    let admitted =
        admit(view, &pod(spec.clone())).unwrap_or_else(|denial| panic!("{spec}: {denial:?}"));
    terms(&admitted.pod)
}

fn denied(view: &View, spec: Value) -> (Reason, String) {
    admit(view, &pod(spec.clone()))
        .map(|admitted| terms(&admitted.pod))
        .expect_err("denied")
}

/// Two pools of one group that no `In` can unite.
fn two_keys() -> View {
    view(&[
        pool("a", json!({"nodeSelector": {"matchLabels": {"kind": "a"}}})),
        pool(
            "b",
            json!({"nodeSelector": {"matchLabels": {"model": "b"}}}),
        ),
        class("c", &["a", "b"], json!({})),
    ])
}

#[test]
fn ours_is_anded_into_every_term() {
    let zone = |zone: &str| expression("zone", "In", &[zone]);
    let ours = hostname(&["p-node"]);
    let fields = json!([{"key": "metadata.name", "operator": "In", "values": ["n1"]}]);
    for (there, after) in [
        (
            json!([{"matchExpressions": [zone("a")]}, {"matchExpressions": [zone("b")]}]),
            json!([{"matchExpressions": [zone("a"), ours]}, {"matchExpressions": [zone("b"), ours]}]),
        ),
        // rule 3
        (
            json!([{"matchFields": fields}]),
            json!([{"matchFields": fields, "matchExpressions": [ours]}]),
        ),
        (
            json!([{"matchFields": fields, "matchExpressions": null}]),
            json!([{"matchFields": fields, "matchExpressions": [ours]}]),
        ),
        // rule 4
        (
            json!([{}, {"matchExpressions": [zone("a")]}, {"matchExpressions": []}]),
            json!([{}, {"matchExpressions": [zone("a"), ours]}, {"matchExpressions": []}]),
        ),
        // rule 8, the last sentence
        (
            json!([{"matchExpressions": [{"key": OURS, "operator": "Like", "values": ["x"]}]}]),
            json!([{"matchExpressions": [{"key": OURS, "operator": "Like", "values": ["x"]}, ours]}]),
        ),
        // rule 5
        (json!([]), json!([])),
        (Value::Null, Value::Null),
    ] {
        assert_eq!(
            terms_after(&one_pool(), required(there.clone())),
            after,
            "{there}"
        );
    }
}

#[test]
fn only_missing_parents_are_created() {
    let ours = json!([{"matchExpressions": [hostname(&["p-node"])]}]);
    let elsewhere = json!([{"weight": 1, "preference": {"matchExpressions": [expression("x", "Exists", &[])]}}]);
    for affinity in [
        Value::Null,
        json!({}),
        json!({"podAffinity": {"x": 1}, "future": true}),
        json!({"nodeAffinity": null}),
        json!({"nodeAffinity": {}}),
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": null}}),
        json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": elsewhere}}),
    ] {
        let admitted = admit(&one_pool(), &pod(json!({"affinity": affinity}))).expect("admitted");
        assert_eq!(terms(&admitted.pod), ours, "{affinity}");
        let after = &admitted.pod["spec"]["affinity"];
        assert_eq!(after["podAffinity"], affinity["podAffinity"]);
        assert_eq!(
            after["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"],
            affinity["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        );
    }
}

#[test]
fn several_pools_are_a_cross_product_and_one_in_where_they_can_be() {
    let zones = required(
        json!([{"matchExpressions": [expression("zone", "In", &["x"])]}, {"matchExpressions": [expression("zone", "In", &["y"])]}]),
    );
    let zone = |zone: &str| expression("zone", "In", &[zone]);
    let (a, b) = (
        expression("kind", "In", &["a"]),
        expression("model", "In", &["b"]),
    );
    let product = json!([
        {"matchExpressions": [zone("x"), a]}, {"matchExpressions": [zone("x"), b]},
        {"matchExpressions": [zone("y"), a]}, {"matchExpressions": [zone("y"), b]},
    ]);
    assert_eq!(terms_after(&two_keys(), zones.clone()), product);

    let united = view(&[
        pool("a", json!({})),
        pool("b", json!({})),
        class("c", &["b", "a"], json!({})),
    ]);
    let both = hostname(&["b-node", "a-node"]);
    assert_eq!(
        terms_after(&united, zones),
        json!([{"matchExpressions": [zone("x"), both]}, {"matchExpressions": [zone("y"), both]}])
    );
}

#[test]
fn several_pools_are_preferred_in_their_order_once() {
    let united = view(&[
        pool("a", json!({})),
        pool("b", json!({})),
        class("c", &["b", "a"], json!({})),
    ]);
    let preferred = |pod: &Value| {
        pod["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
            .clone()
    };
    let term = |weight: u8, node: &str| json!({"weight": weight, "preference": {"matchExpressions": [hostname(&[node])]}});
    let admitted = admit(&united, &pod(json!({}))).expect("admitted");
    assert_eq!(
        preferred(&admitted.pod),
        json!([term(100, "b-node"), term(90, "a-node")])
    );
    let there = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term(7, "a-node")]}}});
    let admitted = admit(&united, &pod(there)).expect("admitted");
    assert_eq!(
        preferred(&admitted.pod),
        json!([term(7, "a-node"), term(100, "b-node")])
    );
    let one = admit(&one_pool(), &pod(json!({}))).expect("admitted");
    assert_eq!(preferred(&one.pod), Value::Null);
}

#[test]
fn a_term_that_implies_an_alternative_stays() {
    let view = |selector: Value| {
        view(&[
            pool("p", json!({"nodeSelector": {"matchExpressions": selector}})),
            class("c", &["p"], json!({})),
        ])
    };
    let ours = |operator: &str, values: &[&str]| {
        let mut ours = json!([{"key": "k", "operator": operator}]);
        if !values.is_empty() {
            ours[0]["values"] = json!(values);
        }
        ours
    };
    for (pool, there, implied) in [
        (ours("In", &["a", "b"]), expression("k", "In", &["a"]), true),
        (
            ours("In", &["a", "b"]),
            expression("k", "In", &["b", "a"]),
            true,
        ),
        (
            ours("In", &["a"]),
            expression("k", "In", &["a", "b"]),
            false,
        ),
        (ours("In", &["a"]), expression("k", "Exists", &[]), false),
        (ours("In", &["a"]), expression("other", "In", &["a"]), false),
        (ours("Exists", &[]), expression("k", "In", &["x"]), true),
        (ours("Exists", &[]), expression("k", "Exists", &[]), true),
        (ours("Exists", &[]), expression("k", "Gt", &["1"]), true),
        (ours("Exists", &[]), expression("k", "Lt", &["1"]), true),
        (ours("Exists", &[]), expression("k", "NotIn", &["1"]), false),
        (ours("NotIn", &["a"]), expression("k", "In", &["b"]), true),
        (
            ours("NotIn", &["a"]),
            expression("k", "In", &["a", "b"]),
            false,
        ),
        (
            ours("NotIn", &["a"]),
            expression("k", "NotIn", &["b", "a"]),
            true,
        ),
        (
            ours("NotIn", &["a", "b"]),
            expression("k", "NotIn", &["a"]),
            false,
        ),
        (
            ours("NotIn", &["a"]),
            expression("k", "DoesNotExist", &[]),
            true,
        ),
        (
            ours("DoesNotExist", &[]),
            expression("k", "DoesNotExist", &[]),
            true,
        ),
        (
            ours("DoesNotExist", &[]),
            expression("k", "NotIn", &["a"]),
            false,
        ),
    ] {
        let mut there = there;
        if there["values"] == json!([]) {
            there.as_object_mut().unwrap().remove("values");
        }
        let before = json!([{"matchExpressions": [there]}]);
        let after = terms_after(&view(pool.clone()), required(before.clone()));
        assert_eq!(after == before, implied, "{pool} {before}");
    }
}

#[test]
fn a_node_selector_counts_in_every_term_and_alone() {
    let selector = json!({"nodeSelector": {OURS: "p-node"}});
    assert_eq!(terms_after(&one_pool(), selector.clone()), Value::Null);
    let mut spec = required(json!([{"matchExpressions": [expression("zone", "In", &["a"])]}]));
    spec["nodeSelector"] = selector["nodeSelector"].clone();
    let before = terms(&pod(spec.clone()));
    assert_eq!(terms_after(&one_pool(), spec), before);
    // one of two pools is enough
    assert_eq!(
        terms_after(&two_keys(), json!({"nodeSelector": {"model": "b"}})),
        Value::Null
    );
    assert_ne!(
        terms_after(&two_keys(), json!({"nodeSelector": {"model": "x"}})),
        Value::Null
    );
}

#[test]
fn a_provable_contradiction_is_denied_with_both_sides() {
    let not = |operator: &str, values: &[&str]| {
        required(json!([{"matchExpressions": [expression(OURS, operator, values)]}]))
    };
    let apart = required(json!([{"matchExpressions": [
        expression(OURS, "In", &["p-node", "x"]), expression(OURS, "In", &["x", "y"]),
    ]}]));
    for spec in [
        json!({"nodeSelector": {OURS: "other"}}),
        not("In", &["x", "y"]),
        not("NotIn", &["p-node"]),
        not("DoesNotExist", &[]),
        apart,
        required(
            json!([{"matchExpressions": [expression(OURS, "In", &["x"])]}, {"matchExpressions": [expression(OURS, "In", &["y"])]}]),
        ),
    ] {
        let (reason, message) = denied(&one_pool(), spec.clone());
        assert_eq!(reason, Reason::PlacementContradiction, "{spec}");
        assert!(
            message.contains("kubernetes.io/hostname In [p-node]"),
            "{message}"
        );
        assert!(message.contains("pool \"p\""), "{message}");
    }
    for empty in [
        json!([{}]),
        json!([{"matchExpressions": []}, {"matchFields": null}]),
    ] {
        let (reason, message) = denied(&one_pool(), required(empty));
        assert_eq!(reason, Reason::PlacementContradiction);
        assert!(message.contains("empty terms"), "{message}");
    }
    // one term that may hold is enough
    let open = required(
        json!([{"matchExpressions": [expression(OURS, "In", &["x"])]}, {"matchExpressions": [expression("zone", "In", &["y"])]}]),
    );
    assert!(terms_after(&one_pool(), open).is_array());
}

#[test]
fn what_a_pool_says_of_one_key_counts_together() {
    let zones = |expressions: Value| {
        view(&[
            pool(
                "p",
                json!({"nodeSelector": {"matchExpressions": expressions}}),
            ),
            class("c", &["p"], json!({})),
        ])
    };
    let two = [
        expression("zone", "In", &["a", "b"]),
        expression("zone", "NotIn", &["a"]),
    ];
    let not_b = required(json!([{"matchExpressions": [expression("zone", "NotIn", &["b"])]}]));
    let (reason, message) = denied(&zones(json!(two)), not_b);
    assert_eq!(reason, Reason::PlacementContradiction);
    assert!(message.contains("(zone NotIn [b])"), "{message}");
}

#[test]
fn the_result_is_bounded() {
    let many = |count: usize| {
        let zone =
            |i: usize| json!({"matchExpressions": [expression("zone", "In", &[&i.to_string()])]});
        required((0..count).map(zone).collect())
    };
    assert_eq!(
        terms_after(&two_keys(), many(64)).as_array().map(Vec::len),
        Some(128)
    );
    assert_eq!(denied(&two_keys(), many(65)).0, Reason::TooManyTerms);
    // one alternative multiplies nothing
    assert_eq!(
        terms_after(&one_pool(), many(1000))
            .as_array()
            .map(Vec::len),
        Some(1000)
    );
    assert_eq!(denied(&one_pool(), many(1001)).0, Reason::TooManyTerms);
}

#[test]
fn the_placement_says_what_was_done_to_each_term_and_why() {
    let terms = |view: &View, spec: Value| admit(view, &pod(spec)).expect("admitted").terms;
    let zone = |values: &[&str]| json!({"matchExpressions": [expression("zone", "In", values)]});
    let ours = json!({"matchExpressions": [expression(OURS, "In", &["p-node"])]});
    let all = required(json!([{}, zone(&["x"]), ours]));
    let decided = [
        TermDecision::Empty,
        TermDecision::Narrowed,
        TermDecision::Implied(0),
    ];
    assert_eq!(terms(&one_pool(), all), Some(Terms::Each(decided.into())));
    let model_b = json!({"matchExpressions": [expression("model", "In", &["b"])]});
    let both = required(json!([zone(&["x"]), model_b]));
    let decided = [TermDecision::Multiplied, TermDecision::Implied(1)];
    assert_eq!(terms(&two_keys(), both), Some(Terms::Each(decided.into())));
    assert_eq!(terms(&one_pool(), json!({})), Some(Terms::Added));
    let selector = json!({"nodeSelector": {"model": "b"}});
    assert_eq!(terms(&two_keys(), selector), Some(Terms::Implied(1)));
}

#[test]
fn preferred_terms_count_and_are_compared_as_sets() {
    let two = view(&[
        pool(
            "a",
            json!({"nodeSelector": {"matchExpressions": [
                {"key": "k", "operator": "In", "values": ["x", "y"]}, {"key": "l", "operator": "Exists"},
            ]}}),
        ),
        pool("b", json!({})),
        class("c", &["a", "b"], json!({})),
    ]);
    let preferring = |terms: Vec<Value>| {
        let affinity = json!({"preferredDuringSchedulingIgnoredDuringExecution": terms});
        pod(json!({"affinity": {"nodeAffinity": affinity}}))
    };
    let term =
        |expressions: Value| json!({"weight": 1, "preference": {"matchExpressions": expressions}});
    let in_values = |values: &[&str]| json!({"key": "k", "operator": "In", "values": values});
    let exists = json!({"key": "l", "operator": "Exists"});
    for (expressions, added) in [
        (json!([in_values(&["x", "y"]), exists]), 1),
        (json!([exists, in_values(&["y", "x", "y"]), exists]), 1),
        (json!([in_values(&["x", "x"]), exists]), 2),
        (json!([in_values(&["x", "y"])]), 2),
        (
            json!([in_values(&["x", "y"]), exists, in_values(&["x"])]),
            2,
        ),
    ] {
        let admitted = admit(&two, &preferring(vec![term(expressions.clone())])).expect("admitted");
        let preferred = &admitted.pod["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
        assert_eq!(
            preferred.as_array().unwrap().len(),
            1 + added,
            "{expressions}"
        );
    }
    let many = |count: usize| {
        let one = |i| term(json!([{"key": format!("k{i}"), "operator": "Exists"}]));
        preferring((0..count).map(one).collect())
    };
    // two required terms and two preferred ones are added
    assert!(admit(&two, &many(996)).is_ok());
    let (reason, message) = admit(&two, &many(997))
        .map(|it| it.pod)
        .expect_err("denied");
    assert_eq!(reason, Reason::TooManyTerms);
    assert!(message.contains("1001 node affinity terms"), "{message}");
}
