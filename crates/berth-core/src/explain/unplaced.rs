//! Why berth did not place a Pod.

use super::{
    Advice, Webhook, Why, age,
    pod::{Found, Subject},
};
use crate::{
    names::{DISABLED, EXCLUDED_NAMESPACES, INJECT_LABEL, MIRROR_ANNOTATION, POOL_ANNOTATION},
    suggestion::suggestion,
};

/// What a person asks next.
const CHECK: &str = "berth check";

impl Subject<'_> {
    /// Why berth did not place the Pod, if it did not.
    pub(super) fn unplaced(&self) -> Option<Found> {
        let annotations = self.pod.metadata.annotations.as_ref();
        if annotations.is_some_and(|it| it.contains_key(MIRROR_ANNOTATION)) {
            let sentence = "it is a static Pod: its kubelet runs it, whatever berth says";
            return Some(Found::new(Why::OptedOut, sentence));
        }
        if self.label(INJECT_LABEL) == Some(DISABLED) {
            let sentence =
                format!("berth leaves it alone: it has the label {INJECT_LABEL}: {DISABLED}");
            let advice = "remove the label where the Pod is made, and create it again";
            return Some(Found::new(Why::OptedOut, sentence).advise(Advice::text(advice)));
        }
        match (&self.class, &self.seen.pools) {
            // anybody can write the annotation: without a class, it says nothing
            (None, Some(_)) if !self.facts.sees_namespace => None,
            (None, _) => Some(self.without_class()),
            (Some(_), None) => Some(self.never_seen()),
            (Some(_), Some(_)) => None,
        }
    }

    fn never_seen(&self) -> Found {
        let namespace = &*self.seen.namespace;
        let labels = self.facts.view.namespace(namespace);
        let (why, advice) = if EXCLUDED_NAMESPACES.contains(&namespace) {
            (
                format!(", and the webhook leaves out namespace {namespace}"),
                None,
            )
        } else if labels.label(INJECT_LABEL) == Some(DISABLED) {
            let command = format!("kubectl label namespace {namespace} {INJECT_LABEL}-");
            (
                format!(", and namespace {namespace} has the label {INJECT_LABEL}: {DISABLED}"),
                Some(Advice::command(command, "then berth sees its new Pods")),
            )
        } else {
            self.by_webhook()
        };
        let sentence =
            format!("berth never saw this Pod: it has no annotation {POOL_ANNOTATION}{why}");
        let mut found = Found::new(Why::NeverSeen, sentence);
        found.advice.extend(advice);
        found.advise(self.made_anew())
    }

    fn by_webhook(&self) -> (String, Option<Advice>) {
        let check = |text: &str| Some(Advice::command(CHECK, text));
        match self.facts.webhook {
            Webhook::Missing => (
                ", and no MutatingWebhookConfiguration asks berth".to_owned(),
                check("says what is not installed"),
            ),
            Webhook::Since(at) if self.since.is_some_and(|since| since < at) => {
                let ago = age(at, self.facts.now);
                (format!(", and berth's webhook was registered later, {ago} ago"), None)
            }
            Webhook::Since(_) => (
                "; berth was not asked, or did not answer and its failurePolicy let the Pod through".to_owned(),
                check("says whether the API server reaches berth"),
            ),
            Webhook::Unread => (String::new(), None),
        }
    }

    fn without_class(&self) -> Found {
        let label = self.facts.view.table.class_label();
        let mut keys = self
            .pod
            .metadata
            .labels
            .iter()
            .flatten()
            .map(|(key, _)| key);
        let meant = keys.find(|key| suggestion(key, [label]).is_some());
        let why = match meant {
            Some(meant) => format!("it has no label {label}; is {meant} meant to be it?"),
            None if !self.facts.sees_namespace => {
                format!("it has no label {label}; whether its namespace has, you may not see")
            }
            None => format!("neither it nor its namespace has the label {label}"),
        };
        let advice =
            format!("add the label {label}: CLASS to the template, if it should have a GPU");
        Found::new(Why::NoClass, format!("berth leaves it alone: {why}"))
            .advise(Advice::text(advice))
    }
}
