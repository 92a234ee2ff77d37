//! What is said beside the data, on standard error.

use std::collections::{BTreeMap, btree_map::Entry};

use super::{Shown, denial};
use crate::cli::report::{show, tell};
use berth_core::{
    json::pointer_segment,
    outcome::{Reason, Verdict},
};
use berth_manifests::{
    diagnostic::{Diagnostic, Severity},
    preview::{LeftOut, PodPreview},
    workload::field,
};

/// How many places of a finding are named where it is said once for many.
const PLACES: usize = 3;

/// Says what there is to say about each document.
#[derive(Debug)]
pub(super) struct Reporter<'t> {
    class_label: &'t str,
    /// Whether there is a sentence for each Pod.
    sentences: bool,
    /// What has been said already.
    said: BTreeMap<String, Repeated>,
}

/// A finding that was said, and came again.
#[derive(Debug, Default)]
struct Repeated {
    title: String,
    count: usize,
    places: Vec<String>,
}

impl<'t> Reporter<'t> {
    pub(super) const fn new(class_label: &'t str, sentences: bool) -> Self {
        Self {
            class_label,
            sentences,
            said: BTreeMap::new(),
        }
    }

    pub(super) fn has_something_to_say(&self, shown: &Shown<'_>) -> bool {
        let preview = shown.preview;
        let of_pod = |pod: &PodPreview| self.sentences || !pod.is_allowed();
        preview.pods.iter().any(of_pod)
            || !preview.diagnostics.is_empty()
            || shown.edited().is_some_and(|edited| edited.rewritten)
    }

    pub(super) fn document(&mut self, shown: &Shown<'_>) {
        for pod in &shown.preview.pods {
            self.pod(shown, pod);
        }
        for diagnostic in &shown.preview.diagnostics {
            let title = diagnostic.code.unwrap_or(&diagnostic.message);
            self.once(title, &diagnostic.message, &with_field(diagnostic));
        }
        if shown.edited().is_some_and(|edited| edited.rewritten) {
            tell(format_args!(
                "{}: the document is written anew, without its comments and anchors: its text could not take the change",
                shown.name()
            ));
        }
    }

    /// Says how often a finding came again, and where first.
    pub(super) fn end(&self) {
        for again in self.said.values().filter(|it| it.count > 0) {
            let Repeated {
                title,
                count,
                places,
            } = again;
            let more = if *count > places.len() { ", …" } else { "" };
            let places = places.join(", ");
            let times = if *count == 1 { "place" } else { "places" };
            tell(format_args!(
                "{title}: the same in {count} more {times}: {places}{more}"
            ));
        }
    }

    /// Shows a finding, where its words come for the first time; else it is counted.
    fn once(&mut self, title: &str, words: &str, diagnostic: &Diagnostic) {
        let key = format!("{title}\0{words}");
        match self.said.entry(key) {
            Entry::Vacant(first) => {
                first.insert(Repeated {
                    title: title.to_owned(),
                    ..Repeated::default()
                });
                show(diagnostic);
            }
            Entry::Occupied(again) => {
                let again = again.into_mut();
                again.count += 1;
                if again.places.len() < PLACES {
                    let place = diagnostic.place.as_ref().map(ToString::to_string);
                    again.places.extend(place);
                }
            }
        }
    }

    fn pod(&mut self, shown: &Shown<'_>, pod: &PodPreview) {
        let subject = subject(shown, pod);
        if pod.is_allowed() {
            if self.sentences {
                tell(format_args!("{subject}: {}", sentence(pod)));
            }
            return;
        }
        let words = pod.message().unwrap_or_default();
        let message = format!("{subject}: {}: {words}", pod.reason());
        let named = denial::field(&words).map(|field| pod.template.locate(&field));
        let named = named.map(|pointer| self.label_of(shown, pod, pointer));
        let pointer = named.unwrap_or_else(|| self.label(shown, pod));
        let help = shown.value.pointer(&pointer).and_then(denial::help);
        let diagnostic = Diagnostic {
            help: help.filter(|_| words.contains("expected ")),
            ..at(shown, &pointer, message, Severity::Error)
        };
        self.once(pod.reason().as_str(), &words, &diagnostic);
    }

    /// Where a label of the Pod stands; any other field is where it is.
    fn label_of(&self, shown: &Shown<'_>, pod: &PodPreview, pointer: String) -> String {
        let Some(key) = pointer.strip_prefix("/metadata/labels/") else {
            return pointer;
        };
        let maps = pod.template.labels.iter().rev();
        let mut places = maps.map(|map| format!("{map}/{key}"));
        let found = places.find(|place| shown.value.pointer(place).is_some());
        found.unwrap_or_else(|| self.label(shown, pod))
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
    let namespace = &pod.namespace;
    match pod.left_out {
        Some(LeftOut::Excluded) => {
            return format!(
                "the webhook is never asked about namespace {namespace}, so berth leaves it alone"
            );
        }
        Some(LeftOut::OptedOut) => {
            return format!("namespace {namespace} has opted out, so berth leaves it alone");
        }
        None => {}
    }
    match (pod.reason().verdict(), pod.reason()) {
        (Verdict::Mutated, _) => format!("{class} → pool {pool}: {}", pod.summary()),
        (_, Reason::InPlace) => format!("{class} → pool {pool}: it has all it needs"),
        (_, Reason::NoClass) => "no workload class, so berth leaves it alone".to_owned(),
        (_, Reason::OptedOut) => "opted out, so berth leaves it alone".to_owned(),
        (_, Reason::MirrorPod) => "a static Pod's mirror, so berth leaves it alone".to_owned(),
        (_, reason) => format!("berth leaves it alone ({reason})"),
    }
}
