//! The board in a browser: a table of files, and what a page does when berth is not heard. `tests/cluster/board.rs` has it
//! on a real control plane.
#![allow(clippy::panic, reason = "a test fails by a panic")]

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

mod common;

use common::{
    browser::Browser,
    client::{get, https, post},
    example,
    process::{Berth, serve},
};

/// A way to a port that can be cut.
struct Way {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
    forwarding: JoinHandle<()>,
}

impl Way {
    async fn to(port: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (is_open, open) = watch::channel(true);
        let forwarding = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.expect("a client");
                let mut open = open.clone();
                tokio::spawn(async move {
                    let carry = async {
                        let mut server = TcpStream::connect(port).await?;
                        copy_bidirectional(&mut client, &mut server).await
                    };
                    tokio::select! {
                        _ = open.wait_for(|is_open| !is_open) => {}
                        _ = carry => {}
                    }
                });
            }
        });
        Self {
            address,
            is_open,
            forwarding,
        }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}

async fn ask(berth: &Berth, ca: &str, review: &Value) {
    let answer = post(&https(ca), berth.webhook, review.to_string()).await;
    assert_eq!(answer.expect("an answer").status(), 200);
}

async fn ask_for(berth: &Berth, path: &str) -> reqwest::Response {
    let url = format!("http://{}{path}", berth.admin);
    https("").get(url).send().await.expect("an answer")
}

fn nothing_was_refused(console: &[String]) {
    assert!(console.is_empty(), "{console:#?}");
}

#[tokio::test]
async fn a_table_of_files_and_its_decisions_are_shown_as_they_come() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (berth, ca) = serve(&[]);
    browser.open(&format!("http://{}/", berth.admin)).await;
    browser
        .until("document.documentElement.className === 'live'")
        .await;
    let text = browser.run("return document.body.innerText").await;
    let text = text.as_str().expect("text");
    for part in [
        "The table is read from files",
        "strix-halo",
        "amd.com/gpu",
        "whisper",
        "None yet.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mut review = example("vllm");
    review["request"]["name"] = json!("<img src=x onerror='document.title=\"run\"'>");
    ask(&berth, &ca, &review).await;
    browser
        .until("document.querySelector('#decisions tbody tr')?.innerText.includes('<img src=x')")
        .await;
    let title = browser.run("return document.title").await;
    assert_eq!(title, "berth: the board");
    nothing_was_refused(&browser.console().await);
}

#[tokio::test]
async fn a_page_whose_stream_is_lost_says_so_and_follows_again() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (berth, ca) = serve(&[]);
    let way = Way::to(berth.admin).await;
    browser.open(&format!("http://{}/", way.address)).await;
    browser
        .until("document.documentElement.className === 'live'")
        .await;
    way.is_open.send_replace(false);
    browser
        .until("document.documentElement.className === 'stale'")
        .await;
    let said = browser
        .run("return document.getElementById('connection').textContent")
        .await;
    let said = said.as_str().expect("text");
    assert!(
        said.starts_with("Not live: berth is not heard. This is how it was at "),
        "{said}"
    );
    ask(&berth, &ca, &example("vllm")).await;
    way.is_open.send_replace(true);
    browser
        .until("document.documentElement.className === 'live'")
        .await;
    // what happened meanwhile is there, too
    browser
        .until("document.querySelector('#decisions tbody tr')?.innerText.includes('vllm')")
        .await;
}

#[tokio::test]
async fn without_scripts_the_page_is_true_and_says_of_when_it_is() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let (berth, ca) = serve(&[]);
    ask(&berth, &ca, &example("vllm")).await;
    browser
        .devtools(
            "Emulation.setScriptExecutionDisabled",
            json!({"value": true}),
        )
        .await;
    browser.open(&format!("http://{}/", berth.admin)).await;
    let text = browser.run("return document.body.innerText").await;
    let text = text.as_str().expect("text");
    for part in ["As of ", "Reload the page", "strix-halo", "placed"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    nothing_was_refused(&browser.console().await);
}

#[tokio::test]
async fn ten_thousand_pools_are_a_page_of_a_hundred() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("table.yaml");
    let spec = json!({"hostnames": ["n"], "resourceName": "amd.com/gpu"});
    let pools = (0..10_000).map(|i| manifest("GPUPool", &format!("p-{i:05}"), spec.clone()));
    let class = manifest(
        "WorkloadClass",
        "c",
        json!({"pools": [{"name": "p-00000"}]}),
    );
    let table: Vec<String> = pools.chain([class]).map(|it| it.to_string()).collect();
    std::fs::write(&file, table.join("\n---\n")).expect("written");
    let berth = Berth::serve(&["--table", common::process::arg(&file), "--tls-self-signed"]);
    wait_for_the_table(&berth);
    let page = get(berth.admin, "/").await;
    assert!(page.contains("and 9900 more pools"), "{}", page.len());
    assert!(page.len() < 100_000, "{}", page.len());
}

fn manifest(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// Its table may be read for longer than it waits with `listening`.
fn wait_for_the_table(berth: &Berth) {
    let loaded = |event: &Value| event["source"] == "table" && event["message"] == "loaded";
    if !berth.said().iter().any(loaded) {
        berth.event(loaded);
    }
}

#[tokio::test]
async fn a_stream_ends_at_the_drain_and_not_only_when_the_process_does() {
    let (mut berth, _) = serve(&["--drain-period=20s"]);
    let mut stream = ask_for(&berth, "/events").await;
    let first = stream.chunk().await.expect("it goes on");
    assert!(first.expect("a part").starts_with(b"event: state\n"));
    berth.terminate();
    while stream.chunk().await.expect("it ends in order").is_some() {}
    let full = ask_for(&berth, "/events").await;
    assert_eq!(full.status(), 503, "no other begins");
    get(berth.admin, "/").await;
    // again, which ends it at once
    berth.terminate();
    berth.wait();
}

#[tokio::test]
async fn there_is_none_where_it_is_off() {
    let (berth, _) = serve(&["--board=off"]);
    for path in ["/", "/events"] {
        assert_eq!(ask_for(&berth, path).await.status(), 404);
    }
}
