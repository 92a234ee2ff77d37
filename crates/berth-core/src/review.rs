//! An admission review: bytes in, bytes out.
//!
//! The body is parsed once, as the review of a Pod. Only where that fails is it looked at again, step by step, to say
//! what is wrong, or to let pass what is none of our business.

use std::{borrow::Cow, fmt};

use crate::{
    json::{self, Map, Problem, Raw, Text, object},
    outcome::{Denial, Reason, Warning},
    pod::{Pod, text},
    rules::{self, Plan},
    table::AllocationTable,
};

mod response;

/// The API version of the reviews that we take and give.
pub const API_VERSION: &str = "admission.k8s.io/v1";
/// A mirror of a static Pod, made by its kubelet.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// The label that opts out.
const INJECT: &str = "berth.dev/inject";
/// A uid has at most so many bytes.
const MAX_UID: usize = 256;

/// Why a body cannot be answered with a review; an HTTP 400.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not text.
    #[error("the body is not UTF-8: {0}")]
    NotUtf8(#[from] std::str::Utf8Error),
    /// Not JSON, or not of a review's shape.
    #[error("the body is not the JSON of an AdmissionReview: {0}")]
    Json(#[from] json::Error),
    /// Something else.
    #[error(
        "the body is no AdmissionReview of admission.k8s.io/v1 with a request: send what kube-apiserver sends"
    )]
    NotAReview,
    /// No uid to answer to.
    #[error("request.uid must have 1 to 256 bytes")]
    Uid,
}

impl Error {
    /// The one reason for all of them.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        Reason::BadReview
    }
}

/// The answer to a review.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// The response's JSON, an `AdmissionReview`.
    pub body: Vec<u8>,
    /// What is logged and counted.
    pub record: Record<'a>,
}

/// What there is to say about a review.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// What it came to.
    pub reason: Reason,
    /// The request's uid.
    pub uid: Cow<'a, str>,
    /// The request's namespace.
    pub namespace: Cow<'a, str>,
    /// The Pod's name, or its generateName where the API server is still to make one up.
    pub name: Cow<'a, str>,
    /// The Pod's controller, as `ReplicaSet/whisper-6d`.
    pub owner: Option<Owner<'a>>,
    /// Whether nothing is stored.
    pub dry_run: bool,
    /// The class, one of the table's.
    pub class: Option<&'a str>,
    /// The chosen pools, joined by commas.
    pub pool: Option<&'a str>,
    /// The container that has the GPU.
    pub container: Option<String>,
    /// The message of a denial.
    pub message: Option<String>,
    /// What the Pod's author should know.
    pub warnings: Vec<Warning>,
}

/// A Pod's controller.
#[derive(Clone, Debug)]
pub struct Owner<'a> {
    kind: Text<'a>,
    name: Text<'a>,
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", &*self.kind, &*self.name)
    }
}

object! {
    /// The envelope.
    Envelope<O> {
        /// The API version.
        api_version: Text<'a> = "apiVersion",
        /// The kind.
        kind: Text<'a> = "kind",
        /// The request.
        request: Request<'a, O> = "request",
    }
}

object! {
    /// The request, with the object as a Pod or unread.
    Request<O> {
        /// The uid to answer to.
        uid: Text<'a> = "uid",
        /// The resource, as the webhook is registered for it.
        resource: Resource<'a> = "resource",
        /// The subresource.
        subresource: Text<'a> = "subResource",
        /// The name.
        name: Text<'a> = "name",
        /// The namespace: the object's own may be empty.
        namespace: Text<'a> = "namespace",
        /// The operation.
        operation: Text<'a> = "operation",
        /// Whether nothing is stored.
        dry_run: bool = "dryRun",
        /// The object.
        object: O = "object",
    }
}

object! {
    /// A resource.
    Resource {
        /// The API group, empty for core.
        group: Text<'a> = "group",
        /// The version.
        version: Text<'a> = "version",
        /// The plural name.
        resource: Text<'a> = "resource",
    }
}

object! {
    /// As little of an object as tells whether berth has a say.
    Named {
        /// The metadata.
        metadata: Labelled<'a> = "metadata",
    }
}

object! {
    /// The metadata that tells it.
    Labelled {
        /// Labels.
        labels: Map<'a, Text<'a>> = "labels",
        /// Annotations.
        annotations: Map<'a, Text<'a>> = "annotations",
    }
}

/// What a review comes to, before it is written.
#[derive(Debug)]
struct Decision<'t> {
    reason: Reason,
    class: Option<&'t str>,
    plan: Option<Plan<'t>>,
    message: Option<String>,
}

/// Answers a review with one table.
pub fn review<'a>(body: &'a [u8], table: &'a AllocationTable) -> Result<Answer<'a>, Error> {
    let body = std::str::from_utf8(body)?;
    let Ok(envelope) = json::parse::<Envelope<'a, Pod<'a>>>(body) else {
        return reread(body, table);
    };
    let request = envelope.request()?;
    let decision = decide(&request, table);
    Ok(answer(request, decision, table))
}

/// The second look, at a body that is not the review of a well-shaped Pod.
fn reread<'a>(body: &'a str, table: &'a AllocationTable) -> Result<Answer<'a>, Error> {
    let request = json::parse::<Envelope<'a, Raw<'a>>>(body)?.request()?;
    let (object, request) = request.without_object();
    let decision = match object {
        Some(object) if request.creates_pod() => misshapen(object.0, table)?,
        _ => decide(&request, table),
    };
    Ok(answer(request, decision, table))
}

/// A Pod that has not the shape that berth reads, unless it is none of ours.
fn misshapen<'t>(object: &str, table: &'t AllocationTable) -> Result<Decision<'t>, Error> {
    let error = json::parse::<Pod<'_>>(object)
        .err()
        .ok_or(Error::NotAReview)?;
    if let Problem::Duplicate(_) = error.problem() {
        return Err(Error::Json(error));
    }
    let named = json::parse::<Named<'_>>(object).ok();
    let metadata = named.map(|named| named.metadata.unwrap_or_default());
    let exempt = metadata
        .and_then(|it| class_label(table, it.labels.as_ref(), it.annotations.as_ref()).err());
    let (field, problem) = (error.path(), error.problem());
    Ok(exempt.map_or_else(
        || Decision::misshapen(&format!("request.object{field}: {problem}")),
        Decision::allow,
    ))
}

/// What a readable request comes to.
fn decide<'t>(request: &Request<'_, Pod<'_>>, table: &'t AllocationTable) -> Decision<'t> {
    if !request.creates_pod() {
        return Decision::allow(Reason::NotPodCreate);
    }
    let Some(pod) = &request.object else {
        return Decision::misshapen("request.object is null, and a Pod is to be created");
    };
    let metadata = pod.metadata.as_ref();
    let labels = metadata.and_then(|metadata| metadata.labels.as_ref());
    match class_label(
        table,
        labels,
        metadata.and_then(|metadata| metadata.annotations.as_ref()),
    ) {
        Ok(class) => place(pod, class, text(&request.namespace), table),
        Err(reason) => Decision::allow(reason),
    }
}

fn place<'t>(
    pod: &Pod<'_>,
    class: &str,
    namespace: &str,
    table: &'t AllocationTable,
) -> Decision<'t> {
    let allocation = match rules::authorise(table, class, namespace) {
        Ok(allocation) => allocation,
        Err(denial) => return Decision::deny(denial),
    };
    let class = Some(allocation.name.as_str());
    match rules::place(pod, table, allocation) {
        Ok(plan) => {
            let reason = if plan.patch.is_empty() {
                Reason::InPlace
            } else {
                Reason::Placed
            };
            Decision {
                class,
                plan: Some(plan),
                ..Decision::allow(reason)
            }
        }
        Err(denial) => Decision {
            class,
            ..Decision::deny(denial)
        },
    }
}

/// The class that the labels name, or why berth has no say.
fn class_label<'p>(
    table: &AllocationTable,
    labels: Option<&'p Map<'_, Text<'_>>>,
    annotations: Option<&Map<'_, Text<'_>>>,
) -> Result<&'p str, Reason> {
    if annotations.is_some_and(|annotations| annotations.get(MIRROR).is_some()) {
        return Err(Reason::MirrorPod);
    }
    if labels
        .and_then(|labels| labels.get(INJECT))
        .is_some_and(|value| **value == *"disabled")
    {
        return Err(Reason::OptedOut);
    }
    labels
        .and_then(|labels| labels.get(table.class_label()))
        .map(|class| &**class)
        .ok_or(Reason::NoClass)
}

fn answer<'a>(
    request: Request<'a, Pod<'a>>,
    decision: Decision<'a>,
    table: &AllocationTable,
) -> Answer<'a> {
    let uid = request.uid.unwrap_or_default().0;
    let Decision {
        reason,
        class,
        plan,
        message,
    } = decision;
    let message = message.map(|message| format!("{message} (table {})", table.revision()));
    let (pool, container, patch, warnings) = plan.map_or_else(Default::default, |plan| {
        let patch = (!plan.patch.is_empty()).then(|| plan.patch.into_json());
        (
            Some(plan.group.name.text.as_str()),
            plan.container,
            patch,
            plan.warnings,
        )
    });
    let metadata = request
        .object
        .and_then(|pod| pod.metadata)
        .unwrap_or_default();
    let owner = metadata
        .owner_references
        .into_iter()
        .flatten()
        .find(|owner| owner.controller == Some(true));
    let owner = owner.map(|owner| Owner {
        kind: owner.kind.unwrap_or_default(),
        name: owner.name.unwrap_or_default(),
    });
    let name = request
        .name
        .filter(|name| !name.is_empty())
        .or(metadata.generate_name);
    let record = Record {
        reason,
        uid,
        namespace: request.namespace.unwrap_or_default().0,
        name: name.unwrap_or_default().0,
        owner,
        dry_run: request.dry_run.unwrap_or_default(),
        class,
        pool,
        container,
        message,
        warnings,
    };
    Answer {
        body: response::write(&record, patch.as_deref(), table.revision()),
        record,
    }
}

impl<'a, O> Envelope<'a, O> {
    /// The request, where the envelope is one that can be answered.
    fn request(self) -> Result<Request<'a, O>, Error> {
        let known = text(&self.api_version) == API_VERSION && text(&self.kind) == "AdmissionReview";
        let request = self.request.filter(|_| known).ok_or(Error::NotAReview)?;
        let uid = text(&request.uid).len();
        if (1..=MAX_UID).contains(&uid) {
            Ok(request)
        } else {
            Err(Error::Uid)
        }
    }
}

impl<'a, O> Request<'a, O> {
    /// Rule 27.
    fn creates_pod(&self) -> bool {
        let pods = self.resource.as_ref().is_some_and(|resource| {
            (
                text(&resource.group),
                text(&resource.version),
                text(&resource.resource),
            ) == ("", "v1", "pods")
        });
        pods && text(&self.operation) == "CREATE" && text(&self.subresource).is_empty()
    }

    fn without_object(self) -> (Option<O>, Request<'a, Pod<'a>>) {
        let Self {
            uid,
            resource,
            subresource,
            name,
            namespace,
            operation,
            dry_run,
            object,
        } = self;
        (
            object,
            Request {
                uid,
                resource,
                subresource,
                name,
                namespace,
                operation,
                dry_run,
                object: None,
            },
        )
    }
}

impl Decision<'_> {
    fn allow(reason: Reason) -> Self {
        Self {
            reason,
            class: None,
            plan: None,
            message: None,
        }
    }

    fn deny(denial: Denial) -> Self {
        Self {
            message: Some(denial.message),
            ..Self::allow(denial.reason)
        }
    }

    fn misshapen(message: &str) -> Self {
        Self::deny(Denial::new(Reason::PodShape, message))
    }
}
