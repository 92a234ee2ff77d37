//! A document, or a piece of a long one, with what is to be printed and said of it.

use berth_manifests::{
    diagnostic::{Diagnostic, SourceText},
    preview::{PodPreview, Preview},
    workload::field,
    yaml::edit::Edited,
};

/// A document and what would happen to it.
pub(super) struct Shown<'d> {
    /// The document's text.
    pub(super) document: &'d SourceText,
    /// The text of the piece, which is all of the document's where it is not long.
    pub(super) before: &'d str,
    pub(super) preview: &'d Preview,
    pub(super) text: Text<'d>,
    /// Whether no other piece of the document follows.
    pub(super) is_last: bool,
}

/// What becomes of the text of a piece.
#[derive(Clone, Copy)]
pub(super) enum Text<'d> {
    /// It stays as it is.
    Kept,
    /// It is another.
    Edited(&'d Edited),
    /// No text was found that says what it should: none is better than a wrong one.
    Unwritable,
}

/// Something to say about a document.
pub(super) struct Finding {
    /// The word for its kind, or its message where it has none.
    pub(super) title: String,
    /// What is the same where it comes again for another object.
    pub(super) words: String,
    /// With a message that names the Pod or the field.
    pub(super) diagnostic: Diagnostic,
}

impl<'d> Shown<'d> {
    /// The text that it has now.
    pub(super) const fn edited(&self) -> Option<&'d Edited> {
        match self.text {
            Text::Edited(edited) => Some(edited),
            Text::Kept | Text::Unwritable => None,
        }
    }

    /// As `path:line`.
    pub(super) fn name(&self) -> String {
        let SourceText {
            path, first_line, ..
        } = self.document;
        format!("{}:{first_line}", path.display())
    }

    /// Why a Pod is denied.
    pub(super) fn denials(&self, pod: &PodPreview) -> impl Iterator<Item = Finding> {
        let subject = self.subject(pod);
        pod.denials.iter().map(move |denial| {
            let reason = denial.code.unwrap_or_default();
            let message = format!("{subject}: {reason}: {}", denial.message);
            Finding {
                title: reason.to_owned(),
                words: denial.message.clone(),
                diagnostic: Diagnostic {
                    // the message has it
                    code: None,
                    message,
                    ..denial.clone()
                },
            }
        })
    }

    /// What there is to say beside that.
    pub(super) fn findings(&self) -> impl Iterator<Item = Finding> {
        let diagnostics = self.preview.diagnostics.iter();
        diagnostics.map(|diagnostic| {
            let title = diagnostic.code.unwrap_or(&diagnostic.message);
            Finding {
                title: title.to_owned(),
                words: diagnostic.message.clone(),
                diagnostic: with_field(diagnostic),
            }
        })
    }

    /// The Pod by the name of its object, and by its place where the object has several.
    pub(super) fn subject(&self, pod: &PodPreview) -> String {
        let of_object = self
            .preview
            .pods
            .iter()
            .filter(|other| other.template.object == pod.template.object);
        let place = if of_object.count() > 1 {
            let template = pod.template.path();
            let below = template
                .strip_prefix(&pod.template.object)
                .unwrap_or(template);
            format!(" {}", field(below))
        } else {
            String::new()
        };
        match (&*pod.kind, &*pod.name) {
            (kind, "") => format!("{}: {kind}{place}", self.name()),
            ("Pod", name) => format!("{name}{place}"),
            (kind, name) => format!("{kind}/{name}{place}"),
        }
    }
}

/// A diagnostic whose message names its field.
fn with_field(diagnostic: &Diagnostic) -> Diagnostic {
    let message = match &*diagnostic.field {
        "" => diagnostic.message.clone(),
        field => format!("{field}: {}", diagnostic.message),
    };
    Diagnostic {
        message,
        ..diagnostic.clone()
    }
}
