//! From text to typed manifests, keeping where each stood.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray::Schema, JSONSchemaPropsOrBool,
};
use kube_core::CustomResourceExt;
use serde::de::DeserializeOwned;
use serde_ignored::Path;
use serde_json::Value;

use super::shape;
use crate::{
    diagnostic::{Diagnostic, SourceText},
    yaml::{self, Kind, Node, Span},
};
use berth_core::{
    api::{GPUPool, WorkloadClass},
    field,
    manifest::{Document, Manifest, Problem},
    names::{GROUP, VERSION},
    shown,
    suggestion::suggestion,
};

/// Every manifest of the files.
#[derive(Debug, Default)]
pub(crate) struct Decoded(Vec<Placed>);

/// A manifest and where it stood.
#[derive(Debug)]
struct Placed {
    source: SourceText,
    root: Node,
    manifest: Manifest,
}

impl Decoded {
    /// The manifests; each one's origin is its index.
    pub(crate) fn documents(&self) -> Vec<Document> {
        let document = |(origin, placed): (usize, &Placed)| Document {
            origin,
            manifest: placed.manifest.clone(),
        };
        self.0.iter().enumerate().map(document).collect()
    }

    /// The line on which one of the [`documents`](Self::documents) begins.
    pub(crate) fn first_line(&self, origin: usize) -> usize {
        let Placed { source, root, .. } = &self.0[origin];
        source.line_and_column(root.locate("").start).0
    }

    /// A problem of one of the documents, with its place.
    pub(crate) fn diagnostic(&self, problem: Problem) -> Diagnostic {
        let Placed { source, root, .. } = &self.0[problem.origin];
        Diagnostic {
            field: problem.field.clone(),
            ..Diagnostic::error(problem.message)
                .with_help(problem.help)
                .at(source, root.locate(&problem.field))
        }
    }
}

/// Decodes every document of every file, or says all that is wrong with them.
pub(crate) fn decode(files: &[SourceText]) -> Result<Decoded, Vec<Diagnostic>> {
    let (mut decoded, mut diagnostics) = (Decoded::default(), Vec::new());
    for source in files {
        let documents = match yaml::parse(&source.text) {
            Ok(documents) => documents,
            Err(error) => {
                diagnostics.push(Diagnostic::not_yaml(source, error));
                continue;
            }
        };
        for root in documents.into_iter().flat_map(objects) {
            match manifest(&root, &source.text) {
                Ok(manifest) => decoded.0.push(Placed {
                    source: source.clone(),
                    root,
                    manifest,
                }),
                Err(found) => diagnostics.extend(found.into_iter().map(|it| it.in_text(source))),
            }
        }
    }
    if diagnostics.is_empty() {
        Ok(decoded)
    } else {
        Err(diagnostics)
    }
}

/// The objects of a document: itself, or the items of a list as `kubectl get -o yaml` prints it.
fn objects(root: Node) -> Vec<Node> {
    let is = |field, values: &[&str]| {
        let found = root.get(field).and_then(Node::as_str);
        found.is_some_and(|found| values.contains(&found))
    };
    let is_list = is("apiVersion", &["v1"]) && is("kind", &["List"]);
    match root.get("items").map(|items| &items.kind) {
        Some(Kind::Sequence(items)) if is_list => items.to_vec(),
        _ => vec![root],
    }
}

/// What is wrong in a document, and where in its text.
struct Invalid(Diagnostic, Span);

impl Invalid {
    fn new(field: String, span: Span, message: String, help: impl Into<String>) -> Self {
        let diagnostic = Diagnostic::error(message).with_help(help);
        Self(
            Diagnostic {
                field,
                ..diagnostic
            },
            span,
        )
    }

    fn in_text(self, source: &SourceText) -> Diagnostic {
        self.0.at(source, self.1)
    }
}

fn manifest(root: &Node, text: &str) -> Result<Manifest, Vec<Invalid>> {
    let version = root.get("apiVersion").and_then(Node::as_str);
    let ours = format!("{GROUP}/{VERSION}");
    let (field, found) = match root.get("kind").and_then(Node::as_str) {
        _ if version != Some(&*ours) => ("apiVersion", version),
        Some("GPUPool") => return typed(root, text, &POOL, Manifest::Pool),
        Some("WorkloadClass") => {
            return typed(root, text, &CLASS, Manifest::Class);
        }
        other => ("kind", other),
    };
    let message = found.map_or_else(
        || format!("the document has no {field}"),
        |found| {
            format!(
                "{field} {found} is not one of berth's",
                found = shown::quoted(found)
            )
        },
    );
    let meant = ["GPUPool", "WorkloadClass", &*ours];
    let near = found.and_then(|found| suggestion(found, meant));
    let keys = root.entries().iter().map(|entry| &*entry.key);
    let key = suggestion(field, keys).filter(|_| root.get(field).is_none());
    let near = match (near, key) {
        (Some(near), _) => format!("did you mean {near}? "),
        (None, Some(key)) => format!(
            "did you mean {field} instead of {key}? ",
            key = shown::quoted(key)
        ),
        (None, None) => String::new(),
    };
    let help =
        format!("{near}a table has only apiVersion: {ours} with kind: GPUPool or WorkloadClass");
    let span = key.map_or_else(|| root.locate(field), |key| root.locate_key(key));
    Err(vec![Invalid::new(field.to_owned(), span, message, help)])
}

fn typed<T: DeserializeOwned>(
    root: &Node,
    text: &str,
    schema: &JSONSchemaProps,
    manifest: fn(T) -> Manifest,
) -> Result<Manifest, Vec<Invalid>> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let mut value = root.to_json();
    without_nulls(&mut value, schema);
    let deserializer = serde_path_to_error::Deserializer::new(&value, &mut track);
    let result = serde_ignored::deserialize(deserializer, |path| unknown.push(steps(&path)));
    let unknown: Vec<Vec<String>> = unknown
        .into_iter()
        // the derived types leave these two to us
        .filter(|steps| !matches!(&**steps, [one] if one == "apiVersion" || one == "kind"))
        .collect();
    // also where it can be read: a list is read as an object, field by field, and a fraction as an amount
    let wrong = shape::check(root, text, schema);
    let error = match result {
        Ok(object) if unknown.is_empty() && wrong.is_empty() => return Ok(manifest(object)),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    let mut invalid: Vec<Invalid> = Vec::new();
    let unknown = if error.is_none() {
        unknown
    } else {
        // the reader went no further than the error
        unknown_keys(root, schema, &unknown)
    };
    invalid.extend(unknown.iter().map(|it| unknown_field(root, it, schema)));
    if let Some(error) = error.filter(|_| wrong.is_empty()) {
        let field = track.path().to_string();
        invalid.push(unreadable(root, field, &error));
    }
    let wrong = wrong.into_iter().map(|it| {
        let span = root.locate(&it.field);
        let message = format!("{}: {}", it.field, it.message);
        Invalid::new(it.field, span, message, it.help)
    });
    invalid.extend(wrong);
    invalid.sort_by_key(|Invalid(_, span)| span.start);
    Err(invalid)
}

/// Every key that the schema does not have, and those that were found already.
fn unknown_keys(root: &Node, schema: &JSONSchemaProps, found: &[Vec<String>]) -> Vec<Vec<String>> {
    let mut all = found.to_vec();
    let spec = root.get("spec");
    let below = schema.properties.as_ref().and_then(|it| it.get("spec"));
    if let (Some(spec), Some(schema)) = (spec, below) {
        collect_unknown(spec, schema, &["spec".to_owned()], &mut all);
    }
    all
}

fn collect_unknown(
    node: &Node,
    schema: &JSONSchemaProps,
    steps: &[String],
    all: &mut Vec<Vec<String>>,
) {
    let below = |step: String| -> Vec<String> { steps.iter().cloned().chain([step]).collect() };
    match (&node.kind, &schema.items, &schema.properties) {
        (Kind::Sequence(nodes), Some(Schema(items)), _) => {
            for (i, node) in nodes.iter().enumerate() {
                collect_unknown(node, items, &below(format!("[{i}]")), all);
            }
        }
        (Kind::Mapping(entries), _, Some(properties)) => {
            for entry in entries.iter() {
                let steps = below(entry.key.clone());
                match properties.get(&entry.key) {
                    Some(schema) => collect_unknown(&entry.value, schema, &steps, all),
                    None if all.contains(&steps) => {}
                    None => all.push(steps),
                }
            }
        }
        _ => {}
    }
}

/// What the schema does not say, and the reader does.
fn unreadable(root: &Node, field: String, message: &str) -> Invalid {
    let message = if message.contains("invalid type: null") {
        "there is no value here"
    } else {
        message
    };
    let message = format!("{field}: {message}");
    let span = root.locate(&field);
    let help = "`berth crds` prints every field with its type";
    Invalid::new(field, span, message, help)
}

fn unknown_field(root: &Node, steps: &[String], schema: &JSONSchemaProps) -> Invalid {
    let (name, parents) = steps.split_last().expect("a field has a name");
    let known = known_fields(parents, schema.clone());
    let help = match suggestion(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("the fields here are {}", known.join(", ")),
    };
    let mut field = String::new();
    for step in steps {
        if step.starts_with('[') {
            field.push_str(step);
        } else {
            field = field::below(&field, step);
        }
    }
    let span = root.locate_key(&field);
    Invalid::new(
        field,
        span,
        format!("unknown field {name}", name = shown::quoted(name)),
        help,
    )
}

/// What the schema allows below a path.
fn known_fields(parents: &[String], mut schema: JSONSchemaProps) -> Vec<String> {
    for parent in parents {
        let below = match schema.items {
            Some(Schema(items)) if parent.starts_with('[') => Some(*items),
            _ => schema.properties.unwrap_or_default().remove(parent),
        };
        let Some(below) = below else {
            return Vec::new();
        };
        schema = below;
    }
    schema.properties.unwrap_or_default().into_keys().collect()
}

/// The schemas of both definitions, made once.
static POOL: LazyLock<JSONSchemaProps> = LazyLock::new(crd_schema::<GPUPool>);
static CLASS: LazyLock<JSONSchemaProps> = LazyLock::new(crd_schema::<WorkloadClass>);

/// A field that is null is as one that is not there, as it is to the API server. A map's entries are no fields.
fn without_nulls(value: &mut Value, schema: &JSONSchemaProps) {
    match (value, &schema.items, &schema.properties) {
        (Value::Object(fields), _, Some(properties)) => {
            fields.retain(|name, value| !(value.is_null() && properties.contains_key(name)));
            for (name, value) in fields {
                if let Some(schema) = properties.get(name) {
                    without_nulls(value, schema);
                }
            }
        }
        (Value::Array(items), Some(Schema(schema)), _) => {
            for item in items {
                without_nulls(item, schema);
            }
        }
        _ => {}
    }
}

fn crd_schema<T: CustomResourceExt>() -> JSONSchemaProps {
    let version = T::crd().spec.versions.into_iter().next();
    let schema = version.and_then(|version| version.schema?.open_api_v3_schema);
    let mut schema = schema.unwrap_or_default();
    let properties = schema.properties.get_or_insert_default();
    properties.insert("metadata".to_owned(), metadata_schema());
    schema
}

/// What of an object's metadata people write: a definition leaves it to the API server.
fn metadata_schema() -> JSONSchemaProps {
    let of = |kind: &str| JSONSchemaProps {
        type_: Some(kind.to_owned()),
        ..JSONSchemaProps::default()
    };
    let texts = || JSONSchemaProps {
        additional_properties: Some(JSONSchemaPropsOrBool::Schema(Box::new(of("string")))),
        ..of("object")
    };
    let properties = [
        ("annotations", texts()),
        ("labels", texts()),
        ("name", of("string")),
        ("namespace", of("string")),
    ];
    let properties = properties.map(|(name, schema)| (name.to_owned(), schema));
    JSONSchemaProps {
        properties: Some(properties.into()),
        ..of("object")
    }
}

/// The steps from the root, an index in brackets.
fn steps(path: &Path<'_>) -> Vec<String> {
    let (parent, step) = match path {
        Path::Root => return Vec::new(),
        Path::Seq { parent, index } => (parent, Some(format!("[{index}]"))),
        Path::Map { parent, key } => (parent, Some(key.clone())),
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => (parent, None),
    };
    let mut steps = steps(parent);
    steps.extend(step);
    steps
}
