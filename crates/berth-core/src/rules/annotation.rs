//! The annotation that records the choice (rule 25), for people and for `explain`; it is never trusted.

use crate::{json::Text, names::POOL_ANNOTATION, placement::Annotation, pod::Pod, table::Group};

/// All annotations together, keys and values, in bytes: what the API server takes.
const MAX_BYTES: usize = 256 * 1024;

/// Whether the group's pools are recorded: where that is missing, and there is room.
pub(super) fn decide(pod: &Pod<'_>, group: &Group) -> Annotation {
    let metadata = pod.metadata.as_ref();
    let Some(annotations) = metadata.and_then(|metadata| metadata.annotations.as_ref()) else {
        return Annotation::Added;
    };
    let there = annotations.get(POOL_ANNOTATION);
    if there.is_some_and(|there| **there == *group.name.text) {
        return Annotation::InPlace;
    }
    let others = annotations
        .iter()
        .filter(|(key, _)| *key != POOL_ANNOTATION);
    let bytes: usize = others
        .map(|(key, value): (&str, &Text<'_>)| key.len() + value.len())
        .sum();
    if bytes + POOL_ANNOTATION.len() + group.name.text.len() > MAX_BYTES {
        Annotation::NoRoom
    } else {
        Annotation::Added
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{admit, one_pool, pod};

    fn annotated(annotations: Value) -> Value {
        let mut pod = pod(json!({}));
        pod["metadata"]["annotations"] = annotations;
        pod
    }

    #[test]
    fn the_choice_is_recorded_and_what_was_there_is_not_trusted() {
        for (before, after) in [
            (Value::Null, json!({"berth.dev/pool": "p"})),
            (json!({}), json!({"berth.dev/pool": "p"})),
            (json!({"a": "b"}), json!({"a": "b", "berth.dev/pool": "p"})),
            (
                json!({"berth.dev/pool": "elsewhere"}),
                json!({"berth.dev/pool": "p"}),
            ),
        ] {
            let admitted = admit(&one_pool(), &annotated(before)).expect("admitted");
            assert_eq!(admitted.pod["metadata"]["annotations"], after);
            assert_eq!(admitted.pool.as_deref(), Some("p"));
        }
    }

    #[test]
    fn annotations_that_are_full_are_left_and_the_author_is_warned() {
        let ours = "berth.dev/pool".len() + "p".len();
        let room = |bytes: usize| annotated(json!({"a": "x".repeat(bytes - 1)}));
        let fits = admit(&one_pool(), &room(super::MAX_BYTES - ours)).expect("admitted");
        assert_eq!(fits.warnings, Vec::<String>::new());
        let full = admit(&one_pool(), &room(super::MAX_BYTES - ours + 1)).expect("admitted");
        assert_eq!(
            full.pod["metadata"]["annotations"].get("berth.dev/pool"),
            None
        );
        assert_eq!(full.warnings.len(), 1);
    }
}
