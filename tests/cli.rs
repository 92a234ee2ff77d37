//! The commands beside `serve`, as a person or a script runs them.

use std::{
    fs, io,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Stdio,
};

use serde_json::Value;

mod common;

use common::{
    path,
    process::{arg, command, ends, fails},
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
fn a_certificate_has_names_that_a_client_can_ask_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("dev");
    for name in ["foo bar", "", "https://berth.ai.svc", "berth.ai.svc:443"] {
        let (code, text) = fails(&["certs", "dev", "--out", arg(&out), "--name", name]);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains("not a DNS name or an IP address"), "{text}");
        assert!(!out.exists(), "{name}");
    }
    for name in ["berth.ai.svc", "10.0.0.7", "::1"] {
        prints(&["certs", "dev", "--out", arg(&out), "--name", name]);
    }
}

#[test]
fn a_wrong_command_says_what_there_is() {
    let (code, text) = fails(&["server"]);
    assert_eq!(code, 2);
    assert!(text.contains("serve"), "{text}");
}

#[test]
fn a_resource_is_not_a_gpu_and_a_companion_at_once() {
    let table = path("examples/homelab.yaml");
    let (code, text) = fails(&[
        "lint",
        "--table",
        arg(&table),
        "--gpu-resource",
        "nvidia.com/a100,nvidia.com/b200",
        "--companion-resource",
        "nvidia.com/b200",
    ]);
    assert_eq!(code, 2);
    assert!(
        text.contains("nvidia.com/b200 is in --gpu-resource and in --companion-resource"),
        "{text}"
    );
}

#[test]
fn flags_with_which_nobody_could_be_served_are_wrong() {
    let table = path("examples/homelab.yaml");
    for (flags, says) in [
        (["--handshake-timeout", "0s"], "above 0"),
        (["--handshake-timeout", "0"], "above 0"),
        (["--write-timeout", "0ms"], "above 0"),
        (["--kubeconfig", "x"], "of no use with a table of files"),
        (["--body-timeout", "0"], "above 0"),
        (["--max-body-memory", "1000"], "less than --max-body-bytes"),
    ] {
        let mut arguments = vec!["serve", "--table", arg(&table)];
        arguments.extend(flags);
        let (code, text) = fails(&arguments);
        assert!(code == 2 && text.contains(says), "{flags:?}: {text}");
    }
}

/// Commands that print, each without a failure.
const PRINTING: &[&[&str]] = &[
    &["--help"],
    &["bench", "--help"],
    &["completions", "bash"],
    &["crds"],
    &["man"],
    &["test", "examples/cases"],
    &["test", "examples/cases", "-o", "json"],
    &["version"],
];

#[test]
fn a_reader_that_has_gone_ends_a_command_quietly() {
    for arguments in PRINTING {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let mut command = command();
        let command = command.args(*arguments).current_dir(path(""));
        let (code, said) = ends(command.stdout(writer));
        assert_eq!((code, &*said), (0, ""), "{arguments:?}");
    }
}

#[test]
fn errors_that_nobody_reads_keep_their_code() {
    for (arguments, code) in [
        (&["bench", "--table", "/nowhere", "--review", "x"][..], 3),
        (&["test", "examples/cases/table.yaml"], 3),
        (&["server"], 2),
    ] {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let mut command = command();
        command.args(arguments).current_dir(path(""));
        command.stdout(Stdio::null()).stderr(writer);
        let status = command.status().expect("berth starts");
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn colours_are_for_terminals_and_not_for_those_who_want_none() {
    let escapes = |name: &str, value: &str| {
        let mut command = command();
        let command = command.args(["test", "examples/cases"]).env(name, value);
        let command = command.current_dir(path("")).env("CLICOLOR_FORCE", "1");
        let output = command.output().expect("berth starts");
        output.stdout.contains(&0x1b)
    };
    assert!(escapes("TERM", "xterm"));
    assert!(!escapes("NO_COLOR", "1"));
    // without a terminal, and unforced
    assert!(!prints(&["test", arg(&path("examples/cases"))]).contains('\u{1b}'));
}

#[test]
fn as_a_plugin_it_is_called_kubectl_berth() {
    let mut command = command();
    let output = command
        .arg0("/opt/bin/kubectl-berth")
        .args(["test", "-h"])
        .output();
    let help = String::from_utf8(output.expect("berth starts").stdout).expect("UTF-8");
    assert!(
        help.contains("Usage: kubectl berth test [OPTIONS] <DIR>..."),
        "{help}"
    );
    assert!(prints(&["test", "-h"]).contains("Usage: berth test"));
}

#[test]
fn every_shell_completes_and_every_command_has_a_manual_page() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(
            prints(&["completions", shell]).contains("class-label"),
            "{shell}"
        );
    }
    assert!(prints(&["man"]).starts_with(".ie"));
    let folder = tempfile::tempdir().expect("a folder");
    prints(&["man", "--out", arg(folder.path())]);
    for page in ["berth.1", "berth-preview.1", "berth-certs-dev.1"] {
        let text = fs::read_to_string(folder.path().join(page)).expect(page);
        for section in ["NAME", "EXAMPLES", "EXIT CODES"] {
            assert_eq!(
                text.matches(&format!(".SH \"{section}\"")).count()
                    + text.matches(&format!(".SH {section}\n")).count(),
                1,
                "{page}: {section}"
            );
        }
    }
    assert!(!folder.path().join("berth-help.1").exists());
}

#[test]
fn version_tells_the_apis_too() {
    let text = prints(&["version"]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        text,
        format!("berth {version} (tables: berth.dev/v1alpha1, reviews: admission.k8s.io/v1)\n")
    );
    let versions: Value = serde_json::from_str(&prints(&["version", "-o", "json"])).expect("JSON");
    assert_eq!(versions["version"], version);
}

#[test]
fn what_the_system_says_has_no_number_and_a_next_step() {
    let table = path("examples/homelab.yaml");
    let table = arg(&table);
    for (arguments, code, says) in [
        (
            &["crds", "--out", "/proc/x"][..],
            2,
            "--out /proc/x: No such file or directory; name a folder",
        ),
        (
            &["man", "--out", "/proc/x"],
            2,
            "--out /proc/x: No such file or directory; name a folder",
        ),
        (
            &["certs", "dev", "--out", "/proc/x"],
            2,
            "--out /proc/x: No such file or directory; name a folder",
        ),
        (
            &["bench", "--table", table, "--review", "/nowhere"],
            3,
            "--review /nowhere: No such file or directory; check",
        ),
        (
            &["certs", "dev", "--name", "foo bar"],
            2,
            "--name <NAME>': not a DNS name or an IP address",
        ),
        (
            &["serve", "--table", table, "--bind", "foo"],
            2,
            "--bind <ADDRESS>': write an IP address and a port, as 0.0.0.0:8443",
        ),
        (
            &[
                "serve",
                "--table",
                table,
                "--tls-self-signed",
                "--bind",
                "192.0.2.1:1",
            ],
            2,
            "--bind 192.0.2.1:1: Cannot assign requested address; stop what listens there",
        ),
        (
            &["serve", "--table", table, "--max-body-bytes", "x"],
            2,
            "--max-body-bytes <BYTES>': write a number",
        ),
    ] {
        let (ended, said) = fails(arguments);
        assert_eq!(ended, code, "{said}");
        assert!(said.contains(says), "{said}");
        assert!(
            !said.contains("os error") && !said.contains("syntax"),
            "{said}"
        );
    }
}

#[test]
fn a_variable_that_is_empty_is_as_one_that_is_not_set() {
    let empty = |arguments: &[&str], name: &str| {
        let mut command = command();
        command.args(arguments).env(name, "").current_dir(path(""));
        ends(command.stdout(Stdio::null()))
    };
    let cases = ["test", "examples/cases"];
    assert_eq!(empty(&cases, "BERTH_TABLE"), (0, String::new()));
    let lint = ["lint", "--table", "examples/homelab.yaml"];
    assert_eq!(empty(&lint, "BERTH_CLASS_LABEL").0, 0);
    let (code, said) = empty(&["lint"], "BERTH_TABLE");
    assert_eq!(code, 2);
    assert!(
        said.contains("there is no table; name its files with --table FILE|DIR"),
        "{said}"
    );
}
