//! What is said beside the data, on standard error.

use miette::{
    Diagnostic, LabeledSpan, MietteError, MietteSpanContents, Severity, SourceCode, SourceSpan,
    SpanContents,
};

use super::Shown;
use crate::cli::report::tell;
use berth_core::{
    outcome::{Reason, Verdict, Warning},
    patch::pointer_segment,
};
use berth_manifests::{
    documents::{Document, Source},
    preview::PodPreview,
    workload::field,
    yaml::{self, Place},
};

/// So many lines are taken before and after a place.
const AROUND: usize = 2;
/// A longer line is not shown with a caret.
const WIDEST: usize = 500;

/// Who speaks.
#[derive(Debug)]
pub(super) struct Prose<'t> {
    class_label: &'t str,
    /// Whether there is a sentence for each Pod.
    sentences: bool,
}

impl<'t> Prose<'t> {
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
            || !preview.findings.is_empty()
            || shown.edited.is_some_and(|edited| edited.rewritten)
    }

    pub(super) fn document(&self, shown: &Shown<'_>) {
        for pod in &shown.preview.pods {
            self.pod(shown, pod);
        }
        for finding in &shown.preview.findings {
            let severity = if finding.topic.is_note() {
                Severity::Advice
            } else {
                Severity::Warning
            };
            let message = match &*finding.path {
                "" => finding.message.clone(),
                path => format!("{}: {}", field(path), finding.message),
            };
            tell_at(shown, severity, message, Some(&finding.help), &finding.path);
        }
        if shown.edited.is_some_and(|edited| edited.rewritten) {
            tell(format_args!(
                "{}:{}: the document is written anew, without its comments and anchors: its text could not take the change",
                shown.source, shown.document.line
            ));
        }
    }

    fn pod(&self, shown: &Shown<'_>, pod: &PodPreview) {
        let subject = subject(shown, pod);
        if !pod.is_allowed() {
            let message = pod.message().unwrap_or_default();
            let message = format!("{subject}: {}: {message}", pod.reason());
            return tell_at(
                shown,
                Severity::Error,
                message,
                None,
                &self.label(shown, pod),
            );
        }
        if self.sentences {
            tell(format_args!("{subject}: {}", sentence(pod)));
        }
        for warning in pod.warnings() {
            // this one is a finding
            if *warning != Warning::DaemonSetTemplate {
                tell_at(
                    shown,
                    Severity::Warning,
                    format!("{subject}: {warning}"),
                    None,
                    &pod.site.spec,
                );
            }
        }
    }

    /// What the eye should fall on where a Pod is denied: its class, where that can be found.
    fn label(&self, shown: &Shown<'_>, pod: &PodPreview) -> String {
        let key = pointer_segment(self.class_label);
        let labels = pod.site.labels.iter().rev();
        let mut labels = labels.map(|labels| format!("{labels}/{key}"));
        let found = labels.find(|label| shown.value.pointer(label).is_some());
        found.unwrap_or_else(|| pod.site.spec.clone())
    }
}

/// The Pod by the name of its object, and by its place where the object has several.
fn subject(shown: &Shown<'_>, pod: &PodPreview) -> String {
    let of_object = shown
        .preview
        .pods
        .iter()
        .filter(|other| other.site.object == pod.site.object);
    let place = if of_object.count() > 1 {
        let template = pod.site.template();
        let below = template.strip_prefix(&pod.site.object).unwrap_or(template);
        format!(" {}", field(below))
    } else {
        String::new()
    };
    match (&*pod.kind, &*pod.name) {
        (kind, "") => format!("{}:{}: {kind}{place}", shown.source, shown.document.line),
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

/// Says where a document is no YAML.
pub(super) fn malformed(source: &Source, document: &Document, error: yaml::Error) {
    let help = error.help(&document.text);
    let (excerpt, place) = Excerpt::around(source, document, &error.place);
    Remark {
        severity: Severity::Error,
        message: error.message,
        help: Some(help.to_owned()),
        excerpt,
        place,
    }
    .tell();
}

fn tell_at(shown: &Shown<'_>, severity: Severity, message: String, help: Option<&str>, path: &str) {
    let place = shown.root.map(|root| root.locate(&field(path)));
    let (excerpt, place) =
        Excerpt::around(shown.source, shown.document, &place.unwrap_or_default());
    Remark {
        severity,
        message,
        help: help.map(str::to_owned),
        excerpt,
        place,
    }
    .tell();
}

/// Something about a place in a document.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Remark {
    severity: Severity,
    message: String,
    help: Option<String>,
    excerpt: Excerpt,
    place: Place,
}

impl Remark {
    fn tell(mut self) {
        if self.excerpt.lines_at(&self.place).concat().len() > WIDEST {
            self.message = format!(
                "{}:{}: {}",
                self.excerpt.name,
                self.excerpt.line(&self.place),
                self.message
            );
            self.excerpt.text.clear();
            self.place = 0..0;
        }
        tell(format_args!("{:?}", miette::Report::new(self)));
    }
}

impl Diagnostic for Remark {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        (!self.excerpt.text.is_empty()).then_some(&self.excerpt as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(
            [LabeledSpan::underline(self.place.clone())].into_iter(),
        ))
    }
}

/// The lines around a place in a document, counted from the first of its source. No more than is shown: a document may
/// be large, and have many remarks.
#[derive(Debug)]
struct Excerpt {
    name: String,
    text: String,
    first_line: usize,
}

impl Excerpt {
    /// The excerpt, and the place in it.
    fn around(source: &Source, document: &Document, place: &Place) -> (Self, Place) {
        let (before, after) = document
            .text
            .split_at_checked(place.start)
            .unwrap_or_default();
        let mut ends = before.rmatch_indices('\n').map(|(at, _)| at + 1);
        let start = ends.nth(AROUND).unwrap_or_default();
        let mut ends = after
            .match_indices('\n')
            .map(|(at, _)| before.len() + at + 1);
        let end = ends
            .nth(AROUND)
            .unwrap_or(document.text.len())
            .max(place.end);
        let excerpt = Self {
            name: source.to_string(),
            text: document.text.get(start..end).unwrap_or_default().to_owned(),
            first_line: document.line
                + before
                    .get(..start)
                    .unwrap_or_default()
                    .matches('\n')
                    .count(),
        };
        (excerpt, place.start - start..place.end - start)
    }

    fn line(&self, place: &Place) -> usize {
        let before = self.text.get(..place.start).unwrap_or_default();
        self.first_line + before.matches('\n').count()
    }

    /// The line of a place, before and after its start.
    fn lines_at(&self, place: &Place) -> [&str; 2] {
        let (before, after) = self.text.split_at_checked(place.start).unwrap_or_default();
        let parts = [before.rsplit('\n').next(), after.split('\n').next()];
        parts.map(Option::unwrap_or_default)
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.text.read_span(span, before, after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            found.data(),
            *found.span(),
            found.line() + self.first_line - 1,
            found.column(),
            found.line_count(),
        )))
    }
}
