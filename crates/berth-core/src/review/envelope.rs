//! The envelope of a review: who asks what, of which object.
#![allow(
    clippy::struct_field_names,
    unreachable_pub,
    reason = "a field has its key's name, and `object!` makes public what it declares"
)]

use crate::{
    json::{self, Map, Problem, Raw, Read, Reader, STEPS, Text, object},
    pod::{Metadata, Pod, Spec, text},
    rules::Creation,
};

use super::{API_VERSION, Error};

/// A uid has at most so many bytes.
const MAX_UID: usize = 256;

object! {
    /// The envelope.
    Envelope {
        /// The API version.
        api_version: Text<'a> = "apiVersion",
        /// The kind.
        kind: Text<'a> = "kind",
        /// The request.
        request: Request<'a> = "request",
    }
}

object! {
    /// The request.
    Request {
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
        object: Object<'a> = "object",
    }
}

/// The object as a Pod, or what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Object<'a> {
    /// The Pod; nothing of it where something is wrong.
    pub pod: Pod<'a>,
    /// Why it is none that can be read.
    pub wrong: Option<Box<Misread<'a>>>,
}

/// An object that cannot be read as a Pod.
#[derive(Clone, Debug)]
pub struct Misread<'a> {
    /// What is wrong with it.
    pub error: json::Error,
    /// As much as tells whether berth has a say, where that can be read.
    pub labelled: Option<Labelled<'a>>,
    /// Whether nothing behind it was read.
    pub is_last: bool,
}

/// An object that is no Pod is passed over, so that the rest of the request can be read. What is large is read once: only
/// metadata with an error in it, or behind one, is read again. Of one with more than is passed over, nothing more is read,
/// and nothing of the request behind it.
impl<'a> Read<'a> for Object<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, json::Error> {
        let start = *reader;
        let mut fields = Fields::default();
        let Err(error) = fields.read(reader) else {
            let entries = start.room() - reader.room();
            let Fields { metadata, spec, .. } = fields;
            let pod = Pod {
                metadata,
                spec,
                entries,
            };
            return Ok(Self { pod, wrong: None });
        };
        let resumed = reader.resume(start, &error);
        let is_last = matches!(&resumed, Err(it) if *it.problem() == Problem::TooMany(STEPS));
        if is_last {
            // what follows cannot make the Pod smaller
            reader.stop();
        } else {
            resumed?;
        }
        let labelled = fields.labelled(start);
        Ok(Self {
            pod: Pod::default(),
            wrong: Some(Box::new(Misread {
                error,
                labelled,
                is_last,
            })),
        })
    }
}

/// The fields of an object, as far as they have been read.
#[derive(Debug, Default)]
struct Fields<'a> {
    metadata: Option<Metadata<'a>>,
    spec: Option<Spec<'a>>,
    /// Where the metadata begins.
    begins: Option<Reader<'a>>,
}

impl<'a> Fields<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), json::Error> {
        let mut seen = 0;
        reader.object(|reader, key| {
            match &*key {
                "metadata" => {
                    json::once(reader, &mut seen, 0, &key)?;
                    self.begins = Some(*reader);
                    let read = Read::read(reader);
                    self.metadata = read.map_err(|error: json::Error| error.below(".metadata"))?;
                }
                "spec" => {
                    json::once(reader, &mut seen, 1, &key)?;
                    let read = Read::read(reader);
                    self.spec = read.map_err(|error: json::Error| error.below(".spec"))?;
                }
                _ => drop(reader.skip()?),
            }
            Ok(())
        })
    }

    /// The labels and annotations of an object with an error in it.
    fn labelled(self, start: Reader<'a>) -> Option<Labelled<'a>> {
        if let Some(metadata) = self.metadata {
            return Some(Labelled {
                labels: metadata.labels,
                annotations: metadata.annotations,
            });
        }
        let read = match self.begins {
            Some(mut reader) => Read::read(&mut reader),
            None => Named::read(&mut start.clone()).map(|named| named.metadata),
        };
        read.ok().map(Option::unwrap_or_default)
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

impl<'a> Envelope<'a> {
    /// The request, where the envelope is one that can be answered.
    pub(super) fn request(self) -> Result<Request<'a>, Error> {
        let known = text(&self.api_version) == API_VERSION && text(&self.kind) == "AdmissionReview";
        let request = self.request.filter(|_| known).ok_or(Error::NotAReview)?;
        if request.is_cut_short() {
            return Err(Error::TooMuch);
        }
        let uid = text(&request.uid).len();
        if (1..=MAX_UID).contains(&uid) {
            Ok(request)
        } else {
            Err(Error::Uid)
        }
    }
}

impl Request<'_> {
    /// Whether the object is too much to be read on, and stands before what tells that a Pod is created. kube-apiserver
    /// writes it behind that.
    fn is_cut_short(&self) -> bool {
        let object = self.object.as_ref();
        let wrong = object.and_then(|object| object.wrong.as_ref());
        let is_stopped = wrong.is_some_and(|wrong| wrong.is_last);
        let is_told = self.uid.is_some()
            && self.resource.is_some()
            && self.operation.is_some()
            && self.namespace.is_some();
        is_stopped && !is_told
    }

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
}
