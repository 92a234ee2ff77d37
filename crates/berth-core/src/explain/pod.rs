//! The conclusion about one Pod.

use k8s_openapi::{
    api::core::v1::{ContainerState, Event, Pod},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
    jiff::Timestamp,
};

use super::{
    Advice, Explanation, Facts, Why, age,
    holders::scaled_by,
    said::{self, by_scheduler},
    waiting,
};
use crate::fleet::{PodView, SeenPod};

/// A Pod, and what is seen of it at a glance.
pub(super) struct Subject<'p> {
    pub(super) pod: &'p Pod,
    pub(super) seen: SeenPod,
    /// The class that it names or its namespace does, also where it opts out.
    pub(super) class: Option<String>,
    pub(super) name: String,
    pub(super) since: Option<Timestamp>,
    /// What to scale to have fewer of it, as `deploy/whisper`.
    pub(super) scaled_by: Option<String>,
    pub(super) facts: &'p Facts,
}

/// A conclusion, before it is told whose.
pub(super) struct Found {
    pub(super) reason: Why,
    pub(super) sentence: String,
    pub(super) remarks: Vec<String>,
    pub(super) advice: Vec<Advice>,
}

impl Found {
    pub(super) fn new(reason: Why, sentence: impl Into<String>) -> Self {
        Self {
            reason,
            sentence: sentence.into(),
            remarks: Vec::new(),
            advice: Vec::new(),
        }
    }

    pub(super) fn advise(mut self, advice: Advice) -> Self {
        self.advice.push(advice);
        self
    }
}

/// Explains a Pod. The decision is for whoever has the Pod as it was before its review.
#[must_use]
pub fn pod(pod: &Pod, events: &[Event], facts: &Facts) -> Explanation {
    let subject = Subject::new(pod, facts);
    let funnels = subject.funnels();
    let found = subject.conclude(&funnels);
    Explanation {
        object: format!("pod/{}", subject.name),
        namespace: Some(subject.seen.namespace.clone()),
        reason: found.reason,
        conclusion: found.sentence,
        class: subject.class.clone(),
        placed_in: subject.pools().map(str::to_owned).collect(),
        table: facts.revision(),
        decision: Vec::new(),
        pools: funnels,
        remarks: found.remarks,
        advice: found.advice,
        said: said::of(Some(pod), events, facts.now),
        unread: facts.unread.clone(),
    }
}

impl<'p> Subject<'p> {
    pub(super) fn new(pod: &'p Pod, facts: &'p Facts) -> Self {
        let view = serde_json::to_value(pod).and_then(serde_json::from_value::<PodView>);
        let view = view.unwrap_or_default();
        let table = &facts.view.table;
        let namespace = view.metadata.namespace.clone().unwrap_or_default();
        let of_namespace = facts.view.namespace(&namespace);
        let of_namespace = of_namespace.label(table.class_label()).map(str::to_owned);
        let labels = view.metadata.labels.as_ref();
        let own = labels.and_then(|it| it.get(table.class_label()).cloned());
        let seen = view.seen(table.class_label(), of_namespace.as_deref());
        // what is finished is not counted, and has a name all the same
        let seen = seen.unwrap_or_else(|| SeenPod {
            namespace,
            ..SeenPod::default()
        });
        Self {
            pod,
            class: own.or(of_namespace),
            scaled_by: scaled_by(&view),
            name: view.metadata.name.unwrap_or_default(),
            since: view.metadata.creation_timestamp.map(|it| it.0),
            seen,
            facts,
        }
    }

    pub(super) fn label(&self, key: &str) -> Option<&str> {
        let labels = self.pod.metadata.labels.as_ref()?;
        labels.get(key).map(String::as_str)
    }

    fn phase(&self) -> &str {
        let status = self.pod.status.as_ref();
        status
            .and_then(|it| it.phase.as_deref())
            .unwrap_or_default()
    }

    /// The names of the pools that berth recorded.
    pub(super) fn pools(&self) -> impl Iterator<Item = &str> {
        let pools = self.seen.pools.as_deref().unwrap_or_default();
        pools.split(',').filter(|it| !it.is_empty())
    }

    fn conclude(&self, funnels: &[super::Funnel]) -> Found {
        let phase = self.phase();
        if matches!(phase, "Succeeded" | "Failed") {
            let said = self.pod.status.iter();
            let said = said.flat_map(|it| [&it.reason, &it.message]).flatten();
            let said: Vec<&str> = [phase]
                .into_iter()
                .chain(said.map(String::as_str))
                .collect();
            let sentence = format!("the Pod has ended: {}", said.join(": "));
            return Found::new(Why::Finished, sentence);
        }
        if let Some(node) = &self.seen.node {
            return self.on_node(node);
        }
        if self.seen.is_leaving {
            return Found::new(
                Why::Leaving,
                "the Pod is being deleted, so the scheduler leaves it",
            );
        }
        if self.seen.is_gated && self.seen.pools.is_some() {
            return self.gated(funnels);
        }
        let mut found = self
            .unplaced()
            .unwrap_or_else(|| match &self.seen.nominated {
                Some(node) => Found::new(
                    Why::Preempting,
                    format!("room is made for it on {node}: Pods of a lower priority end there"),
                ),
                None => waiting::conclude(self, funnels),
            });
        found.sentence = self.pending() + &found.sentence;
        found
    }

    /// `Pending 4m12s: `.
    fn pending(&self) -> String {
        match self.since {
            Some(since) => format!("Pending {}: ", age(since, self.facts.now)),
            None => "Pending: ".to_owned(),
        }
    }

    fn on_node(&self, node: &str) -> Found {
        let status = self.pod.status.as_ref();
        let started = status.and_then(|it| it.start_time.as_ref()).map(|it| it.0);
        let gpus: Vec<String> = self.gpus().collect();
        let gpus = match &*gpus {
            [] => "no GPU".to_owned(),
            some => some.join(", "),
        };
        let waits = waiting_container(self.pod);
        let mut found = if self.phase() == "Running" {
            let since = started.map(|at| format!(" for {}", age(at, self.facts.now)));
            let since = since.unwrap_or_default();
            let rest = match &waits {
                Some(waits) => format!("; {waits}"),
                None if self.seen.pools.is_some() => ". Nothing to explain".to_owned(),
                None => String::new(),
            };
            Found::new(
                Why::Running,
                format!("Running on {node}{since}, with {gpus}{rest}"),
            )
        } else {
            let why = waits.unwrap_or_else(|| "its containers do not run yet".to_owned());
            Found::new(
                Why::Starting,
                format!("it has node {node}, with {gpus}, and does not wait for a GPU: {why}"),
            )
        };
        if self.seen.is_leaving {
            found.remarks.push("it is being deleted".to_owned());
        }
        found.remarks.extend(self.lost_node(node));
        if let Some(unplaced) = self.unplaced() {
            found.remarks.push(unplaced.sentence);
            found.advice = unplaced.advice;
        }
        found
    }

    /// Why what the status says may be old: nobody on its node reports.
    fn lost_node(&self, name: &str) -> Option<String> {
        let nodes = &self.facts.counted.as_ref()?.nodes;
        match nodes.iter().find(|it| it.name == name) {
            Some(node) if node.is_ready => None,
            Some(_) => Some(format!(
                "node {name} is not ready, so its Pods may not run any more"
            )),
            None => Some(format!("node {name} is not in the cluster any more")),
        }
    }

    /// What it asks for of what the table calls a GPU, as `1 of nvidia.com/gpu`.
    fn gpus(&self) -> impl Iterator<Item = String> {
        let demand = self.seen.demand.iter();
        let gpus = demand.filter(|(resource, _)| self.facts.view.table.is_gpu(resource));
        gpus.map(|(resource, amount)| {
            let container = self.container_of(resource);
            format!("{amount} of {resource}{container}")
        })
    }

    fn container_of(&self, resource: &str) -> String {
        let containers = self.pod.spec.iter().flat_map(|spec| &spec.containers);
        let limit = |it: &k8s_openapi::api::core::v1::Container| {
            let limits = it.resources.as_ref().and_then(|it| it.limits.as_ref());
            limits.is_some_and(|it| it.contains_key(resource))
        };
        let mut containers = containers.filter(|it| limit(it));
        let container = containers.next();
        container.map_or_else(String::new, |it| format!(" in container {}", it.name))
    }

    fn gated(&self, funnels: &[super::Funnel]) -> Found {
        let gates = self
            .pod
            .spec
            .iter()
            .flat_map(|spec| spec.scheduling_gates.iter().flatten());
        let gates: Vec<&str> = gates.map(|it| it.name.as_str()).collect();
        let mut sentence = format!(
            "Waiting, and not for a GPU: the scheduler does not look at it while it has the gate {}",
            gates.join(", ")
        );
        if gates.iter().any(|gate| gate.starts_with("kueue.x-k8s.io/")) {
            let queue = self.label("kueue.x-k8s.io/queue-name");
            let queue = queue.map_or_else(String::new, |it| format!(" in queue {it}"));
            sentence = format!("{sentence}: Kueue holds it{queue}");
        }
        let mut found = Found::new(Why::Gated, sentence);
        let free = funnels.iter();
        found.remarks = free
            .map(|it| {
                format!(
                    "pool {} has {} free now",
                    it.pool,
                    super::funnel::counted(it.free)
                )
            })
            .collect();
        found
    }

    /// How a Pod comes to have what new Pods get.
    pub(super) fn made_anew(&self) -> Advice {
        let command = format!(
            "kubectl -n {} delete pod {}",
            self.seen.namespace, self.name
        );
        match self.controller() {
            Some(owner) => Advice::command(command, format!("its {} makes another", owner.kind)),
            None => Advice::command(command, "then create it again: nobody else does"),
        }
    }

    fn controller(&self) -> Option<&OwnerReference> {
        let owners = self.pod.metadata.owner_references.iter().flatten();
        owners.into_iter().find(|it| it.controller == Some(true))
    }

    /// Whether its controller is of a kind.
    pub(super) fn is_of(&self, kind: &str) -> bool {
        self.controller().is_some_and(|it| it.kind == kind)
    }

    /// What the scheduler found, in its words.
    pub(super) fn scheduler_says(&self) -> Option<&str> {
        let (_, message) = by_scheduler(self.pod)?;
        Some(message)
    }
}

/// The first of its containers that waits, and what for.
pub(super) fn waiting_container(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let init = status.init_container_statuses.iter().flatten();
    let mut all = init.chain(status.container_statuses.iter().flatten());
    all.find_map(|it| {
        let waiting = it
            .state
            .as_ref()
            .and_then(|it: &ContainerState| it.waiting.as_ref())?;
        let reason = waiting.reason.as_deref().unwrap_or("it waits");
        let message = waiting.message.as_ref();
        let message = message.map_or_else(String::new, |it| format!(" ({it})"));
        Some(format!("container {}: {reason}{message}", it.name))
    })
}
