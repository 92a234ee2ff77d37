//! A document from its text to what there is to say about it, each at its place.

use serde_json::Value;

use super::{Namespaces, Preview, Topic, preview};
use crate::{
    diagnostic::{Diagnostic, Place, Severity, SourceText},
    suppression::{self, Comment, Form},
    yaml::{self, Node, Read},
};
use berth_core::{
    outcome::{Reason, Verdict, Warning},
    view::View,
};
use json_patch::Patch;

/// How a comment suppresses a finding of a preview, which is a check's or a warning of the server's.
const FORM: Form = Form {
    mark: "berth-preview",
    example: "berth-preview: allow SurgeNeedsGpu the reason",
    codes: || {
        let topics = Topic::ALL.iter().map(|topic| topic.as_str());
        let codes = topics.chain(Warning::WORDS.iter().copied());
        codes.filter(|code| !is_never(code)).collect()
    },
    is_never,
};

/// What the API server or the webhook denies stays denied, and a comment cannot hide that it suppresses nothing.
fn is_never(code: &str) -> bool {
    let mut denials = Reason::ALL
        .iter()
        .filter(|it| it.verdict() == Verdict::Denied);
    let mut topics = Topic::ALL.iter().filter(|it| it.is_final());
    topics.any(|topic| topic.as_str() == code)
        || denials.any(|reason| reason.as_str() == code)
        || code == Warning::RuntimeClassEmpty.as_str()
}

/// A document that was read, and what would happen to its Pods.
#[derive(Debug)]
pub struct Document<'s> {
    /// Its text.
    pub source: &'s SourceText,
    /// What the text says; absent where it is empty or cannot be read.
    pub root: Option<Node>,
    /// The same as JSON.
    pub value: Value,
    /// What would happen. Of a text that is partly wrong, only what is wrong: the cluster does not get it.
    pub preview: Preview,
    /// Whether the text could be read.
    pub is_readable: bool,
}

impl<'s> Document<'s> {
    /// Reads and previews a document. Its own Namespaces are learned first.
    #[must_use]
    pub fn read(source: &'s SourceText, view: &View, namespaces: &mut Namespaces) -> Self {
        let Read {
            mut documents,
            mut errors,
            duplicates,
        } = yaml::read(&source.text);
        // what else is wrong with a template is mended when it is rendered
        let template = errors.iter().position(|it| it.is_of_template(&source.text));
        if let Some(at) = template {
            errors = vec![errors.swap_remove(at)];
        }
        let root = documents.pop();
        let value = root.as_ref().map(Node::to_json).unwrap_or_default();
        namespaces.learn(&value);
        let mut preview = match &root {
            Some(_) => preview(&value, view, namespaces),
            None => Preview::default(),
        };
        place(&mut preview, source, root.as_ref());
        let twice = duplicates.into_iter().map(|it| duplicate(source, it));
        preview.diagnostics.extend(twice);
        suppress(&mut preview.diagnostics, source, root.as_ref());
        let is_readable = errors.is_empty();
        if !is_readable {
            preview = only_wrong(preview);
            let errors = errors.into_iter();
            let errors = errors.map(|error| Diagnostic::not_yaml(source, error));
            preview.diagnostics.splice(0..0, errors);
        }
        Self {
            source,
            root,
            value,
            preview,
            is_readable,
        }
    }
}

/// What there is to say of a key that is there twice.
fn duplicate(source: &SourceText, error: yaml::Error) -> Diagnostic {
    let (what, _) = error
        .message
        .split_once(':')
        .unwrap_or((&error.message, ""));
    let message = format!("{what}: kubectl and helm take the last one, kustomize and Flux none");
    Topic::DuplicateKey
        .of("", message, "leave one of them out")
        .at(source, error.span)
}

/// Gives each diagnostic of a document the place of its field.
fn place(preview: &mut Preview, source: &SourceText, root: Option<&Node>) {
    let denials = preview.pods.iter_mut().flat_map(|pod| &mut pod.denials);
    for diagnostic in denials.chain(&mut preview.diagnostics) {
        let span = root.map(|root| {
            if Topic::is_of_key(diagnostic.code) {
                root.locate_key(&diagnostic.field)
            } else {
                root.locate(&diagnostic.field)
            }
        });
        diagnostic.place = Some(Place {
            source: source.clone(),
            span: span.unwrap_or_default(),
        });
        let node = root.and_then(|root| root.at(&diagnostic.field));
        if let (None, Some(expected), Some(node)) = (&diagnostic.help, diagnostic.expected, node) {
            diagnostic.help = node.instead(expected, &source.text);
        }
    }
}

/// Takes out what a comment suppresses, and tells of comments that suppress nothing.
fn suppress(diagnostics: &mut Vec<Diagnostic>, source: &SourceText, root: Option<&Node>) {
    let mut comments = suppression::comments(source, &FORM);
    let first_line = root.map(|root| source.line_and_column(root.locate("").start).0);
    diagnostics.retain(|diagnostic| {
        let mut comments = comments.iter_mut();
        comments.all(|it| it.reason(diagnostic, first_line).is_none())
    });
    let idle = comments.iter().filter_map(Comment::diagnostic);
    diagnostics.extend(idle.map(|idle| Diagnostic {
        code: Some(Topic::Suppression.as_str()),
        severity: Severity::Warning,
        ..idle
    }));
}

/// What is wrong, of a document of which not all could be read.
fn only_wrong(mut preview: Preview) -> Preview {
    preview.pods.retain(|pod| !pod.is_allowed());
    // what cannot be read is told once: that no apiVersion was found may be because of it
    let is_root =
        |it: &Diagnostic| it.code == Some(Topic::NotAnObject.as_str()) && it.field.is_empty();
    let is_error = |it: &Diagnostic| it.severity == Severity::Error && !is_root(it);
    preview.diagnostics.retain(is_error);
    Preview {
        patch: Patch(Vec::new()),
        patched: None,
        ..preview
    }
}

#[cfg(test)]
mod tests;
