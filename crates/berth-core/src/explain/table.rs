//! The conclusion about a pool or a class by itself: whether a Pod of it could run now.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{
    Explanation, Facts, Funnel, Why,
    funnel::{Seeker, counted},
    obstacle::without_nodes,
    room::no_free_gpu,
};
use crate::{api::Taint, fleet::Tolerated, rules::authorise, suggestion::suggestion};

/// Explains a pool; an error where there is none of the name.
pub fn pool(name: &str, facts: &Facts) -> Result<Explanation, String> {
    let pools = || facts.compiled.pools.iter();
    let Some(judged) = pools().find(|it| it.name == name) else {
        return Err(missing("GPUPool", name, pools().map(|it| it.name.as_str())));
    };
    let told = match &judged.refusal {
        Some(refusal) => not_accepted("pool", name, &refusal.message),
        None => usable(name, 1, facts),
    };
    Ok(Explanation {
        object: format!("pool/{name}"),
        table: facts.revision(),
        unread: facts.unread.clone(),
        ..told
    })
}

/// Explains a class for a namespace; an error where there is none of the name.
pub fn class(name: &str, namespace: &str, facts: &Facts) -> Result<Explanation, String> {
    let mut classes = facts.compiled.classes.iter();
    let Some(judged) = classes.find(|it| it.name == name) else {
        // what its Pods would be told
        let denial = authorise(&facts.view, name, namespace).err();
        return Err(denial.map_or_else(|| missing("WorkloadClass", name, []), |it| it.message));
    };
    let refusal = judged.refusal.as_ref().filter(|_| facts.sees_pools);
    let told = match refusal {
        Some(refusal) => not_accepted("class", name, &refusal.message),
        None => of_pools(name, facts),
    };
    let mut told = Explanation {
        object: format!("class/{name}"),
        namespace: Some(namespace.to_owned()),
        class: Some(name.to_owned()),
        table: facts.revision(),
        unread: facts.unread.clone(),
        ..told
    };
    let allocation = facts.view.table.class(name);
    let open = allocation.is_none_or(|it| it.is_open_to(facts.view.namespace(namespace)));
    if !open {
        told.remarks.push(format!("its namespaceSelector does not let namespace {namespace} use it, as far as you may see its labels"));
    }
    Ok(told)
}

fn missing<'n>(kind: &str, name: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    let meant = suggestion(name, names);
    let meant = meant.map_or_else(String::new, |it| format!(": did you mean {it:?}?"));
    format!("there is no {kind} {name:?}{meant}")
}

fn not_accepted(kind: &str, name: &str, message: &str) -> Explanation {
    Explanation::new(
        Why::NotAccepted,
        format!("{kind} {name} is not in berth's table: {message}"),
    )
}

/// The first pool that has room, else the first.
fn of_pools(name: &str, facts: &Facts) -> Explanation {
    let mut classes = facts.compiled.classes.iter();
    let spec = classes
        .find(|it| it.name == name)
        .and_then(|it| it.spec.as_ref());
    let pools = spec.iter().flat_map(|it| &it.pools);
    let gpus = spec.and_then(|it| it.gpus?.default).unwrap_or(1);
    if !facts.sees_pools {
        let ready = ready(facts.statuses.classes.get(name).map(|it| &*it.conditions));
        let said = ready.map_or_else(String::new, |it| format!("; berth wrote: {}", it.message));
        let sentence = format!("the pools of class {name} could not be read{said}");
        return Explanation::new(Why::Unknown, sentence);
    }
    let mut told: Vec<Explanation> = pools.map(|it| usable(&it.name, gpus, facts)).collect();
    if told.is_empty() {
        return Explanation::new(Why::Unknown, "its pools could not be read");
    }
    let best = told
        .iter()
        .position(|it| it.reason == Why::Ready)
        .unwrap_or(0);
    let mut chosen = told.remove(best);
    for other in told {
        chosen.remarks.push(other.conclusion);
        chosen.pools.extend(other.pools);
    }
    chosen
}

/// Whether a Pod of so many GPUs could run in a pool now.
fn usable(name: &str, gpus: u32, facts: &Facts) -> Explanation {
    let status = facts.statuses.pools.get(name);
    let conditions = status.iter().flat_map(|it| &it.conditions);
    let ready = ready(status.map(|it| &*it.conditions));
    let funnel = facts.pool_funnel(name, gpus);
    let free = status.and_then(|it| it.gpus);
    let mut told = match ready {
        None => Explanation::new(
            Why::Unknown,
            format!("pool {name}: berth has not written a status, and its nodes could not be read"),
        ),
        Some(ready) if ready.status != "True" || ready.reason == "ProvidedByDRA" => {
            Explanation::new(why(ready), format!("pool {name}: {}", ready.message))
        }
        Some(ready) if ready.reason == "MayScale" => {
            Explanation::new(Why::Ready, format!("pool {name}: {}", ready.message))
        }
        Some(ready) => match (&funnel, free) {
            (Some(funnel), _) if funnel.steps.last().is_some_and(|it| it.nodes == 0) => {
                let found = no_free_gpu(funnel, None);
                let mut told = Explanation::new(found.reason, found.sentence);
                (told.advice, told.remarks) = (found.advice, found.remarks);
                told
            }
            (funnel, Some(free)) => {
                let how = match funnel {
                    Some(_) => "less what Pods wait for",
                    None => "as berth counted last",
                };
                // what is free on each node, the counts do not say
                let has_none = funnel.is_none() && free.free < gpus.into();
                Explanation::new(
                    if has_none { Why::NoFreeGpu } else { Why::Ready },
                    format!(
                        "pool {name} has {} of {} free, {how}",
                        free.free,
                        counted(free.allocatable)
                    ),
                )
            }
            (_, None) => Explanation::new(Why::Ready, format!("pool {name}: {}", ready.message)),
        },
    };
    if told.reason == Why::NoNode
        && let Some(pool) = facts.pool(name)
    {
        (told.conclusion, told.advice) = without_nodes(pool, facts);
    }
    let bad = conditions.filter(|it| it.type_ != "Ready");
    let bad = bad.filter(|it| crate::conditions::is_bad(&it.type_, &it.status));
    told.remarks.extend(bad.map(|it| it.message.clone()));
    told.pools.extend(funnel);
    told
}

fn ready(conditions: Option<&[Condition]>) -> Option<&Condition> {
    conditions?.iter().find(|it| it.type_ == "Ready")
}

fn why(ready: &Condition) -> Why {
    match &*ready.reason {
        "NoNodes" => Why::NoNode,
        "NoGPUs" => Why::TooFewGpus,
        "UndeclaredTaint" => Why::UntoleratedTaint,
        "Cordoned" => Why::Cordoned,
        "NodesNotReady" => Why::NotReady,
        "ProvidedByDRA" => Why::ProvidedByDra,
        "NotAccepted" => Why::NotAccepted,
        _ => Why::Unknown,
    }
}

impl Facts {
    /// The funnel of a Pod that asks for nothing but so many GPUs of the pool.
    fn pool_funnel(&self, name: &str, gpus: u32) -> Option<Funnel> {
        let (pool, nodes) = self.pool(name).zip(self.counted.as_ref())?;
        let seeker = Seeker {
            spec: None,
            tolerations: pool.taints.iter().map(tolerates).collect(),
        };
        Some(Funnel::new(pool, gpus, &seeker, nodes, self.now))
    }
}

fn tolerates(taint: &Taint) -> Tolerated {
    Tolerated {
        key: taint.key.clone(),
        operator: "Equal".to_owned(),
        value: taint.value.clone().unwrap_or_default(),
        effect: taint.effect.as_str().to_owned(),
    }
}
