//! What a case expects of a Pod, and what is found instead.

use serde_json::{Map, Value, json};

use crate::dry_run::DryRun;
use berth_core::outcome::{Verdict, Warning};

/// What may be expected, in the order in which it is written.
pub const FIELDS: &[&str] = &[
    "denied",
    "unchanged",
    "pool",
    "container",
    "warnings",
    "patched",
];

/// A Pod, and what is expected of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The Pod.
    pub pod: Value,
    /// The namespace that it is created in.
    pub namespace: String,
    /// What is expected, by field; nothing yet where it is empty.
    pub expected: Map<String, Value>,
}

impl Case {
    /// What came of a dry run, in the fields that the author chose; a denial, or that there is none, is always told.
    ///
    /// The case holds where it equals what is expected.
    #[must_use]
    pub fn found(&self, run: &DryRun) -> Map<String, Value> {
        if run.reason.verdict() == Verdict::Denied {
            return Map::from_iter([field("denied", run.reason.as_str())]);
        }
        let fields = self.expected.keys();
        let found: Map<String, Value> = fields
            .filter_map(|name| Some((name.clone(), value(name, run)?)))
            .collect();
        if found.is_empty() {
            summary(run)
        } else {
            found
        }
    }
}

/// What is written for a case that expects nothing yet.
fn summary(run: &DryRun) -> Map<String, Value> {
    let told = FIELDS
        .iter()
        .filter(|name| **name != "patched")
        .filter_map(|name| Some(field(name, value(name, run)?)));
    told.filter(|(_, value)| !value.is_null() && *value != json!([]))
        .collect()
}

/// The value of a field; none where it does not apply.
fn value(name: &str, run: &DryRun) -> Option<Value> {
    Some(match name {
        "unchanged" if run.patch.is_empty() => run.reason.as_str().into(),
        "pool" => json!(run.pool),
        "container" => json!(run.container),
        "warnings" => run.warnings.iter().map(Warning::as_str).collect(),
        "patched" => run.pod.clone(),
        _ => return None,
    })
}

fn field(name: &str, value: impl Into<Value>) -> (String, Value) {
    (name.to_owned(), value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dry_run::dry_run;
    use berth_core::testing::{NAMESPACE, one_pool, pod};

    /// What is found of a Pod with a spec, where this was expected.
    fn found(spec: Value, expected: Value) -> Value {
        let case = Case {
            pod: pod(spec),
            namespace: NAMESPACE.to_owned(),
            expected: expected.as_object().unwrap().clone(),
        };
        let run = dry_run(&case.pod, &case.namespace, &one_pool()).unwrap();
        case.found(&run).into()
    }

    #[test]
    fn what_is_found_has_the_fields_that_were_expected() {
        let placed = json!({"pool": "p", "container": "main"});
        let denied = json!({"denied": "NodeNameSet"});
        let on_node = json!({"nodeName": "n"});
        for (spec, expected, found_instead) in [
            (json!({}), json!({"pool": "q"}), json!({"pool": "p"})),
            (
                json!({}),
                json!({"pool": "p", "unchanged": "InPlace"}),
                json!({"pool": "p"}),
            ),
            (
                json!({}),
                json!({"warnings": ["X"]}),
                json!({"warnings": []}),
            ),
            // the outcome is another one: what was expected says nothing of it
            (json!({}), json!({}), placed.clone()),
            (json!({}), denied.clone(), placed.clone()),
            (json!({}), json!({"unchanged": "NoClass"}), placed),
            (on_node.clone(), json!({"pool": "p"}), denied.clone()),
            (on_node, json!({"denied": "PodShape"}), denied),
        ] {
            assert_eq!(found(spec, expected.clone()), found_instead, "{expected}");
        }
    }

    #[test]
    fn a_gpu_that_is_opted_out_of_is_null() {
        let spec = json!({"containers": [{"name": "main", "resources": {"limits": {"amd.com/gpu": "0"}}}]});
        let expected = json!({"pool": "p", "container": null});
        assert_eq!(found(spec, expected.clone()), expected);
    }

    #[test]
    fn the_whole_pod_may_be_expected() {
        let found = found(json!({}), json!({"patched": {}}));
        let limits = &found["patched"]["spec"]["containers"][0]["resources"]["limits"];
        assert_eq!(*limits, json!({"amd.com/gpu": "1"}));
    }
}
