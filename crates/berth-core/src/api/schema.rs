//! The parts of the manifests' schemas that their types do not say: patterns and bounds.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use schemars::Schema;
use serde_json::{Value, json};

use super::bounds::{MAX_KEY, MAX_LABEL, MAX_QUANTITY, MAX_REQUIREMENTS, MAX_VALUES, MIN_GPUS};

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

/// The API server knows no unsigned format, and warns of one: a signed format with a minimum says the same.
pub(super) fn without_unsigned_formats(schema: &mut JSONSchemaProps) {
    if matches!(schema.format.as_deref(), Some("uint32" | "uint64")) {
        let narrow = schema.maximum.is_some_and(|it| it <= f64::from(i32::MAX));
        schema.format = Some(if narrow { "int32" } else { "int64" }.to_owned());
        schema.minimum.get_or_insert(0.0);
    }
    let fields = schema.properties.iter_mut().flat_map(|it| it.values_mut());
    fields.for_each(without_unsigned_formats);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        without_unsigned_formats(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        without_unsigned_formats(values);
    }
}

/// What a Pod gets of a class that says nothing: in the stored object, because a printer column shows only what is there.
pub(super) fn with_default_gpus(class: &mut JSONSchemaProps) {
    let field = |schema: &mut JSONSchemaProps, name: &str, default: Value| {
        let field = schema.properties.as_mut()?.get_mut(name)?;
        field.default = Some(JSON(default));
        Some(())
    };
    let spec = class.properties.as_mut().and_then(|it| it.get_mut("spec"));
    let Some(spec) = spec else { return };
    field(spec, "gpus", json!({}));
    let gpus = spec.properties.as_mut().and_then(|it| it.get_mut("gpus"));
    gpus.map(|gpus| field(gpus, "default", json!(MIN_GPUS)));
}

/// A standard `LabelSelector`, with the bounds that its own type lacks.
pub(super) fn label_selector(_: &mut schemars::SchemaGenerator) -> Schema {
    let key =
        json!({"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": QUALIFIED_NAME});
    let value = json!({"type": "string", "maxLength": MAX_LABEL, "pattern": LABEL_VALUE});
    let schema = json!({
        "type": "object",
        "nullable": true,
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "description": "Labels that must all be there, each with its value.",
                "type": "object", "maxProperties": MAX_REQUIREMENTS, "additionalProperties": value,
            },
            "matchExpressions": {
                "description": "Requirements that must all hold, in addition to matchLabels.",
                "type": "array", "maxItems": MAX_REQUIREMENTS, "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "x-kubernetes-validations": [{
                        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                        "message": "In and NotIn need values, and Exists and DoesNotExist have none",
                    }],
                    "properties": {
                        "key": merge(key, "The label's key."),
                        "operator": {
                            "description": "How the label is compared: In and NotIn with the values; Exists and DoesNotExist ask only whether it is there.",
                            "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                        },
                        "values": {
                            "description": "The values to compare with; at least one for In and NotIn, none for the others.",
                            "type": "array", "maxItems": MAX_VALUES, "items": value, "x-kubernetes-list-type": "atomic",
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
