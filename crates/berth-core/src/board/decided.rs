//! What a review came to, as it is kept for the board.

use k8s_openapi::jiff::Timestamp;

use crate::{
    outcome::{Reason, Verdict, Warning},
    review::Answer,
    shown,
};

/// So many warnings are kept of one.
const WARNINGS: usize = 3;

/// A decision, without what it was decided from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decided {
    /// When.
    pub at: Timestamp,
    /// The Pod's namespace.
    pub namespace: String,
    /// Its name, or what the API server begins its name with.
    pub name: String,
    /// Whether nothing is stored.
    pub dry_run: bool,
    /// What it came to.
    pub reason: Reason,
    /// The class, one of the table's.
    pub class: Option<String>,
    /// The chosen pools, joined by commas.
    pub pools: Option<String>,
    /// The message of a denial.
    pub message: Option<String>,
    /// The first warnings, as their author reads them.
    pub warnings: Vec<String>,
}

/// How a decision ended for the Pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// It has its place.
    Placed,
    /// It was let through as it is.
    LeftAlone,
    /// It was not let in.
    Denied,
}

impl Decided {
    /// Whether a decision is kept: one about a Pod that names a class or is denied. The many that have nothing to do with
    /// GPUs would leave no room for it.
    #[must_use]
    pub const fn is_kept(reason: Reason) -> bool {
        !matches!(
            reason,
            Reason::NotPodCreate | Reason::MirrorPod | Reason::NoClass
        )
    }

    /// What an answer decided, in the memory of the oldest decision, so that none is allocated for each review.
    #[must_use]
    pub fn of(answer: &Answer<'_>, at: Timestamp, oldest: Option<Self>) -> Self {
        let decision = &answer.decision;
        let subject = &answer.subject;
        let oldest = oldest.map(|it| (it.namespace, it.name, it.class, it.pools));
        let (namespace, name, class, pools) = oldest.unwrap_or_default();
        let sentence = |it: &Warning| {
            let sentence = it.to_string();
            let own = sentence.strip_prefix("berth: ").unwrap_or(&sentence);
            shown::message(own).into_owned()
        };
        Self {
            at,
            namespace: copied_into(namespace, &subject.namespace),
            name: copied_into(name, &subject.name),
            dry_run: subject.dry_run,
            reason: decision.reason,
            class: decision
                .class
                .map(|it| copied_into(class.unwrap_or_default(), it)),
            pools: decision
                .pool()
                .map(|it| copied_into(pools.unwrap_or_default(), it)),
            message: decision.message.clone(),
            warnings: answer
                .warnings
                .iter()
                .take(WARNINGS)
                .map(sentence)
                .collect(),
        }
    }

    /// How it ended for the Pod.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        match self.reason {
            Reason::Placed | Reason::InPlace => Ending::Placed,
            other => match other.verdict() {
                Verdict::Allowed | Verdict::Mutated => Ending::LeftAlone,
                Verdict::Denied | Verdict::Error => Ending::Denied,
            },
        }
    }
}

/// Copies a text into the memory of another.
fn copied_into(mut other: String, text: &str) -> String {
    other.clear();
    other.push_str(text);
    other
}
