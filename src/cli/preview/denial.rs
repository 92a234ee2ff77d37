//! The field that a denial names, and how to write what is there.

use berth_core::json::pointer_segment;
use berth_manifests::yaml;
use serde_json::Value;

/// The field with which a message begins, as `spec.nodeSelector["x"]: …`, as a JSON Pointer in the Pod.
pub(super) fn field(message: &str) -> Option<String> {
    let is_path = message.starts_with("spec.") || message.starts_with("metadata.");
    let mut rest = is_path.then_some(message)?;
    let mut pointer = String::new();
    loop {
        let step;
        if let Some(after) = rest.strip_prefix("[\"") {
            (step, rest) = after.split_once("\"]")?;
        } else if let Some(after) = rest.strip_prefix('[') {
            (step, rest) = after.split_once(']')?;
        } else {
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let is_in_name = |c: char| c.is_ascii_alphanumeric();
            let end = name.find(|c| !is_in_name(c)).unwrap_or(name.len());
            (step, rest) = name.split_at_checked(end)?;
        }
        if step.is_empty() {
            return None;
        }
        pointer.push('/');
        pointer.push_str(&pointer_segment(step));
        if !rest.starts_with(['.', '[']) {
            return Some(pointer);
        }
    }
}

/// How to write a value of the wrong type.
pub(super) fn help(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(yaml::quote_it(number, "number")),
        Value::Bool(word) => Some(yaml::quote_it(word, "boolean")),
        Value::String(_) => Some(
            "this is a text; write it without quotes, on lines of its own below the key".to_owned(),
        ),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn the_field_that_a_message_begins_with_is_found() {
        for (message, pointer) in [
            (
                "spec.nodeSelector[\"a.b/c\"]: expected",
                Some("/spec/nodeSelector/a.b~1c"),
            ),
            (
                "spec.containers[0].resources.limits: expected",
                Some("/spec/containers/0/resources/limits"),
            ),
            (
                "spec.containers[1].resources.limits[amd.com/gpu]: x",
                Some("/spec/containers/1/resources/limits/amd.com~1gpu"),
            ),
            ("spec.nodeName \"n\" bypasses", Some("/spec/nodeName")),
            ("metadata.labels[\"a/b\"]: x", Some("/metadata/labels/a~1b")),
            ("workload class \"x\"", None),
            ("spec.", None),
        ] {
            assert_eq!(field(message).as_deref(), pointer, "{message}");
        }
    }
}
