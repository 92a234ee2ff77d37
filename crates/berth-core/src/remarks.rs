//! What is told as Events. The owner of a Pod is told of its review: warnings reach nobody where a controller makes the Pod
//! (fact 8); a denial is none of them, since the controller's own Event carries its message. A GPUPool or WorkloadClass is
//! told which of its conditions turned.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::{
    conditions,
    outcome::{Reason, Verdict},
    review::Answer,
    shown,
};

/// Bytes of a note, which is as many as the API server takes.
const NOTE: usize = 1024;
/// The reason of a remark on a Pod that got the first pool that fits.
pub const PLACED: &str = "Placed";
/// The reason of a remark on a Pod that got a later one, since the earlier ones had no room.
pub const PLACED_ELSEWHERE: &str = "PlacedElsewhere";

/// One thing to be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remark {
    /// The Event's reason: the word of a warning, [`PLACED`], [`PLACED_ELSEWHERE`], or a condition's reason.
    pub reason: Cow<'static, str>,
    /// Whether somebody should do something about it.
    pub is_warning: bool,
    /// The Event's note.
    pub note: String,
}

/// The remarks on an answer, by the table's revision: warnings first. There are none on a dry run, on a denial, and on a Pod
/// without a controller, whose creator sees the answer.
#[must_use]
pub fn remarks(answer: &Answer<'_>, revision: &str) -> Vec<Remark> {
    let Answer {
        subject, decision, ..
    } = answer;
    let is_allowed = matches!(
        decision.reason.verdict(),
        Verdict::Allowed | Verdict::Mutated
    );
    if subject.dry_run || subject.owner.is_none() || !is_allowed {
        return Vec::new();
    }
    let warnings = answer.warnings.iter().map(|warning| Remark {
        reason: warning.as_str().into(),
        is_warning: true,
        note: note(&warning.to_string()),
    });
    let mut remarks: Vec<Remark> = warnings.collect();
    if decision.reason == Reason::Placed {
        remarks.extend(placed(answer, revision));
    }
    remarks
}

fn placed(answer: &Answer<'_>, revision: &str) -> Option<Remark> {
    let decision = &answer.decision;
    let (class, pool) = (decision.class?, decision.pool()?);
    let container = decision.container();
    let container = container.map_or_else(String::new, |name| format!(", container {name}"));
    let choice = decision.placement.as_ref()?.choice;
    let (reason, why) = if choice.is_some_and(|choice| choice.plan > 0) {
        (
            PLACED_ELSEWHERE,
            ", since the pools before it have no GPU free",
        )
    } else {
        (PLACED, "")
    };
    let text = format!("class {class}: pool {pool}{container}{why} (table {revision})");
    Some(Remark {
        reason: reason.into(),
        is_warning: false,
        note: note(&text),
    })
}

/// The conditions that turned between two statuses of a GPUPool or WorkloadClass: into something that somebody should know,
/// or into the table.
#[must_use]
pub fn turned(before: &[Condition], now: &[Condition]) -> Vec<Remark> {
    let is_new = |it: &&Condition| {
        let same = |old: &Condition| {
            (&old.type_, &old.status, &old.reason) == (&it.type_, &it.status, &it.reason)
        };
        !before.iter().any(same)
    };
    let remark = |it: &Condition| {
        let is_warning = conditions::is_bad(&it.type_, &it.status);
        let is_told = is_warning || it.type_ == conditions::ACCEPTED && it.status == "True";
        is_told.then(|| Remark {
            reason: it.reason.clone().into(),
            is_warning,
            note: note(&it.message),
        })
    };
    now.iter().filter(is_new).filter_map(remark).collect()
}

fn note(text: &str) -> String {
    shown::within(NOTE, text).into_owned()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
    use serde_json::{Value, json};

    use super::*;
    use crate::{review::review, testing, view::View};

    /// A class of two pools of two vendors.
    fn view() -> View {
        testing::view(&[
            testing::pool("a", json!({})),
            testing::pool("b", json!({"resourceName": "nvidia.com/gpu"})),
            testing::class("c", &["a", "b"], json!({})),
        ])
    }

    fn of(view: &View, change: impl FnOnce(&mut Value)) -> Vec<(Cow<'static, str>, bool)> {
        all(view, change)
            .into_iter()
            .map(|it| (it.reason, it.is_warning))
            .collect()
    }

    fn all(view: &View, change: impl FnOnce(&mut Value)) -> Vec<Remark> {
        let owner = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "whisper-6d", "uid": "u-1", "controller": true,
        });
        let mut body = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "r-1", "operation": "CREATE", "namespace": "ai", "dryRun": false,
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "object": {
                    "apiVersion": "v1", "kind": "Pod",
                    "metadata": {"labels": {"berth.dev/workload-class": "c"}, "ownerReferences": [owner]},
                    "spec": {"containers": [{"name": "x", "image": "x"}]},
                },
            },
        });
        change(&mut body["request"]);
        let body = body.to_string();
        let answer = review(body.as_bytes(), view).expect("a review");
        remarks(&answer, "r1")
    }

    #[test]
    fn who_owns_a_pod_is_told_where_it_goes_and_each_warning() {
        let view = &view();
        let placed = Remark {
            reason: PLACED.into(),
            is_warning: false,
            note: "class c: pool a, container x (table r1)".to_owned(),
        };
        assert_eq!(all(view, |_| {}), [placed]);
        let full = testing::with_free(view.clone(), &[("a", 0), ("b", 1)]);
        let elsewhere = Remark {
            reason: PLACED_ELSEWHERE.into(),
            is_warning: false,
            note: "class c: pool b, container x, since the pools before it have no GPU free (table r1)".to_owned(),
        };
        assert_eq!(all(&full, |_| {}), [elsewhere]);

        let unknown = |request: &mut Value| {
            request["object"]["metadata"]["labels"]["berth.dev/polo"] = json!("x");
        };
        let expected = [("UnknownKey".into(), true), (PLACED.into(), false)];
        assert_eq!(of(view, unknown), expected);

        // whoever makes a Pod directly sees the answer, a dry run leaves nothing behind, and a denial is told by the controller
        let none: [fn(&mut Value); 3] = [
            |it| it["object"]["metadata"]["ownerReferences"] = json!([]),
            |it| it["dryRun"] = json!(true),
            |it| it["object"]["metadata"]["labels"]["berth.dev/workload-class"] = json!("none"),
        ];
        for change in none {
            assert_eq!(of(view, change), []);
        }
    }

    #[test]
    fn a_condition_is_told_when_it_turns_bad_and_when_an_object_comes_into_the_table() {
        let condition = |type_: &str, status: &str, reason: &str| Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: format!("{reason} says why"),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            observed_generation: None,
        };
        let good = [
            condition("Accepted", "True", "Accepted"),
            condition("Ready", "True", "Ready"),
            condition("TaintsAsDeclared", "True", "AsDeclared"),
            condition("MemoryOvercommitted", "False", "WithinBudget"),
        ];
        let bad = [
            condition("Accepted", "False", "Invalid"),
            condition("Ready", "False", "Cordoned"),
            condition("TaintsAsDeclared", "False", "Missing"),
            condition("MemoryOvercommitted", "True", "Overcommitted"),
        ];
        let not_known = [condition("Ready", "Unknown", "NotSynced")];
        let told = |before: &[Condition], now: &[Condition]| {
            let remarks = turned(before, now);
            let all = remarks.into_iter().map(|it| (it.reason, it.is_warning));
            all.collect::<Vec<_>>()
        };
        let accepted = [("Accepted".into(), false)];
        assert_eq!(told(&[], &good), accepted);
        assert_eq!(told(&bad, &good), accepted);
        let warnings =
            ["Invalid", "Cordoned", "Missing", "Overcommitted"].map(|it| (it.into(), true));
        assert_eq!(told(&good, &bad), warnings);
        assert_eq!(told(&[], &bad), warnings);
        for unchanged in [&good[..], &bad] {
            assert_eq!(told(unchanged, unchanged), []);
        }
        assert_eq!(told(&good, &not_known), []);
        // another reason is news, and other words for the same are none
        let mut other = bad.clone();
        other[1].reason = "NodesNotReady".to_owned();
        other[0].message = "somebody says it otherwise".to_owned();
        assert_eq!(told(&bad, &other), [("NodesNotReady".into(), true)]);
        assert_eq!(turned(&bad, &other)[0].note, "Cordoned says why");
    }

    #[test]
    fn a_note_is_cut_between_characters() {
        let note = note(&"é".repeat(NOTE));
        assert!(note.len() <= NOTE, "{}", note.len());
        assert!(note.starts_with("éé"));
    }
}
