use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use berth_core::{outcome::Warning, review::review, shown, table::Settings, view::View};
use berth_manifests::{diagnostic::SourceText, table_files::TableFiles};
use serde_json::{Value, json};

use super::*;

#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn logged(log: impl FnOnce()) -> Vec<Value> {
    let lines = Lines::default();
    let subscriber = json(EnvFilter::new("info"), lines.clone());
    tracing::subscriber::with_default(subscriber, log);
    let text = lines.0.lock().unwrap().clone();
    text.split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            assert!(line.ends_with(b"\n"));
            serde_json::from_slice(line).expect("JSON")
        })
        .collect()
}

#[test]
fn an_event_is_one_object_of_its_fields() {
    let nothing: Option<&str> = None;
    let mut events = logged(|| {
        let _span = tracing::info_span!("span", hidden = true).entered();
        tracing::warn!(
            text = "a \"b\" \\ \n\u{1f} é",
            flag = true,
            number = -7,
            seconds = 0.000_25,
            infinite = f64::INFINITY,
            shown = %"x\ty",
            debug = ?Some("q"),
            nothing,
            "two words"
        );
        tracing::info!("next");
    });
    assert_eq!(events.len(), 2);
    assert_eq!(events[1]["message"], "next");
    let time = events[0].as_object_mut().unwrap().remove("timestamp");
    assert!(time.is_some_and(|time| time.as_str().is_some_and(|time| time.ends_with('Z'))));
    let expected = json!({
        "level": "WARN", "message": "two words", "text": "a \"b\" \\ \n\u{1f} é", "flag": true, "number": -7,
        "seconds": 0.000_25, "infinite": null, "shown": "x\ty", "debug": "Some(\"q\")",
        "target": "berth_server::telemetry::tests",
    });
    assert_eq!(events[0], expected);
}

#[test]
fn a_record_of_the_log_crate_has_its_own_level_and_target() {
    let events = logged(|| {
        let mut record = tracing_log::log::Record::builder();
        record.level(tracing_log::log::Level::Warn).target("notify");
        let record = record.args(format_args!("a word")).build();
        tracing_log::format_trace(&record).expect("an event");
    });
    let fields = ["level", "target", "message"].map(|field| &events[0][field]);
    assert_eq!(fields, ["WARN", "notify", "a word"]);
}

/// The table of the examples, with every kind of class.
const TABLE: &str = include_str!("../../../../examples/cases/table.yaml");
/// Where a text of a user's may stand: in what is below `request`.
const PLACES: &[&str] = &[
    "/name",
    "/namespace",
    "/userInfo/username",
    "/object/metadata/name",
    "/object/metadata/generateName",
    "/object/metadata/labels/berth.dev~1inject",
    "/object/metadata/labels/berth.dev~1workload-class",
    "/object/metadata/annotations/berth.dev~1container",
    "/object/metadata/ownerReferences/0/kind",
    "/object/metadata/ownerReferences/0/name",
    "/object/spec/nodeName",
    "/object/spec/nodeSelector/kubernetes.io~1hostname",
    "/object/spec/runtimeClassName",
    "/object/spec/schedulerName",
    "/object/spec/os/name",
    "/object/spec/tolerations/0/key",
    "/object/spec/tolerations/0/effect",
    "/object/spec/containers/0/name",
    "/object/spec/containers/1/name",
    "/object/spec/containers/0/env/0/name",
    "/object/spec/containers/0/resources/limits/nvidia.com~1gpu",
    "/object/spec/containers/0/resources/requests/nvidia.com~1gpu",
    "/object/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchExpressions/0/key",
    "/object/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchExpressions/0/operator",
    "/object/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchExpressions/0/values/0",
];
/// Where the keys are a user's.
const KEYS: &[(&str, &str)] = &[
    ("/object/metadata/labels", "berth.dev/"),
    ("/object/metadata/annotations", "berth.dev/"),
    ("/object/spec/nodeSelector", ""),
    ("/object/spec/containers/0/resources/limits", "nvidia.com/"),
    (
        "/object/spec/containers/0/resources/limits",
        "example.com/gpu",
    ),
    ("/object/spec/containers/0/resources/requests", "amd.com/"),
];

/// A request in which each of the places has a text.
fn request() -> Value {
    let term = json!({"matchExpressions": [{"key": "example.com/gpu", "operator": "Exists", "values": [""]}]});
    json!({
        "uid": "u", "operation": "CREATE", "name": "", "namespace": "ai", "userInfo": {"username": "u"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "object": {
            "metadata": {
                "name": "", "generateName": "", "annotations": {"berth.dev/container": "main"},
                "labels": {"berth.dev/workload-class": "chat", "berth.dev/inject": "x"},
                "ownerReferences": [{"kind": "Job", "name": "j", "controller": true}],
            },
            "spec": {
                "nodeName": "", "nodeSelector": {"kubernetes.io/hostname": "x"}, "runtimeClassName": "x",
                "schedulerName": "x", "os": {"name": "linux"}, "tolerations": [{"key": "k", "effect": "NoSchedule"}],
                "containers": [
                    {"name": "main", "env": [{"name": "E"}], "resources": {"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "1"}}},
                    {"name": "second"},
                ],
                "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}},
            },
        },
    })
}

/// The request with only what is needed for a Pod that is placed, besides the place.
fn bare(request: &Value, place: &str) -> Value {
    let mut bare = request.clone();
    for field in [
        "nodeName",
        "nodeSelector",
        "runtimeClassName",
        "schedulerName",
        "os",
        "tolerations",
        "affinity",
    ] {
        if !place.contains(field) {
            bare["object"]["spec"][field] = Value::Null;
        }
    }
    bare
}

/// All texts in a value, with the field in which they stand.
fn texts<'v>(field: &'v str, value: &'v Value, found: &mut Vec<(&'v str, &'v str)>) {
    match value {
        Value::String(text) => found.push((field, text)),
        Value::Array(list) => list.iter().for_each(|it| texts(field, it, found)),
        Value::Object(map) => map.iter().for_each(|(key, it)| texts(key, it, found)),
        _ => {}
    }
}

/// What is told of a request, in the log and to the author, is short.
fn hold(request: &Value, place: &str, view: &View) {
    let body =
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
    let body = body.to_string();
    let answer = review(body.as_bytes(), view).expect("a review");
    let warnings: Vec<_> = answer.warnings.iter().map(Warning::as_str).collect();
    let events = logged(|| reviewed(&answer, &warnings, "t", Duration::ZERO));
    let response: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let patch = response["response"]["patch"].as_str().map_or(0, str::len);
    assert!(answer.body.len() - patch <= 256 << 10, "{place}");
    let mut found = Vec::new();
    for event in &events {
        texts("", event, &mut found);
    }
    texts("", &response["response"], &mut found);
    for (field, text) in found.into_iter().filter(|(field, _)| *field != "patch") {
        let most = match field {
            "name" | "namespace" | "user" | "container" | "class" | "pool" | "uid" => shown::NAME,
            // a kind and a name
            "owner" => 2 * shown::NAME + 1,
            _ => shown::MESSAGE,
        };
        assert!(
            text.len() <= most,
            "{place}: {field} has {} bytes",
            text.len()
        );
        assert!(
            !text.contains(char::is_control),
            "{place}: {field}: {text:?}"
        );
    }
}

#[test]
fn megabytes_in_any_name_are_cut_in_the_log_and_in_the_answer() {
    let files = TableFiles {
        paths: Vec::new(),
        settings: Settings::default(),
    };
    let table = SourceText::new(Path::new("table.yaml"), TABLE.to_owned());
    let view = View::from(files.compile(&[table]).expect("a table"));
    let request = request();
    let long = "x\n\u{85}é".repeat(200_000);
    for place in PLACES {
        for mut request in [request.clone(), bare(&request, place)] {
            if let Some(text) = request.pointer_mut(place) {
                *text = json!(long);
            }
            hold(&request, place, &view);
        }
    }
    for (place, prefix) in KEYS {
        for mut request in [request.clone(), bare(&request, place)] {
            let map = request.pointer_mut(place).and_then(Value::as_object_mut);
            if let Some(map) = map {
                map.insert(format!("{prefix}{long}"), json!("1"));
            }
            hold(&request, place, &view);
        }
    }
}
