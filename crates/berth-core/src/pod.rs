//! What the rules read of a Pod, borrowed from the review's bytes. Everything else is skipped, and so stays as it is
//! (law 4): scheduling gates, topology spread, priority and ephemeral containers among it (rule 26). Pod-level
//! `resources` hold no GPU (rule 21).

use crate::json::{Amount, Bound, Map, Raw, Text, Unlisted, Unread, object};

/// The containers of one list (rule 32).
pub const CONTAINERS: Bound = Bound {
    most: 100,
    what: "containers",
};
/// Tolerations (rule 32).
pub const TOLERATIONS: Bound = Bound {
    most: 1000,
    what: "tolerations",
};
/// Terms of node affinity, required ones and preferred ones (rule 32).
pub const TERMS: Bound = Bound {
    most: 1000,
    what: "node affinity terms",
};

/// A Pod, as far as a rule reads it.
#[derive(Clone, Debug, Default)]
pub struct Pod<'a> {
    /// Who it is.
    pub metadata: Option<Metadata<'a>>,
    /// What it wants.
    pub spec: Option<Spec<'a>>,
    /// How many entries of lists and maps were kept of it (rule 32).
    pub entries: usize,
}

object! {
    /// A Pod's metadata.
    Metadata {
        /// The name, which a controller leaves to the API server.
        name: Text<'a> = "name",
        /// The prefix of a name that the API server makes up after us.
        generate_name: Text<'a> = "generateName",
        /// Labels.
        labels: Map<'a, Text<'a>> = "labels",
        /// Annotations.
        annotations: Map<'a, Text<'a>> = "annotations",
        /// Who created the Pod.
        owner_references: Vec<OwnerReference<'a>> = "ownerReferences",
    }
}

object! {
    /// An owner of the Pod.
    OwnerReference {
        /// The owner's group and version.
        api_version: Text<'a> = "apiVersion",
        /// The owner's kind.
        kind: Text<'a> = "kind",
        /// The owner's name.
        name: Text<'a> = "name",
        /// The owner's uid.
        uid: Text<'a> = "uid",
        /// Whether this one manages the Pod.
        controller: bool = "controller",
    }
}

object! {
    /// A Pod's spec.
    Spec {
        /// The node, by name: the scheduler is bypassed.
        node_name: Text<'a> = "nodeName",
        /// Labels that the node must carry.
        node_selector: Map<'a, Text<'a>> = "nodeSelector",
        /// Affinity.
        affinity: Affinity<'a> = "affinity",
        /// Tolerations.
        tolerations: Vec<Toleration<'a>> = "tolerations",
        /// Regular containers.
        containers: Vec<Container<'a>> = "containers",
        /// Init containers, native sidecars among them.
        init_containers: Vec<Container<'a>> = "initContainers",
        /// The runtime class.
        runtime_class_name: Text<'a> = "runtimeClassName",
        /// The scheduler.
        scheduler_name: Text<'a> = "schedulerName",
        /// The operating system.
        os: Os<'a> = "os",
    }
}

object! {
    /// The Pod's operating system.
    Os {
        /// `linux` or `windows`.
        name: Text<'a> = "name",
    }
}

object! {
    /// Affinity, of which only the node's is read.
    Affinity {
        /// Node affinity.
        node_affinity: NodeAffinity<'a> = "nodeAffinity",
    }
}

object! {
    /// Node affinity.
    NodeAffinity {
        /// What a node must have.
        required: NodeSelector<'a> = "requiredDuringSchedulingIgnoredDuringExecution",
        /// What a node should have.
        preferred: Vec<PreferredTerm<'a>> = "preferredDuringSchedulingIgnoredDuringExecution",
    }
}

object! {
    /// Terms, one of which a node must match.
    NodeSelector {
        /// The terms.
        terms: Vec<Term<'a>> = "nodeSelectorTerms",
    }
}

object! {
    /// A term that a node should match.
    PreferredTerm, TERMS in a list {
        /// The term.
        preference: Term<'a> = "preference",
    }
}

object! {
    /// Requirements, all of which a node must meet; without any, no node does.
    Term, TERMS in a list {
        /// On the node's labels.
        match_expressions: Vec<Expression<'a>> = "matchExpressions",
        /// On the node's fields.
        match_fields: Unlisted = "matchFields",
    }
}

object! {
    /// A requirement on one label.
    Expression {
        /// The label's key.
        key: Text<'a> = "key",
        /// The operator.
        operator: Text<'a> = "operator",
        /// The values that the operator compares with.
        values: Vec<Text<'a>> = "values",
    }
}

object! {
    /// A toleration.
    Toleration, TOLERATIONS in a list {
        /// The taint's key; empty with `Exists` means every key.
        key: Text<'a> = "key",
        /// `Equal` where empty.
        operator: Text<'a> = "operator",
        /// The taint's value.
        value: Text<'a> = "value",
        /// The taint's effect; empty means every effect.
        effect: Text<'a> = "effect",
        /// How long a `NoExecute` taint is tolerated; for ever where absent.
        toleration_seconds: Unread = "tolerationSeconds",
    }
}

object! {
    /// A container of any kind.
    Container, CONTAINERS in a list {
        /// Its name.
        name: Text<'a> = "name",
        /// Its resources.
        resources: Resources<'a> = "resources",
        /// Its environment.
        env: Vec<EnvVar<'a>> = "env",
        /// Further sources of its environment.
        env_from: Unlisted = "envFrom",
        /// `Always` makes an init container a native sidecar.
        restart_policy: Text<'a> = "restartPolicy",
    }
}

object! {
    /// A container's resources.
    Resources {
        /// Limits.
        limits: Map<'a, Amount<'a>> = "limits",
        /// Requests.
        requests: Map<'a, Amount<'a>> = "requests",
        /// Claims of dynamic resource allocation.
        claims: Unlisted = "claims",
    }
}

object! {
    /// An environment variable.
    EnvVar {
        /// Its name.
        name: Text<'a> = "name",
        /// Its value, as it is written.
        value: Raw<'a> = "value",
    }
}

/// The text, or the empty string where there is none, as Kubernetes reads an absent string.
pub(crate) fn text<'t>(text: &'t Option<Text<'_>>) -> &'t str {
    text.as_deref().unwrap_or_default()
}

/// Whether there is something in a list.
pub(crate) fn has(list: Option<Unlisted>) -> bool {
    list.is_some_and(|list| !list.is_empty)
}

/// The list, or the empty list where there is none.
pub(crate) fn list<T>(list: &Option<Vec<T>>) -> &[T] {
    list.as_deref().unwrap_or_default()
}

impl<'a> Pod<'a> {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.metadata
            .as_ref()?
            .labels
            .as_ref()?
            .get(key)
            .map(|value| &**value)
    }

    /// The value of an annotation.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata
            .as_ref()?
            .annotations
            .as_ref()?
            .get(key)
            .map(|value| &**value)
    }

    /// The owner that manages the Pod.
    #[must_use]
    pub fn controller(&self) -> Option<&OwnerReference<'a>> {
        let owners = list(&self.metadata.as_ref()?.owner_references);
        owners.iter().find(|owner| owner.is_controller())
    }
}

impl Pod<'_> {
    /// What tells the Pod from others while it has no uid: its controller's uid, else the prefix of its name, else its
    /// name. The stored Pod has the same.
    #[must_use]
    pub fn owner(&self) -> &str {
        let Some(metadata) = &self.metadata else {
            return "";
        };
        let controller = self.controller().map(|owner| text(&owner.uid));
        let prefix = text(&metadata.generate_name);
        let known = [controller.unwrap_or_default(), prefix];
        let known = known.into_iter().find(|it| !it.is_empty());
        known.unwrap_or_else(|| text(&metadata.name))
    }
}

impl OwnerReference<'_> {
    /// Whether this owner manages the Pod.
    #[must_use]
    pub fn is_controller(&self) -> bool {
        self.controller == Some(true)
    }
}

impl Container<'_> {
    /// Whether, as an init container, it is a native sidecar: it runs as long as the Pod.
    #[must_use]
    pub fn restarts(&self) -> bool {
        text(&self.restart_policy) == "Always"
    }

    /// Whether it uses claims of dynamic resource allocation.
    #[must_use]
    pub fn has_claims(&self) -> bool {
        self.resources
            .as_ref()
            .is_some_and(|resources| has(resources.claims))
    }
}
