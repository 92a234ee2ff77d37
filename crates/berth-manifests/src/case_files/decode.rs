//! From text to a case.

use std::{collections::HashSet, fs, path::PathBuf};

use serde_json::{Map, Value};

use super::{CaseFile, Content, Error, load};
use crate::{
    case::{Case, FIELDS},
    table_files::{File, Finding},
    workload::{self, Site},
    yaml::{self, Kind, Node, Place},
};
use berth_core::{
    outcome::{Reason, Verdict},
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

/// Reads a case. The manifest that it names is added to `named`.
pub(super) fn decode(file: File, named: &mut HashSet<PathBuf>) -> Result<Content, Error> {
    let documents = yaml::parse(&file.text).map_err(|error| Finding::not_yaml(&file, error))?;
    let manifest = |root: &&Node| root.get("pod").is_none() && root.get("kind").is_some();
    if let Some(root) = documents.iter().find(manifest) {
        let message = "a manifest, and not a case".to_owned();
        let help = "write it under pod:, or name this file as the pod: of a case";
        let finding = finding(&file, root.locate("kind"), message, help);
        return Ok(Content::Manifest(finding));
    }
    let root = only(&file, documents)?;
    known(&file, &root, "", CASE)?;
    let expected = expected(&file, &root)?;
    let Found { pod, namespace } = pod(&file, &root, named)?;
    let namespace = match root.get("namespace").map(Node::as_str) {
        Some(Some(namespace)) => Some(namespace.to_owned()),
        Some(None) => {
            let message = "namespace is no string".to_owned();
            return Err(finding(&file, root.locate("namespace"), message, "quote it").into());
        }
        None => namespace,
    };
    let case = Case {
        pod,
        namespace: namespace.unwrap_or_else(|| NAMESPACE.to_owned()),
        expected,
    };
    Ok(Content::Case(Box::new(CaseFile { file, case, root })))
}

/// The only document of a file.
fn only(file: &File, documents: Vec<Node>) -> Result<Node, Error> {
    let mut documents = documents.into_iter();
    let wrong = |place, message: &str, help| finding(file, place, message.to_owned(), help);
    let Some(first) = documents.next() else {
        return Err(wrong(0..0, "the file is empty", "write pod: and expect:").into());
    };
    match documents.next() {
        Some(second) => {
            let help = "a file has one case: write it in a file of its own";
            Err(wrong(second.locate(""), "a second document", help).into())
        }
        None => Ok(first),
    }
}

/// Refuses fields that are none.
fn known(file: &File, root: &Node, parent: &str, fields: &[&str]) -> Result<(), Error> {
    let node = if parent.is_empty() {
        Some(root)
    } else {
        root.get(parent)
    };
    let Some(Kind::Mapping(entries)) = node.map(|node| &node.kind) else {
        let message = "not a mapping".to_owned();
        let help = format!("the fields here are {}", fields.join(", "));
        return Err(finding(file, root.locate(parent), message, &help).into());
    };
    match entries.iter().find(|entry| !fields.contains(&&*entry.key)) {
        Some(entry) => {
            let message = format!("unknown field {:?}", entry.key);
            Err(finding(
                file,
                entry.place.clone(),
                message,
                &did_you_mean(&entry.key, fields),
            )
            .into())
        }
        None => Ok(()),
    }
}

fn expected(file: &File, root: &Node) -> Result<Map<String, Value>, Error> {
    let Some(expect) = root.get("expect") else {
        return Ok(Map::new());
    };
    known(file, root, "expect", FIELDS)?;
    for entry in expect.entries() {
        let allowed = match &*entry.key {
            "denied" => word(&entry.value, Verdict::Denied),
            "unchanged" => word(&entry.value, Verdict::Allowed),
            "pool" | "container" => string_or_null(&entry.value),
            "warnings" => strings(&entry.value),
            _ => Ok(()),
        };
        allowed.map_err(|(message, help)| {
            let place = root.locate(&format!("expect.{}", entry.key));
            finding(file, place, format!("{}: {message}", entry.key), &help)
        })?;
    }
    match expect.to_json() {
        Value::Object(fields) => Ok(fields),
        _ => Ok(Map::new()),
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
            format!("no such reason {text:?}"),
            did_you_mean(text, &words),
        )),
        None => Err((
            "not a reason".to_owned(),
            format!("one of {}", words.join(", ")),
        )),
    }
}

fn string_or_null(node: &Node) -> Allowed {
    match &node.kind {
        Kind::Scalar(Value::String(_) | Value::Null) => Ok(()),
        _ => Err(("not a string".to_owned(), "quote it".to_owned())),
    }
}

fn strings(node: &Node) -> Allowed {
    match &node.kind {
        Kind::Sequence(nodes) if nodes.iter().all(|node| node.as_str().is_some()) => Ok(()),
        _ => Err((
            "not a list of words".to_owned(),
            "write it as [RuntimeClassKept]".to_owned(),
        )),
    }
}

/// The Pod that is written in the case, or in the manifest that it names as `FILE` or `FILE#NAME`.
fn pod(file: &File, root: &Node, named: &mut HashSet<PathBuf>) -> Result<Found, Error> {
    let place = root.locate("pod");
    let wrong = |message: String, help: &str| finding(file, place.clone(), message, help);
    let Some(node) = root.get("pod") else {
        let message = "the case has no pod".to_owned();
        let help = "write the Pod under pod:, or the path of its manifest from here";
        return Err(wrong(message, help).into());
    };
    let Some(path) = node.as_str() else {
        return one_pod(&[written_short(node.to_json())], None)
            .map_err(|(message, help)| wrong(message, help).into());
    };
    let (path, name) = match path.rsplit_once('#') {
        Some((path, name)) => (path, Some(name)),
        None => (path, None),
    };
    let path = file.path.parent().unwrap_or(&file.path).join(path);
    let manifest = load(&path).map_err(|error| {
        wrong(
            format!("pod: {error}"),
            "the path begins at the case's folder",
        )
    })?;
    named.extend(fs::canonicalize(&path));
    let documents =
        yaml::parse(&manifest.text).map_err(|error| Finding::not_yaml(&manifest, error))?;
    let documents: Vec<Value> = documents.iter().map(Node::to_json).collect();
    one_pod(&documents, name).map_err(|(message, help)| {
        let message = format!("{}: {message}", path.display());
        wrong(message, help).into()
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
    let sites = documents.iter().flat_map(|document| {
        let sites = workload::sites(document);
        sites.into_iter().map(move |site| (document, site))
    });
    let wanted = |(document, site): &(&Value, Site)| {
        name.is_none_or(|name| object(document, site)["metadata"]["name"] == name)
    };
    let sites: Vec<(&Value, Site)> = sites.filter(wanted).collect();
    match (sites.as_slice(), name) {
        ([(document, site)], _) => Ok(Found::of(document, site)),
        ([], None) => Err((
            "no Pod".to_owned(),
            "a Pod, a workload with one Pod template, or an AdmissionReview",
        )),
        ([], Some(name)) => Err((
            format!("no Pod of an object named {name:?}"),
            "FILE#NAME takes metadata.name",
        )),
        (more, _) => Err((
            format!("{} Pods, and a case is of one", more.len()),
            "say which as FILE#NAME, or give it a manifest of its own",
        )),
    }
}

fn object<'d>(document: &'d Value, site: &Site) -> &'d Value {
    document.pointer(&site.object).unwrap_or(document)
}

impl Found {
    fn of(document: &Value, site: &Site) -> Self {
        let object = object(document, site);
        let namespaces = [
            &document["request"]["namespace"],
            &object["metadata"]["namespace"],
        ];
        let namespace = namespaces.into_iter().find_map(Value::as_str);
        Self {
            pod: site.pod(document),
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

fn finding(file: &File, place: Place, message: String, help: &str) -> Finding {
    Finding {
        file: file.clone(),
        place,
        message,
        help: help.to_owned(),
    }
}
