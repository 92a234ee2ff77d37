//! An admission review: bytes in, bytes out.
//!
//! The body is parsed once, as the review of a Pod. Only an object that is none is looked at again, to let pass what is none
//! of our business.

use std::borrow::Cow;

use crate::{
    json::{self, Map, Problem, STEPS, Text},
    names::{DISABLED, INJECT_LABEL, MIRROR_ANNOTATION},
    outcome::{At, Denial, Reason, WARNINGS, Warning},
    patch,
    placement::Placement,
    pod::{Pod, text},
    rules::{self, Creation},
    shown,
    table::AllocationTable,
    view::View,
};
use envelope::{Envelope, Misread, Object, Request};

mod envelope;
mod misread;
mod response;
mod subject;

pub use subject::{Owner, Subject};

/// The API version of the reviews that are read and written.
pub const API_VERSION: &str = "admission.k8s.io/v1";

/// Why a body cannot be answered with a review; an HTTP 400, but for two.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not text.
    #[error("the body is not UTF-8: {0}")]
    NotUtf8(#[from] std::str::Utf8Error),
    /// Not JSON, or not of a review's shape.
    #[error("the body is not the JSON of an AdmissionReview: {0}")]
    Json(json::Error),
    /// More than may be passed over, besides the object; an HTTP 413.
    #[error("the review has more than {} {}; make the Pod smaller", STEPS.most, STEPS.what)]
    TooMuch,
    /// Something else.
    #[error(
        "the body is not an AdmissionReview of admission.k8s.io/v1 with a request: send what kube-apiserver sends"
    )]
    NotAReview,
    /// No uid to answer to.
    #[error("request.uid must have 1 to 256 bytes")]
    Uid,
    /// The namespace is too new; an HTTP 503, after which the API server asks again.
    #[error("{0}")]
    NamespaceUnknown(String),
}

impl Error {
    /// The word for it.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::NamespaceUnknown(_) => Reason::NamespaceUnknown,
            Self::TooMuch => Reason::BodyTooLarge,
            Self::NotUtf8(_) | Self::Json(_) | Self::NotAReview | Self::Uid => Reason::BadReview,
        }
    }
}

impl From<json::Error> for Error {
    fn from(error: json::Error) -> Self {
        if *error.problem() == Problem::TooMany(STEPS) {
            Self::TooMuch
        } else {
            Self::Json(error)
        }
    }
}

/// The answer to a review.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// The response's JSON, an `AdmissionReview`.
    pub body: Vec<u8>,
    /// Whose review it was.
    pub subject: Subject<'a>,
    /// What was decided.
    pub decision: Decision<'a>,
    /// What the Pod's author should know.
    pub warnings: Vec<Warning>,
}

/// What was decided: the response, the metrics and the log read it.
#[derive(Clone, Debug)]
pub struct Decision<'a> {
    /// What it came to.
    pub reason: Reason,
    /// The class, one of the table's.
    pub class: Option<&'a str>,
    /// Where the Pod goes, and what it needs there; none where it is denied or not ours.
    pub placement: Option<Placement<'a>>,
    /// The message of a denial.
    pub message: Option<String>,
    /// The field that a denial is about, where it is about one.
    pub at: Option<Box<At>>,
    /// What the author should know whatever is decided: labels and annotations that do not do what they seem to.
    pub misread: Vec<Warning>,
}

/// What becomes of the GPUs of a Pod whose group is chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Taking {
    /// They are taken, unless it is a dry run.
    Takes,
    /// They stay.
    Looks,
}

/// Answers a review from one view.
pub fn review<'a>(body: &'a [u8], view: &'a View) -> Result<Answer<'a>, Error> {
    answer_to(body, view, Taking::Takes)
}

/// The answer that [`review`] would give now, without taking a GPU: for who may leave the choice to another replica
/// ([`Decision::is_chosen`]).
pub fn peek<'a>(body: &'a [u8], view: &'a View) -> Result<Answer<'a>, Error> {
    answer_to(body, view, Taking::Looks)
}

fn answer_to<'a>(body: &'a [u8], view: &'a View, taking: Taking) -> Result<Answer<'a>, Error> {
    let body = std::str::from_utf8(body)?;
    let mut request = json::parse::<Envelope<'a>>(body)?.request()?;
    let object = request.object.as_mut();
    let decision = match object.and_then(|object| object.wrong.take()) {
        Some(wrong) if request.creates_pod() => {
            misshapen(*wrong, body, text(&request.namespace), view)?
        }
        _ => decide(&request, taking, view),
    };
    answered(request, decision, view)
}

/// The answer, unless there can be none yet.
fn answered<'a>(
    request: Request<'a>,
    decision: Decision<'a>,
    view: &View,
) -> Result<Answer<'a>, Error> {
    if decision.reason == Reason::NamespaceUnknown {
        return Err(Error::NamespaceUnknown(
            decision.message.unwrap_or_default(),
        ));
    }
    Ok(answer(request, decision, view))
}

/// A Pod that has not the shape that berth reads, or is too large, unless it is none of ours.
fn misshapen<'a>(
    wrong: Misread<'_>,
    body: &str,
    namespace: &str,
    view: &View,
) -> Result<Decision<'a>, Error> {
    let Misread {
        error, labelled, ..
    } = wrong;
    if let Problem::Duplicate(_) = error.problem() {
        return Err(Error::Json(error.located(body)));
    }
    let exempt = labelled.and_then(|it| {
        let own = class_label(&view.table, it.labels.as_ref(), it.annotations.as_ref());
        match own {
            Err(Reason::NoClass) => class_of_namespace(view, namespace)
                .is_ok_and(|class| class.is_none())
                .then_some(Reason::NoClass),
            other => other.err(),
        }
    });
    if let Some(exempt) = exempt {
        return Ok(Decision::allow(exempt));
    }
    if let Problem::TooMany(bound) = error.problem() {
        return Ok(Decision::deny(rules::too_many(*bound)));
    }
    let field = error.path().trim_start_matches('.');
    let subject = if field.is_empty() { "the Pod" } else { field };
    let message = format!("{subject}: {}", error.problem());
    let expected = match error.problem() {
        Problem::Kind { expected, .. } => Some(*expected),
        _ => None,
    };
    let denial = Denial::new(Reason::PodShape, message);
    Ok(Decision::deny(denial.at(field, expected)))
}

/// What a readable request comes to.
fn decide<'a>(request: &Request<'a>, taking: Taking, view: &'a View) -> Decision<'a> {
    if !request.creates_pod() {
        return Decision::allow(Reason::NotPodCreate);
    }
    let Some(Object { pod, .. }) = &request.object else {
        let message = "the review has no object: a Pod is expected";
        return Decision::deny(Denial::new(Reason::PodShape, message));
    };
    let metadata = pod.metadata.as_ref();
    let labels = metadata.and_then(|metadata| metadata.labels.as_ref());
    let annotations = metadata.and_then(|metadata| metadata.annotations.as_ref());
    let mut creation = request.creation();
    creation.dry_run |= taking == Taking::Looks;
    let decision = match class_label(&view.table, labels, annotations) {
        Ok(class) => place(pod, class, creation, view),
        Err(reason @ Reason::NoClass) => match class_of_namespace(view, text(&request.namespace)) {
            Ok(Some(class)) => place(pod, class, creation, view),
            Ok(None) => Decision::allow(reason),
            Err(denial) => Decision::deny(denial),
        },
        Err(reason) => return Decision::allow(reason),
    };
    Decision {
        misread: misread::misread(view.table.class_label(), labels, annotations),
        ..decision
    }
}

fn place<'a>(pod: &Pod<'a>, class: &str, creation: Creation<'_>, view: &'a View) -> Decision<'a> {
    let allocation = match rules::authorise(view, class, creation.namespace) {
        Ok(allocation) => allocation,
        Err(denial) => return Decision::deny(denial),
    };
    let decision = match rules::place(pod, creation, view, allocation) {
        Ok(placement) => Decision::place(placement),
        Err(denial) => Decision::deny(denial),
    };
    Decision {
        class: Some(&allocation.name),
        ..decision
    }
}

/// The class that the labels name, or why berth has no say: a mirror Pod runs whatever we say (rule 28).
fn class_label<'p>(
    table: &AllocationTable,
    labels: Option<&'p Map<'_, Text<'_>>>,
    annotations: Option<&Map<'_, Text<'_>>>,
) -> Result<&'p str, Reason> {
    if annotations.is_some_and(|annotations| annotations.get(MIRROR_ANNOTATION).is_some()) {
        return Err(Reason::MirrorPod);
    }
    let label = |key: &str| labels.and_then(|labels| labels.get(key));
    if label(INJECT_LABEL).is_some_and(|value| **value == *DISABLED) {
        return Err(Reason::OptedOut);
    }
    label(table.class_label())
        .map(|class| &**class)
        .ok_or(Reason::NoClass)
}

/// The class that a namespace names for those of its Pods that name none themselves (rule 34).
fn class_of_namespace<'v>(view: &'v View, namespace: &'v str) -> Result<Option<&'v str>, Denial> {
    let namespace = view.namespace(namespace);
    if namespace.is_new() {
        return Err(rules::unseen(namespace));
    }
    Ok(namespace.label(view.table.class_label()))
}

/// Writes the answer. A denial says which table it comes from: two replicas may hold two for a moment (rule 33).
fn answer<'a>(request: Request<'a>, mut decision: Decision<'a>, view: &View) -> Answer<'a> {
    let revision = view.table.revision();
    if let Some(message) = &mut decision.message {
        let table = format!(" (table {revision})");
        let room = shown::MESSAGE - table.len();
        *message = shown::within(room, message).into_owned() + &table;
    }
    let pod = request.object.as_ref().map(|object| &object.pod);
    let patch = decision.placement.as_ref().zip(pod);
    let patch = patch.and_then(|(placement, pod)| patch::write(placement, pod));
    let uid = request.uid.as_deref().unwrap_or_default();
    let warnings = decision.warnings();
    let body = response::write(uid, &decision, &warnings, patch.as_deref(), revision);
    Answer {
        body,
        subject: Subject::of(request),
        decision,
        warnings,
    }
}

impl<'a> Decision<'a> {
    fn allow(reason: Reason) -> Self {
        Self {
            reason,
            class: None,
            placement: None,
            message: None,
            at: None,
            misread: Vec::new(),
        }
    }

    fn place(placement: Placement<'a>) -> Self {
        let reason = if placement.changes_nothing() {
            Reason::InPlace
        } else {
            Reason::Placed
        };
        Self {
            placement: Some(placement),
            ..Self::allow(reason)
        }
    }

    fn deny(denial: Denial) -> Self {
        Self {
            message: Some(denial.message),
            at: denial.at,
            ..Self::allow(denial.reason)
        }
    }

    /// Whether it takes GPUs for which Pods of several classes or vendors may compete, so that one replica should decide
    /// for all. What was settled before (rule 0a) takes none.
    #[must_use]
    pub fn is_chosen(&self) -> bool {
        let placement = self.placement.as_ref();
        placement.is_some_and(|it| it.choice.is_some() && it.gpus > 0)
    }

    /// The chosen pools, joined by commas.
    #[must_use]
    pub fn pool(&self) -> Option<&'a str> {
        let placement = self.placement.as_ref()?;
        Some(&placement.group.name.text)
    }

    /// The container that has the GPU, its name as short as it may be.
    #[must_use]
    pub fn container(&self) -> Option<Cow<'_, str>> {
        let placement = self.placement.as_ref()?;
        placement.container().map(|name| shown::name(name))
    }

    fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.misread.clone();
        warnings.extend(self.placement.iter().flat_map(Placement::warnings));
        if warnings.len() > WARNINGS {
            warnings.truncate(WARNINGS - 1);
            warnings.push(Warning::More);
        }
        warnings
    }
}
