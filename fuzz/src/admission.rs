//! A review answered, and its answer held against everything that an answer promises.

use allocation_counter::measure;
use base64::{Engine, engine::general_purpose::STANDARD};
use berth_core::{
    json::Problem,
    outcome::{Reason, Verdict},
    review::{Error, review},
    view::View,
};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::shape;

/// What a review may hold, besides as much as its body for texts with escapes.
const PEAK: usize = 8 << 20;
/// How often it may allocate, besides once for each two bytes of its body. Time says nothing in an instrumented build on a
/// machine with other work; `libFuzzer` ends the run where a review takes seconds.
const ALLOCATIONS: u64 = 200_000;
/// An answer besides its patch.
const ANSWER: usize = 256 << 10;
const MESSAGE: usize = 1024;

/// Answers a body, and checks all that can be checked without knowing what is in it.
pub fn check(body: &[u8], view: &View) {
    let mut answered = None;
    let measured = measure(|| answered = Some(review(body, view)));
    let peak = usize::try_from(measured.bytes_max).unwrap_or(usize::MAX);
    assert!(
        peak <= PEAK + 2 * body.len(),
        "{peak} bytes for {}",
        body.len()
    );
    let most = ALLOCATIONS + body.len() as u64 / 2;
    assert!(
        measured.count_total <= most,
        "{} allocations",
        measured.count_total
    );
    let is_json = || serde_json::from_slice::<IgnoredAny>(body).is_ok();
    let answer = match answered.expect("it ran") {
        Ok(answer) => answer,
        Err(Error::Json(error)) => {
            let of_grammar = matches!(
                error.problem(),
                Problem::Ends
                    | Problem::Expected(_)
                    | Problem::Escape
                    | Problem::Unescaped
                    | Problem::Trailing
            );
            assert!(!of_grammar || !is_json(), "sound JSON: {error}");
            return;
        }
        Err(error) => return assert!(error.to_string().len() <= MESSAGE),
    };
    let response: Value = serde_json::from_slice(&answer.body).expect("the answer is JSON");
    let response = &response["response"];
    let patch = patch_of(response);
    let bytes = answer.body.len() - response["patch"].as_str().map_or(0, str::len);
    assert!(bytes <= ANSWER, "{bytes} bytes besides the patch");
    let reason = answer.decision.reason;
    assert_eq!(response["allowed"], reason.verdict() != Verdict::Denied);
    assert_eq!(patch.is_some(), reason == Reason::Placed, "{reason}");
    texts(response);
    let Ok(review) = serde_json::from_slice::<Value>(body) else {
        // numbers that are no f64
        return assert!(is_json(), "no JSON, and {reason}");
    };
    let pod = &review["request"]["object"];
    of_shape(pod, reason, &response["status"]["message"]);
    if let Some(patch) = patch {
        again(review, &patch, view);
    }
}

/// Every text of an answer is short, and has no control characters.
fn texts(response: &Value) {
    let warnings = response["warnings"].as_array().into_iter().flatten();
    for text in warnings.chain([&response["status"]["message"]]) {
        let text = text.as_str().unwrap_or_default();
        assert!(
            text.len() <= MESSAGE && !text.contains(char::is_control),
            "{text:?}"
        );
    }
}

/// The second model agrees on the shape.
fn of_shape(pod: &Value, reason: Reason, message: &Value) {
    let decided = !matches!(
        reason,
        Reason::NotPodCreate | Reason::MirrorPod | Reason::OptedOut | Reason::NoClass
    );
    let too_large = matches!(
        reason,
        Reason::TooManyContainers
            | Reason::TooManyTerms
            | Reason::TooManyTolerations
            | Reason::PodTooLarge
    );
    let message = message.as_str().unwrap_or_default();
    let of_amount = message.contains(".resources.") && message.contains("not a quantity");
    if decided && !too_large && !of_amount {
        let is_pod = shape::is_pod(pod);
        assert_eq!(reason != Reason::PodShape, is_pod, "{reason}: {message}");
    }
}

/// The patch applies, and the Pod with it needs no other.
fn again(mut review: Value, patch: &json_patch::Patch, view: &View) {
    json_patch::patch(&mut review["request"]["object"], patch).expect("the patch applies");
    let body = serde_json::to_vec(&review).expect("JSON");
    let second = self::second(&body, view);
    assert_eq!(second, Reason::InPlace, "{review}");
}

fn second(body: &[u8], view: &View) -> Reason {
    let answer = review(body, view).expect("a review again");
    answer.decision.reason
}

/// The patch of a response.
#[must_use]
pub fn patch_of(response: &Value) -> Option<json_patch::Patch> {
    let patch = response["patch"].as_str()?;
    let patch = STANDARD.decode(patch).expect("base64");
    Some(serde_json::from_slice(&patch).expect("a JSON Patch"))
}
