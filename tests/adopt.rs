//! `berth adopt`, as a person runs it.
#![allow(clippy::panic, reason = "a test fails by a panic")]

use std::{
    fs,
    process::{Command, Stdio},
};

use berth_manifests::yaml;
use serde_json::{Value, json};

mod common;

use common::{
    path,
    process::{arg, command},
};

fn adopt(arguments: &[&str]) -> (i32, String, String) {
    let table = path("examples/homelab.yaml");
    let output = command()
        .args(["adopt", "--table", arg(&table)])
        .args(arguments)
        .current_dir(path(""))
        .stdin(Stdio::null())
        .output()
        .expect("berth starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code().expect("a code"),
        text(output.stdout),
        text(output.stderr),
    )
}

/// The diff makes of the first step of the migration the last one.
#[test]
fn the_diff_of_what_was_written_by_hand_is_the_migration() {
    let by_hand = "examples/migrating/1-by-hand.yaml";
    let (code, diff, said) = adopt(&["-f", by_hand]);
    assert_eq!(code, 0, "{said}");
    let expected = "Deployment/vllm in ai: class vllm, pool strix-halo: remove \
        spec.template.spec.containers[0].resources.limits[\"amd.com/gpu\"], \
        spec.template.spec.tolerations[0], \
        spec.template.spec.nodeSelector[\"kubernetes.io/hostname\"]; it may run on the same nodes; \
        berth adds to what is there: the annotation berth.dev/pool\n\
        1 with a GPU: 1 could name a class, 0 cannot\n";
    let sorted = |text: &str| {
        let mut words: Vec<String> = text.split([' ', ',', ';']).map(str::to_owned).collect();
        words.sort();
        words
    };
    assert_eq!(sorted(&said), sorted(expected), "{said}");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(by_hand);
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    fs::copy(path(by_hand), &file).expect("copied");
    let patch = folder.path().join("adopt.diff");
    fs::write(&patch, &diff).expect("written");
    let applied = Command::new("git")
        .args(["apply", arg(&patch)])
        .current_dir(folder.path())
        .output()
        .expect("git runs");
    assert!(applied.status.success(), "{diff}\n{applied:?}");
    let value = |text: &str| yaml::parse(text).expect("YAML")[0].to_json();
    let now = fs::read_to_string(&file).expect("a file");
    let migrated = fs::read_to_string(path("examples/migrating/3-migrated.yaml")).expect("a file");
    assert_eq!(value(&now), value(&migrated));
}

#[test]
fn what_stays_is_said_and_bad_input_has_a_next_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.yaml");
    let text = fs::read_to_string(path("examples/migrating/1-by-hand.yaml")).expect("a file");
    // two documents, of which one can be adopted: the second one's lines are counted from the file's beginning
    let other = text
        .replace("khelben", "nowhere")
        .replace("name: vllm\n", "name: other\n");
    fs::write(&file, format!("{other}---\n{text}")).expect("written");
    let (code, diff, said) = adopt(&["-f", arg(&file)]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("Deployment/other in ai: stays as it is: with class"),
        "{said}"
    );
    assert!(
        said.contains("2 with a GPU: 1 could name a class, 1 cannot"),
        "{said}"
    );
    let line = other.lines().count() + 1 + 12;
    assert!(diff.contains(&format!("\n@@ -{line},")), "{line}: {diff}");

    // for a program
    let (code, json, said) = adopt(&["-f", arg(&file), "-o", "json"]);
    assert_eq!((code, &*said), (1, ""), "{json}");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["apiVersion"], "cli.berth.dev/v1alpha1");
    assert_eq!(json["kind"], "Adoption");
    let [other, vllm] = [&json["workloads"][0], &json["workloads"][1]];
    assert_eq!(
        (&other["outcome"], &other["class"]),
        (&json!("kept"), &json!(null))
    );
    assert!(
        other["why"]
            .as_str()
            .is_some_and(|it| it.starts_with("with class")),
        "{other:#}"
    );
    let expected = json!({
        "kind": "Deployment", "namespace": "ai", "name": "vllm", "outcome": "adopted", "class": "vllm",
        "others": [], "pool": "strix-halo", "removed": vllm["removed"],
    });
    assert_eq!(vllm, &expected);
    assert_eq!(vllm["removed"].as_array().map(Vec::len), Some(3));

    // a class that there is not
    fs::write(
        &file,
        text.replace(
            "app: vllm\n    spec",
            "berth.dev/workload-class: vlm\n    spec",
        ),
    )
    .expect("written");
    let (code, _, said) = adopt(&["-f", arg(&file)]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("Deployment/vllm in ai: stays as it is: its Pods are denied: "),
        "{said}"
    );
    assert!(said.contains("did you mean \"vllm\"?"), "{said}");

    fs::write(&file, "a: [").expect("written");
    for (arguments, code, says) in [
        (&["-f", arg(&file)][..], 3, "x.yaml:1:"),
        (&["-f", "/nowhere"], 3, "/nowhere"),
        (
            &[],
            2,
            "name their files with -f, or take the cluster's with --from-cluster",
        ),
        (&["-A", "-f", "x"], 2, "cannot be used with"),
    ] {
        let (found, _, said) = adopt(arguments);
        assert!(
            found == code && said.contains(says),
            "{arguments:?}: {found} {said}"
        );
    }
}
