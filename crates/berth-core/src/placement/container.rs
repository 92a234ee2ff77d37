//! The containers' part of a placement: what each asks for and is given, and which of them the GPU is for.

use crate::{
    accelerators::Vendor,
    json::Text,
    table::{Group, Rendered},
};

/// How long a container runs, which decides how its GPUs are counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// As long as the Pod.
    Regular,
    /// As long as the Pod, from its turn among the init containers on.
    Sidecar,
    /// Alone in its turn.
    Init,
}

/// What one container asks for, and what it is given.
#[derive(Clone, Debug)]
pub struct ContainerPlacement<'a> {
    /// What it asks for.
    pub request: GpuRequest<'a>,
    /// The GPUs that it ends with.
    pub gpus: u64,
    /// Whether the alias by which it asks becomes the group's resource (rule 18).
    pub is_renamed: bool,
    /// The environment variables that are appended (rule 23).
    pub env: Vec<&'a Rendered>,
    /// Whether they override what its `envFrom` may say.
    pub overrides_env_from: bool,
    /// Whether its own `NVIDIA_VISIBLE_DEVICES` defeats the limit under the NVIDIA runtime.
    pub defeats_limit: bool,
}

/// What one container says of the group's resource.
#[derive(Clone, Debug)]
pub struct GpuRequest<'a> {
    /// The container's name.
    pub container: Text<'a>,
    /// How long it runs.
    pub role: Role,
    /// Its index in its list, which is `containers` for a regular one and `initContainers` for the others.
    pub index: usize,
    /// The name under which it asks: the resource, or an alias.
    pub resource: Option<Text<'a>>,
    /// Its limit.
    pub limit: Option<u64>,
    /// Its request.
    pub request: Option<u64>,
    /// The first zero that it says for a GPU of any group of the class (rule 15).
    pub zero: Option<Zero<'a>>,
    /// What else it asks for in a vendor's domain, as far as the author should hear of it (rules 17 and 35).
    pub beside: Vec<Beside<'a>>,
    /// Whether it uses claims of dynamic resource allocation (rule 19).
    pub has_claims: bool,
}

/// A zero for a GPU.
#[derive(Clone, Debug)]
pub struct Zero<'a> {
    /// The resource, or the alias.
    pub resource: Text<'a>,
    /// Where it stands: `limit` or `request`.
    pub amount: &'static str,
}

/// A resource that is not the group's GPU, and that the author should hear of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Beside<'a> {
    /// A companion of another vendor's GPU than the group's.
    Foreign(Text<'a>, &'static Vendor),
    /// A name in a vendor's domain of which berth does not know whether it is a GPU.
    Unknown(Text<'a>),
}

/// The container that the GPU is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Target {
    /// Its index among [`containers`](super::Placement::containers).
    pub container: usize,
    /// By which of the ways of rule 13 it was found.
    pub way: Way,
    /// What it is given.
    pub given: Given,
}

/// The ways of rule 13, in the order in which they are tried, with rule 19's in its place among them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// The Pod's author named it in an annotation.
    Annotated,
    /// It asks itself.
    Asks,
    /// It has a claim of dynamic resource allocation, which may be the GPU (rule 19).
    Claims,
    /// The class names it, and the Pod has it.
    NamedByClass,
    /// It is the only regular container, injected ones left out.
    OnlyOne,
    /// It is kubectl's default container.
    KubectlDefault,
    /// It has the name that a serving framework gives the user's container.
    NamedByFramework,
}

/// What the target is given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Given {
    /// The class's GPUs.
    Gpus,
    /// Nothing: it asks itself.
    ItsOwn,
    /// Nothing: it says `0`, and opts out of the GPU (rule 15).
    OptedOut,
    /// Nothing: its claim may be the GPU (rule 19).
    Claim,
}

impl ContainerPlacement<'_> {
    /// Whether the limit is written: where there is a GPU and no limit (rule 15).
    #[must_use]
    pub const fn gets_limit(&self) -> bool {
        self.gpus > 0 && self.request.limit.is_none()
    }

    /// Whether the container is written anew.
    pub(super) fn changes(&self) -> bool {
        self.is_renamed || self.gets_limit() || !self.env.is_empty()
    }
}

impl<'a> GpuRequest<'a> {
    /// The GPUs that it asks for.
    #[must_use]
    pub fn gpus(&self) -> u64 {
        self.limit.or(self.request).unwrap_or_default()
    }

    /// The zero by which it asks for none in so many words, in every group (rule 15).
    #[must_use]
    pub fn opts_out(&self) -> Option<&Zero<'a>> {
        self.zero.as_ref().filter(|_| self.gpus() == 0)
    }

    /// Whether the container may be the one that gets the GPU (rule 14).
    #[must_use]
    pub fn may_be_target(&self) -> bool {
        self.role != Role::Init
    }

    /// The alias by which it asks, where that is not the group's resource itself.
    #[must_use]
    pub fn alias(&self, group: &Group) -> Option<&str> {
        let name: &str = self.resource.as_ref()?;
        (name != group.resource).then_some(name)
    }

    /// The list of the Pod's spec that the container is in.
    #[must_use]
    pub const fn list(&self) -> &'static str {
        self.role.list()
    }
}

impl Role {
    /// The list of a Pod's spec that has such containers.
    #[must_use]
    pub const fn list(self) -> &'static str {
        match self {
            Self::Regular => "containers",
            Self::Sidecar | Self::Init => "initContainers",
        }
    }
}
