//! A trace of the real API server, through both replicas to the real Collector.

use std::{fs, time::Instant};

use berth_cluster::PATIENCE;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::PostParams};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    chooser::{class, homelab_with, replicas_with},
    common::collector::{Collector, Span},
    objects::object,
};

/// So many creates at a time have connections to both replicas.
const COUNT: usize = 20;

#[tokio::test]
async fn the_trace_of_a_create_goes_through_both_replicas() {
    let Some(collector) = Collector::start() else {
        return;
    };
    let file = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
    let tracing = json!({
        "apiVersion": "apiserver.config.k8s.io/v1beta1", "kind": "TracingConfiguration",
        "endpoint": collector.grpc, "samplingRatePerMillion": 1_000_000,
    });
    fs::write(file.path(), tracing.to_string()).expect("written");
    let flag = format!("--tracing-config-file={}", file.path().display());
    let Some((homelab, setup)) = homelab_with(&[flag]).await else {
        return;
    };
    let cluster = homelab.cluster().await;
    let flag = format!("--otlp-endpoint=http://{}", collector.http);
    let replicas = replicas_with(&homelab, &setup, &cluster, &[flag]).await;
    class(&cluster, &replicas, "traced", [COUNT, COUNT]).await;
    create(&cluster.api()).await;

    let (mut spans, mut found) = (Vec::new(), None);
    let deadline = Instant::now() + PATIENCE;
    while found.is_none() {
        // the API server's own requests are traced, and never end
        assert!(Instant::now() < deadline, "no chain of spans");
        spans.extend(collector.spans());
        found = chain(&spans);
    }
    let [called, asked, chose] = found.expect("a chain");
    assert_eq!(called["service.name"], "apiserver");
    assert_eq!(called["Kind"], "Client");
    assert_eq!(asked["service.name"], "berth");
    assert_eq!(asked["http.route"], "/mutate");
    assert!(!asked.contains_key("berth.pool"), "{asked:#?}");
    assert_eq!(chose["berth.class"], "traced");
    assert_eq!(chose["berth.pool"], "traced-amd");
    let trace = &called["Trace ID"];
    assert!([asked, chose].iter().all(|span| span["Trace ID"] == *trace));
    drop(replicas);
}

/// Creates Pods of the class, in dry runs at the same time.
async fn create(pods: &Api<Pod>) {
    let mut creating = JoinSet::new();
    for _ in 0..COUNT {
        let pod: Pod = object(json!({
            "metadata": {"generateName": "traced-", "labels": {"berth.dev/workload-class": "traced"}},
            "spec": {"containers": [{"name": "main", "image": "main"}]},
        }));
        let (pods, dry_run) = (
            pods.clone(),
            PostParams {
                dry_run: true,
                ..PostParams::default()
            },
        );
        creating.spawn(async move { pods.create(&dry_run, &pod).await.map(drop) });
    }
    for created in creating.join_all().await {
        created.expect("it is created");
    }
}

/// The call of the API server, the span of the replica that was called, and that of the one that chose.
fn chain(spans: &[Span]) -> Option<[&Span; 3]> {
    spans.iter().find_map(|asked| {
        asked.get("berth.forwarded")?;
        let called = spans.iter().find(|it| it["ID"] == asked["Parent ID"])?;
        let chose = spans.iter().find(|it| it["Parent ID"] == asked["ID"])?;
        Some([called, asked, chose])
    })
}
