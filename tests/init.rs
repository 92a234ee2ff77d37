//! `berth init`, as a command.

use std::{
    io::Write,
    process::{Output, Stdio},
};

use serde_json::{Value, json};

mod common;

use common::process::command;

/// What the command says to a text on its standard input.
fn run(arguments: &[&str], text: &str) -> Output {
    let mut child = command()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("berth starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(text.as_bytes()).expect("berth reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

fn nodes(allocatable: &Value) -> String {
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "a", "labels": {"kubernetes.io/hostname": "a"}},
        "status": {"allocatable": allocatable},
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [node]}).to_string()
}

#[test]
fn what_is_proposed_is_a_table_that_lint_finds_nothing_in() {
    let output = run(&["init", "-f", "-"], &nodes(&json!({"amd.com/gpu": "2"})));
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("1 pool of 1 Node;"), "{said}");
    let folder = tempfile::tempdir().expect("a folder");
    let table = folder.path().join("table.yaml");
    std::fs::write(&table, &output.stdout).expect("written");
    let lint = command()
        .args(["lint", "--table"])
        .arg(&table)
        .output()
        .expect("berth starts");
    assert_eq!(lint.status.code(), Some(0), "{lint:?}");
}

#[test]
fn without_a_gpu_or_a_node_there_is_no_table() {
    for (text, code, says) in [
        (
            nodes(&json!({"cpu": "2"})),
            1,
            "no GPU that a Pod can ask for, on 1 Node;",
        ),
        (
            "{\"apiVersion\": \"v1\", \"kind\": \"Pod\"}".to_owned(),
            3,
            "there is no Node",
        ),
        (String::new(), 3, "there is no Node"),
        (
            "{\"kind\": 1}".to_owned(),
            3,
            "-: not what `kubectl get nodes -o json` prints",
        ),
    ] {
        let output = run(&["init", "-f", "-"], &text);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(output.stdout.is_empty(), "{text}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(says), "{text}: {said}");
    }
    let output = run(&["init", "-f", "/nowhere/x.json"], "");
    assert_eq!(output.status.code(), Some(3));
    let output = run(&["init"], "");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("take the cluster's with --from-cluster"),
        "{said}"
    );
}
