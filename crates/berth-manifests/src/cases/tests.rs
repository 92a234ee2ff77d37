use serde_json::json;

use super::*;

/// Reads a folder of the files given; what is wrong, with the text that a caret would mark.
fn read_files(files: &[(&str, &str)]) -> (Vec<CaseFile>, Vec<(String, String)>) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let (cases, errors) = read(folder.path(), &[folder.path().join("tables")]);
    let shown = |error: Error| match error {
        Error::Invalid(diagnostic) => {
            let place = diagnostic.place.unwrap();
            let help = diagnostic.help.unwrap();
            let marked = place.source.text[place.span].to_owned();
            (format!("{}; {help}", diagnostic.message), marked)
        }
        other => (other.to_string(), String::new()),
    };
    (cases, errors.into_iter().map(shown).collect())
}

fn one(text: &str) -> CaseFile {
    let (mut cases, errors) = read_files(&[("a.yaml", text)]);
    assert_eq!(errors, [], "{text}");
    cases.remove(0)
}

#[test]
fn cases_are_found_by_name_and_tables_are_none() {
    let (cases, errors) = read_files(&[
        ("b.yml", "pod: {}"),
        ("a/z.yaml", "pod: {}"),
        ("table.yaml", "x"),
        ("table/a.yaml", "x"),
        (".hidden.yaml", "x"),
        ("tables/a.yaml", "kind: GPUPool"),
        ("note.md", "x"),
    ]);
    let names: Vec<String> = cases
        .iter()
        .map(|case| {
            case.source
                .path
                .file_name()
                .unwrap()
                .to_string_lossy()
                .into()
        })
        .collect();
    assert_eq!(
        (names, errors),
        (vec!["z.yaml".to_owned(), "b.yml".to_owned()], vec![])
    );
}

#[test]
fn a_pod_is_written_short_or_in_a_manifest() {
    let case = one("namespace: ai\npod: {spec: {}}\nexpect: {pool: p}\n").case;
    assert_eq!(
        case.pod,
        json!({"apiVersion": "v1", "kind": "Pod", "spec": {}})
    );
    assert_eq!(
        (&*case.namespace, case.expected),
        ("ai", Map::from_iter([("pool".to_owned(), json!("p"))]))
    );

    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: ml}\nspec: {}\n";
    let template = "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: {containers: [{name: c}]}}}\n";
    let review = r#"{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"namespace": "r",
        "object": {"apiVersion": "v1", "kind": "Pod"}}}"#;
    for (manifest, namespace, has) in [
        (pod, "ml", "/metadata/name"),
        (template, "default", "/spec/containers/0"),
        (review, "r", "/kind"),
    ] {
        let (cases, errors) = read_files(&[("a.yaml", "pod: b.yaml"), ("b.yaml", manifest)]);
        assert_eq!(errors, []);
        let case = &cases[0].case;
        assert_eq!((cases.len(), &*case.namespace), (1, namespace));
        assert!(case.pod.pointer(has).is_some(), "{}", case.pod);
    }
}

#[test]
fn one_pod_of_a_manifest_is_named() {
    let pods = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: z}\n";
    let read = |pod: &str| read_files(&[("a.yaml", &format!("pod: {pod}")), ("b.yaml", pods)]);
    let (cases, errors) = read("b.yaml#z");
    assert_eq!(errors, []);
    assert_eq!(cases[0].case.pod["metadata"]["name"], "z");
    for (pod, says) in [
        (
            "b.yaml",
            "2 Pods, and a case is of one; say which as FILE#NAME",
        ),
        ("b.yaml#w", "no Pod of an object named \"w\""),
    ] {
        let (_, errors) = read(pod);
        assert!(errors[0].0.contains(says), "{errors:?}");
    }
}

#[test]
fn what_is_no_case_says_where_and_what_to_change() {
    for (text, says, marked) in [
        ("", "the file is empty; write pod: and expect:", ""),
        ("a: [", "not YAML", ""),
        (
            "pod: {{ .x }}",
            "a template is left in it: render it first",
            "{ .x }",
        ),
        (
            "[]",
            "not a mapping; the fields here are namespace, pod, expect",
            "[]",
        ),
        ("pod: {}\n---\npod: {}\n", "a second document", "pod"),
        (
            "pod: {}\nexpct: {}",
            "unknown field \"expct\"; did you mean expect?",
            "expct",
        ),
        ("pod: {}\nexpect: {pol: a}", "did you mean pool?", "pol"),
        ("pod: {}\nexpect: yes", "not a mapping", "yes"),
        (
            "pod: {}\nexpect: {denied: TooManyGPUs}",
            "no such reason \"TooManyGPUs\"; did you mean TooManyGpus?",
            "TooManyGPUs",
        ),
        (
            "pod: {}\nexpect: {denied: Placed}",
            "one of PodShape, ",
            "Placed",
        ),
        (
            "pod: {}\nexpect: {unchanged: true}",
            "one of MirrorPod, OptedOut",
            "true",
        ),
        (
            "pod: {}\nexpect: {pool: 1}",
            "pool: not a string; 1 is a number; quote it: \"1\"",
            "1",
        ),
        (
            "pod: {}\nexpect: {container: [a]}",
            "container: not a string; write one name, on the line of the key",
            "container",
        ),
        ("pod: {}\nexpect: {warnings: X}", "not a list of words", "X"),
        (
            "pod: {}\nexpect: {warnings: [More, ZeroGpu]}",
            "no such warning \"ZeroGpu\"; did you mean ZeroGpus?",
            "warnings",
        ),
        ("namespace: 1\npod: {}", "namespace: not a string", "1"),
        ("namespace: ai", "the case has no pod", "namespace"),
        ("pod: nowhere.yaml", "No such file", "nowhere.yaml"),
        ("pod: {kind: Service, apiVersion: v1}", "no Pod", "pod"),
        (
            "kind: Pod\napiVersion: v1",
            "a manifest, and not a case; write it under pod:",
            "Pod",
        ),
    ] {
        let (cases, errors) = read_files(&[("a.yaml", text)]);
        assert_eq!((cases.len(), errors.len()), (0, 1), "{text}: {errors:?}");
        assert!(errors[0].0.contains(says), "{text}: {errors:?}");
        assert_eq!(errors[0].1, marked, "{text}");
    }
    let (_, errors) = read_files(&[]);
    assert!(errors[0].0.contains("no case in the folder"), "{errors:?}");
}

#[test]
fn a_bad_file_does_not_hide_the_others() {
    let (cases, errors) = read_files(&[
        ("a.yaml", "pod: {}"),
        ("b.yaml", "\t"),
        ("c.yaml", "pod: {}"),
    ]);
    assert_eq!((cases.len(), errors.len()), (2, 1));
}

#[test]
fn a_rewritten_case_keeps_what_its_author_wrote() {
    let pod = "# why\npod: {spec: {}}   # the Pod\n";
    for (expect, found, rewritten) in [
        // new, with and without a newline at the end
        (
            "",
            json!({"pool": "p", "container": "c"}),
            "expect:\n  pool: p\n  container: c\n",
        ),
        ("# end", json!({"pool": "p"}), "# end\nexpect:\n  pool: p\n"),
        // a scalar in its place
        (
            "expect:\n  pool: a # mine\n  container: c\n",
            json!({"pool": "p", "container": "c"}),
            "expect:\n  pool: p # mine\n  container: c\n",
        ),
        (
            "expect:\n    container: c\n    pool:\n",
            json!({"container": null, "pool": "p"}),
            "expect:\n    container: null\n    pool: p\n",
        ),
        // a field goes, another comes, and what is the same keeps its words
        (
            "expect:\n  # first\n  pool: a\n  warnings: [ZeroGpus,  More]\n  # last\n",
            json!({"unchanged": "NoClass", "warnings": ["ZeroGpus", "More"]}),
            "expect:\n  # first\n  unchanged: NoClass\n  warnings: [ZeroGpus,  More]\n  # last\n",
        ),
        (
            "expect:\n  pool: a\n  container: b\n",
            json!({"denied": "OtherGpu"}),
            "expect:\n  denied: OtherGpu\n",
        ),
        // blocks and lists
        (
            "expect:\n  warnings:\n  - More\n  pool: p\n",
            json!({"warnings": [], "pool": "p"}),
            "expect:\n  warnings: []\n  pool: p\n",
        ),
        (
            "expect:\n  patched:\n    a: |\n      x\n\n  pool: p\n",
            json!({"patched": {"a": [1]}, "pool": "p"}),
            "expect:\n  patched:\n    a:\n    - 1\n\n  pool: p\n",
        ),
        // in braces, or before the Pod
        (
            "expect: {pool: a} # e\n",
            json!({"pool": "p"}),
            "expect: {pool: p} # e\n",
        ),
        (
            "expect: {pool: a} # e\n",
            json!({"denied": "OtherGpu"}),
            "expect:\n  denied: OtherGpu # e\n",
        ),
        (
            "expect: {}\nnamespace: x\n",
            json!({"pool": "yes"}),
            "expect:\n  pool: \"yes\"\nnamespace: x\n",
        ),
    ] {
        let text = format!("{pod}{expect}");
        let case = one(&text);
        let found = found.as_object().unwrap();
        let said = rewrite::rewrite(&text, &case.root, found).expect(&text);
        assert_eq!(said, format!("{pod}{rewritten}"));
        assert_eq!(one(&said).case.expected, *found);
        // and with the line ends of Windows
        let text = text.replace('\n', "\r\n");
        let said = rewrite::rewrite(&text, &one(&text).root, found).expect(&text);
        assert_eq!(said, format!("{pod}{rewritten}").replace('\n', "\r\n"));
    }
}

#[test]
fn a_text_that_cannot_take_it_is_left_alone() {
    let text = "{pod: {spec: {}}, expect: {pool: a}}\n";
    let found = json!({"denied": "OtherGpu"});
    assert_eq!(
        rewrite::rewrite(text, &one(text).root, found.as_object().unwrap()),
        None
    );
}
