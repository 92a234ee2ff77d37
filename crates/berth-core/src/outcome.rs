//! What a review came to: one enum of reasons feeds the metric label, the log field, the audit annotation,
//! the status code and the CLI's sentence, so that they cannot disagree.

use std::fmt;

use crate::{
    container_annotation,
    names::{GROUP, POOL_ANNOTATION},
    shown,
};

/// The result of a review, as every output names it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verdict {
    /// Allowed as it is.
    Allowed,
    /// Allowed with a patch.
    Mutated,
    /// Denied, with a message for the user.
    Denied,
    /// Not answered: the request could not be read, or berth cannot know; the `failurePolicy` decides.
    Error,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Mutated => "mutated",
            Self::Denied => "denied",
            Self::Error => "error",
        }
    }
}

/// Declares [`Reason`] from one table: the variant (which is its word, too), verdict, code, doc, and the remedy of a
/// denial.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident: $verdict:ident $code:literal $(=> $remedy:expr)?,)+) => {
        /// Why a review came out as it did.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            /// Every reason, in the order of the docs.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// The result that it belongs to.
            #[must_use]
            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$name => Verdict::$verdict,)+ }
            }

            /// The code: of the review's status for a denial, of HTTP for an error.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)+ }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_start(),)+ }
            }

            /// What the Pod's author does about a denial.
            #[must_use]
            pub fn remedy(self) -> Option<&'static str> {
                match self { $(Self::$name => [$($remedy)?].first().copied(),)+ }
            }
        }
    };
}

reasons! {
    /// Not the creation of a Pod.
    NotPodCreate: Allowed 200,
    /// A mirror of a static Pod: its kubelet runs it whatever berth answers.
    MirrorPod: Allowed 200,
    /// The label `berth.dev/inject: disabled`.
    OptedOut: Allowed 200,
    /// The Pod names no workload class.
    NoClass: Allowed 200,
    /// The Pod has all that it needs already.
    InPlace: Allowed 200,
    /// The patch gives the Pod what its class needs.
    Placed: Mutated 200,

    /// The Pod is missing, or has the wrong shape where berth reads it.
    PodShape: Denied 400 =>
        "Fix the field that the message names.",
    /// The class label's value is not a valid label value.
    LabelSyntax: Denied 422 =>
        "Give the label a class's name.",
    /// No such class, or not open to the namespace.
    ClassUnavailable: Denied 403 =>
        "Use one of the classes that the message lists, or ask for the namespace to be added to the class's `namespaceSelector`.",
    /// The class has a problem, or one of its pools has.
    ClassNotReady: Denied 403 =>
        "Wait for the class's owner to fix it: `kubectl get workloadclass NAME -o yaml` says in its conditions what is wrong.",
    /// `nodeName` bypasses the scheduler.
    NodeNameSet: Denied 403 =>
        "Remove `nodeName`, and use only the label, or a `nodeSelector`.",
    /// The Pod's own node constraints exclude every pool of the class.
    PlacementContradiction: Denied 403 =>
        "Remove the `nodeSelector` or node affinity that the message names, or use a class whose pools it allows.",
    /// It is not clear which container gets the GPU.
    ContainerAmbiguous: Denied 403 =>
        concat!("Name the container in the annotation `", container_annotation!(), "`, or give it the GPU limit."),
    /// The container annotation names no container, or another one than the one that asks.
    ContainerConflict: Denied 403 =>
        concat!("Let the annotation `", container_annotation!(), "` name the container that asks for the GPU, or leave it out."),
    /// The Pod asks for a GPU that the class does not have.
    OtherGpu: Denied 403 =>
        "Remove the resource that the message names, since berth adds the right one; or use a class that has that GPU.",
    /// The Pod asks for more GPUs than the class allows.
    TooManyGpus: Denied 403 =>
        "Ask for fewer, or use another class. A LimitRange of the namespace may have added the request.",
    /// A container asks for the same GPU under two names.
    AliasConflict: Denied 403 =>
        "Keep one of the two names.",
    /// A container's request and limit for the GPU differ.
    RequestDiffers: Denied 422 =>
        "Set only the limit: Kubernetes copies it to the request.",
    /// Not a whole number of GPUs.
    FractionalGpu: Denied 422 =>
        "Ask for a whole number. For a share of a GPU, use a class whose pool has `sharing`.",
    /// A Windows Pod in a class without a Windows pool, or another Pod in a class that has no other.
    WindowsPod: Denied 403 =>
        "Use a class with a pool that selects `kubernetes.io/os: windows`; in such a class, set `spec.os.name` to `windows`.",
    /// The Pod would have too many node affinity terms.
    TooManyTerms: Denied 422 =>
        "Use fewer terms: one `In` with several values instead of a term for each.",
    /// The Pod would have too many tolerations.
    TooManyTolerations: Denied 422 =>
        "Remove tolerations: one `Exists` without a value instead of one for each.",
    /// The Pod has too many containers.
    TooManyContainers: Denied 422 =>
        "Split the Pod.",
    /// The Pod has more in its lists and maps than berth reads, or would have.
    PodTooLarge: Denied 422 =>
        "Make the longest list shorter: environment variables, labels, annotations, resources, or the values of a node affinity term.",

    /// No such path.
    WrongPath: Error 404,
    /// No such method on the path.
    WrongMethod: Error 405,
    /// Not `application/json`, or encoded.
    MediaType: Error 415,
    /// The body is not an `admission.k8s.io/v1` `AdmissionReview` that berth can read.
    BadReview: Error 400,
    /// The body is larger than the limit, or has too many values besides the Pod.
    BodyTooLarge: Error 413,
    /// The body did not arrive in time.
    BodyTooSlow: Error 408,
    /// No table has been loaded yet.
    NoTable: Error 503,
    /// The labels of the Pod's namespace are not known yet: it has just been made.
    NamespaceUnknown: Error 503,
    /// Too many reviews at once.
    Overloaded: Error 503,
    /// The API server's deadline passed.
    DeadlinePassed: Error 503,
    /// An internal error: a bug in berth.
    Panicked: Error 500,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A denial: why, and the words for the user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial {
    /// The word for metrics, log and docs.
    pub reason: Reason,
    /// What is wrong, both sides named, and what to change.
    pub message: String,
    /// The field that it is about, where it is about one.
    pub at: Option<Box<At>>,
    /// The message's parts, where only the middle is of one group's.
    parts: Option<Box<Parts>>,
}

/// The field that a denial is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct At {
    /// As people write it, `spec.containers[0].name`; empty for the Pod.
    pub field: String,
    /// What belongs there, where a value of another kind is, in the words of the message: `a string`.
    pub expected: Option<&'static str>,
}

/// A sentence that is the same for every group but for its middle.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Parts {
    before: String,
    of_group: String,
    /// What stands between the middles of two groups.
    between: &'static str,
    after: String,
}

impl Denial {
    /// A denial with its message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            at: None,
            parts: None,
        }
    }

    /// The same denial about a field.
    #[must_use]
    pub fn at(self, field: impl Into<String>, expected: Option<&'static str>) -> Self {
        let field = field.into();
        Self {
            at: Some(Box::new(At { field, expected })),
            ..self
        }
    }

    /// A denial whose sentence is the same for every group but for the middle; `between` stands between two middles.
    #[must_use]
    pub fn of_group(
        reason: Reason,
        before: String,
        of_group: String,
        between: &'static str,
        after: String,
    ) -> Self {
        let message = format!("{before}{of_group}{after}");
        let parts = Parts {
            before,
            of_group,
            between,
            after,
        };
        Self {
            parts: Some(Box::new(parts)),
            ..Self::new(reason, message)
        }
    }

    /// One sentence for several groups, if theirs differ in the middle at most (rule 0).
    #[must_use]
    pub fn one_sentence(denials: &[Self]) -> Option<String> {
        let (first, others) = denials.split_first()?;
        if others.iter().all(|other| other.message == first.message) {
            return Some(first.message.clone());
        }
        let Parts {
            before,
            between,
            after,
            ..
        } = &**first.parts.as_ref()?;
        let middle = |denial: &Self| {
            let parts = denial.parts.as_ref()?;
            let same = parts.before == *before && parts.after == *after;
            same.then(|| parts.of_group.clone())
        };
        let middles: Option<Vec<String>> = denials.iter().map(middle).collect();
        Some(format!("{before}{}{after}", middles?.join(between)))
    }
}

/// An answer has so many warnings at most.
pub const WARNINGS: usize = 32;

/// Something that the Pod's author should know, though the Pod is allowed. kubectl prints it; a controller drops it
/// (fact 8).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Warning {
    /// The DaemonSet controller judges nodes by the template, not by what berth adds to the Pod.
    DaemonSetTemplate,
    /// Each Pod of the DaemonSet takes a GPU of its node.
    DaemonSetGpu {
        /// The container that it is given to.
        container: String,
        /// The resource.
        resource: String,
    },
    /// A `NoExecute` taint of the pool is tolerated for a time only.
    TolerationEnds {
        /// The taint's key.
        taint: String,
    },
    /// The container has claims, and nothing asks for a GPU: the claim may be it.
    ClaimsOnly {
        /// The container's name.
        container: String,
    },
    /// A zero keeps the GPU away from the container that would get it.
    ZeroGpus {
        /// The container's name.
        container: String,
        /// The resource.
        resource: String,
        /// Where the zero stands: `limit` or `request`.
        amount: &'static str,
    },
    /// A companion of another vendor's GPU: no node of the pools has it.
    ForeignCompanion {
        /// The resource.
        resource: String,
        /// Whose it is.
        vendor: &'static str,
        /// The pools, joined by commas.
        pools: String,
    },
    /// A name in a vendor's domain of which berth does not know whether it is a GPU.
    UnknownResource {
        /// The resource.
        resource: String,
    },
    /// Another runtime class is set, and kept.
    RuntimeClassKept {
        /// The Pod's.
        kept: String,
        /// The pool's.
        wanted: String,
    },
    /// Another vendor's runtime class is set, and kept: the Pod will not start.
    ForeignRuntimeClass {
        /// The Pod's.
        kept: String,
        /// Whose it is.
        vendor: &'static str,
        /// The pools, joined by commas.
        pools: String,
        /// Whose GPUs they have.
        of_pools: &'static str,
    },
    /// The runtime class is the empty text, which the API server denies.
    RuntimeClassEmpty,
    /// Another scheduler is set, and kept.
    SchedulerKept {
        /// The Pod's.
        kept: String,
        /// The class's.
        wanted: String,
    },
    /// A label or an annotation of berth's that it does not know.
    UnknownKey {
        /// Which of the two, and its key.
        key: String,
        /// Which of the two was probably meant, and its key.
        meant: Option<String>,
    },
    /// More such labels and annotations than are named.
    MoreUnknownKeys {
        /// How many more.
        count: usize,
    },
    /// A label of berth's has a value without a meaning.
    UnknownValue {
        /// The label.
        key: &'static str,
        /// Its value.
        value: String,
        /// The only value with a meaning.
        known: &'static str,
    },
    /// What berth adds to the environment wins over `envFrom`.
    EnvFromOverridden {
        /// The container's name.
        container: String,
    },
    /// The author's variable defeats the GPU limit under the NVIDIA runtime.
    VisibleDevices {
        /// The container's name.
        container: String,
        /// Whether it ends with a GPU.
        has_gpu: bool,
    },
    /// The Pod's annotations are full.
    AnnotationsFull,
    /// There are more warnings than an answer has.
    More,
}

impl Warning {
    /// The container that it is about; none where it is about the Pod.
    #[must_use]
    pub fn container(&self) -> Option<&str> {
        match self {
            Self::DaemonSetGpu { container, .. }
            | Self::ClaimsOnly { container }
            | Self::ZeroGpus { container, .. }
            | Self::EnvFromOverridden { container }
            | Self::VisibleDevices { container, .. } => Some(container),
            _ => None,
        }
    }
}

/// Declares the word of each [`Warning`]: its variant's name.
macro_rules! words {
    ($($name:ident,)+) => {
        impl Warning {
            /// The word of every warning.
            pub const WORDS: &[&str] = &[$(stringify!($name),)+];

            /// The stable word for it.
            #[must_use]
            pub const fn as_str(&self) -> &'static str {
                match self { $(Self::$name { .. } => stringify!($name),)+ }
            }
        }
    };
}

words! {
    DaemonSetTemplate,
    DaemonSetGpu,
    TolerationEnds,
    ClaimsOnly,
    ZeroGpus,
    ForeignCompanion,
    UnknownResource,
    RuntimeClassKept,
    ForeignRuntimeClass,
    RuntimeClassEmpty,
    SchedulerKept,
    UnknownKey,
    MoreUnknownKeys,
    UnknownValue,
    EnvFromOverridden,
    VisibleDevices,
    AnnotationsFull,
    More,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DaemonSetTemplate => {
                f.write_str("berth: put the tolerations and a nodeSelector into the DaemonSet's template, too: its controller reads only that")
            }
            Self::DaemonSetGpu { container, resource } => {
                write!(f, "berth: each Pod of this DaemonSet takes a GPU; if it needs none, set the limit {resource}: 0 on {container}")
            }
            Self::TolerationEnds { taint } => {
                write!(f, "berth: taint {taint} is tolerated for tolerationSeconds only: the Pod is evicted then; remove that field to stay")
            }
            Self::ClaimsOnly { container } => {
                write!(f, "berth: container {container} has resource claims: placed, but given no GPU limit")
            }
            Self::ZeroGpus { container, resource, amount } => {
                write!(f, "berth: container {container} gets no GPU: its {amount} of {resource} is 0 (a LimitRange's?); remove it to get one")
            }
            Self::ForeignCompanion { resource, vendor, pools } => {
                write!(f, "berth: {resource} is {vendor}'s, and no node of pool {pools} has it: remove it")
            }
            Self::UnknownResource { resource } => {
                write!(f, "berth: unknown whether {resource} is a GPU: who runs berth can add it, by --gpu-resource")
            }
            Self::RuntimeClassKept { kept, wanted } => {
                write!(f, "berth: runtimeClassName {kept} kept; the pool needs {wanted}: remove the field to get that")
            }
            Self::ForeignRuntimeClass { kept, vendor, pools, of_pools } => {
                write!(f, "berth: runtimeClassName {kept} is {vendor}'s, and pool {pools} has GPUs of {of_pools}: the Pod will not start there")
            }
            Self::RuntimeClassEmpty => {
                f.write_str("berth: runtimeClassName is empty: the API server denies it; remove the field")
            }
            Self::SchedulerKept { kept, wanted } => {
                write!(f, "berth: schedulerName {kept} kept; the class needs {wanted}: remove the field to get that")
            }
            Self::UnknownKey { key, meant: Some(meant) } => {
                write!(f, "berth: unknown {key}; did you mean the {meant}?")
            }
            Self::UnknownKey { key, meant: None } => write!(f, "berth: unknown {key}: it does nothing"),
            Self::MoreUnknownKeys { count } => {
                write!(f, "berth: and {count} more unknown labels and annotations of {GROUP}: they do nothing")
            }
            Self::UnknownValue { key, value, known } => {
                let value = shown::quoted(value);
                write!(f, "berth: label {key}: {value} does nothing; did you mean {known:?}?")
            }
            Self::EnvFromOverridden { container } => {
                write!(f, "berth: the env added to container {container} overrides its envFrom: rename a variable there to keep it")
            }
            Self::VisibleDevices { container, has_gpu: false } => {
                write!(f, "berth: NVIDIA_VISIBLE_DEVICES shows GPUs to container {container}, which has no GPU: set it to void")
            }
            Self::VisibleDevices { container, has_gpu: true } => {
                write!(f, "berth: NVIDIA_VISIBLE_DEVICES in container {container} defeats the GPU limit: remove it")
            }
            Self::More => f.write_str("berth: there are more warnings: fix these, and try again to see the others"),
            Self::AnnotationsFull => write!(f, "berth: no room for the annotation {POOL_ANNOTATION} within 256 KiB"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_with_usual_names_has_at_most_120_characters() {
        let [container, pool] = ["open-webui", "strix-halo"].map(str::to_owned);
        let [resource, model] =
            ["gpu.intel.com/i915", "nvidia.com/TU104GL_Tesla_T4"].map(str::to_owned);
        let (kept, key) = (
            "nvidia-legacy".to_owned(),
            "annotation berth.dev/contaner".to_owned(),
        );
        let warnings = [
            Warning::DaemonSetTemplate,
            Warning::DaemonSetGpu {
                container: container.clone(),
                resource: resource.clone(),
            },
            Warning::ZeroGpus {
                container: container.clone(),
                resource: resource.clone(),
                amount: "request",
            },
            Warning::ForeignCompanion {
                resource: model.clone(),
                vendor: "Moore Threads",
                pools: pool.clone(),
            },
            Warning::UnknownResource { resource: model },
            Warning::ForeignRuntimeClass {
                kept: kept.clone(),
                vendor: "NVIDIA",
                pools: pool.clone(),
                of_pools: "AMD",
            },
            Warning::RuntimeClassEmpty,
            Warning::SchedulerKept {
                kept: kept.clone(),
                wanted: kept,
            },
            Warning::VisibleDevices {
                container,
                has_gpu: false,
            },
            Warning::UnknownKey {
                key,
                meant: Some("annotation berth.dev/container".to_owned()),
            },
            Warning::UnknownValue {
                key: crate::names::INJECT_LABEL,
                value: "Disabled".to_owned(),
                known: crate::names::DISABLED,
            },
        ];
        for warning in warnings {
            let text = warning.to_string();
            assert!(text.chars().count() <= 120, "{}: {text}", text.len());
        }
    }

    #[test]
    fn every_denial_has_a_remedy_and_nothing_else_has() {
        for reason in Reason::ALL {
            let denied = reason.verdict() == Verdict::Denied;
            assert_eq!(reason.remedy().is_some(), denied, "{reason}");
            assert!(
                reason.meaning().ends_with('.'),
                "{reason}: {}",
                reason.meaning()
            );
        }
    }
}
