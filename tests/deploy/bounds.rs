//! What the definitions do not accept, files do not have either, and the other way round: at and past every bound.

use std::{collections::BTreeMap, sync::Mutex};

use kube_cel::{CompiledSchema, compile_schema, validate_compiled};
use regex::Regex;
use serde_json::Value;

use crate::common::bounds::{cases, invalid, right, schema};

/// Whether a text matches a pattern, each of which is compiled once.
fn matches(pattern: &str, text: &str) -> bool {
    static PATTERNS: Mutex<BTreeMap<String, Regex>> = Mutex::new(BTreeMap::new());
    let mut patterns = PATTERNS.lock().expect("no panic");
    let new = || Regex::new(pattern).expect("a pattern");
    let compiled = patterns.entry(pattern.to_owned()).or_insert_with(new);
    compiled.is_match(text)
}

/// Why the schema of a definition does not accept a value: the API server's own validation, as far as the schemas use it.
fn structural(value: &Value, schema: &Value, field: &str) -> Option<String> {
    let no = |what: &str| Some(format!("{field}: {what}"));
    let size = |name: &str| {
        schema[name]
            .as_u64()
            .and_then(|it| usize::try_from(it).ok())
    };
    let outside = |count: usize, min: &str, max: &str| {
        size(min).is_some_and(|it| count < it) || size(max).is_some_and(|it| count > it)
    };
    let either = schema["x-kubernetes-int-or-string"] == true;
    let kind = schema["type"].as_str().unwrap_or_default();
    match value {
        Value::String(text) if either || kind == "string" => {
            if outside(text.chars().count(), "minLength", "maxLength") {
                return no("length");
            }
            if schema["pattern"]
                .as_str()
                .is_some_and(|it| !matches(it, text))
            {
                return no("pattern");
            }
            let words = schema["enum"].as_array();
            words
                .is_some_and(|it| !it.contains(value))
                .then(|| format!("{field}: enum"))
        }
        Value::Number(number) if either || kind == "integer" => {
            let number = number.as_f64().expect("a number");
            let below = schema["minimum"].as_f64().is_some_and(|it| number < it);
            let above = schema["maximum"].as_f64().is_some_and(|it| number > it);
            (below || above).then(|| format!("{field}: range"))
        }
        Value::Array(items) if kind == "array" => {
            if outside(items.len(), "minItems", "maxItems") {
                return no("items");
            }
            let mut items = items.iter();
            items.find_map(|it| structural(it, &schema["items"], field))
        }
        Value::Object(fields) if kind == "object" => {
            if outside(fields.len(), "minProperties", "maxProperties") {
                return no("properties");
            }
            fields.iter().find_map(|(name, value)| {
                let below = schema["properties"].get(name);
                let below = below.unwrap_or(&schema["additionalProperties"]);
                structural(value, below, &format!("{field}.{name}"))
            })
        }
        _ => no("type"),
    }
}

/// A definition, with the rules of its schema compiled once.
struct Definition {
    kind: &'static str,
    schema: Value,
    rules: CompiledSchema,
}

impl Definition {
    fn new(kind: &'static str) -> Self {
        let schema = schema(kind);
        let rules = compile_schema(&schema);
        Self {
            kind,
            schema,
            rules,
        }
    }

    /// Why it does not accept a manifest.
    fn denied(&self, object: &Value) -> Option<String> {
        let below = &self.schema["properties"]["spec"];
        structural(&object["spec"], below, "spec").or_else(|| {
            let errors = validate_compiled(&self.rules, object, None).err()?;
            Some(errors.to_string())
        })
    }
}

#[test]
fn files_and_definitions_have_the_same_bounds() {
    let definitions = ["GPUPool", "WorkloadClass"].map(Definition::new);
    let denied = |object: &Value| {
        let definition = definitions.iter().find(|it| object["kind"] == it.kind);
        definition.expect("one of the two").denied(object)
    };
    for object in right() {
        assert_eq!(denied(&object), None, "{object}");
        assert_eq!(invalid(&object), None, "{object}");
    }
    let cases = cases();
    let (mut accepted, mut wrong) = (0, Vec::new());
    for case in &cases {
        let (schema, files) = (denied(&case.object), invalid(&case.object));
        accepted += usize::from(schema.is_none());
        if schema.is_some() != files.is_some() {
            wrong.push(format!(
                "{} {} = {}: definition {schema:?}, files {files:?}",
                case.kind,
                case.field,
                case.value()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    assert!(
        accepted > 300 && cases.len() - accepted > 600,
        "{accepted} of {}",
        cases.len()
    );
}
