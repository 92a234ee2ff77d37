//! `POST /warn`: a word at apply. An object that makes Pods is always allowed, and whoever applies it is warned of what a
//! preview finds. The budget, the limits and the threads are those of the reviews of Pods.

use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::{
    body::Bytes,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Arrival, HttpError, Service};
use crate::telemetry;
use berth_core::outcome::Reason;
use berth_manifests::word::word;

/// The path that the validating webhook's configuration names.
pub const PATH: &str = "/warn";
/// Bytes of a review whose object is previewed. Decoded, and copied for the preview, an object takes many times its size,
/// which the budget does not count; one that people write has a few thousand bytes.
const LARGEST: usize = 256 << 10;

/// The only part of a review that every answer needs.
#[derive(Deserialize)]
struct Envelope {
    request: Identity,
}

#[derive(Deserialize)]
struct Identity {
    uid: String,
}

/// What is previewed. The object before an update is not even kept.
#[derive(Deserialize)]
struct Asked {
    request: About,
}

#[derive(Deserialize)]
struct About {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    object: Value,
}

/// What was found, and of which object.
#[derive(Default)]
struct Said {
    result: &'static str,
    /// Kind, namespace and name.
    about: [String; 3],
    warnings: Vec<String>,
    error: &'static str,
}

impl Service {
    /// Nothing can be said. Without a uid there is no answer that the API server takes: the failurePolicy allows the object.
    pub(super) fn no_word(&self, error: HttpError) -> Response {
        self.webhook.metrics.word("failed");
        telemetry::word("failed", [""; 3], &[], &error.text);
        error.into_response()
    }

    /// What there is to say of an object.
    pub(super) fn word(&self, arrival: Arrival) -> Result<Bytes, HttpError> {
        arrival.deadline.check()?;
        let body = arrival.body.as_ref();
        let envelope: Envelope = serde_json::from_slice(body).map_err(|error| unread(&error))?;
        let said = catch_unwind(AssertUnwindSafe(|| self.find(body))).unwrap_or_else(|_| {
            self.webhook.metrics.panics.inc();
            Said::nothing(
                "failed",
                "internal error; the log has the details: report it",
            )
        });
        self.webhook.metrics.word(said.result);
        arrival.span.said(said.result);
        let [kind, namespace, name] = &said.about;
        let about = [&**kind, &**namespace, &**name];
        telemetry::word(said.result, about, &said.warnings, said.error);
        let answer = allowed(&envelope.request.uid, &said.warnings);
        arrival.answered(answer)
    }

    fn find(&self, body: &[u8]) -> Said {
        if body.len() > LARGEST {
            return Said::nothing("skipped", "the object is too large for a preview");
        }
        let Ok(Asked { request }) = serde_json::from_slice(body) else {
            return Said::nothing("failed", "the review's object cannot be read");
        };
        let view = self.webhook.state.view();
        let Some(view) = view.as_deref() else {
            return Said::nothing("skipped", "no table is in force");
        };
        let About { namespace, object } = request;
        let text = |pointer: &str| {
            let text = object.pointer(pointer).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let about = [text("/kind"), namespace.clone(), text("/metadata/name")];
        let warnings = word(object, &namespace, view);
        Said {
            result: if warnings.is_empty() {
                "quiet"
            } else {
                "warned"
            },
            about,
            warnings,
            error: "",
        }
    }
}

impl Said {
    fn nothing(result: &'static str, error: &'static str) -> Self {
        Self {
            result,
            error,
            ..Self::default()
        }
    }
}

fn unread(error: &serde_json::Error) -> HttpError {
    HttpError {
        reason: Reason::BadReview,
        text: format!(
            "the review cannot be read: {error}; send an AdmissionReview of admission.k8s.io/v1"
        ),
    }
}

fn allowed(uid: &str, warnings: &[String]) -> Vec<u8> {
    let mut response = json!({"uid": uid, "allowed": true});
    if !warnings.is_empty() {
        response["warnings"] = json!(warnings);
    }
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response,
    });
    answer.to_string().into_bytes()
}
