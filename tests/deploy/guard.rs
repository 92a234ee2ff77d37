//! The guard in the chart: what `berth guard` prints, with the release's labels.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::{
    common::path,
    objects::{Object, objects},
    render::{chart, refused},
};

/// What `berth guard` prints for the homelab's table.
fn printed() -> String {
    let mut berth = Command::new(env!("CARGO_BIN_EXE_berth"));
    let table = path("examples/homelab.yaml");
    let guard = berth.arg("guard").arg("--table").arg(table).output();
    let guard = guard.expect("berth starts");
    assert!(guard.status.success());
    String::from_utf8(guard.stdout).expect("UTF-8")
}

fn without_labels(mut object: Object) -> Object {
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    metadata.remove("labels");
    object
}

#[test]
fn the_chart_installs_what_berth_guard_prints_and_labels_it() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let file = folder.path().join("guard.yaml");
    let text = printed();
    fs::write(&file, &text).expect("written");
    let file = format!("guard.manifests={}", file.display());
    let values = [
        "--set",
        "guard.enabled=true,table.source=cluster",
        "--set-file",
        &file,
    ];
    let Some(rendered) = chart(&values) else {
        return;
    };
    let of_the_guard = |kind: &str| {
        let mut found = rendered.iter().filter(|it| it["kind"] == kind);
        let object = found.next().unwrap_or_else(|| panic!("no {kind}")).clone();
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/instance"], "berth", "{kind}");
        assert!(found.next().is_none(), "{kind}");
        without_labels(object)
    };
    let expected: Vec<Value> = objects(&text).into_iter().map(without_labels).collect();
    let found = [
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ]
    .map(of_the_guard);
    assert_eq!(json!(found), json!(expected));
}

#[test]
fn a_guard_that_berth_has_not_printed_is_refused() {
    for (values, said) in [
        (
            "guard.enabled=true",
            "berth guard --table TABLE > guard.yaml",
        ),
        (
            "guard.enabled=true,guard.manifests=kind: Secret",
            "an object of kind Secret",
        ),
        (
            "guard.enabled=true,guard.manifests=x: [",
            "guard.manifests is no YAML",
        ),
        (
            "guard.enabled=true,guard.manifests=a: b",
            "an object of kind none",
        ),
    ] {
        if let Some(message) = refused(&["--set", values]) {
            assert!(message.contains(said), "{values}: {message}");
        }
    }
}
