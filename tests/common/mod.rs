//! What the tests of the wire share: reviews, the homelab's table, and `berth` as a process.
#![allow(
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "a test fails by a panic, and each test binary uses a part of this"
)]

use std::{io::Write, path::PathBuf, process::Command};

use base64::{Engine, engine::general_purpose::STANDARD};
use berth_core::{table::Settings, view::View};
use berth_manifests::table_files::TableFiles;
use serde_json::{Value, json};

pub mod bounds;
pub mod browser;
pub mod client;
pub mod collector;
pub mod overlays;
pub mod process;
pub mod prometheus;
pub mod terminal;
pub mod volume;

/// A path of the project.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What a script of the project installs, and prints where it is. None where it cannot be installed, which the script says.
pub fn tool(script: &str) -> Option<PathBuf> {
    let asked = Command::new(path(script)).output();
    let asked = asked.expect("a shell");
    let said = String::from_utf8_lossy(&asked.stderr);
    match asked.status.code() {
        Some(0) => Some(String::from_utf8_lossy(&asked.stdout).trim().into()),
        Some(3) => {
            // past libtest, which shows what a test that passes prints to nobody
            let _ = write!(std::io::stderr(), "{said}");
            None
        }
        _ => panic!("{script}: {said}"),
    }
}

/// The view of the homelab's table.
pub fn homelab() -> View {
    let files = TableFiles {
        paths: vec![path("examples/homelab.yaml")],
        settings: Settings::default(),
    };
    let table = files.load().unwrap_or_else(|error| panic!("{error}"));
    table.into()
}

/// A review of `examples/reviews`.
pub fn example(name: &str) -> Value {
    let path = path("examples/reviews").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// The review of a Pod of class vllm, with its spec's fields as given.
pub fn review(spec: Value) -> Value {
    let mut review = example("vllm");
    let pod = &mut review["request"]["object"]["spec"];
    let fields = spec.as_object().expect("an object");
    pod.as_object_mut()
        .expect("an object")
        .extend(fields.clone());
    review
}

/// The containers of a Pod, of which the first has the resources given.
pub fn containers(resources: Value) -> Value {
    json!({"containers": [{"name": "vllm", "resources": resources}]})
}

/// The operations of a response's patch.
pub fn patch(response: &Value) -> Vec<Value> {
    let text = response["response"]["patch"].as_str().expect("a patch");
    serde_json::from_slice(&STANDARD.decode(text).expect("base64")).expect("JSON")
}

/// The Pod of a review after the response's patch.
pub fn patched(review: &Value, response: &Value) -> Value {
    let mut pod = review["request"]["object"].clone();
    let operations: json_patch::Patch =
        serde_json::from_value(Value::Array(patch(response))).expect("a JSON Patch");
    json_patch::patch(&mut pod, &operations).expect("the patch applies");
    pod
}
