//! What is said beside the data, on standard error.

use std::collections::{BTreeMap, btree_map::Entry};

use super::{
    Format,
    shown::{Finding, Shown},
};
use crate::cli::report::{show, tell};
use berth_core::outcome::{Reason, Verdict};
use berth_manifests::preview::{LeftOut, PodPreview};

/// How many places of a finding are named where it is said once for many.
const PLACES: usize = 3;

/// Says what there is to say about each document.
#[derive(Debug)]
pub(super) struct Reporter {
    says: Says,
    /// What has been said already.
    said: BTreeMap<String, Repeated>,
}

/// What a format leaves to be said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Says {
    /// A sentence for each Pod, too.
    Everything,
    Findings,
    /// The data says it all.
    Nothing,
}

/// A finding that was said, and came again.
#[derive(Debug, Default)]
struct Repeated {
    title: String,
    count: usize,
    places: Vec<String>,
}

impl Reporter {
    pub(super) const fn new(format: Format) -> Self {
        Self {
            says: match format {
                Format::Diff => Says::Everything,
                Format::Github => Says::Nothing,
                _ => Says::Findings,
            },
            said: BTreeMap::new(),
        }
    }

    pub(super) fn has_something_to_say(&self, shown: &Shown<'_>) -> bool {
        let preview = shown.preview;
        let of_pod = |pod: &PodPreview| self.says == Says::Everything || !pod.is_allowed();
        let has_something = preview.pods.iter().any(of_pod)
            || !preview.diagnostics.is_empty()
            || shown.edited().is_some_and(|edited| edited.rewritten);
        has_something && self.says != Says::Nothing
    }

    pub(super) fn document(&mut self, shown: &Shown<'_>) {
        for pod in &shown.preview.pods {
            if !pod.is_allowed() {
                shown.denials(pod).for_each(|denial| self.once(denial));
            } else if self.says == Says::Everything {
                tell(format_args!("{}: {}", shown.subject(pod), sentence(pod)));
            }
        }
        shown.findings().for_each(|finding| self.once(finding));
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
    fn once(&mut self, finding: Finding) {
        let Finding {
            title,
            words,
            diagnostic,
        } = finding;
        match self.said.entry(format!("{title}\0{words}")) {
            Entry::Vacant(first) => {
                first.insert(Repeated {
                    title,
                    ..Repeated::default()
                });
                show(&diagnostic);
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
