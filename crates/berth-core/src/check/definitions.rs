//! The definitions of GPUPool and WorkloadClass: those of this berth.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use super::{Check, Seen};
use crate::api;

/// Installs them, over whoever installed them before.
const INSTALL: &str = "berth crds | kubectl apply --server-side --force-conflicts -f -";

/// Whether each definition is there, in force, and has the schema of this berth. What was found is by name.
#[must_use]
pub fn definitions(find: impl Fn(&str) -> Seen<Option<CustomResourceDefinition>>) -> Vec<Check> {
    let all = api::crds().into_iter();
    all.flat_map(|ours| {
        let name = ours.metadata.name.clone().unwrap_or_default();
        let found = find(&name);
        of_one(&name, &ours, &found)
    })
    .collect()
}

fn of_one(
    name: &str,
    ours: &CustomResourceDefinition,
    found: &Seen<Option<CustomResourceDefinition>>,
) -> Vec<Check> {
    let kind = &ours.spec.names.kind;
    let there = format!("the definition of {kind} is installed");
    let theirs = match found {
        Err(why) => return vec![Check::skipped(there, why)],
        Ok(None) => {
            let missing = format!("there is no CustomResourceDefinition {name}");
            return vec![Check::failed(there, missing).run(INSTALL)];
        }
        Ok(Some(theirs)) => theirs,
    };
    let there = match not_established(theirs) {
        Some(why) => Check::failed(there, why).run(format!("kubectl describe crd {name}")),
        None => Check::passed(there),
    };
    let same = format!("{kind} has the schema of this berth");
    let same = match difference(ours, theirs) {
        Some(field) => Check::failed(
            same,
            format!("it differs at {field}: the API server drops fields that it does not know, or stores what berth cannot read"),
        )
        .run(INSTALL),
        None => Check::passed(same),
    };
    vec![there, same]
}

/// Why the API server does not serve the objects.
fn not_established(definition: &CustomResourceDefinition) -> Option<String> {
    let conditions = definition
        .status
        .as_ref()
        .and_then(|it| it.conditions.as_ref());
    let condition = |type_: &str| {
        let mut all = conditions.into_iter().flatten();
        all.find(|it| it.type_ == type_)
    };
    if condition("Established").is_some_and(|it| it.status == "True") {
        return None;
    }
    let names = condition("NamesAccepted").filter(|it| it.status == "False");
    let message = names.and_then(|it| it.message.clone());
    Some(message.unwrap_or_else(|| "it is not established yet".to_owned()))
}

/// The first field in which a stored definition differs from ours. What the API server adds is not looked at.
fn difference(
    ours: &CustomResourceDefinition,
    theirs: &CustomResourceDefinition,
) -> Option<String> {
    for version in &ours.spec.versions {
        let name = &version.name;
        let Some(stored) = theirs.spec.versions.iter().find(|it| it.name == *name) else {
            return Some(format!("spec.versions: {name} is not among them"));
        };
        if !stored.served {
            return Some(format!("spec.versions[{name}].served"));
        }
        let text = |version| serde_json::to_value(version).unwrap_or_default();
        let (ours, theirs): (Value, Value) = (text(version), text(stored));
        for part in ["schema", "subresources"] {
            if let Some(place) = differs(&ours[part], &theirs[part]) {
                return Some(format!("{part}{place}"));
            }
        }
    }
    (ours.spec.scope != theirs.spec.scope).then(|| "spec.scope".to_owned())
}

/// Where two values differ first.
fn differs(ours: &Value, theirs: &Value) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let keys = ours.keys().chain(theirs.keys());
            let mut keys: Vec<&String> = keys.collect();
            keys.sort();
            keys.dedup();
            let at = |key: &String| {
                let (ours, theirs) = (ours.get(key), theirs.get(key));
                let null = Value::Null;
                let place = differs(ours.unwrap_or(&null), theirs.unwrap_or(&null))?;
                Some(match key.as_str() {
                    // the levels of a schema that say nothing
                    "openAPIV3Schema" | "properties" | "items" => place,
                    key => format!(".{key}{place}"),
                })
            };
            keys.into_iter().find_map(at)
        }
        _ if ours == theirs || same_number(ours, theirs) => None,
        _ => Some(String::new()),
    }
}

/// A number with and without a fraction that is zero.
fn same_number(ours: &Value, theirs: &Value) -> bool {
    ours.as_f64().is_some_and(|it| Some(it) == theirs.as_f64())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::{Hint, Outcome, Unseen};

    fn stored(name: &str) -> CustomResourceDefinition {
        let mut ours = api::crds().into_iter();
        let ours = ours.find(|it| it.metadata.name.as_deref() == Some(name));
        let mut stored = ours.expect("one of ours");
        let established = json!({"conditions": [{"type": "Established", "status": "True", "reason": "", "message": ""}]});
        stored.status = Some(serde_json::from_value(established).expect("a status"));
        stored
    }

    /// The checks where one definition was changed.
    fn checks(change: fn(&mut Value)) -> Vec<Check> {
        definitions(|name| {
            let mut value = json!(stored(name));
            if name.starts_with("gpupools") {
                change(&mut value);
            }
            Ok(serde_json::from_value(value).expect("a definition"))
        })
    }

    #[test]
    fn those_of_this_berth_pass() {
        let checks = checks(|_| ());
        assert_eq!(checks.len(), 4);
        let passed = |check: &Check| check.outcome == Outcome::Passed;
        assert!(checks.iter().all(passed), "{checks:?}");
    }

    #[test]
    fn one_that_differs_says_where() {
        for (change, place) in [
            (
                (|it| {
                    let fields =
                        "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
                    let fields = it.pointer_mut(fields).and_then(Value::as_object_mut);
                    fields.expect("fields").remove("autoscaling");
                }) as fn(&mut Value),
                "schema.spec.autoscaling:",
            ),
            (
                |it| it["spec"]["versions"][0]["name"] = json!("v1"),
                "v1alpha1 is not among them",
            ),
            (
                |it| it["spec"]["versions"][0]["served"] = json!(false),
                "served",
            ),
            (|it| it["spec"]["scope"] = json!("Namespaced"), "spec.scope"),
        ] {
            let checks = checks(change);
            let failed: Vec<_> = checks
                .iter()
                .filter(|it| it.outcome == Outcome::Failed)
                .collect();
            assert_eq!(failed.len(), 1, "{checks:?}");
            let found = failed[0].found.as_deref().expect("a difference");
            assert!(found.contains(place), "{found}");
            assert_eq!(failed[0].hint, Some(Hint::Run(INSTALL.to_owned())));
        }
    }

    #[test]
    fn one_that_is_missing_or_not_established_or_not_readable_is_told_from_the_others() {
        let missing = definitions(|_| Ok(None));
        assert!(missing.iter().all(|it| it.outcome == Outcome::Failed));
        let unseen = definitions(|_| Err(Unseen("forbidden".to_owned())));
        assert!(unseen.iter().all(|it| it.outcome == Outcome::Skipped));
        let without = checks(|it| it["status"] = json!(null));
        assert_eq!(without[0].outcome, Outcome::Failed);
        assert_eq!(without[1].outcome, Outcome::Passed);
    }
}
