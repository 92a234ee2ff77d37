//! A word at apply, as HTTP has it: always allowed, warned of what a preview finds, and counted.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::Request, http::StatusCode};
use berth_core::review;
use berth_server::{
    accept::{Gate, Meters},
    metrics::Metrics,
    state::ServerState,
    traces::Traces,
    webhook::{Limits, Routes, WARN_PATH, Webhook},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

mod common;

const LABEL: &str = "berth.dev/workload-class";

struct Server {
    routes: Routes,
    metrics: Arc<Metrics>,
}

impl Server {
    fn new() -> Self {
        let server = Self::without_table();
        server.1.set_view(common::homelab());
        server.0
    }

    fn without_table() -> (Self, Arc<ServerState>) {
        let state = Arc::new(ServerState::default());
        let metrics = Arc::new(Metrics::default());
        let routes = Routes::new(Webhook {
            review: review::review,
            state: Arc::clone(&state),
            metrics: Arc::clone(&metrics),
            limits: Limits {
                max_body_bytes: 1 << 20,
                body_timeout: Duration::from_mins(1),
                max_body_memory: 64 << 20,
                max_in_flight: 4,
            },
            forward: None,
            board: None,
            traces: Traces::default(),
            events: None,
        });
        (Self { routes, metrics }, state)
    }

    async fn post(&self, body: String) -> (StatusCode, Value) {
        let request = Request::post(WARN_PATH).header("content-type", "application/json");
        let request = request.body(Body::from(body)).expect("a request");
        let gate = Gate::new(1, Duration::from_secs(1), Meters::default());
        let service = gate.seat(self.routes.clone(), ([127, 0, 0, 1], 1).into());
        let Ok(response) = service.oneshot(request).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (head.status, serde_json::from_slice(&body).expect("JSON"))
    }

    /// The warnings for an object, which is allowed.
    async fn warnings(&self, object: Value) -> Vec<String> {
        let (status, answer) = self.post(asked(object).to_string()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["kind"], "AdmissionReview");
        let response = &answer["response"];
        assert_eq!(response["uid"], "u-1");
        assert_eq!(response["allowed"], true);
        let warnings = response["warnings"].as_array().into_iter().flatten();
        let warnings = warnings.map(|it| it.as_str().expect("text").to_owned());
        warnings.collect()
    }

    fn counted(&self, result: &str) -> bool {
        let line = format!("berth_words_total{{result=\"{result}\"}} 1");
        let text = self.metrics.text().expect("text");
        text.lines().any(|counted| counted == line)
    }

    fn reviews(&self) -> usize {
        let text = self.metrics.text().expect("text");
        let reviews = |line: &&str| line.starts_with("berth_reviews_total{");
        text.lines().filter(reviews).count()
    }
}

fn asked(object: Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "u-1", "operation": "CREATE", "namespace": "ai", "object": object},
    })
}

fn template(labels: Value) -> Value {
    json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "x"}]}})
}

fn workload(kind: &str, labels: Value, of_template: Value) -> Value {
    let spec = json!({"template": template(of_template)});
    let (version, spec) = match kind {
        "CronJob" => ("batch/v1", json!({"jobTemplate": {"spec": spec}})),
        "Job" => ("batch/v1", spec),
        _ => ("apps/v1", spec),
    };
    json!({
        "apiVersion": version, "kind": kind, "spec": spec,
        "metadata": {"name": "w", "namespace": "ai", "labels": labels},
    })
}

#[tokio::test]
async fn a_misspelt_class_is_told_with_the_one_that_was_meant() {
    for kind in ["Deployment", "StatefulSet", "Job", "CronJob"] {
        let server = Server::new();
        let object = workload(kind, json!({}), json!({LABEL: "wisper"}));
        let warnings = server.warnings(object).await;
        assert_eq!(
            warnings[0],
            r#"berth: workload class "wisper" is not available in namespace "ai"; did you mean "whisper"?"#
        );
        assert!(
            warnings[1].starts_with("berth: available here: "),
            "{warnings:?}"
        );
        assert_eq!(warnings.len(), 2, "{kind}: {warnings:?}");
        assert!(server.counted("warned"), "{kind}");
        assert_eq!(server.reviews(), 0, "no Pod was reviewed");
    }
}

#[tokio::test]
async fn a_label_on_the_object_instead_of_its_template_is_told_with_its_place() {
    for (kind, place) in [
        ("Deployment", "spec.template"),
        ("StatefulSet", "spec.template"),
        ("Job", "spec.template"),
        ("CronJob", "spec.jobTemplate.spec.template"),
    ] {
        let object = workload(kind, json!({LABEL: "whisper"}), json!({"app": "w"}));
        let warnings = Server::new().warnings(object).await;
        let expected = format!(
            "berth: the Pods do not get the label in metadata.labels; move it to {place}.metadata.labels"
        );
        assert_eq!(warnings, [expected], "{kind}");
    }
}

#[tokio::test]
async fn where_all_is_well_nothing_is_said() {
    let server = Server::new();
    let mut object = workload("Deployment", json!({}), json!({LABEL: "whisper"}));
    object["metadata"]["managedFields"] =
        json!([{"fieldsV1": {"labels": {LABEL: {}, "berth.dev/workload-clas": {}}}}]);
    assert_eq!(server.warnings(object).await, [""; 0]);
    assert!(server.counted("quiet"));
}

#[tokio::test]
async fn every_warning_is_short_and_there_are_few() {
    let long = "x".repeat(63);
    let jobs: Vec<_> = (0..30)
        .map(|i| {
            let labels = json!({LABEL: format!("{}{i:02}", &long[2..])});
            json!({"name": format!("j{i}"), "template": {"spec": {"template": template(labels)}}})
        })
        .collect();
    let object = json!({
        "apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet",
        "metadata": {"name": "w", "namespace": "ai"}, "spec": {"replicatedJobs": jobs},
    });
    let warnings = Server::new().warnings(object).await;
    assert_eq!(warnings.len(), 6, "{warnings:?}");
    for (i, warning) in warnings.iter().enumerate() {
        assert!(warning.chars().count() <= 120, "{warning}");
        assert!(!warnings[..i].contains(warning), "twice: {warning}");
    }
}

#[tokio::test]
async fn what_cannot_be_previewed_is_allowed_and_counted() {
    let (without_table, _state) = Server::without_table();
    let misspelt = || workload("Deployment", json!({}), json!({LABEL: "wisper"}));
    assert_eq!(without_table.warnings(misspelt()).await, [""; 0]);
    assert!(without_table.counted("skipped"));

    let server = Server::new();
    let mut large = misspelt();
    large["metadata"]["annotations"]["x"] = "x".repeat(300 << 10).into();
    assert_eq!(server.warnings(large).await, [""; 0]);
    assert!(server.counted("skipped"));

    for object in [json!(null), json!([1]), json!("x"), json!({"spec": 1})] {
        server.warnings(object).await;
    }
}

/// Without a uid no answer is one to the API server: its `failurePolicy` allows the object.
#[tokio::test]
async fn what_is_no_review_is_an_http_error_and_no_review_of_a_pod() {
    let server = Server::new();
    let (status, _) = server.post("{}".to_owned()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(server.counted("failed"));
    assert_eq!(server.reviews(), 0);
}
