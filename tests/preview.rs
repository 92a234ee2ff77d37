//! `berth preview`, as a person or a pipe runs it.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

mod common;

use common::{
    path,
    process::{arg, command},
};

/// What a run printed and how it ended.
struct Ran {
    code: i32,
    data: String,
    prose: String,
}

fn preview(arguments: &[&str]) -> Ran {
    run(arguments, Stdio::null())
}

fn run(arguments: &[&str], stdin: Stdio) -> Ran {
    let output = command()
        .args(["preview", "--table", arg(&path("examples/homelab.yaml"))])
        .args(arguments)
        .stdin(stdin)
        .output()
        .expect("berth starts");
    Ran {
        code: output.status.code().expect("a code"),
        data: String::from_utf8(output.stdout).expect("UTF-8"),
        prose: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A run over one text.
fn preview_of(text: &str, arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.yaml");
    fs::write(&file, text).expect("a file");
    preview(&[&["-f", arg(&file)], arguments].concat())
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.data).expect("JSON")
}

const POD: &str = "apiVersion: v1
kind: Pod
metadata:
  name: whisper-6d
  labels: {berth.dev/workload-class: whisper}
spec:
  containers:
  - name: whisper
    image: whisper
";

#[test]
fn a_pods_change_is_shown_as_lines_with_a_sentence() {
    let ran = preview_of(POD, &[]);
    assert_eq!(ran.code, 0, "{}", ran.prose);
    let sentence = "whisper-6d: whisper → pool rtx-2070: 1 term, nvidia.com/gpu=1 on \"whisper\", runtimeClassName nvidia\n";
    assert_eq!(ran.prose, sentence);
    let lines: Vec<&str> = ran.data.lines().skip(2).collect();
    assert_eq!(
        lines.join("\n"),
        "@@ -3,7 +3,22 @@
 metadata:
   name: whisper-6d
   labels: {berth.dev/workload-class: whisper}
+  annotations:
+    berth.dev/pool: rtx-2070
 spec:
   containers:
   - name: whisper
     image: whisper
+    resources:
+      limits:
+        nvidia.com/gpu: \"1\"
+  affinity:
+    nodeAffinity:
+      requiredDuringSchedulingIgnoredDuringExecution:
+        nodeSelectorTerms:
+        - matchExpressions:
+          - key: kubernetes.io/hostname
+            operator: In
+            values:
+            - elminster
+  runtimeClassName: nvidia"
    );
}

#[test]
fn a_second_preview_of_the_text_changes_nothing() {
    let homelab = path("examples/workloads/homelab.yaml");
    let first = preview(&["-o", "yaml", "-f", arg(&homelab)]);
    assert_eq!((first.code, &*first.prose), (0, ""));
    let second = preview_of(&first.data, &["-o", "yaml", "--exit-code"]);
    assert_eq!((second.code, &*second.prose), (0, ""));
    assert_eq!(second.data, first.data);
    let pods = json(&preview_of(&first.data, &["-o", "json"]));
    let reasons: Vec<&Value> = pods["pods"]
        .as_array()
        .expect("Pods")
        .iter()
        .map(|pod| &pod["reason"])
        .collect();
    assert_eq!(reasons, ["InPlace"; 5]);
}

/// What people deploy, and what becomes of each Pod: its place, the reason, the pool, the container with the GPU.
const DEPLOYED: &[(&str, &[&str])] = &[
    (
        "knative.yaml",
        &[
            "Service/xtts /spec/template Placed rtx-2070 user-container",
            "Pod/xtts-00001-deployment-7f9c-  Placed rtx-2070 user-container",
        ],
    ),
    (
        "kserve.yaml",
        &[
            "InferenceService/reranker /spec/predictor Placed intel-arc kserve-container",
            "LLMInferenceService/qwen /spec/template Placed strix-halo main",
        ],
    ),
    (
        "list.json",
        &[
            "Pod/one /items/0 Placed rtx-2070 main",
            "Pod/two /items/1 ClassUnavailable - -",
        ],
    ),
    (
        "ollama-istio.yaml",
        &["Pod/ollama-0  Placed radeon-680m ollama"],
    ),
    (
        "operators.yaml",
        &[
            "RayCluster/ray /spec/headGroupSpec/template NoClass - -",
            "RayCluster/ray /spec/workerGroupSpecs/0/template Placed rtx-2070 ray-worker",
            "Job/batch /spec/tasks/0/template Placed radeon-680m embed",
            "JobSet/set /spec/replicatedJobs/0/template/spec/template Placed radeon-680m embed",
            "LeaderWorkerSet/lws /spec/leaderWorkerTemplate/leaderTemplate Placed strix-halo leader",
            "LeaderWorkerSet/lws /spec/leaderWorkerTemplate/workerTemplate Placed strix-halo worker",
            "Rollout/rollout /spec/template Placed rtx-2070 whisper",
            "PyTorchJob/train /spec/pytorchReplicaSpecs/Master/template Placed rtx-2070 pytorch",
            "ReplicationController/inner /spec/components/0/template/spec/template Placed rtx-2070 xtts",
        ],
    ),
    (
        "tei.yaml",
        &[
            "StatefulSet/tei-embeddings /spec/template Placed radeon-680m tei",
            "CronJob/reindex /spec/jobTemplate/spec/template Placed intel-arc reindex",
        ],
    ),
    (
        "vllm-helm.yaml",
        &["Deployment/release-vllm /spec/template Placed strix-halo vllm"],
    ),
    (
        "webui.yaml",
        &[
            "StatefulSet/open-webui /spec/template NoClass - -",
            "Deployment/milvus-querynode /spec/template NoClass - -",
        ],
    ),
    (
        "whisper-linkerd.yaml",
        &["Pod/whisper-linkerd  Placed rtx-2070 whisper"],
    ),
];

#[test]
fn what_people_deploy_gets_its_gpu() {
    for (file, expected) in DEPLOYED {
        let ran = preview(&["-o", "json", "-f", arg(&path("tests/preview").join(file))]);
        let pods = json(&ran)["pods"].take();
        let line = |pod: &Value| {
            let field = |name: &str| pod[name].as_str().unwrap_or("-").to_owned();
            format!(
                "{}/{} {} {} {} {}",
                field("kind"),
                field("name"),
                field("path"),
                field("reason"),
                field("pool"),
                field("container")
            )
        };
        let lines: Vec<String> = pods.as_array().expect("Pods").iter().map(line).collect();
        assert_eq!(lines, *expected, "{file}");
    }
}

#[test]
fn a_changed_text_keeps_its_comments_quoting_line_ends_and_mark() {
    for (file, _) in DEPLOYED {
        let text = fs::read_to_string(path("tests/preview").join(file)).expect("a file");
        let ran = preview_of(&text, &["-o", "yaml"]);
        assert!(!ran.prose.contains("written anew"), "{file}: {}", ran.prose);
        // only lines that took an entry between brackets, or a value, are gone
        let mut after = ran.data.lines();
        let gone: Vec<&str> = text
            .lines()
            .filter(|line| !kept(line, &mut after))
            .collect();
        let is_inline = |line: &&str| line.contains(['{', '}', ']', ':']) && !line.contains('#');
        assert!(gone.iter().all(is_inline), "{file}: {gone:?}");
        let again = preview_of(&ran.data, &["-o", "yaml"]);
        assert_eq!(again.data, ran.data, "{file}");
        let other = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
        assert_eq!(
            preview_of(&other(&text), &["-o", "yaml"]).data,
            other(&ran.data),
            "{file}"
        );
    }
}

/// Whether a line is among those that are left, which are taken up to it.
fn kept<'t>(line: &str, after: &mut (impl Iterator<Item = &'t str> + Clone)) -> bool {
    let found = after.clone().position(|other| other == line);
    if let Some(at) = found {
        after.nth(at);
    }
    found.is_some()
}

#[test]
fn an_octal_mode_is_what_kubectl_reads_also_where_the_text_is_written_anew() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: x, labels: {berth.dev/workload-class: whisper}}\nspec:\n  \
               containers:\n  - name: whisper\n    resources: RESOURCES\n  - name: istio-proxy\n    resources: *r\n  \
               volumes:\n  - secret: {secretName: s, defaultMode: 0400}\n";
    let anew = preview_of(
        &pod.replace("RESOURCES", "&r {limits: {cpu: 1}}"),
        &["-o", "yaml"],
    );
    assert!(anew.data.contains("defaultMode: 256"), "{}", anew.data);
    assert!(anew.prose.contains("written anew"), "{}", anew.prose);
    let kept = preview_of(
        &pod.replace("RESOURCES", "{}").replace("*r", "{}"),
        &["-o", "yaml"],
    );
    assert!(kept.data.contains("defaultMode: 0400}\n"), "{}", kept.data);
    assert_eq!(kept.prose, "");
}

#[test]
fn sources_are_put_together_as_one_stream() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("a.yaml", "\u{feff}# none\na: 1"),
        ("b.yaml", "\u{feff}---\nb: 1\n"),
        ("c.json", "{\"c\": 1}\n{\"d\": 1}\n"),
        ("d.yaml", ""),
        ("e.yml", "e: 1\n"),
    ] {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    let ran = preview(&["-o", "yaml", "-f", arg(folder.path())]);
    let expected = "\u{feff}# none\na: 1\n---\nb: 1\n---\n{\"c\": 1}\n{\"d\": 1}\n---\ne: 1\n";
    assert_eq!(ran.data, expected);
    // and each is told to be no object, which kubectl would refuse
    assert_eq!(ran.code, 1);
    for words in [
        "not a Kubernetes object",
        "NotAnObject: the same in 4 more places",
    ] {
        assert_eq!(ran.prose.matches(words).count(), 1, "{}", ran.prose);
    }
}

#[test]
fn json_patch_is_a_line_for_each_document_with_pods() {
    let text = format!(
        "{POD}---\nkind: ConfigMap\napiVersion: v1\n---\n{}",
        POD.replace("workload-class", "x")
    );
    let ran = preview_of(&text, &["-o", "jsonpatch"]);
    let lines: Vec<Value> = ran
        .data
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let counts: Vec<usize> = lines
        .iter()
        .map(|line| line.as_array().expect("operations").len())
        .collect();
    assert_eq!(counts, [4, 0]);
    let mut pod: Value = serde_json::json!({"metadata": {}, "spec": {"containers": [{}]}});
    let patch: json_patch::Patch = serde_json::from_value(lines[0].clone()).expect("a JSON Patch");
    json_patch::patch(&mut pod, &patch).expect("it applies");
    assert_eq!(pod["spec"]["runtimeClassName"], "nvidia");
}

#[test]
fn the_table_has_a_line_for_each_pod() {
    let ran = preview(&["-o", "table", "-f", arg(&path("tests/preview/list.json"))]);
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let lines: Vec<String> = ran.data.lines().map(words).collect();
    assert_eq!(
        lines,
        [
            "NAMESPACE KIND NAME PATH CLASS RESULT REASON POOL CONTAINER",
            "default Pod one items[0] whisper mutated Placed rtx-2070 main",
            "default Pod two items[1] wisper denied ClassUnavailable - -",
        ]
    );
}

#[test]
fn a_finding_is_shown_at_its_line_and_counts() {
    let text = format!(
        "# first\nkind: ConfigMap\napiVersion: v1\n---\n{}",
        POD.replace(
            "    image: whisper\n",
            "    resources: {limits: {cpu: <N>}}\n"
        )
    );
    let ran = preview_of(&text, &["-o", "json"]);
    assert_eq!(ran.code, 1);
    let found = json(&ran)["findings"][0].take();
    let expected = serde_json::json!({
        "source": found["source"],
        "field": "spec.containers[0].resources.limits[\"cpu\"]",
        "severity": "error",
        "line": 13,
        "column": 31,
        "topic": "NotAQuantity",
        "message": "\"<N>\" is not a quantity",
        "help": "write a number, as 1, 500m or 2Gi",
    });
    assert_eq!(found, expected);
    let prose = &ran.prose;
    for words in [
        "error NotAQuantity",
        "spec.containers[0].resources.limits[\"cpu\"]: \"<N>\" is not a quantity",
        ":13:31]",
        "help: write a number",
    ] {
        assert!(prose.contains(words), "{prose}");
    }
}

#[test]
fn a_long_line_is_named_and_not_printed() {
    let text = format!(
        "{{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"x\": \"{}\", \"x\": 1}}",
        "y".repeat(100_000)
    );
    let ran = preview_of(&text, &[]);
    assert_eq!(ran.code, 0);
    assert!(ran.prose.len() < 500, "{} bytes", ran.prose.len());
    assert!(
        ran.prose.contains("x.yaml:1:100052: duplicate key \"x\""),
        "{}",
        ran.prose
    );
}

/// As kubectl and helm take it: charts have such labels.
#[test]
fn a_key_that_is_there_twice_is_told_and_the_last_one_counts() {
    let labels = "  labels: {berth.dev/workload-class: whisper}\n";
    let earlier = labels.replace("whisper", "wisper");
    let twice = POD.replace(labels, &format!("{earlier}{labels}"));
    let plain = twice.replace("berth.dev/workload-class", "app");
    let ran = preview_of(&plain, &["-o", "yaml"]);
    assert_eq!((ran.code, &ran.data), (0, &plain), "{}", ran.prose);
    for words in ["DuplicateKey", "duplicate key \"labels\"", "the last one"] {
        assert!(ran.prose.contains(words), "{words}\n{}", ran.prose);
    }
    let ran = preview_of(&twice, &["-o", "yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.prose);
    assert!(ran.data.contains("berth.dev/pool"), "{}", ran.data);
    assert!(ran.data.contains(&*earlier), "{}", ran.data);
    let failed = preview_of(&plain, &["-o", "yaml", "--fail-on", "warning"]);
    assert_eq!(failed.code, 1);
}

#[test]
fn what_steers_a_terminal_stays_out_of_what_is_said() {
    let text = POD.replace(
        ": whisper}",
        ": \"\u{1b}[2J\u{9b}wisper\"} # \u{1b}]0;x\u{7}",
    );
    let ran = preview_of(&text, &["-o", "json"]);
    assert!(ran.prose.contains("wisper"), "{}", ran.prose);
    let steers = |c: char| c.is_control() && c != '\n';
    assert!(!ran.prose.contains(steers), "{:?}", ran.prose);
}

#[test]
fn a_denied_pods_document_passes_as_it_was_with_the_reason() {
    let text = POD.replace(": whisper}", ": wisper}");
    let ran = preview_of(&text, &["-o", "yaml"]);
    assert_eq!((ran.code, &ran.data), (1, &text));
    let prose = &ran.prose;
    for words in [
        "whisper-6d: ClassUnavailable:",
        "did you mean \"whisper\"?",
        ":5:38]",
    ] {
        assert!(prose.contains(words), "{prose}");
    }
}

#[test]
fn one_bad_file_among_good_ones_is_named_and_the_others_are_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let bad: [(&str, &[u8], &str); 8] = [
        (
            "a-tab.yaml",
            b"a:\n\tb: 1\n",
            "tabs disallowed as indentation",
        ),
        ("b-template.yaml", b"a: {{ .Values.x }}\n", "helm template"),
        ("c-binary.yaml", b"\x00\xff\xfe\x01", "not UTF-8"),
        ("e-windows.yaml", b"a: \"C:\\models\"\n", "unknown escape"),
        ("f-alias.yaml", b"a: *b\n", "unknown anchor"),
        ("g-open.json", b"{\"a\": 1", "not YAML"),
        ("h-endless.yaml", b"a: &a [*a]\n", "never ends"),
        (
            "i-escape.yaml",
            b"a: \x1b\n",
            "unexpected character \"\\u001b\"",
        ),
    ];
    for (name, text, _) in bad {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    fs::write(folder.path().join("i-empty.yaml"), "").expect("a file");
    fs::write(folder.path().join("z-good.yaml"), POD).expect("a file");
    let ran = preview(&["-f", arg(folder.path()), "-o", "json"]);
    assert_eq!(ran.code, 3);
    assert_eq!(json(&ran)["pods"][0]["result"], "mutated");
    let findings = json(&ran)["findings"].take();
    let findings = findings.as_array().expect("a list");
    let is_placed = |it: &Value| it["severity"] == "error" && it["line"].is_u64();
    assert_eq!(findings.len(), bad.len(), "{findings:?}");
    assert!(findings.iter().all(is_placed), "{findings:?}");
    let prose = &ran.prose;
    for (name, _, words) in bad {
        let said = prose.contains(name) && prose.contains(words);
        assert!(said, "{name}: {words}: {prose}");
    }
}

#[test]
fn what_is_not_there_is_unreadable() {
    for (name, words) in [
        ("/nowhere.yaml", "No such file"),
        ("C:\\models\\x.yaml", "Windows path"),
    ] {
        let ran = preview(&["-f", name]);
        assert_eq!(ran.code, 3);
        assert!(ran.prose.contains(words), "{}", ran.prose);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ran = preview(&["-f", arg(folder.path())]);
    assert_eq!(ran.code, 3);
    assert!(
        ran.prose.contains("no manifest in the folder")
            && ran.prose.contains("-R reads the folders in it, too"),
        "{}",
        ran.prose
    );
}

#[test]
fn standard_input_and_folders_in_folders_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let below = folder.path().join("below");
    fs::create_dir(&below).expect("a folder");
    fs::write(below.join("x.yml"), POD).expect("a file");
    fs::write(
        folder.path().join("y.yaml"),
        "kind: ConfigMap\napiVersion: v1\n",
    )
    .expect("a file");
    let count = |arguments: &[&str]| {
        let ran = preview(&[&["-o", "json", "-f", arg(folder.path())], arguments].concat());
        json(&ran)["pods"].as_array().expect("Pods").len()
    };
    assert_eq!((count(&[]), count(&["-R"])), (0, 1));
    let stdin = fs::File::open(below.join("x.yml")).expect("a file");
    let ran = run(&["-o", "json", "-n", "speech", "-f", "-"], stdin.into());
    let pod = &json(&ran)["pods"][0];
    assert_eq!(
        (&pod["source"], &pod["namespace"]),
        (&"-".into(), &"speech".into())
    );
}

#[test]
fn exit_code_1_tells_of_changes_where_it_is_asked_for() {
    assert_eq!(preview_of(POD, &["--exit-code"]).code, 1);
    assert_eq!(preview_of(POD, &[]).code, 0);
    assert_eq!(
        preview_of("kind: ConfigMap\napiVersion: v1\n", &["--exit-code"]).code,
        0
    );
}

#[test]
fn the_diff_turns_the_one_text_into_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = fs::read_to_string(path("examples/workloads/homelab.yaml")).expect("a file");
    for (name, text) in [
        ("lf.yaml", text.clone()),
        ("crlf.yaml", text.replace('\n', "\r\n")),
        ("end.yaml", text.trim_end().to_owned()),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("a file");
        let diff = command()
            .args(["preview", "--table", arg(&path("examples/homelab.yaml"))])
            .args(["-f", name])
            .current_dir(folder.path())
            .output()
            .expect("berth starts");
        let wanted = preview(&["-o", "yaml", "-f", arg(&file)]).data;
        patch(folder.path(), &diff.stdout);
        assert_eq!(fs::read_to_string(&file).expect("a file"), wanted, "{name}");
    }
}

fn patch(folder: &Path, diff: &[u8]) {
    fs::write(folder.join("diff"), diff).expect("a file");
    let mut apply = Command::new("git");
    apply.args(["apply", "--unidiff-zero", "--whitespace=nowarn", "diff"]);
    let output = apply.current_dir(folder).output().expect("git starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn a_document_without_content_passes_in_silence() {
    let text = format!("# licence\n---\n{POD}---\n# Source: x/probe.yaml\n---\n");
    for text in [
        text.clone(),
        text.replace('\n', "\r\n"),
        format!("{POD}---\n~\n---\nnull"),
    ] {
        let ran = preview_of(&text, &["-o", "yaml"]);
        assert_eq!((ran.code, &*ran.prose), (0, ""), "{text}");
    }
}

#[test]
fn where_there_is_no_pod_that_is_said() {
    let map = "kind: ConfigMap\napiVersion: v1\n";
    let ran = preview_of(&format!("{map}---\n{map}"), &[]);
    assert_eq!(
        (ran.code, &*ran.prose),
        (0, "no Pod found in 2 documents\n")
    );
    let ran = preview(&["-f", "-"]);
    assert_eq!(ran.code, 3);
    assert!(
        ran.prose.contains("standard input is empty"),
        "{}",
        ran.prose
    );
}

#[test]
fn files_without_a_text_are_as_standard_input_without_one() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.yaml"), " \n").expect("a file");
    fs::write(folder.path().join("b.yaml"), "").expect("a file");
    let ran = preview(&["-f", arg(folder.path())]);
    assert_eq!(ran.code, 3);
    assert!(ran.prose.contains("every file is empty"), "{}", ran.prose);
    fs::write(folder.path().join("b.yaml"), "# nothing today\n").expect("a file");
    let ran = preview(&["-f", arg(folder.path())]);
    let nothing = "no Pod found: there is no document\n";
    assert_eq!((ran.code, &*ran.prose), (0, nothing));
}

#[test]
fn a_template_is_told_to_be_rendered_and_no_more() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .name }}\n  labels: {a: {{ .b }}}\nspec: {containers: [}\n";
    let ran = preview_of(text, &[]);
    assert_eq!(ran.code, 3);
    assert_eq!(ran.prose.matches("×").count(), 1, "{}", ran.prose);
    assert!(ran.prose.contains("render it first"), "{}", ran.prose);
}

#[test]
fn sources_with_directives_are_put_together() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.yaml"), POD).expect("a file");
    let second = format!("# x\n%YAML 1.1\n---\n{POD}");
    fs::write(folder.path().join("b.yaml"), second).expect("a file");
    let ran = preview(&["-o", "yaml", "-f", arg(folder.path())]);
    let again = preview_of(&ran.data, &["-o", "json"]);
    let pods = json(&again)["pods"].take();
    assert_eq!(pods.as_array().map(Vec::len), Some(2), "{}", ran.data);
}

#[test]
fn a_document_on_the_line_of_its_marker_is_read() {
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: x, labels: {berth.dev/workload-class: whisper}}, \
               spec: {containers: [{name: c}]}}";
    for text in [
        format!("a: 1\n--- {pod}\n"),
        format!("--- !!map\n{POD}"),
        format!("--- # x\n{POD}"),
    ] {
        let ran = preview_of(&text, &["-o", "yaml"]);
        assert!(ran.data.contains("elminster"), "{text}: {}", ran.data);
        let again = preview_of(&ran.data, &["-o", "yaml"]);
        assert_eq!(again.data, ran.data);
    }
}

#[test]
fn warnings_fail_where_that_is_asked_for_and_a_comment_suppresses_them() {
    let job = "apiVersion: batch.volcano.sh/v1alpha1\nkind: Job\nmetadata: {name: j}\nspec:\n  tasks:\n  - template:\n      \
               metadata: {labels: {berth.dev/workload-class: whisper}}\n      spec: {containers: [{name: c}]}\n";
    let ran = preview_of(job, &[]);
    assert_eq!(ran.code, 0, "{}", ran.prose);
    assert!(ran.prose.contains("LimitReadEarly"), "{}", ran.prose);
    let fail = ["--fail-on", "warning"];
    assert_eq!(preview_of(job, &fail).code, 1);
    let suppressed = format!("# berth-preview: allow LimitReadEarly the queue has no quota\n{job}");
    let ran = preview_of(&suppressed, &fail);
    assert_eq!(ran.code, 0, "{}", ran.prose);
    assert!(!ran.prose.contains("LimitReadEarly"), "{}", ran.prose);
    let no_reason = format!("# berth-preview: allow LimitReadEarly\n{job}");
    assert_eq!(preview_of(&no_reason, &fail).code, 1);
    let misspelt = format!("# berth-preview: allow LimitReadEarlyy the queue has no quota\n{job}");
    let ran = preview_of(&misspelt, &[]);
    assert!(
        ran.prose.contains("did you mean LimitReadEarly?"),
        "{}",
        ran.prose
    );
}

#[test]
fn what_is_denied_cannot_be_suppressed() {
    for (code, pod) in [
        ("ClassUnavailable", POD.replace("whisper", "wisper")),
        ("Invalid", POD.replace("spec:", "spec:\n  hostNetwork: 7")),
        (
            "RuntimeClassEmpty",
            POD.replace("spec:", "spec:\n  runtimeClassName: ''"),
        ),
    ] {
        let text = format!("# berth-preview: allow {code} it is fine\n{pod}");
        let ran = preview_of(&text, &[]);
        assert_eq!(ran.code, 1, "{text} {}", ran.prose);
        let told = format!("{code} cannot be suppressed");
        assert!(ran.prose.contains(&told), "{}", ran.prose);
    }
}

#[test]
fn a_file_without_its_flag_is_told_how() {
    let ran = preview(&["x.yaml"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.prose.contains("berth preview --table TABLE -f x.yaml"),
        "{}",
        ran.prose
    );
    for (arguments, says) in [
        (
            ["preview", "x.yaml", "y.yaml"].as_slice(),
            "berth preview --table TABLE -f x.yaml -f y.yaml",
        ),
        (&["lint", "x.yaml"], "berth lint --table x.yaml"),
    ] {
        let (code, said) = common::process::fails(arguments);
        assert!(code == 2 && said.contains(says), "{said}");
    }
}

#[test]
fn what_comes_again_is_counted() {
    let pods = vec![POD.replace(": whisper}", ": wisper}"); 5].join("---\n");
    let ran = preview_of(&pods, &["-o", "json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.prose.matches("did you mean").count(),
        1,
        "{}",
        ran.prose
    );
    let again = "ClassUnavailable: the same in 4 more places: ";
    assert!(ran.prose.contains(again), "{}", ran.prose);
    assert!(ran.prose.contains("x.yaml:15:38"), "{}", ran.prose);
}

#[test]
fn a_denial_marks_the_field_that_it_names() {
    let text = POD.replace("spec:\n", "spec:\n  nodeSelector: {a.b/c: 7}\n");
    let ran = preview_of(&text, &[]);
    assert_eq!(ran.code, 1);
    for words in [":7:25]", "7 is a number; quote it: \"7\""] {
        assert!(ran.prose.contains(words), "{}", ran.prose);
    }
}

#[test]
fn colours_are_there_where_they_are_asked_for() {
    for (choice, has) in [("always", true), ("never", false), ("auto", false)] {
        let ran = preview_of(POD, &["--color", choice]);
        assert_eq!(ran.data.contains('\u{1b}'), has, "{choice}");
    }
}

#[test]
fn a_namespace_that_opts_out_counts_for_the_whole_file() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ai\n  labels: {berth.dev/inject: disabled}\n";
    for text in [
        format!("{namespace}---\n{POD}"),
        format!("{POD}---\n{namespace}"),
    ] {
        let ran = preview_of(&text, &["-n", "ai"]);
        assert_eq!((ran.code, &*ran.data), (0, ""));
        assert!(
            ran.prose.contains("namespace ai has opted out"),
            "{}",
            ran.prose
        );
    }
    let ran = preview_of(POD, &["-n", "berth"]);
    assert!(
        ran.prose.contains("never asked about namespace berth"),
        "{}",
        ran.prose
    );
    let ran = preview_of(POD, &["-n", "x", "--exclude-namespace", "x"]);
    assert!(
        ran.prose.contains("never asked about namespace x"),
        "{}",
        ran.prose
    );
}

#[test]
fn github_gets_an_annotation_for_each_finding_and_few_of_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("a.yaml", &POD.replace(": whisper}", ": wisper}"));
    write(
        "b.yaml",
        &POD.replace(": whisper}", ": whisper, berth.dev/gpus: \"2\"}"),
    );
    write("c.yaml", "a: [\n");
    write(
        "d.yaml",
        &vec![POD.replace(": whisper}", ": wisper}"); 20].join("---\n"),
    );
    let ran = command()
        .args(["preview", "--table", arg(&path("examples/homelab.yaml"))])
        .args(["-f", ".", "-o", "github"])
        .current_dir(folder.path())
        .output()
        .expect("berth starts");
    assert_eq!(ran.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&ran.stderr), "");
    let data = String::from_utf8(ran.stdout).expect("UTF-8");
    let lines: Vec<&str> = data.lines().collect();
    let begins =
        |at: usize, text: &str| assert!(lines[at].starts_with(text), "{text}: {}", lines[at]);
    begins(
        0,
        "::error file=a.yaml,line=5,endLine=5,col=38,endColumn=44,title=ClassUnavailable::whisper-6d: ClassUnavailable: ",
    );
    begins(
        1,
        "::warning file=b.yaml,line=5,endLine=5,col=47,endColumn=61,title=UnknownKey::",
    );
    begins(2, "::error file=c.yaml,line=");
    assert_eq!(lines.len(), 13, "{data}");
    let last = "::error title=ClassUnavailable::the same in 11 more places";
    assert_eq!(lines.last(), Some(&last));
}

#[test]
fn a_file_that_is_not_utf_8_is_told_at_its_first_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.yaml");
    fs::write(&file, b"a: 1\n---\nb: \xe9t\xe9\n").expect("a file");
    let ran = preview(&["-f", arg(&file), "-o", "json"]);
    assert_eq!(ran.code, 3);
    let found = &json(&ran)["findings"];
    let found = found
        .as_array()
        .and_then(|all| all.iter().find(|it| it["topic"].is_null()));
    let found = found.expect("the error");
    assert_eq!(
        (&found["line"], &found["column"]),
        (&3.into(), &4.into()),
        "{found}"
    );
    assert!(ran.prose.contains("x.yaml:3:4]"), "{}", ran.prose);
}

#[test]
fn twenty_thousand_objects_with_one_mistake_are_one_finding() {
    let mut config = "apiVersion: v1\nkind: ConfigMap\n---\n".to_owned();
    config.push_str(&"a: 1\n---\n".repeat(20_000));
    let ran = preview_of(&config, &["-o", "json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.prose.matches("it has no apiVersion and kind").count(),
        1
    );
    let again = "NotAnObject: the same in 19999 more places: ";
    assert!(ran.prose.contains(again), "{}", ran.prose);
    assert!(ran.prose.lines().count() < 20, "{}", ran.prose);
}
