//! The Lease and the statuses, with exactly the rights that are asked for, as a real API server gives them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    common::{client, process::Berth},
    eventually,
    stage::{RIGHTS, Stage, stage},
};

/// As `kubectl get gpupool,workloadclass -o wide` shows the homelab, without the ages.
const GOLDEN: &str = include_str!("status.txt");

/// A Pod of a class that asks for a GPU, as berth would have made it.
fn pod(name: &str, class: &str, pool: &str, resource: &str) -> String {
    let container = json!({"name": "x", "image": "x", "resources": {"limits": {resource: "1"}}});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "labels": {"berth.dev/workload-class": class}, "annotations": {"berth.dev/pool": pool},
        },
        "spec": {"automountServiceAccountToken": false, "containers": [container]},
    })
    .to_string()
}

/// A warning. berth says it once; that its library says it at each attempt is not in the log.
fn warns(event: &Value) -> bool {
    event["level"] == "WARN"
}

async fn holds(berth: &Berth) -> bool {
    let metrics = client::get(berth.admin, "/metrics").await;
    metrics.contains("\nberth_lease_held 1\n")
}

/// Whether it has tried to write a status.
async fn has_written(berth: &Berth) -> bool {
    let metrics = client::get(berth.admin, "/metrics").await;
    metrics.contains("\nberth_status_writes_total{")
}

pub async fn gets_the_lease(berth: &Berth) -> Duration {
    let began = Instant::now();
    let held = eventually(async || holds(berth).await.then_some(())).await;
    assert!(held.is_some(), "the Lease is not held");
    began.elapsed()
}

#[tokio::test]
async fn kubectl_shows_what_there_is_and_whether_it_works() {
    let Some(stage) = stage().await else { return };
    for (name, class) in [("whisper-1", "whisper"), ("whisper-2", "whisper")] {
        stage
            .apply(&pod(name, class, "rtx-2070", "nvidia.com/gpu"))
            .await;
    }
    stage
        .run(&[
            "wait",
            "--for=condition=PodScheduled",
            "pod",
            "--all",
            "--timeout=30s",
        ])
        .await;
    stage
        .apply(&pod("xtts", "xtts", "rtx-2070", "nvidia.com/gpu"))
        .await;
    stage.run(&["cordon", "danilo.home.arpa"]).await;
    let berth = stage.berth(&[]);
    let shown = async || {
        let wide = ["get", "gpupool,workloadclass", "-o", "wide"];
        let said = stage.run(&wide).await;
        let lines = said.lines().map(|line| {
            let line = line.trim_end();
            let ages = line.rsplit_once(' ').filter(|(_, age)| *age != "AGE");
            ages.map_or(line, |(rest, _)| rest.trim_end()).to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    let same = eventually(async || (shown().await == GOLDEN.trim_end()).then_some(())).await;
    assert!(same.is_some(), "{}", shown().await);

    // what does not change is not written: where something else does, all the rest stays at its version
    let (pool, class) = ("gpupool/strix-halo", "workloadclass/vllm");
    let before = [
        stage.resource_version(pool).await,
        stage.resource_version(class).await,
    ];
    stage.run(&["uncordon", "danilo.home.arpa"]).await;
    stage
        .turns("gpupool/intel-arc", "Ready", ["True", "Ready"])
        .await;
    stage
        .turns("workloadclass/bge-reranker", "Ready", ["True", "Ready"])
        .await;
    let after = [
        stage.resource_version(pool).await,
        stage.resource_version(class).await,
    ];
    assert_eq!(before, after);
    the_metrics_say_the_same(&berth).await;
    // and one that takes over writes nothing that is right already
    berth.terminate();
    let other = stage.berth(&[]);
    gets_the_lease(&other).await;
    stage.run(&["cordon", "danilo.home.arpa"]).await;
    stage
        .turns("gpupool/intel-arc", "Ready", ["False", "Cordoned"])
        .await;
    let after = [
        stage.resource_version(pool).await,
        stage.resource_version(class).await,
    ];
    assert_eq!(before, after);
    // somebody else's words in it do not stay
    let forged =
        r#"{"status": {"gpus": {"allocatable": 9, "allocated": 0, "waiting": 0, "free": 9}}}"#;
    stage
        .run(&[
            "patch",
            pool,
            "--subresource=status",
            "--type=merge",
            "-p",
            forged,
        ])
        .await;
    let mended = eventually(async || {
        let object = stage.object(pool).await;
        (object["status"]["gpus"]["free"] == 1).then_some(())
    });
    assert!(mended.await.is_some(), "{}", stage.object(pool).await);
}

/// What the statuses say of a pool.
async fn the_metrics_say_the_same(berth: &Berth) {
    let lines = [
        r#"berth_pool_gpus{pool="rtx-2070",state="allocatable"} 2"#,
        r#"berth_pool_gpus{pool="rtx-2070",state="reserved"} 0"#,
        r#"berth_pool_nodes{pool="strix-halo",state="usable"} 1"#,
        "berth_reservations_expired_total 0",
    ];
    let shown = eventually(async || {
        let metrics = client::get(berth.admin, "/metrics").await;
        lines
            .iter()
            .all(|line| metrics.contains(line))
            .then_some(())
    });
    let metrics = client::get(berth.admin, "/metrics").await;
    assert!(shown.await.is_some(), "{metrics}");
}

#[tokio::test]
async fn a_class_without_its_pool_says_so_until_the_pool_is_there() {
    let Some(stage) = stage().await else { return };
    let berth = stage.berth(&[]);
    gets_the_lease(&berth).await;
    let class = json!({
        "apiVersion": "berth.dev/v1alpha1", "kind": "WorkloadClass", "metadata": {"name": "late"},
        "spec": {"pools": [{"name": "late"}]},
    });
    stage.apply(&class.to_string()).await;
    let (took, message) = stage
        .turns("workloadclass/late", "Accepted", ["False", "PoolNotFound"])
        .await;
    assert!(
        message.contains("there is no GPUPool \"late\""),
        "{message}"
    );
    let ready = stage
        .condition("workloadclass/late", "Ready")
        .await
        .expect("a condition");
    assert_eq!(ready[..2], ["False", "NotAccepted"]);
    assert!(took < Duration::from_secs(5), "{took:?}");

    let pool = json!({
        "apiVersion": "berth.dev/v1alpha1", "kind": "GPUPool", "metadata": {"name": "late"},
        "spec": {"hostnames": ["drizzt"], "resourceName": "amd.com/gpu"},
    });
    stage.apply(&pool.to_string()).await;
    let (took, _) = stage
        .turns("workloadclass/late", "Ready", ["True", "Ready"])
        .await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    let object = stage.object("workloadclass/late").await;
    assert_eq!(
        object["status"]["observedGeneration"],
        object["metadata"]["generation"]
    );
    let fields = &object["metadata"]["managedFields"];
    let ours = |it: &&Value| it["manager"] == "berth";
    let ours = fields
        .as_array()
        .expect("managers")
        .iter()
        .find(ours)
        .expect("ours");
    assert_eq!(
        (&ours["operation"], &ours["subresource"]),
        (&json!("Apply"), &json!("status"))
    );
}

#[tokio::test]
async fn of_two_replicas_one_writes_and_the_other_when_that_one_is_gone() {
    let Some(stage) = stage().await else { return };
    let first = stage.berth(&[]);
    gets_the_lease(&first).await;
    stage
        .turns("gpupool/strix-halo", "Ready", ["True", "Ready"])
        .await;
    let second = stage.berth(&[]);
    let ready = eventually(async || (client::ready(second.admin).await.0 == 200).then_some(()));
    assert!(ready.await.is_some(), "not ready");
    stage.run(&["cordon", "khelben.home.arpa"]).await;
    stage
        .turns("gpupool/strix-halo", "Ready", ["False", "Cordoned"])
        .await;
    assert!(!holds(&second).await && !has_written(&second).await);

    // killed: the other waits until the Lease is over
    first.signal("KILL");
    let took = gets_the_lease(&second).await;
    assert!(
        took > Duration::from_secs(5) && took < Duration::from_secs(20),
        "{took:?}"
    );
    stage.run(&["uncordon", "khelben.home.arpa"]).await;
    stage
        .turns("gpupool/strix-halo", "Ready", ["True", "Ready"])
        .await;

    // stopped: when it goes on, it knows that it holds it no more
    let third = stage.berth(&[]);
    second.signal("STOP");
    gets_the_lease(&third).await;
    second.signal("CONT");
    let lost = eventually(async || (!holds(&second).await).then_some(())).await;
    assert!(lost.is_some() && holds(&third).await);
    second.event(|event| event["message"] == "does not hold the Lease any more");

    // drained: the other has it at once
    third.terminate();
    let took = gets_the_lease(&second).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(
        stage.object("lease/berth").await["spec"]["leaseTransitions"],
        3
    );
    assert!(stage.holder().await.is_some());
}

#[tokio::test]
async fn without_the_rights_to_write_it_serves_and_says_so_once() {
    let Some(stage) = stage().await else { return };
    let serves = async |berth: &Berth| {
        let ready = eventually(async || (client::ready(berth.admin).await.0 == 200).then_some(()));
        assert!(
            ready.await.is_some(),
            "{:?}",
            client::ready(berth.admin).await
        );
    };
    stage.run(&["delete", "rolebinding", "berth"]).await;
    let without = stage.berth(&[]);
    serves(&without).await;
    let told = without.event(|event| event["kind"] == "Lease" && warns(event));
    assert!(
        told["error"]
            .as_str()
            .is_some_and(|it| it.contains("may not be listed")),
        "{told}"
    );
    stage.apply(RIGHTS).await;
    gets_the_lease(&without).await;

    // statuses: the right is lost, and comes back
    stage
        .turns("gpupool/strix-halo", "Ready", ["True", "Ready"])
        .await;
    let role = |patch: &'static str| ["patch", "clusterrole", "berth", "--type=json", "-p", patch];
    stage
        .run(&role(
            r#"[{"op": "replace", "path": "/rules/1/verbs", "value": ["get"]}]"#,
        ))
        .await;
    stage.run(&["cordon", "khelben.home.arpa"]).await;
    let told = without.event(warns);
    assert!(
        told["message"]
            .as_str()
            .is_some_and(|it| it.starts_with("no status is written")),
        "{told}"
    );
    serves(&without).await;
    stage
        .run(&role(
            r#"[{"op": "replace", "path": "/rules/1/verbs", "value": ["patch"]}]"#,
        ))
        .await;
    stage
        .turns("gpupool/strix-halo", "Ready", ["False", "Cordoned"])
        .await;
    let warnings = without.events();
    let warnings = warnings.iter().filter(|event| warns(event));
    assert_eq!(warnings.count(), 0, "told once");
    drop(without);

    let blind = stage.berth(&["--live=off"]);
    gets_the_lease(&blind).await;
    stage
        .turns("gpupool/strix-halo", "Ready", ["Unknown", "LiveOff"])
        .await;
    assert_eq!(
        stage.object("gpupool/strix-halo").await["status"]["gpus"],
        Value::Null
    );
    drop(blind);

    // a Lease that is missing is made by whoever may
    stage.run(&["delete", "lease", "berth"]).await;
    let admin = stage.control_plane.kubeconfig().expect("a file");
    let off = Stage::berth_with(&admin, &["--status=off"]);
    serves(&off).await;
    let on = Stage::berth_with(&admin, &[]);
    gets_the_lease(&on).await;
    assert!(stage.holder().await.is_some());
    assert!(!holds(&off).await && !has_written(&off).await);

    // another installation has a Lease of its own, and both see the same
    let other = Stage::berth_with(&admin, &["--lease=other"]);
    gets_the_lease(&other).await;
    assert!(holds(&on).await);
    stage.run(&["uncordon", "khelben.home.arpa"]).await;
    let pool = "gpupool/strix-halo";
    stage.turns(pool, "Ready", ["True", "Ready"]).await;
    drop(on);
    stage.run(&["cordon", "khelben.home.arpa"]).await;
    stage.turns(pool, "Ready", ["False", "Cordoned"]).await;
    let fields = stage.object(pool).await["metadata"]["managedFields"].clone();
    let fields = fields.as_array().expect("managers");
    assert!(
        fields.iter().any(|it| it["manager"] == "other"),
        "{fields:?}"
    );
}
