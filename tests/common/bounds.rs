//! Manifests at and past every bound of the definitions' schemas, made by reading the schemas.

use std::sync::Arc;

use berth_core::{api::crds, table::Settings, validate::NamespaceLabels};
use berth_manifests::{
    diagnostic::SourceText,
    table_files::{Error, TableFiles},
};
use serde_json::{Value, json};

/// A manifest, and where it differs from one that is right.
pub struct Case {
    pub kind: String,
    /// The JSON Pointer of the value that was replaced.
    pub field: String,
    pub object: Value,
}

/// Texts at the edges of what names, keys, resources and quantities may be.
fn words() -> Vec<String> {
    let x = |count: usize| "x".repeat(count);
    let mut words: Vec<String> = [
        "",
        "a",
        "A",
        "1",
        "-a",
        "a-",
        "a.b",
        "a..b",
        ".a",
        "a_b",
        "a b",
        "ä",
        "a=b",
        "a/b",
        "A/b",
        "a/B_c.d",
        "a/b/c",
        "/a",
        "a/",
        "a..b/c",
        "a./c",
        "-a/c",
        "a_b/c",
        "kubernetes.io/a",
        "node.kubernetes.io/a",
        "requests.a/b",
        "0",
        "8Gi",
        "8m",
        "8000m",
        "8u",
        "8n",
        "8ki",
        "8KiB",
        "1.5Gi",
        "+1",
        "-1",
        ".5",
        "5.",
        "1..5",
        "0.0",
        "0Gi",
        "00010",
        "1e3",
        "1E3",
        "1e03",
        "1e-3",
        "1e+3",
        "1e",
        "1e123",
        ".",
        "+",
        "Gi",
        "0.1k",
        "1.0",
        "٣",
    ]
    .map(str::to_owned)
    .to_vec();
    words.extend([63, 64, 253, 254].map(x));
    for prefix in [1, 180, 181, 182, 243, 244, 251, 252, 253, 254] {
        words.extend([1, 63, 64].map(|name| format!("{}/{}", x(prefix), x(name))));
    }
    words.extend([1, 2].map(|end| format!("{}{}", "x.".repeat(126), x(end))));
    words.extend([31, 32, 33].map(|digits| "1".repeat(digits)));
    words
}

/// A manifest with every field, which is right.
fn full(kind: &str, spec: Value) -> Value {
    json!({"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": {"name": "it"}, "spec": spec})
}

/// Manifests that are right, which have every field together.
pub fn right() -> Vec<Value> {
    let selector = json!({"matchLabels": {"zone": "z"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]});
    let pool = json!({
        "hostnames": ["host"], "taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}],
        "resourceName": "amd.com/gpu", "resourceAliases": ["x.io/alias"], "memoryPerGPU": "8Gi",
        "sharing": {"strategy": "MPS", "replicas": 2}, "autoscaling": {"maxGPUs": 8}, "runtimeClassName": "amd", "env": [{"name": "N", "value": "v"}],
    });
    let selected = json!({"resourceName": "amd.com/gpu", "nodeSelector": selector});
    let class = json!({
        "pools": [{"name": "p0"}], "gpus": {"default": 1, "max": 1024}, "gpuMemory": "4Gi", "containerNames": ["main"],
        "namespaceSelector": selector, "schedulerName": "volcano", "rationale": "why",
    });
    vec![
        full("GPUPool", pool),
        full("GPUPool", selected),
        full("WorkloadClass", class),
    ]
}

impl Case {
    /// The value that was replaced, as short as a message needs it.
    pub fn value(&self) -> String {
        let value = self.object.pointer(&self.field).expect("a value");
        value.to_string().chars().take(80).collect()
    }
}

/// Every case of both definitions.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for base in right() {
        let kind = base["kind"].as_str().expect("a kind").to_owned();
        let schema = schema(&kind);
        let mut replace = |field: &str, value: Value| {
            let mut object = base.clone();
            *object.pointer_mut(field).expect("a field") = value;
            cases.push(Case {
                kind: kind.clone(),
                field: field.to_owned(),
                object,
            });
        };
        walk(
            &schema["properties"]["spec"],
            &base["spec"],
            "/spec",
            &mut replace,
        );
    }
    cases
}

/// Why a table of files does not accept a manifest, beside the pools that a class may name.
pub fn invalid(object: &Value) -> Option<String> {
    let pool = |i: usize| {
        json!({"apiVersion": "berth.dev/v1alpha1", "kind": "GPUPool", "metadata": {"name": format!("p{i}")},
            "spec": {"hostnames": ["n"], "resourceName": "amd.com/gpu"}})
    };
    let mut documents = vec![object.to_string()];
    if object["kind"] == "WorkloadClass" {
        for name in object["spec"]["pools"].as_array().into_iter().flatten() {
            let mut pool = pool(0);
            pool["metadata"]["name"] = name["name"].clone();
            documents.push(pool.to_string());
        }
    }
    let file = SourceText {
        path: "t.yaml".into(),
        text: Arc::from(documents.join("\n---\n")),
        first_line: 1,
    };
    let files = TableFiles {
        paths: Vec::new(),
        settings: Settings {
            namespaces: NamespaceLabels::All,
            ..Settings::default()
        },
    };
    match files.compile(&[file]) {
        Ok(_) => None,
        Err(Error::Invalid(found)) => Some(found.iter().map(ToString::to_string).collect()),
        Err(other) => panic!("{other}"),
    }
}

/// The schema of a definition.
pub fn schema(kind: &str) -> Value {
    let definition = crds().into_iter().find(|it| it.spec.names.kind == kind);
    let version = definition.expect("a definition").spec.versions.remove(0);
    let schema = version.schema.expect("a schema").open_api_v3_schema;
    serde_json::to_value(schema).expect("JSON")
}

fn walk(schema: &Value, base: &Value, field: &str, replace: &mut impl FnMut(&str, Value)) {
    let bound = |name: &str| {
        schema[name]
            .as_u64()
            .and_then(|it| usize::try_from(it).ok())
    };
    let around = |bound: usize| [bound.saturating_sub(1), bound, bound + 1];
    let either = schema["x-kubernetes-int-or-string"] == true;
    match base {
        Value::String(_) => {
            let texts = words().into_iter();
            let bounds = ["minLength", "maxLength"].into_iter().filter_map(bound);
            let long = bounds.flat_map(around).map(|length| "x".repeat(length));
            // bounds count characters, not bytes
            let wide = bound("maxLength").into_iter().flat_map(around);
            let wide = wide.map(|length| "ä".repeat(length));
            let enumerated = schema["enum"].as_array().cloned().unwrap_or_default();
            for text in texts
                .chain(long)
                .chain(wide)
                .map(Value::String)
                .chain(enumerated)
            {
                replace(field, text);
            }
            for number in [-1, 0, 1, 8].into_iter().filter(|_| either) {
                replace(field, number.into());
            }
        }
        Value::Number(_) => {
            let bounds = ["minimum", "maximum"]
                .into_iter()
                .filter_map(|it| schema[it].as_f64());
            for bound in bounds {
                for number in [bound - 1.0, bound, bound + 1.0] {
                    #[expect(clippy::cast_possible_truncation, reason = "the bounds are small")]
                    replace(field, (number as i64).into());
                }
            }
        }
        Value::Array(items) => {
            let bounds = ["minItems", "maxItems"].into_iter().filter_map(bound);
            for count in bounds.flat_map(around).chain([0]) {
                replace(field, (0..count).map(|i| numbered(&items[0], i)).collect());
            }
            walk(&schema["items"], &items[0], &format!("{field}/0"), replace);
        }
        Value::Object(fields) => {
            for count in bound("maxProperties").into_iter().flat_map(around) {
                let entry = |i: usize| (format!("l{i}"), "v".into());
                replace(
                    field,
                    (0..count)
                        .map(entry)
                        .collect::<serde_json::Map<_, _>>()
                        .into(),
                );
            }
            for (name, base) in fields {
                let below = schema["properties"].get(name);
                let below = below.unwrap_or(&schema["additionalProperties"]);
                walk(below, base, &format!("{field}/{name}"), replace);
            }
        }
        _ => {}
    }
}

/// An item like another, with a name of its own.
fn numbered(item: &Value, i: usize) -> Value {
    let mut item = item.clone();
    match &mut item {
        Value::String(text) if text.contains('/') => *text = format!("x.io/n{i}"),
        Value::String(text) => *text = format!("n{i}"),
        Value::Object(fields) => {
            let name = if fields.contains_key("key") {
                "key"
            } else {
                "name"
            };
            let start = if name == "name" && fields.len() == 1 {
                "p"
            } else {
                "n"
            };
            fields.insert(name.to_owned(), format!("{start}{i}").into());
        }
        _ => {}
    }
    item
}
