//! The annotation that records the choice (rule 25), for people and for `explain`; it is never trusted.

use crate::core::{json::Text, outcome::Warning, pod::Pod, table::Group};

use super::Plan;

/// The annotation's key.
const POOL: &str = "berth.dev/pool";
/// All annotations together, keys and values, in bytes: what the API server takes.
const MAX_BYTES: usize = 256 * 1024;

/// Records the group's pools, where there is room.
pub(super) fn apply(pod: &Pod<'_>, group: &Group, plan: &mut Plan<'_>) {
    let annotations = pod
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.annotations.as_ref());
    let Some(annotations) = annotations else {
        let value = format_args!(r#"{{"{POOL}":{}}}"#, group.name.json).to_string();
        return plan.patch.add("/metadata/annotations", value);
    };
    if annotations
        .get(POOL)
        .is_some_and(|there| **there == *group.name.text)
    {
        return;
    }
    let others = annotations.iter().filter(|(key, _)| *key != POOL);
    let bytes: usize = others
        .map(|(key, value): (&str, &Text<'_>)| key.len() + value.len())
        .sum();
    if bytes + POOL.len() + group.name.text.len() > MAX_BYTES {
        return plan.warnings.push(Warning::AnnotationsFull);
    }
    plan.patch
        .add("/metadata/annotations/berth.dev~1pool", &group.name.json);
}
