//! Hostile peers on real sockets: what each of them does, and that whoever else asks is answered. berth has the memory that
//! the chart gives it, where the machine can limit it.
#![allow(clippy::panic, reason = "a test fails by a panic")]

use std::{fs, time::Duration};

use berth_server::{
    tls::{client::NamedClients, self_signed::Leaf},
    validity::Validity,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

mod cgroup;
#[path = "../common/mod.rs"]
mod common;
mod large;
mod overload;

use cgroup::serve;
use common::{
    client::{
        builder, closed, connect, exchange, get, head, https, metric, post, response, trust,
        with_leaf,
    },
    example,
    process::{Berth, PATIENCE, arg},
};

type Stream = TlsStream<TcpStream>;

/// A machine with other work to do may be late, berth is not.
const ATTEMPTS: usize = 5;

async fn handshake(berth: &Berth, ca: &str) -> Stream {
    let stream = connect(berth.webhook, trust(ca)).await;
    stream.expect("a handshake")
}

/// Reviews over a new connection each.
async fn new_connections_are_answered(berth: &Berth, ca: &str, count: usize) {
    let body = example("vllm").to_string();
    for n in 0..count {
        let mut stream = handshake(berth, ca).await;
        let answer = timeout(PATIENCE, exchange(&mut stream, &body)).await;
        let answer = answer.expect("in time").expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{n}: {answer}");
    }
}

/// Waits until a metric is as wanted.
async fn until(berth: &Berth, name: &str, wanted: impl Fn(u64) -> bool) {
    let reached = async { while !wanted(metric(berth.admin, name).await) {} };
    timeout(PATIENCE, reached).await.expect(name);
}

#[tokio::test]
async fn who_declares_a_body_and_sends_none_keeps_nobody_out() {
    let (berth, ca) = serve(&["--max-in-flight", "16"]);
    let mut silent = Vec::new();
    for _ in 0..64 {
        let mut stream = handshake(&berth, &ca).await;
        stream
            .write_all(head(9_000_000).as_bytes())
            .await
            .expect("sent");
        silent.push(stream);
    }
    until(&berth, "berth_reviews_in_flight", |n| n == 64).await;
    new_connections_are_answered(&berth, &ca, 12).await;
}

#[tokio::test]
async fn bodies_without_their_last_byte_stay_within_the_budget_and_keep_nobody_else_out() {
    const LENGTH: usize = 9_900_000;
    let (berth, ca) = serve(&[]);
    let mut sending = JoinSet::new();
    for _ in 0..16 {
        let mut stream = handshake(&berth, &ca).await;
        sending.spawn(async move {
            let _ = stream.write_all(head(LENGTH).as_bytes()).await;
            let piece = vec![b' '; 99_000];
            for _ in 0..LENGTH / piece.len() - 1 {
                if stream.write_all(&piece).await.is_err() {
                    break;
                }
            }
            let _ = stream.write_all(&piece[1..]).await;
            stream
        });
    }
    let _streams = timeout(PATIENCE, sending.join_all()).await.expect("sent");
    // from another address, as another Pod has: at once
    let other = builder(&ca).local_address("127.0.0.2".parse().ok());
    let other = other.build().expect("a client");
    let answer = post(&other, berth.webhook, example("vllm").to_string()).await;
    assert_eq!(answer.expect("an answer").status(), 200);
    println!(
        "16 bodies of 9.9 MB without their last byte: {}",
        berth.peak()
    );
    let peak = berth.peak_memory();
    assert!(peak < 128, "{peak} MiB");
}

#[tokio::test]
async fn half_a_million_chunks_of_one_byte_are_one_buffer() {
    let (berth, ca) = serve(&["--body-timeout", "1m"]);
    new_connections_are_answered(&berth, &ca, 1).await;
    let before = berth.peak_memory();
    // on a machine that is busy a review may have no turn in time: then it is asked again
    let mut answer = chunks_of_one_byte(&berth, &ca).await;
    for _ in 1..ATTEMPTS {
        if answer.starts_with("HTTP/1.1 503") {
            answer = chunks_of_one_byte(&berth, &ca).await;
        }
    }
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let more = berth.peak_memory() - before;
    println!("half a million chunks of one byte: {more} MiB");
    assert!(more < 8, "{more} MiB");
}

/// The answer to half a million of them.
async fn chunks_of_one_byte(berth: &Berth, ca: &str) -> String {
    let mut stream = handshake(berth, ca).await;
    let head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    let chunks = "1\r\n \r\n".repeat(10_000);
    for _ in 0..50 {
        stream.write_all(chunks.as_bytes()).await.expect("sent");
    }
    stream.write_all(b"0\r\n\r\n").await.expect("sent");
    response(&mut stream).await.expect("an answer")
}

#[tokio::test]
async fn idle_connections_over_the_limit_keep_nobody_out() {
    let (berth, ca) = serve(&["--max-connections", "32"]);
    let body = example("vllm").to_string();
    let (mut raw, mut silent, mut done) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..40 {
        raw.push(TcpStream::connect(berth.webhook).await.expect("connected"));
    }
    new_connections_are_answered(&berth, &ca, 8).await;
    for _ in 0..40 {
        silent.push(handshake(&berth, &ca).await);
    }
    new_connections_are_answered(&berth, &ca, 8).await;
    for _ in 0..40 {
        let mut stream = handshake(&berth, &ca).await;
        exchange(&mut stream, &body).await.expect("an answer");
        done.push(stream);
    }
    new_connections_are_answered(&berth, &ca, 8).await;
    until(&berth, "berth_connections", |n| n <= 32).await;
}

#[tokio::test]
async fn who_never_reads_is_closed_after_the_time_to_write() {
    let (berth, ca) = serve(&["--write-timeout", "1s"]);
    let mut stream = handshake(&berth, &ca).await;
    let body = example("vllm").to_string();
    let review = head(body.len()) + &body;
    let flood = async { while stream.write_all(review.as_bytes()).await.is_ok() {} };
    timeout(PATIENCE, flood).await.expect("closed in the end");
    until(&berth, "berth_connections", |n| n == 0).await;
    new_connections_are_answered(&berth, &ca, 1).await;
}

#[tokio::test]
async fn the_admin_port_has_a_limit_and_speaks_http_1_alone() {
    let (berth, _) = serve(&[]);
    let mut idle = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(berth.admin).await.expect("connected");
        if n % 2 == 0 {
            // those who have been closed by now are told so
            let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nHost:").await;
        }
        idle.push(stream);
    }
    assert_eq!(get(berth.admin, "/livez").await, "ok\n");
    let open = metric(berth.admin, "process_open_fds").await;
    assert!(open < 64 + 40, "{open} descriptors");
    // the oldest have made room
    for mut stream in idle.drain(..200 - 64) {
        let mut rest = Vec::new();
        let closed = stream.read_to_end(&mut rest);
        let _ = timeout(PATIENCE, closed).await.expect("closed in time");
    }
    let mut http2 = TcpStream::connect(berth.admin).await.expect("connected");
    let sent = http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    sent.await.expect("sent");
    let mut answer = Vec::new();
    let closed = http2.read_to_end(&mut answer);
    let _ = timeout(PATIENCE, closed).await.expect("closed in time");
    assert!(!answer.starts_with(b"\0\0"), "{answer:?}");
}

#[tokio::test]
async fn a_length_that_cannot_be_is_refused_at_once() {
    // longer than the test is let wait: no timer of the server's comes first
    let (berth, ca) = serve(&["--body-timeout", "10m"]);
    for framing in [
        "Content-Length: 9223372036854775808\r\n\r\n",
        "Content-Length: 99999999999999999999999\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\r\n \r\n10000001;x=y\r\n  ",
    ] {
        let mut stream = handshake(&berth, &ca).await;
        let head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
        let start = format!("{head}{framing}");
        stream.write_all(start.as_bytes()).await.expect("sent");
        let answer = timeout(PATIENCE, closed(&mut stream)).await.expect(framing);
        let code = answer.split(' ').nth(1).unwrap_or_default();
        assert!(["413", "400"].contains(&code), "{framing}: {answer}");
    }
}

/// A CA of that name.
fn ca_of_clients(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("a CA")
}

/// A client of that CA.
fn client_of(ca: &CertifiedIssuer<'static, KeyPair>) -> Leaf {
    let params = CertificateParams::new(vec!["kube-apiserver".to_owned()]).expect("a name");
    let key = KeyPair::generate().expect("a key");
    Leaf {
        validity: Validity {
            not_before: params.not_before,
            not_after: params.not_after,
        },
        certificate: params.signed_by(&key, ca).expect("a leaf"),
        key,
    }
}

#[tokio::test]
async fn a_thousand_cas_of_clients_work() {
    let cas: Vec<_> = (0..1000)
        .map(|n| ca_of_clients(&format!("a CA whose name is of a usual length, number {n}")))
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("clients.pem");
    let pem: String = cas.iter().map(CertifiedIssuer::pem).collect();
    fs::write(&file, pem).expect("written");
    let (berth, ca) = serve(&["--client-ca", arg(&file)]);
    let body = example("vllm").to_string();
    for authority in [&cas[0], &cas[999]] {
        let stream = connect(berth.webhook, with_leaf(&ca, client_of(authority))).await;
        let answer = exchange(&mut stream.expect("a handshake"), &body).await;
        let answer = answer.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let stranger = client_of(&ca_of_clients("a stranger"));
    let answer = async {
        let mut stream = connect(berth.webhook, with_leaf(&ca, stranger)).await?;
        exchange(&mut stream, &body).await
    };
    assert!(answer.await.is_err());
}

#[test]
fn more_cas_of_one_name_than_a_handshake_tries_are_refused() {
    let pem: String = (0..65).map(|_| ca_of_clients("the same").pem()).collect();
    let refused = NamedClients::new("clients.pem".as_ref(), pem.as_bytes(), None);
    let says = refused.expect_err("refused").to_string();
    assert!(
        says.contains("more than 64 CAs have the same subject"),
        "{says}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_is_answered_within_a_second_while_large_reviews_are_computed() {
    let (berth, ca) = serve(&[]);
    // each byte of such a text is looked at, which in a debug build takes more than a second
    let mut body = example("vllm");
    body["request"]["object"]["unknown"] = "\naaaaaaaaaa".repeat(750_000).into();
    let body = body.to_string();
    let mut slowest = Duration::MAX;
    for _ in 0..ATTEMPTS {
        slowest = slowest.min(slowest_live_beside(&berth, &ca, &body).await);
        if slowest < Duration::from_secs(1) {
            break;
        }
    }
    println!("the slowest /livez under load: {slowest:.1?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

/// The longest that `/livez` took while reviews of this body were computed.
async fn slowest_live_beside(berth: &Berth, ca: &str, body: &str) -> Duration {
    let mut asking = JoinSet::new();
    // as many as there is room for
    for _ in 0..7 {
        let (client, body, address) = (https(ca), body.to_owned(), berth.webhook);
        asking.spawn(async move {
            post(&client, address, body)
                .await
                .map(|answer| answer.status().as_u16())
        });
    }
    let mut slowest = Duration::ZERO;
    while !asking.is_empty() {
        let began = std::time::Instant::now();
        assert_eq!(get(berth.admin, "/livez").await, "ok\n");
        slowest = slowest.max(began.elapsed());
        while let Some(answer) = asking.try_join_next() {
            let status = answer.expect("no panic").expect("an answer");
            assert!([200, 503].contains(&status), "{status}");
        }
    }
    slowest
}
