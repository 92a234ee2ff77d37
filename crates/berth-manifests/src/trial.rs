//! A trial: what admission would make of a Pod, by the very function that the server runs.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use berth_core::{
    outcome::{Reason, Warning},
    review::{self, review},
    table::AllocationTable,
};

/// What came of it.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What it came to.
    pub reason: Reason,
    /// The class, one of the table's.
    pub class: Option<String>,
    /// The chosen pools, joined by commas.
    pub pool: Option<String>,
    /// The container that has the GPU.
    pub container: Option<String>,
    /// The message of a denial.
    pub message: Option<String>,
    /// What the Pod's author should know.
    pub warnings: Vec<Warning>,
    /// The operations; none where the Pod stays as it is.
    pub patch: json_patch::Patch,
    /// The Pod as it would be stored; as it was where it is denied.
    pub pod: Value,
}

/// Why there is no answer. A Pod that berth refuses has one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The review cannot be read.
    #[error(transparent)]
    Review(#[from] review::Error),
    /// The answer's patch does not fit the Pod: a bug in berth.
    #[error("the patch does not apply: {0}")]
    Patch(#[from] json_patch::PatchError),
}

/// Tries the Pod's creation in a namespace.
pub fn trial(pod: &Value, namespace: &str, table: &AllocationTable) -> Result<Trial, Error> {
    let body = creation(pod, namespace).to_string();
    let answer = review(body.as_bytes(), table)?;
    let patch = patch_of(&answer.body);
    let mut patched = pod.clone();
    json_patch::patch(&mut patched, &patch)?;
    let record = answer.record;
    Ok(Trial {
        reason: record.reason,
        class: record.class.map(str::to_owned),
        pool: record.pool.map(str::to_owned),
        container: record.container,
        message: record.message,
        warnings: record.warnings,
        patch,
        pod: patched,
    })
}

/// The review that the API server would send.
pub(crate) fn creation(pod: &Value, namespace: &str) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "trial", "operation": "CREATE", "dryRun": true,
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
    fn a_trial_shows_the_pod_after_admission() {
        let before = pod(json!({}));
        let trial = trial(&before, NAMESPACE, &one_pool()).expect("an answer");
        assert_eq!(trial.reason, Reason::Placed);
        assert_eq!(trial.pool.as_deref(), Some("p"));
        assert_eq!(trial.container.as_deref(), Some("main"));
        assert!(!trial.patch.is_empty());
        let limits = &trial.pod["spec"]["containers"][0]["resources"]["limits"];
        assert_eq!(*limits, json!({"amd.com/gpu": "1"}));
    }

    #[test]
    fn a_denied_pod_stays_as_it_was() {
        let before = pod(json!({"nodeName": "n"}));
        let trial = trial(&before, NAMESPACE, &one_pool()).expect("an answer");
        assert_eq!((trial.reason, trial.pod), (Reason::NodeNameSet, before));
        assert!(
            trial
                .message
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
            let answer = trial(&odd, NAMESPACE, &one_pool());
            assert!(answer.is_ok(), "{odd}: {answer:?}");
        }
    }
}
