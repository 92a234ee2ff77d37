//! Why a Pod is denied, at the field that the message names; and what else has the wrong shape, which the server, that
//! stops at the first, would say the next time.

use berth_core::{
    field::pointer,
    json::pointer_segment,
    names::{DISABLED, INJECT_LABEL},
    outcome::{At, Reason},
};
use serde_json::{Value, json};

use crate::{
    diagnostic::Diagnostic,
    dry_run::{DryRun, Error},
    workload::{self, PodTemplate},
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
    let (mut reason, mut message, mut at) = match outcome {
        Ok(run) => {
            let message = run.message.clone().unwrap_or_default();
            (run.reason, message, run.at.clone())
        }
        Err(error) => (Reason::BadReview, error.to_string(), None),
    };
    let mut denials: Vec<Diagnostic> = Vec::new();
    let mut is_as_meant = true;
    loop {
        let told = at.as_deref();
        let cause = cause::cause(&pod, reason, ask);
        let named = cause.or_else(|| pointer(&told?.field));
        let expected = told.and_then(|at| at.expected);
        let value = named.as_deref().and_then(|named| pod.pointer_mut(named));
        let pointer = place(document, template, named.as_deref(), class_label);
        let denial = Diagnostic {
            code: Some(reason.as_str()),
            field: workload::field(&pointer),
            help: help(named.as_deref(), value.as_deref()),
            expected,
            ..Diagnostic::error(in_document(&message, told, &pointer))
        };
        let is_new = denials.iter().all(|it| it.field != denial.field);
        // what is denied of a Pod that is only guessed may be of the guess
        if denials.is_empty() || (is_new && (is_as_meant || reason == Reason::PodShape)) {
            denials.push(denial);
        }
        let (Reason::PodShape, Some(value), true) = (reason, value, denials.len() < MOST) else {
            return denials;
        };
        let Some(mended) = expected.and_then(|expected| mended(expected, value)) else {
            return denials;
        };
        is_as_meant &= mended.is_string() && !value.is_string();
        *value = mended;
        match ask(&pod) {
            Ok(run) if !run.is_allowed() && run.message.as_ref() != Some(&message) => {
                (reason, message, at) = (run.reason, run.message.unwrap_or_default(), run.at);
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

/// A message that begins with its field, with the field's path in the document: the author has written no Pod.
fn in_document(message: &str, told: Option<&At>, pointer: &str) -> String {
    let field = told.map_or("", |at| &at.field);
    match message.strip_prefix(field) {
        Some(rest) if !field.is_empty() && rest.starts_with([':', ' ']) => {
            workload::field(pointer) + rest
        }
        _ => message.to_owned(),
    }
}

/// What to write, where it is not the kind of value alone that is wrong.
fn help(field: Option<&str>, value: Option<&Value>) -> Option<String> {
    let inject = format!("/metadata/labels/{}", pointer_segment(INJECT_LABEL));
    let is_opt_out = field? == inject && !value?.is_string();
    // in quotes, it would do nothing
    is_opt_out.then(|| {
        format!("write {DISABLED}, if berth should leave the Pod alone, or remove the label")
    })
}

/// What stands in for a value of the wrong shape, so that the others can be found: what was probably meant, or nothing.
fn mended(expected: &str, value: &Value) -> Option<Value> {
    Some(match (expected, value) {
        ("a string", Value::Number(_) | Value::Bool(_)) => json!(value.to_string()),
        ("a string", _) => json!(""),
        ("an object", _) => json!({}),
        ("a list", _) => json!([]),
        ("a boolean", _) => json!(false),
        ("a quantity" | "a whole amount", _) => json!("0"),
        _ => return None,
    })
}
