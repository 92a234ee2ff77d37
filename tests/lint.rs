//! `berth lint`, and the pages of what it finds.
#![allow(clippy::panic, reason = "a test fails by a panic")]

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use berth_manifests::lint::CODES;
use serde_json::Value;

mod common;

use common::{
    path,
    process::{arg, command},
};

const TYPO: &str = "apiVersion: berth.dev/v1alpha1
kind: GPUPool
metadata: {name: p}
spec:
  hostnames: [node]
  resourceName: nvidia.com/gpus
---
apiVersion: berth.dev/v1alpha1
kind: WorkloadClass
metadata: {name: c}
spec: {pools: [{name: p}]}
";

/// How a run of `berth lint` ended, and what it printed.
struct Run {
    code: i32,
    data: String,
    prose: String,
}

fn run(flags: &[&str], environment: &[(&str, &str)]) -> Run {
    let output = command()
        .arg("lint")
        .args(flags)
        .env_remove("NO_COLOR")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("berth starts");
    Run {
        code: output.status.code().expect("a code"),
        data: String::from_utf8(output.stdout).expect("UTF-8"),
        prose: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A folder with a file of this text, and the file.
fn table(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(name);
    fs::write(&file, text).expect("written");
    (folder, file)
}

/// Lints a text; the Nodes in it are those of the cluster.
fn lint(text: &str, flags: &[&str]) -> Run {
    let is_node = |document: &&str| document.contains("kind: Node\n");
    let (nodes, manifests): (Vec<_>, Vec<_>) = text.split("---\n").partition(is_node);
    if nodes.is_empty() {
        let (_folder, file) = table("table.yaml", text);
        return run(&[&["--table", arg(&file)], flags].concat(), &[]);
    }
    let (folder, file) = table("table.yaml", &manifests.join("---\n"));
    let of_nodes = folder.path().join("nodes.yaml");
    fs::write(&of_nodes, nodes.join("---\n")).expect("written");
    let named = ["--table", arg(&file), "--nodes", arg(&of_nodes)];
    run(&[&named, flags].concat(), &[])
}

/// The codes of the findings.
fn codes(text: &str) -> BTreeSet<String> {
    let run = lint(text, &["-o", "json"]);
    let report: Value = serde_json::from_str(&run.data).expect("JSON");
    let findings = report["findings"].as_array().expect("a list");
    let code = |finding: &Value| finding["code"].as_str().expect("a code").to_owned();
    findings.iter().map(code).collect()
}

/// The YAML blocks of a page.
fn blocks(page: &str) -> Vec<&str> {
    page.split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("the block ends"))
        .collect()
}

#[test]
fn the_homelab_is_clean() {
    let table = path("examples/homelab.yaml");
    let run = run(&["--table", arg(&table)], &[]);
    assert_eq!((run.code, run.data.as_str()), (0, ""), "{}", run.prose);
    assert_eq!(
        run.prose,
        "0 errors, 0 warnings and 0 suppressed in 1 file\n"
    );
}

#[test]
fn a_page_says_what_its_code_is_and_shows_what_fires_it_and_what_does_not() {
    for code in CODES {
        let heading = format!(
            "# {}: {}\n\n*{}.* ",
            code.name,
            code.title,
            code.severity.as_str()
        );
        assert!(code.page.starts_with(&heading), "{code}: {heading}");
        let [bad, good] = blocks(code.page)[..] else {
            panic!("{code}: two blocks of YAML");
        };
        let mut expected = BTreeSet::from([code.name.to_owned()]);
        if code.name == "BRT012" {
            // files know no label of a namespace but its name; the page says so
            expected.insert("BRT000".to_owned());
        }
        assert_eq!(codes(bad), expected, "{code}");
        assert_eq!(codes(good), BTreeSet::new(), "{code}");
    }
}

#[test]
fn the_index_lists_every_code() {
    let rows = CODES.iter().fold(String::new(), |mut rows, code| {
        let (name, severity) = (code.name, code.severity.as_str());
        let _ = writeln!(
            rows,
            "| [{name}](lint/{name}.md) | {severity} | {} |",
            code.title
        );
        rows
    });
    let index = fs::read_to_string(path("docs/lint.md")).expect("the index");
    assert!(
        index.contains(&format!("|---|---|---|\n{rows}\n")),
        "write it as:\n{rows}"
    );
    let pages = fs::read_dir(path("docs/lint")).expect("a folder").count();
    assert_eq!(pages, CODES.len());
}

#[test]
fn a_finding_has_its_place_and_says_what_to_change() {
    let run = lint(TYPO, &[]);
    assert_eq!(run.code, 1);
    for says in [
        "warning BRT008",
        "no device plugin that berth knows advertises \"nvidia.com/gpus\"",
        "table.yaml:6:17]",
        "6 │   resourceName: nvidia.com/gpus\n   ·                 ───────────────\n",
        "help: did you mean \"nvidia.com/gpu\"?",
        "berth lint --explain BRT008",
    ] {
        assert!(run.data.contains(says), "{says}\n{}", run.data);
    }
    assert_eq!(
        run.prose,
        "0 errors, 1 warning and 0 suppressed in 1 file\n"
    );
}

#[test]
fn json_has_the_place_of_each_finding_and_the_reason_of_each_suppression() {
    let run = lint(TYPO, &["-o", "json"]);
    let report: Value = serde_json::from_str(&run.data).expect("JSON");
    let finding = &report["findings"][0];
    let place = ["line", "column", "endLine", "endColumn"].map(|key| finding[key].as_u64());
    assert_eq!(place, [6, 17, 6, 32].map(Some));
    assert_eq!(finding["field"], "spec.resourceName");
    assert_eq!(finding["severity"], "warning");
    assert_eq!(report["suppressed"], Value::Array(Vec::new()));

    let suppressed = format!("# berth-lint: allow BRT008 our own plugin\n{TYPO}");
    let run = lint(&suppressed, &["-o", "json"]);
    let report: Value = serde_json::from_str(&run.data).expect("JSON");
    assert_eq!(run.code, 0);
    assert_eq!(report["findings"], Value::Array(Vec::new()));
    assert_eq!(report["suppressed"][0]["reason"], "our own plugin");
    assert_eq!(report["suppressed"][0]["code"], "BRT008");
}

#[test]
fn github_reads_one_escaped_command_a_finding() {
    let (_folder, file) = table("a:b%.yaml", TYPO);
    let run = run(&["--table", arg(&file), "-o", "github"], &[]);
    assert_eq!(run.data.lines().count(), 1, "{}", run.data);
    let folder = arg(file.parent().expect("a folder"));
    assert_eq!(
        run.data,
        format!(
            "::warning file={folder}/a%3Ab%25.yaml,line=6,endLine=6,col=17,endColumn=32,\
             title=BRT008%3A a resource that no known device plugin advertises\
             ::no device plugin that berth knows advertises \"nvidia.com/gpus\"; did you mean \"nvidia.com/gpu\"?\n"
        )
    );
}

#[test]
fn the_exit_code_is_as_fail_on_says() {
    let error = TYPO.replace("/gpus", "/gpu\n  runtimeClassName: habana");
    for (text, flags, code) in [
        (TYPO, &[][..], 1),
        (TYPO, &["--fail-on", "warning"], 1),
        (TYPO, &["--fail-on", "error"], 0),
        (&error, &["--fail-on", "error"], 1),
        (&error, &["--fail-on", "note"], 2),
        (&error, &["-o", "xml"], 2),
    ] {
        let run = lint(text, flags);
        assert_eq!(run.code, code, "{flags:?}\n{}\n{}", run.data, run.prose);
    }
}

#[test]
fn a_table_that_does_not_load_is_told_as_errors_and_ends_with_3() {
    for (text, line) in [
        ("a: [\n", 1),
        ("spec: {{ .Values.spec }}\n", 1),
        (&*TYPO.replace("hostnames", "hostname"), 5),
        (&*TYPO.replace("{name: p}]", "{name: q}]"), 11),
        ("a: b\n\tc: d\n", 2),
    ] {
        let run = lint(text, &["-o", "github", "--fail-on", "error"]);
        assert_eq!(run.code, 3, "{text}");
        let place = format!("line={line},");
        let told = |command: &str| command.starts_with("::error ") && command.contains(&place);
        assert!(run.data.lines().any(told), "{text}\n{}", run.data);
        assert!(run.data.contains("title=BRT000"), "{}", run.data);
        assert!(run.prose.contains("does not load"), "{}", run.prose);
    }
}

#[test]
fn what_cannot_be_read_ends_with_3_and_a_sentence() {
    let (folder, binary) = table("binary.yaml", "");
    fs::write(&binary, b"\x00\xff\xfe\x80").expect("written");
    for (table, says) in [
        (Path::new("/nowhere"), "check the path"),
        (&binary, "not UTF-8"),
    ] {
        let run = run(&["--table", arg(table)], &[]);
        assert_eq!(run.code, 3, "{}", run.prose);
        let prose = &run.prose;
        assert!(
            prose.contains(arg(table)) && prose.contains(says),
            "{prose}"
        );
    }
    drop(folder);
    let run = run(&[], &[]);
    assert_eq!(run.code, 2);
    assert!(run.prose.contains("--table"), "{}", run.prose);
}

#[test]
fn nodes_that_cannot_be_read_end_with_3_and_a_sentence() {
    let table = path("examples/homelab.yaml");
    let pod = path("examples/migrating/1-by-hand.yaml");
    for (nodes, says) in [
        (
            Path::new("/nowhere"),
            "--nodes /nowhere: No such file or directory",
        ),
        (
            &pod,
            "there is no Node; give what `kubectl get nodes -o json` prints",
        ),
    ] {
        let run = run(&["--table", arg(&table), "--nodes", arg(nodes)], &[]);
        assert_eq!(run.code, 3, "{}", run.prose);
        assert!(run.prose.contains(says), "{}", run.prose);
    }
}

#[test]
fn a_page_is_printed_without_a_table() {
    for (code, environment) in [
        ("BRT005", &[][..]),
        ("brt005", &[("BERTH_TABLE", "/nowhere")]),
    ] {
        let run = run(&["--explain", code], environment);
        assert_eq!(run.code, 0, "{}", run.prose);
        let page = fs::read_to_string(path("docs/lint/BRT005.md")).expect("the page");
        assert_eq!(run.data, page);
    }
    let run = run(&["--explain", "BRT999"], &[]);
    assert_eq!(run.code, 2);
    assert!(run.prose.contains("BRT001, BRT002"), "{}", run.prose);
}

#[test]
fn colours_are_for_those_who_want_them() {
    let (_folder, file) = table("table.yaml", TYPO);
    let flags = ["--table", arg(&file)];
    for (environment, coloured) in [
        (&[][..], false),
        (&[("CLICOLOR_FORCE", "1")], true),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
    ] {
        let run = run(&flags, environment);
        assert_eq!(run.data.contains('\u{1b}'), coloured, "{environment:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let (_folder, file) = table("table.yaml", TYPO);
    let mut child = command()
        .args(["lint", "--table", arg(&file)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("berth starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("berth was started");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
