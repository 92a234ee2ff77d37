//! The table of a command from a real cluster: `--from-cluster`, and the plugin of kubectl.

use std::{
    fs,
    os::unix::{fs::symlink, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use berth_cluster::ControlPlane;
use serde_json::{Value, json};

use crate::{
    common::{
        path,
        process::{arg, command},
    },
    eventually,
    replica::{apply, control_plane, define, kubectl},
    source::{class, pool},
};

/// How a run ended: its code, its data and its prose.
struct Ran {
    code: Option<i32>,
    data: String,
    prose: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code(),
            data: text(output.stdout),
            prose: text(output.stderr),
        }
    }
}

impl Ran {
    #[track_caller]
    fn ended(self, code: i32, says: &str) -> Self {
        let Self {
            code: found,
            data,
            prose,
        } = &self;
        assert!(
            *found == Some(code) && prose.contains(says),
            "{found:?}, not {code} and {says:?}: {prose}\n{data}"
        );
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|_| panic!("{}{}", self.data, self.prose))
    }
}

/// Runs a command with the table of a kubeconfig's cluster.
fn run(kubeconfig: &Path, arguments: &[&str]) -> Ran {
    let mut command = command();
    command.args(arguments);
    command.args(["--from-cluster", "--kubeconfig", arg(kubeconfig)]);
    command.output().expect("berth starts").into()
}

fn run_without_cluster(arguments: &[&str]) -> Ran {
    let output = command().args(arguments).output();
    output.expect("berth starts").into()
}

/// A manifest in a file: a Pod of a class.
fn pod(folder: &Path, class: &str, namespace: Option<&str>) -> PathBuf {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "labels": {"berth.dev/workload-class": class}},
        "spec": {"containers": [{"name": "main", "image": "x"}]},
    });
    if let Some(namespace) = namespace {
        pod["metadata"]["namespace"] = json!(namespace);
    }
    let file = folder.join("pod.json");
    fs::write(&file, pod.to_string()).expect("written");
    file
}

async fn homelab(control_plane: &ControlPlane) {
    define(control_plane).await;
    let table = path("examples/homelab.yaml");
    // the API server takes up to a second until it serves a new kind
    let applied = eventually(async || {
        let mut kubectl = control_plane.kubectl().expect("kubectl");
        let output = kubectl.args(["apply", "-f", arg(&table)]).output();
        output.expect("kubectl runs").status.success().then_some(())
    });
    applied.await.expect("applied");
}

#[tokio::test]
async fn preview_lint_and_test_say_of_the_clusters_table_what_they_say_of_its_files() {
    let Some(control_plane) = control_plane().await else {
        return;
    };
    let kubeconfig = control_plane.kubeconfig().expect("a file");
    let workloads = path("examples/workloads/homelab.yaml");
    let preview = ["preview", "-o", "json", "-f", arg(&workloads)];
    run(&kubeconfig, &preview).ended(3, "berth crds | kubectl apply -f -");

    define(&control_plane).await;
    let served =
        eventually(async || (run(&kubeconfig, &["lint"]).code == Some(0)).then_some(())).await;
    assert!(served.is_some());
    run(&kubeconfig, &["lint"]).ended(0, "no GPUPool and no WorkloadClass");
    run(&kubeconfig, &preview).ended(1, "no GPUPool and no WorkloadClass");
    run(&kubeconfig, &["guard"]).ended(3, "there is nothing to guard");

    homelab(&control_plane).await;
    let table = path("examples/homelab.yaml");
    let of_files = run_without_cluster(&[&preview[..], &["--table", arg(&table)]].concat());
    let of_cluster = run(&kubeconfig, &preview).ended(0, "");
    assert_eq!(of_cluster.json(), of_files.json());
    assert_eq!(of_cluster.json()["pods"][0]["pool"], "strix-halo");

    let guard = ["guard", "--action", "deny"];
    let of_files = run_without_cluster(&[&guard[..], &["--table", arg(&table)]].concat());
    let of_cluster = run(&kubeconfig, &guard).ended(0, "");
    assert!(of_cluster.data.contains("ValidatingAdmissionPolicyBinding"));
    // the revision is that of the table as berth serves it from there
    let rest = |ran: &Ran| {
        let lines = ran.data.lines();
        let rest: Vec<String> = lines
            .filter(|it| !it.contains("berth.dev/table: "))
            .map(str::to_owned)
            .collect();
        rest
    };
    assert_eq!(rest(&of_cluster), rest(&of_files));

    the_table_is_held_against_the_nodes(&control_plane, &kubeconfig).await;
    let cases = path("examples/cases/homelab");
    let tested = run(&kubeconfig, &["test", arg(&cases)]).ended(0, "");
    assert!(tested.data.ends_with("6 passed\n"), "{}", tested.data);

    a_bad_object_is_left_out_and_found(&control_plane, &kubeconfig).await;
    kubectl_runs_it(&control_plane, &kubeconfig, &table).await;
}

/// Each link that is broken is found with a command, which fixes it.
async fn the_table_is_held_against_the_nodes(control_plane: &ControlPlane, kubeconfig: &Path) {
    let clean = "0 errors, 0 warnings and 0 suppressed in 9 objects";
    let missing = run(kubeconfig, &["lint"]).ended(1, "0 errors, 4 warnings");
    assert_eq!(missing.data.matches("no Node has the hostname").count(), 4);
    berth_cluster::homelab::register(&control_plane.client().await.expect("a client"))
        .await
        .expect("the homelab's Nodes");
    run(kubeconfig, &["lint"]).ended(0, clean);
    a_table_is_proposed_from_the_nodes(control_plane, kubeconfig);
    for (breaks, code, fixes) in [
        (
            &[
                "label",
                "node",
                "khelben.home.arpa",
                "kubernetes.io/hostname=other",
                "--overwrite",
            ][..],
            "BRT018",
            &[
                "label",
                "node",
                "khelben.home.arpa",
                "kubernetes.io/hostname=khelben",
                "--overwrite",
            ][..],
        ),
        (
            &["taint", "node", "drizzt.home.arpa", "rented:NoExecute"],
            "BRT019",
            &["taint", "node", "drizzt.home.arpa", "rented:NoExecute-"],
        ),
        (
            &[
                "taint",
                "node",
                "khelben.home.arpa",
                "dedicated=vllm:NoSchedule-",
            ],
            "BRT020",
            &[
                "taint",
                "node",
                "khelben.home.arpa",
                "dedicated=vllm:NoSchedule",
            ],
        ),
        (
            &[
                "patch",
                "node",
                "danilo.home.arpa",
                "--subresource=status",
                "--type=json",
                "-p",
                r#"[{"op": "replace", "path": "/status/allocatable/gpu.intel.com~1i915", "value": "0"}]"#,
            ],
            "BRT021",
            &[
                "patch",
                "node",
                "danilo.home.arpa",
                "--subresource=status",
                "--type=json",
                "-p",
                r#"[{"op": "replace", "path": "/status/allocatable/gpu.intel.com~1i915", "value": "1"}]"#,
            ],
        ),
    ] {
        kubectl(control_plane, breaks).await;
        let broken = run(kubeconfig, &["lint", "-o", "json"]).ended(1, "0 errors, 1 warning");
        let finding = &broken.json()["findings"][0];
        assert_eq!(finding["code"], code, "{}", broken.data);
        if fixes[0] == "taint" {
            let command = format!("`kubectl {}`", fixes.join(" "));
            let help = finding["help"].as_str().expect("a help");
            assert!(help.contains(&command), "{help}");
        }
        kubectl(control_plane, fixes).await;
        run(kubeconfig, &["lint"]).ended(0, clean);
    }
}

/// From the cluster itself as from what kubectl prints of it.
fn a_table_is_proposed_from_the_nodes(control_plane: &ControlPlane, kubeconfig: &Path) {
    let proposed = run(kubeconfig, &["init"]).ended(0, "4 pools of 4 Nodes");
    let mut kubectl = control_plane.kubectl().expect("kubectl");
    let nodes = kubectl.args(["get", "nodes", "-o", "json"]).output();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("nodes.json");
    fs::write(&file, nodes.expect("kubectl runs").stdout).expect("written");
    let of_file = run_without_cluster(&["init", "-f", arg(&file)]).ended(0, "4 pools");
    assert_eq!(proposed.data, of_file.data);
    run_without_cluster(&["init", "-f", arg(&file), "--context", "x"])
        .ended(2, "--context is of use with --from-cluster alone");
}

async fn a_bad_object_is_left_out_and_found(control_plane: &ControlPlane, kubeconfig: &Path) {
    let folder = tempfile::tempdir().expect("a folder");
    let pod = pod(folder.path(), "typo", None);
    let mut typo = pool("typo", "somewhere");
    typo["spec"]["resourceName"] = json!("nvidia.com/gpus");
    apply(control_plane, &typo).await;
    apply(control_plane, &class("typo", "typoo", json!({}))).await;
    let linted = run(kubeconfig, &["lint", "-o", "json"]).ended(1, "");
    let findings = linted.json()["findings"].clone();
    let found = findings.as_array().expect("a list").iter();
    let found: Vec<String> = found
        .map(|it| {
            format!(
                "{} {} {}",
                it["code"].as_str().expect("a code"),
                it["file"].as_str().expect("a file"),
                it["field"].as_str().expect("a field")
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            "BRT001 gpupool/typo metadata.name",
            "BRT018 gpupool/typo spec.hostnames[0]",
            "BRT008 gpupool/typo spec.resourceName",
            "BRT000 workloadclass/typo spec.pools[0].name",
        ]
    );
    let previewed = run(kubeconfig, &["preview", "-o", "json", "-f", arg(&pod)]);
    let previewed = previewed.ended(1, "not in the cluster's table: WorkloadClass typo: ");
    assert_eq!(previewed.json()["pods"][0]["reason"], "ClassNotReady");
    let guard = run(kubeconfig, &["guard"]);
    guard.ended(0, "not in the cluster's table: WorkloadClass typo: ");
    for object in ["gpupool/typo", "workloadclass/typo"] {
        kubectl(control_plane, &["delete", object]).await;
    }
}

/// As the plugin, the table is the cluster's, the namespace the context's, and --table still wins.
async fn kubectl_runs_it(control_plane: &ControlPlane, kubeconfig: &Path, table: &Path) {
    let folder = tempfile::tempdir().expect("a folder");
    symlink(
        env!("CARGO_BIN_EXE_berth"),
        folder.path().join("kubectl-berth"),
    )
    .expect("a link");
    let pod = pod(folder.path(), "whisper", None);
    kubectl(control_plane, &["create", "namespace", "whole"]).await;
    let text = fs::read_to_string(kubeconfig).expect("a kubeconfig");
    let mut contexts: Value = serde_json::from_str(&text).expect("JSON");
    let mut whole = contexts["contexts"][0].clone();
    whole["name"] = json!("whole");
    whole["context"]["namespace"] = json!("whole");
    let all = contexts["contexts"].as_array_mut().expect("a list");
    all.push(whole);
    let two = folder.path().join("two.kubeconfig");
    fs::write(&two, contexts.to_string()).expect("written");
    let plugin = |more: &[&str]| -> Ran {
        let mut kubectl = control_plane.kubectl().expect("kubectl");
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let paths = [folder.path().to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&paths));
        kubectl
            .env("PATH", std::env::join_paths(paths).expect("a PATH"))
            .env("KUBECONFIG", &two)
            .args(["berth", "preview", "-o", "json", "-f", arg(&pod)])
            .args(more);
        kubectl.output().expect("kubectl runs").into()
    };
    let namespace = |more: &[&str]| {
        let previewed = plugin(more).ended(0, "").json();
        let pod = &previewed["pods"][0];
        assert_eq!(pod["pool"], "rtx-2070", "{previewed}");
        pod["namespace"].as_str().expect("a name").to_owned()
    };
    assert_eq!(namespace(&[]), "default");
    assert_eq!(namespace(&["--context", "whole"]), "whole");
    assert_eq!(namespace(&["--context", "whole", "-n", "ai"]), "ai");
    assert_eq!(namespace(&["--table", arg(table)]), "default");
    plugin(&["--context", "nowhere"]).ended(2, "it has no context \"nowhere\"");
    plugin(&["--table", arg(table), "--context", "whole"])
        .ended(2, "--context is of use with --from-cluster alone");
}

#[tokio::test]
async fn whoever_lacks_rights_is_told_which_and_gets_the_rest() {
    let Some(control_plane) = control_plane().await else {
        return;
    };
    homelab(&control_plane).await;
    kubectl(&control_plane, &["create", "namespace", "ai"]).await;
    kubectl(&control_plane, &["label", "namespace", "ai", "team=ml"]).await;
    let of_ml = json!({"namespaceSelector": {"matchLabels": {"team": "ml"}}});
    apply(&control_plane, &class("ml", "rtx-2070", of_ml)).await;
    let user = "someone";
    let kubeconfig = control_plane.kubeconfig_without_rights(user).expect("one");
    let folder = tempfile::tempdir().expect("a folder");
    let pod = pod(folder.path(), "ml", None);
    let preview = |namespace: &str| {
        let flags = ["preview", "-o", "json", "-n", namespace, "-f", arg(&pod)];
        run(&kubeconfig, &flags)
    };
    for command in [preview("ai"), run(&kubeconfig, &["lint"])] {
        command.ended(3, "ask for the right to list gpupools and workloadclasses");
    }

    let right = "--resource=gpupools.berth.dev,workloadclasses.berth.dev";
    let role = ["create", "clusterrole", "table", "--verb=list", right];
    kubectl(&control_plane, &role).await;
    let user = format!("--user={user}");
    let bind = ["clusterrolebinding", "table", "--clusterrole=table", &user];
    kubectl(&control_plane, &[&["create"], &bind[..]].concat()).await;
    // the API server takes a moment until a right counts
    // a class by a label of namespaces is a warning
    let may = async || (run(&kubeconfig, &["lint"]).code == Some(1)).then_some(());
    assert!(eventually(may).await.is_some());
    run(&kubeconfig, &["lint"]).ended(1, "so the table is not held against the Nodes");
    let previewed = preview("ai").ended(1, "so the names of namespaces count here, and no label");
    assert_eq!(previewed.json()["pods"][0]["reason"], "ClassUnavailable");

    // who may view one namespace may read its labels
    let bind = ["rolebinding", "view", "-n=ai", "--clusterrole=view", &user];
    kubectl(&control_plane, &[&["create"], &bind[..]].concat()).await;
    let placed = async || (preview("ai").code == Some(0)).then_some(());
    assert!(eventually(placed).await.is_some());
    preview("ai").ended(0, "so of other namespaces than ai the name counts here");
    preview("default").ended(1, "so the names of namespaces count here, and no label");
}

/// A Deployment that was written by hand is stored, adopted and applied; its Pods then come out as before.
#[tokio::test]
async fn workloads_of_the_cluster_are_adopted_and_nothing_is_applied() {
    let Some(control_plane) = control_plane().await else {
        return;
    };
    homelab(&control_plane).await;
    let client = control_plane.client().await.expect("a client");
    berth_cluster::homelab::register(&client)
        .await
        .expect("the homelab's Nodes");
    let kubeconfig = control_plane.kubeconfig().expect("a file");
    kubectl(&control_plane, &["create", "namespace", "ai"]).await;
    let by_hand = path("examples/migrating/1-by-hand.yaml");
    kubectl(&control_plane, &["apply", "-f", arg(&by_hand)]).await;
    let get = [
        "get",
        "deployment/vllm",
        "-n",
        "ai",
        "-o",
        "jsonpath={.metadata.generation}",
    ];
    let before = kubectl(&control_plane, &get).await;
    for arguments in [&["adopt", "-n", "ai"][..], &["adopt", "-A"]] {
        let adopted = run(&kubeconfig, arguments).ended(
            0,
            "Deployment/vllm in ai: class vllm, pool strix-halo: remove ",
        );
        for line in [
            "--- a/ai/deployment/vllm\n",
            "+        berth.dev/workload-class: vllm\n",
            "-        kubernetes.io/hostname: khelben\n",
            "-            amd.com/gpu: \"1\"\n",
        ] {
            assert!(adopted.data.contains(line), "{line}: {}", adopted.data);
        }
    }
    let adopted = run(&kubeconfig, &["adopt", "-n", "ai", "-o", "json"])
        .ended(0, "")
        .json();
    assert_eq!(adopted["kind"], "Adoption");
    let vllm = &adopted["workloads"][0];
    assert_eq!([&vllm["name"], &vllm["class"]], ["vllm", "vllm"]);
    run(&kubeconfig, &["adopt"]).ended(0, "0 with a GPU: 0 could name a class, 0 cannot");
    assert_eq!(kubectl(&control_plane, &get).await, before);
}

#[tokio::test]
async fn a_namespace_of_the_cluster_opts_out_and_names_a_class() {
    let Some(control_plane) = control_plane().await else {
        return;
    };
    homelab(&control_plane).await;
    let kubeconfig = control_plane.kubeconfig().expect("a file");
    for (namespace, label) in [
        ("out", "berth.dev/inject=disabled"),
        ("whole", "berth.dev/workload-class=vllm"),
    ] {
        kubectl(&control_plane, &["create", "namespace", namespace]).await;
        kubectl(&control_plane, &["label", "namespace", namespace, label]).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let with_class = pod(folder.path(), "vllm", None);
    let reason = |namespace: &str, file: &Path| {
        let flags = ["preview", "-o", "json", "-n", namespace, "-f", arg(file)];
        let previewed = run(&kubeconfig, &flags).ended(0, "").json();
        previewed["pods"][0]["reason"]
            .as_str()
            .expect("one")
            .to_owned()
    };
    assert_eq!(reason("out", &with_class), "OptedOut");
    assert_eq!(reason("default", &with_class), "Placed");
    let text = fs::read_to_string(&with_class).expect("a Pod");
    let without = folder.path().join("without.json");
    fs::write(&without, text.replace("berth.dev/workload-class", "app")).expect("written");
    assert_eq!(reason("default", &without), "NoClass");
    assert_eq!(reason("whole", &without), "Placed");
}

#[test]
fn no_cluster_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let nowhere = |command: &mut Command| -> Ran {
        command
            .args(["lint", "--from-cluster"])
            .env("KUBECONFIG", folder.path().join("none"))
            .env("HOME", folder.path())
            .env_remove("KUBERNETES_SERVICE_HOST");
        command.output().expect("berth starts").into()
    };
    nowhere(&mut command()).ended(2, "no cluster: there is no kubeconfig");
    let mut plugin = command();
    plugin.arg0("kubectl-berth");
    nowhere(&mut plugin).ended(2, "no cluster: there is no kubeconfig");
    // nobody listens on port 1
    let dead = folder.path().join("dead");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": ""}}],
    });
    fs::write(&dead, text.to_string()).expect("written");
    run(&dead, &["lint"]).ended(3, "is the cluster of the kubeconfig's context there?");
    let table = path("examples/homelab.yaml");
    let mut with_variable = command();
    with_variable.env("BERTH_TABLE", &table).args(["lint"]);
    with_variable.args(["--from-cluster", "--kubeconfig", arg(&dead)]);
    Ran::from(with_variable.output().expect("berth starts")).ended(3, "Connection refused");
    run(&dead, &["lint", "--table", arg(&table)]).ended(2, "cannot be used with '--from-cluster'");
    run_without_cluster(&["lint"]).ended(2, "there is no table; name its files with --table");
    run_without_cluster(&["lint", "--context", "c"])
        .ended(2, "--context is of use with --from-cluster alone");
}
