//! What kube-apiserver does to a webhook, where berth relies on it: a webhook of the test's stands where berth does.

use std::sync::atomic::{AtomicUsize, Ordering};

use berth_cluster::Cluster;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
    core::Status,
};
use serde_json::{Value, json};

use crate::{
    cluster_without_gpus,
    neighbour::{AFTER, Neighbour, answer, patch},
    objects::{deployment, dry_run, plain, refusal},
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

/// Answers each call by the next of these.
async fn refusals(answers: Vec<fn(&Value) -> Value>) -> Option<Vec<Status>> {
    let cluster = cluster_without_gpus().await?;
    let (count, asked) = (answers.len(), AtomicUsize::new(0));
    let next = move |review: &Value| {
        if review["request"]["object"]["metadata"]["name"] != "pod" {
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
    fn without(review: &Value, field: &str) -> Value {
        let mut answer = patch(review, &json!([]));
        let holder = match field {
            "apiVersion" | "kind" => &mut answer,
            _ => &mut answer["response"],
        };
        holder.as_object_mut().expect("an object").remove(field);
        answer
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
    fn denial(review: &Value, code: u16) -> Value {
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
