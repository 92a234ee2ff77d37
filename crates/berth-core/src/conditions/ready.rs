//! Whether a Pod could run in a pool when a GPU is free, and if not, why.

use super::{Finding, Sight};
use crate::{
    api::GPUPoolSpec,
    fleet::{Example, PoolSurvey},
    names::TAINTS_OF_KUBERNETES,
    objects::Judged,
};

pub(super) fn of_pool(
    pool: &Judged<GPUPoolSpec>,
    sight: Sight<'_>,
    survey: Option<&PoolSurvey>,
) -> Finding {
    if pool.refusal.is_some() {
        let message = "the pool is not accepted: see the condition Accepted";
        return Finding::new("False", "NotAccepted", message);
    }
    let resource = pool.spec.as_ref().map(|spec| spec.resource_name.as_str());
    match (sight, survey) {
        (Sight::Off, _) => {
            let message = "berth does not look at Nodes and Pods: --live is off";
            Finding::new("Unknown", "LiveOff", message)
        }
        (Sight::Counted(_), Some(survey)) => of_nodes(survey, resource.unwrap_or_default()),
        (Sight::Counted(_) | Sight::NotSynced, _) => {
            let message = "berth has not seen all Nodes and Pods yet";
            Finding::new("Unknown", "NotSynced", message)
        }
    }
}

fn of_nodes(survey: &PoolSurvey, resource: &str) -> Finding {
    let has_gpus = survey.gpus.allocatable > 0;
    if has_gpus {
        return Finding::new("True", "Ready", "a Pod can run here when a GPU is free");
    }
    if survey.nodes.usable > 0 && survey.is_provided {
        let message = format!(
            "DRA provides {resource} on {}: how many are free, berth does not know",
            nodes(&survey.empty)
        );
        return Finding::new("True", "ProvidedByDRA", message);
    }
    if survey.may_grow_by > 0 {
        let message = format!(
            "no GPU is there, and an autoscaler may add {}",
            survey.may_grow_by
        );
        return Finding::new("True", "MayScale", message);
    }
    without_gpus(survey, resource)
}

/// Why no node of the pool can be used: the first reason on the way from the labels to the GPU.
fn without_gpus(survey: &PoolSurvey, resource: &str) -> Finding {
    let (reason, message) = if survey.nodes.matched == 0 {
        (
            "NoNodes",
            "the pool selects no node: compare its hostnames or nodeSelector with `kubectl get nodes --show-labels`"
                .to_owned(),
        )
    } else if survey.nodes.usable > 0 {
        (
            "NoGPUs",
            format!(
                "{} offers no {resource}: does the device plugin run there?",
                nodes(&survey.empty)
            ),
        )
    } else if survey.undeclared.count > 0 {
        let taint = &survey.undeclared.taint;
        let is_own = TAINTS_OF_KUBERNETES.iter().any(|it| taint.starts_with(it));
        let fix = if is_own {
            "it goes when the node is fit for Pods again"
        } else {
            "add it to the pool's taints, or remove it from the node"
        };
        let on = nodes(&survey.undeclared);
        let message = format!("{on} has the taint {taint}, which the pool does not declare: {fix}");
        ("UndeclaredTaint", message)
    } else if survey.cordoned.count > 0 {
        (
            "Cordoned",
            format!(
                "{} is cordoned: kubectl uncordon {}",
                nodes(&survey.cordoned),
                survey.cordoned.node
            ),
        )
    } else {
        (
            "NodesNotReady",
            format!("{} is not ready", nodes(&survey.not_ready)),
        )
    };
    Finding::new("False", reason, message)
}

/// Whether the nodes carry the taints that the pool declares, and no others.
pub(super) fn taints(survey: &PoolSurvey) -> Finding {
    if survey.undeclared.count > 0 {
        let message = format!(
            "{} has the taint {}, which the pool does not declare: no Pod of the pool can run there",
            nodes(&survey.undeclared),
            survey.undeclared.taint
        );
        return Finding::new("False", "Undeclared", message);
    }
    if survey.missing.count > 0 {
        let message = format!(
            "{} has not the taint {} that the pool declares, so others may come: kubectl taint nodes {} {}",
            nodes(&survey.missing),
            survey.missing.taint,
            survey.missing.node,
            survey.missing.taint
        );
        return Finding::new("False", "Missing", message);
    }
    Finding::new(
        "True",
        "AsDeclared",
        "the nodes have the taints that the pool declares",
    )
}

/// Whether one of a class's pools is ready.
pub(super) fn of_class(is_refused: bool, pools: &[Option<&Finding>]) -> Finding {
    if is_refused {
        let message = "the class is not accepted: see the condition Accepted";
        return Finding::new("False", "NotAccepted", message);
    }
    let known = || pools.iter().flatten();
    if known().any(|pool| pool.status == "True") {
        return Finding::new("True", "Ready", "a pool of the class is ready");
    }
    if let Some(unknown) = known().find(|pool| pool.status == "Unknown") {
        return (*unknown).clone();
    }
    Finding::new(
        "False",
        "NoPoolReady",
        "no pool of the class is ready: see their conditions",
    )
}

/// `node a`, or `node a (and 2 more)`.
fn nodes(example: &Example) -> String {
    match example.count.saturating_sub(1) {
        0 => format!("node {}", example.node),
        more => format!("node {} (and {more} more)", example.node),
    }
}
