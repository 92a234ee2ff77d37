//! Why a Pod is denied, at the field that the message names; and what else has the wrong shape, which the server, that
//! stops at the first, would say the next time.

use berth_core::{
    json::pointer_segment,
    names::{DISABLED, INJECT_LABEL},
    outcome::Reason,
};
use serde_json::{Value, json};

use crate::{
    diagnostic::Diagnostic,
    dry_run::{DryRun, Error},
    workload::{self, PodTemplate},
    yaml,
};

mod cause;

/// So many are told of one Pod at most: each is a review.
const MOST: usize = 10;

/// All of a Pod's denials. `ask` gives the server's answer for another Pod in its place.
pub(super) fn all(
    document: &Value,
    template: &PodTemplate,
    outcome: &Result<DryRun, Error>,
    mut pod: Value,
    class_label: &str,
    ask: &dyn Fn(&Value) -> Result<DryRun, Error>,
) -> Vec<Diagnostic> {
    let (mut reason, mut message) = match outcome {
        Ok(run) => (run.reason, run.message.clone().unwrap_or_default()),
        Err(error) => (Reason::BadReview, error.to_string()),
    };
    let mut denials: Vec<Diagnostic> = Vec::new();
    let mut is_as_meant = true;
    loop {
        let cause = cause::cause(&pod, reason, ask);
        let named = cause.or_else(|| field(&message));
        let value = named.as_deref().and_then(|named| pod.pointer_mut(named));
        let pointer = place(document, template, named.as_deref(), class_label);
        let denial = Diagnostic {
            code: Some(reason.as_str()),
            field: workload::field(&pointer),
            help: value
                .as_deref()
                .and_then(|value| help(named.as_deref(), &message, value)),
            ..Diagnostic::error(&*message)
        };
        let is_new = denials.iter().all(|it| it.field != denial.field);
        // what is denied of a Pod that is only guessed may be of the guess
        if denials.is_empty() || (is_new && (is_as_meant || reason == Reason::PodShape)) {
            denials.push(denial);
        }
        let (Reason::PodShape, Some(value), true) = (reason, value, denials.len() < MOST) else {
            return denials;
        };
        let Some(mended) = mended(&message, value) else {
            return denials;
        };
        is_as_meant &= mended.is_string() && !value.is_string();
        *value = mended;
        match ask(&pod) {
            Ok(run) if !run.is_allowed() && run.message.as_ref() != Some(&message) => {
                (reason, message) = (run.reason, run.message.unwrap_or_default());
            }
            _ => return denials,
        }
    }
}

/// Where the eye should fall: the field that is named, else the class, else the Pod's spec.
fn place(
    document: &Value,
    template: &PodTemplate,
    named: Option<&str>,
    class_label: &str,
) -> String {
    let of = |maps: &[String], key: &str| {
        let mut places = maps.iter().rev().map(|map| format!("{map}/{key}"));
        places.find(|place| document.pointer(place).is_some())
    };
    let class = || of(&template.labels, &pointer_segment(class_label));
    let named = named.and_then(|named| {
        let metadata = named.strip_prefix("/metadata/");
        match metadata.map(|rest| rest.split_once('/').unwrap_or((rest, ""))) {
            Some(("labels", "")) => template.labels.last().cloned(),
            Some(("labels", key)) => of(&template.labels, key),
            Some(("annotations", key)) if !key.is_empty() => of(&template.annotations, key),
            Some(("annotations", _)) | None => Some(template.locate(named)),
            Some(_) => Some(format!("{}{named}", template.path())),
        }
    });
    named
        .or_else(class)
        .unwrap_or_else(|| template.spec.clone())
}

/// What stands in for a value of the wrong shape, so that the others can be found: what was probably meant, or nothing.
fn mended(message: &str, value: &Value) -> Option<Value> {
    let is_expected = |what: &str| message.contains(&format!("expected {what},"));
    match value {
        Value::Number(_) | Value::Bool(_) if is_expected("a string") => {
            Some(json!(value.to_string()))
        }
        _ if is_expected("a string") => Some(json!("")),
        _ if is_expected("an object") => Some(json!({})),
        _ if is_expected("a list") => Some(json!([])),
        _ if is_expected("a boolean") => Some(json!(false)),
        _ if is_expected("a quantity") || message.contains("not a quantity") => Some(json!("0")),
        _ => None,
    }
}

/// How to write a value of the wrong type.
fn help(field: Option<&str>, message: &str, value: &Value) -> Option<String> {
    let inject = format!("/metadata/labels/{}", pointer_segment(INJECT_LABEL));
    if field == Some(&*inject) && !value.is_string() {
        // in quotes, it would do nothing
        return Some(format!(
            "write {DISABLED}, if berth should leave the Pod alone, or remove the label"
        ));
    }
    let is_expected = |what: &str| message.contains(&format!("expected {what},"));
    let words = match value {
        Value::Number(number) if is_expected("a string") => {
            return Some(yaml::quote_it(number, "number"));
        }
        Value::Bool(word) if is_expected("a string") => {
            return Some(yaml::quote_it(word, "boolean"));
        }
        Value::String(_) if is_expected("an object") || is_expected("a list") => {
            "this is a text; write it without quotes, on lines of its own below the key"
        }
        _ if is_expected("a string") => "write one text, on the line of the key",
        Value::Array(_) if is_expected("an object") => {
            "this is a list; write each entry as key: value, without the -"
        }
        _ if is_expected("an object") => "write each entry as key: value, on a line of its own",
        _ if is_expected("a list") => "write a list: a line with - for each item",
        _ if is_expected("a boolean") => "write true or false, without quotes",
        _ if message.contains("not a quantity") => {
            "no quantity has this form; write a number without a unit, as 1"
        }
        _ if is_expected("a quantity") => "write a number, as 1, 500m or 2Gi",
        _ => return None,
    };
    Some(words.to_owned())
}

/// The field with which a message begins, as `spec.nodeSelector["x"]: …`, as a JSON Pointer in the Pod.
fn field(message: &str) -> Option<String> {
    let mut roots = ["spec", "metadata"].into_iter();
    let is_path = roots.any(|root| {
        let rest = message.strip_prefix(root);
        rest.is_some_and(|rest| rest.starts_with(['.', ':']))
    });
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
                "spec.containers[1].resources.limits[\"amd.com/gpu\"]: x",
                Some("/spec/containers/1/resources/limits/amd.com~1gpu"),
            ),
            ("spec.nodeName \"n\" bypasses", Some("/spec/nodeName")),
            ("metadata.labels[\"a/b\"]: x", Some("/metadata/labels/a~1b")),
            ("spec: expected an object", Some("/spec")),
            ("metadata: expected an object", Some("/metadata")),
            ("specs: x", None),
            ("workload class \"x\"", None),
            ("spec.", None),
        ] {
            assert_eq!(field(message).as_deref(), pointer, "{message}");
        }
    }
}
