use std::fs;

use super::*;

const POOL: &str = "apiVersion: berth.dev/v1alpha1\nkind: GPUPool\nmetadata: {name: p}\nspec: {hostnames: [node], resourceName: amd.com/gpu}\n";
const CLASS: &str = "apiVersion: berth.dev/v1alpha1\nkind: WorkloadClass\nmetadata: {name: c}\nspec: {pools: [{name: p}]}\n";

fn files(paths: Vec<PathBuf>) -> TableFiles {
    TableFiles {
        paths,
        settings: Settings::default(),
    }
}

fn folder(content: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in content {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// The diagnostics of a file that does not load.
fn diagnostics(text: &str) -> Vec<String> {
    let told = refusals(text);
    assert_ne!(told, Vec::<String>::new(), "{text}");
    told
}

/// What keeps a file from being loaded, without its folder: `file:line:column: message; help`.
fn refusals(text: &str) -> Vec<String> {
    let folder = folder(&[("t.yaml", text)]);
    match files(vec![folder.path().join("t.yaml")]).load() {
        Err(Error::Invalid(diagnostics)) => diagnostics
            .iter()
            .map(|diagnostic| {
                let text = diagnostic.to_string();
                text[text.find("t.yaml").unwrap()..].to_owned()
            })
            .collect(),
        Ok(_) => Vec::new(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_diagnostic_names_its_line_and_what_to_change() {
    let class = |spec: &str| {
        format!(
            "{POOL}---\n{}spec:\n{spec}",
            &CLASS[..CLASS.find("spec").unwrap()]
        )
    };
    for (text, expected) in [
        (
            class("  pool: [{name: p}]\n  pools: [{name: p}]"),
            "t.yaml:10:3: unknown field \"pool\"; did you mean pools?",
        ),
        (
            class("  pools:\n  - name: p\n    weight: 7"),
            "t.yaml:12:5: unknown field \"weight\"; the fields here are name",
        ),
        (
            class("  pools: [{name: q}]"),
            "t.yaml:10:18: there is no GPUPool \"q\"; the pools are p",
        ),
        (
            class("  pools: [{name: p}]\n  gpus: {max: many}"),
            "t.yaml:11:15: spec.gpus.max: expected a whole number, found the string \"many\"; write a whole number",
        ),
        (
            class("  pools: [{name: p}]\n  rationale: yes"),
            "t.yaml:11:14: spec.rationale: expected a string, found the boolean true; yes is a boolean; quote it: \"yes\"",
        ),
        (
            POOL.replace("GPUPool", "GpuPool"),
            "t.yaml:2:7: kind \"GpuPool\" is not one of berth's; did you mean GPUPool? a table has only apiVersion: berth.dev/v1alpha1 with kind: GPUPool or WorkloadClass",
        ),
        (
            POOL.replace("v1alpha1", "v1"),
            "t.yaml:1:13: apiVersion \"berth.dev/v1\" is not one of berth's; a table has only apiVersion: berth.dev/v1alpha1 with kind: GPUPool or WorkloadClass",
        ),
        (
            format!("# a list\n{}", "- x\n"),
            "t.yaml:2:1: the document has no apiVersion; a table has only apiVersion: berth.dev/v1alpha1 with kind: GPUPool or WorkloadClass",
        ),
        (
            POOL.replace("metadata: {name: p}", "metadata: {name: p, label: {}}"),
            "t.yaml:3:21: unknown field \"label\"; did you mean labels?",
        ),
        (
            POOL.replace("metadata: {name: p}", "metadata: {name: 7}"),
            "t.yaml:3:18: metadata.name: expected a string, found the number 7; 7 is a number; quote it: \"7\"",
        ),
        (
            POOL.replace("metadata: {name: p}", "metadata: [p]"),
            "t.yaml:3:1: metadata: expected a mapping, found a list; write a mapping with the keys annotations, labels, name, namespace",
        ),
        (
            POOL.replace("apiVersion", "apiversion"),
            "t.yaml:1:1: the document has no apiVersion; did you mean apiVersion instead of \"apiversion\"? a table has only apiVersion: berth.dev/v1alpha1 with kind: GPUPool or WorkloadClass",
        ),
        (
            POOL.replace("name: p}", "name: p}\nkind: GPUPool"),
            "t.yaml:4:1: duplicate key \"kind\": leave one of them out",
        ),
    ] {
        assert_eq!(diagnostics(&text), [expected]);
    }
    assert_eq!(diagnostics("a: [").len(), 1);
}

#[test]
fn all_diagnostics_are_told_at_once() {
    let text = POOL
        .replace("hostnames", "hostname")
        .replace("name: p", "nam: p");
    let found = diagnostics(&format!("{text}---\n{text}"));
    assert_eq!(found.len(), 4, "{found:#?}");
}

#[test]
fn a_folder_is_its_manifests_and_no_more() {
    let folder = folder(&[
        ("b.yml", CLASS),
        ("a.yaml", POOL),
        (
            "c.json",
            "{\"apiVersion\": \"berth.dev/v1alpha1\", \"kind\": \"WorkloadClass\", \"metadata\": {\"name\": \"d\"}, \"spec\": {\"pools\": [{\"name\": \"p\"}]}}",
        ),
        (".hidden.yaml", "not: ours"),
        ("readme.md", "not: ours"),
        ("below/x.yaml", "not: ours"),
        ("folder.yaml/x.yaml", "not: ours"),
    ]);
    let files = files(vec![folder.path().to_owned()]);
    let names: Vec<_> = files
        .read()
        .unwrap()
        .into_iter()
        .map(|file| file.path)
        .collect();
    assert_eq!(
        names,
        ["a.yaml", "b.yml", "c.json"].map(|name| folder.path().join(name))
    );
    assert_eq!(
        files.load().unwrap().class_names().collect::<Vec<_>>(),
        ["c", "d"]
    );
}

#[test]
fn several_sources_are_one_table() {
    let (pools, classes) = (folder(&[("p.yaml", POOL)]), folder(&[("c.yaml", CLASS)]));
    let paths = vec![pools.path().to_owned(), classes.path().join("c.yaml")];
    assert_eq!(files(paths).load().unwrap().len(), 1);
}

#[test]
fn no_manifest_file_is_an_error_and_no_manifest_is_a_table() {
    let (nothing, empty) = (
        folder(&[("readme.md", "")]),
        folder(&[("a.yaml", "# none yet\n")]),
    );
    assert!(matches!(
        files(vec![nothing.path().to_owned()]).load(),
        Err(Error::Unreadable(crate::files::Error::Empty { .. }))
    ));
    assert!(
        files(vec![empty.path().to_owned()])
            .load()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_value_of_another_shape_is_told_in_the_authors_words() {
    let pool = |lines: &str| POOL.replace("{hostnames", &format!("{{{lines}, hostnames"));
    for (lines, words) in [
        (
            "taints: ['a/b=c:NoSchedule']",
            "spec.taints[0]: expected a mapping, found the string \"a/b=c:NoSchedule\"; write it as {key: a/b, value: \"c\", effect: NoSchedule}",
        ),
        (
            "taints: [{key: a}]",
            "spec.taints[0].effect: effect is missing; write one of ",
        ),
        (
            "taints: [{key: a, effect: noschedule}]",
            "spec.taints[0].effect: unknown value \"noschedule\"; did you mean NoSchedule?",
        ),
        (
            "env: nothing",
            "spec.env: expected a list, found the string",
        ),
    ] {
        let found = diagnostics(&pool(lines));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(words), "{found:?}");
    }
    // and all of them at once, with the keys that are unknown
    let found = diagnostics(&pool(
        "taints: [{key: 7, efect: NoSchedule}], env: 1, hostnam: x",
    ));
    assert_eq!(found.len(), 5, "{found:#?}");
    let words = ["struct", "sequence", "u32", "invalid type"];
    assert!(
        !found
            .iter()
            .any(|it| words.iter().any(|word| it.contains(word))),
        "{found:#?}"
    );
}

#[test]
fn a_table_has_what_the_definitions_accept_and_nothing_else() {
    let pool = |more: &str| POOL.replace("spec: {", &format!("spec: {{{more}, "));
    for (more, says) in [
        (
            "autoscaling: {maxGPUs: 0}",
            "invalid value 0: must be from 1 to 1000000",
        ),
        ("autoscaling: {maxGPUs: 1000001}", "invalid value 1000001"),
        (
            "autoscaling: [3]",
            "spec.autoscaling: expected a mapping, found a list",
        ),
        (
            "sharing: [TimeSlicing, 2]",
            "spec.sharing: expected a mapping, found a list",
        ),
        (
            "taints: [[a, v, NoSchedule]]",
            "spec.taints[0]: expected a mapping, found a list",
        ),
        (
            "memoryPerGPU: 1.5",
            "spec.memoryPerGPU: expected an amount of memory",
        ),
        ("memoryPerGPU: 1e-3", "write it as 8Gi or 512Mi"),
        (
            "memoryPerGPU: 0",
            "spec.memoryPerGPU: expected an amount of memory",
        ),
        (
            "nodeSelector: {matchLabels: {a: null}}",
            "there is no value here",
        ),
    ] {
        let told = refusals(&pool(more));
        assert!(told.iter().any(|it| it.contains(says)), "{more}: {told:?}");
    }
    for more in [
        "taints: null, env: null, resourceAliases: null, sharing: null, autoscaling: ~",
        "memoryPerGPU: 8589934592",
        "autoscaling: {maxGPUs: 1000000}",
    ] {
        assert_eq!(refusals(&pool(more)), Vec::<String>::new(), "{more}");
    }
}

#[test]
fn a_list_as_kubectl_prints_it_is_its_items() {
    let list = "apiVersion: v1\nitems:\n- apiVersion: berth.dev/v1alpha1\n  kind: GPUPool\n  metadata:\n    creationTimestamp: \"2026-01-01T00:00:00Z\"\n    generation: 1\n    name: p\n    resourceVersion: \"7\"\n    uid: u\n  spec: {hostnames: [node], resourceName: amd.com/gpu}\n  status:\n    observedGeneration: 1\nkind: List\nmetadata: {resourceVersion: \"\"}\n---\n";
    assert_eq!(refusals(&format!("{list}{CLASS}")), Vec::<String>::new());
    for (wrong, expected) in [
        (
            list.replace("spec:", "spce:"),
            "t.yaml:11:3: unknown field \"spce\"; did you mean spec?",
        ),
        (
            list.replace("kind: GPUPool", "kind: Pod"),
            "t.yaml:4:9: kind \"Pod\" is not one of berth's",
        ),
        (
            list.replace("items:\n-", "items:\n- x\n-"),
            "t.yaml:3:3: the document has no apiVersion",
        ),
        (
            list.replace("kind: List", "kind: PodList"),
            "t.yaml:1:13: apiVersion \"v1\"",
        ),
    ] {
        let told = diagnostics(&format!("{wrong}{CLASS}"));
        assert!(
            told.iter().any(|it| it.starts_with(expected)),
            "{expected}: {told:?}"
        );
    }
}
