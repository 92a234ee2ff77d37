//! The funnel: how many nodes are left for a Pod after each step that the scheduler takes, pool by pool.

use k8s_openapi::{api::core::v1::PodSpec, jiff::Timestamp};
use serde::Serialize;

use super::{Counted, holders::TakenBy, terms};
use crate::{
    api::TaintEffect,
    fleet::{Offer, SeenNode, Tolerated},
    table::Pool,
};

/// So many Pods that have a pool's GPUs are named.
const NAMED: usize = 8;
/// What the node controller puts on a node that is not ready. What else it puts there, every Pod tolerates for a time.
const NOT_READY: (&str, &str, &str) = ("node.kubernetes.io/not-ready", "", "NoSchedule");
/// What it puts on a node that is cordoned.
const UNSCHEDULABLE: (&str, &str, &str) = ("node.kubernetes.io/unschedulable", "", "NoSchedule");

/// The nodes of one pool, as far as they are left for a Pod.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Funnel {
    /// The pool's name.
    pub pool: String,
    /// The pool's resource.
    pub resource: String,
    /// How many of it the Pod asks for.
    pub gpus: u32,
    /// How many nodes are left after each step.
    pub steps: Vec<Step>,
    /// The GPUs of the nodes on which the Pod may run, but for what is taken.
    pub allocatable: u64,
    /// Of these, what Pods have.
    pub allocated: u64,
    /// Of these, what is kept for Pods for which room is made.
    pub nominated: u64,
    /// Of these, what is free.
    pub free: u64,
    /// How many GPUs an autoscaler may still add.
    pub may_grow_by: u64,
    /// Who has the GPUs of these nodes, oldest first.
    pub taken_by: Vec<TakenBy>,
    /// How many more have some.
    pub more_taken_by: usize,
    /// The nodes that the pool selects.
    #[serde(skip)]
    pub(super) nodes: Vec<Left>,
}

/// A step of the funnel.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Step {
    /// What the nodes that are left have in common, as `tolerated`.
    pub step: String,
    /// How many are left.
    pub nodes: usize,
}

/// How far a node is left, in the order of the steps.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Stage {
    InPool,
    Allowed,
    Ready,
    Open,
    Tolerated,
    Offering,
    Free,
}

/// A node that the pool selects.
#[derive(Clone, Debug)]
pub(super) struct Left {
    pub(super) name: String,
    /// The last step after which it is left.
    pub(super) stage: Stage,
    /// What of it is in the way of the next step, where that has a name.
    pub(super) because: String,
    /// What it offers of the pool's resource.
    pub(super) offer: Offer,
    /// Whether DRA provides its GPUs, so that nobody knows how many are free.
    pub(super) is_provided: bool,
}

/// A Pod that looks for a node.
#[derive(Clone, Debug)]
pub(super) struct Seeker<'p> {
    pub(super) spec: Option<&'p PodSpec>,
    pub(super) tolerations: Vec<Tolerated>,
}

impl Stage {
    const ALL: [Self; 7] = [
        Self::InPool,
        Self::Allowed,
        Self::Ready,
        Self::Open,
        Self::Tolerated,
        Self::Offering,
        Self::Free,
    ];

    fn words(self, gpus: u32) -> String {
        match self {
            Self::InPool => "in the pool".to_owned(),
            Self::Allowed => "allowed by the Pod".to_owned(),
            Self::Ready => "ready".to_owned(),
            Self::Open => "not cordoned".to_owned(),
            Self::Tolerated => "tolerated".to_owned(),
            Self::Offering => format!("with {}", counted(u64::from(gpus))),
            Self::Free => "free now".to_owned(),
        }
    }
}

/// `1 GPU`, `2 GPUs`.
pub(super) fn counted(gpus: u64) -> String {
    match gpus {
        1 => "1 GPU".to_owned(),
        gpus => format!("{gpus} GPUs"),
    }
}

impl Seeker<'_> {
    fn tolerates(&self, (key, value, effect): (&str, &str, &str)) -> bool {
        let mut tolerations = self.tolerations.iter();
        tolerations.any(|it| it.tolerates(key, value, effect))
    }

    /// The first hard taint of a node that is not tolerated, as `key=value:effect`.
    fn untolerated(&self, node: &SeenNode) -> Option<String> {
        let is_hard = |effect: &str| {
            TaintEffect::of(effect).is_some_and(|it| it != TaintEffect::PreferNoSchedule)
        };
        let mut taints = node.taints.iter();
        let taint = taints
            .find(|(key, value, effect)| is_hard(effect) && !self.tolerates((key, value, effect)));
        taint.map(shown)
    }
}

fn shown((key, value, effect): &(String, String, String)) -> String {
    match &**value {
        "" => format!("{key}:{effect}"),
        value => format!("{key}={value}:{effect}"),
    }
}

impl Funnel {
    pub(super) fn new(
        pool: &Pool,
        gpus: u32,
        seeker: &Seeker<'_>,
        counted: &Counted,
        now: Timestamp,
    ) -> Self {
        let fleet = counted.fleet();
        let survey = fleet.survey();
        let survey = survey.iter().find(|it| it.name == pool.name);
        let is_provided = survey.is_some_and(|it| it.is_provided);
        let selected = counted.nodes.iter().filter(|node| is_in(pool, node));
        let nodes = selected.map(|node| {
            let offer = fleet.offer(&node.name, &pool.resource);
            let is_provided = is_provided && offer.allocatable == 0;
            let (stage, because) = left(node, offer, is_provided, gpus, seeker);
            Left {
                name: node.name.clone(),
                stage,
                because,
                offer,
                is_provided,
            }
        });
        let nodes: Vec<Left> = nodes.collect();
        let of = |amount: fn(&Offer) -> u64| {
            let open = nodes.iter().filter(|node| node.stage >= Stage::Tolerated);
            open.map(|node| amount(&node.offer)).sum()
        };
        let mut funnel = Self {
            pool: pool.name.clone(),
            resource: pool.resource.clone(),
            gpus,
            steps: steps(counted.nodes.len(), &nodes, gpus, seeker),
            allocatable: of(|it| it.allocatable.into()),
            allocated: of(|it| it.allocated),
            nominated: of(|it| it.nominated),
            free: of(|it| it.free.into()),
            may_grow_by: survey.map_or(0, |it| it.may_grow_by),
            taken_by: Vec::new(),
            more_taken_by: 0,
            nodes,
        };
        funnel.name_holders(counted, now);
        funnel
    }

    fn name_holders(&mut self, counted: &Counted, now: Timestamp) {
        let open = |name: &str| {
            let mut nodes = self.nodes.iter();
            nodes.any(|it| it.name == name && it.stage >= Stage::Tolerated)
        };
        let holders = counted.holders.iter();
        let mut holders: Vec<_> = holders
            .filter(|it| it.gpus(&self.resource) > 0 && open(&it.node))
            .collect();
        holders.sort_by_key(|it| (it.since, &it.namespace, &it.name));
        self.more_taken_by = holders.len().saturating_sub(NAMED);
        let named = holders.into_iter().take(NAMED);
        self.taken_by = named.map(|it| it.shown(&self.resource, now)).collect();
    }

    /// The nodes that are left the longest, and the step after which they are; none where no node is in the pool.
    pub(super) fn last(&self) -> Option<(Stage, Vec<&Left>)> {
        let stage = self.nodes.iter().map(|node| node.stage).max()?;
        let nodes = self.nodes.iter().filter(|node| node.stage == stage);
        Some((stage, nodes.collect()))
    }
}

/// Whether the pool selects a node.
pub(super) fn is_in(pool: &Pool, node: &SeenNode) -> bool {
    let mut requirements = pool.requirements.iter();
    requirements.all(|it| it.admits(node.labels.get(&it.key).map(String::as_str)))
}

/// The last step after which a node of the pool is left, and what is in the way of the next.
fn left(
    node: &SeenNode,
    offer: Offer,
    is_provided: bool,
    gpus: u32,
    seeker: &Seeker<'_>,
) -> (Stage, String) {
    if let Some(unmet) = seeker.spec.and_then(|spec| terms::unmet(spec, node)) {
        return (Stage::InPool, unmet);
    }
    if !node.is_ready && !seeker.tolerates(NOT_READY) {
        return (Stage::Allowed, String::new());
    }
    if node.is_cordoned && !seeker.tolerates(UNSCHEDULABLE) {
        return (Stage::Ready, String::new());
    }
    if let Some(taint) = seeker.untolerated(node) {
        return (Stage::Open, taint);
    }
    let stage = if is_provided || offer.free >= gpus {
        Stage::Free
    } else if offer.allocatable >= gpus {
        Stage::Offering
    } else {
        Stage::Tolerated
    };
    (stage, String::new())
}

fn steps(all: usize, nodes: &[Left], gpus: u32, seeker: &Seeker<'_>) -> Vec<Step> {
    let first = Step {
        step: "nodes".to_owned(),
        nodes: all,
    };
    // without a Pod there is nothing that it allows
    let is_asked = |stage: &Stage| seeker.spec.is_some() || *stage != Stage::Allowed;
    let left = Stage::ALL.into_iter().filter(is_asked).map(|stage| Step {
        step: stage.words(gpus),
        nodes: nodes.iter().filter(|node| node.stage >= stage).count(),
    });
    [first].into_iter().chain(left).collect()
}
