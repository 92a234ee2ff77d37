//! What docs/explain.md and the README show on a console is what the commands print on a real control plane, word for word but
//! for ages. A line `...` stands for any lines.

use std::path::Path;

use regex::Regex;
use serde_json::json;

use crate::{
    common::path,
    eventually,
    explain::{berth, pod_of},
    stage::stage,
};

/// The commands that the pages show of this test, each with the lines of its output.
fn shown() -> Vec<(String, String)> {
    let mut steps = Vec::new();
    for page in ["README.md", "docs/explain.md"] {
        let text = std::fs::read_to_string(path(page)).expect("the page");
        let blocks = text.split("tests/cluster/explain_page.rs holds it -->\n```console\n");
        for block in blocks.skip(1) {
            let (block, _) = block.split_once("\n```").expect("its end");
            let commands = format!("\n{block}");
            for step in commands.split("\n$ berth ").skip(1) {
                let (command, output) = step.split_once('\n').expect("its output");
                steps.push((command.to_owned(), output.to_owned()));
            }
        }
    }
    steps
}

/// The text with every age as `AGE`, and every count of an Event and its revision as one.
fn without_ages(text: &str) -> String {
    let age = Regex::new(r"\b(\d+[smhd])+\b").expect("an expression");
    let times = Regex::new(r"(FailedCreate|FailedScheduling,?) (once|\d+ times)").expect("one");
    let text = age.replace_all(text, "AGE");
    let text = times.replace_all(&text, "$1 TIMES");
    let random = Regex::new(r"\bllm-[a-z0-9]{8,10}\b").expect("one");
    random.replace_all(text.trim_end(), "llm-HASH").into_owned()
}

/// What is compared. The scheduler's own words are those of its version, and the page has the newest one's.
fn comparable(text: &str) -> String {
    let text = without_ages(text);
    if std::env::var_os(crate::KUBERNETES).is_none() {
        return text;
    }
    let lines = text.lines().filter(|line| !line.starts_with("  said "));
    lines.collect::<Vec<_>>().join("\n")
}

async fn matches(kubeconfig: &Path, command: &str, output: &str) -> Result<(), String> {
    let words: Vec<&str> = command.split(' ').collect();
    let (_, said, error) = berth(kubeconfig, &words).await;
    let said = said + &error;
    if is_shown(&comparable(output), &comparable(&said)) {
        Ok(())
    } else {
        Err(said)
    }
}

/// Whether a text is as shown, in which a line `...` stands for any lines.
fn is_shown(shown: &str, text: &str) -> bool {
    let parts: Vec<String> = shown.split("...").map(regex::escape).collect();
    let expression = format!("(?s)^{}$", parts.join(".*"));
    Regex::new(&expression).expect("one").is_match(text)
}

#[tokio::test]
async fn the_page_shows_what_the_commands_print() {
    let Some(stage) = stage().await else { return };
    let _berth = stage.berth_called(&[]).await;
    let of = |kind: &str, name: &str, class: &str, replicas: u32| {
        json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "ai"},
            "spec": {
                "serviceName": name, "podManagementPolicy": "Parallel", "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name, "berth.dev/workload-class": class}},
                    "spec": {"containers": [{"name": name, "image": "x"}]},
                },
            },
        })
    };
    stage.run(&["create", "namespace", "ai"]).await;
    stage
        .run(&["config", "set-context", "--current", "--namespace=ai"])
        .await;
    let set = |name, class, replicas| of("StatefulSet", name, class, replicas).to_string();
    // who came first is named first, and of one second the first by name
    stage.apply(&set("whisper", "whisper", 1)).await;
    pod_of(&stage, "whisper", "Running").await;
    stage.apply(&set("xtts", "xtts", 1)).await;
    pod_of(&stage, "xtts", "Running").await;
    stage.apply(&set("whisper", "whisper", 2)).await;
    pod_of(&stage, "whisper", "Pending").await;
    let mut llm = of("Deployment", "llm", "vlm", 1);
    for field in ["serviceName", "podManagementPolicy"] {
        llm["spec"].as_object_mut().expect("a spec").remove(field);
    }
    stage.apply(&llm.to_string()).await;
    let admin = stage.control_plane.kubeconfig().expect("a file");
    let steps = shown();
    assert!(steps.len() >= 6, "{}", steps.len());
    for (command, output) in steps {
        let same = eventually(async || matches(&admin, &command, &output).await.ok());
        if same.await.is_none() {
            let said = matches(&admin, &command, &output).await;
            panic!("$ berth {command}\n{}", said.expect_err("it differs"));
        }
    }
}
