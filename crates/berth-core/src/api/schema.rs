//! The parts of the manifests' schemas that their types do not say: patterns and bounds.

use schemars::Schema;
use serde_json::json;

use super::bounds::{MAX_KEY, MAX_LABEL, MAX_QUANTITY, MAX_REQUIREMENTS, MAX_VALUES};

/// What a label's value may be, and a taint's.
pub(super) const LABEL_VALUE: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";
/// What a label's key may be, and a taint's.
pub(super) const QUALIFIED_NAME: &str = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
/// A qualified name with its prefix.
pub(super) const RESOURCE: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
/// A DNS label.
pub(super) const DNS_LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// A DNS subdomain.
pub(super) const DNS_SUBDOMAIN: &str =
    "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// An environment variable's name.
pub(super) const ENV_NAME: &str = "^[ -<>-~]+$";
/// An amount of memory: a digit of it is not zero, and it counts in bytes.
pub(super) const MEMORY: &str = "^[+]?([0-9]*[1-9][0-9]*([.][0-9]+)?|[0-9]*[.][0-9]*[1-9][0-9]*)([KMGTPE]i|[kMGTPE]|[eE][0-9]{1,2})?$";

/// A standard `LabelSelector`, with the bounds that its own type lacks.
pub(super) fn label_selector(_: &mut schemars::SchemaGenerator) -> Schema {
    let key =
        json!({"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": QUALIFIED_NAME});
    let value = json!({"type": "string", "maxLength": MAX_LABEL, "pattern": LABEL_VALUE});
    let schema = json!({
        "type": "object",
        "nullable": true,
        "properties": {
            "matchLabels": {
                "description": "Labels that must be there with this value.",
                "type": "object", "maxProperties": MAX_REQUIREMENTS, "additionalProperties": value,
            },
            "matchExpressions": {
                "description": "Requirements that must all hold.",
                "type": "array", "maxItems": MAX_REQUIREMENTS,
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "x-kubernetes-validations": [{
                        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                        "message": "In and NotIn need values, and Exists and DoesNotExist have none",
                    }],
                    "properties": {
                        "key": merge(key, "The label."),
                        "operator": {
                            "description": "How the label is compared with the values.",
                            "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                        },
                        "values": {
                            "description": "Only for In and NotIn.",
                            "type": "array", "maxItems": MAX_VALUES, "items": value,
                        },
                    },
                },
            },
        },
    });
    schema.try_into().expect("an object is a schema")
}

/// A `Quantity`, with the bounds that its own type lacks.
pub(super) fn memory(_: &mut schemars::SchemaGenerator) -> Schema {
    let schema = json!({
        "x-kubernetes-int-or-string": true, "nullable": true, "minimum": 1, "maxLength": MAX_QUANTITY, "pattern": MEMORY,
    });
    schema.try_into().expect("an object is a schema")
}

fn merge(mut schema: serde_json::Value, description: &str) -> serde_json::Value {
    schema["description"] = json!(description);
    schema
}

/// Conditions, merged by their type, with the bounds that their own type lacks.
pub(super) fn conditions(_: &mut schemars::SchemaGenerator) -> Schema {
    let text = |max: u32, description: &str| json!({"type": "string", "maxLength": max, "description": description});
    let schema = json!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": text(316, "The condition."),
                "status": {
                    "description": "Whether it holds.",
                    "type": "string", "enum": ["True", "False", "Unknown"],
                },
                "observedGeneration": {
                    "description": "The generation of the spec that the condition is about.",
                    "type": "integer", "format": "int64", "minimum": 0,
                },
                "lastTransitionTime": {
                    "description": "When the status last changed.",
                    "type": "string", "format": "date-time",
                },
                "reason": text(1024, "Why, in a word."),
                "message": text(32768, "Why, in a sentence, and what to do."),
            },
        },
    });
    schema.try_into().expect("an object is a schema")
}
