//! The conclusion about what makes Pods: about one of its Pods, or why there is none.

use k8s_openapi::{
    api::core::v1::{Event, Pod},
    jiff::Timestamp,
};

use super::{Advice, Explanation, Said, Why, pod::waiting_container, seen_at};
use crate::outcome::{Reason, Verdict};

/// What makes Pods, as far as it was read.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// As `deploy/llm`.
    pub object: String,
    /// Its namespace.
    pub namespace: String,
    /// Why it makes no Pod now: it is suspended, say.
    pub rests: Option<String>,
    /// Whether its template can be changed: a Job's cannot.
    pub is_fixed: bool,
    /// Whether it has the class's label itself, where its template has not.
    pub has_label_beside_template: bool,
    /// Its Pods that are not finished; none where they could not be read.
    pub pods: Option<Vec<Pod>>,
    /// Who makes them for it, the newest first; none where they could not be read.
    pub makers: Option<Vec<Maker>>,
    /// What a review of its template comes to today, and the message of a denial.
    pub review: Option<(Reason, Option<String>)>,
}

/// What makes Pods by itself: a `ReplicaSet` for a Deployment, say.
#[derive(Clone, Debug, Default)]
pub struct Maker {
    /// As `ReplicaSet/llm-7d`.
    pub object: String,
    /// How many Pods it should have; none where that is not said.
    pub wanted: Option<u64>,
    /// How many it has.
    pub has: u64,
    /// The Events about it; none where they could not be read.
    pub events: Option<Vec<Event>>,
}

/// A create that failed.
struct Failure {
    by: String,
    said: Said,
}

/// The Pod that most needs an explanation: one without a node, else one that does not run, else the first. One that is
/// being deleted needs it least.
#[must_use]
pub fn worst(pods: &[Pod]) -> Option<&Pod> {
    let rank = |pod: &&Pod| {
        let has_node = pod.spec.as_ref().is_some_and(|it| it.node_name.is_some());
        let is_leaving = pod.metadata.deletion_timestamp.is_some();
        let is_well = is_running(pod) && waiting_container(pod).is_none();
        (is_leaving, has_node, is_well, pod.metadata.name.clone())
    };
    pods.iter().min_by_key(rank)
}

fn is_running(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    status.and_then(|it| it.phase.as_deref()) == Some("Running")
}

/// Explains what makes Pods, with the explanation of its worst Pod.
#[must_use]
pub fn workload(workload: &Workload, of_pod: Option<Explanation>, now: Timestamp) -> Explanation {
    let failure = workload.failure(now);
    let is_stuck = workload.is_short() && (failure.is_some() || workload.denial().is_some());
    let told = match of_pod {
        // the Pods of an earlier template run, and hide that there is none of this one
        Some(of_pod) if is_stuck && of_pod.reason == Why::Running => {
            workload.not_created(failure.as_ref())
        }
        Some(of_pod) => workload.about(of_pod, failure.as_ref().filter(|_| is_stuck)),
        None => workload.without_pods(failure.as_ref()),
    };
    Explanation {
        object: workload.object.clone(),
        namespace: Some(workload.namespace.clone()),
        ..told
    }
}

impl Maker {
    fn is_short(&self) -> bool {
        self.wanted.is_some_and(|wanted| self.has < wanted)
    }
}

impl Workload {
    fn makers(&self) -> &[Maker] {
        self.makers.as_deref().unwrap_or_default()
    }

    /// Whether somebody who makes its Pods has fewer than it should.
    fn is_short(&self) -> bool {
        self.makers().iter().any(Maker::is_short)
    }

    /// The last create that failed, of those who should have more Pods.
    fn failure(&self, now: Timestamp) -> Option<Failure> {
        let makers = self.makers().iter().filter(|it| it.is_short());
        let events = makers.flat_map(|it| it.events.iter().flatten().map(move |event| (it, event)));
        let failed = events.filter(|(_, event)| event.reason.as_deref() == Some("FailedCreate"));
        let (by, event) = failed.max_by_key(|(_, event)| seen_at(event))?;
        Some(Failure {
            by: by.object.clone(),
            said: Said::of(event, now),
        })
    }

    /// The explanation of one of its Pods.
    fn about(&self, mut of_pod: Explanation, failure: Option<&Failure>) -> Explanation {
        let pods = match self.pods.as_deref().unwrap_or_default() {
            [_] => "its only Pod".to_owned(),
            pods => format!(
                "one of {} Pods, of which {} run",
                pods.len(),
                self.running()
            ),
        };
        let mut remarks = vec![format!("{} is {pods}", of_pod.object)];
        remarks.extend(failure.map(Failure::told));
        if failure.is_some() {
            remarks.extend(self.would_be_denied());
        }
        of_pod.remarks.splice(..0, remarks);
        self.remark_label(&mut of_pod);
        of_pod
    }

    fn running(&self) -> usize {
        let pods = self.pods.iter().flatten();
        pods.filter(|it| is_running(it)).count()
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
        let unread = match (&self.makers, &self.pods) {
            (None, _) => "what makes its Pods",
            (_, None) if !self.is_short() => "its Pods",
            _ => return self.not_created(failure),
        };
        let mut told = Explanation::new(Why::Unknown, format!("{unread} could not be read"));
        told.remarks.extend(self.would_be_denied());
        self.remark_label(&mut told);
        told
    }

    /// The rule by which berth denies the template today, with its message.
    fn denial(&self) -> Option<(Reason, &str)> {
        let (reason, message) = self.review.as_ref()?;
        let is_denied = reason.verdict() == Verdict::Denied;
        is_denied.then(|| (*reason, message.as_deref().unwrap_or_default()))
    }

    /// What berth says of the template today, where it denies it.
    fn would_be_denied(&self) -> Option<String> {
        let (_, message) = self.denial()?;
        Some(format!("its Pods would be denied: {message}"))
    }

    fn not_created(&self, failure: Option<&Failure>) -> Explanation {
        let none = match self.pods.as_deref() {
            None | Some([]) => "no Pod is made",
            Some(_) => "no new Pod is made",
        };
        let mut told = match (self.denial(), failure) {
            (Some((reason, message)), _) => {
                let sentence = format!("{none}, since berth denies it: {message}");
                let mut told = Explanation::new(Why::Denied, sentence);
                told.advice.extend(reason.remedy().map(Advice::text));
                told.advice.push(self.other_template());
                told
            }
            (None, Some(failure)) => {
                let sentence = format!("{none}: {}", failure.said.message);
                let mut told = Explanation::new(Why::NotCreated, sentence);
                if self.review.is_some() {
                    told.remarks.push("berth would let it in now; whoever makes it tries again by itself, at longer and longer intervals".to_owned());
                }
                told
            }
            (None, None) => {
                let silent = self.makers().iter().all(|it| it.events.is_some());
                let why = if silent {
                    ", and no Event says why"
                } else {
                    ""
                };
                Explanation::new(Why::NotCreated, format!("it has no Pod yet{why}"))
            }
        };
        told.remarks.extend(failure.map(Failure::told));
        if let Some(pods @ [_, ..]) = self.pods.as_deref() {
            let (all, running) = (pods.len(), self.running());
            let word = if all == 1 { "Pod" } else { "Pods" };
            told.remarks
                .push(format!("it has {all} {word}, of which {running} run"));
        }
        self.remark_label(&mut told);
        told
    }

    /// How it comes to another template.
    fn other_template(&self) -> Advice {
        let of = |verb: &str| format!("kubectl -n {} {verb} {}", self.namespace, self.object);
        if self.is_fixed {
            let text = "its template cannot be changed: create it again with another one";
            return Advice::command(of("delete"), text);
        }
        Advice::command(of("edit"), "to change its template")
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

#[cfg(test)]
mod tests;
