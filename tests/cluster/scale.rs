//! A large cluster's Nodes and Pods, as an API server would list them: what a replica needs for them.
//!
//! The API server is played: 100,000 Pods take a real one minutes to store, and what berth reads is the same bytes.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    common::{
        client,
        process::{Berth, arg},
    },
    eventually,
    stand::{is_soak, times},
};

/// The bounds of `make soak`: MiB that stay, MiB at a list, and how long until it is ready.
const STEADY: usize = 96;
const PEAK: usize = 160;
const READY: Duration = Duration::from_secs(30);
/// So many kinds are watched.
const KINDS: usize = 6;
/// One Pod of so many asks for a GPU.
const ONE_OF: usize = 5;
/// What ends a watch whose history is gone.
const GONE: &str = r#"{"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "too old resource version", "reason": "Expired", "code": 410}}"#;

/// What there is, and how often all watches were ended.
#[derive(Clone)]
struct Played {
    nodes: usize,
    pods: usize,
    pod: fn(usize, usize) -> Value,
    ends: watch::Receiver<u32>,
}

impl Played {
    async fn serve(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let played = Arc::new(self);
        let answer = move |uri: Uri| {
            let played = Arc::clone(&played);
            async move { played.answer(&uri) }
        };
        let router = Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    fn answer(&self, uri: &Uri) -> Response {
        let query = uri.query().unwrap_or_default();
        let value = |key: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find_map(|(name, value)| (name == key).then_some(value))
        };
        if value("watch") == Some("true") {
            return self.watch();
        }
        let number = |key: &str| value(key).and_then(|it| it.parse::<usize>().ok());
        let (from, limit) = (number("continue").unwrap_or_default(), number("limit"));
        let plural = uri.path().rsplit('/').next().unwrap_or_default();
        let (count, object): (usize, fn(usize, usize) -> Value) = match plural {
            "nodes" => (self.nodes, node),
            "pods" => (self.pods, self.pod),
            "gpupools" => (1, pool),
            "workloadclasses" => (1, class),
            "namespaces" | "deviceclasses" => (0, pool),
            _ => return StatusCode::NOT_FOUND.into_response(),
        };
        let to = count.min(from + limit.unwrap_or(count));
        let items: Vec<Value> = (from..to).map(|i| object(i, self.nodes)).collect();
        let more = (to < count).then(|| to.to_string());
        let list = json!({
            "kind": "List", "apiVersion": "v1", "items": items,
            "metadata": {"resourceVersion": "1", "continue": more.unwrap_or_default()},
        });
        ([("content-type", "application/json")], list.to_string()).into_response()
    }

    /// Says nothing until the history is gone.
    fn watch(&self) -> Response {
        let mut ends = self.ends.clone();
        ends.mark_unchanged();
        let end = async move {
            // the test is over, too
            let _ = ends.changed().await;
            Ok::<_, Infallible>(Bytes::from_static(GONE.as_bytes()))
        };
        Body::from_stream(stream::once(end)).into_response()
    }
}

/// As large as they are: images, conditions, what kubelet and others wrote.
fn padding(bytes: usize) -> String {
    "x".repeat(bytes)
}

fn node(i: usize, _: usize) -> Value {
    let mut labels = json!({"kubernetes.io/hostname": format!("node-{i}"), "kind": "gpus"});
    for label in 0..28 {
        labels[format!("example.com/label-{label}")] = json!(format!("value-{}", i % 16));
    }
    json!({
        "metadata": {"name": format!("node-{i}"), "uid": format!("node-uid-{i}"), "labels": labels, "resourceVersion": "1"},
        "status": {
            "allocatable": {"cpu": "64", "nvidia.com/gpu": "8"},
            "conditions": [{"type": "Ready", "status": "True"}],
            "images": [{"names": [padding(6_000)]}],
        },
    })
}

fn pod(i: usize, nodes: usize) -> Value {
    let gpus = if i.is_multiple_of(ONE_OF) {
        json!({"requests": {"cpu": "1", "nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}})
    } else {
        json!({"requests": {"cpu": "1"}})
    };
    json!({
        "metadata": {
            "name": format!("pod-{i}"), "namespace": format!("team-{}", i % 100), "resourceVersion": "1",
            "uid": format!("{i:08x}-0000-4000-8000-{i:012x}"), "labels": {"app": format!("app-{}", i % 1_000)},
            "annotations": {"example.com/what-else": padding(3_000)},
        },
        "spec": {
            "nodeName": format!("node-{}", i % nodes),
            "containers": [{"name": "x", "image": "x", "resources": gpus, "env": [{"name": "X", "value": padding(2_000)}]}],
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn pool(_: usize, _: usize) -> Value {
    json!({
        "apiVersion": "berth.dev/v1alpha1", "kind": "GPUPool", "metadata": {"name": "all"},
        "spec": {"nodeSelector": {"matchLabels": {"kind": "gpus"}}, "resourceName": "nvidia.com/gpu"},
    })
}

fn class(_: usize, _: usize) -> Value {
    json!({
        "apiVersion": "berth.dev/v1alpha1", "kind": "WorkloadClass", "metadata": {"name": "all"},
        "spec": {"pools": [{"name": "all"}]},
    })
}

/// As large as the annotations of a Pod may be.
fn large_pod(i: usize, nodes: usize) -> Value {
    let mut pod = pod(i, nodes);
    pod["metadata"]["annotations"] = json!({"example.com/what-else": padding(256_000)});
    pod
}

/// A kubeconfig for a server without TLS.
fn kubeconfig(server: SocketAddr) -> tempfile::NamedTempFile {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "played", "users": [{"name": "played", "user": {}}],
        "clusters": [{"name": "played", "cluster": {"server": format!("http://{server}")}}],
        "contexts": [{"name": "played", "context": {"cluster": "played", "user": "played"}}],
    });
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), config.to_string()).expect("written");
    file
}

fn serve(kubeconfig: &tempfile::NamedTempFile) -> Berth {
    Berth::serve(&[
        "--table-source=cluster",
        "--kubeconfig",
        arg(kubeconfig.path()),
        "--tls-self-signed",
        "--status=off",
        "--events=off",
        "--drain-period=0s",
    ])
}

/// Waits until the metrics have a line.
async fn has(berth: &Berth, line: &str) {
    let began = Instant::now();
    while !client::get(berth.admin, "/metrics").await.contains(line) {
        assert!(began.elapsed() < 4 * READY, "{line}: not in time");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn footprint_of_ten_thousand_nodes_and_a_hundred_thousand_pods_is_bounded() {
    let (nodes, pods) = (times(500, 10_000), times(5_000, 100_000));
    let (end, ends) = watch::channel(0);
    let played = Played {
        nodes,
        pods,
        pod,
        ends,
    };
    let server = played.serve().await;
    let file = kubeconfig(server);
    let began = Instant::now();
    let berth = serve(&file);
    while client::ready(berth.admin).await.0 != 200 {
        assert!(began.elapsed() < READY, "not ready");
        sleep(Duration::from_millis(20)).await;
    }
    let ready = began.elapsed();
    let with_gpus = pods.div_ceil(ONE_OF);
    let allocated = format!("berth_pool_gpus{{pool=\"all\",state=\"allocated\"}} {with_gpus}\n");
    has(&berth, &allocated).await;
    let counted = began.elapsed();
    let (steady, peak) = (berth.memory(), berth.peak_memory());

    // what begins to watch after the end is told of none
    let is_watched = eventually(async || (end.receiver_count() > KINDS).then_some(()));
    assert!(is_watched.await.is_some(), "{}", end.receiver_count());
    end.send_replace(1);
    has(&berth, "berth_watch_relists_total{kind=\"Pod\"} 2\n").await;
    has(&berth, &allocated).await;
    let (after, peak_after) = (berth.memory(), berth.peak_memory());
    println!(
        "{nodes} Nodes and {pods} Pods: ready after {ready:.1?}, counted after {counted:.1?}; \
         {steady} MiB resident, {peak} at most; {after} and {peak_after} after a second list"
    );
    if is_soak() {
        assert!(steady < STEADY && after < STEADY, "{steady}, {after} MiB");
        assert!(peak_after < PEAK, "{peak_after} MiB");
    }
}

/// Anybody who may create Pods may fill their annotations. 256 MiB is the limit of the chart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn footprint_of_pods_with_all_the_annotations_that_they_may_have_is_bounded() {
    let pods = 600;
    let (_end, ends) = watch::channel(0);
    let played = Played {
        nodes: 10,
        pods,
        pod: large_pod,
        ends,
    };
    let file = kubeconfig(played.serve().await);
    let berth = serve(&file);
    let allocated = format!(
        "berth_pool_gpus{{pool=\"all\",state=\"allocated\"}} {}\n",
        pods.div_ceil(ONE_OF)
    );
    has(&berth, &allocated).await;
    let peak = berth.peak_memory();
    println!("{pods} Pods of 256 kB: {peak} MiB at most");
    assert!(peak < PEAK, "{peak} MiB");
}
