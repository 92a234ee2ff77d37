//! Traces, as the real OpenTelemetry Collector gets them from `berth serve`.
#![cfg(feature = "otel")]
#![allow(clippy::panic, reason = "a test fails by a panic")]

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

mod common;

use common::{
    client::{get, https, metric, value},
    collector::{Collector, Span},
    example, path,
    process::{Berth, PATIENCE, arg, command, fails, prints, serve, serve_after},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
/// Of five seconds, a test waits a moment.
const SOON: &str = "export OTEL_BSP_SCHEDULE_DELAY=50";

/// Asks for a review with this parent, or none, and gives the code.
async fn ask(berth: &Berth, ca: &str, path: &str, parent: &str, body: &Value) -> u16 {
    let url = format!("https://localhost:{}{path}", berth.webhook.port());
    let mut request = https(ca).post(url).body(body.to_string());
    request = request.header("Content-Type", "application/json");
    if !parent.is_empty() {
        request = request.header("traceparent", parent);
    }
    let answer = request.send().await.expect("an answer");
    answer.status().as_u16()
}

fn sampled() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

fn holds(span: &Span, fields: &[(&str, &str)]) {
    for (name, value) in fields {
        let found = span.get(*name).map(String::as_str);
        assert_eq!(found, Some(*value), "{name}: {span:#?}");
    }
}

#[tokio::test]
async fn a_review_is_a_span_below_the_api_servers() {
    let Some(collector) = Collector::start() else {
        return;
    };
    let endpoint = format!("http://{}", collector.http);
    let (berth, ca) = serve_after(SOON, &["--otlp-endpoint", &endpoint]);
    let placed = example("vllm");
    assert_eq!(ask(&berth, &ca, "/mutate", &sampled(), &placed).await, 200);
    let uid = placed["request"]["uid"].as_str().expect("a uid");
    let place = [
        ("Trace ID", TRACE),
        ("Parent ID", PARENT),
        ("Kind", "Server"),
        ("Status code", "Unset"),
        ("service.name", "berth"),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let span = collector.span(|span| span["berth.uid"] == uid);
    holds(&span, &place);
    holds(
        &span,
        &[
            ("Name", "POST /mutate"),
            ("http.route", "/mutate"),
            ("berth.result", "mutated"),
            ("berth.reason", "Placed"),
            ("berth.class", "vllm"),
            ("berth.pool", "strix-halo"),
            ("berth.dry_run", "false"),
        ],
    );

    // what a client sends is as short here as in the log
    let mut denied = placed.clone();
    denied["request"]["uid"] = "u".repeat(256).into();
    denied["request"]["dryRun"] = true.into();
    denied["request"]["object"]["metadata"]["labels"]["berth.dev/workload-class"] = "vlm".into();
    assert_eq!(ask(&berth, &ca, "/mutate", &sampled(), &denied).await, 200);
    let span = collector.span(|span| span["berth.result"] == "denied");
    holds(&span, &place);
    holds(
        &span,
        &[
            ("berth.reason", "ClassUnavailable"),
            ("berth.dry_run", "true"),
        ],
    );
    let logged = berth.event(|event| event["result"] == "denied");
    assert_eq!(span["berth.uid"], logged["uid"].as_str().expect("a text"));
    assert!(!span.contains_key("berth.class"), "{span:#?}");

    // who sends no review has a span, too, which is no error of ours
    let nonsense = json!(null);
    assert_eq!(
        ask(&berth, &ca, "/mutate", &sampled(), &nonsense).await,
        400
    );
    let span = collector.span(|span| span["berth.result"] == "error");
    holds(&span, &place);
    holds(
        &span,
        &[
            ("berth.reason", "BadReview"),
            ("http.response.status_code", "400"),
        ],
    );

    assert_eq!(ask(&berth, &ca, "/warn", &sampled(), &placed).await, 200);
    let span = collector.span(|span| span["Name"] == "POST /warn");
    holds(&span, &place);
    assert!(!span["berth.result"].is_empty(), "{span:#?}");
    assert_eq!(
        metric(berth.admin, "berth_spans_total{result=\"sent\"}").await,
        4
    );
}

#[tokio::test]
async fn a_server_that_cannot_answer_has_a_span_with_an_error() {
    let Some(collector) = Collector::start() else {
        return;
    };
    let endpoint = format!("http://{}", collector.http);
    let flags = [
        "--otlp-endpoint",
        &endpoint,
        "--max-in-flight",
        "1",
        "--body-timeout",
        "100ms",
    ];
    let (berth, ca) = serve_after(SOON, &flags);
    // a deadline that has passed before the review is there
    let path = "/mutate?timeout=1ns";
    assert_eq!(
        ask(&berth, &ca, path, &sampled(), &example("vllm")).await,
        503
    );
    let span = collector.span(|span| span["berth.result"] == "error");
    holds(
        &span,
        &[
            ("berth.reason", "DeadlinePassed"),
            ("Status code", "Error"),
            ("Status message", "DeadlinePassed"),
            ("http.response.status_code", "503"),
        ],
    );
}

/// Parents that decide against a span, or are none.
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
const INVALID: [&str; 3] = [
    "",
    "00-0af7651916cd43dd8448eb211c80319c-01",
    "a header that is none",
];

#[tokio::test]
async fn the_parent_decides_and_without_one_there_is_no_span() {
    let Some(collector) = Collector::start() else {
        return;
    };
    let endpoint = format!("http://{}", collector.http);
    let (berth, ca) = serve_after(SOON, &["--otlp-endpoint", &endpoint]);
    for parent in [UNSAMPLED].iter().chain(&INVALID) {
        let code = ask(&berth, &ca, "/mutate", parent, &example("vllm")).await;
        assert_eq!(code, 200, "{parent}");
    }
    ask(&berth, &ca, "/mutate", &sampled(), &example("vllm")).await;
    let spans = collector.spans();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    holds(&spans[0], &[("Parent ID", PARENT)]);
    assert_eq!(
        metric(berth.admin, "berth_spans_total{result=\"sent\"}").await,
        1
    );
}

#[tokio::test]
async fn a_review_without_a_valid_parent_may_begin_a_trace() {
    let Some(collector) = Collector::start() else {
        return;
    };
    let endpoint = format!("http://{}/v1/traces", collector.http);
    // the variables of OpenTelemetry's own name
    let variables = format!(
        "{SOON} && export OTEL_TRACES_SAMPLER=parentbased_always_on OTEL_EXPORTER_OTLP_TRACES_ENDPOINT={endpoint} \
         OTEL_SERVICE_NAME=gpu OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test"
    );
    let (berth, ca) = serve_after(&variables, &[]);
    for parent in INVALID {
        ask(&berth, &ca, "/mutate", parent, &example("vllm")).await;
        let span = collector.span(|_| true);
        let resource = [
            ("Parent ID", ""),
            ("service.name", "gpu"),
            ("deployment.environment.name", "test"),
        ];
        holds(&span, &resource);
        assert_ne!(span["Trace ID"], TRACE);
    }
    // and still the parent decides
    ask(&berth, &ca, "/mutate", UNSAMPLED, &example("vllm")).await;
    ask(&berth, &ca, "/mutate", &sampled(), &example("vllm")).await;
    holds(&collector.span(|_| true), &[("Parent ID", PARENT)]);
}

#[tokio::test]
async fn a_collector_that_is_gone_stops_no_review_and_is_told_once() {
    let Some(collector) = Collector::start() else {
        return;
    };
    let endpoint = format!("http://{}", collector.http);
    drop(collector);
    let (berth, ca) = serve_after(SOON, &["--otlp-endpoint", &endpoint]);
    let failed = "berth_spans_total{result=\"failed\"}";
    for n in 1..=2 {
        let began = Instant::now();
        assert_eq!(
            ask(&berth, &ca, "/mutate", &sampled(), &example("vllm")).await,
            200
        );
        while metric(berth.admin, failed).await < n {
            assert!(
                began.elapsed() < PATIENCE,
                "the span is neither sent nor failed"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let said = berth.said();
    let told: Vec<_> = said.iter().filter(|it| it["level"] == "WARN").collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["error"], "Connection refused");
    let text = told[0]["message"].as_str().expect("a text");
    assert!(text.starts_with("spans cannot be sent"), "{text}");
}

/// An answer with success to each request, of a Collector that has not taken one span: a quota, it says.
fn answers_partly() -> SocketAddr {
    let answer = b"\x0a\x09\x08\x01\x12\x05quota";
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut request = BufReader::new(stream);
            while let Some(length) = length_of_body(&mut request) {
                io::copy(&mut request.by_ref().take(length), &mut io::sink()).expect("a body");
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                    answer.len()
                );
                let stream = request.get_mut();
                let wrote = stream
                    .write_all(head.as_bytes())
                    .and_then(|()| stream.write_all(answer));
                wrote.expect("written");
            }
        }
    });
    address
}

/// Reads the head of a request; none where the client has gone.
fn length_of_body(request: &mut impl BufRead) -> Option<u64> {
    let mut length = None;
    for line in request.lines().map_while(Result::ok) {
        if line.is_empty() {
            return length;
        }
        let line = line.to_ascii_lowercase();
        let value = line.strip_prefix("content-length:");
        length = length.or(value.and_then(|it| it.trim().parse().ok()));
    }
    None
}

#[tokio::test]
async fn a_span_that_a_collector_does_not_take_has_failed_and_is_told() {
    let endpoint = format!("http://{}", answers_partly());
    let (berth, ca) = serve_after(SOON, &["--otlp-endpoint", &endpoint]);
    ask(&berth, &ca, "/mutate", &sampled(), &example("vllm")).await;
    let told = berth.event(|event| event["level"] == "WARN");
    assert_eq!(told["error"], "it does not take some of them: quota");
    let counts = async || {
        let metrics = get(berth.admin, "/metrics").await;
        ["sent", "failed"]
            .map(|it| value(&metrics, &format!("berth_spans_total{{result=\"{it}\"}}")))
    };
    let began = Instant::now();
    while counts().await != [0, 1] {
        assert!(began.elapsed() < PATIENCE, "{:?}", counts().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_last_spans_are_sent_before_the_end() {
    let Some(collector) = Collector::start() else {
        return;
    };
    let endpoint = format!("http://{}", collector.http);
    let late = "export OTEL_BSP_SCHEDULE_DELAY=3600000";
    let flags = ["--otlp-endpoint", &endpoint, "--drain-period", "0s"];
    let (mut berth, ca) = serve_after(late, &flags);
    ask(&berth, &ca, "/mutate", &sampled(), &example("vllm")).await;
    berth.terminate();
    assert!(berth.ends_within(PATIENCE).success());
    holds(&collector.span(|_| true), &[("Parent ID", PARENT)]);
}

#[tokio::test]
async fn a_collector_that_says_nothing_does_not_hold_the_end() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("bound"));
    let flags = [
        "--otlp-endpoint",
        &endpoint,
        "--drain-period",
        "0s",
        "--shutdown-timeout",
        "1s",
    ];
    // longer than the test waits for the end
    let slow = "export OTEL_EXPORTER_OTLP_TIMEOUT=3600000";
    let (mut berth, ca) = serve_after(slow, &flags);
    ask(&berth, &ca, "/mutate", &sampled(), &example("vllm")).await;
    berth.terminate();
    let told = berth.event(|event| event["level"] == "WARN");
    assert_eq!(told["message"], "the last spans could not be sent in time");
    assert_eq!(told["spans"], 1);
    assert!(berth.ends_within(PATIENCE).success());
}

#[tokio::test]
async fn a_collector_with_tls_is_known_by_its_ca() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    prints(command().args(["certs", "dev", "--out", arg(folder.path())]));
    let tls = json!({"cert_file": file("tls.crt"), "key_file": file("tls.key")});
    let Some(collector) = Collector::with(&json!({"tls": tls})) else {
        return;
    };
    let endpoint = format!("https://{}", collector.http);
    let ca_file = file("ca.crt");
    let flags = ["--otlp-endpoint", &endpoint, "--otlp-ca", arg(&ca_file)];
    let (berth, ca) = serve_after(SOON, &flags);
    ask(&berth, &ca, "/mutate", &sampled(), &example("vllm")).await;
    holds(&collector.span(|_| true), &[("Parent ID", PARENT)]);
}

#[test]
fn what_cannot_be_sent_to_is_an_error_of_the_flag() {
    let table = path("examples/homelab.yaml");
    let start = ["serve", "--tls-self-signed", "--table", arg(&table)];
    for (flags, says) in [
        (
            &["--otlp-endpoint", "collector:4318"][..],
            "write a URL, as http://collector:4318",
        ),
        (
            &["--otlp-endpoint", "https://collector:4318"],
            "without --otlp-ca",
        ),
        (
            &[
                "--otlp-endpoint",
                "https://collector:4318",
                "--otlp-ca",
                "/nowhere",
            ],
            "--otlp-ca /nowhere",
        ),
        (&["--traces-sampler-arg", "2"], "write a share from 0 to 1"),
    ] {
        let (code, said) = fails(&[&start[..], flags].concat());
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(says), "{said}");
    }
    let mut grpc = command();
    grpc.args(start)
        .args(["--otlp-endpoint", "http://collector:4317"]);
    grpc.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let (code, said) = common::process::ends(&mut grpc);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("http/protobuf"), "{said}");
}

#[tokio::test]
async fn without_an_endpoint_nothing_is_begun() {
    let (berth, ca) = serve(&[]);
    assert_eq!(
        ask(&berth, &ca, "/mutate", &sampled(), &example("vllm")).await,
        200
    );
    let text = common::client::get(berth.admin, "/metrics").await;
    assert!(!text.contains("berth_spans_total"), "{text}");
}
