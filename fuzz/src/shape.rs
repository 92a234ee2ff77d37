//! A second model of a Pod's shape: where a rule reads, what must be there.

use serde_json::Value;

/// What a value must be; null counts as absent where a field may be absent.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Text,
    Flag,
    Anything,
    AnyList,
    Amount,
    List(&'static Shape),
    Map(&'static Shape),
    Fields(&'static [(&'static str, Shape)]),
}

use Shape::{Amount, AnyList, Anything, Fields, Flag, List, Map, Text};

const EXPRESSION: Shape = Fields(&[("key", Text), ("operator", Text), ("values", List(&Text))]);
const TERM: Shape = Fields(&[
    ("matchExpressions", List(&EXPRESSION)),
    ("matchFields", AnyList),
]);
const PREFERRED: Shape = Fields(&[("preference", TERM)]);
const NODE_AFFINITY: Shape = Fields(&[
    (
        "requiredDuringSchedulingIgnoredDuringExecution",
        Fields(&[("nodeSelectorTerms", List(&TERM))]),
    ),
    (
        "preferredDuringSchedulingIgnoredDuringExecution",
        List(&PREFERRED),
    ),
]);
const TOLERATION: Shape = Fields(&[
    ("key", Text),
    ("operator", Text),
    ("value", Text),
    ("effect", Text),
    ("tolerationSeconds", Anything),
]);
const RESOURCES: Shape = Fields(&[
    ("limits", Map(&Amount)),
    ("requests", Map(&Amount)),
    ("claims", AnyList),
]);
const CONTAINER: Shape = Fields(&[
    ("name", Text),
    ("resources", RESOURCES),
    ("env", List(&Fields(&[("name", Text), ("value", Anything)]))),
    ("envFrom", AnyList),
    ("restartPolicy", Text),
]);
const OWNER: Shape = Fields(&[
    ("apiVersion", Text),
    ("kind", Text),
    ("name", Text),
    ("uid", Text),
    ("controller", Flag),
]);
const POD: Shape = Fields(&[
    (
        "metadata",
        Fields(&[
            ("name", Text),
            ("generateName", Text),
            ("labels", Map(&Text)),
            ("annotations", Map(&Text)),
            ("ownerReferences", List(&OWNER)),
        ]),
    ),
    (
        "spec",
        Fields(&[
            ("nodeName", Text),
            ("nodeSelector", Map(&Text)),
            ("affinity", Fields(&[("nodeAffinity", NODE_AFFINITY)])),
            ("tolerations", List(&TOLERATION)),
            ("containers", List(&CONTAINER)),
            ("initContainers", List(&CONTAINER)),
            ("runtimeClassName", Text),
            ("schedulerName", Text),
            ("os", Fields(&[("name", Text)])),
        ]),
    ),
]);

/// Whether a Pod has the shape that berth reads.
#[must_use]
pub fn is_pod(pod: &Value) -> bool {
    has(POD, pod)
}

fn has(shape: Shape, value: &Value) -> bool {
    match (shape, value) {
        (Anything, _)
        | (Text, Value::String(_))
        | (Flag, Value::Bool(_))
        | (AnyList, Value::Array(_))
        | (Amount, Value::String(_) | Value::Number(_) | Value::Null) => true,
        (List(of), Value::Array(list)) => list.iter().all(|value| has(*of, value)),
        (Map(of), Value::Object(map)) => map.values().all(|value| has(*of, value)),
        (Fields(fields), Value::Object(map)) => fields.iter().all(|(key, shape)| {
            let value = map.get(*key).unwrap_or(&Value::Null);
            value.is_null() || has(*shape, value)
        }),
        _ => false,
    }
}
