//! The table of answers, a test for each row, as HTTP has them.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Request, Response, StatusCode},
};
use berth_core::review::{self, Answer};
use berth_server::{
    accept::{Gate, Meters},
    metrics::Metrics,
    state::ServerState,
    traces::Traces,
    webhook::{Limits, Review, Routes, Webhook},
};
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, SizeHint};
use serde_json::{Value, json};
use tower::ServiceExt;

mod common;

use common::{containers, example, homelab, review};

/// A webhook with the homelab's table, and what it counts.
struct Server {
    routes: Routes,
    state: Arc<ServerState>,
    metrics: Arc<Metrics>,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

const LIMITS: Limits = Limits {
    max_body_bytes: 1 << 20,
    body_timeout: Duration::from_mins(1),
    max_body_memory: 64 << 20,
    max_in_flight: 4,
};

impl Server {
    fn new() -> Self {
        Self::with(review::review, LIMITS)
    }

    fn with(review: Review, limits: Limits) -> Self {
        let (state, metrics) = (
            Arc::new(ServerState::default()),
            Arc::new(Metrics::default()),
        );
        state.set_view(homelab());
        let routes = Routes::new(Webhook {
            review,
            state: Arc::clone(&state),
            metrics: Arc::clone(&metrics),
            limits,
            events: None,
            forward: None,
            board: None,
            traces: Traces::default(),
        });
        Self {
            routes,
            state,
            metrics,
        }
    }

    /// The response to the request of a connection, as it leaves the server.
    async fn respond(&self, request: Request<Body>) -> Response<Body> {
        let gate = Gate::new(1, Duration::from_secs(1), Meters::default());
        let service = gate.seat(self.routes.clone(), ([127, 0, 0, 1], 1).into());
        let Ok(response) = service.oneshot(request).await;
        response
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let (parts, body) = self.respond(request).await.into_parts();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.expect("a body").to_bytes(),
        }
    }

    async fn post(&self, body: impl Into<Body>) -> Reply {
        self.send(request("/mutate", body)).await
    }

    /// The response to a review.
    async fn ask(&self, review: &Value) -> Value {
        let reply = self.post(review.to_string()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        assert_eq!(reply.headers["content-type"], "application/json");
        let answer: Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(answer["kind"], "AdmissionReview");
        let response = answer["response"].clone();
        assert_eq!(response["uid"], review["request"]["uid"]);
        assert_eq!(
            response.get("patch").is_some(),
            response.get("patchType").is_some()
        );
        response
    }

    fn counted(&self, line: &str) -> bool {
        self.metrics
            .text()
            .expect("text")
            .lines()
            .any(|counted| counted == line)
    }
}

impl Reply {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }
}

fn request(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path)
        .header("content-type", "application/json")
        .body(body.into())
        .expect("a request")
}

/// The code and message of a denial; every message ends with the table's revision, and every reason is audited.
fn denial(response: &Value) -> (u64, String) {
    assert_eq!(response["allowed"], false, "{response}");
    let message = response["status"]["message"].as_str().expect("a message");
    let revision = response["auditAnnotations"]["table"]
        .as_str()
        .expect("a revision");
    assert!(
        message.ends_with(&format!(" (table {revision})")),
        "{message}"
    );
    let code = response["status"]["code"].as_u64().expect("a code");
    (code, message.to_owned())
}

async fn denied(review: &Value) -> (u64, String) {
    denial(&Server::new().ask(review).await)
}

#[tokio::test]
async fn a_wrong_path_is_404_and_a_wrong_method_405() {
    let server = Server::new();
    let reply = server.send(request("/", "{}")).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert!(reply.text().contains("/mutate"), "{}", reply.text());
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        let request = Request::builder()
            .method(method)
            .uri("/mutate")
            .body(Body::empty());
        let reply = server.send(request.expect("a request")).await;
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(reply.headers["allow"], "POST");
    }
}

#[tokio::test]
async fn a_long_method_or_path_is_cut() {
    let server = Server::new();
    let long = Request::builder()
        .method("X".repeat(10_000).as_str())
        .uri("/mutate")
        .body(Body::empty());
    let reply = server.send(long.expect("a request")).await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    let says = format!("method {} is not supported", "X".repeat(40));
    assert!(reply.text().contains(&says), "{}", reply.text());
    let path = format!("/{}", "x".repeat(10_000));
    let reply = server.send(request(&path, "{}")).await;
    let says = format!("no such path: /{};", "x".repeat(199));
    assert!(reply.text().contains(&says), "{}", reply.text());
}

#[tokio::test]
async fn only_plain_json_is_taken() {
    let server = Server::new();
    let body = example("vllm").to_string();
    for (header, value, status) in [
        ("content-type", "application/json", StatusCode::OK),
        (
            "content-type",
            "Application/JSON; charset=utf-8",
            StatusCode::OK,
        ),
        (
            "content-type",
            "text/plain",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (
            "content-type",
            "application/jsonp",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        ("accept", "*/*", StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let request = Request::post("/mutate")
            .header(header, value)
            .body(Body::from(body.clone()));
        let reply = server.send(request.expect("a request")).await;
        assert_eq!(reply.status, status, "{header}: {value}");
    }
    for encoding in ["gzip", "identity"] {
        let mut request = request("/mutate", body.clone());
        request
            .headers_mut()
            .insert("content-encoding", encoding.parse().expect("a header"));
        assert_eq!(
            server.send(request).await.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        );
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_trusted_is_400() {
    let server = Server::new();
    let whole = example("vllm").to_string();
    let mut not_utf8 = whole.clone().into_bytes();
    let at = whole.find("\"vllm\"").expect("there") + 1;
    not_utf8[at] = 0xff;
    let twice = |key: &str, again: &str| whole.replacen(&format!("\"{key}\":"), again, 1);
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("truncated", whole.as_bytes()[..whole.len() / 2].to_vec()),
        ("not UTF-8", not_utf8),
        ("trailing bytes", format!("{whole} x").into_bytes()),
        ("two reviews", format!("{whole}{whole}").into_bytes()),
        (
            "a second request",
            twice("request", "\"request\":{},\"request\":").into_bytes(),
        ),
        (
            "a second uid",
            twice("uid", "\"uid\":\"other\",\"uid\":").into_bytes(),
        ),
        (
            "a second object",
            twice("object", "\"object\":null,\"object\":").into_bytes(),
        ),
        (
            "a second spec",
            twice("spec", "\"spec\":{},\"spec\":").into_bytes(),
        ),
        (
            "a second label",
            twice(
                "berth.dev/workload-class",
                "\"berth.dev/workload-class\":\"xtts\",\"berth.dev/workload-class\":",
            )
            .into_bytes(),
        ),
        (
            "an escaped second label",
            twice(
                "berth.dev/workload-class",
                "\"berth.dev\\/workload-class\":\"xtts\",\"berth.dev/workload-class\":",
            )
            .into_bytes(),
        ),
        (
            "second limits",
            twice("requests", "\"limits\":{\"a/b\":1,\"a/b\":2},\"requests\":").into_bytes(),
        ),
    ];
    for (what, body) in bodies {
        let reply = server.post(body).await;
        assert_eq!(
            reply.status,
            StatusCode::BAD_REQUEST,
            "{what}: {}",
            reply.text()
        );
    }
    let mut annotated = example("vllm");
    annotated["request"]["object"]["metadata"]["annotations"] = json!({"a": "1"});
    let twice = annotated
        .to_string()
        .replace("{\"a\":\"1\"}", "{\"a\":\"1\",\"a\":\"2\"}");
    assert_eq!(server.post(twice).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        server.post(format!("{whole} \r\n\t")).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn what_berth_skips_may_nest_to_any_depth() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let body =
        example("vllm")
            .to_string()
            .replacen("\"status\":{}", &format!("\"status\":{deep}"), 1);
    assert!(body.len() > 400_000);
    assert_eq!(Server::new().post(body).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_large_body_is_413_and_closes() {
    let reply = Server::new()
        .post(vec![b' '; LIMITS.max_body_bytes + 1])
        .await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(reply.headers["connection"], "close");
    let mut padded = example("vllm").to_string();
    padded.push_str(&" ".repeat(LIMITS.max_body_bytes - padded.len()));
    assert_eq!(Server::new().post(padded).await.status, StatusCode::OK);
}

#[tokio::test]
async fn of_a_pod_with_more_than_is_passed_over_nothing_more_is_read() {
    let body = |place: &str, values: usize| {
        let mut review = example("vllm");
        *review.pointer_mut(place).expect("an object") = json!({"unread": vec![1; values]});
        // kube-apiserver writes the object behind what tells what it is
        let request = review["request"].as_object_mut().expect("an object");
        let object = request.remove("object").expect("a Pod");
        let request = review["request"].to_string();
        let request = request.strip_suffix('}').expect("an object");
        format!(
            r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{request},"object":{object}}}}}"#
        )
    };
    let most = berth_core::json::STEPS.most / berth_core::json::VALUE;
    let status = "/request/object/status";
    assert!(body(status, most).len() < LIMITS.max_body_bytes);
    let reply = Server::new().post(body(status, most / 2)).await;
    assert_eq!(reply.status, StatusCode::OK);
    let ask = async |body: String| {
        let reply = Server::new().post(body).await;
        assert_eq!(reply.status, StatusCode::OK);
        let answer: Value = serde_json::from_slice(&reply.body).expect("an answer");
        answer["response"].clone()
    };
    let (code, message) = denial(&ask(body(status, most)).await);
    assert_eq!(code, 422, "{message}");
    let says = "the Pod has more than 1572864 escapes, or a quarter as many values that no rule reads, the most that berth reads: make its longest list shorter";
    assert!(message.starts_with(says), "{message}");
    // what is wrong first is said, and who has no class passes
    let first = body(status, most);
    let other = body(status, most).replace("berth.dev/workload-class", "example.com/class");
    assert_eq!(ask(other).await["allowed"], true);
    let first = first.replacen("\"tolerations\":", "\"tolerations\":1,\"x\":", 1);
    let (code, message) = denial(&ask(first).await);
    assert_eq!(code, 400, "{message}");
    assert!(
        message.starts_with("spec.tolerations: expected a list"),
        "{message}"
    );

    // it is not the Pod's
    let reply = Server::new().post(body("/request/options", most)).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    let status: Value = serde_json::from_slice(&reply.body).expect("a Status");
    let says = "the review has more than 1572864 escapes, or a quarter as many values that no rule reads; make the Pod smaller";
    assert_eq!(status["message"], says);
}

#[tokio::test]
async fn a_length_over_the_limit_is_413_before_a_byte_is_read() {
    for length in [(1 << 20) + 1, 1 << 63, u64::MAX] {
        let body = Body::new(Declared(length));
        let reply = Server::new().post(body).await;
        assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE, "{length}");
    }
}

/// A body that says how long it is, and never comes.
struct Declared(u64);

impl hyper::body::Body for Declared {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_only_declared_takes_no_slot_and_no_memory() {
    let server = Arc::new(Server::with(
        review::review,
        Limits {
            max_in_flight: 1,
            ..LIMITS
        },
    ));
    let silent: Vec<_> = (0..320)
        .map(|_| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { server.post(Body::new(Declared(1 << 20))).await.status })
        })
        .collect();
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
        if server.counted("berth_reviews_in_flight 320") {
            break;
        }
    }
    assert!(server.counted("berth_reviews_in_flight 320"));
    assert!(server.counted("berth_body_bytes 0"));
    for _ in 0..12 {
        let reply = server.post(example("vllm").to_string()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    }
    for silent in silent {
        assert_eq!(silent.await.expect("no panic"), StatusCode::REQUEST_TIMEOUT);
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_over_the_budget_are_503_and_the_others_go_on() {
    let server = Arc::new(Server::with(
        review::review,
        Limits {
            max_body_memory: 4 << 20,
            ..LIMITS
        },
    ));
    let without_their_end: Vec<_> = (0..8)
        .map(|_| {
            let server = Arc::clone(&server);
            let most = Bytes::from(vec![b' '; (1 << 20) - 1]);
            let first = stream::iter([Ok::<_, Infallible>(Frame::data(most))]);
            let body = Body::new(StreamBody::new(first.chain(stream::pending())));
            tokio::spawn(async move { server.post(body).await })
        })
        .collect();
    let mut answers = Vec::new();
    for sent in without_their_end {
        let reply = sent.await.expect("no panic");
        if reply.status == StatusCode::SERVICE_UNAVAILABLE {
            assert_eq!(reply.headers["retry-after"], "1");
            assert!(
                reply.text().contains("--max-body-memory"),
                "{}",
                reply.text()
            );
        }
        answers.push(reply.status.as_u16());
    }
    answers.sort_unstable();
    assert_eq!(answers, [408, 408, 408, 408, 503, 503, 503, 503]);
    assert!(server.counted("berth_body_bytes 0"), "all is given back");
    assert_eq!(
        server.post(example("vllm").to_string()).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn what_an_answer_holds_is_given_back_when_it_has_been_written() {
    let server = Server::new();
    let request = request("/mutate", example("vllm").to_string());
    let response = server.respond(request).await;
    assert!(!server.counted("berth_body_bytes 0"));
    drop(response);
    assert!(server.counted("berth_body_bytes 0"));
}

/// Ten times as many clients as there can be answers in time: no review is computed for a client that has given up, and
/// nobody is told after the deadline. The review sleeps instead of computing, and reviews are counted, not timed, so
/// that a busy machine makes no difference.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_ten_times_the_load_goodput_holds_and_nobody_waits_past_the_deadline() {
    const TAKES: Duration = Duration::from_millis(20);
    const TIMEOUT: Duration = Duration::from_secs(4);
    static COMPUTED: AtomicUsize = AtomicUsize::new(0);
    fn slow<'a>(
        body: &'a [u8],
        view: &'a berth_core::view::View,
    ) -> Result<Answer<'a>, review::Error> {
        std::thread::sleep(TAKES);
        COMPUTED.fetch_add(1, Ordering::Relaxed);
        review::review(body, view)
    }
    let limits = Limits {
        max_in_flight: 10_000,
        max_body_memory: 1 << 30,
        ..LIMITS
    };
    let server = Arc::new(Server::with(slow, limits));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let in_time = processors * TIMEOUT.as_millis() as usize / TAKES.as_millis() as usize;
    // larger than what is answered on the spot
    let body = Bytes::from(example("vllm").to_string() + &" ".repeat(20_000));
    let clients: Vec<_> = (0..10 * in_time)
        .map(|_| {
            let (server, body) = (Arc::clone(&server), body.clone());
            tokio::spawn(async move {
                let began = std::time::Instant::now();
                let reply = server.send(request("/mutate?timeout=4s", body)).await;
                (reply.status, began.elapsed())
            })
        })
        .collect();
    let (mut answered, mut last) = (0, Duration::ZERO);
    for client in clients {
        let (status, after) = client.await.expect("no panic");
        answered += usize::from(status == StatusCode::OK);
        last = last.max(after);
    }
    assert!(last < TIMEOUT, "the last heard after {last:?}");
    assert!(answered > 0, "nobody is answered");
    assert_eq!(
        answered,
        COMPUTED.load(Ordering::Relaxed),
        "each that is computed is in time"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_408_and_closes() {
    let reply = Server::new().post(endless()).await;
    assert_eq!(reply.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(reply.headers["connection"], "close");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_is_503() {
    for path in ["/mutate?timeout=5s", "/mutate?other=1&timeout=300ms"] {
        let reply = Server::new().send(request(path, endless())).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.headers["retry-after"], "1");
    }
    let body = example("vllm").to_string();
    let late = Server::new()
        .send(request("/mutate?timeout=50ms", body.clone()))
        .await;
    assert_eq!(
        late.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "100 ms are reserved for the response"
    );
    for ignored in ["/mutate?timeout=soon", "/mutate?x=1", "/mutate?"] {
        let reply = Server::new().send(request(ignored, body.clone())).await;
        assert_eq!(reply.status, StatusCode::OK, "{ignored}");
    }
}

/// A body that never comes.
fn endless() -> Body {
    Body::new(StreamBody::new(stream::pending::<
        Result<Frame<Bytes>, Infallible>,
    >()))
}

#[tokio::test]
async fn what_is_no_review_is_400() {
    let server = Server::new();
    let with = |path: &[&str], value: Value| {
        let mut review = example("vllm");
        let mut place = &mut review;
        for key in path {
            place = &mut place[*key];
        }
        *place = value;
        review.to_string()
    };
    for body in [
        with(&["apiVersion"], json!("admission.k8s.io/v1beta1")),
        with(&["apiVersion"], Value::Null),
        with(&["kind"], json!("Pod")),
        with(&["request"], Value::Null),
        with(&["request"], json!([])),
        with(&["request", "uid"], json!("")),
        with(&["request", "uid"], Value::Null),
        with(&["request", "uid"], json!(7)),
        with(&["request", "uid"], json!("u".repeat(257))),
        "[]".to_owned(),
        "null".to_owned(),
    ] {
        let reply = server.post(body.clone()).await;
        assert_eq!(
            reply.status,
            StatusCode::BAD_REQUEST,
            "{:.100}: {}",
            body,
            reply.text()
        );
    }
    let longest = with(&["request", "uid"], json!("u".repeat(256)));
    assert_eq!(server.post(longest).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_object_of_the_wrong_shape_is_denied_400_with_its_path() {
    let with = |path: &str, value: Value| {
        let mut review = example("vllm");
        *review.pointer_mut(path).expect(path) = value;
        review
    };
    for (pointer, value, field) in [
        ("/request/object", Value::Null, "the review has no object"),
        ("/request/object", json!([1]), "the Pod"),
        ("/request/object/spec", json!("x"), "spec"),
        (
            "/request/object/spec/containers",
            json!({}),
            "spec.containers",
        ),
        (
            "/request/object/spec/containers/0",
            json!(7),
            "spec.containers[0]",
        ),
        (
            "/request/object/spec/containers/0/name",
            json!(7),
            "spec.containers[0].name",
        ),
        (
            "/request/object/spec/tolerations/1/key",
            json!([]),
            "spec.tolerations[1].key",
        ),
        (
            "/request/object/metadata/labels/app",
            json!({}),
            "metadata.labels[\"app\"]",
        ),
    ] {
        let (code, message) = denied(&with(pointer, value)).await;
        assert_eq!(code, 400, "{message}");
        let named = message
            .strip_prefix(field)
            .unwrap_or_else(|| panic!("{field}: {message}"));
        assert!(named.starts_with([':', ' ']), "{field}: {message}");
    }
}

#[tokio::test]
async fn what_is_none_of_ours_passes_whatever_its_shape() {
    let server = Server::new();
    let with = |change: fn(&mut Value)| {
        let mut review = example("vllm");
        review["request"]["object"]["spec"] = json!("no spec");
        change(&mut review["request"]);
        review
    };
    for (review, reason) in [
        (
            with(|request| request["operation"] = json!("UPDATE")),
            "NotPodCreate",
        ),
        (
            with(|request| request["subResource"] = json!("status")),
            "NotPodCreate",
        ),
        (
            with(|request| request["resource"]["resource"] = json!("jobs")),
            "NotPodCreate",
        ),
        (
            with(|request| request["resource"]["group"] = json!("x.io")),
            "NotPodCreate",
        ),
        (
            with(|request| request["object"]["metadata"]["labels"] = json!({})),
            "NoClass",
        ),
        (
            with(|request| request["object"]["metadata"]["labels"] = Value::Null),
            "NoClass",
        ),
        (
            with(|request| {
                request["object"]["metadata"]["labels"]["berth.dev/inject"] = json!("disabled");
            }),
            "OptedOut",
        ),
        (
            with(|request| {
                request["object"]["metadata"]["annotations"] =
                    json!({"kubernetes.io/config.mirror": "x"});
            }),
            "MirrorPod",
        ),
    ] {
        let response = server.ask(&review).await;
        assert_eq!(response["allowed"], true, "{reason}");
        assert_eq!(response.get("patch"), None);
        assert_eq!(response["auditAnnotations"]["reason"], reason);
    }
}

#[tokio::test]
async fn a_class_that_is_unknown_or_closed_is_403_with_one_message() {
    let mut review = example("vllm");
    review["request"]["object"]["metadata"]["labels"]["berth.dev/workload-class"] = json!("vlm");
    let (code, message) = denied(&review).await;
    assert_eq!(code, 403);
    let expected = "workload class \"vlm\" is not available in namespace \"ai\"; available here: bge-embeddings, \
                    bge-reranker, vllm, whisper, xtts; did you mean \"vllm\"? (table ";
    assert!(message.starts_with(expected), "{message}");
}

#[tokio::test]
async fn a_label_that_is_no_label_value_is_422() {
    for value in ["-x", "a b", "ä", &"x".repeat(64)] {
        let mut review = example("vllm");
        review["request"]["object"]["metadata"]["labels"]["berth.dev/workload-class"] =
            json!(value);
        let (code, message) = denied(&review).await;
        assert_eq!(code, 422, "{value:?}: {message}");
        assert!(message.contains("berth.dev/workload-class"), "{message}");
    }
}

#[tokio::test]
async fn a_conflict_is_403_and_names_both_sides() {
    let other = containers(json!({"limits": {"nvidia.com/gpu": 1}}));
    let elsewhere = json!({"nodeSelector": {"kubernetes.io/hostname": "elminster"}});
    let two = json!({"containers": [{"name": "one"}, {"name": "two"}]});
    for (spec, sides) in [
        (other, ["nvidia.com/gpu", "amd.com/gpu"]),
        (elsewhere, ["elminster", "khelben"]),
        (two, ["one", "two"]),
        (
            containers(json!({"limits": {"amd.com/gpu": 2}})),
            ["2", "1"],
        ),
        (json!({"nodeName": "khelben"}), ["nodeName", "khelben"]),
    ] {
        let (code, message) = denied(&review(spec)).await;
        assert_eq!(code, 403, "{message}");
        assert!(
            sides.iter().all(|side| message.contains(side)),
            "{sides:?}: {message}"
        );
    }
}

#[tokio::test]
async fn requests_that_differ_and_fractions_are_422() {
    for resources in [
        json!({"limits": {"amd.com/gpu": 1}, "requests": {"amd.com/gpu": 2}}),
        json!({"limits": {"amd.com/gpu": "500m"}}),
    ] {
        let (code, message) = denied(&review(containers(resources))).await;
        assert_eq!(code, 422, "{message}");
        assert!(message.contains("amd.com/gpu"), "{message}");
    }
}

#[tokio::test]
async fn a_pod_that_is_as_it_should_be_gets_no_patch() {
    let server = Server::new();
    let mut review = example("vllm");
    let response = server.ask(&review).await;
    assert!(response.get("patch").is_some());
    review["request"]["object"] = common::patched(&review, &json!({"response": response}));
    let again = server.ask(&review).await;
    assert_eq!(again["allowed"], true);
    assert_eq!(again.get("patch"), None);
    assert_eq!(again["auditAnnotations"]["reason"], "InPlace");
    assert_eq!(again["auditAnnotations"]["pool"], "strix-halo");
}

#[tokio::test]
async fn who_asks_is_for_the_log_and_denies_nobody() {
    let server = Server::new();
    for user in [
        json!(5),
        json!([]),
        json!({"username": 5}),
        json!({"username": "a", "groups": 7}),
        Value::Null,
    ] {
        let mut review = example("vllm");
        review["request"]["userInfo"] = user.clone();
        let response = server.ask(&review).await;
        assert_eq!(response["allowed"], true, "{user}");
    }
}

#[tokio::test]
async fn a_panic_is_500_and_counted_and_the_next_review_is_answered() {
    fn panics<'a>(
        body: &'a [u8],
        view: &'a berth_core::view::View,
    ) -> Result<Answer<'a>, review::Error> {
        assert!(!body.ends_with(b" "), "invented");
        review::review(body, view)
    }
    let server = Server::with(panics, LIMITS);
    let body = example("vllm").to_string();
    let reply = server.post(format!("{body} ")).await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!reply.text().contains("invented"), "{}", reply.text());
    let says = "internal error; the log has the details: report it";
    assert!(reply.text().contains(says), "{}", reply.text());
    assert!(server.counted("berth_panics_total 1"));
    assert!(server.counted("berth_reviews_in_flight 0"));
    assert_eq!(server.post(body).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_cannot_be_known_is_503_with_retry_after() {
    let server = Server::with(
        review::review,
        Limits {
            max_in_flight: 0,
            ..LIMITS
        },
    );
    let overloaded = server.post(example("vllm").to_string()).await;
    let no_table = Server {
        routes: Routes::new(Webhook {
            review: review::review,
            state: Arc::default(),
            metrics: Arc::default(),
            limits: LIMITS,
            events: None,
            forward: None,
            board: None,
            traces: Traces::default(),
        }),
        ..Server::new()
    };
    let no_table = no_table.post(example("vllm").to_string()).await;
    for reply in [overloaded, no_table] {
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.headers["retry-after"], "1");
        assert_eq!(reply.headers.get("connection"), None);
    }
}

#[tokio::test]
async fn while_draining_answers_go_on_and_ask_for_a_new_connection() {
    let server = Server::new();
    let before = server.post(example("vllm").to_string()).await;
    assert_eq!(before.headers.get("connection"), None);
    server.state.drain();
    let reply = server.post(example("vllm").to_string()).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.headers["connection"], "close");
    assert_eq!(reply.body, before.body);
    let wrong = server.send(request("/", "{}")).await;
    assert_eq!(wrong.headers["connection"], "close");
}

#[tokio::test]
async fn one_reason_is_in_the_answer_and_in_the_metric() {
    let server = Server::new();
    server.ask(&example("vllm")).await;
    let denied = server.ask(&review(json!({"nodeName": "n"}))).await;
    let reason = denied["auditAnnotations"]["reason"]
        .as_str()
        .expect("a reason");
    let line = format!(
        "berth_reviews_total{{result=\"denied\",reason=\"{reason}\",class=\"vllm\",pool=\"\"}} 1"
    );
    assert!(server.counted(&line));
    let line =
        r#"berth_reviews_total{result="mutated",reason="Placed",class="vllm",pool="strix-halo"} 1"#;
    assert!(server.counted(line));
    server.post("").await;
    let line = r#"berth_reviews_total{result="error",reason="BadReview",class="",pool=""} 1"#;
    assert!(server.counted(line));
    assert!(server.counted("berth_review_duration_seconds_count 3"));
}
