//! What others say of a Pod or its owner, by their Events and conditions.

use k8s_openapi::{
    api::core::v1::{Event, Pod},
    jiff::Timestamp,
};
use serde::Serialize;

use super::{age, seen_at};

/// So many Events are told at most.
const TOLD: usize = 4;
/// The condition in which the scheduler says what it found.
const SCHEDULED: &str = "PodScheduled";

/// What somebody else says.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Said {
    /// Who: `scheduler`, or the Event's source.
    pub by: String,
    /// The word for it.
    pub reason: String,
    /// The sentence.
    pub message: String,
    /// How long ago, where that is known.
    pub ago: Option<String>,
    /// How often.
    pub times: i32,
}

/// What the scheduler wrote into the Pod's condition, if it found no node.
pub(super) fn by_scheduler(pod: &Pod) -> Option<(&str, &str)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions.iter().find(|it| it.type_ == SCHEDULED)?;
    let [reason, message] =
        [&scheduled.reason, &scheduled.message].map(|it| it.as_deref().unwrap_or_default());
    (scheduled.status == "False").then_some((reason, message))
}

/// The warnings and what autoscalers say, each reason once and the newest first; the scheduler's condition where no Event
/// of it is left.
pub(super) fn of(pod: Option<&Pod>, events: &[Event], now: Timestamp) -> Vec<Said> {
    let mut all: Vec<&Event> = events.iter().filter(|it| is_told(it)).collect();
    all.sort_by_key(|event| std::cmp::Reverse(seen_at(event)));
    let mut said: Vec<Said> = Vec::new();
    for event in all {
        let one = Said::of(event, now);
        let is_known = said
            .iter()
            .any(|it| (&it.by, &it.reason) == (&one.by, &one.reason));
        if !is_known && said.len() < TOLD {
            said.push(one);
        }
    }
    if let Some((reason, message)) = pod.and_then(by_scheduler)
        && !said.iter().any(|it| it.reason == "FailedScheduling")
        && !message.is_empty()
    {
        said.push(Said {
            by: "scheduler".to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            ago: None,
            times: 1,
        });
    }
    said
}

fn is_told(event: &Event) -> bool {
    let scales = ["TriggeredScaleUp", "NotTriggerScaleUp", "Nominated"];
    let reason = event.reason.as_deref().unwrap_or_default();
    event.type_.as_deref() == Some("Warning") || scales.contains(&reason)
}

impl Said {
    pub(super) fn of(event: &Event, now: Timestamp) -> Self {
        let component = event.source.as_ref().and_then(|it| it.component.clone());
        let by = event
            .reporting_component
            .clone()
            .filter(|it| !it.is_empty());
        let series = event.series.as_ref().and_then(|it| it.count);
        Self {
            by: by.or(component).unwrap_or_default(),
            reason: event.reason.clone().unwrap_or_default(),
            message: event.message.clone().unwrap_or_default(),
            ago: seen_at(event).map(|at| age(at, now)),
            times: series.or(event.count).unwrap_or(1).max(1),
        }
    }
}
