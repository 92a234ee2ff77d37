use serde_json::json;

use super::*;
use crate::preview::{Document, Namespaces};
use berth_core::testing::{class, pool, view as view_of};

const POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"NAME","labels":{"berth.dev/workload-class":"c"}},"spec":{"containers":[{"name":"main"}]}}"#;

/// Pods of which one has a class that is not there, one has none, and one is in a namespace that opts out; and what is
/// no Pod.
fn items() -> Vec<Value> {
    let named = |i: usize| serde_json::from_str(&POD.replace("NAME", &format!("p{i}"))).unwrap();
    let mut items: Vec<Value> = (0..9).map(named).collect();
    items[2]["metadata"]["labels"]["berth.dev/workload-class"] = "nothing".into();
    items[3]["metadata"]["labels"] = json!({"a": "b"});
    items[4]["metadata"]["namespace"] = "out".into();
    items[5]["spec"]["nodeSelector"] = json!({"a": 1, "b": "text\nof\nlines\n"});
    let labels = json!({"berth.dev/inject": "disabled"});
    let out = json!({"name": "out", "labels": labels});
    items.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": out}));
    items.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"x": "- a\n- b\n"}}));
    items
}

fn list() -> Value {
    json!({"apiVersion": "v1", "items": items(), "kind": "List", "metadata": {"resourceVersion": ""}})
}

fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| format!("  {line}\n"));
    lines.collect()
}

/// The List in the ways in which people and programs write one.
fn texts() -> Vec<String> {
    let head = "# of the test\napiVersion: v1\nkind: List\nitems:\n";
    let blocks: Vec<String> = items().iter().map(|it| yaml::write(&json!([it]))).collect();
    let blocks = blocks.concat();
    let flow: Vec<String> = items().iter().map(|it| format!("{it}")).collect();
    vec![
        format!("{head}{blocks}"),
        format!("{head}{}metadata: {{}}\n", indented(&blocks)),
        format!("{head}{blocks}# at the end\n\nmetadata:\n  resourceVersion: ''\n"),
        format!("{head}{blocks}").trim_end().to_owned(),
        format!("{head}{blocks}").replace('\n', "\r\n"),
        format!("{head}  [{}]\n", flow.join(",\n   ")),
        format!("{:#}", list()),
        format!("{:#}\n", list()),
        list().to_string(),
    ]
}

/// What is told of pieces: the text after the change, and each Pod and each finding with its place.
fn told(source: &SourceText, pieces: Vec<Piece>) -> (String, Vec<String>) {
    let view = view_of(&[pool("p", json!({})), class("c", &["p"], json!({}))]);
    let mut namespaces = Namespaces::new("ai", []);
    namespaces.learn_from(source);
    let (mut text, mut told) = (String::new(), Vec::new());
    for piece in pieces {
        let document = Document::read(source, piece, &view, &namespaces);
        assert!(document.is_readable);
        match document.edited().expect("a text that takes the change") {
            Some(edited) => {
                assert!(!edited.rewritten);
                text += &edited.text;
            }
            None => text += document.text(),
        }
        for pod in document.preview.pods {
            let (path, reason) = (pod.template.path(), pod.reason());
            told.push(format!("{path} {} {reason} {:?}", pod.name, pod.patch));
            let denials = pod.denials.iter();
            told.extend(denials.map(|it| format!("{it:?}")));
        }
        let findings = document.preview.diagnostics.iter();
        told.extend(findings.map(|it| format!("{it:?}")));
    }
    (text, told)
}

fn meaning(text: &str) -> Vec<Value> {
    let documents = yaml::parse(text).expect("YAML");
    documents.iter().map(Node::to_json).collect()
}

#[test]
fn a_long_list_in_pieces_is_what_it_is_as_a_whole() {
    for text in texts() {
        let source = SourceText::new("x.yaml", &*text);
        let whole = pieces(&source);
        assert_eq!(whole.len(), 1);
        let (text_of_whole, told_of_whole) = told(&source, whole);
        assert_ne!(text_of_whole, text);
        for bytes in [0, 400, 10_000] {
            let pieces = pieces_of(&text, 0, bytes).expect("pieces");
            let with_items = pieces.iter().filter(|it| it.holds != Holds::Frame);
            let count = with_items.count();
            assert!(if bytes == 0 { count == 11 } else { count < 11 }, "{count}");
            let (text_of_pieces, told_of_pieces) = told(&source, pieces);
            // the items may be indented otherwise than the List that they are in
            assert_eq!(meaning(&text_of_pieces), meaning(&text_of_whole));
            assert_eq!(told_of_pieces, told_of_whole, "{text}");
        }
    }
}

#[test]
fn what_is_not_plainly_a_list_is_one_piece() {
    let items = format!("items:\n- {POD}\n- {POD}\n");
    let list = format!("apiVersion: v1\nkind: List\n{items}");
    assert!(pieces_of(&list, 0, 0).is_some());
    assert!(pieces_of(&list, list.len() + 1, 0).is_none());
    for other in [
        list.replace("List", "PodList"),
        list.replace("apiVersion: v1\n", ""),
        format!("{list}kind: List\n"),
        format!("{list}{items}"),
        format!("{list}<<: {{items: []}}\n"),
        format!("{list}- just a text\n"),
        format!("{list}- null\n"),
        list.replace("items:\n-", "items:\n- &a"),
        list.replace("items:", "items: &a"),
        list.replace("- {", "-\n  {"),
        list.replace("- {", "- # a comment\n  {"),
        list.replace("\"name\":\"main\"", "\"name\":\"main\",\"name\":\"x\""),
        list.replace("\"main\"", ".inf"),
        list.replace("\"main\"", "*a"),
        format!("%YAML 1.1\n---\n{list}"),
        format!("# berth-preview: allow SurgeNeedsGpu the reason\n{list}"),
        format!("{list}---\n{list}"),
        format!("{list}}}"),
        format!("- {POD}\n"),
        String::new(),
        "apiVersion: v1\nkind: List\nitems: []\n".to_owned(),
    ] {
        assert!(pieces_of(&other, 0, 0).is_none(), "{other}");
    }
}
