//! The decision about a Pod, as data: the rules fill it, [`patch`](crate::patch) renders it, and the log, the audit
//! annotations, the warnings and `berth preview` read it. Nothing guesses it back out of a patch.

use smallvec::SmallVec;

use crate::{
    accelerators::Vendor,
    json::Text,
    live::Choice,
    outcome::{WARNINGS, Warning},
    shown,
    table::{Group, Preference, Rendered},
};

mod container;

pub use container::{Beside, ContainerPlacement, Given, GpuRequest, Role, Target, Way, Zero};

/// Where a Pod goes, and what it needs there.
#[derive(Clone, Debug)]
pub struct Placement<'a> {
    /// The group whose pools it goes to.
    pub group: &'a Group,
    /// What was done to the node affinity.
    pub affinity: NodeAffinity<'a>,
    /// What was done about each taint of the group, in their order.
    pub taints: TaintDecisions,
    /// Every container, init containers first, in their order.
    pub containers: Vec<ContainerPlacement<'a>>,
    /// The container that the GPU is for, and how it was found.
    pub target: Option<Target>,
    /// The Pod's GPUs, as the scheduler counts them (rule 16).
    pub gpus: u64,
    /// The runtime class (rule 22).
    pub runtime_class: RuntimeClass<'a>,
    /// The scheduler that is set, where one is (rule 24).
    pub scheduler: Option<&'a Rendered>,
    /// The scheduler that stays against the class's (rule 24).
    pub kept_scheduler: Option<Kept<'a>>,
    /// The annotation that records the choice (rule 25).
    pub annotation: Annotation,
    /// How the group was chosen, where there was a choice between groups or another class has one (rule 0).
    pub choice: Option<Choice>,
    /// Whether a `DaemonSet` made the Pod: its controller judges nodes by the template (rule 3).
    pub is_of_daemon_set: bool,
}

/// What was done to the node affinity (rules 1 to 8).
#[derive(Clone, Debug, Default)]
pub struct NodeAffinity<'a> {
    /// What was done to the required terms.
    pub terms: Terms,
    /// The preferred terms that are added, most preferred first.
    pub preferences: Vec<&'a Preference>,
}

/// What was done to the required terms.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Terms {
    /// Nothing: `nodeName` has chosen the node already (rule 29).
    #[default]
    NodeChosen,
    /// Nothing: the Pod has no terms, and its `nodeSelector` implies this alternative of the group (rule 7).
    Implied(usize),
    /// The Pod has no terms: it gets one for each alternative of the group.
    Added,
    /// The Pod has terms: this was done to each.
    Each(Vec<TermDecision>),
}

/// What was done to one of the Pod's required terms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TermDecision {
    /// It stays: it is empty, and matches no node (rule 4).
    Empty,
    /// It stays byte for byte: it implies this alternative of the group (rule 7).
    Implied(usize),
    /// The group's only alternative is ANDed into it (rule 1).
    Narrowed,
    /// It becomes one term for each alternative of the group, with that alternative ANDed into it (rule 2).
    Multiplied,
}

/// What was done about each taint of a group. Most groups have one or two.
pub type TaintDecisions = SmallVec<[TaintDecision; 2]>;

/// What was done about one taint (rules 10 to 12).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TaintDecision {
    /// A toleration of the Pod's, the one at this index, tolerates it.
    Tolerated(usize),
    /// So does this one, for a time only.
    ToleratedForATime(usize),
    /// A toleration is appended.
    Added,
}

/// The runtime class (rule 22).
#[derive(Clone, Debug)]
pub enum RuntimeClass<'a> {
    /// The group has none, or the Pod ends without a GPU.
    NotNeeded,
    /// The Pod has the group's.
    InPlace,
    /// The group's is set.
    Added(&'a Rendered),
    /// The Pod has another, which stays.
    Kept {
        /// The Pod's.
        kept: Text<'a>,
        /// The group's.
        wanted: &'a Rendered,
    },
    /// The Pod has one of another vendor's, which stays: no node of the group has such a runtime.
    Foreign {
        /// The Pod's.
        kept: Text<'a>,
        /// Whose it is.
        vendor: &'static Vendor,
        /// Whose GPUs the group has.
        of_group: &'static Vendor,
    },
    /// The Pod's is the empty text, which the API server denies.
    Empty,
}

/// A value of the Pod's that stays, and what the class would have given.
#[derive(Clone, Debug)]
pub struct Kept<'a> {
    /// The Pod's.
    pub kept: Text<'a>,
    /// The class's.
    pub wanted: &'a Rendered,
}

/// The annotation that records the choice (rule 25).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Annotation {
    /// It is there already.
    InPlace,
    /// It is added, or its value replaced.
    Added,
    /// It is left out: the Pod's annotations are full.
    NoRoom,
}

impl<'a> Placement<'a> {
    /// Whether the Pod has all that it needs (rule 0); only the annotation may be missing.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        !self.changes_nodes()
            && !self.containers.iter().any(ContainerPlacement::changes)
            && !matches!(self.runtime_class, RuntimeClass::Added(_))
            && self.scheduler.is_none()
    }

    /// Whether the Pod stays as it is, and no patch is written.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        self.is_in_place() && self.annotation != Annotation::Added
    }

    /// Whether it changes which nodes the Pod may run on.
    fn changes_nodes(&self) -> bool {
        self.affinity.changes() || self.taints.contains(&TaintDecision::Added)
    }

    /// The container that has the GPU, if one has: the first that asks or is given it.
    #[must_use]
    pub fn container(&self) -> Option<&Text<'a>> {
        let mut containers = self.containers.iter();
        let container = containers.find(|it| it.gpus > 0 && it.request.may_be_target())?;
        Some(&container.request.container)
    }

    /// What the Pod's author should know, in the order of the rules; of what there may be many, more than are told.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (taint, decision) in self.group.taints.iter().zip(&self.taints) {
            if let TaintDecision::ToleratedForATime(_) = decision {
                let taint = taint.key.clone();
                warnings.push(Warning::TolerationEnds { taint });
            }
        }
        if self.is_of_daemon_set && self.changes_nodes() {
            warnings.push(Warning::DaemonSetTemplate);
        }
        warnings.extend(self.daemon_set());
        warnings.extend(self.claim());
        warnings.extend(self.zero());
        self.beside(&mut warnings);
        let named = |it: &ContainerPlacement<'_>| shown::name(&it.request.container).into_owned();
        let overriding = self.containers.iter().filter(|it| it.overrides_env_from);
        warnings.extend(overriding.map(|it| Warning::EnvFromOverridden {
            container: named(it),
        }));
        warnings.extend(self.runtime_class.warning(self.group));
        let defeating = self.containers.iter().filter(|it| it.defeats_limit);
        warnings.extend(defeating.map(|it| Warning::VisibleDevices {
            container: named(it),
            has_gpu: it.gpus > 0,
        }));
        if let Some(Kept { kept, wanted }) = &self.kept_scheduler {
            warnings.push(Warning::SchedulerKept {
                kept: shown::name(kept).into_owned(),
                wanted: wanted.text.clone(),
            });
        }
        if self.annotation == Annotation::NoRoom {
            warnings.push(Warning::AnnotationsFull);
        }
        warnings
    }

    /// A `DaemonSet` runs on every node of the pools, and each Pod takes a GPU from the workloads there.
    fn daemon_set(&self) -> Option<Warning> {
        let request = self.target_given(Given::Gpus)?;
        self.is_of_daemon_set.then(|| Warning::DaemonSetGpu {
            container: shown::name(&request.container).into_owned(),
            resource: self.group.resource.clone(),
        })
    }

    fn claim(&self) -> Option<Warning> {
        let container = &self.target_given(Given::Claim)?.container;
        let container = shown::name(container).into_owned();
        Some(Warning::ClaimsOnly { container })
    }

    /// A `LimitRange` may have written the zero, so the author learns of it.
    fn zero(&self) -> Option<Warning> {
        let request = self.target_given(Given::OptedOut)?;
        let zero = request.opts_out()?;
        Some(Warning::ZeroGpus {
            container: shown::name(&request.container).into_owned(),
            resource: shown::name(&zero.resource).into_owned(),
            amount: zero.amount,
        })
    }

    /// What stands beside the GPU, once for all containers.
    fn beside(&self, warnings: &mut Vec<Warning>) {
        let beside = self.containers.iter().flat_map(|it| &it.request.beside);
        for beside in beside {
            let warning = match beside {
                Beside::Foreign(resource, vendor) => Warning::ForeignCompanion {
                    resource: shown::name(resource).into_owned(),
                    vendor: vendor.name,
                    pools: self.group.name.text.clone(),
                },
                Beside::Unknown(resource) => Warning::UnknownResource {
                    resource: shown::name(resource).into_owned(),
                },
            };
            if warnings.len() > WARNINGS {
                return;
            }
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }

    fn target_given(&self, given: Given) -> Option<&GpuRequest<'a>> {
        let target = self.target.filter(|target| target.given == given)?;
        Some(&self.containers.get(target.container)?.request)
    }
}

impl RuntimeClass<'_> {
    fn warning(&self, group: &Group) -> Option<Warning> {
        Some(match self {
            Self::NotNeeded | Self::InPlace | Self::Added(_) => return None,
            Self::Kept { kept, wanted } => Warning::RuntimeClassKept {
                kept: shown::name(kept).into_owned(),
                wanted: wanted.text.clone(),
            },
            Self::Foreign {
                kept,
                vendor,
                of_group,
            } => Warning::ForeignRuntimeClass {
                kept: shown::name(kept).into_owned(),
                vendor: vendor.name,
                pools: group.name.text.clone(),
                of_pools: of_group.name,
            },
            Self::Empty => Warning::RuntimeClassEmpty,
        })
    }
}

impl NodeAffinity<'_> {
    fn changes(&self) -> bool {
        let changed = |term: &TermDecision| term.changes();
        let terms = match &self.terms {
            Terms::NodeChosen | Terms::Implied(_) => false,
            Terms::Added => true,
            Terms::Each(terms) => terms.iter().any(changed),
        };
        terms || !self.preferences.is_empty()
    }
}

impl TermDecision {
    /// Whether the term is written anew.
    #[must_use]
    pub const fn changes(self) -> bool {
        matches!(self, Self::Narrowed | Self::Multiplied)
    }
}
