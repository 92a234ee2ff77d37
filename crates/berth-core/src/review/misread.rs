//! Labels and annotations of berth's own that it does not know, and values without a meaning (rule 35): what their author
//! thinks that they do does not happen.

use crate::{
    json::{Map, Text},
    names::{CONTAINER_ANNOTATION, DISABLED, GROUP, INJECT_LABEL, POOL_ANNOTATION},
    outcome::Warning,
    shown,
    suggestion::suggestion,
};

/// So many unknown keys are named; of more, their number is told.
const NAMED: usize = 10;

/// What berth reads and writes.
const ANNOTATIONS: [&str; 2] = [CONTAINER_ANNOTATION, POOL_ANNOTATION];

/// What the author should know of the labels and annotations.
pub(super) fn misread(
    class_label: &str,
    labels: Option<&Map<'_, Text<'_>>>,
    annotations: Option<&Map<'_, Text<'_>>>,
) -> Vec<Warning> {
    let inject = labels.and_then(|labels| labels.get(INJECT_LABEL));
    let mut warnings = Vec::from_iter(inject.and_then(|value| without_meaning(value)));
    let labels = ours(labels).filter(|key| *key != INJECT_LABEL && *key != class_label);
    let annotations = ours(annotations).filter(|key| !ANNOTATIONS.contains(key));
    let mut keys = labels
        .map(|key| ("label", key))
        .chain(annotations.map(|key| ("annotation", key)));
    let named = keys.by_ref().take(NAMED);
    warnings.extend(named.map(|(what, key)| unknown(what, key, class_label)));
    let count = keys.count();
    warnings.extend((count > 0).then_some(Warning::MoreUnknownKeys { count }));
    warnings
}

/// The keys that have berth's prefix.
fn ours<'m>(map: Option<&'m Map<'_, Text<'_>>>) -> impl Iterator<Item = &'m str> {
    let keys = map.into_iter().flat_map(Map::iter).map(|(key, _)| key);
    keys.filter(|key| {
        key.strip_prefix(GROUP)
            .is_some_and(|rest| rest.starts_with('/'))
    })
}

fn without_meaning(value: &str) -> Option<Warning> {
    (value != DISABLED).then(|| Warning::UnknownValue {
        key: INJECT_LABEL,
        value: shown::name(value).into_owned(),
        known: DISABLED,
    })
}

/// A key that berth does not know there: it may know it in the other place, or a similar one.
fn unknown(what: &str, key: &str, class_label: &str) -> Warning {
    let labels = [class_label, INJECT_LABEL];
    let known = labels.into_iter().chain(ANNOTATIONS);
    let lower_case = shown::name(key).to_ascii_lowercase();
    let near = suggestion(&lower_case, known).or_else(|| {
        // with another class label, the usual one is an old habit
        (suggestion(&lower_case, [crate::names::CLASS_LABEL]).is_some()).then_some(class_label)
    });
    let meant = near.map(|near| {
        let what = if labels.contains(&near) {
            "label"
        } else {
            "annotation"
        };
        format!("{what} {near}")
    });
    Warning::UnknownKey {
        key: format!("{what} {}", shown::name(key)),
        meant,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        outcome::Reason,
        testing::{admit, one_pool, pod},
    };

    fn warnings(labels: &Value, annotations: &Value) -> Vec<String> {
        let mut pod = pod(json!({}));
        for (key, value) in labels.as_object().unwrap() {
            pod["metadata"]["labels"][key] = value.clone();
        }
        pod["metadata"]["annotations"] = annotations.clone();
        admit(&one_pool(), &pod).expect("admitted").warnings
    }

    #[test]
    fn of_many_unknown_keys_the_first_are_named_and_the_others_counted() {
        let keys = |from: usize, to: usize| -> Value {
            let keys = (from..to).map(|i| (format!("berth.dev/key-{i:03}"), json!("x")));
            Value::Object(keys.collect())
        };
        let told = warnings(&keys(0, 300), &keys(300, 500));
        assert_eq!(told.len(), 11);
        let last =
            "berth: and 490 more unknown labels and annotations of berth.dev: they do nothing";
        assert_eq!(told.last().map(String::as_str), Some(last));
        assert_eq!(warnings(&keys(0, 10), &json!({})).len(), 10);
        assert_eq!(warnings(&keys(0, 5), &keys(5, 16)).len(), 11);
    }

    #[test]
    fn what_berth_does_not_know_of_its_own_is_said_with_what_was_meant() {
        let none = json!({});
        for (labels, says) in [
            (
                json!({"berth.dev/inject": "false"}),
                "berth: label berth.dev/inject: \"false\" does nothing; did you mean \"disabled\"?",
            ),
            (
                json!({"berth.dev/inject": "Disabled"}),
                "berth: label berth.dev/inject: \"Disabled\" does nothing; did you mean \"disabled\"?",
            ),
            (
                json!({"berth.dev/workloadclass": "c"}),
                "berth: unknown label berth.dev/workloadclass; did you mean the label berth.dev/workload-class?",
            ),
            (
                json!({"berth.dev/Inject": "disabled"}),
                "berth: unknown label berth.dev/Inject; did you mean the label berth.dev/inject?",
            ),
            (
                json!({"berth.dev/container": "main"}),
                "berth: unknown label berth.dev/container; did you mean the annotation berth.dev/container?",
            ),
            (
                json!({"berth.dev/gpus": "2"}),
                "berth: unknown label berth.dev/gpus: it does nothing",
            ),
        ] {
            assert_eq!(warnings(&labels, &none), [says]);
        }
        for (annotations, says) in [
            (
                json!({"berth.dev/contaner": "main"}),
                "berth: unknown annotation berth.dev/contaner; did you mean the annotation berth.dev/container?",
            ),
            (
                json!({"berth.dev/inject": "disabled"}),
                "berth: unknown annotation berth.dev/inject; did you mean the label berth.dev/inject?",
            ),
        ] {
            assert_eq!(warnings(&none, &annotations), [says]);
        }
        let known = json!({"berth.dev/container": "main", "berth.dev/pool": "stale", "berth.devices/x": ""});
        let others = json!({"berth.dev": "x", "berth.device/y": "z"});
        assert_eq!(warnings(&others, &known), Vec::<String>::new());
    }

    #[test]
    fn a_pod_that_is_denied_or_names_no_class_learns_of_it_too() {
        let mut misspelt = pod(json!({}));
        misspelt["metadata"]["labels"] = json!({"berth.dev/workload_class": "c"});
        let admitted = admit(&one_pool(), &misspelt).expect("admitted");
        assert_eq!(admitted.reason, Reason::NoClass);
        assert!(admitted.warnings[0].ends_with("did you mean the label berth.dev/workload-class?"));
        let mut denied = pod(json!({"containers": [{"name": "a"}, {"name": "b"}]}));
        denied["metadata"]["annotations"] = json!({"berth.dev/contaner": "a"});
        let body = crate::testing::review_of(&denied).to_string();
        let view = one_pool();
        let answer = crate::review::review(body.as_bytes(), &view).expect("readable");
        assert_eq!(answer.decision.reason, Reason::ContainerAmbiguous);
        let response: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let said = response["response"]["warnings"][0]
            .as_str()
            .unwrap_or_default();
        assert!(said.contains("berth.dev/container?"), "{response}");
    }
}
