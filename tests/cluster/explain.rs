//! `berth explain` on a real control plane: each situation is made for real, and the conclusion is its cause.

use std::path::Path;

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::{
    common::process::{arg, command},
    eventually,
    stage::{Stage, stage},
};

/// What `berth ARGUMENTS` prints with a kubeconfig, and its exit code.
pub async fn berth(kubeconfig: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut berth = command();
    berth.args(arguments);
    berth.args(["--kubeconfig", arg(kubeconfig)]);
    let ran = spawn_blocking(move || berth.output()).await;
    let output = ran.expect("no panic").expect("berth runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Explains with every right: the text.
pub async fn explain(stage: &Stage, object: &str) -> String {
    let admin = stage.control_plane.kubeconfig().expect("a file");
    let (code, said, error) = berth(&admin, &["explain", object]).await;
    assert_eq!(code, Some(0), "{object}: {said}{error}");
    said
}

/// The same, as JSON.
pub async fn as_json(stage: &Stage, object: &str) -> Value {
    let admin = stage.control_plane.kubeconfig().expect("a file");
    let (code, said, error) = berth(&admin, &["explain", object, "-o", "json"]).await;
    assert_eq!(code, Some(0), "{object}: {said}{error}");
    serde_json::from_str(&said).expect("JSON")
}

/// Waits for a conclusion, which a list may show a moment later: the whole explanation.
pub async fn concludes(stage: &Stage, object: &str, reason: &str) -> Value {
    let found = eventually(async || {
        let explained = as_json(stage, object).await;
        (explained["reason"] == reason).then_some(explained)
    });
    let Some(found) = found.await else {
        panic!("{object}: {:#}", as_json(stage, object).await);
    };
    found
}

pub fn sentence(explained: &Value) -> &str {
    explained["conclusion"].as_str().expect("a sentence")
}

/// The commands of the advice.
pub fn commands(explained: &Value) -> Vec<&str> {
    let advice = explained["advice"].as_array().expect("a list");
    let commands = advice.iter().filter_map(|it| it["command"].as_str());
    commands.filter(|it| !it.is_empty()).collect()
}

/// Runs what kubectl is advised to do.
pub async fn follow(stage: &Stage, command: &str) {
    let words: Vec<&str> = command.split_whitespace().collect();
    assert_eq!(words.first(), Some(&"kubectl"), "{command}");
    stage.run(&words[1..]).await;
}

pub fn pod(name: &str, class: &str, spec: Value) -> String {
    let mut whole = json!({
        "automountServiceAccountToken": false,
        "containers": [{"name": "main", "image": "x"}],
    });
    let fields = spec.as_object().expect("fields").clone();
    whole.as_object_mut().expect("a spec").extend(fields);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"berth.dev/workload-class": class}},
        "spec": whole,
    })
    .to_string()
}

pub fn deployment(name: &str, class: &str, replicas: u32) -> String {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name, "berth.dev/workload-class": class}},
                "spec": {"containers": [{"name": "main", "image": "x"}]},
            },
        },
    })
    .to_string()
}

/// A Pod of a Deployment in a phase. One that is Pending is one that the scheduler found no node
/// for: any other may run a moment later.
pub async fn pod_of(stage: &Stage, app: &str, phase: &str) -> String {
    let selector = format!("--selector=app={app}");
    let is_meant = |pod: &Value| {
        let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        pod["status"]["phase"] == phase
            && (phase != "Pending" || conditions.any(|it| it["reason"] == "Unschedulable"))
    };
    let name = eventually(async || {
        let said = stage.run(&["get", "pods", &selector, "-o", "json"]).await;
        let pods: Value = serde_json::from_str(&said).expect("JSON");
        let found = pods["items"].as_array()?.iter().find(|it| is_meant(it))?;
        Some(format!("pod/{}", found["metadata"]["name"].as_str()?))
    });
    name.await
        .unwrap_or_else(|| panic!("no Pod of {app} is {phase}"))
}

#[tokio::test]
async fn a_pod_that_waits_is_told_what_for() {
    let Some(stage) = stage().await else { return };
    let _berth = stage.berth_called(&[]).await;

    // no free GPU, and who has them
    stage.apply(&deployment("whisper", "whisper", 3)).await;
    let waits = pod_of(&stage, "whisper", "Pending").await;
    let explained = concludes(&stage, &waits, "NoFreeGpu").await;
    let said = sentence(&explained);
    assert!(said.starts_with("Pending "), "{said}");
    assert!(
        said.ends_with("pool rtx-2070 has no free GPU: 2 of 2 taken"),
        "{said}"
    );
    assert_eq!(explained["apiVersion"], "cli.berth.dev/v1alpha1");
    let steps = explained["pools"][0]["steps"].as_array().expect("steps");
    let counts: Vec<u64> = steps.iter().filter_map(|it| it["nodes"].as_u64()).collect();
    assert_eq!(counts, [4, 1, 1, 1, 1, 1, 1, 0]);
    // the scheduler writes its Event when it has written the condition
    let told = eventually(async || {
        let text = explain(&stage, &waits).await;
        text.contains("FailedScheduling").then_some(text)
    });
    let text = told.await.expect("the scheduler's Event");
    for part in [
        "nodes 4 → in the pool 1 → allowed by the Pod 1 → ready 1 → not cordoned 1 → tolerated 1 → with 1 GPU 1 → free now 0",
        "container \"main\" gets 1 of nvidia.com/gpu: it is the only one",
        "node affinity is added: kubernetes.io/hostname In [elminster]",
        "runtimeClassName nvidia is added",
        "FailedScheduling",
        "Insufficient nvidia.com/gpu",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert_eq!(text.matches("default/whisper-").count(), 2, "{text}");
    let scale = "kubectl -n default scale deploy/whisper --replicas=0";
    // to scale itself down helps nobody
    assert!(commands(&explained).is_empty(), "{explained:#}");

    // one that runs
    let runs = pod_of(&stage, "whisper", "Running").await;
    let explained = concludes(&stage, &runs, "Running").await;
    let said = sentence(&explained);
    assert!(
        said.starts_with("Running on elminster.home.arpa for "),
        "{said}"
    );
    assert!(
        said.ends_with(", with 1 of nvidia.com/gpu in container main. Nothing to explain"),
        "{said}"
    );
    follow(&stage, scale).await;

    // cordoned, and what is advised helps
    stage.run(&["cordon", "khelben.home.arpa"]).await;
    stage.apply(&pod("vllm", "vllm", json!({}))).await;
    let explained = concludes(&stage, "pod/vllm", "Cordoned").await;
    let said = sentence(&explained);
    assert!(
        said.ends_with("the only node of pool strix-halo, khelben.home.arpa, is cordoned"),
        "{said}"
    );
    follow(&stage, commands(&explained)[0]).await;
    concludes(&stage, "pod/vllm", "Running").await;
    stage
        .run(&["delete", "pod", "vllm", "--grace-period=0", "--force"])
        .await;
    nodes_that_change(&stage).await;
}

async fn nodes_that_change(stage: &Stage) {
    // a taint that came after the Pod; then the pool declares it, and a new Pod tolerates it
    stage
        .run(&["taint", "nodes", "khelben.home.arpa", "gpu=only:NoSchedule"])
        .await;
    stage.apply(&deployment("vllm", "vllm", 1)).await;
    let waits = pod_of(stage, "vllm", "Pending").await;
    let explained = concludes(stage, &waits, "UntoleratedTaint").await;
    let said = sentence(&explained);
    assert!(
        said.contains(
            "khelben.home.arpa, has the taint gpu=only:NoSchedule, which the Pod does not tolerate"
        ),
        "{said}"
    );
    assert_eq!(
        explained["remarks"][0],
        "pool strix-halo does not declare it"
    );
    assert_eq!(
        commands(&explained),
        ["kubectl taint nodes khelben.home.arpa gpu=only:NoSchedule-"]
    );
    let declare = r#"{"spec": {"taints": [{"key": "dedicated", "value": "vllm", "effect": "NoSchedule"}, {"key": "gpu", "value": "only", "effect": "NoSchedule"}]}}"#;
    stage
        .run(&["patch", "gpupool/strix-halo", "--type=merge", "-p", declare])
        .await;
    let gibibytes = std::cell::Cell::new(64);
    let newer = eventually(async || {
        // a time is in whole seconds, so a change of the same second may as well have come before
        gibibytes.set(gibibytes.get() + 1);
        let memory = format!(r#"{{"spec": {{"memoryPerGPU": "{}Gi"}}}}"#, gibibytes.get());
        stage
            .run(&["patch", "gpupool/strix-halo", "--type=merge", "-p", &memory])
            .await;
        let explained = as_json(stage, &waits).await;
        let remark = explained["remarks"][0].as_str().expect("a remark");
        let is_newer = remark.starts_with("the pool declares it now")
            && remark.ends_with("after the Pod was made");
        is_newer.then_some(explained)
    });
    let explained = newer.await.expect("the pool is newer than the Pod");
    let delete = commands(&explained)[0];
    assert!(
        delete.starts_with("kubectl -n default delete pod vllm-"),
        "{delete}"
    );
    stage
        .turns(
            "gpupool/strix-halo",
            "TaintsAsDeclared",
            ["True", "AsDeclared"],
        )
        .await;
    follow(stage, delete).await;
    pod_of(stage, "vllm", "Running").await;

    // a label that went away, and comes back
    stage
        .run(&[
            "label",
            "node",
            "drizzt.home.arpa",
            "kubernetes.io/hostname-",
        ])
        .await;
    stage.apply(&pod("bge", "bge-embeddings", json!({}))).await;
    let explained = concludes(stage, "pod/bge", "NoNode").await;
    let said = sentence(&explained);
    assert!(
        said.contains(
            "pool radeon-680m has no node: 0 of 4 match kubernetes.io/hostname In [drizzt]"
        ),
        "{said}"
    );
    assert!(
        said.contains("1 node offers amd.com/gpu and is in no pool: drizzt.home.arpa"),
        "{said}"
    );
    let of_pool = as_json(stage, "pool/radeon-680m").await;
    assert_eq!(of_pool["reason"], "NoNode", "{of_pool:#}");
    let label = "kubectl label node drizzt.home.arpa kubernetes.io/hostname=drizzt";
    assert_eq!(commands(&of_pool), [label]);
    follow(stage, commands(&explained)[0]).await;
    concludes(stage, "pod/bge", "Running").await;
}

#[tokio::test]
async fn a_pod_that_waits_for_something_else_is_told_that_it_is_not_the_gpu() {
    let Some(stage) = stage().await else { return };
    let _berth = stage.berth_called(&[]).await;
    let cpu = |cpu: &str| json!({"containers": [{"name": "main", "image": "x", "resources": {"requests": {"cpu": cpu}}}]});
    for (name, class, spec, reason, part) in [
        (
            "cpu",
            "whisper",
            cpu("500"),
            "NotTheGpu",
            "1 GPU of pool rtx-2070 is free, on elminster.home.arpa; the scheduler names something else: 1 Insufficient cpu",
        ),
        (
            "volcano",
            "whisper",
            json!({"schedulerName": "volcano"}),
            "OtherScheduler",
            "scheduler volcano has not said anything about it",
        ),
        (
            "own",
            "whisper",
            json!({"nodeSelector": {"kubernetes.io/arch": "arm64"}}),
            "OwnConstraints",
            "nodeSelector kubernetes.io/arch: arm64",
        ),
        (
            "gated",
            "whisper",
            json!({"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}),
            "Gated",
            "while it has the gate kueue.x-k8s.io/admission: Kueue holds it",
        ),
    ] {
        stage.apply(&pod(name, class, spec)).await;
        let explained = concludes(&stage, &format!("pod/{name}"), reason).await;
        assert!(sentence(&explained).contains(part), "{explained:#}");
    }

    // berth is not asked any more, and is again
    stage
        .run(&["delete", "mutatingwebhookconfiguration", "berth"])
        .await;
    let unseen = eventually(async || {
        let _ = stage
            .kubectl(&["delete", "pod", "unseen", "--grace-period=0", "--force"])
            .await;
        stage.apply(&pod("unseen", "whisper", json!({}))).await;
        let unseen = stage.object("pod/unseen").await;
        unseen["metadata"]["annotations"]["berth.dev/pool"]
            .is_null()
            .then_some(())
    });
    assert!(unseen.await.is_some(), "berth is still asked");
    let explained = concludes(&stage, "pod/unseen", "Running").await;
    let remark = explained["remarks"][0].as_str().expect("a remark");
    assert!(
        remark.contains("berth never saw this Pod")
            && remark.contains("no MutatingWebhookConfiguration asks berth"),
        "{remark}"
    );
}

#[tokio::test]
async fn what_is_not_there_is_said_with_what_may_be_meant() {
    let Some(stage) = stage().await else { return };
    let admin = stage.control_plane.kubeconfig().expect("a file");
    stage.apply(&pod("whisper-1", "whisper", json!({}))).await;
    for (arguments, code, part) in [
        (
            &["explain", "pod/whisper-2"][..],
            3,
            "there is no Pod whisper-2 in namespace default; did you mean whisper-1?",
        ),
        (
            &["explain", "pod/other"],
            3,
            "there is no Pod other in namespace default",
        ),
        (&["explain", "pot/other"], 2, "did you mean"),
        (
            &["explain", "pod/x", "--context", "nowhere"],
            2,
            "it has no context \"nowhere\"",
        ),
    ] {
        let (found, _, error) = berth(&admin, arguments).await;
        assert_eq!(found, Some(code), "{arguments:?}: {error}");
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
    // without rights: the API server's sentence; with few, an answer as far as they go
    let nobody = stage
        .control_plane
        .kubeconfig_without_rights("nobody")
        .expect("a file");
    let (code, _, error) = berth(&nobody, &["explain", "pod/whisper-1"]).await;
    assert_eq!(code, Some(3));
    assert!(error.contains("pods \"whisper-1\" is forbidden"), "{error}");
    stage
        .run(&[
            "create",
            "rolebinding",
            "nobody",
            "--clusterrole=view",
            "--user=nobody",
        ])
        .await;
    let answered = eventually(async || {
        let (code, said, _) = berth(&nobody, &["explain", "pod/whisper-1"]).await;
        (code == Some(0)).then_some(said)
    });
    let answered = answered.await.expect("answered");
    assert!(
        answered.contains("not read  GPUPools: gpupools.berth.dev is forbidden"),
        "{answered}"
    );
    // no table in the cluster: it is of files, or berth is not installed there
    stage
        .run(&[
            "delete",
            "crd",
            "gpupools.berth.dev",
            "workloadclasses.berth.dev",
        ])
        .await;
    // the API server serves a kind for a moment longer than it has its definition
    let unread = eventually(async || {
        let explained = concludes(&stage, "pod/whisper-1", "Running").await;
        let unread = explained["unread"].as_array()?;
        (unread.len() == 2).then(|| unread.clone())
    });
    let unread = unread.await.expect("neither kind is read");
    let no_table = "the cluster has no definition of them, so berth is not installed there, or its table is of files";
    for (unread, what) in unread.iter().zip(["GPUPools", "WorkloadClasses"]) {
        assert_eq!(unread, &format!("{what}: {no_table}"));
    }
    for question in [&["explain", "pool/rtx-2070"][..], &["classes"]] {
        let (code, _, error) = berth(&admin, question).await;
        assert_eq!(code, Some(3), "{error}");
        let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(error.contains(no_table), "{error}");
    }
}
