//! What no webhook can say, since it sees the Pod alone, and only when it is too late.

use serde_json::Value;

use super::PodPreview;
use crate::{
    diagnostic::{Diagnostic, Severity},
    workload::field,
};
use berth_core::{
    names::CONTAINER_ANNOTATION,
    outcome::{Reason, Warning},
    table::AllocationTable,
};

mod class;
mod container;
mod early;
mod object;
mod rollout;
mod shape;
mod warnings;

pub(super) use object::{malformed_items, no_container, of_document};

use object::wrong_version;

/// Declares [`Topic`] from one table; a variant's name is its word.
macro_rules! topics {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// What there is to say about a document.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Topic { $($(#[$doc])+ $name,)+ }

        impl Topic {
            /// Every topic.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }
        }
    };
}

topics! {
    /// The class label is where no Pod gets it.
    LabelElsewhere,
    /// A DaemonSet's controller judges nodes by its template.
    DaemonSetTemplate,
    /// A rollout needs a GPU more than the Pods have.
    SurgeNeedsGpu,
    /// A controller reads the template's limit before berth adds it.
    LimitReadEarly,
    /// The API server denies it, whatever berth answers.
    Invalid,
    /// An amount that Kubernetes does not read.
    NotAQuantity,
    /// A container has no name.
    ContainerWithoutName,
    /// The template's API does not take what the Pods will get.
    NotInTemplate,
    /// The Pods' containers are not in the document.
    NoContainer,
    /// It looks like a Pod's template, and no controller makes Pods of it.
    NotATemplate,
    /// Kubernetes would not take it as an object.
    NotAnObject,
    /// Another tool makes the manifests of it.
    NotRendered,
    /// A Pod asks for a GPU, and names no class.
    GpuWithoutClass,
    /// A controller adds a container, and so it is not clear which gets the GPU.
    AddedContainer,
    /// A mapping has a key twice.
    DuplicateKey,
    /// A comment that should suppress a finding does not.
    Suppression,
}

impl Topic {
    /// How much it matters: an error is what the API server does not take, a note of what a preview cannot show.
    const fn severity(self) -> Severity {
        match self {
            // a DaemonSet whose template says nothing makes Pods that never start, on every other node
            Self::Invalid
            | Self::NotAQuantity
            | Self::ContainerWithoutName
            | Self::NotAnObject
            | Self::DaemonSetTemplate => Severity::Error,
            Self::NotInTemplate
            | Self::NoContainer
            | Self::NotATemplate
            | Self::NotRendered
            | Self::GpuWithoutClass
            | Self::AddedContainer => Severity::Note,
            _ => Severity::Warning,
        }
    }

    /// Whether no comment can suppress it.
    pub(super) const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Invalid
                | Self::NotAQuantity
                | Self::ContainerWithoutName
                | Self::NotAnObject
                | Self::Suppression
        )
    }

    /// Whether a finding of a code is about a key, and not about its value.
    pub(super) fn is_of_key(code: Option<&str>) -> bool {
        let of_warning = Warning::UnknownKey {
            key: String::new(),
            meant: None,
        };
        code == Some(Self::LabelElsewhere.as_str()) || code == Some(of_warning.as_str())
    }

    /// Says it about a field, which is a JSON Pointer in the document.
    pub(super) fn of(
        self,
        pointer: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            code: Some(self.as_str()),
            severity: self.severity(),
            field: field(pointer),
            message: message.into(),
            help: Some(help.into()),
            expected: None,
            place: None,
        }
    }
}

/// What there is to say about a Pod's place in its document.
pub(super) fn of_pod(
    document: &Value,
    pod: &PodPreview,
    table: &AllocationTable,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if pod.left_out.is_some() {
        return;
    }
    let elsewhere = class::elsewhere(document, pod, table);
    let has_class_elsewhere = !elsewhere.is_empty();
    // a key that is told to be moved is not told to be unknown, too
    let is_new = |it: &Diagnostic| elsewhere.iter().all(|moved| moved.field != it.field);
    let mut warnings = warnings::all(document, pod);
    warnings.retain(is_new);
    diagnostics.extend(elsewhere);
    diagnostics.extend(warnings);
    if pod.class.is_none() {
        let without_class = || class::gpu_without_class(document, pod, table);
        diagnostics.extend((!has_class_elsewhere).then(without_class).flatten());
        return;
    }
    for list in ["initContainers", "containers"] {
        let path = format!("{}/{list}", pod.template.spec);
        let containers = document.pointer(&path).and_then(Value::as_array);
        for (i, container) in containers.into_iter().flatten().enumerate() {
            container::of_container(container, &format!("{path}/{i}"), pod, diagnostics);
        }
    }
    let object = document.pointer(&pod.template.object);
    let version = object.and_then(|object| wrong_version(object, &pod.template.object));
    diagnostics.extend(version);
    diagnostics.extend(shape::of_pod(document, pod));
    diagnostics.extend(daemon_set(pod));
    diagnostics.extend(rollout::surge(document, pod));
    diagnostics.extend(early::limit_read_early(document, pod));
    diagnostics.extend(not_in_template(pod));
    diagnostics.extend(added_container(document, pod));
}

/// Why it is not clear which container gets the GPU, where the author has written one alone.
fn added_container(document: &Value, pod: &PodPreview) -> Option<Diagnostic> {
    let added = pod.template.added(document);
    let is_theirs = !added.is_empty() && pod.reason() == Reason::ContainerAmbiguous;
    is_theirs.then(|| {
        let (kind, plural) = (&pod.kind, if added.len() == 1 { "" } else { "s" });
        let added: Vec<String> = added.iter().map(|name| format!("{name:?}")).collect();
        let added = added.join(" and ");
        Topic::AddedContainer.of(
            &format!("{}/containers", pod.template.spec),
            format!("this {kind}'s controller adds the container{plural} {added} to these Pods"),
            format!(
                "name your container in the annotation {CONTAINER_ANNOTATION} of this template"
            ),
        )
    })
}

fn daemon_set(pod: &PodPreview) -> Option<Diagnostic> {
    let is_judged = pod.warnings().contains(&Warning::DaemonSetTemplate);
    is_judged.then(|| {
        Topic::DaemonSetTemplate.of(
            &pod.template.spec,
            "a DaemonSet's controller judges nodes by this template, not by what berth adds to the Pods",
            "write tolerations and nodeSelector here, too: `berth preview -o yaml` does so with the node affinity",
        )
    })
}

fn not_in_template(pod: &PodPreview) -> Option<Diagnostic> {
    let is_missing = |path: &str| !pod.template.takes(path);
    let mut paths = pod.patch.iter().map(|operation| operation.path().as_str());
    paths.any(is_missing).then(|| {
        Topic::NotInTemplate.of(
            &pod.template.spec,
            "Knative takes no placement in a template, unless its flags kubernetes.podspec-* allow it",
            "leave it to berth, which places the Pods when they are created",
        )
    })
}
