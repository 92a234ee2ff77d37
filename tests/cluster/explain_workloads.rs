//! `berth explain` of what makes Pods, of classes and of pools, on a real control plane.

use serde_json::{Value, json};

use crate::{
    eventually,
    explain::{as_json, berth, commands, concludes, deployment, explain, pod_of, sentence},
    stage::{Stage, stage},
};

/// A workload of a kind whose spec has the fields given, and a template of a class.
fn workload(api: &str, kind: &str, name: &str, class: &str, spec: Value) -> String {
    let mut whole = json!({"template": {
        "metadata": {"labels": {"app": name, "berth.dev/workload-class": class}},
        "spec": {"restartPolicy": if kind == "Job" { "Never" } else { "Always" }, "containers": [{"name": "main", "image": "x"}]},
    }});
    let fields = spec.as_object().expect("fields").clone();
    whole.as_object_mut().expect("a spec").extend(fields);
    json!({"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": whole}).to_string()
}

#[tokio::test]
async fn a_workload_without_pods_is_told_why() {
    let Some(stage) = stage().await else { return };
    let _berth = stage.berth_called(&[]).await;

    // a misspelt class makes no Pod at all
    stage.apply(&deployment("llm", "vlm", 1)).await;
    let selector = json!({"selector": {"matchLabels": {"app": "set"}}, "serviceName": "set"});
    stage
        .apply(&workload("apps/v1", "StatefulSet", "set", "vlm", selector))
        .await;
    stage
        .apply(&workload("batch/v1", "Job", "train", "vlm", json!({})))
        .await;
    // the template of a Job cannot be changed
    for (object, by, fix) in [
        ("deploy/llm", "ReplicaSet/llm-", "edit"),
        ("sts/set", "StatefulSet/set: ", "edit"),
        ("job/train", "Job/train: ", "delete"),
    ] {
        let explained = concludes(&stage, object, "Denied").await;
        let said = sentence(&explained);
        let denial = "no Pod is made, since berth denies it: workload class \"vlm\" is not available in namespace \"default\"; \
                      available here: bge-embeddings, bge-reranker, vllm, whisper, xtts; did you mean \"vllm\"?";
        assert!(said.starts_with(denial), "{said}");
        let told = crate::eventually(async || {
            let explained = as_json(&stage, object).await;
            let remark = explained["remarks"][0].as_str()?.to_owned();
            (remark.starts_with(by) && remark.contains("FailedCreate ")).then_some(())
        });
        assert!(
            told.await.is_some(),
            "{object}: {:#}",
            as_json(&stage, object).await
        );
        assert_eq!(
            commands(&explained),
            [format!("kubectl -n default {fix} {object}")]
        );
    }
    stage
        .run(&["delete", "deploy/llm", "sts/set", "job/train"])
        .await;

    // it is not berth that denies
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}},
    });
    stage.apply(&quota.to_string()).await;
    stage
        .run(&[
            "wait",
            "--for=jsonpath={.status.hard.pods}=0",
            "quota/none",
            "--timeout=30s",
        ])
        .await;
    stage.apply(&deployment("over", "whisper", 1)).await;
    let explained = concludes(&stage, "deploy/over", "NotCreated").await;
    let told = crate::eventually(async || {
        let explained = as_json(&stage, "deploy/over").await;
        sentence(&explained)
            .contains("exceeded quota: none")
            .then_some(())
    });
    assert!(told.await.is_some(), "{explained:#}");
    stage.run(&["delete", "deploy/over", "quota/none"]).await;

    // it rests
    stage
        .apply(&workload(
            "batch/v1",
            "Job",
            "later",
            "whisper",
            json!({"suspend": true}),
        ))
        .await;
    let explained = concludes(&stage, "job/later", "Resting").await;
    assert_eq!(
        sentence(&explained),
        "it makes no Pod now: it is suspended (spec.suspend)"
    );
    stage.apply(&deployment("none", "vlm", 0)).await;
    let explained = concludes(&stage, "deploy/none", "Resting").await;
    assert_eq!(
        sentence(&explained),
        "it makes no Pod now: it has 0 replicas"
    );
    assert!(
        explained["remarks"][0]
            .as_str()
            .is_some_and(|it| it.starts_with("its Pods would be denied: ")),
        "{explained:#}"
    );
    let template = json!({"spec": {"template": {
        "metadata": {"labels": {"berth.dev/workload-class": "whisper"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]},
    }}});
    let cronjob = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"},
        "spec": {"schedule": "0 0 30 2 *", "jobTemplate": template},
    });
    stage.apply(&cronjob.to_string()).await;
    let explained = concludes(&stage, "cronjob/nightly", "Resting").await;
    assert_eq!(
        sentence(&explained),
        "it makes no Pod now: it has no Job now"
    );

    // the label is on the Deployment, and its Pods do not get it
    let mut beside: Value =
        serde_json::from_str(&deployment("beside", "whisper", 1)).expect("JSON");
    beside["metadata"]["labels"] = json!({"berth.dev/workload-class": "whisper"});
    beside["spec"]["template"]["metadata"]["labels"] = json!({"app": "beside"});
    stage.apply(&beside.to_string()).await;
    pod_of(&stage, "beside", "Running").await;
    let text = explain(&stage, "deploy/beside").await;
    assert!(
        text.contains("it belongs into spec.template.metadata.labels"),
        "{text}"
    );
}

#[tokio::test]
async fn a_workload_whose_pods_wait_is_told_what_for_and_so_is_its_class() {
    let Some(stage) = stage().await else { return };
    let _berth = stage.berth_called(&[]).await;
    class_and_pool_before(&stage).await;
    stage.apply(&deployment("whisper", "whisper", 3)).await;
    pod_of(&stage, "whisper", "Pending").await;
    // a Pod that has its GPU may take a moment to run
    let two_run = eventually(async || {
        let explained = as_json(&stage, "deploy/whisper").await;
        let remark = explained["remarks"][0].as_str()?;
        let is_one = remark.starts_with("pod/whisper-")
            && remark.ends_with(" is one of 3 Pods, of which 2 run");
        (is_one && explained["reason"] == "NoFreeGpu").then_some(explained)
    });
    let Some(explained) = two_run.await else {
        panic!("{:#}", as_json(&stage, "deploy/whisper").await);
    };
    assert_eq!(explained["object"], "deploy/whisper");
    for (object, said) in [
        (
            "class/whisper",
            "pool rtx-2070 has no free GPU: 2 of 2 taken",
        ),
        (
            "pool/rtx-2070",
            "pool rtx-2070 has no free GPU: 2 of 2 taken",
        ),
    ] {
        let explained = concludes(&stage, object, "NoFreeGpu").await;
        assert_eq!(sentence(&explained), said, "{object}");
        let taken = explained["pools"][0]["takenBy"].as_array().expect("a list");
        assert_eq!(taken.len(), 2, "{explained:#}");
    }
    stage
        .run(&["scale", "deploy/whisper", "--replicas=0"])
        .await;
    concludes(&stage, "deploy/whisper", "Resting").await;
    // until they are gone, they have their GPUs
    let gone = [
        "wait",
        "--for=delete",
        "pod",
        "-l",
        "app=whisper",
        "--timeout=60s",
    ];
    stage.run(&gone).await;

    // a class of two vendors: the first pool was full, and now the other one has room
    another_pool(&stage).await;
}

async fn class_and_pool_before(stage: &Stage) {
    let explained = concludes(stage, "class/whisper", "Ready").await;
    assert_eq!(
        sentence(&explained),
        "pool rtx-2070 has 2 of 2 GPUs free, less what Pods wait for"
    );
    let admin = stage.control_plane.kubeconfig().expect("a file");
    for (object, said) in [
        ("class/whispr", "did you mean \"whisper\"?"),
        (
            "pool/rtx-2071",
            "there is no GPUPool \"rtx-2071\": did you mean \"rtx-2070\"?",
        ),
        (
            "deploy/whisper",
            "there is no Deployment whisper in namespace default",
        ),
    ] {
        let (code, _, error) = berth(&admin, &["explain", object]).await;
        assert_eq!(code, Some(3), "{object}");
        assert!(error.contains(said), "{object}: {error}");
    }
    let broken = json!({
        "apiVersion": "berth.dev/v1alpha1", "kind": "WorkloadClass", "metadata": {"name": "broken"},
        "spec": {"pools": [{"name": "rtx-2071"}]},
    });
    stage.apply(&broken.to_string()).await;
    let explained = concludes(stage, "class/broken", "NotAccepted").await;
    assert!(
        sentence(&explained)
            .contains("there is no GPUPool \"rtx-2071\": did you mean \"rtx-2070\"?"),
        "{explained:#}"
    );
    stage.run(&["cordon", "danilo.home.arpa"]).await;
    let explained = concludes(stage, "pool/intel-arc", "Cordoned").await;
    assert!(
        sentence(&explained)
            .ends_with("node danilo.home.arpa is cordoned: kubectl uncordon danilo.home.arpa"),
        "{explained:#}"
    );
}

async fn another_pool(stage: &Stage) {
    let both = json!({
        "apiVersion": "berth.dev/v1alpha1", "kind": "WorkloadClass", "metadata": {"name": "both"},
        "spec": {"pools": [{"name": "radeon-680m"}, {"name": "rtx-2070"}]},
    });
    stage.apply(&both.to_string()).await;
    stage
        .turns("workloadclass/both", "Ready", ["True", "Ready"])
        .await;
    stage.apply(&deployment("both", "both", 4)).await;
    let waits = pod_of(stage, "both", "Pending").await;
    let pools = [
        "get",
        &waits,
        "-o",
        "jsonpath={.metadata.annotations.berth\\.dev/pool}",
    ];
    let (full, other) = match &*stage.run(&pools).await {
        "radeon-680m" => ("radeon-680m", "rtx-2070"),
        _ => ("rtx-2070", "radeon-680m"),
    };
    // those of the other pool end, and nobody makes others, which would take it again
    let pods = stage
        .run(&["get", "pods", "-l", "app=both", "-o", "json"])
        .await;
    let pods: Value = serde_json::from_str(&pods).expect("JSON");
    let of_other = pods["items"].as_array().expect("a list").iter();
    let of_other = of_other.filter(|it| it["metadata"]["annotations"]["berth.dev/pool"] == other);
    let names: Vec<&str> = of_other
        .filter_map(|it| it["metadata"]["name"].as_str())
        .collect();
    let orphans = ["delete", "rs", "-l", "app=both", "--cascade=orphan"];
    stage
        .run(&["delete", "deploy/both", "--cascade=orphan"])
        .await;
    stage.run(&orphans).await;
    stage
        .run(&[&["delete", "pod", "--grace-period=0", "--force"], &*names].concat())
        .await;
    let explained = concludes(stage, &waits, "Overtaken").await;
    let said = sentence(&explained);
    assert!(
        said.contains(&format!("pool {full} has no free GPU")),
        "{said}"
    );
    assert!(
        said.ends_with(&format!("another pool of its class has room now: {other}")),
        "{said}"
    );
}
