use std::fmt::Write;

use super::*;
use crate::{diagnostic::SourceText, table_files::TableFiles};
use berth_core::table::{Settings, compile};

fn options() -> Options {
    Options {
        name: "guard".to_owned(),
        action: Action::Deny,
        exempt: vec!["kube-system".to_owned()],
    }
}

/// The policy of a table.
fn policy(text: &str) -> Result<Value, Error> {
    let files = TableFiles {
        paths: Vec::new(),
        settings: Settings::default(),
    };
    let source = SourceText::new("t.yaml", text);
    let documents = crate::table_files::decode::decode(&[source])
        .expect("a table")
        .documents();
    let (table, problems) = compile(&documents, &files.settings);
    assert!(problems.is_empty(), "{problems:?}");
    render(&documents, &table, &options()).map(|[policy, _]| policy)
}

fn variable_of<'p>(policy: &'p Value, name: &str) -> &'p str {
    let variables = policy["spec"]["variables"].as_array().expect("a list");
    let found = variables.iter().find(|it| it["name"] == name);
    found
        .and_then(|it| it["expression"].as_str())
        .expect("the variable")
}

#[test]
fn the_homelab_is_three_literals() {
    let policy = policy(include_str!("../../../../examples/homelab.yaml")).expect("a policy");
    for (name, literal) in [
        (
            "classes",
            "{'bge-embeddings':0,'bge-reranker':1,'vllm':2,'whisper':3,'xtts':4}",
        ),
        ("taints", "{'dedicated':{'vllm:NoSchedule':[2]}}"),
        (
            "resources",
            "{'amd.com/gpu':[0,2],'gpu.intel.com/i915':[1],'gpu.intel.com/xe':[1],'nvidia.com/gpu':[3,4]}",
        ),
    ] {
        assert_eq!(variable_of(&policy, name), literal);
    }
    let messages = policy["spec"]["validations"].as_array().expect("a list");
    let dynamic = messages
        .iter()
        .filter(|it| it.get("messageExpression").is_some());
    assert_eq!((messages.len(), dynamic.count()), (5, 0));
}

#[test]
fn a_table_without_pools_has_no_guard_and_one_without_classes_is_for_nobody() {
    assert!(matches!(policy(""), Err(Error::Nothing)));
    let pool = "apiVersion: berth.dev/v1alpha1\nkind: GPUPool\nmetadata: {name: p}\nspec: {hostnames: [node], resourceName: amd.com/gpu}\n";
    let policy = policy(pool).expect("a policy");
    assert_eq!(variable_of(&policy, "resources"), "{'amd.com/gpu':[-2]}");
    assert_eq!(
        variable_of(&policy, "class"),
        "variables.optedOut ? -1 : (-1)"
    );
}

#[test]
fn no_expression_is_longer_than_the_api_server_takes_it() {
    let mut text = String::new();
    for i in 0..3_000 {
        let name = format!("{i:063}");
        let key = format!("example.com/{i:063}");
        let _ = write!(
            text,
            "apiVersion: berth.dev/v1alpha1\nkind: GPUPool\nmetadata: {{name: p{i}}}\nspec: {{hostnames: [n{i}], resourceName: amd.com/gpu, taints: [{{key: \"{key}\", effect: NoSchedule}}]}}\n---\n\
             apiVersion: berth.dev/v1alpha1\nkind: WorkloadClass\nmetadata: {{name: \"{name}\"}}\nspec: {{pools: [{{name: p{i}}}]}}\n---\n"
        );
    }
    let policy = policy(&text).expect("a policy");
    let variables = policy["spec"]["variables"].as_array().expect("a list");
    let validations = policy["spec"]["validations"].as_array().expect("a list");
    let expressions = variables
        .iter()
        .chain(validations)
        .filter_map(|it| it["expression"].as_str());
    let longest = expressions.map(|it| it.chars().count()).max();
    assert!(longest < Some(100_000), "{longest:?}");
    assert!(variables.iter().any(|it| it["name"] == "classes3"));
    let checked = validations.iter().filter(|it| {
        it["expression"]
            .as_str()
            .is_some_and(|it| it.contains("variables.taints"))
    });
    assert!(checked.count() > 1);
}

#[test]
fn a_text_is_a_literal_of_cel_whatever_is_in_it() {
    assert_eq!(quoted(r"a'b\c"), r"'a\'b\\c'");
}
