//! What is wrong with the shape of a manifest: held against the CRD's own schema, all at once, in the author's words.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray::Schema, JSONSchemaPropsOrBool,
};
use serde_json::Value;

use berth_core::{field, shown, suggestion::suggestion};

use crate::yaml::{Kind, Node};

/// Something that is wrong with a field.
#[derive(Debug)]
pub(super) struct Wrong {
    /// The field, as `spec.taints[0]`.
    pub(super) field: String,
    /// What is wrong.
    pub(super) message: String,
    /// What to write.
    pub(super) help: String,
}

/// Everything that is wrong with the values of a manifest, which stands in a text.
pub(super) fn check(root: &Node, text: &str, schema: &JSONSchemaProps) -> Vec<Wrong> {
    let wrong = Vec::new();
    let mut check = Check { text, wrong };
    check.value(root, schema, "");
    check.wrong
}

struct Check<'t> {
    text: &'t str,
    wrong: Vec<Wrong>,
}

impl Check<'_> {
    fn value(&mut self, node: &Node, schema: &JSONSchemaProps, field: &str) {
        if let Some((message, help)) = kind(node, self.text, schema) {
            let field = field.to_owned();
            return self.wrong.push(Wrong {
                field,
                message,
                help,
            });
        }
        match &node.kind {
            Kind::Scalar(_) => {}
            Kind::Sequence(nodes) => {
                if let Some(Schema(items)) = &schema.items {
                    for (i, node) in nodes.iter().enumerate() {
                        self.value(node, items, &format!("{field}[{i}]"));
                    }
                }
            }
            Kind::Mapping(_) => self.mapping(node, schema, field),
        }
    }

    fn mapping(&mut self, node: &Node, schema: &JSONSchemaProps, field: &str) {
        let below = |key: &str| field::below(field, key);
        let properties = schema.properties.iter().flatten();
        for (key, schema) in properties {
            if let Some(node) = node.get(key).filter(|node| !is_null(node)) {
                self.value(node, schema, &below(key));
            }
        }
        if let Some(JSONSchemaPropsOrBool::Schema(every)) = &schema.additional_properties {
            for entry in node.entries().iter().filter(|it| !is_null(&it.value)) {
                self.value(&entry.value, every, &field::entry(field, &entry.key));
            }
        }
        let is_missing = |key: &&String| node.get(key).is_none_or(is_null);
        for key in schema.required.iter().flatten().filter(is_missing) {
            let of_key = schema.properties.iter().flatten();
            let mut of_key = of_key.filter(|(name, _)| *name == key).map(|(_, it)| it);
            self.wrong.push(Wrong {
                field: below(key),
                message: format!("{key} is missing"),
                help: of_key
                    .next()
                    .map_or_else(|| "write it".to_owned(), to_write),
            });
        }
    }
}

/// What is wrong with a value, and what to write instead.
fn kind(node: &Node, text: &str, schema: &JSONSchemaProps) -> Option<(String, String)> {
    let wanted = schema.type_.as_deref().unwrap_or_default();
    let is_either = schema.x_kubernetes_int_or_string == Some(true);
    let fits = match (&node.kind, wanted) {
        (Kind::Scalar(Value::String(text)), "string") => return word(text, schema),
        (Kind::Scalar(Value::Number(number)), "integer") => {
            let is_whole = number.as_u64().is_some_and(|it| u32::try_from(it).is_ok());
            return (!is_whole).then(|| {
                let message = format!("{number} is not a whole number in its bounds");
                (message, within_bounds(schema))
            });
        }
        (_, "") if !is_either => true,
        // an amount: a fraction would be none to the API server
        (Kind::Scalar(Value::Number(number)), "") => number.as_u64().is_some_and(|it| it > 0),
        (Kind::Scalar(Value::String(_)), "")
        | (Kind::Scalar(Value::Bool(_)), "boolean")
        | (Kind::Scalar(Value::Number(_)), "number")
        | (Kind::Sequence(_), "array")
        | (Kind::Mapping(_), "object") => true,
        _ => false,
    };
    (!fits).then(|| {
        let expected = match wanted {
            "" => "an amount of memory",
            "string" => "a string",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "array" => "a list",
            _ => "a mapping",
        };
        let found = found(node);
        (
            format!("expected {expected}, found {found}"),
            instead(node, text, schema, wanted),
        )
    })
}

/// What the schema allows of a whole number.
fn within_bounds(schema: &JSONSchemaProps) -> String {
    let least = schema.minimum.unwrap_or_default();
    match schema.maximum {
        Some(most) => format!("write a whole number from {least} to {most}"),
        None => format!("write a whole number, {least} or more"),
    }
}

/// A string that is one of a few words.
fn word(text: &str, schema: &JSONSchemaProps) -> Option<(String, String)> {
    let words = words(schema);
    if words.is_empty() || words.contains(&text) {
        return None;
    }
    let help = suggestion(text, words.iter().copied())
        .or_else(|| {
            words
                .iter()
                .copied()
                .find(|it| it.eq_ignore_ascii_case(text))
        })
        .map_or_else(|| one_of(&words), |near| format!("did you mean {near}?"));
    Some((
        format!("unknown value {text}", text = shown::quoted(text)),
        help,
    ))
}

fn words(schema: &JSONSchemaProps) -> Vec<&str> {
    let words = schema.enum_.iter().flatten();
    words.filter_map(|word| word.0.as_str()).collect()
}

fn one_of(words: &[&str]) -> String {
    format!("write one of {}", words.join(", "))
}

/// How to write what is missing.
fn to_write(schema: &JSONSchemaProps) -> String {
    match words(schema) {
        words if !words.is_empty() => one_of(&words),
        _ => match schema.type_.as_deref() {
            Some("array") => "write a list".to_owned(),
            Some("object") => format!("write a mapping{}", with_keys(schema)),
            _ => "write it".to_owned(),
        },
    }
}

fn with_keys(schema: &JSONSchemaProps) -> String {
    let keys: Vec<&str> = schema
        .properties
        .iter()
        .flatten()
        .map(|(key, _)| &**key)
        .collect();
    if keys.is_empty() {
        String::new()
    } else {
        format!(" with the keys {}", keys.join(", "))
    }
}

/// How to write another kind of value.
fn instead(node: &Node, text: &str, schema: &JSONSchemaProps, wanted: &str) -> String {
    if let ("string", Some(quoted)) = (wanted, node.in_quotes(text)) {
        return quoted;
    }
    match (&node.kind, wanted) {
        (Kind::Scalar(Value::String(text)), "object") => {
            taint(text).unwrap_or_else(|| format!("write a mapping{}", with_keys(schema)))
        }
        (_, "object") => format!("write a mapping{}", with_keys(schema)),
        (Kind::Scalar(Value::String(text)), "integer") if text.parse::<u32>().is_ok() => {
            format!("write it without quotes: {text}")
        }
        (Kind::Scalar(Value::String(text)), "array") => format!("write a list: [{text}]"),
        (_, "") => "write it as 8Gi or 512Mi".to_owned(),
        (_, "array") => "write a list: a line with - for each item".to_owned(),
        (_, "integer") => "write a whole number".to_owned(),
        _ => "`berth crds` prints every field with its type".to_owned(),
    }
}

/// A taint as `kubectl taint` takes it, as a mapping.
fn taint(text: &str) -> Option<String> {
    let (label, effect) = text.rsplit_once(':')?;
    let is_word = |it: &str| !it.is_empty() && !it.contains(char::is_whitespace);
    if !is_word(label) || !effect.starts_with(|c: char| c.is_ascii_uppercase()) {
        return None;
    }
    let (key, value) = label.split_once('=').unwrap_or((label, ""));
    let value = if value.is_empty() {
        String::new()
    } else {
        format!(", value: {value}", value = shown::quoted(value))
    };
    Some(format!(
        "write it as {{key: {key}{value}, effect: {effect}}}"
    ))
}

/// A value in words.
fn found(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar(Value::Null) => "nothing".to_owned(),
        Kind::Scalar(Value::Bool(word)) => format!("the boolean {word}"),
        Kind::Scalar(Value::Number(number)) => format!("the number {number}"),
        Kind::Scalar(other) => format!("the string {other}"),
        Kind::Sequence(_) => "a list".to_owned(),
        Kind::Mapping(_) => "a mapping".to_owned(),
    }
}

fn is_null(node: &Node) -> bool {
    matches!(node.kind, Kind::Scalar(Value::Null))
}
