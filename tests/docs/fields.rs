//! The fields of both kinds, in Markdown, from the schemas that the API server gets.

use std::fmt::Write;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;

use berth_core::api::{GPUPool, WorkloadClass};

/// The page of every field, its type, its bounds and its meaning.
pub(crate) fn page() -> String {
    let mut page = "\
# The fields of GPUPool and WorkloadClass

Both kinds are of `berth.dev/v1alpha1`, and have no namespace. In a cluster, `kubectl explain gpupool.spec` shows the same
text. The API server holds the bounds for objects of the cluster, and berth for those in files. A field that is not
required may be left out.
"
    .to_owned();
    kind(&mut page, &GPUPool::crd());
    kind(&mut page, &WorkloadClass::crd());
    page
}

fn kind(page: &mut String, definition: &CustomResourceDefinition) {
    let schema = definition.spec.versions[0].schema.as_ref();
    let schema = schema.and_then(|it| it.open_api_v3_schema.as_ref());
    let schema = schema.expect("a schema");
    let names = &definition.spec.names;
    let about = schema.description.as_deref().unwrap_or_default();
    let short = names.short_names.iter().flatten();
    let short: Vec<String> = short.map(|name| format!("`{name}`")).collect();
    let _ = writeln!(
        page,
        "\n## {}\n\n{}\n\nShort for kubectl: {}.",
        names.kind,
        line(about),
        short.join(", ")
    );
    let properties = schema.properties.iter().flatten();
    for (name, part) in properties {
        let about = line(part.description.as_deref().unwrap_or_default());
        let _ = writeln!(
            page,
            "\n### {}: {name}\n\n{about}\n\n| field | type | meaning |\n|---|---|---|",
            names.kind
        );
        fields(page, part, "");
        let mut rules = Vec::new();
        collect(&mut rules, part, name);
        if !rules.is_empty() {
            let _ = writeln!(
                page,
                "\nWhat is also denied, in the words of the error:\n\n{}",
                rules.join("\n")
            );
        }
    }
}

/// A row for each field, and for those in it.
fn fields(page: &mut String, schema: &JSONSchemaProps, before: &str) {
    let required = schema.required.as_deref().unwrap_or_default();
    for (name, field) in schema.properties.iter().flatten() {
        let path = format!("{before}{name}");
        let about = field.description.as_deref().unwrap_or_default();
        let required = if required.contains(name) {
            " Required."
        } else {
            ""
        };
        let default = field
            .default
            .as_ref()
            .filter(|it| it.0 != serde_json::json!({}));
        let default = default.map_or_else(String::new, |it| format!(" If left out: `{}`.", it.0));
        let _ = writeln!(
            page,
            "| `{path}` | {} | {}{required}{default} |",
            of(field),
            line(about)
        );
        match item(field) {
            Some(item) => fields(page, item, &format!("{path}[].")),
            None => fields(page, field, &format!("{path}.")),
        }
    }
}

/// The rules that concern more than one field, each with the place where it is held.
fn collect(rules: &mut Vec<String>, schema: &JSONSchemaProps, path: &str) {
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        let message = rule.message.as_deref().unwrap_or(&rule.rule);
        rules.push(format!("- `{path}`: {message}"));
    }
    for (name, field) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        collect(rules, item(field).unwrap_or(field), &path);
    }
}

fn item(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match schema.items.as_ref()? {
        JSONSchemaPropsOrArray::Schema(item) => Some(item),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

/// The type with its bounds, in words.
fn of(schema: &JSONSchemaProps) -> String {
    let kind = schema.type_.as_deref();
    let kind = kind.unwrap_or(if schema.x_kubernetes_int_or_string == Some(true) {
        "quantity"
    } else {
        "any"
    });
    let mut words = vec![match (kind, item(schema)) {
        ("array", Some(item)) => format!("list of {}", item.type_.as_deref().unwrap_or("any")),
        ("object", _) if schema.properties.is_none() => "map of string".to_owned(),
        _ => kind.to_owned(),
    }];
    let values = schema.enum_.iter().flatten();
    let values: Vec<String> = values.map(|it| format!("`{}`", text(&it.0))).collect();
    if !values.is_empty() {
        words.push(values.join(" or "));
    }
    let counted = match kind {
        "array" => range(schema.min_items, schema.max_items, " items"),
        "object" => range(schema.min_properties, schema.max_properties, " entries"),
        "integer" => range(whole(schema.minimum), whole(schema.maximum), ""),
        _ => range(schema.min_length, schema.max_length, " characters"),
    };
    words.extend(counted);
    words.join(", ")
}

fn range(least: Option<i64>, most: Option<i64>, unit: &str) -> Option<String> {
    match (least, most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        (None, Some(most)) => Some(format!("at most {most}{unit}")),
        (Some(0) | None, None) => None,
        (Some(least), None) => Some(format!("at least {least}{unit}")),
    }
}

#[allow(clippy::cast_possible_truncation)] // bounds of integers, which the schema writes as numbers
fn whole(bound: Option<f64>) -> Option<i64> {
    bound.map(|it| it as i64)
}

fn text(value: &serde_json::Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// A text in a cell of a table.
fn line(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}
