//! What kube-apiserver does to a webhook, where berth relies on it: a webhook of the test's stands where berth does.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use axum::{
    Json,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use berth_cluster::Cluster;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
    core::Status,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    cluster_without_gpus,
    common::process::peak_memory,
    neighbour::{AFTER, Neighbour, answer, patch},
    objects::{deployment, dry_run, explained, limits, object, plain, pod, refusal},
};

fn annotated(value: &str) -> Pod {
    let mut pod = plain("pod");
    pod.metadata.annotations = Some([("note".to_owned(), value.to_owned())].into());
    pod
}

#[tokio::test]
async fn a_review_comes_with_a_deadline_a_length_and_six_bytes_for_each_bracket() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let neighbour = Neighbour::join(&cluster, AFTER, |review| answer(review, json!({}))).await;
    cluster.dry_run(annotated("<>&")).await;
    let received = neighbour.received();
    let [call] = &received[..] else {
        panic!("{} calls", received.len());
    };
    assert_eq!(call.head.version, axum::http::Version::HTTP_11);
    assert_eq!(call.head.uri, "/mutate?timeout=10s");
    let header = |name: &str| {
        call.head
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    assert_eq!(header("user-agent"), Some("kube-apiserver-admission"));
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("accept-encoding"), Some("gzip"));
    assert_eq!(
        header("content-length"),
        Some(&*call.body.len().to_string())
    );
    let body = std::str::from_utf8(&call.body).expect("UTF-8");
    assert!(body.contains(r#""note":"\u003c\u003e\u0026""#), "{body}");
}

/// A client that takes the first answer. Ours tries again after 429 and 503.
async fn impatient(cluster: &Cluster<'_>) -> Client {
    let kubeconfig = cluster.homelab().control_plane().kubeconfig().expect("one");
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("one");
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let mut config = config.expect("a configuration");
    config.default_retry = false;
    Client::try_from(config).expect("a client")
}

/// Whether a review is of the test's Pod, not of the one that finds out whether the webhook is called.
fn is_the_tests(review: &Value) -> bool {
    review["request"]["object"]["metadata"]["name"] == "pod"
}

#[tokio::test]
async fn a_connection_that_ends_on_a_review_fails_the_create_and_nobody_tries_again() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    // hyper closes the connection under a handler that panics
    let hang_up = |review: &Value| {
        assert!(!is_the_tests(review), "meant to");
        answer(review, json!({}))
    };
    let neighbour = Neighbour::join(&cluster, AFTER, hang_up).await;
    let status = cluster.refuses(plain("pod")).await;
    assert_eq!(status.code, 500);
    assert!(status.message.ends_with("EOF"), "{}", status.message);
    assert_eq!(neighbour.received().len(), 1);
}

/// Answers 503 to the test's Pod at first, with the header where one is given, and then allows it.
fn unavailable(retry_after: Option<&'static str>) -> impl Fn(&Value) -> Response + Send + Sync {
    let asked = AtomicUsize::new(0);
    move |review| {
        if !is_the_tests(review) || asked.fetch_add(1, Ordering::Relaxed) > 0 {
            return answer(review, json!({})).into_response();
        }
        let retry_after = retry_after.map(|seconds| [(RETRY_AFTER, seconds)]);
        match retry_after {
            Some(header) => (StatusCode::SERVICE_UNAVAILABLE, header).into_response(),
            None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    }
}

#[tokio::test]
async fn a_503_is_tried_again_where_it_says_when() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let neighbour = Neighbour::join(&cluster, AFTER, unavailable(Some("1"))).await;
    cluster.dry_run(plain("pod")).await;
    assert_eq!(neighbour.received().len(), 2);
}

#[tokio::test]
async fn a_503_that_does_not_say_when_is_the_last_word() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let neighbour = Neighbour::join(&cluster, AFTER, unavailable(None)).await;
    let status = cluster.refuses(plain("pod")).await;
    assert_eq!(status.code, 500);
    assert_eq!(neighbour.received().len(), 1);
}

/// Answers each call by the next of these.
async fn refusals(answers: Vec<fn(&Value) -> Json<Value>>) -> Option<Vec<Status>> {
    let cluster = cluster_without_gpus().await?;
    let (count, asked) = (answers.len(), AtomicUsize::new(0));
    let next = move |review: &Value| {
        if !is_the_tests(review) {
            return answer(review, json!({}));
        }
        answers[asked.fetch_add(1, Ordering::Relaxed)](review)
    };
    Neighbour::join(&cluster, AFTER, next).await;
    let pods = Api::namespaced(impatient(&cluster).await, cluster.namespace());
    let mut read = Vec::new();
    for _ in 0..count {
        read.push(refusal(pods.create(&dry_run(), &plain("pod")).await));
    }
    Some(read)
}

#[tokio::test]
async fn an_answer_that_is_not_to_the_letter_is_an_internal_error_to_the_user() {
    fn without(review: &Value, field: &str) -> Json<Value> {
        let Json(mut answer) = patch(review, &json!([]));
        let holder = match field {
            "apiVersion" | "kind" => &mut answer,
            _ => &mut answer["response"],
        };
        holder.as_object_mut().expect("an object").remove(field);
        Json(answer)
    }
    let Some(read) = refusals(vec![
        |review| without(review, "uid"),
        |review| without(review, "apiVersion"),
        |review| without(review, "kind"),
        |review| without(review, "patchType"),
        |review| without(review, "patch"),
        |review| patch(review, &json!([{"op": "remove", "path": "/spec/none"}])),
    ])
    .await
    else {
        return;
    };
    let words = [
        "expected response.uid",
        "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview",
        "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview",
        "response.patchType",
        "response.patch",
        "remove",
    ];
    for (status, words) in read.iter().zip(words) {
        assert_eq!(status.code, 500, "{status:#?}");
        assert!(
            status.message.contains(words),
            "{words}: {}",
            status.message
        );
    }
}

#[tokio::test]
async fn a_denials_code_passes_from_400_on() {
    fn denial(review: &Value, code: u16) -> Json<Value> {
        answer(
            review,
            json!({"allowed": false, "status": {"code": code, "message": "no: <&> \"é\""}}),
        )
    }
    let Some(read) = refusals(vec![
        |review| denial(review, 399),
        |review| denial(review, 403),
        |review| denial(review, 422),
        |review| denial(review, 429),
        |review| denial(review, 503),
    ])
    .await
    else {
        return;
    };
    let codes: Vec<_> = read.iter().map(|status| status.code).collect();
    assert_eq!(codes, [400, 403, 422, 429, 503]);
    for status in read {
        let message =
            "admission webhook \"pods.neighbour.example\" denied the request: no: <&> \"é\"";
        assert_eq!(status.message, message);
    }
}

#[tokio::test]
async fn a_patch_as_numbers_is_taken_too() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let operations = json!([{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]);
    let numbers = operations.to_string().into_bytes();
    let fields = json!({"patch": numbers, "patchType": "JSONPatch"});
    Neighbour::join(&cluster, AFTER, move |review| {
        answer(review, fields.clone())
    })
    .await;
    let shown = cluster.dry_run(plain("pod")).await;
    assert_eq!(shown.metadata.labels.expect("labels")["a"], "b");
}

#[tokio::test]
async fn a_match_condition_that_errors_refuses_the_pod() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let condition =
        json!({"name": "note", "expression": "object.metadata.annotations['probe'] == 'yes'"});
    let allow = |review: &Value| answer(review, json!({}));
    let fields = json!({"matchConditions": [condition]});
    Neighbour::join_under(&cluster, AFTER, fields, allow).await;
    let status = cluster.refuses(plain("pod")).await;
    assert_eq!(status.code, 403);
    assert!(status.message.contains("no such key"), "{}", status.message);
}

#[tokio::test]
async fn a_dry_run_of_a_deployment_shows_nothing_of_what_its_pods_get() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let shown = cluster.dry_run(deployment("vllm")).await;
    let template = shown.spec.template.spec.expect("a template");
    assert!(
        template.tolerations.is_none() && template.affinity.is_none(),
        "{template:#?}"
    );
}

/// A Pod of class vllm that no scheduler looks at, with so many characters that JSON needs six bytes for.
fn brackets(count: usize) -> Pod {
    let env = json!([{"name": "BRACKETS", "value": "<".repeat(count)}]);
    let mut large = pod("vllm");
    let spec = large.spec.as_mut().expect("a spec");
    spec.scheduling_gates = Some(object(json!([{"name": "example.com/never"}])));
    spec.containers[0].env = Some(object(env));
    large
}

#[tokio::test]
async fn the_largest_pod_that_etcd_takes_is_placed_and_a_larger_one_is_refused_by_its_size() {
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    // etcd's bound is 1.5 MiB: a review of 8.4 MB
    let stored = cluster.create(brackets(1_400_000)).await.object;
    assert_eq!(limits(&stored)["amd.com/gpu"], "1");
    let status = cluster.refuses(brackets(1_900_000)).await;
    assert_eq!(status.code, 500);
    let words =
        "failed to call webhook: the review is larger than 10485760 bytes; make the Pod smaller";
    explained(&status.message, words);
}

/// All at once they are three times what the budget of bodies holds: berth asks the API server to come again, and on a
/// slow machine the time of the webhook ends before. So some may fail as the webhook's policy says; none may be stored
/// without its place, and berth's memory may not grow.
#[tokio::test]
async fn sixty_four_large_pods_at_once_stay_within_the_charts_memory() {
    const PODS: usize = 64;
    let Some(cluster) = cluster_without_gpus().await else {
        return;
    };
    let mut large = pod("vllm");
    let env = json!([{"name": "LARGE", "value": "x".repeat(2_900_000)}]);
    large.spec.as_mut().expect("a spec").containers[0].env = Some(object(env));
    let began = Instant::now();
    let mut creating = JoinSet::new();
    for _ in 0..PODS {
        let (pods, large) = (cluster.api::<Pod>(), large.clone());
        creating.spawn(async move { pods.create(&dry_run(), &large).await });
    }
    let mut placed = 0;
    for created in creating.join_all().await {
        match created {
            Ok(pod) => {
                assert_eq!(limits(&pod)["amd.com/gpu"], "1");
                placed += 1;
            }
            Err(error) => assert!(
                error.to_string().contains("failed calling webhook"),
                "{error}"
            ),
        }
    }
    let after = cluster.api::<Pod>().create(&dry_run(), &pod("vllm")).await;
    assert_eq!(limits(&after.expect("a place"))["amd.com/gpu"], "1");
    let serving = cluster.homelab().webhook().serving;
    let peak = peak_memory(serving.id());
    println!(
        "{PODS} Pods of 2.9 MB at once: {:.1?}, {placed} placed, VmHWM {peak} MiB",
        began.elapsed()
    );
    // the chart's limit is 256 MiB; 146 MiB were seen in a debug build
    assert!(peak < 192, "{peak} MiB");
}
