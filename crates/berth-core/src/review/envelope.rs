//! The envelope of a review: who asks what, of which object.
#![allow(
    clippy::struct_field_names,
    unreachable_pub,
    reason = "a field has its key's name, and `object!` makes public what it declares"
)]

use crate::{
    json::{self, Map, Raw, Text, object},
    pod::{Pod, text},
    rules::Creation,
};

use super::{API_VERSION, Error};

/// A uid has at most so many bytes.
const MAX_UID: usize = 256;

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
        /// Who asks, unread: it is for the log, and nobody is denied for its shape.
        user: Raw<'a> = "userInfo",
        /// Whether nothing is stored.
        dry_run: bool = "dryRun",
        /// The object.
        object: O = "object",
    }
}

object! {
    /// Who asks. It authorises nobody (rule 31): it is for the log.
    User {
        /// The user's name.
        name: Text<'a> = "username",
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

impl<'a> User<'a> {
    /// The name of who asks, where it can be read.
    pub(super) fn name_in(user: Option<Raw<'a>>) -> Text<'a> {
        let user = user.and_then(|user| json::parse::<Self>(user.0).ok());
        user.and_then(|user| user.name).unwrap_or_default()
    }
}

impl<'a, O> Envelope<'a, O> {
    /// The request, where the envelope is one that can be answered.
    pub(super) fn request(self) -> Result<Request<'a, O>, Error> {
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
    /// Whether a Pod is to be created: nothing else is our business (rule 27).
    pub(super) fn creates_pod(&self) -> bool {
        let pods = self.resource.as_ref().is_some_and(|resource| {
            (
                text(&resource.group),
                text(&resource.version),
                text(&resource.resource),
            ) == ("", "v1", "pods")
        });
        pods && text(&self.operation) == "CREATE" && text(&self.subresource).is_empty()
    }

    /// What the rules are told of the request.
    pub(super) fn creation(&self) -> Creation<'_> {
        Creation {
            namespace: text(&self.namespace),
            dry_run: self.dry_run.unwrap_or_default(),
        }
    }

    /// The object, and the request without it.
    pub(super) fn without_object(self) -> (Option<O>, Request<'a, Pod<'a>>) {
        let Self {
            uid,
            resource,
            subresource,
            name,
            namespace,
            operation,
            user,
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
                user,
                dry_run,
                object: None,
            },
        )
    }
}
