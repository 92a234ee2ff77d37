//! From text to typed manifests, keeping where each stood.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use kube_core::CustomResourceExt;
use serde::de::DeserializeOwned;
use serde_ignored::Path;

use super::{File, Finding};
use crate::yaml::{self, Node};
use berth_core::{
    api::{GPUPool, WorkloadClass},
    manifest::{Document, Manifest, Problem},
    names::{GROUP, VERSION},
    suggestion::suggestion,
};

/// Every manifest of the files.
#[derive(Debug, Default)]
pub(crate) struct Decoded(Vec<Placed>);

/// A manifest and where it stood.
#[derive(Debug)]
struct Placed {
    file: File,
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

    /// The file of one of the [`documents`](Self::documents).
    pub(crate) fn file(&self, origin: usize) -> &File {
        &self.0[origin].file
    }

    /// The place of a field of one of the documents; of the object where the field is empty.
    pub(crate) fn place(&self, origin: usize, field: &str) -> yaml::Place {
        self.0[origin].root.locate(field)
    }

    /// Places a problem of one of the documents.
    pub(crate) fn finding(&self, problem: Problem) -> Finding {
        Finding {
            file: self.file(problem.origin).clone(),
            place: self.place(problem.origin, &problem.field),
            message: problem.message,
            help: problem.help,
        }
    }
}

/// Decodes every document of every file, or says all that is wrong with them.
pub(crate) fn decode(files: &[File]) -> Result<Decoded, Vec<Finding>> {
    let (mut decoded, mut findings) = (Decoded::default(), Vec::new());
    for file in files {
        let documents = match yaml::parse(&file.text) {
            Ok(documents) => documents,
            Err(error) => {
                findings.push(Finding::not_yaml(file, error));
                continue;
            }
        };
        for root in documents {
            let (manifest, problems) = manifest(&root);
            findings.extend(problems.into_iter().map(|problem| Finding {
                file: file.clone(),
                place: problem.place(&root),
                message: problem.message,
                help: problem.help,
            }));
            let file = file.clone();
            decoded.0.extend(manifest.map(|manifest| Placed {
                file,
                root,
                manifest,
            }));
        }
    }
    if findings.is_empty() {
        Ok(decoded)
    } else {
        Err(findings)
    }
}

/// A problem of a document that is no manifest yet.
struct Misshapen {
    field: String,
    /// Whether the key is wrong, not its value.
    key: bool,
    message: String,
    help: String,
}

impl Misshapen {
    fn place(&self, root: &Node) -> yaml::Place {
        if self.key {
            root.locate_key(&self.field)
        } else {
            root.locate(&self.field)
        }
    }
}

fn manifest(root: &Node) -> (Option<Manifest>, Vec<Misshapen>) {
    let version = root.get("apiVersion").and_then(Node::as_str);
    let ours = format!("{GROUP}/{VERSION}");
    let (field, found) = match root.get("kind").and_then(Node::as_str) {
        _ if version != Some(&*ours) => ("apiVersion", version),
        Some("GPUPool") => return typed(root, &crd_schema::<GPUPool>, Manifest::Pool),
        Some("WorkloadClass") => return typed(root, &crd_schema::<WorkloadClass>, Manifest::Class),
        other => ("kind", other),
    };
    let message = found.map_or_else(
        || format!("the document has no {field}"),
        |found| format!("{field} {found:?} is not one of berth's"),
    );
    let problem = Misshapen {
        field: field.to_owned(),
        key: false,
        message,
        help: format!("a table has apiVersion: {ours} with kind: GPUPool or WorkloadClass alone"),
    };
    (None, vec![problem])
}

fn typed<T: DeserializeOwned>(
    root: &Node,
    schema: &dyn Fn() -> JSONSchemaProps,
    manifest: fn(T) -> Manifest,
) -> (Option<Manifest>, Vec<Misshapen>) {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let value = root.to_json();
    let deserializer = serde_path_to_error::Deserializer::new(&value, &mut track);
    let result = serde_ignored::deserialize(deserializer, |path| unknown.push(steps(&path)));
    let mut problems: Vec<Misshapen> = unknown
        .into_iter()
        // the derived types leave these two to us
        .filter(|steps| !matches!(&**steps, [one] if one == "apiVersion" || one == "kind"))
        .map(|steps| unknown_field(&steps, schema))
        .collect();
    match result {
        Ok(object) if problems.is_empty() => (Some(manifest(object)), problems),
        Ok(_) => (None, problems),
        Err(error) => {
            problems.push(wrong_type(track.path().to_string(), &error.to_string()));
            (None, problems)
        }
    }
}

fn wrong_type(field: String, message: &str) -> Misshapen {
    let help = if message.ends_with("expected a string") {
        "quote it"
    } else {
        "`berth crds` prints every field with its type"
    };
    Misshapen {
        message: format!("{field}: {message}"),
        field,
        key: false,
        help: help.to_owned(),
    }
}

fn unknown_field(steps: &[String], schema: &dyn Fn() -> JSONSchemaProps) -> Misshapen {
    let (name, parents) = steps.split_last().expect("a field has a name");
    let known = known_fields(parents, schema());
    let help = match suggestion(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None if known.is_empty() => "leave it out".to_owned(),
        None => format!("the fields here are {}", known.join(", ")),
    };
    let mut field = String::new();
    for step in steps {
        let dot = if field.is_empty() || step.starts_with('[') {
            ""
        } else {
            "."
        };
        field.push_str(dot);
        field.push_str(step);
    }
    Misshapen {
        message: format!("unknown field {name:?}"),
        field,
        key: true,
        help,
    }
}

/// What the schema allows below a path.
fn known_fields(parents: &[String], mut schema: JSONSchemaProps) -> Vec<String> {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrArray::Schema;
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

fn crd_schema<T: CustomResourceExt>() -> JSONSchemaProps {
    let version = T::crd().spec.versions.into_iter().next();
    let schema = version.and_then(|version| version.schema?.open_api_v3_schema);
    schema.unwrap_or_default()
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
