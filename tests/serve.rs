//! `berth serve` as an operator meets it: its errors, its limits on connections, its admin port, and its end.

use std::{fs, net::TcpListener};

use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream};

mod common;

use common::{
    client::{closed, connect, exchange, get, head, https, metric, post, ready, response, trust},
    example, path,
    process::{Berth, arg, command, ends, fails, in_shell, serve},
};

/// Flags of a server that has nothing wrong but what a test adds.
const LOCAL: [&str; 5] = [
    "serve",
    "--admin-bind",
    "127.0.0.1:0",
    "--bind",
    "127.0.0.1:0",
];

fn refused(flags: &[&str]) -> (i32, String) {
    fails(&[&LOCAL, flags].concat())
}

#[test]
fn a_port_in_use_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let table = path("examples/homelab.yaml");
    for flag in ["--bind", "--admin-bind"] {
        let other = if flag == "--bind" {
            "--admin-bind"
        } else {
            "--bind"
        };
        let (code, text) = fails(&[
            "serve",
            "--table",
            arg(&table),
            "--tls-self-signed",
            flag,
            &address,
            other,
            "127.0.0.1:0",
        ]);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(&format!("{flag} {address}")), "{text}");
    }
}

#[test]
fn flags_that_do_not_go_together_are_refused() {
    let table = path("examples/homelab.yaml");
    for (flags, says) in [
        (&[][..], "no certificate to serve with"),
        (&["--tls-cert", "x"], "--tls-key"),
        (&["--tls-key", "x"], "--tls-cert"),
        (&["--tls-self-signed", "--tls-cert", "x"], "--tls-cert"),
        (&["--tls-self-signed", "--client-name", "x"], "--client-ca"),
        (
            &["--tls-self-signed", "--idle-timeout", "1m"],
            "at least 2m",
        ),
        (
            &["--tls-self-signed", "--body-timeout", "10"],
            "with its unit",
        ),
        (
            &["--tls-self-signed", "--class-label", "a b"],
            "not a label key",
        ),
        (
            &["--tls-self-signed", "--tls-name", "not a name"],
            "--tls-name",
        ),
        (
            &["--tls-self-signed", "--ca-out", "/nowhere/ca.pem"],
            "/nowhere/ca.pem",
        ),
        (
            &["--tls-self-signed", "--log-level", "berth=loud"],
            "--log-level berth=loud: \"loud\" is not a level",
        ),
        (
            &["--tls-self-signed", "--log-level", "inof"],
            "\"inof\" is not a level; did you mean \"info\"?",
        ),
        (
            &["--tls-self-signed", "--max-in-flight", "0"],
            "--max-in-flight <N>': write a number, 1 or more",
        ),
        (
            &["--tls-self-signed", "--max-connections", "0"],
            "--max-connections <N>': write a number, 1 or more",
        ),
        (
            &["--tls-self-signed", "--body-timeout", "3000000000000000h"],
            "--body-timeout <TIME>': at most 24h",
        ),
        (
            &["--tls-self-signed", "--idle-timeout", "24h1s"],
            "--idle-timeout <TIME>': at most 24h",
        ),
    ] {
        let (code, text) = refused(&[&["--table", arg(&table)], flags].concat());
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(says), "{says}: {text}");
    }
}

#[test]
fn flags_win_over_the_environment_which_wins_over_defaults() {
    let mut serve = command();
    serve
        .args(LOCAL)
        .args(["--table", "x", "--tls-self-signed"])
        .env("BERTH_CA_OUT", "/from-the-environment/ca.pem");
    let (code, text) = ends(&mut serve);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("/from-the-environment"), "{text}");
    serve.args(["--ca-out", "/from-the-flag/ca.pem"]);
    assert!(ends(&mut serve).1.contains("/from-the-flag"));
}

#[test]
fn a_ca_replaces_a_regular_file_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "mine").expect("written");
    std::os::unix::fs::symlink(at("file"), at("link")).expect("a link");
    let made = std::process::Command::new("mkfifo")
        .arg(at("pipe"))
        .status();
    assert!(made.expect("mkfifo runs").success());
    fs::create_dir(at("folder")).expect("a folder");
    for path in [at("link"), at("pipe"), at("folder"), "/dev/null".into()] {
        let before = fs::symlink_metadata(&path)
            .expect("it is there")
            .file_type();
        let (code, text) = refused(&["--table", "x", "--tls-self-signed", "--ca-out", arg(&path)]);
        assert_eq!(code, 2, "{text}");
        assert!(
            text.contains(arg(&path)) && text.contains("not a regular file"),
            "{text}"
        );
        let after = fs::symlink_metadata(&path)
            .expect("it is there")
            .file_type();
        assert_eq!(after, before, "{}", path.display());
    }
    assert_eq!(fs::read_to_string(at("file")).expect("a file"), "mine");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 4);
}

#[test]
fn a_hangup_ends_as_sigterm_does() {
    for name in ["HUP", "TERM", "INT"] {
        let (mut berth, _) = serve(&["--drain-period", "0s"]);
        berth.signal(name);
        let signal = format!("SIG{name}");
        berth.event(|event| event["signal"] == *signal);
        assert_eq!(berth.wait().code(), Some(0), "{name}");
    }
}

#[tokio::test]
async fn a_low_soft_limit_of_open_files_is_raised() {
    let table = path("examples/homelab.yaml");
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    let flags = [
        "--table",
        arg(&table),
        "--tls-self-signed",
        "--ca-out",
        arg(&ca),
    ];
    let berth = Berth::after(
        "ulimit -Sn 64",
        &[&flags[..], &["--log-level", "info"]].concat(),
    );
    let ca = fs::read_to_string(&ca).expect("a CA");
    // more than 64
    let mut open = Vec::new();
    for _ in 0..100 {
        let mut stream = connect(berth.webhook, trust(&ca))
            .await
            .expect("a handshake");
        let answer = exchange(&mut stream, &example("vllm").to_string()).await;
        answer.expect("an answer");
        open.push(stream);
    }
}

#[test]
fn the_limit_of_open_files_is_told() {
    let table = path("examples/homelab.yaml");
    // a port that is taken ends it, and all that it logged can be read
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let flags = [
        "serve",
        "--table",
        arg(&table),
        "--tls-self-signed",
        "--bind",
        &taken,
    ];
    let (code, text) = ends(in_shell("ulimit -Sn 64").args(flags));
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("raised the limit of open files") && text.contains("\"from\":64"),
        "{text}"
    );
    let (_, text) = ends(in_shell("ulimit -n 64").args(flags));
    assert!(
        text.contains("fewer open files than --max-connections needs"),
        "{text}"
    );
}

#[tokio::test]
async fn the_admin_port_shows_health_metrics_and_the_table() {
    let (berth, ca) = serve(&[]);
    let answer = post(&https(&ca), berth.webhook, example("vllm").to_string())
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    let get = async |path: &str| {
        let response = reqwest::get(format!("http://{}{path}", berth.admin))
            .await
            .expect("an answer");
        (
            response.status().as_u16(),
            response.text().await.expect("text"),
        )
    };
    assert_eq!(get("/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(get("/readyz").await, (200, "ok\n".to_owned()));
    let (_, table) = get("/debug/table").await;
    let table: Value = serde_json::from_str(&table).expect("JSON");
    assert_eq!(table["classes"].as_array().expect("a list").len(), 5);
    let (_, metrics) = get("/metrics").await;
    for name in [
        "berth_reviews_total{result=\"mutated\",reason=\"Placed\",class=\"vllm\",pool=\"strix-halo\"} 1",
        "berth_review_duration_seconds_bucket{le=\"0.000025\"}",
        "berth_reviews_in_flight 0",
        "berth_table_classes 5",
        "berth_table_pools 4",
        "berth_last_reload_success_timestamp_seconds{source=\"table\"}",
        "berth_certificate_not_after_timestamp_seconds",
        "berth_build_info{version=",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
    ] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
    let event = berth.event(|event| event["message"] == "review");
    for (field, value) in [
        ("uid", "7f0b8c1e-0000-4000-8000-000000000000"),
        ("namespace", "ai"),
        ("user", "kubernetes-admin"),
        ("class", "vllm"),
        ("pool", "strix-halo"),
        ("container", "vllm"),
        ("result", "mutated"),
        ("reason", "Placed"),
    ] {
        assert_eq!(event[field], value, "{event}");
    }
}

#[tokio::test]
async fn a_request_with_large_headers_is_431() {
    let (berth, ca) = serve(&["--max-header-bytes", "8192"]);
    let mut stream = connect(berth.webhook, trust(&ca))
        .await
        .expect("a handshake");
    let head = format!(
        "POST /mutate HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let answer = closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn who_does_not_shake_hands_is_closed_and_who_idles_before_or_after_a_request_is_not() {
    // longer than any time that a pool's unused connection once had
    let (berth, ca) = serve(&["--handshake-timeout", "11s"]);
    let body = example("vllm").to_string();
    let mut used = connect(berth.webhook, trust(&ca))
        .await
        .expect("a handshake");
    exchange(&mut used, &body).await.expect("an answer");
    let unused = connect(berth.webhook, trust(&ca))
        .await
        .expect("a handshake");
    let mut no_handshake = TcpStream::connect(berth.webhook)
        .await
        .expect("a connection");
    let mut nothing = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut no_handshake, &mut nothing).await;
    for mut idle in [used, unused] {
        let answer = exchange(&mut idle, &body).await;
        let answer = answer.expect("an answer on the same connection");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_over_the_limit_takes_the_place_of_an_idle_one() {
    let (berth, ca) = serve(&["--max-connections", "1"]);
    let body = example("vllm").to_string();
    let mut first = connect(berth.webhook, trust(&ca))
        .await
        .expect("a handshake");
    exchange(&mut first, &body).await.expect("an answer");
    let mut second = connect(berth.webhook, trust(&ca))
        .await
        .expect("a handshake");
    exchange(&mut second, &body).await.expect("an answer");
    assert_eq!(closed(&mut first).await, "");
    let metrics = get(berth.admin, "/metrics").await;
    for line in [
        "berth_connections_evicted_total 1",
        "berth_connections_refused_total 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn a_large_body_is_refused_and_the_answer_arrives() {
    let (berth, ca) = serve(&["--max-body-bytes", "100000"]);
    let client = https(&ca);
    let answer = post(&client, berth.webhook, " ".repeat(5_000_000))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 413);
}

/// Posts until a response says that the server goes; then to the other.
async fn load(
    ca: String,
    from: std::net::SocketAddr,
    to: std::net::SocketAddr,
    enough: usize,
) -> (usize, Vec<String>) {
    let (client, body) = (https(&ca), example("vllm").to_string());
    let (mut sent, mut failures, mut address, mut after) = (0, Vec::new(), from, 0);
    while after < enough {
        match post(&client, address, body.clone())
            .await
            .and_then(reqwest::Response::error_for_status)
        {
            Ok(response) if response.headers().contains_key("connection") => address = to,
            Ok(_) => {}
            Err(error) => failures.push(format!("{error:?}")),
        }
        sent += 1;
        after += usize::from(address == to);
    }
    (sent, failures)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_under_load_fails_no_request() {
    let (mut old, old_ca) = serve(&["--drain-period", "2s"]);
    let (new, new_ca) = serve(&[]);
    let ca = old_ca + &new_ca;
    let tasks: Vec<_> = (0..8)
        .map(|_| tokio::spawn(load(ca.clone(), old.webhook, new.webhook, 200)))
        .collect();
    for _ in 0..200 {
        old.event(|event| event["message"] == "review");
    }
    old.terminate();
    // asked at once: behind so many reviews the log may say it when the drain is over
    while ready(old.admin).await.0 != 503 {}
    old.event(|event| event["message"] != "review" && event["signal"] == "SIGTERM");
    let mut all = 0;
    for task in tasks {
        let (sent, failures) = task.await.expect("no panic");
        assert!(
            failures.is_empty(),
            "{} of {sent} failed, as {}",
            failures.len(),
            failures[0]
        );
        all += sent;
    }
    assert_eq!(old.wait().code(), Some(0));
    println!("{all} requests over a drain, none failed");
}

#[tokio::test]
async fn a_request_that_is_being_sent_at_the_end_is_answered() {
    let (mut berth, ca) = serve(&["--drain-period", "0s"]);
    let body = example("vllm").to_string();
    let (first, second) = body.split_at(body.len() / 2);
    let mut stream = connect(berth.webhook, trust(&ca))
        .await
        .expect("a handshake");
    exchange(&mut stream, &body).await.expect("an answer");
    stream
        .write_all(head(body.len()).as_bytes())
        .await
        .expect("sent");
    stream.write_all(first.as_bytes()).await.expect("sent");
    in_flight(&berth).await;
    berth.terminate();
    berth.event(|event| event["signal"] == "SIGTERM");
    stream.write_all(second.as_bytes()).await.expect("sent");
    let answer = response(&mut stream).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(berth.wait().code(), Some(0));
}

/// Waits until the server has begun to read a request.
async fn in_flight(berth: &common::process::Berth) {
    while metric(berth.admin, "berth_reviews_in_flight").await != 1 {}
}
