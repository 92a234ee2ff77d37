//! Law 4: what the author wrote is found unchanged, and nothing appears but what the rules add.

use serde_json::{Map, Value};

/// The names that the alias rewrite may change: aliases, and the resource that they become.
#[derive(Debug)]
pub(crate) struct Renaming {
    pub(crate) aliases: Vec<String>,
    pub(crate) resource: String,
}

/// Keys from the Pod down; `[]` for an element.
type Path<'a> = Vec<&'a str>;

/// Arrays that grow at their end.
const APPENDED: &[&str] = &[
    "tolerations",
    "env",
    "matchExpressions",
    "preferredDuringSchedulingIgnoredDuringExecution",
];

/// Says where the result does not keep the original, or has more than the rules add.
pub(crate) fn keeps(original: &Value, result: &Value, renaming: &Renaming) -> Result<(), String> {
    kept(original, result, &mut Vec::new(), renaming)
}

fn kept<'a>(
    original: &'a Value,
    result: &'a Value,
    path: &mut Path<'a>,
    renaming: &Renaming,
) -> Result<(), String> {
    match (original, result) {
        (Value::Object(original), Value::Object(result)) => {
            object(original, result, path, renaming)
        }
        (Value::Array(original), Value::Array(result)) => array(original, result, path, renaming),
        (Value::Null, _) if may_be_created(path) => Ok(()),
        _ if original == result => Ok(()),
        (Value::String(scheduler), Value::String(_))
            if path[..] == ["spec", "schedulerName"] && scheduler == "default-scheduler" =>
        {
            Ok(())
        }
        _ if path[..] == ["metadata", "annotations", "berth.dev/pool"] => Ok(()),
        _ => Err(format!("{path:?} was {original} and is {result}")),
    }
}

fn object<'a>(
    original: &'a Map<String, Value>,
    result: &'a Map<String, Value>,
    path: &mut Path<'a>,
    renaming: &Renaming,
) -> Result<(), String> {
    for (key, value) in original {
        let mut now = result.get(key);
        if now.is_none() && is_amounts(path) && renaming.aliases.contains(key) {
            now = result.get(&renaming.resource);
        }
        let now = now.ok_or_else(|| format!("{path:?} has lost {key}"))?;
        path.push(key);
        kept(value, now, path, renaming)?;
        path.pop();
    }
    for key in result.keys().filter(|key| !original.contains_key(*key)) {
        path.push(key);
        let renamed = is_amounts(&path[..path.len() - 1])
            && *key == renaming.resource
            && renaming
                .aliases
                .iter()
                .any(|alias| original.contains_key(alias) && !result.contains_key(alias));
        let given = is_amounts(&path[..path.len() - 1])
            && path[path.len() - 2] == "limits"
            && *key == renaming.resource;
        if !(renamed || given || may_be_created(path)) {
            return Err(format!("{path:?} has appeared"));
        }
        path.pop();
    }
    Ok(())
}

fn array<'a>(
    original: &'a [Value],
    result: &'a [Value],
    path: &mut Path<'a>,
    renaming: &Renaming,
) -> Result<(), String> {
    if path.last() == Some(&"nodeSelectorTerms") {
        return terms(original, result, path, renaming);
    }
    let grows = original.len() < result.len();
    let appended = path.last().is_some_and(|last| APPENDED.contains(last));
    if original.len() > result.len() || (grows && !appended) {
        return Err(format!(
            "{path:?} had {} entries and has {}",
            original.len(),
            result.len()
        ));
    }
    for (value, now) in original.iter().zip(result) {
        path.push("[]");
        // only these have something below them that is ours
        let is_container = matches!(path[..], ["spec", "containers" | "initContainers", "[]"]);
        if is_container {
            kept(value, now, path, renaming)?;
        } else if value != now {
            return Err(format!("{path:?} was {value} and is {now}"));
        }
        path.pop();
    }
    Ok(())
}

/// The terms as a subsequence: one may have become several in its place.
fn terms<'a>(
    original: &'a [Value],
    result: &'a [Value],
    path: &mut Path<'a>,
    renaming: &Renaming,
) -> Result<(), String> {
    let mut rest = result.iter();
    path.push("[]");
    for term in original {
        let depth = path.len();
        let found = rest.any(|now| {
            path.truncate(depth);
            kept(term, now, path, renaming).is_ok()
        });
        path.truncate(depth);
        if !found {
            return Err(format!("{path:?} has lost {term}"));
        }
    }
    path.pop();
    Ok(())
}

fn is_amounts(path: &[&str]) -> bool {
    matches!(
        path,
        [
            "spec",
            "containers" | "initContainers",
            "[]",
            "resources",
            "limits" | "requests"
        ]
    )
}

/// What a rule may create where there is nothing, or null.
#[allow(
    clippy::match_like_matches_macro,
    reason = "a list of paths, one a line"
)]
fn may_be_created(path: &[&str]) -> bool {
    const AFFINITY: &str = "nodeAffinity";
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    match path {
        ["metadata", "annotations"] | ["metadata", "annotations", "berth.dev/pool"] => true,
        [
            "spec",
            "affinity" | "tolerations" | "runtimeClassName" | "schedulerName",
        ] => true,
        ["spec", "affinity", AFFINITY] | ["spec", "affinity", AFFINITY, REQUIRED | PREFERRED] => {
            true
        }
        [
            "spec",
            "affinity",
            AFFINITY,
            REQUIRED,
            "nodeSelectorTerms",
            "[]",
            "matchExpressions",
        ] => true,
        [
            "spec",
            "containers" | "initContainers",
            "[]",
            "resources" | "env",
        ] => true,
        [
            "spec",
            "containers" | "initContainers",
            "[]",
            "resources",
            "limits",
        ] => true,
        _ => false,
    }
}
