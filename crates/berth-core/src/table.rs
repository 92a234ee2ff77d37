//! The allocation table: both manifests, compiled once, immutable, replaced whole.
//!
//! Everything that does not depend on the Pod is built here, down to the JSON that a patch is made of.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use crate::{
    accelerators::Kind,
    api::{Taint, TaintEffect},
    labels::{Labels, Namespace},
    names::{CLASS_LABEL, NAMESPACE_NAME_LABEL},
    selector::{Requirement, Selector},
    validate::NamespaceLabels,
};

mod compile;
mod condition;
mod group;

pub use compile::compile;
pub(crate) use compile::compile_each;
pub use condition::Condition;

/// What the operator may set beside the manifests.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The label that names a Pod's class.
    pub class_label: String,
    /// Which labels of a namespace the table's source knows.
    pub namespaces: NamespaceLabels,
    /// Resources that are GPUs, besides those that berth knows (rule 17).
    pub gpu_resources: Vec<String>,
    /// Resources that belong to a GPU and are none; a GPU resource of the table or of the operator's stays one.
    pub companion_resources: Vec<String>,
    /// Containers that other webhooks inject, besides those that berth knows (rule 13).
    pub injected_containers: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            class_label: CLASS_LABEL.to_owned(),
            namespaces: NamespaceLabels::default(),
            gpu_resources: Vec::new(),
            companion_resources: Vec::new(),
            injected_containers: Vec::new(),
        }
    }
}

/// Every workload class with its allocation.
#[derive(Clone, Debug)]
pub struct AllocationTable {
    revision: String,
    class_label: String,
    classes: HashMap<String, Allocation>,
    /// The classes' names, sorted.
    names: Vec<String>,
    /// Every resource and alias of every pool, and the GPU resources that the operator adds.
    resources: HashSet<String>,
    /// The companions that the operator adds.
    companions: HashSet<String>,
    /// The injected containers that the operator adds.
    injected: HashSet<String>,
    /// Sorted by name.
    pools: Vec<Pool>,
}

/// A pool as the live picture counts it; what a Pod needs there is in the [`Group`].
#[derive(Clone, Debug)]
pub struct Pool {
    /// The pool's name.
    pub name: String,
    /// The extended resource.
    pub resource: String,
    /// What its nodes have in common.
    pub requirements: Vec<Requirement>,
    /// The taints that its nodes carry.
    pub taints: Vec<Taint>,
    /// How many GPUs an autoscaler may bring the pool to, if it may grow.
    pub max_gpus: Option<u64>,
    /// How many Pods share one GPU: where it is more than one, the resource counts shares.
    pub sharers: u32,
}

/// What a workload class gets.
#[derive(Clone, Debug)]
pub struct Allocation {
    /// The class's name.
    pub name: String,
    /// The groups of its pools, in order of preference.
    pub groups: Vec<Group>,
    /// GPUs for a Pod that asks for none.
    pub default_gpus: u64,
    /// The most GPUs that a Pod may ask for.
    pub max_gpus: u64,
    /// Which container gets the limit: the first that the Pod has.
    pub container_names: Vec<String>,
    /// Who may use the class; everyone where absent.
    pub namespaces: Option<Selector>,
    /// The scheduler, with its JSON.
    pub scheduler: Option<Rendered>,
    /// Whether there is a choice between groups: the class has several, or uses a pool of a class that has. Only then
    /// does a review ask for room (rule 0).
    pub is_chosen_between: bool,
    /// Why the class cannot be used, in a few words: a pool is missing, say. It then has no group (rule 31).
    pub not_ready: Option<String>,
}

/// The pools of a class that ask the same of the Pod itself, for Pods of one operating system: what no Pod can OR.
///
/// A pool that selects nodes of both is in two groups.
#[derive(Clone, Debug)]
pub struct Group {
    /// The pools' names, in order of preference.
    pub pools: Vec<String>,
    /// The pools' names as the annotation records them, joined by commas.
    pub name: Rendered,
    /// The extended resource.
    pub resource: String,
    /// The resource as a segment of a JSON Pointer.
    pub pointer: String,
    /// Other names of the resource.
    pub aliases: Vec<String>,
    /// The runtime class.
    pub runtime_class: Option<Rendered>,
    /// Environment variables: the name, and the JSON of the variable.
    pub env: Vec<Rendered>,
    /// The alternatives, one of which a node must match: the pools, those that collapse to one `In` being one.
    pub alternatives: Vec<Alternative>,
    /// The required node affinity of a Pod that has none: a term for each alternative, as JSON.
    pub required: String,
    /// What several pools prefer, most preferred first.
    pub preferences: Vec<Preference>,
    /// The taints of all pools, in order, each once.
    pub taints: Vec<TolerableTaint>,
    /// The operating system of the Pods that it is for (rule 32).
    pub os: Os,
}

/// The operating systems that a Pod may be of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Os {
    /// Any but Windows, which is what a Pod says that says nothing.
    NotWindows,
    /// Windows.
    Windows,
}

/// A text, and the JSON that stands for it in a patch, rendered when the table is compiled.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// The JSON that stands for it.
    pub json: String,
}

/// Requirements that together select a node.
#[derive(Clone, Debug)]
pub struct Alternative {
    /// The requirements and the JSON of each.
    pub requirements: Vec<(Condition, String)>,
    /// The JSON of them all, as `matchExpressions`.
    pub json: String,
    /// How many entries of lists it adds to a term (rule 32).
    pub entries: usize,
}

/// A preferred term.
#[derive(Clone, Debug)]
pub struct Preference {
    /// What a node should match.
    pub requirements: Vec<Condition>,
    /// The JSON of the term with its weight.
    pub json: String,
    /// How many entries of lists it adds to a Pod (rule 32).
    pub entries: usize,
}

/// A taint, and the JSON of the toleration that tolerates it.
#[derive(Clone, Debug)]
pub struct TolerableTaint {
    /// The taint's key.
    pub key: String,
    /// The taint's value, empty where absent.
    pub value: String,
    /// The taint's effect.
    pub effect: TaintEffect,
    /// The toleration.
    pub json: String,
}

impl AllocationTable {
    /// A short hash of the content: the same on every replica that holds the same manifests.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The label that names a Pod's class.
    #[must_use]
    pub fn class_label(&self) -> &str {
        &self.class_label
    }

    /// The classes' names, sorted.
    pub fn class_names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// How many classes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no class.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many pools there are.
    #[must_use]
    pub fn pool_count(&self) -> usize {
        self.pools.len()
    }

    /// The pools, sorted by name.
    #[must_use]
    pub fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// The classes, sorted by name.
    pub fn classes(&self) -> impl Iterator<Item = &Allocation> {
        self.names.iter().filter_map(|name| self.classes.get(name))
    }

    /// The names of the classes that a namespace may use, sorted.
    pub fn open_to(&self, namespace: Namespace<'_>) -> impl Iterator<Item = &str> {
        let open = move |name: &&str| {
            self.class(name)
                .is_some_and(|class| class.is_open_to(namespace))
        };
        self.class_names().filter(open)
    }

    /// Whether a class is for namespaces with a label besides the one with their name.
    #[must_use]
    pub fn selects_by_labels(&self) -> bool {
        self.classes.values().any(Allocation::selects_by_labels)
    }

    /// The allocation of a class.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&Allocation> {
        self.classes.get(name)
    }

    /// Whether a resource is a GPU, to this table or to anyone.
    #[must_use]
    pub fn is_gpu(&self, resource: &str) -> bool {
        self.kind(resource) == Kind::Gpu
    }

    /// What a resource is, by the table, else by what the operator says, else by its name.
    #[must_use]
    pub fn kind(&self, resource: &str) -> Kind {
        // a native resource has no domain
        if !resource.contains('/') {
            Kind::Other
        } else if self.resources.contains(resource) {
            Kind::Gpu
        } else if self.companions.contains(resource) {
            Kind::Device
        } else {
            Kind::of(resource)
        }
    }

    /// Whether the operator says that another webhook injects the container.
    #[must_use]
    pub fn injects(&self, container: &str) -> bool {
        self.injected.contains(container)
    }
}

impl Allocation {
    /// Whether a namespace may use the class, as far as its labels are known (rule 31).
    #[must_use]
    pub fn is_open_to(&self, namespace: Namespace<'_>) -> bool {
        let selector = self.namespaces.as_ref();
        selector.is_none_or(|selector| selector.matches(|key| namespace.label(key)))
    }

    /// Whether it takes more than a namespace's name to say who may use the class.
    #[must_use]
    pub fn selects_by_labels(&self) -> bool {
        let requirements = self.namespaces.iter().flat_map(Selector::requirements);
        requirements
            .into_iter()
            .any(|requirement| requirement.key != NAMESPACE_NAME_LABEL)
    }

    /// Whether a resource is a GPU of one of the groups, under its own name or an alias.
    #[must_use]
    pub fn names(&self, resource: &str) -> bool {
        self.groups.iter().any(|group| group.names(resource))
    }
}

impl Group {
    /// Whether a resource is the group's, under its own name or an alias.
    #[must_use]
    pub fn names(&self, resource: &str) -> bool {
        self.resource == resource || self.aliases.iter().any(|alias| alias == resource)
    }

    /// Whether a Node with these labels is of one of the pools.
    #[must_use]
    pub fn selects(&self, labels: &Labels) -> bool {
        let mut alternatives = self.alternatives.iter();
        alternatives.any(|alternative| alternative.selects(labels))
    }
}

impl Alternative {
    fn selects(&self, labels: &Labels) -> bool {
        let admits = |condition: &Condition| {
            condition.admits(labels.get(&condition.key).map(String::as_str))
        };
        self.requirements
            .iter()
            .all(|(condition, _)| admits(condition))
    }
}

impl fmt::Display for Alternative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (requirement, _)) in self.requirements.iter().enumerate() {
            let separator = if i == 0 { "" } else { " and " };
            write!(f, "{separator}{}", **requirement)?;
        }
        Ok(())
    }
}
