//! The pages of docs/ that are made from the code and from the cases: each is made anew and compared.
//!
//! `make docs` writes them instead.

use std::{
    collections::BTreeSet,
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use berth_core::{
    explain::Why,
    outcome::{Reason, Verdict},
    table::Settings,
};
use berth_manifests::{
    cases::{self, CaseFile},
    dry_run::dry_run,
    table_files::TableFiles,
    yaml::{self, edit::edit},
};
use serde_json::Value;
use similar::TextDiff;

#[path = "../common/mod.rs"]
mod common;
mod fields;
mod reference;

use common::path;

/// Set by `make docs`.
const WRITE: &str = "BERTH_WRITE_DOCS";
const CASES: &str = "examples/cases";

/// Compares a page with what it should be, or writes it.
fn hold(page: &Path, right: &str) {
    if env::var_os(WRITE).is_some() {
        return fs::write(page, right).expect("the page is written");
    }
    let text = fs::read_to_string(page).unwrap_or_default();
    let diff = TextDiff::from_lines(text.as_str(), right);
    assert!(
        text == right,
        "{}: `make docs` writes it anew\n{}",
        page.display(),
        diff.unified_diff()
    );
}

#[test]
fn the_reference_is_that_of_the_command_line() {
    hold(&path("docs/cli.md"), &reference::page());
}

#[test]
fn the_fields_are_those_of_the_definitions() {
    hold(&path("docs/fields.md"), &fields::page());
}

#[test]
fn every_conclusion_of_explain_is_in_its_page() {
    let page = fs::read_to_string(path("docs/explain.md")).expect("a page");
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let right = Why::ALL.iter();
    let right: Vec<String> = right
        .map(|(why, means)| format!("| `{why}` | {} |", means.trim()))
        .collect();
    assert_eq!(rows, right);
}

#[test]
fn every_reason_has_its_meaning_and_its_remedy() {
    let mut page = "\
# Reasons

Every review ends for one of these reasons. The word is the same in the metric label `reason`, the log, the audit
annotation `reason`, and what the commands print.

## Denied

The message says which part of the Pod it is, and both sides of a conflict.

| reason | code | means | what to do |
|---|---|---|---|
"
    .to_owned();
    for reason in of(Verdict::Denied) {
        let remedy = reason.remedy().expect("a denial has a remedy");
        let _ = writeln!(
            page,
            "| `{reason}` | {} | {} | {remedy} |",
            reason.code(),
            reason.meaning()
        );
    }
    page.push_str("\n## Allowed\n\n| reason | means |\n|---|---|\n");
    for reason in of(Verdict::Allowed).chain(of(Verdict::Mutated)) {
        let _ = writeln!(page, "| `{reason}` | {} |", reason.meaning());
    }
    page.push_str(
        "\n## Not answered\n\n\
         berth answers with an HTTP error and a message, and the webhook's `failurePolicy` decides. With `Fail`, the Pod is not\n\
         created, and its author reads the message, as for a denial. With `Ignore`, the Pod is created as it is, and the message\n\
         is only in the logs.\n\
         \n| reason | code | means |\n|---|---|---|\n",
    );
    for reason in of(Verdict::Error) {
        let _ = writeln!(
            page,
            "| `{reason}` | {} | {} |",
            reason.code(),
            reason.meaning()
        );
    }
    hold(&path("docs/reasons.md"), &page);
}

fn of(verdict: Verdict) -> impl Iterator<Item = &'static Reason> {
    Reason::ALL
        .iter()
        .filter(move |reason| reason.verdict() == verdict)
}

/// A page shows a case between `<!-- case NAME -->` and `<!-- end -->`.
#[test]
fn the_rules_are_shown_as_they_are() {
    let mut shown = BTreeSet::new();
    for page in rule_pages() {
        let text = fs::read_to_string(&page).expect("a page");
        let mut right = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let _ = writeln!(right, "{line}");
            let name = line
                .strip_prefix("<!-- case ")
                .and_then(|it| it.strip_suffix(" -->"));
            if let Some(name) = name {
                right.push_str(&case(name, &page));
                right.push_str("<!-- end -->\n");
                assert!(
                    lines.any(|line| line == "<!-- end -->"),
                    "{}: {name} has no end",
                    page.display()
                );
                shown.insert(format!("{name}.yaml"));
            }
        }
        hold(&page, &right);
    }
    let (cases, errors) = cases::read(&path(CASES), &[]);
    assert!(errors.is_empty(), "{errors:?}");
    for case in cases {
        let name = case
            .source
            .path
            .strip_prefix(path(CASES))
            .expect("a case")
            .to_owned();
        let is_rule = !name.starts_with("homelab");
        assert!(
            !is_rule || shown.contains(&*name.to_string_lossy()),
            "no page shows {}",
            name.display()
        );
    }
}

fn rule_pages() -> Vec<PathBuf> {
    let pages = fs::read_dir(path("docs/rules")).expect("a folder");
    let pages = pages.map(|entry| entry.expect("an entry").path());
    let mut pages: Vec<PathBuf> = pages.chain([path("docs/README.md")]).collect();
    pages.sort();
    pages
}

/// A case as a page shows it: its first comment, and the Pod before and after, or why it is denied.
fn case(name: &str, page: &Path) -> String {
    let up = if page.parent() == Some(&path("docs")) {
        ""
    } else {
        "../"
    };
    let file = path(CASES).join(format!("{name}.yaml"));
    let (cases, errors) = cases::read(&file, &[]);
    assert_eq!(cases.len(), 1, "{}: {errors:?}", file.display());
    let case = &cases[0];
    let files = TableFiles {
        paths: vec![cases::table_near(&file).expect("a table")],
        settings: Settings::default(),
    };
    let view = files.load().expect("a table").into();
    let run = dry_run(&case.case.pod, &case.case.namespace, &view).expect("an answer");
    let before = pod_text(case);
    let mut text = format!("\n{}\n\n", sentence(case));
    if run.patch.is_empty() {
        let _ = writeln!(text, "```yaml\n{before}```");
    } else {
        let after = after(&before, run.pod);
        let diff = TextDiff::from_lines(before.as_str(), after.as_str());
        text.push_str("```diff\n");
        for change in diff.iter_all_changes() {
            let _ = write!(text, "{}{}", change.tag(), change.value());
        }
        text.push_str("```\n");
    }
    for warning in &run.warnings {
        let _ = writeln!(text, "\n> Warning: {warning}");
    }
    match run.message {
        Some(message) => {
            // the table's revision, which is another one with the next comma
            let message = message
                .rsplit_once(" (table ")
                .map_or("", |(message, _)| message);
            let _ = writeln!(
                text,
                "\nDenied, [`{}`]({up}reasons.md):\n\n> {message}",
                run.reason
            );
        }
        None if run.patch.is_empty() => {
            let _ = writeln!(
                text,
                "\nAllowed as it is: [`{}`]({up}reasons.md).",
                run.reason
            );
        }
        None => {}
    }
    let _ = writeln!(text, "\n[{name}.yaml](../{up}{CASES}/{name}.yaml)\n");
    text
}

/// The Pod as its author wrote it in the case.
fn pod_text(case: &CaseFile) -> String {
    let lines = case.source.text.lines().skip_while(|line| *line != "pod:");
    let lines = lines.skip(1).map_while(|line| line.strip_prefix("  "));
    lines.fold(String::new(), |text, line| text + line + "\n")
}

/// The same text after admission.
fn after(before: &str, mut pod: Value) -> String {
    let documents = yaml::parse(before).expect("YAML");
    let root = &documents[0];
    if let (None, Some(fields)) = (root.get("kind"), pod.as_object_mut()) {
        fields.retain(|key, _| key != "apiVersion" && key != "kind");
    }
    let edited = edit(before, root, &pod).expect("a text");
    assert!(!edited.rewritten, "{before}");
    edited.text
}

/// The comment with which a case begins.
fn sentence(case: &CaseFile) -> String {
    let lines = case.source.text.lines();
    let lines = lines.map_while(|line| line.strip_prefix("# "));
    lines.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_link_leads_somewhere() {
    let folders = ["docs", "docs/design", "docs/rules", "docs/lint", "deploy"];
    let pages = folders
        .iter()
        .flat_map(|folder| fs::read_dir(path(folder)).into_iter().flatten());
    let pages = pages.map(|entry| entry.expect("an entry").path());
    let pages = pages.filter(|page| page.extension().is_some_and(|it| it == "md"));
    let mut links = 0;
    for page in pages.chain([path("README.md")]) {
        let text = fs::read_to_string(&page).expect("a page");
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains(':') && !target.starts_with('#')) {
            let file = target.split('#').next().unwrap_or_default();
            let there = page.with_file_name("").join(file).exists();
            assert!(there, "{}: no {target}", page.display());
            links += 1;
        }
    }
    assert!(links > 0);
}
