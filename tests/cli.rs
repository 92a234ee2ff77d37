//! The commands beside `serve`, as a person or a script runs them.

use std::{fs, os::unix::fs::PermissionsExt, process::Stdio};

use serde_json::Value;

mod common;

use common::{
    path,
    process::{arg, command, fails},
};

/// What a command prints.
fn prints(arguments: &[&str]) -> String {
    let output = command()
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .expect("berth starts");
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn bench_tells_its_figures_as_json() {
    let (table, review) = (
        path("examples/homelab.yaml"),
        path("examples/reviews/vllm.json"),
    );
    let text = prints(&[
        "bench",
        "--table",
        arg(&table),
        "--review",
        arg(&review),
        "--seconds",
        "1",
        "-o",
        "json",
    ]);
    let figures: Value = serde_json::from_str(&text).expect("JSON");
    for key in [
        "p50_ns",
        "p99_ns",
        "scan_ns",
        "idiom_ns",
        "ratio_scan",
        "ratio_idiom",
        "bytes",
        "classes",
    ] {
        assert!(
            figures[key].as_f64().is_some_and(|figure| figure > 0.0),
            "{key}: {figures}"
        );
    }
    assert_eq!(figures["classes"], 5);
    assert_eq!(
        figures["bytes"],
        fs::metadata(review).expect("a file").len()
    );
}

#[test]
fn bench_refuses_what_is_no_review() {
    let table = path("examples/homelab.yaml");
    for (review, says) in [
        ("/nowhere", "No such file"),
        (arg(&table), "AdmissionReview"),
    ] {
        let (code, text) = fails(&["bench", "--table", arg(&table), "--review", review]);
        assert_eq!(code, 3, "{text}");
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn crds_prints_both_definitions() {
    let text = prints(&["crds"]);
    let kinds = ["kind: GPUPool", "kind: WorkloadClass"];
    assert!(kinds.iter().all(|kind| text.contains(kind)), "{text}");
    assert_eq!(text.matches("---\n").count(), 2);
}

#[test]
fn certs_writes_a_pair_whose_key_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("dev");
    prints(&["certs", "dev", "--out", arg(&out)]);
    for name in ["ca.crt", "tls.crt", "tls.key"] {
        assert!(
            fs::read_to_string(out.join(name))
                .expect(name)
                .starts_with("-----BEGIN ")
        );
    }
    let mode = fs::metadata(out.join("tls.key"))
        .expect("the key")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    // a second time replaces the pair
    prints(&["certs", "dev", "--out", arg(&out)]);
}

#[test]
fn a_wrong_command_says_what_there_is() {
    let (code, text) = fails(&["server"]);
    assert_eq!(code, 2);
    assert!(text.contains("serve"), "{text}");
}
