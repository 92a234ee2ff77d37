//! Bytes that nobody meant: cut, doubled, overwritten or pasted into. No panic, and an answer that is well-formed.

use std::cell::Cell;

use berth_core::{outcome::Reason, review::review, shown};
use proptest::{
    collection::vec,
    prelude::{TestCaseError, any},
    prop_assert, prop_assert_eq,
};
use serde_json::Value;

use crate::{
    Held,
    case::{self, Case, apply, patch_of},
    cases,
    draw::Draw,
    hold_over,
    json_text::Style,
};

/// What is pasted after a `{`, `[` or `,`: mostly JSON still, with keys that are there already.
const PASTED: &[&str] = &[
    "\"x\":1,",
    "\"spec\":null,",
    "\"object\":{},",
    "\"metadata\":{},",
    "\"labels\":{},",
    "\"limits\":{\"amd.com/gpu\":1},",
    "\"name\":\"main\",",
    "\"key\":\"\\ud83d\\ude80\",",
    "\"uid\":\"\",",
    "null,",
    "{},",
    "\"\",",
    "1e2,",
    "\"values\":[1],",
    "\"\\u0073pec\":{},",
];

/// What is pasted anywhere.
const NOISE: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"]",
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"1e999",
    b" ",
    b"//",
    b"\xef\xbb\xbf",
];

#[test]
fn bytes_that_nobody_meant_get_an_error_or_a_well_formed_answer() {
    let (answered, refused) = (Cell::new(0_u32), Cell::new(0_u32));
    let strategy = (case::cases(), vec(any::<u16>(), 1..24));
    hold_over(cases(), strategy, |(case, choices)| {
        let bytes = spoilt(case.body(), &mut Draw::new(choices));
        if answers(case, &bytes)? {
            answered.set(answered.get() + 1);
        } else {
            refused.set(refused.get() + 1);
        }
        Ok(())
    });
    let least = cases() / 20;
    assert!(
        answered.get() > least && refused.get() > least,
        "{answered:?} {refused:?}"
    );
}

#[test]
fn nesting_of_any_depth_is_skipped_where_berth_does_not_read() {
    const DEPTH: usize = 30_000;
    let deep = "[{\"x\":".repeat(DEPTH) + "null" + &"}]".repeat(DEPTH);
    hold_over(100, case::cases(), |plain| {
        let mut case = plain.clone();
        case.request["xDeep"] = "deep".into();
        for place in [
            "/metadata",
            "/spec",
            "/spec/containers/0",
            "/spec/affinity",
            "/spec/tolerations/0",
        ] {
            if let Some(Value::Object(object)) = case.pod.pointer_mut(place) {
                object.insert("xDeep".to_owned(), "deep".into());
            }
        }
        let body = case.body_of(&case.pod, Style::new(0));
        let body = String::from_utf8_lossy(&body)
            .replace("\"xDeep\":\"deep\"", &format!("\"xDeep\":{deep}"));
        let view = case.view(0);
        let answer = review(body.as_bytes(), &view);
        prop_assert!(answer.is_ok_and(|answer| answer.body == plain.admit_plain().body));
        Ok(())
    });
}

/// Whether berth answers, and if so, well-formed.
fn answers(case: &Case, bytes: &[u8]) -> Result<bool, TestCaseError> {
    let view = case.view(0);
    let answer = match review(bytes, &view) {
        Err(error) => {
            prop_assert_eq!(error.reason(), Reason::BadReview);
            prop_assert!(!error.to_string().is_empty());
            return Ok(false);
        }
        Ok(answer) => answer,
    };
    let response: Value = serde_json::from_slice(&answer.body)
        .map_err(|error| TestCaseError::fail(format!("the response is no JSON: {error}")))?;
    is_well_formed(&response, &answer.subject.uid)?;
    // duplicates in what berth skips, or a number that a Value cannot hold
    let review = serde_json::from_slice::<Value>(bytes).ok();
    if let (Some(patch), Some(mut review)) = (patch_of(&response), review) {
        apply(&mut review["request"]["object"], &patch);
    }
    Ok(true)
}

fn is_well_formed(review: &Value, uid: &str) -> Held {
    prop_assert_eq!(&review["apiVersion"], "admission.k8s.io/v1");
    prop_assert_eq!(&review["kind"], "AdmissionReview");
    let response = &review["response"];
    // the response repeats it to the letter, and the log shows it as it shows every name
    let answered = response["uid"].as_str().unwrap_or_default();
    prop_assert!(!answered.is_empty());
    prop_assert_eq!(shown::name(answered), uid);
    let allowed = response["allowed"].as_bool();
    prop_assert!(allowed.is_some());
    prop_assert_eq!(
        response.get("patch").is_some(),
        response.get("patchType").is_some()
    );
    let status = &response["status"];
    prop_assert_eq!(allowed, Some(status.is_null()));
    prop_assert!(status.is_null() || status["message"].as_str().is_some_and(|it| !it.is_empty()));
    Ok(())
}

fn spoilt(mut bytes: Vec<u8>, draw: &mut Draw<'_>) -> Vec<u8> {
    for _ in 0..=draw.below(3) {
        if bytes.is_empty() {
            break;
        }
        let at = draw.wide() % bytes.len();
        let to = (at + draw.below(40)).min(bytes.len());
        match draw.below(8) {
            0..=3 => {
                let opens = |byte: &u8| matches!(byte, b'{' | b'[' | b',');
                let place = bytes[at..]
                    .iter()
                    .position(opens)
                    .map_or(at, |found| at + found + 1);
                insert(&mut bytes, place, draw.pick(PASTED).as_bytes());
            }
            4 => bytes[at] = draw.pick(&[b'"', b'{', b'}', b':', b'0', b'\\', 0x80]),
            5 => insert(&mut bytes, at, draw.pick(NOISE)),
            6 => {
                let again = bytes[at..to].to_vec();
                insert(&mut bytes, at, &again);
            }
            _ if draw.percent(50) => bytes.truncate(at),
            _ => drop(bytes.drain(at..to)),
        }
    }
    bytes
}

fn insert(bytes: &mut Vec<u8>, at: usize, more: &[u8]) {
    bytes.splice(at..at, more.iter().copied());
}
