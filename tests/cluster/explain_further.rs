//! `berth explain` of what happens seldom, on a real control plane.

use serde_json::{Value, json};

use crate::{
    choice::{node, table_object},
    eventually,
    explain::{as_json, commands, concludes, follow, pod, sentence},
    stage::{Stage, stage},
};

async fn apply(stage: &Stage, objects: &[Value]) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    stage.apply(&list.to_string()).await;
}

/// Creates a Pod as soon as its class is in force.
async fn admitted(stage: &Stage, manifest: &str) {
    let file = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
    std::fs::write(file.path(), manifest).expect("written");
    let file = crate::common::process::arg(file.path());
    let created = eventually(async || {
        let created = stage.kubectl(&["create", "-f", file]).await;
        created.status.success().then_some(())
    });
    assert!(created.await.is_some(), "{manifest} is not created");
}

#[tokio::test]
async fn pools_that_are_small_changed_or_full_of_others_are_told_apart() {
    let Some(stage) = stage().await else { return };
    let _berth = stage.berth_called(&[]).await;

    // nodes that are too small
    let small =
        json!({"nodeSelector": {"matchLabels": {"kind": "small"}}, "resourceName": "amd.com/gpu"});
    let two = json!({"pools": [{"name": "small"}], "gpus": {"default": 2}});
    let objects = [
        node("small-1", "small", Some(("amd.com/gpu", 1))),
        table_object("GPUPool", "small", small),
        table_object("WorkloadClass", "two", two),
    ];
    apply(&stage, &objects).await;
    admitted(&stage, &pod("two", "two", json!({}))).await;
    let explained = concludes(&stage, "pod/two", "TooFewGpus").await;
    let said = sentence(&explained);
    assert!(
        said.ends_with("no node of pool small has 2 GPUs: at most 1 on one node"),
        "{said}"
    );

    // a pool that moved to other nodes
    stage.run(&["cordon", "drizzt.home.arpa"]).await;
    stage.apply(&pod("bge", "bge-embeddings", json!({}))).await;
    concludes(&stage, "pod/bge", "Cordoned").await;
    let moved = r#"{"spec": {"hostnames": ["danilo"]}}"#;
    stage
        .run(&["patch", "gpupool/radeon-680m", "--type=merge", "-p", moved])
        .await;
    let explained = concludes(&stage, "pod/bge", "OwnConstraints").await;
    let said = sentence(&explained);
    let unmet = "danilo.home.arpa, does not match what the Pod asks of a node: kubernetes.io/hostname In [drizzt]";
    assert!(said.ends_with(unmet), "{said}");

    // room is made for one of a higher priority
    let high = json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000,
    });
    apply(&stage, &[high]).await;
    stage.apply(&pod("low", "vllm", json!({}))).await;
    concludes(&stage, "pod/low", "Running").await;
    let stays = r#"{"metadata": {"finalizers": ["example.com/stays"]}}"#;
    stage
        .run(&["patch", "pod/low", "--type=merge", "-p", stays])
        .await;
    stage
        .apply(&pod("high", "vllm", json!({"priorityClassName": "high"})))
        .await;
    let explained = concludes(&stage, "pod/high", "Preempting").await;
    let said = sentence(&explained);
    assert!(
        said.contains("room is made for it on khelben.home.arpa"),
        "{said}"
    );
    // the scheduler names the Node before it deletes the other Pod
    let leaves = eventually(async || {
        let leaving = as_json(&stage, "pod/low").await;
        (leaving["remarks"][0] == "it is being deleted").then_some(())
    });
    assert!(leaves.await.is_some(), "it is not being deleted");
    let ends = r#"{"metadata": {"finalizers": null}}"#;
    stage
        .run(&["patch", "pod/low", "--type=merge", "-p", ends])
        .await;
    concludes(&stage, "pod/high", "Running").await;
}

#[tokio::test]
async fn gpus_that_dra_provides_are_said_to_be_unknown() {
    if std::env::var(crate::KUBERNETES).is_ok() {
        return;
    }
    let Some(stage) = stage().await else { return };
    let _berth = stage.berth_called(&[]).await;
    let device_class = json!({
        "apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "gpu.example.com"},
        "spec": {
            "extendedResourceName": "amd.com/gpu",
            "selectors": [{"cel": {"expression": "device.driver == 'gpu.example.com'"}}],
        },
    });
    let objects = [
        node("storm", "dra", None),
        device_class,
        table_object(
            "GPUPool",
            "claimed",
            json!({"hostnames": ["storm"], "resourceName": "amd.com/gpu"}),
        ),
        table_object(
            "WorkloadClass",
            "claimed",
            json!({"pools": [{"name": "claimed"}]}),
        ),
    ];
    apply(&stage, &objects).await;
    admitted(&stage, &pod("claimed", "claimed", json!({}))).await;
    let explained = concludes(&stage, "pod/claimed", "ProvidedByDra").await;
    let said = sentence(&explained);
    assert!(
        said.ends_with(
            "DRA provides amd.com/gpu in pool claimed: how many are free, berth does not know"
        ),
        "{said}"
    );
    let explained = concludes(&stage, "pool/claimed", "ProvidedByDra").await;
    assert!(
        sentence(&explained).contains("DRA provides amd.com/gpu"),
        "{explained:#}"
    );
    let admin = stage.control_plane.kubeconfig().expect("a file");
    let (_, said, _) = crate::explain::berth(&admin, &["classes"]).await;
    let line = said
        .lines()
        .find(|it| it.starts_with("claimed"))
        .expect("a line");
    assert!(line.contains("unknown"), "{said}");
}

#[tokio::test]
async fn a_namespace_that_opts_out_is_named_with_the_command_that_ends_it() {
    let Some(stage) = stage().await else { return };
    let _berth = stage.berth_called(&[]).await;
    let webhooks = json!([{"op": "add", "path": "/webhooks/0/namespaceSelector", "value": {
        "matchExpressions": [{"key": "berth.dev/inject", "operator": "NotIn", "values": ["disabled"]}],
    }}]);
    let configuration = "mutatingwebhookconfiguration/berth";
    stage
        .run(&[
            "patch",
            configuration,
            "--type=json",
            "-p",
            &webhooks.to_string(),
        ])
        .await;
    stage.run(&["create", "namespace", "out"]).await;
    stage
        .run(&["label", "namespace", "out", "berth.dev/inject=disabled"])
        .await;
    stage
        .run(&["config", "set-context", "--current", "--namespace=out"])
        .await;
    let cpu = json!({"containers": [{"name": "main", "image": "x", "resources": {"requests": {"cpu": "500"}}}]});
    let manifest = pod("unseen", "whisper", cpu);
    // the API server says to nobody when it has noticed
    let unseen = eventually(async || {
        let _ = stage
            .kubectl(&["delete", "pod", "unseen", "--grace-period=0", "--force"])
            .await;
        admitted(&stage, &manifest).await;
        let unseen = stage.object("pod/unseen").await;
        unseen["metadata"]["annotations"]["berth.dev/pool"]
            .is_null()
            .then_some(())
    });
    assert!(unseen.await.is_some(), "berth is still asked");
    let explained = concludes(&stage, "pod/unseen", "NeverSeen").await;
    let said = sentence(&explained);
    assert!(
        said.starts_with("Pending ")
            && said.ends_with("namespace out has the label berth.dev/inject: disabled"),
        "{said}"
    );
    let [label, delete] = commands(&explained)[..] else {
        panic!("{explained:#}")
    };
    follow(&stage, label).await;
    follow(&stage, delete).await;
    let seen = eventually(async || {
        let _ = stage
            .kubectl(&["delete", "pod", "unseen", "--grace-period=0", "--force"])
            .await;
        admitted(&stage, &manifest).await;
        let seen = stage.object("pod/unseen").await;
        let pool = &seen["metadata"]["annotations"]["berth.dev/pool"];
        pool.is_string().then_some(())
    });
    assert!(seen.await.is_some(), "berth does not see it");
    concludes(&stage, "pod/unseen", "NotTheGpu").await;
}
