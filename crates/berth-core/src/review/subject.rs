//! Whose review it is.

use std::{borrow::Cow, fmt};

use crate::{
    json::Text,
    pod::{Metadata, OwnerReference},
    shown::kept,
};

use super::envelope::{Request, User};

/// Whose review it is: what tells one from another in the log. Each text is cut as a name is, and has no control characters.
#[derive(Clone, Debug, Default)]
pub struct Subject<'a> {
    /// The request's uid.
    pub uid: Cow<'a, str>,
    /// The request's namespace: the object's own may be empty (rule 30).
    pub namespace: Cow<'a, str>,
    /// The Pod's name, or its generateName where the API server is still to make one up.
    pub name: Cow<'a, str>,
    /// The Pod's controller, as `ReplicaSet/whisper-6d`.
    pub owner: Option<Owner<'a>>,
    /// Who asks: for a Pod of a controller, that controller.
    pub user: Cow<'a, str>,
    /// Whether nothing is stored.
    pub dry_run: bool,
}

/// A Pod's controller.
#[derive(Clone, Debug)]
pub struct Owner<'a> {
    /// The group and version.
    pub api_version: Text<'a>,
    /// The kind.
    pub kind: Text<'a>,
    /// The name.
    pub name: Text<'a>,
    /// The uid.
    pub uid: Text<'a>,
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", &*self.kind, &*self.name)
    }
}

impl<'a> Subject<'a> {
    /// Takes what the log says of a request out of it.
    pub(super) fn of(request: Request<'a>) -> Self {
        let metadata = request.object.and_then(|object| object.pod.metadata);
        let Metadata {
            generate_name,
            owner_references,
            ..
        } = metadata.unwrap_or_default();
        let mut owners = owner_references.into_iter().flatten();
        let name = request.name.filter(|name| !name.is_empty());
        Self {
            uid: kept(request.uid.unwrap_or_default().0),
            namespace: kept(request.namespace.unwrap_or_default().0),
            name: kept(name.or(generate_name).unwrap_or_default().0),
            owner: owners.find(OwnerReference::is_controller).map(Owner::from),
            user: kept(User::name_in(request.user).0),
            dry_run: request.dry_run.unwrap_or_default(),
        }
    }
}

impl<'a> From<OwnerReference<'a>> for Owner<'a> {
    fn from(owner: OwnerReference<'a>) -> Self {
        let text = |text: Option<Text<'a>>| Text(kept(text.unwrap_or_default().0));
        Self {
            api_version: text(owner.api_version),
            kind: text(owner.kind),
            name: text(owner.name),
            uid: text(owner.uid),
        }
    }
}
