//! What the API server denies of a Pod whatever berth answers: a value of a type that its field does not take, a required
//! node affinity without terms, two containers of one name.

use std::{borrow::Cow, collections::HashSet};

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Value, json};
use serde_path_to_error::Segment;

use super::{PodPreview, Topic};
use crate::diagnostic::Diagnostic;
use berth_core::{json::pointer_segment, outcome::Reason, shown, syntax::is_dns_label};

/// Amounts, which Kubernetes reads from a number, too, and our types of it do not. Those that berth reads have checks of
/// their own.
const AMOUNTS: [&str; 5] = ["limits", "requests", "overhead", "sizeLimit", "divisor"];

pub(super) fn of_pod(document: &Value, pod: &PodPreview) -> Vec<Diagnostic> {
    let Some(spec) = document.pointer(&pod.template.spec) else {
        return Vec::new();
    };
    // what berth reads is denied by itself
    let is_denied = pod.reason() == Reason::PodShape;
    let wrong_type = (!is_denied).then(|| wrong_type(spec, &pod.template.spec));
    let mut found: Vec<Diagnostic> = wrong_type.flatten().into_iter().collect();
    found.extend(namespace(document, pod));
    found.extend(no_terms(spec, &pod.template.spec));
    found.extend(same_names(spec, &pod.template.spec));
    found
}

/// A namespace that cannot be.
fn namespace(document: &Value, pod: &PodPreview) -> Option<Diagnostic> {
    let path = format!("{}/metadata/namespace", pod.template.object);
    let name = document.pointer(&path)?.as_str()?;
    (!name.is_empty() && !is_dns_label(name)).then(|| {
        Topic::Invalid.of(
            &path,
            format!(
                "{} is not the name of a namespace",
                shown::quoted(&shown::name(name))
            ),
            "use only lower-case letters, digits and -, 63 of them at most",
        )
    })
}

/// The first value of a type that its field does not take.
fn wrong_type(spec: &Value, path: &str) -> Option<Diagnostic> {
    let spec = without_amounts(spec);
    let error = serde_path_to_error::deserialize::<_, PodSpec>(&spec).err()?;
    let segments = error.path().iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{}", pointer_segment(key))),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    let pointer = segments.fold(path.to_owned(), |pointer, segment| pointer + &segment);
    let value = spec.pointer(pointer.strip_prefix(path).unwrap_or_default());
    // a null item of a list is an empty one
    let value = value.filter(|value| !value.is_null())?;
    let message = error.inner().to_string();
    let (_, expected) = message.split_once("expected ")?;
    let expected = meant(expected);
    let found = match value {
        Value::Array(_) => Cow::Borrowed("a list"),
        Value::Object(_) => Cow::Borrowed("an object"),
        other => Cow::Owned(shown::name(&other.to_string()).into_owned()),
    };
    Some(Diagnostic {
        expected: Some(expected),
        help: None,
        ..Topic::Invalid.of(
            &pointer,
            format!("{found} is not {expected}, and the API server takes nothing else here"),
            "",
        )
    })
}

/// What a field takes, in the words of the server's messages.
fn meant(expected: &str) -> &'static str {
    let is = |word: &str| expected.starts_with(word);
    if is("a boolean") {
        "a boolean"
    } else if is("a string") {
        "a string"
    } else if is("i32") || is("i64") {
        "a whole number"
    } else if is("a sequence") {
        "a list"
    } else if is("enum IntOrString") {
        "a number or a name"
    } else {
        "an object"
    }
}

/// The same value without amounts, and without what is null.
fn without_amounts(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let is_read =
                |(key, value): &(&String, &Value)| !AMOUNTS.contains(&&***key) && !value.is_null();
            let fields = fields.iter().filter(is_read);
            let fields = fields.map(|(key, value)| (key.clone(), without_amounts(value)));
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().map(without_amounts).collect(),
        other => other.clone(),
    }
}

/// A node affinity that asks for no term: berth does not fill it (rule 5).
fn no_terms(spec: &Value, path: &str) -> Option<Diagnostic> {
    const REQUIRED: &str = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    let required = spec.pointer(REQUIRED)?.as_object()?;
    let terms = required.get("nodeSelectorTerms");
    let has_terms = terms.is_some_and(|terms| !terms.is_null() && *terms != json!([]));
    (!has_terms).then(|| {
        Topic::Invalid.of(
            &format!("{path}{REQUIRED}"),
            "there is no term in nodeSelectorTerms, and the API server denies that",
            "write a term there, or remove the field",
        )
    })
}

/// Containers with a name that one before them has.
fn same_names(spec: &Value, path: &str) -> Vec<Diagnostic> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for list in ["initContainers", "containers"] {
        let containers = spec[list].as_array().into_iter().flatten().enumerate();
        for (i, container) in containers {
            let Some(name) = container["name"].as_str().filter(|name| !name.is_empty()) else {
                continue;
            };
            if !seen.insert(name) {
                found.push(Topic::Invalid.of(
                    &format!("{path}/{list}/{i}/name"),
                    format!(
                        "another container of this Pod is called {}, too",
                        shown::quoted(&shown::name(name))
                    ),
                    "give each container a name of its own, also those of initContainers",
                ));
            }
        }
    }
    found
}
