use serde_json::json;

use super::*;
use berth_core::testing::{class, pool, view as view_of};

/// What is told of a text, as its code, the text that is marked, and what to do.
fn told(text: &str) -> Vec<(String, String, String)> {
    let view = view_of(&[pool("p", json!({})), class("c", &["p"], json!({}))]);
    let source = SourceText::new("x.yaml", text);
    let mut namespaces = Namespaces::new("ai", []);
    namespaces.learn_from(&source);
    let piece = pieces(&source).remove(0);
    let document = Document::read(&source, piece, &view, &namespaces);
    let Preview {
        pods, diagnostics, ..
    } = document.preview;
    let denials = pods.into_iter().flat_map(|pod| pod.denials);
    let all = denials.chain(diagnostics);
    all.map(|it| {
        let place = it.place.expect("a place");
        (
            it.code.unwrap_or(&it.message).to_owned(),
            text[place.span].to_owned(),
            it.help.unwrap_or_default(),
        )
    })
    .collect()
}

/// The codes and the marked texts.
fn marked(text: &str) -> Vec<(String, String)> {
    told(text)
        .into_iter()
        .map(|(code, marked, _)| (code, marked))
        .collect()
}

fn pod(spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\n  labels: {{berth.dev/workload-class: c}}\nspec:\n{spec}"
    )
}

#[test]
fn an_unknown_key_is_marked_itself() {
    let text = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: x}\nspec:\n  template:\n    metadata:\n      \
                labels: {berth.dev/workload-class: c, berth.dev/gpus: \"2\"}\n      annotations:\n        \
                berth.dev/contaner: main\n    spec:\n      containers: [{name: main}]\n";
    let expected = ["berth.dev/gpus", "berth.dev/contaner"]
        .map(|key| ("UnknownKey".to_owned(), key.to_owned()));
    assert_eq!(marked(text), expected);
}

#[test]
fn an_item_of_a_list_that_is_not_an_object_is_told() {
    let good = "- apiVersion: v1\n  kind: Pod\n  metadata: {name: x, labels: {berth.dev/workload-class: c}}\n  spec: \
                {containers: [{name: main}]}\n";
    let list =
        format!("apiVersion: v1\nkind: List\nitems:\n- ~\n- text\n- 7\n- {{a: 1}}\n{good}- []\n");
    let told = marked(&list);
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(
        told.iter().all(|(code, _)| code == "NotAnObject"),
        "{told:?}"
    );
    assert!(told.iter().any(|(_, marked)| marked == "text"), "{told:?}");
    // a typed list's items need not say what they are, and a kind of its own may end as a list does
    let typed = "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: x}\n  spec: {containers: [{name: main}]}\n";
    assert_eq!(marked(typed), []);
    assert_eq!(
        marked("apiVersion: x/v1\nkind: AllowList\nitems: {a: 1}\n"),
        []
    );
    let wrong = marked("apiVersion: v1\nkind: List\nitems: {a: 1}\n");
    assert_eq!(wrong, [("NotAnObject".to_owned(), "items".to_owned())]);
}

#[test]
fn a_value_of_the_wrong_kind_is_told_with_how_to_write_it() {
    let main = "  containers: [{name: main}]\n";
    for (spec, marks, says) in [
        (
            format!("  nodeSelector: {{a: 7}}\n{main}"),
            "7",
            "7 is a number; quote it: \"7\"",
        ),
        (
            format!("  nodeSelector: {{a: yes}}\n{main}"),
            "yes",
            "yes is a boolean; quote it: \"yes\"",
        ),
        (
            format!("  nodeSelector: {{a: [b]}}\n{main}"),
            "a",
            "write one text, on the line of the key",
        ),
        (
            format!("  nodeSelector: [a]\n{main}"),
            "nodeSelector",
            "this is a list; write each entry as key: value, without the -",
        ),
        (
            format!("  nodeSelector: 'a: b'\n{main}"),
            "'a: b'",
            "this is a text; write it without quotes, on lines of its own below the key",
        ),
        (
            "  containers: {name: main}\n".to_owned(),
            "containers",
            "write a list: a line with - for each item",
        ),
        (
            "  containers: [main]\n".to_owned(),
            "main",
            "write each entry as key: value, on a line of its own",
        ),
        (
            "  7\n".to_owned(),
            "7",
            "write each entry as key: value, on a line of its own",
        ),
        (
            format!("  tolerations: 7\n{main}"),
            "7",
            "write a list: a line with - for each item",
        ),
        (
            "  containers: [{name: main, resources: {limits: {amd.com/gpu: '1:1'}}}]\n".to_owned(),
            "'1:1'",
            "no quantity has this form; write a number without a unit, as 1",
        ),
    ] {
        let told = told(&pod(&spec));
        let expected = ("PodShape".to_owned(), marks.to_owned(), says.to_owned());
        assert_eq!(told, [expected], "{spec}");
    }
}

#[test]
fn metadata_of_the_wrong_kind_is_marked_where_its_object_has_it() {
    let template = |metadata: &str| {
        format!(
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: x}}\nspec:\n  template:\n    metadata: {{labels: \
             {{berth.dev/workload-class: c}}, {metadata}}}\n    spec:\n      containers: [{{name: main}}]\n"
        )
    };
    for (metadata, marks) in [
        ("annotations: [a]", "annotations"),
        ("annotations: {a: 7}", "7"),
    ] {
        let expected = [("PodShape".to_owned(), marks.to_owned())];
        assert_eq!(marked(&template(metadata)), expected, "{metadata}");
    }
}

#[test]
fn a_name_of_the_wrong_type_is_told_once() {
    for name in ["7", "[a]", "{a: b}", "true"] {
        let told = marked(&pod(&format!("  containers: [{{name: {name}}}]\n")));
        assert_eq!(told.len(), 1, "{name}: {told:?}");
        assert_eq!(told[0].0, "PodShape", "{name}: {told:?}");
    }
}

#[test]
fn all_that_is_wrong_with_a_document_is_told_at_once() {
    let text = pod(
        "  hostNetwork: false\n  hostNetwork: true\n  nodeSelector: {a: 7, b: 8}\n  tolerations: [{key: 1}]\n  \
         containers:\n  - {name: main, name: other, resources: {limits: {amd.com/gpu: {}, cpu: <N>}}}\n",
    );
    let told = marked(&text);
    let marks: Vec<&str> = told.iter().map(|(_, marked)| &**marked).collect();
    for mark in ["7", "8", "1", "<N>", "hostNetwork", "name"] {
        assert_eq!(
            marks.iter().filter(|it| **it == mark).count(),
            1,
            "{mark}: {told:?}"
        );
    }
    assert_eq!(told.len(), 7, "{told:?}");
}

#[test]
fn a_denial_marks_what_it_is_about() {
    let gpus =
        |name: &str, gpus: &str| format!("{{name: {name}, resources: {{limits: {{{gpus}}}}}}}");
    for (spec, reason, marks) in [
        (
            "  nodeSelector: {disk: ssd, kubernetes.io/hostname: other}\n  containers: [{name: main}]\n".to_owned(),
            "PlacementContradiction",
            "other",
        ),
        (
            "  nodeSelector: {disk: ssd}\n  affinity:\n    nodeAffinity:\n      \
             requiredDuringSchedulingIgnoredDuringExecution:\n        nodeSelectorTerms: [{matchExpressions: [{key: \
             kubernetes.io/hostname, operator: NotIn, values: [p-node]}]}]\n  containers: [{name: main}]\n"
                .to_owned(),
            "PlacementContradiction",
            "requiredDuringSchedulingIgnoredDuringExecution",
        ),
        (
            "  nodeSelector: {kubernetes.io/os: windows}\n  containers: [{name: main}]\n".to_owned(),
            "WindowsPod",
            "windows",
        ),
        (
            format!("  containers: [{}, {}]\n", gpus("a", "cpu: 1"), gpus("b", "cpu: 2, nvidia.com/gpu: 1000")),
            "OtherGpu",
            "1000",
        ),
        (
            format!("  containers: [{}, {}]\n", gpus("a", "cpu: 1"), gpus("b", "amd.com/gpu: 1000")),
            "TooManyGpus",
            "1000",
        ),
        (
            format!("  containers: [{}, {}]\n", gpus("a", "cpu: 1"), gpus("b", "amd.com/gpu: 0.5")),
            "FractionalGpu",
            "0.5",
        ),
        (
            "  containers: [{name: a, resources: {limits: {amd.com/gpu: 1}, requests: {amd.com/gpu: 2}}}]\n".to_owned(),
            "RequestDiffers",
            "2",
        ),
        ("  containers: [{name: a}, {name: b}]\n".to_owned(), "ContainerAmbiguous", "containers"),
        ("  nodeName: node-1\n  containers: [{name: a}]\n".to_owned(), "NodeNameSet", "node-1"),
    ] {
        assert_eq!(marked(&pod(&spec)), [(reason.to_owned(), marks.to_owned())], "{spec}");
    }
    let many = |count: usize, one: &str| vec![one; count].join(", ");
    let init = format!(
        "  initContainers: [{}]\n  containers: [{{name: a}}]\n",
        many(101, "{name: i}")
    );
    let preferred = format!(
        "  affinity:\n    nodeAffinity:\n      preferredDuringSchedulingIgnoredDuringExecution: [{}]\n  containers: [{{name: a}}]\n",
        many(1001, "{weight: 1, preference: {}}")
    );
    for (spec, expected) in [
        (init, ("TooManyContainers", "initContainers")),
        (
            preferred,
            (
                "TooManyTerms",
                "preferredDuringSchedulingIgnoredDuringExecution",
            ),
        ),
    ] {
        let (reason, marks) = &marked(&pod(&spec))[0];
        assert_eq!((&**reason, &**marks), expected);
    }
    let annotated = pod("  containers: [{name: a}]\n").replace(
        "  name: x\n",
        "  name: x\n  annotations: {berth.dev/container: b}\n",
    );
    let expected = [("ContainerConflict".to_owned(), "b".to_owned())];
    assert_eq!(marked(&annotated), expected);
    let unknown = pod("  containers: [{name: a}]\n").replace(": c}", ": d}");
    let expected = [("ClassUnavailable".to_owned(), "d".to_owned())];
    assert_eq!(marked(&unknown), expected);
}
