//! `berth classes` on a real control plane: with every right, with few, and with none to read the table.

use serde_json::{Value, json};

use crate::{
    eventually,
    explain::berth,
    stage::{Stage, stage},
};

/// Binds these rules to a user, cluster-wide.
async fn grant(stage: &Stage, user: &str, rules: Value) {
    let group = "rbac.authorization.k8s.io";
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": user}, "rules": rules},
        {"apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": user},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": user},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}]},
    ]});
    stage.apply(&list.to_string()).await;
}

#[tokio::test]
async fn a_namespace_is_told_its_classes_as_far_as_the_rights_go() {
    let Some(stage) = stage().await else { return };
    let _berth = stage.berth_called(&[]).await;
    let closed = json!({
        "apiVersion": "berth.dev/v1alpha1", "kind": "WorkloadClass", "metadata": {"name": "closed"},
        "spec": {"pools": [{"name": "strix-halo"}], "namespaceSelector": {"matchLabels": {"team": "a"}}},
    });
    stage.apply(&closed.to_string()).await;
    stage.run(&["cordon", "danilo.home.arpa"]).await;
    stage
        .turns(
            "workloadclass/bge-reranker",
            "Ready",
            ["False", "NoPoolReady"],
        )
        .await;
    for written in ["gpupool/rtx-2070", "workloadclass/whisper"] {
        stage.turns(written, "Ready", ["True", "Ready"]).await;
    }

    // with every right: counted now
    let admin = stage.control_plane.kubeconfig().expect("a file");
    let (code, said, error) = berth(&admin, &["classes"]).await;
    assert_eq!((code, &*error), (Some(0), ""), "{said}");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = said.lines().map(words).collect();
    assert_eq!(
        lines,
        [
            "CLASS POOLS GPUS FREE READY RATIONALE",
            "bge-embeddings radeon-680m 1 1 of 1 yes ROCm, batch.",
            "bge-reranker intel-arc 1 0 of 0 no Light work; the integrated GPU is enough.",
            "vllm strix-halo 1 1 of 1 yes Large models need the unified memory; no contention allowed.",
            "whisper rtx-2070 1 2 of 2 yes CUDA-optimised, medium memory.",
            "xtts rtx-2070 1 2 of 2 yes CUDA; shares the card with Whisper by time-slicing.",
            "bge-reranker: no pool of the class is ready: see their conditions",
        ]
    );
    // a namespace's labels count
    stage.run(&["create", "namespace", "team-a"]).await;
    stage.run(&["label", "namespace", "team-a", "team=a"]).await;
    let (_, said, _) = berth(&admin, &["classes", "-n", "team-a"]).await;
    assert!(said.contains("\nclosed "), "{said}");

    // the table alone: what berth wrote
    let read = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["get", "list"]});
    grant(
        &stage,
        "reader",
        json!([read("berth.dev", &["gpupools", "workloadclasses"])]),
    )
    .await;
    let reader = stage
        .control_plane
        .kubeconfig_without_rights("reader")
        .expect("a file");
    let as_json = async |kubeconfig: &std::path::Path| {
        let (code, said, error) = berth(kubeconfig, &["classes", "-o", "json"]).await;
        assert_eq!(code, Some(0), "{said}{error}");
        serde_json::from_str::<Value>(&said).expect("JSON")
    };
    // the API server says to nobody when it has noticed
    let granted = eventually(async || {
        let (code, ..) = berth(&reader, &["classes"]).await;
        (code == Some(0)).then_some(())
    });
    assert!(granted.await.is_some());
    let whisper = |said: &Value| {
        let classes = said["classes"].as_array().expect("a list").iter();
        classes
            .clone()
            .find(|it| it["name"] == "whisper")
            .expect("there")
            .clone()
    };
    let said = as_json(&reader).await;
    assert_eq!(said["apiVersion"], "cli.berth.dev/v1alpha1");
    assert_eq!(
        whisper(&said)["pools"],
        json!([{"name": "rtx-2070", "free": 2, "allocatable": 2}])
    );
    let unread = said["unread"].to_string();
    assert!(
        unread.contains("Nodes: nodes is forbidden") && unread.contains("Pods: pods is forbidden"),
        "{unread}"
    );

    // the classes alone: how many are free is not known, and not said
    grant(
        &stage,
        "classes",
        json!([read("berth.dev", &["workloadclasses"])]),
    )
    .await;
    let classes = stage
        .control_plane
        .kubeconfig_without_rights("classes")
        .expect("a file");
    let granted = eventually(async || {
        let (code, ..) = berth(&classes, &["classes"]).await;
        (code == Some(0)).then_some(())
    });
    assert!(granted.await.is_some());
    let said = as_json(&classes).await;
    assert_eq!(whisper(&said)["pools"], json!([{"name": "rtx-2070"}]));
    assert_eq!(whisper(&said)["ready"], true);

    // neither: berth itself says which there are, to whoever may create a Pod
    let nobody = stage
        .control_plane
        .kubeconfig_without_rights("nobody")
        .expect("a file");
    let (code, _, error) = berth(&nobody, &["classes"]).await;
    assert_eq!(code, Some(3), "{error}");
    assert!(
        error.contains("workloadclasses.berth.dev is forbidden"),
        "{error}"
    );
    grant(
        &stage,
        "nobody",
        json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]),
    )
    .await;
    let told = eventually(async || {
        let (code, said, _) = berth(&nobody, &["classes"]).await;
        (code == Some(0)).then_some(said)
    });
    let told = told.await.expect("told");
    let expected =
        "available in namespace default: bge-embeddings, bge-reranker, vllm, whisper, xtts (table ";
    assert!(told.starts_with(expected), "{told}");
}
