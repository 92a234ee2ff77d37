//! The conclusion about what makes Pods: about one of its Pods, or why there is none.

use k8s_openapi::{
    api::core::v1::{Event, Pod},
    jiff::Timestamp,
};

use super::{Advice, Explanation, Said, Why, seen_at};
use crate::outcome::{Reason, Verdict};

/// What makes Pods, as far as it was read.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// As `deploy/llm`.
    pub object: String,
    /// Its namespace.
    pub namespace: String,
    /// How many Pods it should have; none where that is not said.
    pub wanted: Option<u64>,
    /// Why it makes no Pod now: it is suspended, say.
    pub rests: Option<String>,
    /// Whether it has the class's label itself, where its template has not.
    pub has_label_beside_template: bool,
    /// Its Pods that are not finished.
    pub pods: Vec<Pod>,
    /// Who makes them for it, as `ReplicaSet/llm-7d`, and the Events about each.
    pub makers: Vec<(String, Vec<Event>)>,
    /// What a review of its template comes to today, and the message of a denial.
    pub review: Option<(Reason, Option<String>)>,
}

/// A create that failed.
struct Failure {
    by: String,
    said: Said,
}

/// The Pod that most needs an explanation: one without a node, else one that does not run, else the first.
#[must_use]
pub fn worst(pods: &[Pod]) -> Option<&Pod> {
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|it| it.phase.clone());
    let rank = |pod: &&Pod| {
        let has_node = pod.spec.as_ref().is_some_and(|it| it.node_name.is_some());
        (
            has_node,
            phase(pod).as_deref() == Some("Running"),
            pod.metadata.name.clone(),
        )
    };
    pods.iter().min_by_key(rank)
}

/// Explains what makes Pods, with the explanation of its worst Pod.
#[must_use]
pub fn workload(workload: &Workload, of_pod: Option<Explanation>, now: Timestamp) -> Explanation {
    let failure = workload.failure(now);
    let is_short = workload
        .wanted
        .is_some_and(|wanted| (workload.pods.len() as u64) < wanted);
    let told = match of_pod {
        Some(of_pod) => match failure.filter(|_| is_short) {
            Some(failure) if of_pod.reason == Why::Running => workload.not_created(Some(&failure)),
            failure => workload.about(of_pod, failure.as_ref()),
        },
        None => workload.without_pods(failure.as_ref()),
    };
    Explanation {
        object: workload.object.clone(),
        namespace: Some(workload.namespace.clone()),
        ..told
    }
}

impl Workload {
    /// The last create that failed.
    fn failure(&self, now: Timestamp) -> Option<Failure> {
        let events = self.makers.iter();
        let events = events.flat_map(|(by, events)| events.iter().map(move |event| (by, event)));
        let failed = events.filter(|(_, event)| event.reason.as_deref() == Some("FailedCreate"));
        let (by, event) = failed.max_by_key(|(_, event)| seen_at(event))?;
        Some(Failure {
            by: by.clone(),
            said: Said::of(event, now),
        })
    }

    /// The explanation of one of its Pods.
    fn about(&self, mut of_pod: Explanation, failure: Option<&Failure>) -> Explanation {
        let running = |pod: &&Pod| {
            let status = pod.status.as_ref();
            status.and_then(|it| it.phase.as_deref()) == Some("Running")
        };
        let runs = self.pods.iter().filter(running).count();
        let pods = match self.pods.len() {
            1 => "its only Pod".to_owned(),
            all => format!("one of {all} Pods, of which {runs} run"),
        };
        of_pod
            .remarks
            .insert(0, format!("{} is {pods}", of_pod.object));
        if let Some(failure) = failure {
            of_pod.remarks.insert(1, failure.told());
        }
        self.remark_label(&mut of_pod);
        of_pod
    }

    fn remark_label(&self, told: &mut Explanation) {
        if self.has_label_beside_template {
            told.remarks.push(format!(
                "{} has the class's label itself, and its Pods do not get it: it belongs into spec.template.metadata.labels",
                self.object
            ));
        }
    }

    fn without_pods(&self, failure: Option<&Failure>) -> Explanation {
        if let Some(rests) = &self.rests {
            let mut told = Explanation::new(Why::Resting, format!("it makes no Pod now: {rests}"));
            told.remarks.extend(self.would_be_denied());
            return told;
        }
        self.not_created(failure)
    }

    /// What berth says of the template today, where it denies it.
    fn would_be_denied(&self) -> Option<String> {
        let (reason, message) = self.review.as_ref()?;
        let is_denied = reason.verdict() == Verdict::Denied;
        let message = message.as_ref().filter(|_| is_denied)?;
        Some(format!("its Pods would be denied: {message}"))
    }

    fn not_created(&self, failure: Option<&Failure>) -> Explanation {
        let denied = self
            .review
            .as_ref()
            .filter(|(reason, _)| reason.verdict() == Verdict::Denied);
        let mut told = match (denied, failure) {
            (Some((reason, message)), _) => {
                let message = message.as_deref().unwrap_or_default();
                let mut told = Explanation::new(
                    Why::Denied,
                    format!("no Pod is made, since berth denies it: {message}"),
                );
                told.advice.extend(reason.remedy().map(Advice::text));
                let edit = format!("kubectl -n {} edit {}", self.namespace, self.object);
                told.advice
                    .push(Advice::command(edit, "to change its template"));
                told
            }
            (None, Some(failure)) => {
                let mut told = Explanation::new(
                    Why::NotCreated,
                    format!("no Pod is made: {}", failure.said.message),
                );
                if self.review.is_some() {
                    told.remarks.push("berth would let it in now; whoever makes it tries again by itself, at longer and longer intervals".to_owned());
                }
                told
            }
            (None, None) => {
                Explanation::new(Why::NotCreated, "it has no Pod yet, and no Event says why")
            }
        };
        told.remarks.extend(failure.map(Failure::told));
        self.remark_label(&mut told);
        told
    }
}

impl Failure {
    /// `ReplicaSet/llm-7d: FailedCreate 14 times, last 20s ago`.
    fn told(&self) -> String {
        let Said {
            reason, ago, times, ..
        } = &self.said;
        let times = match times {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        let ago = ago
            .as_ref()
            .map_or_else(String::new, |ago| format!(", last {ago} ago"));
        format!("{}: {reason} {times}{ago}", self.by)
    }
}
