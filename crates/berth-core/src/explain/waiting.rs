//! What a Pod waits for that the scheduler found no node for: the step of the funnel after which no node is left.

use k8s_openapi::jiff::Timestamp;

use super::{
    Advice, Counted, Facts, Funnel, Why, age,
    funnel::{Left, Seeker, Stage, counted, is_in},
    pod::{Found, Subject},
};
use crate::{
    fleet::SeenNode,
    live::Room,
    selector::Operator,
    table::{Allocation, Group, Pool},
};

/// So many names are listed.
const NAMED: usize = 5;
/// So many Pods to scale are advised.
const ADVISED: usize = 3;
/// The scheduler of a Pod that names none.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

impl Subject<'_> {
    /// The funnel of each pool that berth recorded, in their order.
    pub(super) fn funnels(&self) -> Vec<Funnel> {
        let Some(nodes) = &self.facts.counted else {
            return Vec::new();
        };
        let seeker = Seeker {
            spec: self.pod.spec.as_ref(),
            tolerations: self.seen.tolerations.clone(),
        };
        let pools = self.pools().filter_map(|name| self.facts.pool(name));
        pools
            .map(|pool| {
                Funnel::new(
                    pool,
                    self.asks(&pool.resource),
                    &seeker,
                    nodes,
                    self.facts.now,
                )
            })
            .collect()
    }

    /// How many of a resource it asks for.
    fn asks(&self, resource: &str) -> u32 {
        let mut demand = self.seen.demand.iter();
        let of = demand.find(|(name, _)| name == resource);
        of.map_or(0, |(_, amount)| *amount)
    }

    fn scheduler(&self) -> &str {
        let spec = self.pod.spec.as_ref();
        let name = spec.and_then(|it| it.scheduler_name.as_deref());
        name.filter(|it| !it.is_empty())
            .unwrap_or(DEFAULT_SCHEDULER)
    }

    /// Whether a pool's spec was written after the Pod was created.
    fn is_older_than(&self, pool: &str) -> Option<Timestamp> {
        let written = self.facts.written.get(pool).copied();
        written.filter(|at| self.since.is_some_and(|since| since < *at))
    }
}

impl Facts {
    pub(super) fn pool(&self, name: &str) -> Option<&Pool> {
        let mut pools = self.view.table.pools().iter();
        pools.find(|pool| pool.name == name)
    }
}

pub(super) fn conclude(subject: &Subject<'_>, funnels: &[Funnel]) -> Found {
    let mut found = match (&subject.facts.counted, funnels) {
        (None, _) => not_counted(subject),
        (Some(_), []) => pools_gone(subject),
        (Some(nodes), funnels) => by_funnels(subject, funnels, nodes),
    };
    found.sentence = subject.pending() + &found.sentence;
    found
}

/// Nodes and Pods could not be read: what berth wrote down is told, with nothing concluded from it but what it says.
fn not_counted(subject: &Subject<'_>) -> Found {
    let written = subject.pools().filter_map(|pool| {
        let status = subject.facts.statuses.pools.get(pool)?;
        let gpus = status.gpus?;
        Some(format!(
            "pool {pool} has {} of {} free, as berth counted last",
            gpus.free,
            counted(gpus.allocatable)
        ))
    });
    let written: Vec<String> = written.collect();
    let said = subject.scheduler_says().map_or(
        "the scheduler has not said anything",
        |_| "the scheduler found no node, and says why below",
    );
    let mut sentence = format!("{said}; how many GPUs are free, you may not see");
    if !written.is_empty() {
        sentence = format!("{}; {said}", written.join(", "));
    }
    Found::new(Why::Unknown, sentence)
}

fn pools_gone(subject: &Subject<'_>) -> Found {
    let pools: Vec<&str> = subject.pools().collect();
    let sentence = format!(
        "it was placed in pool {}, which is not in the table any more",
        pools.join(", ")
    );
    Found::new(Why::PoolGone, sentence).advise(subject.made_anew())
}

fn by_funnels(subject: &Subject<'_>, funnels: &[Funnel], nodes: &Counted) -> Found {
    let stage = |funnel: &Funnel| funnel.last().map(|(stage, _)| stage);
    let deepest = funnels.iter().map(stage).max().flatten();
    let is_deepest = |funnel: &&Funnel| stage(funnel) == deepest;
    let Some(first) = funnels.iter().find(is_deepest) else {
        return pools_gone(subject);
    };
    let mut found = of_pool(subject, first);
    let others = funnels.iter().filter(|it| it.pool != first.pool);
    let others: Vec<String> = others.map(|it| of_pool(subject, it).sentence).collect();
    found.remarks.extend(others);
    if deepest < Some(Stage::Free) {
        overtaken(subject, first, nodes, &mut found);
    }
    let scheduler = subject.scheduler();
    if scheduler != DEFAULT_SCHEDULER && found.reason != Why::OtherScheduler {
        found.remarks.push(format!(
            "its scheduler is {scheduler}, which may wait for more than a node"
        ));
    }
    found
}

/// Another group of its class has room: a new Pod would go there.
fn overtaken(subject: &Subject<'_>, funnel: &Funnel, nodes: &Counted, found: &mut Found) {
    let table = &subject.facts.view.table;
    let class: Option<&Allocation> = subject.class.as_deref().and_then(|it| table.class(it));
    let groups = class.iter().flat_map(|class| &class.groups);
    let is_other = |group: &&Group| !group.pools.contains(&funnel.pool);
    let gpus = u64::from(funnel.gpus);
    let mut others = groups.filter(is_other);
    let Some(other) =
        others.find(|group| gpus > 0 && nodes.ledger.room(group, gpus) == Room::Enough)
    else {
        return;
    };
    found.reason = Why::Overtaken;
    found.sentence = format!(
        "{}; another pool of its class has room now: {}",
        found.sentence, other.name.text
    );
    found.advice = vec![subject.made_anew()];
}

/// What keeps the Pod from one pool's nodes.
fn of_pool(subject: &Subject<'_>, funnel: &Funnel) -> Found {
    let pool = &funnel.pool;
    let Some((stage, nodes)) = funnel.last() else {
        return no_node(subject, funnel);
    };
    match stage {
        Stage::InPool => own_constraints(subject, funnel, &nodes),
        Stage::Allowed => {
            let first = names(&nodes[..1]);
            Found::new(
                Why::NotReady,
                lost(funnel, &nodes, "is not ready", "are not ready"),
            )
            .advise(Advice::command(
                format!("kubectl describe node {first}"),
                "says why under Conditions",
            ))
        }
        Stage::Ready => {
            let all: Vec<&str> = nodes
                .iter()
                .take(NAMED)
                .map(|it| it.name.as_str())
                .collect();
            Found::new(
                Why::Cordoned,
                lost(funnel, &nodes, "is cordoned", "are cordoned"),
            )
            .advise(Advice::command(
                format!("kubectl uncordon {}", all.join(" ")),
                "if its work is done",
            ))
        }
        Stage::Open => untolerated(subject, funnel, &nodes),
        Stage::Tolerated => too_few(funnel, &nodes),
        Stage::Offering => no_free_gpu(funnel),
        Stage::Free if funnel.gpus > 0 && nodes.iter().all(|it| it.is_provided) => Found::new(
            Why::ProvidedByDra,
            format!(
                "DRA provides {} in pool {pool}: how many are free, berth does not know",
                funnel.resource
            ),
        ),
        Stage::Free => free(subject, funnel, &nodes),
    }
}

/// `n1`, `n1, n2 and 3 more`.
fn listed(names: &[&str]) -> String {
    let first: Vec<&str> = names.iter().take(NAMED).copied().collect();
    match names.len() - first.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn names(nodes: &[&Left]) -> String {
    let names: Vec<&str> = nodes.iter().map(|it| it.name.as_str()).collect();
    listed(&names)
}

/// What is wrong with the nodes that were left last.
fn lost(funnel: &Funnel, nodes: &[&Left], one: &str, many: &str) -> String {
    let (pool, all) = (&funnel.pool, funnel.nodes.len());
    match (nodes, all) {
        ([only], 1) => format!("the only node of pool {pool}, {}, {one}", only.name),
        ([only], _) => format!(
            "no node of pool {pool} can be used: of {all} nodes, {} {one}",
            only.name
        ),
        (some, _) => format!(
            "no node of pool {pool} can be used: {} of {all} {many}: {}",
            some.len(),
            names(some)
        ),
    }
}

fn no_node(subject: &Subject<'_>, funnel: &Funnel) -> Found {
    let Some(pool) = subject.facts.pool(&funnel.pool) else {
        return pools_gone(subject);
    };
    let (sentence, advice) = without_nodes(pool, subject.facts);
    let mut found = Found::new(Why::NoNode, sentence);
    found.advice = advice;
    found
}

/// A pool that selects no node, and the nodes that may be meant: those that offer its resource and are in no pool.
pub(super) fn without_nodes(pool: &Pool, facts: &Facts) -> (String, Vec<Advice>) {
    let Some(counted) = &facts.counted else {
        return (format!("pool {} has no node", pool.name), Vec::new());
    };
    let wanted: Vec<String> = pool.requirements.iter().map(ToString::to_string).collect();
    let sentence = format!(
        "pool {} has no node: 0 of {} match {}",
        pool.name,
        counted.nodes.len(),
        wanted.join(" and ")
    );
    let pools = facts.view.table.pools();
    let is_meant = |node: &&SeenNode| {
        let offer = counted.fleet().offer(&node.name, &pool.resource);
        offer.allocatable > 0 && !pools.iter().any(|pool| is_in(pool, node))
    };
    let meant = counted.nodes.iter().filter(is_meant);
    let meant: Vec<&str> = meant.map(|it| it.name.as_str()).collect();
    let resource = &pool.resource;
    let listed = listed(&meant);
    let sentence = match meant.len() {
        0 => return (sentence, Vec::new()),
        1 => format!("{sentence}; 1 node offers {resource} and is in no pool: {listed}"),
        all => format!("{sentence}; {all} nodes offer {resource} and are in no pool: {listed}"),
    };
    let first: Vec<&str> = meant.into_iter().take(NAMED).collect();
    let advice = match &*pool.requirements {
        [one] if one.operator == Operator::In && one.values.len() == 1 => {
            let label = format!("{}={}", one.key, one.values.concat());
            let command = format!("kubectl label node {} {label}", first.join(" "));
            vec![Advice::command(command, "if it is of this pool")]
        }
        _ => Vec::new(),
    };
    (sentence, advice)
}

fn own_constraints(subject: &Subject<'_>, funnel: &Funnel, nodes: &[&Left]) -> Found {
    let unmet = nodes.first().map_or("", |it| it.because.as_str());
    let what = format!("does not match what the Pod asks of a node: {unmet}");
    let sentence = lost(
        funnel,
        nodes,
        &what,
        "do not match what the Pod asks of a node",
    );
    let sentence = if nodes.len() > 1 {
        format!("{sentence}; the first because of {unmet}")
    } else {
        sentence
    };
    let found = Found::new(Why::OwnConstraints, sentence);
    match subject.is_older_than(&funnel.pool) {
        Some(at) => {
            let mut found = found.advise(subject.made_anew());
            found
                .remarks
                .push(changed_since(funnel, at, subject.facts.now));
            found
        }
        None => found.advise(Advice::text(
            "change the nodeSelector or node affinity of the Pod's template, or the node's label",
        )),
    }
}

fn changed_since(funnel: &Funnel, at: Timestamp, now: Timestamp) -> String {
    format!(
        "pool {} was last written {} ago, after the Pod was made",
        funnel.pool,
        age(at, now)
    )
}

fn untolerated(subject: &Subject<'_>, funnel: &Funnel, nodes: &[&Left]) -> Found {
    let (taint, first) = nodes
        .first()
        .map_or(("", ""), |it| (it.because.as_str(), it.name.as_str()));
    let what = format!("has the taint {taint}, which the Pod does not tolerate");
    let many = format!("have a taint that the Pod does not tolerate, as {taint}");
    let found = Found::new(Why::UntoleratedTaint, lost(funnel, nodes, &what, &many));
    let declared = subject.facts.pool(&funnel.pool);
    let declared = declared.is_some_and(|pool| {
        pool.taints.iter().any(|it| {
            let value = it.value.as_deref().unwrap_or_default();
            let value = if value.is_empty() {
                String::new()
            } else {
                format!("={value}")
            };
            format!("{}{value}:{}", it.key, it.effect.as_str()) == taint
        })
    });
    if !declared {
        let mut found = found
            .advise(Advice::command(
                format!("kubectl taint nodes {first} {taint}-"),
                "if it should not be there",
            ))
            .advise(Advice::text(format!(
                "or add it to spec.taints of pool {}, for Pods that are created after that",
                funnel.pool
            )));
        found
            .remarks
            .push(format!("pool {} does not declare it", funnel.pool));
        return found;
    }
    let mut found = found.advise(subject.made_anew());
    found
        .remarks
        .push(match subject.is_older_than(&funnel.pool) {
            Some(at) => format!(
                "the pool declares it now; {}",
                changed_since(funnel, at, subject.facts.now)
            ),
            None => format!("pool {} declares it", funnel.pool),
        });
    found
}

fn too_few(funnel: &Funnel, nodes: &[&Left]) -> Found {
    let most = nodes
        .iter()
        .map(|it| it.offer.allocatable)
        .max()
        .unwrap_or_default();
    let Funnel {
        pool,
        resource,
        gpus,
        ..
    } = funnel;
    if most > 0 {
        let sentence = format!(
            "no node of pool {pool} has {}: at most {most} on one node",
            counted(u64::from(*gpus))
        );
        return Found::new(Why::TooFewGpus, sentence).advise(Advice::text(
            "ask for fewer GPUs, or use a class with larger nodes",
        ));
    }
    let what = format!("offers no {resource}");
    let first = nodes.first().map_or("", |it| it.name.as_str());
    let mut found = Found::new(
        Why::TooFewGpus,
        lost(funnel, nodes, &what, &format!("offer no {resource}")),
    )
    .advise(Advice::command(
        format!("kubectl get pods -A --field-selector spec.nodeName={first}"),
        "does the device plugin run there?",
    ));
    found.remarks.extend(may_grow(funnel));
    found
}

/// No node has as many free, though some offer as many.
pub(super) fn no_free_gpu(funnel: &Funnel) -> Found {
    let Funnel {
        pool,
        gpus,
        allocatable,
        allocated,
        nominated,
        free,
        ..
    } = funnel;
    let kept = match nominated {
        0 => String::new(),
        kept => format!(", and {kept} kept for a Pod for which room is made"),
    };
    let sentence = if *free == 0 {
        format!(
            "pool {pool} has no free GPU: {} of {allocatable} taken{kept}",
            allocated.min(allocatable)
        )
    } else {
        let open = funnel.nodes.iter();
        let open = open.filter(|it| it.stage >= Stage::Tolerated);
        let most = open.map(|it| it.offer.free).max().unwrap_or_default();
        format!(
            "no node of pool {pool} has {} free: at most {most} on one node, {free} of {allocatable} in all{kept}",
            counted(u64::from(*gpus))
        )
    };
    let mut found = Found::new(Why::NoFreeGpu, sentence);
    let mut scaled: Vec<String> = Vec::new();
    for holder in &funnel.taken_by {
        let command = holder
            .scaled_by
            .as_ref()
            .map(|it| format!("kubectl -n {} scale {it} --replicas=0", holder.namespace));
        if let Some(command) = command.filter(|it| !scaled.contains(it) && scaled.len() < ADVISED) {
            found.advice.push(Advice::command(
                command.clone(),
                "would free what its Pods have",
            ));
            scaled.push(command);
        }
    }
    found
        .advice
        .push(Advice::text("or wait until one of them ends"));
    found.remarks.extend(may_grow(funnel));
    found
}

fn may_grow(funnel: &Funnel) -> Option<String> {
    let more = funnel.may_grow_by;
    (more > 0).then(|| {
        format!(
            "pool {} may grow by {}, says its maxGPUs: look for what the autoscaler says",
            funnel.pool,
            counted(more)
        )
    })
}

/// A node has what it asks for: then something else keeps the Pod from it.
fn free(subject: &Subject<'_>, funnel: &Funnel, nodes: &[&Left]) -> Found {
    let scheduler = subject.scheduler();
    let Some(message) = subject.scheduler_says() else {
        if scheduler != DEFAULT_SCHEDULER {
            let sentence = format!(
                "scheduler {scheduler} has not said anything about it, and {}",
                there_is(funnel, nodes)
            );
            return Found::new(Why::OtherScheduler, sentence)
                .advise(Advice::text(format!("is {scheduler} running?")));
        }
        return Found::new(
            Why::NotScheduledYet,
            format!(
                "the scheduler has not said anything about it, and {}",
                there_is(funnel, nodes)
            ),
        );
    };
    if message.contains(&format!("Insufficient {}", funnel.resource)) && funnel.gpus > 0 {
        let sentence = format!(
            "{}; when the scheduler looked last, it found none",
            there_is(funnel, nodes)
        );
        return Found::new(Why::FreeNow, sentence).advise(Advice::text(
            "the scheduler looks again by itself within seconds",
        ));
    }
    Found::new(
        Why::NotTheGpu,
        format!(
            "{}; the scheduler names something else: {}",
            there_is(funnel, nodes),
            named_by(message)
        ),
    )
}

fn there_is(funnel: &Funnel, nodes: &[&Left]) -> String {
    if funnel.gpus == 0 {
        return format!("it asks for no {}", funnel.resource);
    }
    let gpus = counted(funnel.gpus.into());
    let verb = if funnel.gpus == 1 { "is" } else { "are" };
    format!(
        "{gpus} of pool {} {verb} free, on {}",
        funnel.pool,
        names(nodes)
    )
}

/// What the scheduler names besides labels and taints, which the funnel has shown to be none.
fn named_by(message: &str) -> String {
    let message = message.split(". ").next().unwrap_or(message);
    let (_, clauses) = message.split_once(": ").unwrap_or(("", message));
    let is_shown =
        |it: &&str| it.contains("node affinity/selector") || it.contains("untolerated taint");
    let clauses: Vec<&str> = clauses.split(", ").collect();
    let others: Vec<&str> = clauses.iter().copied().filter(|it| !is_shown(it)).collect();
    let named = if others.is_empty() { clauses } else { others };
    named.join(", ").trim_end_matches('.').to_owned()
}
