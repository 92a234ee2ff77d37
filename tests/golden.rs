//! `berth test`, as a person or a script runs it.

use std::{fs, path::Path, process::Output};

use serde_json::Value;

mod common;

use common::{path, process::command};

const TABLE: &str = "\
apiVersion: berth.dev/v1alpha1
kind: GPUPool
metadata: {name: p}
spec: {hostnames: [node], resourceName: amd.com/gpu}
---
apiVersion: berth.dev/v1alpha1
kind: WorkloadClass
metadata: {name: c}
spec: {pools: [{name: p}]}
";
const POD: &str = "\
pod:
  metadata: {labels: {berth.dev/workload-class: c}}
  spec: {containers: [{name: main}]}
";

/// A folder with the files given.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

fn case(expect: &str) -> String {
    format!("{POD}expect: {expect}\n")
}

/// Runs `berth test` in a folder.
fn test(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command()
        .current_dir(folder)
        .arg("test")
        .args(arguments)
        .output()
        .expect("berth starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("a code"), text(stdout), text(stderr))
}

#[test]
fn the_examples_hold() {
    let (code, out, err) = test(&path(""), &["examples/cases"]);
    assert_eq!((code, &*err), (0, ""), "{out}");
    assert!(!out.contains("\n0 passed"), "{out}");
}

#[test]
fn a_case_that_does_not_hold_is_shown_as_a_diff() {
    let wrong = case("{pool: q, container: main}");
    let folder = folder(&[
        ("table.yaml", TABLE),
        ("a.yaml", &case("{pool: p}")),
        ("b.yaml", &wrong),
    ]);
    let (code, out, err) = test(folder.path(), &["."]);
    let shown = "ok      ./a.yaml\nFAILED  ./b.yaml\n  - pool: q\n  + pool: p\n    container: main\n1 passed, 1 failed\n";
    assert_eq!((code, &*out, &*err), (1, shown, ""));

    let (code, out, _) = test(folder.path(), &[".", "-o", "json"]);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (code, &report["passed"], &report["failed"]),
        (1, &1.into(), &1.into())
    );
    let case = &report["cases"][1];
    assert_eq!(
        (
            &case["outcome"],
            &case["result"],
            &case["reason"],
            &case["found"]["pool"]
        ),
        (
            &"failed".into(),
            &"mutated".into(),
            &"Placed".into(),
            &"p".into()
        )
    );
}

#[test]
fn update_expects_what_was_found() {
    let denied = case("{denied: OtherGpu}");
    let folder = folder(&[("table.yaml", TABLE), ("a.yaml", POD), ("b.yaml", &denied)]);
    let (code, out, _) = test(folder.path(), &["."]);
    assert!(
        code == 1 && out.contains("--update writes what was found"),
        "{out}"
    );
    let (code, out, err) = test(folder.path(), &[".", "--update"]);
    assert!(
        code == 0 && out.ends_with("0 passed, 2 updated\n"),
        "{out}{err}"
    );
    for name in ["a.yaml", "b.yaml"] {
        let text = fs::read_to_string(folder.path().join(name)).expect("the case");
        assert_eq!(
            text,
            format!("{POD}expect:\n  pool: p\n  container: main\n")
        );
    }
    let (code, out, _) = test(folder.path(), &["."]);
    assert_eq!((code, out.lines().last()), (0, Some("2 passed")));
}

#[test]
fn the_nearest_table_counts_unless_one_is_named() {
    let other = TABLE.replace("name: p}", "name: q}");
    let folder = folder(&[
        ("table.yaml", TABLE),
        ("a.yaml", &case("{pool: p}")),
        ("in/table/t.yaml", &other),
        ("in/deep/b.yaml", &case("{pool: q}")),
    ]);
    let (code, out, _) = test(folder.path(), &["."]);
    assert_eq!(code, 0, "{out}");
    let (code, out, _) = test(folder.path(), &[".", "--table", "in/table"]);
    assert!(code == 1 && out.contains("FAILED  ./a.yaml"), "{out}");
}

#[test]
fn what_cannot_be_read_is_said_and_the_other_cases_are_run() {
    let files = [
        ("table.yaml", TABLE),
        ("a.yaml", &case("{pool: p}")),
        ("b.yaml", "pod:\n\tx"),
        ("bad/table.yaml", "kind: Pod"),
        ("bad/c.yaml", POD),
        ("bad/d.yaml", POD),
    ];
    let folder = folder(&files);
    let (code, out, err) = test(folder.path(), &["."]);
    let shown = "ok      ./a.yaml\n1 passed, 2 not run\n";
    assert_eq!((code, &*out), (3, shown), "{err}");
    assert!(
        err.contains("tabs disallowed as indentation") && err.contains("b.yaml:2:1"),
        "{err}"
    );
    // a table is refused once, not for every case
    assert_eq!(err.matches("bad/table.yaml").count(), 1, "{err}");
    assert!(
        !err.contains("Error {") && !err.contains("panicked"),
        "{err}"
    );
    let (code, out, _) = test(folder.path(), &[".", "-o", "json"]);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    let unread = &report["unread"];
    assert_eq!(
        (code, unread.as_array().map(Vec::len)),
        (3, Some(2)),
        "{out}"
    );
    assert_eq!(
        (&unread[0]["source"], &unread[0]["line"]),
        (&"./b.yaml".into(), &2.into()),
        "{out}"
    );
}

#[test]
fn without_cases_or_a_table_it_says_what_to_do() {
    let empty = folder(&[]);
    let (code, _, err) = test(empty.path(), &["."]);
    assert!(code == 3 && err.contains("no case in the folder"), "{err}");
    let (code, _, err) = test(empty.path(), &["nowhere"]);
    assert!(code == 3 && err.contains("nowhere: No such file"), "{err}");
    let no_table = folder(&[("a.yaml", POD)]);
    let (code, _, err) = test(no_table.path(), &["."]);
    assert!(code == 2 && err.contains("say --table"), "{err}");
    let (code, _, err) = test(no_table.path(), &[]);
    assert!(code == 2 && err.contains("<DIR>"), "{err}");
}

#[test]
fn a_report_for_ci_has_a_test_for_each_case_and_for_what_cannot_be_read() {
    let wrong = case("{pool: q}");
    let folder = folder(&[
        ("table.yaml", TABLE),
        ("a.yaml", &case("{pool: p}")),
        ("b/c&d.yaml", &wrong),
        ("e.yaml", "pod: [\n"),
    ]);
    let (code, out, _) = test(folder.path(), &[".", "-o", "junit"]);
    assert_eq!(code, 3);
    let out = out
        .split(" time=\"")
        .map(|it| it.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.'));
    let out = out.collect::<Vec<_>>().join(" t=\"");
    let out: Vec<&str> = out.lines().map(str::trim).collect();
    let begins =
        |at: usize, text: &str| assert!(out[at].starts_with(text), "{at}: {text}: {out:#?}");
    begins(0, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    begins(
        1,
        "<testsuites name=\"berth test\" tests=\"3\" failures=\"1\" errors=\"1\" t=",
    );
    begins(
        2,
        "<testsuite name=\".\" tests=\"2\" failures=\"0\" errors=\"1\" t=",
    );
    begins(
        3,
        "<testcase name=\"a\" classname=\".\" file=\"./a.yaml\" t=\"\"/>",
    );
    begins(
        4,
        "<testcase name=\"e\" classname=\".\" file=\"./e.yaml\" t=\"\">",
    );
    begins(5, "<error message=\"not YAML: ");
    begins(
        8,
        "<testsuite name=\"./b\" tests=\"1\" failures=\"1\" errors=\"0\" t=",
    );
    begins(
        9,
        "<testcase name=\"c&amp;d\" classname=\"./b\" file=\"./b/c&amp;d.yaml\" t=",
    );
    begins(10, "<failure message=\"");
    let all = out.join("\n");
    assert!(
        all.contains("- pool: q&#10;  + pool: p&#10;</failure>"),
        "{all}"
    );
    assert!(all.ends_with("</testsuite>\n</testsuites>"), "{all}");
}
