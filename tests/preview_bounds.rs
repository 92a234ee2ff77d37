//! How much `berth preview` does and says at most, however much is wrong with what it is given.

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write as _},
    process::Stdio,
    thread,
};

use allocation_counter::measure;
use berth_manifests::yaml;
use serde_json::{Value, json};

mod common;

use common::{
    path,
    process::{arg, command, peak_memory},
};

/// What is printed as JSON of a text, what is said of it, and how that ends.
fn preview(text: &str) -> (Value, String, Option<i32>) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("x.yaml"), text).expect("a file");
    let table = path("examples/homelab.yaml");
    let output = command()
        .args(["preview", "--table", arg(&table), "-o", "json"])
        .args(["-f", "x.yaml"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("berth starts");
    let data = serde_json::from_slice(&output.stdout).expect("JSON");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    (data, said, output.status.code())
}

/// A Pod of whisper with the lines of a map or a list in its spec.
fn pod(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{berth.dev/workload-class: whisper}}}}\nspec:\n\
         \x20 containers: [{{name: main}}]\n{spec}"
    )
}

/// A `nodeSelector` of so many keys, in order, with what each has.
fn selector(count: usize, value: impl Fn(usize) -> String) -> String {
    let mut text = "  nodeSelector:\n".to_owned();
    for i in 0..count {
        let _ = writeln!(text, "    key-{i:02}: {}", value(i));
    }
    text
}

fn lines(findings: &Value) -> Vec<u64> {
    let findings = findings.as_array().expect("a list");
    let lines = findings.iter().filter_map(|it| it["line"].as_u64());
    lines.collect()
}

#[test]
fn of_forty_wrong_values_of_a_pod_ten_are_told() {
    let (data, _, code) = preview(&pod("x", &selector(40, |i| i.to_string())));
    assert_eq!(code, Some(1));
    let denials = lines(&data["pods"][0]["denials"]);
    assert_eq!(denials, (7..17).collect::<Vec<u64>>(), "{data}");
}

/// The cause of a denial is looked for by taking fields away, each of which is a review.
#[test]
fn the_cause_is_looked_for_among_the_first_thirty_two_fields() {
    // `kubernetes.io/hostname` comes after every `key-`: with few others it is found, and with many it is not
    for (count, line) in [(31, Some(38)), (32, None)] {
        let mut text = selector(count, |_| "x".to_owned());
        text.push_str("    kubernetes.io/hostname: nowhere\n");
        let (data, ..) = preview(&pod("x", &text));
        let denial = &data["pods"][0]["denials"][0];
        assert_eq!(
            data["pods"][0]["reason"], "PlacementContradiction",
            "{data}"
        );
        let marked = denial["line"].as_u64();
        match line {
            Some(line) => assert_eq!(marked, Some(line), "{denial}"),
            // the class, as where nothing is known of the cause
            None => assert_eq!(marked, Some(3), "{denial}"),
        }
    }
}

#[test]
fn what_comes_again_is_told_once_with_its_first_three_places() {
    for (count, ends) in [
        (2, "the same in 1 more place: x.yaml:3:1\n"),
        (
            4,
            "the same in 3 more places: x.yaml:3:1, x.yaml:5:1, x.yaml:7:1\n",
        ),
        (
            5,
            "the same in 4 more places: x.yaml:3:1, x.yaml:5:1, x.yaml:7:1, …\n",
        ),
    ] {
        let (_, said, _) = preview(&"a: 1\n---\n".repeat(count));
        assert!(said.contains(ends), "{count}: {said}");
    }
}

#[test]
fn two_thousand_denied_pods_of_different_names_are_told_once() {
    let wrong = "  nodeSelector: {kubernetes.io/hostname: nowhere}\n---\n";
    let pods: String = (0..2_000).map(|i| pod(&format!("x{i}"), wrong)).collect();
    let (data, said, code) = preview(&pods);
    assert_eq!(code, Some(1));
    assert_eq!(data["pods"].as_array().map(Vec::len), Some(2_000));
    let again = "PlacementContradiction: the same in 1999 more places: ";
    assert!(said.contains(again), "{said}");
    assert!(said.lines().count() < 20, "{said}");
}

#[test]
fn of_thirty_errors_of_a_text_and_of_thirty_keys_twice_twenty_are_told() {
    let wrong: Vec<String> = (0..30).map(|i| format!("k{i}: .inf\n")).collect();
    let (data, _, code) = preview(&wrong.concat());
    assert_eq!(code, Some(3));
    let told: Vec<u64> = (1..=20).collect();
    assert_eq!(lines(&data["findings"]), told, "{data}");

    let twice: Vec<String> = (0..30).map(|i| format!("k{i}: 1\nk{i}: 1\n")).collect();
    let header = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n";
    let (data, ..) = preview(&(header.to_owned() + &twice.concat()));
    let findings = data["findings"].as_array().expect("a list");
    let duplicates = findings.iter().filter(|it| {
        let message = it["message"].as_str().unwrap_or_default();
        message.starts_with("duplicate key")
    });
    assert_eq!(duplicates.count(), 20, "{data}");
}

/// The most memory of a preview of a List that comes through a pipe, in MiB: shortly before its end, when it waits for
/// somebody to read on.
fn peak_of_list(list: Vec<u8>, pods: usize) -> usize {
    let table = path("examples/homelab.yaml");
    let mut child = command()
        .args(["preview", "--table", arg(&table), "-o", "yaml", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("berth starts");
    let mut stdin = child.stdin.take().expect("piped");
    let writer = thread::spawn(move || stdin.write_all(&list));
    let mut stdout = child.stdout.take().expect("piped");
    let late = format!("pod-{}", pods - 200);
    let (mut seen, mut chunk) = (String::new(), [0; 4096]);
    while !seen.contains(&late) {
        let count = stdout.read(&mut chunk).expect("output");
        assert!(count > 0, "it ends before {late}: {seen}");
        let text = String::from_utf8_lossy(&chunk[..count]);
        // of what came before, the name may have begun there
        seen = seen.split_off(seen.len().saturating_sub(late.len())) + &text;
    }
    let peak = peak_memory(child.id());
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).expect("output");
    writer.join().expect("no panic").expect("berth reads");
    assert!(child.wait().expect("it ran").success());
    peak
}

/// As a whole, each of these takes more than 100 MiB.
#[test]
fn a_list_of_thousands_of_pods_takes_no_more_memory_than_a_short_one() {
    const PODS: usize = 1_500;
    let pod = |i: usize| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("pod-{i}"), "labels": {"berth.dev/workload-class": "whisper"}},
            "spec": {"containers": [{"name": "main", "image": "whisper", "ports": [{"containerPort": 8000}]}]},
        })
    };
    let list = json!({"apiVersion": "v1", "items": (0..PODS).map(pod).collect::<Vec<_>>(), "kind": "List"});
    let forms = [list.to_string(), format!("{list:#}"), yaml::write(&list)];
    let peaks = forms.map(|text| peak_of_list(text.into_bytes(), PODS));
    println!("one line of JSON, JSON, YAML: {peaks:?} MiB");
    assert!(peaks.iter().all(|peak| *peak < 64), "{peaks:?}");
}

/// So much more than the text's own size is held while it is read. A debug build holds as much as any other.
#[test]
fn a_text_that_repeats_itself_takes_memory_for_what_it_says_alone() {
    let lines = |range: std::ops::Range<usize>, line: &dyn Fn(usize) -> String| -> String {
        range.map(line).collect::<Vec<_>>().concat()
    };
    let nested = lines(0..200, &|i| format!("a{i}: &a{i}\n{}", "  ".repeat(i + 1)));
    let keys = |range| lines(range, &|i| format!("  key-{i}: value\n"));
    let merged = format!(
        "a: &a\n{}b: &b\n{}c:\n  <<: [*a, *b]\n  own: 1\n",
        keys(0..30_000),
        keys(15_000..45_000)
    );
    let wide = lines(0..20_000, &|i| format!("- &anchor-{i} {{a: 1}}\n"));
    let chain = lines(0..900, &|i| match i {
        0 => "m0: &m0 {k0: 1}\n".to_owned(),
        _ => format!("m{i}: &m{i} {{<<: *m{}, k{i}: 1}}\n", i - 1),
    });
    for (name, text, bound) in [
        ("200 anchors within each other", format!("{nested}x\n"), 4),
        ("two merged mappings of 30,000 keys", merged, 32),
        ("20,000 anchors", wide, 20),
        ("900 mappings, each merged into the next", chain, 8),
    ] {
        let held = measure(|| drop(yaml::read(&text))).bytes_max >> 20;
        println!("{name}: {} KiB of text, {held} MiB", text.len() >> 10);
        assert!(held < bound, "{name}: {held} MiB");
    }
}
