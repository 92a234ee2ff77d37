//! What keeps a Pod from the nodes of one pool.

use k8s_openapi::jiff::Timestamp;

use super::{
    Advice, Facts, Funnel, Why, age,
    funnel::{Left, Stage, counted, is_in},
    pod::{Found, Subject},
    room::{free, may_grow, no_free_gpu},
    waiting::pools_gone,
};
use crate::{fleet::SeenNode, names::TAINTS_OF_KUBERNETES, selector::Operator, table::Pool};

/// So many names are listed.
const NAMED: usize = 5;

/// What keeps the Pod from one pool's nodes.
pub(super) fn of_pool(subject: &Subject<'_>, funnel: &Funnel) -> Found {
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
        Stage::Offering => no_free_gpu(funnel, subject.scaled_by.as_deref()),
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

pub(super) fn names(nodes: &[&Left]) -> String {
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
        None if subject.is_of("DaemonSet") => found.advise(Advice::text(
            "its DaemonSet makes a Pod for each node that its template allows: give the template a nodeSelector for the pool's nodes alone",
        )),
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
    if TAINTS_OF_KUBERNETES.iter().any(|it| taint.starts_with(it)) {
        return found.advise(Advice::command(
            format!("kubectl describe node {first}"),
            "says why: Kubernetes sets the taint while a node is not fit for Pods",
        ));
    }
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
