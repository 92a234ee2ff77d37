//! `berth explain` of what makes Pods, where some of its Pods run or some of it may not be read, on a real control plane.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{
    eventually,
    explain::{as_json, berth, commands, concludes, deployment, pod_of, sentence},
    stage::{Stage, stage},
};

#[tokio::test]
async fn pods_of_an_earlier_template_do_not_hide_that_there_is_none_of_this_one() {
    let Some(stage) = stage().await else { return };
    let _berth = stage.berth_called(&[]).await;
    stage.apply(&deployment("llm", "whisper", 1)).await;
    pod_of(&stage, "llm", "Running").await;
    let runs = concludes(&stage, "deploy/llm", "Running").await;
    assert!(sentence(&runs).ends_with("Nothing to explain"), "{runs:#}");
    stage.apply(&deployment("llm", "wisper", 1)).await;
    let stuck = concludes(&stage, "deploy/llm", "Denied").await;
    let said = "no new Pod is made, since berth denies it: workload class \"wisper\" is not available in namespace \"default\"";
    assert!(sentence(&stuck).starts_with(said), "{stuck:#}");
    assert_eq!(
        commands(&stuck),
        ["kubectl -n default edit deploy/llm"],
        "{stuck:#}"
    );
    let is_told = |explained: &Value, part: &str| {
        let remarks = explained["remarks"].as_array().expect("a list");
        remarks
            .iter()
            .any(|it| it.as_str().is_some_and(|it| it.contains(part)))
    };
    for part in ["it has 1 Pod, of which 1 run", "FailedCreate"] {
        let told =
            eventually(async || is_told(&as_json(&stage, "deploy/llm").await, part).then_some(()));
        assert!(
            told.await.is_some(),
            "{part}: {:#}",
            as_json(&stage, "deploy/llm").await
        );
    }

    // back to the old template, which has the oldest ReplicaSet of all
    stage.apply(&deployment("llm", "whisper", 1)).await;
    concludes(&stage, "deploy/llm", "Running").await;
    what_is_not_read_is_not_concluded(&stage).await;
}

/// A user who may read what a Deployment consists of, less one resource.
async fn who_may_not_read(stage: &Stage, user: &str, not: &str) -> PathBuf {
    let resources = ["pods", "events", "deployments", "replicasets"];
    let resources: Vec<&str> = resources.into_iter().filter(|it| *it != not).collect();
    let resources = format!("--resource={}", resources.join(","));
    stage
        .run(&["create", "role", user, "--verb=get,list", &resources])
        .await;
    let (role, user_flag) = (format!("--role={user}"), format!("--user={user}"));
    stage
        .run(&["create", "rolebinding", user, &role, &user_flag])
        .await;
    let kubeconfig = stage.control_plane.kubeconfig_without_rights(user);
    kubeconfig.expect("a file")
}

async fn what_is_not_read_is_not_concluded(stage: &Stage) {
    for (user, not, what, said) in [
        ("a", "pods", "Pods: ", "its Pods could not be read"),
        (
            "b",
            "replicasets",
            "ReplicaSets: ",
            "what makes its Pods could not be read",
        ),
        (
            "c",
            "events",
            "Events: ",
            "Running on elminster.home.arpa for ",
        ),
    ] {
        let kubeconfig = who_may_not_read(stage, user, not).await;
        // an authoriser hears of a new role a moment later
        let answered = eventually(async || {
            let question = ["explain", "deploy/llm", "-o", "json"];
            let (code, answer, _) = berth(&kubeconfig, &question).await;
            let answer: Value = serde_json::from_str(&answer).ok()?;
            let is_whole = sentence(&answer).starts_with(said);
            (code == Some(0) && is_whole).then_some(answer)
        });
        let Some(answered) = answered.await else {
            panic!(
                "{user}: {:?}",
                berth(&kubeconfig, &["explain", "deploy/llm"]).await
            );
        };
        let unread = answered["unread"].as_array().expect("a list");
        // what is asked for several times is told once
        let of = |it: &Value| it.as_str().expect("a sentence").starts_with(what);
        assert_eq!(unread.iter().filter(|it| of(it)).count(), 1, "{answered:#}");
    }
}

#[tokio::test]
async fn a_cron_job_whose_last_job_has_ended_rests_and_a_namespace_that_is_not_there_is_said() {
    let Some(stage) = stage().await else { return };
    let _berth = stage.berth_called(&[]).await;
    let template = |class: &str| {
        json!({"spec": {"backoffLimit": 0, "template": {
            "metadata": {"labels": {"app": "nightly", "berth.dev/workload-class": class}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]},
        }}})
    };
    let cron_job = |class: &str| {
        json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"},
            "spec": {"schedule": "0 0 30 2 *", "jobTemplate": template(class)},
        })
    };
    stage.apply(&cron_job("whisper").to_string()).await;
    let now = |name: &'static str| ["create", "job", name, "--from=cronjob/nightly"];
    stage.run(&now("first")).await;
    // kwok lets a Job's Pod end at once
    let rests = concludes(&stage, "cronjob/nightly", "Resting").await;
    let said = "it makes no Pod now: its last Job, job/first, is done";
    assert_eq!(sentence(&rests), said, "{rests:#}");

    stage.apply(&cron_job("wisper").to_string()).await;
    stage.run(&now("second")).await;
    concludes(&stage, "cronjob/nightly", "Denied").await;
    let denied = concludes(&stage, "job/second", "Denied").await;
    // a Job's template cannot be changed
    assert_eq!(commands(&denied), ["kubectl -n default delete job/second"]);

    let admin = stage.control_plane.kubeconfig().expect("a file");
    for (question, said) in [
        (
            &["classes", "-n", "defualt"][..],
            "there is no namespace defualt; did you mean default?",
        ),
        (
            &["explain", "class/whisper", "-n", "lab"],
            "there is no namespace lab",
        ),
        (
            &["explain", "deploy/x", "-n", "lab"],
            "there is no namespace lab",
        ),
    ] {
        let (code, _, error) = berth(&admin, question).await;
        assert_eq!(code, Some(3), "{question:?}: {error}");
        assert!(error.contains(said), "{question:?}: {error}");
    }
}
