//! From text to a case.

use std::{collections::HashSet, fs, path::PathBuf};

use serde_json::{Map, Value};

use super::{Case, CaseFile, Content, Error, FIELDS};
use crate::{
    diagnostic::{Diagnostic, SourceText},
    files::Located,
    workload::{self, PodTemplate},
    yaml::{self, Kind, Node, Span},
};
use berth_core::{
    outcome::{Reason, Verdict, Warning},
    shown::quoted,
    suggestion::suggestion,
};

/// The fields of a case.
const CASE: &[&str] = &["namespace", "pod", "expect"];
/// Where a Pod goes that says nothing else.
const NAMESPACE: &str = "default";

/// A Pod of a manifest, and the namespace that it names.
struct Found {
    pod: Value,
    namespace: Option<String>,
}

/// A case that is being read.
#[derive(Clone, Copy)]
struct Document<'d> {
    source: &'d SourceText,
    root: &'d Node,
}

/// Reads a case. The manifest that it names is added to `named`.
pub(super) fn decode(source: SourceText, named: &mut HashSet<PathBuf>) -> Result<Content, Error> {
    let documents = yaml::parse(&source.text).map_err(|error| not_yaml(&source, error))?;
    if let Some(diagnostic) = manifest(&source, &documents) {
        return Ok(Content::Manifest(source.path, diagnostic));
    }
    let root = only(&source, documents)?;
    let document = Document {
        source: &source,
        root: &root,
    };
    document.known("", CASE)?;
    let expected = document.expected()?;
    let Found { pod, namespace } = document.pod(named)?;
    let namespace = document.namespace()?.or(namespace);
    let case = Case {
        pod,
        namespace: namespace.unwrap_or_else(|| NAMESPACE.to_owned()),
        expected,
    };
    Ok(Content::Case(Box::new(CaseFile { source, case, root })))
}

/// What is to be said of documents that are a manifest, where no case names it.
fn manifest(source: &SourceText, documents: &[Node]) -> Option<Box<Diagnostic>> {
    let is_manifest = |root: &&Node| root.get("pod").is_none() && root.get("kind").is_some();
    let root = documents.iter().find(is_manifest)?;
    let help = "write it under pod:, or name this file as the pod: of a case";
    let message = "a manifest, and not a case".to_owned();
    Some(Document { source, root }.invalid("kind", message, help))
}

fn not_yaml(source: &SourceText, error: yaml::Error) -> Box<Diagnostic> {
    Box::new(Diagnostic::not_yaml(source, error))
}

/// The only document of a file.
fn only(source: &SourceText, documents: Vec<Node>) -> Result<Node, Box<Diagnostic>> {
    let mut documents = documents.into_iter();
    let wrong = |span: Span, message: &str, help: &str| {
        Box::new(Diagnostic::error(message).with_help(help).at(source, span))
    };
    let Some(first) = documents.next() else {
        return Err(wrong(0..0, "the file is empty", "write pod: and expect:"));
    };
    match documents.next() {
        Some(second) => {
            let help = "a file has one case: write this one in a file of its own";
            Err(wrong(second.locate(""), "a second document", help))
        }
        None => Ok(first),
    }
}

impl Document<'_> {
    fn invalid(self, field: &str, message: String, help: impl Into<String>) -> Box<Diagnostic> {
        self.invalid_at(self.root.locate(field), field, message, help)
    }

    fn invalid_at(
        self,
        span: Span,
        field: &str,
        message: String,
        help: impl Into<String>,
    ) -> Box<Diagnostic> {
        Box::new(Diagnostic {
            field: field.to_owned(),
            ..Diagnostic::error(message)
                .with_help(help)
                .at(self.source, span)
        })
    }

    /// A mapping may have no other fields.
    fn known(self, parent: &str, fields: &[&str]) -> Result<(), Box<Diagnostic>> {
        let node = if parent.is_empty() {
            Some(self.root)
        } else {
            self.root.get(parent)
        };
        let Some(Kind::Mapping(entries)) = node.map(|node| &node.kind) else {
            let help = format!("the fields here are {}", fields.join(", "));
            return Err(self.invalid(parent, "not a mapping".to_owned(), help));
        };
        match entries.iter().find(|entry| !fields.contains(&&*entry.key)) {
            Some(entry) => {
                let message = format!("unknown field {}", quoted(&entry.key));
                let help = did_you_mean(&entry.key, fields);
                let field = match parent {
                    "" => entry.key.clone(),
                    parent => format!("{parent}.{}", entry.key),
                };
                Err(self.invalid_at(entry.key_span.clone(), &field, message, help))
            }
            None => Ok(()),
        }
    }

    fn namespace(self) -> Result<Option<String>, Box<Diagnostic>> {
        let Some(node) = self.root.get("namespace") else {
            return Ok(None);
        };
        match node.as_str() {
            Some(namespace) => Ok(Some(namespace.to_owned())),
            None => Err(self.invalid(
                "namespace",
                "namespace: not a string".to_owned(),
                as_string(node, &self.source.text),
            )),
        }
    }

    fn expected(self) -> Result<Map<String, Value>, Box<Diagnostic>> {
        let Some(expect) = self.root.get("expect") else {
            return Ok(Map::new());
        };
        self.known("expect", FIELDS)?;
        for entry in expect.entries() {
            let allowed = match &*entry.key {
                "denied" => word(&entry.value, Verdict::Denied),
                "unchanged" => word(&entry.value, Verdict::Allowed),
                "pool" | "container" => string_or_null(&entry.value, &self.source.text),
                "warnings" => warnings(&entry.value),
                _ => Ok(()),
            };
            allowed.map_err(|(message, help)| {
                let field = format!("expect.{}", entry.key);
                self.invalid(&field, format!("{}: {message}", entry.key), help)
            })?;
        }
        match expect.to_json() {
            Value::Object(fields) => Ok(fields),
            _ => Ok(Map::new()),
        }
    }

    /// The Pod that is written in the case, or in the manifest that it names as `FILE` or `FILE#NAME`.
    fn pod(self, named: &mut HashSet<PathBuf>) -> Result<Found, Box<Diagnostic>> {
        let wrong = |message: String, help: &str| self.invalid("pod", message, help);
        let Some(node) = self.root.get("pod") else {
            let message = "the case has no pod".to_owned();
            let help = "write the Pod under pod:, or the path of its manifest from here";
            return Err(wrong(message, help));
        };
        let Some(path) = node.as_str() else {
            return one_pod(&[written_short(node.to_json())], None)
                .map_err(|(message, help)| wrong(message, help));
        };
        let (path, name) = match path.rsplit_once('#') {
            Some((path, name)) => (path, Some(name)),
            None => (path, None),
        };
        let case = &self.source.path;
        let path = case.parent().unwrap_or(case).join(path);
        let manifest = Located::from(&*path).read().map_err(|error| {
            let help = "the path begins at the case's folder";
            wrong(format!("pod: {error}"), help)
        })?;
        named.extend(fs::canonicalize(&path));
        let documents = yaml::parse(&manifest.text).map_err(|error| not_yaml(&manifest, error))?;
        let documents: Vec<Value> = documents.iter().map(Node::to_json).collect();
        one_pod(&documents, name).map_err(|(message, help)| {
            let message = format!("{}: {message}", path.display());
            wrong(message, help)
        })
    }
}

/// What is wrong with a value, and what to change.
type Allowed = Result<(), (String, String)>;

fn word(node: &Node, verdict: Verdict) -> Allowed {
    let words: Vec<&str> = Reason::ALL
        .iter()
        .filter(|reason| reason.verdict() == verdict && **reason != Reason::NotPodCreate)
        .map(|reason| reason.as_str())
        .collect();
    match node.as_str() {
        Some(text) if words.contains(&text) => Ok(()),
        Some(text) => Err((
            format!("no such reason {}", quoted(text)),
            did_you_mean(text, &words),
        )),
        None => Err((
            "not a reason".to_owned(),
            format!("one of {}", words.join(", ")),
        )),
    }
}

fn string_or_null(node: &Node, text: &str) -> Allowed {
    match &node.kind {
        Kind::Scalar(Value::String(_) | Value::Null) => Ok(()),
        _ => Err(("not a string".to_owned(), as_string(node, text))),
    }
}

/// How to write another kind of value as a string.
fn as_string(node: &Node, text: &str) -> String {
    let write_it = || "write one name, on the line of the key".to_owned();
    node.in_quotes(text).unwrap_or_else(write_it)
}

fn warnings(node: &Node) -> Allowed {
    let words: Option<Vec<&str>> = match &node.kind {
        Kind::Sequence(nodes) => nodes.iter().map(Node::as_str).collect(),
        _ => None,
    };
    let words = words.ok_or_else(|| {
        (
            "not a list of words".to_owned(),
            "write it as [RuntimeClassKept]".to_owned(),
        )
    })?;
    let unknown = words.into_iter().find(|it| !Warning::WORDS.contains(it));
    unknown.map_or(Ok(()), |word| {
        Err((
            format!("no such warning {}", quoted(word)),
            did_you_mean(word, Warning::WORDS),
        ))
    })
}

/// A Pod in a case needs neither apiVersion nor kind.
fn written_short(mut pod: Value) -> Value {
    if let Some(fields) = pod.as_object_mut()
        && !fields.contains_key("kind")
    {
        fields.insert("apiVersion".to_owned(), "v1".into());
        fields.insert("kind".to_owned(), "Pod".into());
    }
    pod
}

/// The Pod of documents that have one, or of the object of a name: itself, a workload's template, or an
/// `AdmissionReview`'s object.
fn one_pod(documents: &[Value], name: Option<&str>) -> Result<Found, (String, &'static str)> {
    let templates = documents.iter().flat_map(|document| {
        let templates = workload::templates(document);
        templates
            .into_iter()
            .map(move |template| (document, template))
    });
    let wanted = |(document, template): &(&Value, PodTemplate)| {
        name.is_none_or(|name| object(document, template)["metadata"]["name"] == name)
    };
    let templates: Vec<(&Value, PodTemplate)> = templates.filter(wanted).collect();
    match (templates.as_slice(), name) {
        ([(document, template)], _) => Ok(Found::of(document, template)),
        ([], None) => Err((
            "no Pod".to_owned(),
            "a Pod, a workload with one Pod template, or an AdmissionReview",
        )),
        ([], Some(name)) => Err((
            format!("no Pod of an object named {}", quoted(name)),
            "FILE#NAME takes metadata.name",
        )),
        (more, _) => Err((
            format!("{} Pods, and a case is of one", more.len()),
            "say which as FILE#NAME, or give it a manifest of its own",
        )),
    }
}

fn object<'d>(document: &'d Value, template: &PodTemplate) -> &'d Value {
    document.pointer(&template.object).unwrap_or(document)
}

impl Found {
    fn of(document: &Value, template: &PodTemplate) -> Self {
        let object = object(document, template);
        let namespaces = [
            &document["request"]["namespace"],
            &object["metadata"]["namespace"],
        ];
        let namespace = namespaces.into_iter().find_map(Value::as_str);
        Self {
            pod: template.pod(document),
            namespace: namespace.map(str::to_owned),
        }
    }
}

fn did_you_mean(word: &str, words: &[&str]) -> String {
    suggestion(word, words.iter().copied()).map_or_else(
        || format!("one of {}", words.join(", ")),
        |near| format!("did you mean {near}?"),
    )
}
