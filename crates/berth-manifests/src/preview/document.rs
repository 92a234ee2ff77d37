//! A document from its text to what there is to say about it, each at its place.

use std::borrow::Cow;

use super::{Namespaces, Piece, Preview, Topic, piece::Parsed, pieces, preview_from};
use crate::{
    diagnostic::{Diagnostic, Place, Severity, SourceText},
    suppression::{self, Comment, Form},
    yaml::{
        self, Node, Read, Span,
        edit::{Edited, edit, edit_part},
    },
};
use berth_core::{
    names::INJECT_LABEL,
    outcome::{Reason, Verdict, Warning},
    view::View,
};
use json_patch::Patch;

/// How a comment suppresses a finding of a preview, which is a check's or a warning of the server's.
pub(super) const FORM: Form = Form {
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

/// A document or a piece of one that was read, and what would happen to its Pods.
#[derive(Debug)]
pub struct Document<'s> {
    /// The text of the whole document.
    pub source: &'s SourceText,
    /// Which part of it this is.
    pub piece: Piece,
    /// What would happen. Of a text that is partly wrong, only what is wrong: the cluster does not get it.
    pub preview: Preview,
    /// Whether the text could be read.
    pub is_readable: bool,
    /// What was given to the parser, and what it says; absent where it is empty or cannot be read.
    read: Option<(Cow<'s, str>, Node)>,
}

impl Namespaces {
    /// Takes note of the Namespaces in a text that opt out.
    pub fn learn_from(&mut self, source: &SourceText) {
        let text = &source.text;
        if !(text.contains("Namespace") && text.contains(INJECT_LABEL)) {
            return;
        }
        for piece in pieces(source) {
            let documents = piece.parse(source).read.documents;
            for root in documents {
                self.learn(&piece.value(&piece.in_document(root)));
            }
        }
    }
}

impl<'s> Document<'s> {
    /// Reads and previews a piece of a document, with the Namespaces that were learned.
    #[must_use]
    pub fn read(
        source: &'s SourceText,
        piece: Piece,
        view: &View,
        namespaces: &Namespaces,
    ) -> Self {
        let Parsed { text, read } = piece.parse(source);
        let Read {
            mut documents,
            mut errors,
            duplicates,
        } = read;
        // what else is wrong with a template is mended when it is rendered
        let template = errors.iter().position(|it| it.is_of_template(&text));
        if let Some(at) = template {
            errors = vec![errors.swap_remove(at)];
        }
        let node = documents.pop();
        let root = node.clone().map(|node| piece.in_document(node));
        let mut preview = root.as_ref().map_or_else(Preview::default, |root| {
            preview_from(piece.first(), &piece.value(root), view, namespaces)
        });
        let at = |span| piece.span_in_document(&span);
        place(&mut preview, source, &text, root.as_ref(), &at);
        let twice = duplicates.into_iter().map(|it| duplicate(source, it));
        preview.diagnostics.extend(twice);
        if piece.is_document() {
            suppress(&mut preview.diagnostics, source, root.as_ref());
        }
        let is_readable = errors.is_empty();
        if !is_readable {
            preview = only_wrong(preview);
            let errors = errors.into_iter();
            let errors = errors.map(|error| Diagnostic::not_yaml(source, error));
            preview.diagnostics.splice(0..0, errors);
        }
        Self {
            source,
            piece,
            preview,
            is_readable,
            read: node.map(|node| (text, node)),
        }
    }

    /// Whether there is anything in it.
    #[must_use]
    pub fn has_content(&self) -> bool {
        self.read.is_some()
    }

    /// Its text as it is.
    #[must_use]
    pub fn text(&self) -> &'s str {
        let span = self.piece.span.clone();
        self.source.text.get(span).unwrap_or_default()
    }

    /// Its text with the change; nothing where nothing changes. An error is the place of what cannot take the change.
    pub fn edited(&self) -> Result<Option<Edited>, Span> {
        let (Some((text, node)), Some(patched)) = (&self.read, &self.preview.patched) else {
            return Ok(None);
        };
        let target = self.piece.target(patched);
        let edited = if self.piece.is_document() {
            edit(text, node, &target)
        } else {
            edit_part(text, node, &target)
        };
        let edited = edited.ok_or_else(|| self.piece.span_in_document(&node.locate("")))?;
        Ok(Some(Edited {
            text: self.piece.text_in_document(edited.text),
            ..edited
        }))
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
fn place(
    preview: &mut Preview,
    source: &SourceText,
    text: &str,
    root: Option<&Node>,
    in_document: &dyn Fn(Span) -> Span,
) {
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
            span: in_document(span.unwrap_or_default()),
        });
        let node = root.and_then(|root| root.at(&diagnostic.field));
        if let (None, Some(expected), Some(node)) = (&diagnostic.help, diagnostic.expected, node) {
            diagnostic.help = node.instead(expected, text);
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
