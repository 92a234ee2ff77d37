//! Events, as a real API server takes them and kubectl shows them.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    common::{client, process::Berth},
    eventually,
    stage::{RIGHTS, Stage, stage},
    stand::times,
    status::gets_the_lease,
};

/// About the Pods' controllers alone.
const WITHOUT_STATUS: &[&str] = &["--status=off"];

/// A ReplicaSet whose Pods each have a warning: an annotation of berth's that does not exist.
fn replica_set(name: &str, replicas: u32) -> Value {
    let labels = json!({"app": name, "berth.dev/workload-class": "whisper"});
    let annotations = json!({"berth.dev/contaner": "x"});
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {"automountServiceAccountToken": false, "containers": [{"name": "x", "image": "x"}]},
            },
        },
    })
}

/// berth's Events about an object: type, reason and note, in the order of the reasons.
async fn told(stage: &Stage, object: &str) -> Vec<[String; 3]> {
    let all = stage
        .run(&["get", "events.v1.events.k8s.io", "-o", "json"])
        .await;
    let all: Value = serde_json::from_str(&all).expect("JSON");
    let (kind, name) = object.split_once('/').expect("a kind and a name");
    let ours = all["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|event| {
            let about = &event["regarding"];
            event["reportingController"] == "berth"
                && about["kind"] == kind
                && about["name"] == name
        });
    let mut told: Vec<[String; 3]> = ours
        .map(|event| {
            ["type", "reason", "note"].map(|it| event[it].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    told.sort_by(|a, b| a[1].cmp(&b[1]));
    told
}

/// Waits until a ReplicaSet has its Pods.
async fn has_pods(stage: &Stage, name: &str, replicas: u32) {
    let object = format!("replicaset/{name}");
    let made = eventually(async || {
        let object = stage.object(&object).await;
        (object["status"]["replicas"] == replicas).then_some(())
    });
    assert!(made.await.is_some(), "{}", stage.object(&object).await);
}

/// Events are written in order: when the last ReplicaSet's are there, those of what came before are, too.
async fn all_before_is_told(stage: &Stage) {
    stage.apply(&replica_set("last", 1).to_string()).await;
    let last = eventually(async || (told(stage, "ReplicaSet/last").await.len() == 2).then_some(()));
    assert!(
        last.await.is_some(),
        "{:?}",
        told(stage, "ReplicaSet/last").await
    );
}

/// Waits until so many Events have come to this.
async fn come_to(berth: &Berth, result: &str, count: u64) {
    let series = format!("berth_events_total{{result=\"{result}\"}} {count}\n");
    let counted = eventually(async || {
        let metrics = client::get(berth.admin, "/metrics").await;
        metrics.contains(&series).then_some(())
    });
    assert!(counted.await.is_some(), "{series}");
}

#[tokio::test]
async fn creates_of_one_replica_set_are_told_once_where_they_go_and_what_each_warning_is() {
    let Some(stage) = stage().await else { return };
    let berth = stage.berth_called(WITHOUT_STATUS).await;
    let replicas = u32::try_from(times(50, 1000)).expect("few");
    stage
        .apply(&replica_set("many", replicas).to_string())
        .await;
    has_pods(&stage, "many", replicas).await;
    all_before_is_told(&stage).await;
    let many = told(&stage, "ReplicaSet/many").await;
    let [placed, warning] = &*many else {
        panic!("{many:?}")
    };
    assert_eq!(placed[..2], ["Normal", "Placed"]);
    let note = "class whisper: pool rtx-2070, container x (table ";
    assert!(placed[2].starts_with(note), "{placed:?}");
    let note = "berth: unknown annotation berth.dev/contaner; did you mean the annotation berth.dev/container?";
    assert_eq!(warning[..], ["Warning", "UnknownKey", note]);

    // where a person looks
    let described = stage.run(&["describe", "replicaset/many"]).await;
    let shown = described.lines().any(|line| {
        line.contains("Warning") && line.contains("UnknownKey") && line.contains("did you mean")
    });
    assert!(shown, "{described}");
    // the last one is there before berth has its answer
    come_to(&berth, "written", 4).await;
}

#[tokio::test]
async fn nothing_is_told_of_a_dry_run_nor_of_a_pod_without_an_owner() {
    let Some(stage) = stage().await else { return };
    let _berth = stage.berth_called(WITHOUT_STATUS).await;
    stage.apply(&replica_set("owner", 0).to_string()).await;
    let owner = stage.object("replicaset/owner").await;
    let pod = |name: &str, owners: Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "ownerReferences": owners, "annotations": {"berth.dev/contaner": "x"},
                "labels": {"berth.dev/workload-class": "whisper"},
            },
            "spec": {"automountServiceAccountToken": false, "containers": [{"name": "x", "image": "x"}]},
        })
    };
    let owners = json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "owner", "uid": owner["metadata"]["uid"], "controller": true,
    }]);
    stage.dry_run(&pod("dry", owners).to_string()).await;
    stage.apply(&pod("alone", json!([])).to_string()).await;
    all_before_is_told(&stage).await;
    assert!(told(&stage, "ReplicaSet/owner").await.is_empty());
    assert!(told(&stage, "Pod/alone").await.is_empty());
}

#[tokio::test]
async fn without_the_right_pods_are_placed_and_the_log_says_it_once() {
    let Some(stage) = stage().await else { return };
    let without = RIGHTS.replace(r#""verbs": ["create"]"#, r#""verbs": ["get"]"#);
    stage.apply(&without).await;
    let berth = stage.berth_called(WITHOUT_STATUS).await;
    stage.apply(&replica_set("many", 5).to_string()).await;
    has_pods(&stage, "many", 5).await;
    let warned = berth.event(|event| event["level"] == "WARN");
    let message = warned["message"].as_str().expect("a message");
    assert!(message.starts_with("an Event is not written"), "{warned}");
    let error = warned["error"].as_str().expect("an error");
    assert!(error.contains("bind berth's ClusterRole"), "{warned}");
    come_to(&berth, "failed", 2).await;
    let more = berth.events();
    assert!(
        more.iter().all(|event| event["level"] != "WARN"),
        "{more:?}"
    );
    drop(berth);

    // and with it off, the right is not asked for
    let off = stage.berth_called(&["--events=off"]).await;
    stage.apply(&replica_set("off", 2).to_string()).await;
    has_pods(&stage, "off", 2).await;
    let metrics = client::get(off.admin, "/metrics").await;
    assert!(!metrics.contains("berth_events_total{"), "{metrics}");
}

/// Nobody checks the name of a Pod's owner, and an Event with such a name is not taken.
#[tokio::test]
async fn an_owner_whose_name_is_none_delays_no_other_event() {
    let Some(stage) = stage().await else { return };
    let berth = stage.berth_called(WITHOUT_STATUS).await;
    let forged: Vec<Value> = (0..10)
        .map(|i| {
            let uid = format!("00000000-0000-4000-8000-{i:012}");
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": format!("forged-{i}"), "labels": {"berth.dev/workload-class": "whisper"},
                    "ownerReferences": [{
                        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "Not a name/", "uid": uid, "controller": true,
                    }],
                },
                "spec": {"automountServiceAccountToken": false, "containers": [{"name": "x", "image": "x"}]},
            })
        })
        .collect();
    let forged = json!({"apiVersion": "v1", "kind": "List", "items": forged});
    stage.apply(&forged.to_string()).await;
    let began = Instant::now();
    all_before_is_told(&stage).await;
    println!(
        "the Events after 10 that are refused are there {:.1?} later",
        began.elapsed()
    );
    let metrics = client::get(berth.admin, "/metrics").await;
    let refused = "berth_events_total{result=\"refused\"} 10\n";
    assert!(
        metrics.contains(refused) && !metrics.contains("result=\"failed\""),
        "{metrics}"
    );
}

/// Waits until an object is told something: type and note.
async fn is_told(stage: &Stage, object: &str, reason: &str) -> [String; 2] {
    let found = eventually(async || {
        let all = told(stage, object).await;
        let mut found = all.into_iter().filter(|it| it[1] == reason);
        found.next().map(|[type_, _, note]| [type_, note])
    });
    let found = found.await;
    found.unwrap_or_else(|| panic!("{object} is not told {reason}"))
}

/// Of namespace `default`, since both kinds are of none.
#[tokio::test]
async fn a_pool_is_told_once_that_it_is_not_ready_and_a_class_that_it_is_in_the_table_or_not() {
    let Some(stage) = stage().await else { return };
    let berth = stage.berth(&[]);
    gets_the_lease(&berth).await;
    let pool = "GPUPool/strix-halo";
    assert_eq!(is_told(&stage, pool, "Accepted").await[0], "Normal");
    let cordoned = ["False", "Cordoned"];
    for _ in 0..2 {
        stage.run(&["cordon", "khelben.home.arpa"]).await;
        stage.turns("gpupool/strix-halo", "Ready", cordoned).await;
        stage.run(&["uncordon", "khelben.home.arpa"]).await;
        stage
            .turns("gpupool/strix-halo", "Ready", ["True", "Ready"])
            .await;
    }
    let [type_, note] = is_told(&stage, pool, "Cordoned").await;
    assert_eq!(type_, "Warning");
    assert!(note.contains("khelben"), "{note}");

    let late = |kind: &str, spec: Value| {
        json!({
            "apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": {"name": "late"}, "spec": spec,
        })
        .to_string()
    };
    stage
        .apply(&late("WorkloadClass", json!({"pools": [{"name": "late"}]})))
        .await;
    let class = "WorkloadClass/late";
    let [type_, note] = is_told(&stage, class, "PoolNotFound").await;
    assert_eq!(type_, "Warning");
    assert!(note.contains("there is no GPUPool \"late\""), "{note}");
    // who takes over finds nothing that turns
    berth.terminate();
    let other = stage.berth(&[]);
    gets_the_lease(&other).await;
    let spec = json!({"hostnames": ["drizzt"], "resourceName": "amd.com/gpu"});
    stage.apply(&late("GPUPool", spec)).await;
    assert_eq!(is_told(&stage, class, "Accepted").await[0], "Normal");
    let all = told(&stage, pool).await;
    let reasons: Vec<&str> = all.iter().map(|it| &*it[1]).collect();
    // though it was cordoned twice
    assert_eq!(
        reasons.iter().filter(|it| **it == "Cordoned").count(),
        1,
        "{all:?}"
    );
    assert_eq!(
        reasons.iter().filter(|it| **it == "Accepted").count(),
        1,
        "{all:?}"
    );
}
