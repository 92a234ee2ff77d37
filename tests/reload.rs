//! The table and the certificate change under load: no request fails, no answer is mixed, and what is refused leaves
//! the old in force.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use berth_server::tls::self_signed::{Authority, LEAF_LIFETIME};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::time::timeout;

mod common;

use common::{
    client::{builder, get, https, metric, post},
    example, patch,
    process::{Berth, PATIENCE, arg},
    volume::Volume,
};

/// How often each is swapped.
const SWAPS: usize = 1_000;

/// A table whose class vllm goes to this node.
fn table(node: &str) -> String {
    format!(
        "apiVersion: berth.dev/v1alpha1\nkind: GPUPool\nmetadata: {{name: {node}}}\n\
         spec: {{hostnames: [{node}], resourceName: amd.com/gpu}}\n---\n\
         apiVersion: berth.dev/v1alpha1\nkind: WorkloadClass\nmetadata: {{name: vllm}}\nspec: {{pools: [{{name: {node}}}]}}\n"
    )
}

/// A CA's PEM, and two pairs that it signed.
fn pairs() -> (String, [(String, String); 2]) {
    let now = OffsetDateTime::now_utc();
    let authority = Authority::new(now).expect("a CA");
    let pair = || {
        let leaf = authority.leaf(&[], now, LEAF_LIFETIME).expect("a leaf");
        (leaf.certificate.pem(), leaf.key.serialize_pem())
    };
    let pairs = [pair(), pair()];
    (authority.pem(), pairs)
}

/// Whether the parts of an answer come from one table: the node of the patch is that of the pool that is audited, and
/// the revision always goes with it.
fn is_whole(answer: &Value, revisions: &mut HashMap<String, String>) -> bool {
    let audit = &answer["response"]["auditAnnotations"];
    let (pool, table) = (audit["pool"].as_str(), audit["table"].as_str());
    let (Some(pool), Some(table)) = (pool, table) else {
        return false;
    };
    let known = revisions
        .entry(pool.to_owned())
        .or_insert_with(|| table.to_owned());
    let text = Value::Array(patch(answer)).to_string();
    let other = if pool == "one" { "two" } else { "one" };
    *known == table && text.contains(pool) && !text.contains(other)
}

#[derive(Default)]
struct Load {
    stop: AtomicBool,
    answered: AtomicUsize,
}

/// Posts until it is stopped: over one connection, or over a new one each time.
async fn load(
    load: Arc<Load>,
    address: std::net::SocketAddr,
    ca: String,
    keeps: bool,
) -> Vec<String> {
    let idle = usize::from(keeps);
    let client = builder(&ca)
        .pool_max_idle_per_host(idle)
        .build()
        .expect("a client");
    let (body, mut revisions, mut failures) =
        (example("vllm").to_string(), HashMap::new(), Vec::new());
    while !load.stop.load(Ordering::Relaxed) {
        let answer = async {
            let response = post(&client, address, body.clone())
                .await?
                .error_for_status()?;
            response.json::<Value>().await
        };
        match answer.await {
            Ok(answer) if is_whole(&answer, &mut revisions) => {}
            Ok(answer) => failures.push(answer.to_string()),
            Err(error) => failures.push(format!("{error:?}")),
        }
        load.answered.fetch_add(1, Ordering::Relaxed);
    }
    failures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_swaps_of_table_and_certificate_under_load_fail_no_request_and_mix_no_answer() {
    let (ca, pairs) = pairs();
    let nodes = ["one", "two"];
    let mut tables = Volume::new(&[("table.yaml", &table("one"))]);
    let mut certificates = Volume::new(&[("tls.crt", &pairs[0].0), ("tls.key", &pairs[0].1)]);
    let (cert, key) = (certificates.file("tls.crt"), certificates.file("tls.key"));
    let berth = Berth::serve(&[
        "--table",
        arg(tables.path()),
        "--tls-cert",
        arg(&cert),
        "--tls-key",
        arg(&key),
        "--log-level",
        "berth_server::sources=info,berth_server::server=info",
    ]);
    let shared = Arc::new(Load::default());
    let tasks: Vec<_> = [true, true, false]
        .map(|keeps| tokio::spawn(load(Arc::clone(&shared), berth.webhook, ca.clone(), keeps)))
        .into();

    let started = Instant::now();
    for swap in 1..=SWAPS {
        let (cert, key) = &pairs[swap % 2];
        tables.swap(&[("table.yaml", &table(nodes[swap % 2]))]);
        certificates.swap(&[("tls.crt", cert), ("tls.key", key)]);
        let mut left = vec!["table", "certificate"];
        while !left.is_empty() {
            let event = berth.event(|event| event["source"].is_string());
            assert_eq!(event["message"], "reloaded", "{event}");
            left.retain(|source| event["source"] != *source);
        }
    }
    let elapsed = started.elapsed();
    shared.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        let failures = task.await.expect("no panic");
        assert!(
            failures.is_empty(),
            "{} failed, as {}",
            failures.len(),
            failures[0]
        );
    }
    let answered = shared.answered.load(Ordering::Relaxed);
    println!(
        "{SWAPS} swaps of each in {elapsed:.1?}, {answered} requests, none failed, no answer mixed"
    );
    assert!(answered > SWAPS, "{answered}");
    let served = leaf(&berth, &ca).await;
    let expected = pem_body(&pairs[SWAPS % 2].0);
    assert_eq!(served, expected, "the last pair is in force");
}

/// The certificate that a new connection is shown.
async fn leaf(berth: &Berth, ca: &str) -> Vec<u8> {
    let client = builder(ca).tls_info(true).build().expect("a client");
    let response = post(&client, berth.webhook, String::new())
        .await
        .expect("a response");
    let info = response
        .extensions()
        .get::<reqwest::tls::TlsInfo>()
        .expect("TLS");
    info.peer_certificate().expect("a certificate").to_vec()
}

fn pem_body(pem: &str) -> Vec<u8> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    CertificateDer::from_pem_slice(pem.as_bytes())
        .expect("PEM")
        .to_vec()
}

#[tokio::test]
async fn a_refused_table_or_certificate_leaves_the_old_in_force_and_says_why() {
    let (ca, pairs) = pairs();
    let mut tables = Volume::new(&[("table.yaml", &table("one"))]);
    let mut certificates = Volume::new(&[("tls.crt", &pairs[0].0), ("tls.key", &pairs[0].1)]);
    let (cert, key) = (certificates.file("tls.crt"), certificates.file("tls.key"));
    let berth = Berth::serve(&[
        "--table",
        arg(tables.path()),
        "--tls-cert",
        arg(&cert),
        "--tls-key",
        arg(&key),
    ]);
    let refused =
        |source: &str| berth.event(|event| event["source"] == source && event["level"] == "ERROR");

    tables.swap(&[("table.yaml", "kind: GPUPool\napiVersion: berth.dev/v1alpha1\nmetadata: {name: x}\nspec: {resourceNam: a/b}")]);
    let error = refused("table")["error"].to_string();
    assert!(error.contains("table.yaml:4:8: unknown field"), "{error}");
    certificates.swap(&[("tls.crt", &pairs[0].0), ("tls.key", &pairs[1].1)]);
    let error = refused("certificate")["error"].to_string();
    assert!(error.contains("is not the key of"), "{error}");

    let answer = post(&https(&ca), berth.webhook, example("vllm").to_string())
        .await
        .expect("a response");
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["response"]["auditAnnotations"]["pool"], "one");
    assert_eq!(leaf(&berth, &ca).await, pem_body(&pairs[0].0));
    let metrics = get(berth.admin, "/metrics").await;
    for source in ["table", "certificate"] {
        let line = format!("berth_reloads_total{{source=\"{source}\",result=\"invalid\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[tokio::test]
async fn a_file_without_a_volume_is_followed_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("table.yaml");
    std::fs::write(&file, table("one")).expect("written");
    let berth = Berth::serve(&["--table", arg(&file), "--tls-self-signed"]);
    std::fs::write(&file, table("two")).expect("written");
    berth.event(|event| event["message"] == "reloaded" && event["source"] == "table");
}

/// As an editor or a volume does it: nobody reads half of the file.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).expect("written");
    std::fs::rename(new, file).expect("renamed");
}

#[tokio::test]
async fn a_table_that_stays_invalid_is_shown_until_it_is_good_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("table.yaml");
    replace(&file, &table("one"));
    let berth = Berth::serve(&["--table", arg(&file), "--tls-self-signed"]);
    let (invalid, since) = (
        "berth_source_invalid{source=\"table\"}",
        "berth_source_invalid_since_timestamp_seconds{source=\"table\"}",
    );
    assert_eq!(metric(berth.admin, invalid).await, 0);
    assert_eq!(metric(berth.admin, since).await, 0);
    let wrong = |text: &str| {
        replace(&file, text);
        berth.event(|event| event["source"] == "table" && event["level"] == "ERROR");
    };
    wrong("apiVersion: x/v1\nkind: X");
    // the log has it first
    let shown = async { while metric(berth.admin, invalid).await != 1 {} };
    timeout(PATIENCE, shown).await.expect("shown as invalid");
    let first = metric(berth.admin, since).await;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    assert!(first.abs_diff(now.unsigned_abs()) < 60, "{first} and {now}");
    // another error is told, and the age is that of the first
    wrong("apiVersion: y/v1\nkind: Y");
    assert_eq!(metric(berth.admin, invalid).await, 1);
    assert_eq!(metric(berth.admin, since).await, first);
    replace(&file, &table("one"));
    let event = berth.event(|event| event["source"] == "table");
    assert_eq!(
        event["message"], "valid again: it is what is in force",
        "{event}"
    );
    assert!(event["invalid_seconds"].as_f64() > Some(0.0), "{event}");
    assert_eq!(metric(berth.admin, invalid).await, 0);
    assert_eq!(metric(berth.admin, since).await, 0);
}

#[tokio::test]
async fn an_empty_file_replaces_no_table_unless_that_is_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("table.yaml");
    let pools = "apiVersion: berth.dev/v1alpha1\nkind: GPUPool\nmetadata: {name: two}\n\
        spec: {resourceName: amd.com/gpu, hostnames: [two]}\n";
    let empties = [
        ("", 0),
        ("\n", 0),
        ("# nothing\n", 0),
        ("---\n# nothing\n---\n", 0),
        ("apiVersion: v1\nkind: List\nitems: []\n", 0),
        (pools, 1),
    ];
    for allowed in [false, true] {
        replace(&file, &table("one"));
        let mut flags = vec!["--table", arg(&file), "--tls-self-signed"];
        if allowed {
            flags.push("--allow-empty-table");
        }
        let berth = Berth::serve(&flags);
        for (text, pools) in empties {
            replace(&file, text);
            if allowed {
                let event = berth.event(|event| event["level"] == "WARN" && event["classes"] == 0);
                assert_eq!(
                    (
                        &event["classes_before"],
                        &event["pools_before"],
                        &event["pools"]
                    ),
                    (&1.into(), &1.into(), &pools.into())
                );
                assert_eq!(metric(berth.admin, "berth_table_classes").await, 0);
                replace(&file, &table("one"));
                berth.event(|event| event["message"] == "reloaded" && event["what"] != Value::Null);
                while metric(berth.admin, "berth_table_classes").await < 1 {}
            } else {
                berth.event(|event| {
                    let error = event["error"].as_str().unwrap_or_default();
                    event["source"] == "table" && error.contains("--allow-empty-table")
                });
                assert_eq!(
                    metric(berth.admin, "berth_table_classes").await,
                    1,
                    "{text:?}"
                );
                replace(&file, &table("one"));
                berth.event(|event| event["source"] == "table" && event["level"] == "INFO");
            }
        }
    }
}

#[tokio::test]
async fn a_folder_that_is_made_again_is_followed_and_a_pipe_in_it_blocks_nothing() {
    let above = tempfile::tempdir().expect("a folder");
    let folder = above.path().join("tables");
    let file = folder.join("table.yaml");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(&file, table("one")).expect("written");
    let pipe = |path: &std::path::Path| {
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.expect("mkfifo runs").success());
    };
    for named in [&folder, &file] {
        let mut berth = Berth::serve(&[
            "--table",
            arg(named),
            "--tls-self-signed",
            "--drain-period",
            "0s",
        ]);
        let reloaded =
            || berth.event(|event| event["source"] == "table" && event["level"] == "INFO");
        let mut slowest = std::time::Duration::ZERO;
        for node in ["two", "three", "one", "two"] {
            std::fs::remove_dir_all(&folder).expect("removed");
            berth.event(|event| event["source"] == "table" && event["level"] == "ERROR");
            std::fs::create_dir(&folder).expect("a folder");
            std::fs::write(&file, table(node)).expect("written");
            let written = Instant::now();
            reloaded();
            std::fs::write(&file, table("four")).expect("written");
            reloaded();
            slowest = slowest.max(written.elapsed());
        }
        println!(
            "{}: two changes after a folder was made again, {slowest:.0?} at most",
            named.display()
        );
        // without the watch each change waits for a poll; a busy machine is no failure
        assert!(slowest < std::time::Duration::from_secs(5), "{slowest:?}");
        // beside the table it is no table, and in its place it is an error
        pipe(&folder.join("zzz.yaml"));
        std::fs::write(&file, table("five")).expect("written");
        reloaded();
        std::fs::remove_file(&file).expect("removed");
        pipe(&file);
        berth.event(|event| event["source"] == "table" && event["level"] == "ERROR");
        berth.terminate();
        let ends = berth.ends_within(std::time::Duration::from_secs(5));
        assert_eq!(ends.code(), Some(0));
        std::fs::remove_dir_all(&folder).expect("removed");
        std::fs::create_dir(&folder).expect("a folder");
        std::fs::write(&file, table("one")).expect("written");
    }
}
