//! The board in a browser, on a real control plane.

use std::{env, fs, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    common::{browser::Browser, path, process::Berth},
    stage::stage,
};

/// The claim: from the moment that a Pod is stored to its name in a cell, with the scheduler between.
const SOON: Duration = Duration::from_secs(2);
/// A machine with other work to do may be late, the board is not.
const ATTEMPTS: usize = 5;
/// If it is set, the pictures of docs/board.md are made anew.
const WRITE_DOCS: &str = "BERTH_WRITE_DOCS";

fn pod(name: &str, class: &str) -> Pod {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"berth.dev/workload-class": class}},
        "spec": {"automountServiceAccountToken": false, "containers": [{"name": "main", "image": "none"}]},
    });
    serde_json::from_value(pod).expect("a Pod")
}

/// Whether a cell of this look has the name.
fn has(look: &str, name: &str) -> String {
    format!(
        "[...document.querySelectorAll('.cell.{look}')].some(it => it.innerText.includes('{name}'))"
    )
}

async fn create(pods: &Api<Pod>, name: &str, class: &str) -> Instant {
    let stored = pods.create(&PostParams::default(), &pod(name, class)).await;
    stored.expect("stored");
    Instant::now()
}

/// How long after it was stored a Pod is in a cell.
async fn lag(browser: &Browser, pods: &Api<Pod>, name: &str, class: &str) -> Duration {
    let cell = has("taken", name);
    let seen = async {
        browser.until(&cell).await;
        Instant::now()
    };
    let (seen, stored) = tokio::join!(seen, create(pods, name, class));
    seen.saturating_duration_since(stored)
}

async fn fits(browser: &Browser, width: u32) {
    for scheme in ["light", "dark"] {
        browser.width(width, scheme).await;
        let wide = browser
            .run("return document.documentElement.scrollWidth")
            .await;
        assert_eq!(wide, width, "{scheme}");
    }
}

async fn picture(browser: &Browser, name: &str, width: u32, scheme: &str, height: u32) {
    browser.width(width, scheme).await;
    let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
    browser
        .devtools("Emulation.setDeviceMetricsOverride", size)
        .await;
    fs::write(path("docs").join(name), browser.picture().await).expect("written");
}

async fn open(browser: &Browser, berth: &Berth) {
    browser.open(&format!("http://{}/", berth.admin)).await;
}

#[tokio::test]
async fn the_board_shows_each_pod_in_its_cell_within_two_seconds_and_whatever_its_name() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let Some(stage) = stage().await else { return };
    let berth = stage.berth_called(&[]).await;
    let client = stage.control_plane.client().await.expect("a client");
    let pods: Api<Pod> = Api::default_namespaced(client);
    open(&browser, &berth).await;
    for class in ["vllm", "bge-embeddings", "bge-reranker", "whisper"] {
        create(&pods, class, class).await;
        browser.until(&has("taken", class)).await;
    }
    let mut lags = Vec::new();
    for attempt in 1..=ATTEMPTS {
        lags.push(lag(&browser, &pods, "xtts", "xtts").await);
        if lags.last() < Some(&SOON) {
            break;
        }
        assert_ne!(attempt, ATTEMPTS, "in its cell after {lags:?}");
        let now = DeleteParams::default().grace_period(0);
        pods.delete("xtts", &now).await.expect("deleted");
        browser.until(&format!("!{}", has("taken", "xtts"))).await;
    }
    eprintln!("a Pod is in its cell after {lags:?}");

    // there is no third slice: it waits
    create(&pods, "whisper-2", "whisper").await;
    browser.until(&has("waiting", "whisper-2")).await;
    stage.run(&["cordon", "danilo.home.arpa"]).await;
    browser
        .until("document.getElementById('wrong').innerText.includes('kubectl uncordon danilo.home.arpa')")
        .await;
    if env::var_os(WRITE_DOCS).is_some() {
        picture(&browser, "board-wide.png", 1280, "light", 1000).await;
        picture(&browser, "board-narrow.png", 380, "dark", 1000).await;
    }

    // as long as a name may be, and without a place to break
    let long = format!("whisperer{}", "x".repeat(244));
    create(&pods, &long, "whisper").await;
    browser.until(&has("waiting", "whispererxxx")).await;
    fits(&browser, 380).await;
    fits(&browser, 1280).await;
    assert_eq!(browser.console().await, Vec::<String>::new());

    // once, but true
    let off = json!({"value": true});
    browser
        .devtools("Emulation.setScriptExecutionDisabled", off)
        .await;
    open(&browser, &berth).await;
    let text = browser.run("return document.body.innerText").await;
    let Value::String(text) = text else {
        panic!("{text}")
    };
    for part in [
        "As of ",
        "default/xtts",
        "node danilo.home.arpa is cordoned",
        "placed → rtx-2070",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(browser.console().await, Vec::<String>::new());
}
