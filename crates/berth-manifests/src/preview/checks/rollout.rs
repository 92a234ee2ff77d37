//! A rollout that needs more GPUs than its Pods have.

use serde_json::Value;

use super::{PodPreview, Topic};
use crate::diagnostic::{Diagnostic, Severity};

/// A rollout that must start a new Pod before an old one ends. What the author has not written is a note.
pub(super) fn surge(document: &Value, pod: &PodPreview) -> Option<Diagnostic> {
    let object = document.pointer(&pod.template.object)?;
    let (Some(pool), Some(_)) = (pod.pool(), pod.container()) else {
        return None;
    };
    let replicas = object["spec"]["replicas"].as_u64().unwrap_or(1);
    let strategy = &object["spec"]["strategy"];
    let (second_set, update) = match &*pod.kind {
        "Deployment" if strategy["type"] == "Recreate" => return None,
        "Deployment" => (false, &strategy["rollingUpdate"]),
        "Rollout" if strategy["blueGreen"].is_object() => (true, &strategy["blueGreen"]),
        "Rollout" => (false, &strategy["canary"]),
        _ => return None,
    };
    let share = |field: &str| Share::read(&update[field]);
    let surge = share("maxSurge").rounded_up(replicas);
    let unavailable = share("maxUnavailable").rounded_down(replicas);
    let waits = replicas > 0 && (second_set || (surge > 0 && unavailable == 0));
    let is_written =
        second_set || !update["maxSurge"].is_null() || !update["maxUnavailable"].is_null();
    let path = if strategy.is_null() {
        "spec"
    } else {
        "spec/strategy"
    };
    let (what, help) = match (second_set, &*pod.kind) {
        (true, _) => (
            "a blue-green rollout starts a second set of Pods before the first ends",
            "use spec.strategy.canary with maxSurge: 0 and maxUnavailable: 1, or keep a GPU to spare",
        ),
        (false, "Rollout") => (
            "a rollout starts a new Pod before an old one ends",
            "set spec.strategy.canary.maxSurge: 0 and maxUnavailable: 1",
        ),
        (false, _) => (
            "a rollout starts a new Pod before an old one ends",
            "set spec.strategy.type: Recreate, or spec.strategy.rollingUpdate.maxSurge: 0",
        ),
    };
    waits.then(|| Diagnostic {
        severity: if is_written {
            Severity::Error
        } else {
            Severity::Note
        },
        ..Topic::SurgeNeedsGpu.of(
            &format!("{}/{path}", pod.template.object),
            format!("{what}, and hangs where pool {pool:?} has no GPU to spare"),
            help,
        )
    })
}

/// `maxSurge` or `maxUnavailable`.
enum Share {
    Percent(u64),
    Pods(u64),
}

impl Share {
    /// What is absent is a quarter.
    fn read(value: &Value) -> Self {
        let percent = value.as_str().and_then(|text| text.strip_suffix('%'));
        match (value.as_u64(), percent.and_then(|text| text.parse().ok())) {
            (Some(pods), _) => Self::Pods(pods),
            (None, Some(percent)) => Self::Percent(percent),
            (None, None) => Self::Percent(25),
        }
    }

    fn rounded_up(&self, replicas: u64) -> u64 {
        match self {
            Self::Percent(percent) => percent.saturating_mul(replicas).div_ceil(100),
            Self::Pods(pods) => *pods,
        }
    }

    fn rounded_down(&self, replicas: u64) -> u64 {
        match self {
            Self::Percent(percent) => percent.saturating_mul(replicas) / 100,
            Self::Pods(pods) => *pods,
        }
    }
}
