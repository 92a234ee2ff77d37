//! What makes Pods: it is followed to those that make them for it, their Events, and its Pods.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{Api, core::DynamicObject};
use serde_json::Value;

use super::{Question, explained, object::Maker, template};
use crate::cli::{cluster::Unanswered, report::Failure};
use berth_core::{
    explain::{self, Explanation, Facts, Workload, worst},
    review,
};
use berth_manifests::dry_run;

/// So many of what makes Pods for it are followed: the newest.
const MAKERS: usize = 10;

impl Question<'_> {
    /// Explains what makes Pods.
    pub(super) fn of_workload(mut self, kind: Maker, name: &str) -> Result<Explanation, Failure> {
        let api = self.dynamic(kind);
        let object = match self.cluster.get(kind.kind(), &api, name) {
            Ok(object) => object,
            Err(error) if error.code() == Some(404) => {
                return Err(self.missing(kind.kind(), &api, name));
            }
            Err(error) => return Err(error.into()),
        };
        let makers = self.makers(kind, &object)?;
        let mut workload = Workload {
            object: format!("{}/{name}", kind.short()),
            namespace: self.namespace.clone(),
            wanted: wanted(kind, &object.data),
            rests: rests(kind, &object.data, makers.is_empty()),
            pods: self.pods_of(&makers)?,
            ..Workload::default()
        };
        for (kind, maker) in &makers {
            let events = self.events_of(maker.metadata.uid.as_deref())?;
            let name = maker.metadata.name.clone().unwrap_or_default();
            workload.makers.push((format!("{kind}/{name}"), events));
        }
        let pod = worst(&workload.pods).cloned();
        let events: Vec<Event> = match &pod {
            Some(pod) => self.events_of(pod.metadata.uid.as_deref())?,
            None => Vec::new(),
        };
        let before = template_in(kind, &object.data).map(|template| {
            let made = pod.clone().unwrap_or_default();
            template::of_template(template, &made)
        });
        let (namespace, facts) = self.facts()?;
        let label = facts.view.table.class_label();
        let labels = |metadata: &Value| {
            metadata
                .pointer("/labels")
                .and_then(|it| it.get(label))
                .is_some()
        };
        let on_template = before.as_ref().is_some_and(|it| labels(&it["metadata"]));
        let on_itself = object
            .metadata
            .labels
            .as_ref()
            .is_some_and(|it| it.contains_key(label));
        workload.has_label_beside_template = on_itself && !on_template;
        workload.review = before
            .as_ref()
            .and_then(|it| reviewed(it, &namespace, &facts));
        let of_pod = pod.map(|pod| explained(&pod, &events, before, &namespace, &facts));
        let mut told = explain::workload(&workload, of_pod, facts.now);
        told.unread.clone_from(&facts.unread);
        Ok(told)
    }

    fn dynamic(&self, kind: Maker) -> Api<DynamicObject> {
        Api::namespaced_with(
            self.cluster.client.clone(),
            &self.namespace,
            &kind.resource(),
        )
    }

    /// Who makes the Pods: itself, or what it has made for that, the newest first.
    fn makers(
        &mut self,
        kind: Maker,
        object: &DynamicObject,
    ) -> Result<Vec<(&'static str, DynamicObject)>, Failure> {
        let Some(through) = kind.through() else {
            return Ok(vec![(kind.kind(), object.clone())]);
        };
        let api = self.dynamic(through);
        let mut all = Vec::new();
        let what = format!("{}s", through.kind());
        let read = self.cluster.each(&what, &api, "", |it: DynamicObject| {
            if is_of(
                it.metadata.owner_references.as_deref(),
                object.metadata.uid.as_deref(),
            ) {
                all.push((through.kind(), it));
            }
        });
        self.reading.or_unread(read)?;
        all.sort_by_key(|(_, it)| {
            let created = it.metadata.creation_timestamp.as_ref().map(|it| it.0);
            std::cmp::Reverse(created)
        });
        all.truncate(MAKERS);
        Ok(all)
    }

    /// The Pods of these that are not finished.
    fn pods_of(&mut self, makers: &[(&str, DynamicObject)]) -> Result<Vec<Pod>, Failure> {
        let api: Api<Pod> = self.api();
        let mut pods = Vec::new();
        let read: Result<(), Unanswered> =
            self.cluster
                .each("Pods", &api, crate::cli::facts::UNFINISHED, |it: Pod| {
                    let owners = it.metadata.owner_references.as_deref();
                    let mut makers = makers.iter();
                    if makers.any(|(_, maker)| is_of(owners, maker.metadata.uid.as_deref())) {
                        pods.push(it);
                    }
                });
        self.reading.or_unread(read)?;
        Ok(pods)
    }
}

type Owners<'o> = Option<&'o [k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference]>;

fn is_of(owners: Owners<'_>, uid: Option<&str>) -> bool {
    let mut owners = owners.unwrap_or_default().iter();
    owners.any(|it| it.controller == Some(true) && Some(&*it.uid) == uid)
}

fn template_in(kind: Maker, data: &Value) -> Option<&Value> {
    data.pointer(match kind {
        Maker::CronJob => "/spec/jobTemplate/spec/template",
        _ => "/spec/template",
    })
}

/// How many Pods it should have.
fn wanted(kind: Maker, data: &Value) -> Option<u64> {
    let number = |field: &str| data.pointer(field).and_then(Value::as_u64);
    match kind {
        Maker::DaemonSet => number("/status/desiredNumberScheduled"),
        Maker::CronJob => None,
        Maker::Job => {
            let parallel = number("/spec/parallelism").unwrap_or(1);
            let done = number("/status/succeeded").unwrap_or(0);
            let rest = number("/spec/completions").map(|all| all.saturating_sub(done));
            Some(rest.map_or(parallel, |rest| rest.min(parallel)))
        }
        _ => Some(number("/spec/replicas").unwrap_or(1)),
    }
}

/// Why it makes no Pod now.
fn rests(kind: Maker, data: &Value, has_no_maker: bool) -> Option<String> {
    if data.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        return Some("it is suspended (spec.suspend)".to_owned());
    }
    match kind {
        Maker::CronJob if has_no_maker => Some("it has no Job now".to_owned()),
        Maker::DaemonSet if wanted(kind, data) == Some(0) => {
            Some("no node matches its template".to_owned())
        }
        Maker::Job => ended(data),
        _ => (wanted(kind, data) == Some(0)).then(|| "it has 0 replicas".to_owned()),
    }
}

/// How a Job ended, if it has.
fn ended(data: &Value) -> Option<String> {
    let conditions = data.pointer("/status/conditions")?.as_array()?;
    let text = |it: &Value, field: &str| it[field].as_str().unwrap_or_default().to_owned();
    conditions
        .iter()
        .filter(|it| it["status"] == "True")
        .find_map(|it| match it["type"].as_str() {
            Some("Complete") => Some("it is done".to_owned()),
            Some("Failed") => Some(format!("it has failed: {}", text(it, "message"))),
            _ => None,
        })
}

/// What a review of a Pod of the template comes to today; none where the table could not be read.
fn reviewed(
    pod: &Value,
    namespace: &str,
    facts: &Facts,
) -> Option<(berth_core::outcome::Reason, Option<String>)> {
    if !(facts.sees_pools && facts.sees_classes) {
        return None;
    }
    let body = dry_run::creation(pod, namespace).to_string();
    let answer = review::peek(body.as_bytes(), &facts.view).ok()?;
    Some((answer.decision.reason, answer.decision.message))
}
