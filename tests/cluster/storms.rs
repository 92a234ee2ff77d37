//! Much at once: what must stay bounded does, and nothing is lost.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use k8s_openapi::{
    api::core::v1::{Namespace, Pod, ResourceQuota},
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{
    common::client,
    eventually,
    stage::{Stage, stage},
    stand::times,
    status::gets_the_lease,
};

/// So many create Pods at one time.
const WORKERS: usize = 16;
/// So much time is between two writes of a status, less what the API server may take to read one.
const SELDOM: SignedDuration = SignedDuration::from_millis(4_500);
/// The liveness probe waits so long.
const PROBE: Duration = Duration::from_secs(5);
/// Where berth's only tongue is its answer.
const SILENT: &[&str] = &["--status=off", "--events=off"];

fn pod(name: &str, more: Value) -> Pod {
    let mut spec = json!({
        "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "x", "image": "x", "resources": {"limits": {"amd.com/gpu": "1"}}}],
    });
    let Value::Object(more) = more else {
        panic!("an object")
    };
    spec.as_object_mut().expect("an object").extend(more);
    let labels = json!({"berth.dev/workload-class": "vllm"});
    let pod = json!({"metadata": {"name": name, "labels": labels}, "spec": spec});
    serde_json::from_value(pod).expect("a Pod")
}

/// Creates Pods on a Node and deletes all but the last, each of which changes a pool's and a class's status.
async fn come_and_go(pods: Api<Pod>, worker: usize, count: usize) {
    let now = DeleteParams::default().grace_period(0);
    for i in 0..count {
        let name = format!("storm-{worker}-{i}");
        let bound = pod(&name, json!({"nodeName": "khelben.home.arpa"}));
        let created = pods.create(&PostParams::default(), &bound).await;
        created.unwrap_or_else(|error| panic!("{name}: {error}"));
        if i + 1 < count {
            pods.delete(&name, &now).await.expect("deleted");
        }
    }
}

/// Asks whether berth lives, until it is told to stop: the longest that an answer took.
async fn probe(admin: SocketAddr, mut stop: watch::Receiver<bool>) -> Duration {
    let mut longest = Duration::ZERO;
    while !*stop.borrow_and_update() {
        let began = Instant::now();
        let alive = timeout(PROBE, client::get(admin, "/livez")).await;
        assert!(alive.is_ok(), "no answer in {PROBE:?}");
        longest = longest.max(began.elapsed());
        let _ = timeout(Duration::from_millis(200), stop.changed()).await;
    }
    longest
}

/// When each status was written, by the API server's audit log.
fn writes(stage: &Stage) -> BTreeMap<String, Vec<Timestamp>> {
    let mut writes: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
    for event in stage.control_plane.audit().expect("a log") {
        let path = event["requestURI"].as_str().unwrap_or_default();
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        if event["user"]["username"] == "berth" && path.ends_with("/status") {
            let time = event["requestReceivedTimestamp"].as_str();
            let time = time.expect("a time").parse().expect("a time");
            writes.entry(path.to_owned()).or_default().push(time);
        }
    }
    assert!(!writes.is_empty(), "no status was written");
    writes
}

/// Waits until the pool's status has as many GPUs allocated as its Pods have, which is more than its Node has.
async fn the_status_is_what_a_list_says(stage: &Stage) {
    let pods = stage.run(&["get", "pods", "-o", "json"]).await;
    let pods: Value = serde_json::from_str(&pods).expect("JSON");
    let bound = pods["items"].as_array().expect("a list").len();
    assert_eq!(bound, WORKERS);
    has(stage, bound, 0).await;
}

/// Waits until the pool's status has so many GPUs allocated and free.
async fn has(stage: &Stage, allocated: usize, free: usize) {
    let has = eventually(async || {
        let pool = stage.object("gpupool/strix-halo").await;
        let gpus = &pool["status"]["gpus"];
        (gpus["allocated"] == allocated && gpus["free"] == free).then_some(())
    });
    let has = has.await;
    let status = stage.object("gpupool/strix-halo").await["status"].clone();
    assert!(has.is_some(), "{status}");
}

#[tokio::test]
async fn storms_of_pods_are_a_status_in_five_seconds_and_it_is_right_after_them() {
    let Some(stage) = stage().await else { return };
    let berth = stage.berth(&[]);
    gets_the_lease(&berth).await;
    let ready = ["True", "Ready"];
    stage.turns("gpupool/strix-halo", "Ready", ready).await;
    let (stop, stopped) = watch::channel(false);
    let probing = tokio::spawn(probe(berth.admin, stopped));
    let api = stage.control_plane.client().await.expect("a client");
    let pods: Api<Pod> = Api::namespaced(api, "default");
    let all = times(1_000, 30_000);
    let began = Instant::now();
    join_all((0..WORKERS).map(|it| come_and_go(pods.clone(), it, all / WORKERS))).await;
    let took = began.elapsed();
    stop.send_replace(true);
    let longest = probing.await.expect("berth lives");

    the_status_is_what_a_list_says(&stage).await;
    let delete = ["delete", "pods", "--all", "--force", "--grace-period=0"];
    stage.run(&delete).await;
    has(&stage, 0, 1).await;
    let writes = writes(&stage);
    println!("{all} Pods in {took:?}; the slowest probe took {longest:?}; {writes:?}");
    for (object, times) in &writes {
        for pair in times.windows(2) {
            let between = pair[1].duration_since(pair[0]);
            assert!(between > SELDOM, "{object}: {times:?}");
        }
    }
    let metrics = client::get(berth.admin, "/metrics").await;
    for line in [
        "berth_table_classes 5\n",
        "berth_watch_relists_total{kind=\"Pod\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert_eq!(client::ready(berth.admin).await.0, 200);
}

#[tokio::test]
async fn storms_of_new_namespaces_have_their_pods_admitted_some_when_they_are_tried_again() {
    let Some(stage) = stage().await else { return };
    let class = json!({
        "apiVersion": "berth.dev/v1alpha1", "kind": "WorkloadClass", "metadata": {"name": "team"},
        "spec": {"pools": [{"name": "strix-halo"}], "namespaceSelector": {"matchLabels": {"team": "ml"}}},
    });
    stage.apply(&class.to_string()).await;
    let _berth = stage.berth_called(SILENT).await;
    let api = stage.control_plane.client().await.expect("a client");
    let post = PostParams::default();
    let create = async |i: usize| -> usize {
        let name = format!("new-{i}");
        let namespace = json!({"metadata": {"name": name, "labels": {"team": "ml"}}});
        let namespace: Namespace = serde_json::from_value(namespace).expect("a Namespace");
        let namespaces: Api<Namespace> = Api::all(api.clone());
        namespaces.create(&post, &namespace).await.expect("created");
        let pods: Api<Pod> = Api::namespaced(api.clone(), &name);
        let mut pod = pod("x", json!({}));
        let labels = [("berth.dev/workload-class".to_owned(), "team".to_owned())];
        pod.metadata.labels = Some(labels.into());
        let deadline = Instant::now() + berth_cluster::PATIENCE;
        let mut tried = 1;
        loop {
            match pods.create(&post, &pod).await {
                Ok(pod) => {
                    let pool = pod.annotations().get("berth.dev/pool");
                    assert_eq!(pool.map(String::as_str), Some("strix-halo"));
                    return tried;
                }
                // the other is that its ServiceAccount is made after the Namespace
                Err(error) => {
                    let message = error.to_string();
                    let is_early = message.contains("is new") || message.contains("serviceaccount");
                    assert!(is_early && Instant::now() < deadline, "{name}: {message}");
                }
            }
            tried += 1;
            sleep(Duration::from_millis(100)).await;
        }
    };
    let tries = join_all((0..100).map(create)).await;
    let again = tries.iter().filter(|tried| **tried > 1).count();
    println!("100 namespaces: {again} Pods were tried again");
}

/// What a quota denies after berth has placed it is reserved for three seconds, and a dry run never is.
#[tokio::test]
async fn storms_of_dry_runs_and_of_denied_pods_leave_nothing_reserved() {
    let Some(stage) = stage().await else { return };
    let berth = stage.berth_called(SILENT).await;
    // only where a class has a choice, and where a pool is shared with one that has, are GPUs counted ahead
    let either = json!({
        "apiVersion": "berth.dev/v1alpha1", "kind": "WorkloadClass", "metadata": {"name": "either"},
        "spec": {"pools": [{"name": "strix-halo"}, {"name": "rtx-2070"}]},
    });
    stage.apply(&either.to_string()).await;
    let in_force = eventually(async || {
        let table = client::get(berth.admin, "/debug/table").await;
        table.contains("\"either\"").then_some(())
    });
    assert!(in_force.await.is_some(), "the class is in the table");
    let api = stage.control_plane.client().await.expect("a client");
    let pods: Api<Pod> = Api::namespaced(api.clone(), "default");
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let wanted = pod("x", json!({}));
    let counted = async || {
        let metrics = client::get(berth.admin, "/metrics").await;
        let counted = |line: &&str| {
            line.starts_with("berth_choices_total{") || line.starts_with("berth_reservations")
        };
        let lines = metrics.lines().filter(counted).map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    let before = counted().await;
    for _ in 0..times(10, 100) {
        let ten = join_all((0..10).map(async |_| pods.create(&dry, &wanted).await)).await;
        for placed in ten {
            let placed = placed.expect("placed");
            let pool = placed.annotations().get("berth.dev/pool");
            assert_eq!(pool.map(String::as_str), Some("strix-halo"));
        }
    }
    assert_eq!(counted().await, before, "a dry run takes nothing");

    let hard = json!({"hard": {"requests.amd.com/gpu": "0"}});
    let quota = json!({"metadata": {"name": "none"}, "spec": hard});
    let quota: ResourceQuota = serde_json::from_value(quota).expect("a ResourceQuota");
    let quotas: Api<ResourceQuota> = Api::namespaced(api, "default");
    let post = PostParams::default();
    quotas.create(&post, &quota).await.expect("created");
    // it counts when its controller has written its status, and the API server has seen that
    let counts = eventually(async || pods.create(&dry, &wanted).await.err());
    assert!(counts.await.is_some(), "the quota does not count");
    let denied = join_all((0..20).map(async |_| pods.create(&post, &wanted).await)).await;
    for denied in denied {
        let message = denied.expect_err("the quota is for none").to_string();
        assert!(message.contains("quota"), "{message}");
    }
    let let_go = eventually(async || {
        let metrics = client::get(berth.admin, "/metrics").await;
        let lines = [
            "berth_reservations_expired_total 20\n",
            "berth_pool_gpus{pool=\"strix-halo\",state=\"reserved\"} 0\n",
            "berth_pool_gpus{pool=\"strix-halo\",state=\"free\"} 1\n",
        ];
        let all = lines.iter().all(|line| metrics.contains(line));
        all.then_some(())
    });
    assert!(let_go.await.is_some(), "{:?}", counted().await);
}
