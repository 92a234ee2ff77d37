//! What the owner of a Pod is told of its review, as Events: warnings reach nobody where a controller makes the Pod
//! (fact 8). A denial is none of them: the controller's own Event carries its message.

use crate::{
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
    /// The Event's reason: the word of a warning, [`PLACED`] or [`PLACED_ELSEWHERE`].
    pub reason: &'static str,
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
    let warnings = decision.warnings().into_iter().map(|warning| Remark {
        reason: warning.as_str(),
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
        reason,
        is_warning: false,
        note: note(&text),
    })
}

fn note(text: &str) -> String {
    shown::within(NOTE, text).into_owned()
}

#[cfg(test)]
mod tests {
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

    fn of(view: &View, change: impl FnOnce(&mut Value)) -> Vec<(&'static str, bool)> {
        all(view, change)
            .iter()
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
            reason: PLACED,
            is_warning: false,
            note: "class c: pool a, container x (table r1)".to_owned(),
        };
        assert_eq!(all(view, |_| {}), [placed]);
        let full = testing::with_free(view.clone(), &[("a", 0), ("b", 1)]);
        let elsewhere = Remark {
            reason: PLACED_ELSEWHERE,
            is_warning: false,
            note: "class c: pool b, container x, since the pools before it have no GPU free (table r1)".to_owned(),
        };
        assert_eq!(all(&full, |_| {}), [elsewhere]);

        let unknown = |request: &mut Value| {
            request["object"]["metadata"]["labels"]["berth.dev/polo"] = json!("x");
        };
        assert_eq!(of(view, unknown), [("UnknownKey", true), (PLACED, false)]);

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
    fn a_note_is_cut_between_characters() {
        let note = note(&"é".repeat(NOTE));
        assert!(note.len() <= NOTE, "{}", note.len());
        assert!(note.starts_with("éé"));
    }
}
