//! The log as an operator meets it: whatever happens to it, reviews are answered. `BERTH_SOAK=100` sends a million.

use std::{
    env,
    fs::{self, File},
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::time::{Instant as Clock, sleep_until};

mod common;

use common::{
    client::{connect, exchange, get, metric, ready, trust},
    example, path,
    process::{Berth, PATIENCE, arg, serve, unread},
};

/// Reviews at once.
const CONNECTIONS: u32 = 8;
/// The end takes no longer than its flags and this say.
const ENDS: [&str; 4] = ["--drain-period", "1s", "--shutdown-timeout", "1s"];
const ENDS_WITHIN: Duration = Duration::from_secs(1 + 1 + 2);

fn soak() -> bool {
    env::var_os("BERTH_SOAK").is_some()
}

/// Sends so many reviews, and no more a second than that; each must be answered.
async fn send(address: SocketAddr, ca: &str, reviews: u32, a_second: u32) {
    let started = Instant::now();
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|first| {
            let numbers = (first..reviews).step_by(CONNECTIONS as usize);
            tokio::spawn(send_some(address, ca.to_owned(), numbers, a_second))
        })
        .collect();
    for task in tasks {
        task.await.expect("every review is answered");
    }
    let seconds = started.elapsed().as_secs_f64();
    let rate = f64::from(reviews) / seconds;
    println!("{reviews} reviews in {seconds:.1} s: {rate:.0} a second");
}

async fn send_some(
    address: SocketAddr,
    ca: String,
    numbers: impl Iterator<Item = u32>,
    a_second: u32,
) {
    let body = example("vllm").to_string();
    let mut stream = connect(address, trust(&ca)).await.expect("a handshake");
    let started = Clock::now();
    for number in numbers {
        sleep_until(started + Duration::from_secs(1) / a_second * number).await;
        let answering = tokio::time::timeout(PATIENCE, exchange(&mut stream, &body));
        let answer = answering.await.expect("in time").expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

/// The lines that were dropped, as the metrics say it.
async fn dropped(berth: &Berth) -> u64 {
    metric(berth.admin, "berth_log_lines_dropped_total").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_stops_nothing() {
    let (mut berth, log, ca) = unread(&ENDS);
    // more than the pipe and the queue hold
    let reviews = if soak() { 1_000_000 } else { 12_000 };
    send(berth.webhook, &ca, reviews, u32::MAX).await;
    assert_eq!(get(berth.admin, "/livez").await, "ok\n");
    let dropped = dropped(&berth).await;
    println!("{dropped} lines dropped");
    assert!(dropped > 0);
    berth.terminate();
    assert_eq!(berth.ends_within(ENDS_WITHIN).code(), Some(0));
    drop(log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_read_has_every_review() {
    let (mut berth, ca) = serve(&ENDS);
    let reviews = if soak() { 50_000 } else { 5_000 };
    send(berth.webhook, &ca, reviews, 5_000).await;
    assert_eq!(dropped(&berth).await, 0);
    berth.terminate();
    assert_eq!(berth.ends_within(ENDS_WITHIN).code(), Some(0));
    for _ in 0..reviews {
        berth.event(|event| event["message"] == "review");
    }
    // the queue is flushed before the end
    berth.event(|event| event["message"] == "ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_reader_goes_away_stops_nothing() {
    let (mut berth, log, ca) = unread(&ENDS);
    drop(log);
    send(berth.webhook, &ca, 100, u32::MAX).await;
    assert_eq!(get(berth.admin, "/livez").await, "ok\n");
    // the queue is written by another thread
    let deadline = Instant::now() + PATIENCE;
    while dropped(&berth).await < 100 {
        assert!(Instant::now() < deadline, "the lost lines are not counted");
    }
    berth.terminate();
    assert_eq!(berth.ends_within(ENDS_WITHIN).code(), Some(0));
}

/// Addresses that no other process uses: of a network of which every machine has all, by our own number.
fn own_addresses() -> (SocketAddr, SocketAddr) {
    let [_, b, c, d] = std::process::id().to_be_bytes();
    let ip = std::net::Ipv4Addr::new(127, b | 0x80, c, d);
    ((ip, 8443).into(), (ip, 8080).into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_on_a_full_disk_or_at_a_size_limit_stops_nothing() {
    let (table, folder) = (
        path("examples/homelab.yaml"),
        tempfile::tempdir().expect("a folder"),
    );
    let (ca, log) = (folder.path().join("ca.pem"), folder.path().join("log"));
    let flags = [
        "--table",
        arg(&table),
        "--tls-self-signed",
        "--ca-out",
        arg(&ca),
    ];
    let flags = [&flags[..], &ENDS].concat();
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("Linux has it");
    let bounded = File::create(&log).expect("a file");
    // the shell counts in blocks of 512 bytes
    for (limit, stderr) in [("true", full), ("ulimit -f 8", bounded)] {
        let mut berth = Berth::mute(limit, stderr, own_addresses(), &flags);
        // it cannot say that it listens
        let deadline = Instant::now() + PATIENCE;
        while ready(berth.admin).await.0 != 200 {
            assert!(Instant::now() < deadline, "not ready");
        }
        let pem = fs::read_to_string(&ca).expect("a CA");
        send(berth.webhook, &pem, 300, u32::MAX).await;
        assert_eq!(get(berth.admin, "/livez").await, "ok\n");
        let deadline = Instant::now() + PATIENCE;
        // a log of 4 KiB has some lines
        while dropped(&berth).await < 280 {
            assert!(Instant::now() < deadline, "the lost lines are not counted");
        }
        println!(
            "{limit}: {} lines dropped, every review answered",
            dropped(&berth).await
        );
        berth.terminate();
        assert_eq!(berth.ends_within(ENDS_WITHIN).code(), Some(0), "{limit}");
        fs::remove_file(&ca).expect("a CA");
    }
    assert!(fs::metadata(&log).expect("a file").len() <= 4096);
}
