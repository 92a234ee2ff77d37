//! A dry run: what admission would make of a Pod, by the very function that the server runs.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use berth_core::{
    outcome::{At, Reason, Verdict, Warning},
    review::{self, Answer, review},
    view::View,
};
use serde_json::{Value, json};

mod summary;

/// The server's answer, owned, and the Pod after it.
#[derive(Clone, Debug)]
pub struct DryRun {
    /// The reason that the server would log.
    pub reason: Reason,
    /// The class, one of the table's.
    pub class: Option<String>,
    /// The chosen pools, joined by commas.
    pub pool: Option<String>,
    /// The container that has the GPU.
    pub container: Option<String>,
    /// The message of a denial.
    pub message: Option<String>,
    /// The field that a denial is about, where it is about one.
    pub at: Option<Box<At>>,
    /// What the Pod's author should know.
    pub warnings: Vec<Warning>,
    /// The patch in words, as `1 term, amd.com/gpu=1 on "vllm"`; empty where the Pod stays as it is.
    pub summary: String,
    /// The operations; none where the Pod stays as it is.
    pub patch: json_patch::Patch,
    /// The Pod as it would be stored; as it was where it is denied.
    pub pod: Value,
}

/// Why there is no answer. A Pod that is denied has one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The review cannot be read.
    #[error(transparent)]
    Review(#[from] review::Error),
    /// The answer's patch does not fit the Pod: a bug in berth.
    #[error("the patch does not apply: {0}")]
    Patch(#[from] json_patch::PatchError),
}

/// What would come of the Pod's creation in a namespace.
pub fn dry_run(pod: &Value, namespace: &str, view: &View) -> Result<DryRun, Error> {
    of_review(&creation(pod, namespace), pod, view)
}

/// What would come of a review of the Pod.
pub fn of_review(review_of_pod: &Value, pod: &Value, view: &View) -> Result<DryRun, Error> {
    let body = review_of_pod.to_string();
    let answer = review(body.as_bytes(), view)?;
    let patch = patch_of(&answer.body);
    let mut patched = pod.clone();
    json_patch::patch(&mut patched, &patch)?;
    Ok(DryRun::of(answer, patch, patched))
}

impl DryRun {
    fn of(answer: Answer<'_>, patch: json_patch::Patch, pod: Value) -> Self {
        let decision = answer.decision;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let placement = decision.placement.as_ref();
        Self {
            reason: decision.reason,
            class: owned(decision.class),
            pool: owned(decision.pool()),
            container: decision.container().map(Cow::into_owned),
            warnings: answer.warnings,
            summary: placement.map(summary::of).unwrap_or_default(),
            message: decision.message,
            at: decision.at,
            patch,
            pod,
        }
    }

    /// What comes of a Pod that berth is never asked about.
    pub(crate) fn left_alone(pod: Value) -> Self {
        Self {
            reason: Reason::OptedOut,
            class: None,
            pool: None,
            container: None,
            message: None,
            at: None,
            warnings: Vec::new(),
            summary: String::new(),
            patch: json_patch::Patch(Vec::new()),
            pod,
        }
    }

    /// Whether the API server would take the Pod.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self.reason.verdict(), Verdict::Allowed | Verdict::Mutated)
    }
}

/// The review that the API server would send.
#[must_use]
pub fn creation(pod: &Value, namespace: &str) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "dry-run", "operation": "CREATE", "dryRun": true,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": namespace, "name": pod["metadata"]["name"].as_str(),
            "object": pod,
        }
    })
}

/// The operations of a response: of the bytes that the API server would get.
pub(crate) fn patch_of(response: &[u8]) -> json_patch::Patch {
    let response: Value = serde_json::from_slice(response).expect("the response is JSON");
    response["response"]["patch"].as_str().map_or_else(
        || json_patch::Patch(Vec::new()),
        |text| {
            let text = STANDARD.decode(text).expect("the patch is base64");
            serde_json::from_slice(&text).expect("the patch is a JSON Patch")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_core::testing::{NAMESPACE, one_pool, pod};

    #[test]
    fn a_dry_run_shows_the_pod_after_admission() {
        let before = pod(json!({}));
        let run = dry_run(&before, NAMESPACE, &one_pool()).expect("an answer");
        assert_eq!(run.reason, Reason::Placed);
        assert_eq!(run.pool.as_deref(), Some("p"));
        assert_eq!(run.container.as_deref(), Some("main"));
        assert!(!run.patch.is_empty());
        let limits = &run.pod["spec"]["containers"][0]["resources"]["limits"];
        assert_eq!(*limits, json!({"amd.com/gpu": "1"}));
    }

    #[test]
    fn a_denied_pod_stays_as_it_was() {
        let before = pod(json!({"nodeName": "n"}));
        let run = dry_run(&before, NAMESPACE, &one_pool()).expect("an answer");
        assert_eq!((run.reason, run.pod), (Reason::NodeNameSet, before));
        assert!(
            run.message
                .is_some_and(|message| message.contains("nodeName"))
        );
    }

    #[test]
    fn a_pod_of_any_shape_has_an_answer() {
        for odd in [
            json!(null),
            json!([]),
            json!({"metadata": {"name": 1}}),
            json!({"spec": "x"}),
        ] {
            let answer = dry_run(&odd, NAMESPACE, &one_pool());
            assert!(answer.is_ok(), "{odd}: {answer:?}");
        }
    }
}
