//! What is said beside the data, on standard error.

use super::Shown;
use crate::cli::report::{show, tell};
use berth_core::{
    outcome::{Reason, Verdict, Warning},
    patch::pointer_segment,
};
use berth_manifests::{
    diagnostic::{Diagnostic, Severity},
    preview::PodPreview,
    workload::field,
};

/// Says what there is to say about each document.
#[derive(Debug)]
pub(super) struct Reporter<'t> {
    class_label: &'t str,
    /// Whether there is a sentence for each Pod.
    sentences: bool,
}

impl Reporter<'_> {
    /// Says what comes last.
    pub(super) const fn end(&self) {}
}

impl<'t> Reporter<'t> {
    pub(super) const fn new(class_label: &'t str, sentences: bool) -> Self {
        Self {
            class_label,
            sentences,
        }
    }

    pub(super) fn has_something_to_say(&self, shown: &Shown<'_>) -> bool {
        let preview = shown.preview;
        let of_pod =
            |pod: &PodPreview| self.sentences || !pod.is_allowed() || !pod.warnings().is_empty();
        preview.pods.iter().any(of_pod)
            || !preview.diagnostics.is_empty()
            || shown.edited().is_some_and(|edited| edited.rewritten)
    }

    pub(super) fn document(&self, shown: &Shown<'_>) {
        for pod in &shown.preview.pods {
            self.pod(shown, pod);
        }
        for diagnostic in &shown.preview.diagnostics {
            show(&with_field(diagnostic));
        }
        if shown.edited().is_some_and(|edited| edited.rewritten) {
            tell(format_args!(
                "{}: the document is written anew, without its comments and anchors: its text could not take the change",
                shown.name()
            ));
        }
    }

    fn pod(&self, shown: &Shown<'_>, pod: &PodPreview) {
        let subject = subject(shown, pod);
        if !pod.is_allowed() {
            let message = pod.message().unwrap_or_default();
            let message = format!("{subject}: {}: {message}", pod.reason());
            return show(&at(
                shown,
                &self.label(shown, pod),
                message,
                Severity::Error,
            ));
        }
        if self.sentences {
            tell(format_args!("{subject}: {}", sentence(pod)));
        }
        for warning in pod.warnings() {
            // this one is among the document's diagnostics
            if *warning != Warning::DaemonSetTemplate {
                let message = format!("{subject}: {warning}");
                show(&at(shown, &pod.template.spec, message, Severity::Warning));
            }
        }
    }

    /// What the eye should fall on where a Pod is denied: its class, where that can be found.
    fn label(&self, shown: &Shown<'_>, pod: &PodPreview) -> String {
        let key = pointer_segment(self.class_label);
        let labels = pod.template.labels.iter().rev();
        let mut labels = labels.map(|labels| format!("{labels}/{key}"));
        let found = labels.find(|label| shown.value.pointer(label).is_some());
        found.unwrap_or_else(|| pod.template.spec.clone())
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

/// A diagnostic about a field, which is a JSON Pointer in the document.
fn at(shown: &Shown<'_>, pointer: &str, message: String, severity: Severity) -> Diagnostic {
    let field = field(pointer);
    let span = shown.root.map(|root| root.locate(&field));
    Diagnostic {
        severity,
        field,
        ..Diagnostic::error(message).at(shown.document, span.unwrap_or_default())
    }
}

/// The Pod by the name of its object, and by its place where the object has several.
fn subject(shown: &Shown<'_>, pod: &PodPreview) -> String {
    let of_object = shown
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
        (kind, "") => format!("{}: {kind}{place}", shown.name()),
        ("Pod", name) => format!("{name}{place}"),
        (kind, name) => format!("{kind}/{name}{place}"),
    }
}

fn sentence(pod: &PodPreview) -> String {
    let class = pod.class.as_deref().unwrap_or_default();
    let pool = pod.pool().unwrap_or_default();
    match (pod.reason().verdict(), pod.reason()) {
        (Verdict::Mutated, _) => format!("{class} → pool {pool}: {}", pod.summary()),
        (_, Reason::InPlace) => format!("{class} → pool {pool}: it has all it needs"),
        (_, Reason::NoClass) => "no workload class, so berth leaves it alone".to_owned(),
        (_, Reason::OptedOut) => "opted out, so berth leaves it alone".to_owned(),
        (_, Reason::MirrorPod) => "a static Pod's mirror, so berth leaves it alone".to_owned(),
        (_, reason) => format!("berth leaves it alone ({reason})"),
    }
}
