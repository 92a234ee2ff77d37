//! The response's JSON, written as text: a v1 response repeats uid and GVK, and has patch and patchType together (fact 7).
//! The patch is base64 text, which kube-rs' own response is not (fact 16).

use base64_simd::STANDARD;

use crate::{
    outcome::{Reason, Verdict, Warning},
    shown,
};

use super::Decision;

/// Writes the response to a uid, with the patch where there is one.
pub(super) fn write(
    uid: &str,
    decision: &Decision<'_>,
    warnings: &[Warning],
    patch: Option<&str>,
    revision: &str,
) -> Vec<u8> {
    let mut out = String::with_capacity(512 + patch.map_or(0, |patch| patch.len() * 4 / 3));
    out.push_str(
        r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"#,
    );
    string(&mut out, uid);
    let allowed = decision.reason.verdict() != Verdict::Denied;
    out.push_str(if allowed {
        r#","allowed":true"#
    } else {
        r#","allowed":false"#
    });
    if let Some(patch) = patch {
        out.push_str(r#","patchType":"JSONPatch","patch":""#);
        STANDARD.encode_append(patch, &mut out);
        out.push('"');
    }
    if let Some(message) = &decision.message {
        status(&mut out, decision.reason, message);
    }
    warn(&mut out, warnings);
    annotations(&mut out, decision, revision);
    out.push_str("}}");
    out.into_bytes()
}

fn status(out: &mut String, reason: Reason, message: &str) {
    let status = match reason.code() {
        400 => "BadRequest",
        422 => "Invalid",
        _ => "Forbidden",
    };
    out.push_str(r#","status":{"status":"Failure","reason":""#);
    out.push_str(status);
    out.push_str(r#"","code":"#);
    out.push_str(&reason.code().to_string());
    out.push_str(r#","message":"#);
    string(out, message);
    out.push('}');
}

fn warn(out: &mut String, warnings: &[Warning]) {
    if warnings.is_empty() {
        return;
    }
    out.push_str(r#","warnings":["#);
    for (i, warning) in warnings.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        // the API server drops a response whose warnings have control characters
        string(out, &shown::message(&warning.to_string()));
    }
    out.push(']');
}

/// Bare keys: the API server puts the webhook's name before them, and drops a key with a slash.
fn annotations(out: &mut String, decision: &Decision<'_>, revision: &str) {
    out.push_str(r#","auditAnnotations":{"reason":""#);
    out.push_str(decision.reason.as_str());
    out.push_str(r#"","table":""#);
    out.push_str(revision);
    out.push('"');
    for (key, value) in [("class", decision.class), ("pool", decision.pool())] {
        if let Some(value) = value {
            out.push_str(",\"");
            out.push_str(key);
            out.push_str("\":");
            string(out, value);
        }
    }
    out.push('}');
}

fn string(out: &mut String, text: &str) {
    // looks at every byte: without an early end, the compiler makes vector instructions of it
    let escapes = |byte: u8| matches!(byte, ..b' ' | b'"' | b'\\');
    if text.bytes().fold(false, |any, byte| any | escapes(byte)) {
        out.push_str(&serde_json::to_string(text).expect("a string serialises"));
    } else {
        out.push('"');
        out.push_str(text);
        out.push('"');
    }
}
