//! Whether a pool's nodes have a free GPU for a Pod, and if so, what else keeps it.

use super::{
    Advice, Funnel, Why,
    funnel::{Left, Stage, counted},
    obstacle::names,
    pod::{Found, Subject},
    waiting::DEFAULT_SCHEDULER,
};

/// So many Pods to scale are advised.
const ADVISED: usize = 3;

/// No node has as many free, though some offer as many.
pub(super) fn no_free_gpu(funnel: &Funnel, own: Option<&str>) -> Found {
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
    // to scale itself down helps nobody
    let others = funnel.taken_by.iter();
    let others = others.filter(|it| own.is_none() || it.scaled_by.as_deref() != own);
    for holder in others {
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
    let or = if found.advice.is_empty() { "" } else { "or " };
    let wait = format!("{or}wait until one of them ends");
    found.advice.push(Advice::text(wait));
    found.remarks.extend(may_grow(funnel));
    found
}

pub(super) fn may_grow(funnel: &Funnel) -> Option<String> {
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
pub(super) fn free(subject: &Subject<'_>, funnel: &Funnel, nodes: &[&Left]) -> Found {
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
