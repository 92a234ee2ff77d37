//! Sends the reviews that the binary that ships is optimized for: those of the laws and of the homelab.

#![allow(clippy::panic, reason = "a test fails by a panic")]

use std::{env, fs};

use berth_core::table::{Settings, compile};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use reqwest::Response;
use tempfile::TempDir;

use crate::{
    SEED,
    case::{self, Case},
    common::{
        client::{https, metric, post},
        example, path,
        process::{Berth, PATIENCE, arg, untold},
    },
    config,
};

/// The binary that records.
const RECORDING: &str = "BERTH_RECORDING";
/// Tables of the laws, each of which a server has.
const TABLES: usize = 16;
/// Reviews for each of them.
const REVIEWS: u32 = 500;
/// How often the homelab's reviews are sent: such Pods are what berth mostly places.
const ROUNDS: usize = 1_600;

#[tokio::test]
#[ignore = "tools/profile runs it, on a binary that records what it executes"]
async fn the_reviews_of_the_profile() {
    let cases = draw();
    let tables = cases.iter().filter(|case| stands_alone(case));
    let bodies: Vec<String> = cases.iter().map(text).collect();
    let mut served = 0;
    for case in tables.take(TABLES) {
        let folder = TempDir::new().expect("a folder");
        let table = folder.path().join("table.yaml");
        let documents = case.table.pools.iter().chain(&case.table.classes);
        let documents: Vec<String> = documents.map(ToString::to_string).collect();
        fs::write(&table, documents.join("\n---\n")).expect("written");
        ask(arg(&table), &bodies, 1).await;
        served += 1;
    }
    assert_eq!(served, TABLES);
    let homelab = path("examples/homelab.yaml");
    let services = ["vllm", "whisper", "xtts", "bge-embeddings", "bge-reranker"];
    let of_replica_sets = services.map(|it| example(&format!("{it}-replicaset")).to_string());
    ask(arg(&homelab), &of_replica_sets, ROUNDS).await;
}

fn draw() -> Vec<Case> {
    let mut runner = TestRunner::new(config(REVIEWS, SEED));
    let cases = case::cases();
    let mut case = || cases.new_tree(&mut runner).expect("a case").current();
    (0..REVIEWS).map(|_| case()).collect()
}

/// Whether a server without a cluster takes its table: no class selects namespaces.
fn stands_alone(case: &Case) -> bool {
    let (_, problems) = compile(&case.table.documents(0), &Settings::default());
    problems.is_empty()
}

fn text(case: &Case) -> String {
    String::from_utf8(case.body()).expect("JSON")
}

/// Starts a server with a table, sends it reviews, and ends it: what it has recorded is written then.
async fn ask(table: &str, bodies: &[String], rounds: usize) {
    let binary = env::var_os(RECORDING).unwrap_or_else(|| panic!("set {RECORDING} to a binary"));
    let folder = TempDir::new().expect("a folder");
    let ca = folder.path().join("ca.pem");
    let mut flags = vec!["--table", table, "--drain-period", "0s"];
    flags.extend(["--tls-self-signed", "--ca-out", arg(&ca)]);
    let mut berth = Berth::within(untold(&binary), &flags);
    let client = https(&fs::read_to_string(ca).expect("PEM"));
    for body in std::iter::repeat_n(bodies, rounds).flatten() {
        let answer = post(&client, berth.webhook, body.clone()).await;
        let answer = answer.and_then(Response::error_for_status);
        answer.expect("an answer").bytes().await.expect("a body");
    }
    let asked = metric(berth.admin, "berth_review_duration_seconds_count").await;
    assert_eq!(asked, (bodies.len() * rounds) as u64);
    berth.terminate();
    assert!(berth.ends_within(PATIENCE).success());
}
