//! What makes Pods: it is followed to those that make them for it, their Events, and its Pods.

use std::cmp::Reverse;

use k8s_openapi::{
    api::core::v1::{Event, Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, core::DynamicObject};
use serde_json::{Value, json};

use super::{Question, explained, object::WorkloadKind as Kind, template};
use crate::cli::{cluster::NOT_FOUND, facts::UNFINISHED, report::Failure};
use berth_core::{
    explain::{self, Explanation, Facts, Maker, Workload, worst},
    review,
};
use berth_manifests::dry_run;

/// So many of what makes Pods for it are followed: the newest.
const MAKERS: usize = 10;

impl Question<'_> {
    /// Explains what makes Pods.
    pub(super) fn of_workload(mut self, kind: Kind, name: &str) -> Result<Explanation, Failure> {
        let api = self.dynamic(kind);
        let object = match self.cluster.get(kind.kind(), &api, name) {
            Ok(object) => object,
            Err(error) if error.code() == Some(NOT_FOUND) => {
                return Err(self.missing(kind.kind(), &api, name));
            }
            Err(error) => return Err(error.into()),
        };
        let makers = self.makers(kind, &object)?;
        let objects = makers.as_deref().unwrap_or_default();
        let pods = self.pods_of(objects)?;
        let pod = pods.as_deref().and_then(worst).cloned();
        let events: Vec<Event> = match &pod {
            Some(pod) => self
                .events_of(pod.metadata.uid.as_deref())?
                .unwrap_or_default(),
            None => Vec::new(),
        };
        let before = template_in(kind, &object.data).map(|template| {
            let made = pod.clone().unwrap_or_default();
            template::of_template(template, &made)
        });
        let told = self.told_of(objects, pods.as_deref())?;
        let (namespace, facts) = self.facts()?;
        let label = facts.view.table.class_label();
        let has_label = |labels: Option<&Value>| labels.is_some_and(|it| it.get(label).is_some());
        let on_template = before
            .as_ref()
            .and_then(|it| it.pointer("/metadata/labels"));
        let on_itself = object.metadata.labels.as_ref().map(|it| json!(it));
        let workload = Workload {
            object: format!("{}/{name}", kind.short()),
            namespace: namespace.clone(),
            rests: rests(kind, &object.data, makers.as_deref()),
            is_fixed: kind == Kind::Job,
            has_label_beside_template: has_label(on_itself.as_ref()) && !has_label(on_template),
            makers: makers.is_some().then_some(told),
            pods,
            review: before
                .as_ref()
                .and_then(|it| reviewed(it, &namespace, &facts)),
        };
        let of_pod = pod.map(|pod| explained(&pod, &events, before, &namespace, &facts));
        let mut told = explain::workload(&workload, of_pod, facts.now);
        told.unread.clone_from(&facts.unread);
        Ok(told)
    }

    fn dynamic(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(
            self.cluster.client.clone(),
            &self.namespace,
            &kind.resource(),
        )
    }

    /// Who makes the Pods: itself, or what it has made for that; first those that should have some, and the newest of
    /// these. None where they may not be read.
    fn makers(
        &mut self,
        kind: Kind,
        object: &DynamicObject,
    ) -> Result<Option<Vec<(Kind, DynamicObject)>>, Failure> {
        let Some(through) = kind.through() else {
            return Ok(Some(vec![(kind, object.clone())]));
        };
        let api = self.dynamic(through);
        let mut all = Vec::new();
        let what = format!("{}s", through.kind());
        let read = self.cluster.each(&what, &api, "", |it: DynamicObject| {
            if is_of(&it.metadata, object.metadata.uid.as_deref()) {
                all.push((through, it));
            }
        });
        let read = self.reading.or_unread(read)?;
        all.sort_by_key(|(kind, it)| {
            let created = it.metadata.creation_timestamp.as_ref().map(|it| it.0);
            Reverse((wanted(*kind, &it.data) > Some(0), created))
        });
        all.truncate(MAKERS);
        Ok(read.map(|()| all))
    }

    /// The Pods of these that are not finished; none where they may not be read.
    fn pods_of(&mut self, makers: &[(Kind, DynamicObject)]) -> Result<Option<Vec<Pod>>, Failure> {
        let api: Api<Pod> = self.api();
        let mut pods = Vec::new();
        let read = self.cluster.each("Pods", &api, UNFINISHED, |it: Pod| {
            let mut makers = makers.iter();
            if makers.any(|(_, maker)| is_of(&it.metadata, maker.metadata.uid.as_deref())) {
                pods.push(it);
            }
        });
        Ok(self.reading.or_unread(read)?.map(|()| pods))
    }

    /// What is told of those who make the Pods: how many they should have and have, and their Events.
    fn told_of(
        &mut self,
        makers: &[(Kind, DynamicObject)],
        pods: Option<&[Pod]>,
    ) -> Result<Vec<Maker>, Failure> {
        let told = makers.iter().map(|(kind, maker)| {
            let uid = maker.metadata.uid.as_deref();
            let name = maker.metadata.name.as_deref().unwrap_or_default();
            let its = pods.map(|pods| pods.iter().filter(|it| is_of(&it.metadata, uid)).count());
            Ok(Maker {
                object: format!("{}/{name}", kind.kind()),
                wanted: wanted(*kind, &maker.data),
                has: its.map_or_else(|| made(*kind, &maker.data), |its| its as u64),
                events: self.events_of(uid)?,
            })
        });
        told.collect()
    }
}

fn is_of(metadata: &ObjectMeta, uid: Option<&str>) -> bool {
    let mut owners = metadata.owner_references.iter().flatten();
    owners.any(|it| it.controller == Some(true) && Some(&*it.uid) == uid)
}

fn template_in(kind: Kind, data: &Value) -> Option<&Value> {
    data.pointer(match kind {
        Kind::CronJob => "/spec/jobTemplate/spec/template",
        _ => "/spec/template",
    })
}

fn number(data: &Value, field: &str) -> Option<u64> {
    data.pointer(field).and_then(Value::as_u64)
}

/// How many Pods it should have.
fn wanted(kind: Kind, data: &Value) -> Option<u64> {
    match kind {
        Kind::DaemonSet => number(data, "/status/desiredNumberScheduled"),
        Kind::CronJob => None,
        Kind::Job if is_suspended(data) || ended(data).is_some() => Some(0),
        Kind::Job => {
            let parallel = number(data, "/spec/parallelism").unwrap_or(1);
            let done = number(data, "/status/succeeded").unwrap_or(0);
            let rest = number(data, "/spec/completions").map(|all| all.saturating_sub(done));
            Some(rest.map_or(parallel, |rest| rest.min(parallel)))
        }
        _ => Some(number(data, "/spec/replicas").unwrap_or(1)),
    }
}

/// How many Pods it has, as its controller wrote.
fn made(kind: Kind, data: &Value) -> u64 {
    let field = match kind {
        Kind::DaemonSet => "/status/currentNumberScheduled",
        Kind::Job => "/status/active",
        _ => "/status/replicas",
    };
    number(data, field).unwrap_or(0)
}

fn is_suspended(data: &Value) -> bool {
    data.pointer("/spec/suspend") == Some(&Value::Bool(true))
}

/// Why it makes no Pod now.
fn rests(kind: Kind, data: &Value, makers: Option<&[(Kind, DynamicObject)]>) -> Option<String> {
    if is_suspended(data) {
        return Some("it is suspended (spec.suspend)".to_owned());
    }
    match kind {
        Kind::CronJob => last_job(makers?),
        Kind::DaemonSet if wanted(kind, data) == Some(0) => {
            Some("no node matches its template".to_owned())
        }
        Kind::Job => ended(data).map(|how| format!("it {how}")),
        _ => (wanted(kind, data) == Some(0)).then(|| "it has 0 replicas".to_owned()),
    }
}

/// What became of the last Job, if none makes Pods now.
fn last_job(jobs: &[(Kind, DynamicObject)]) -> Option<String> {
    let Some((_, last)) = jobs.first() else {
        return Some("it has no Job now".to_owned());
    };
    let name = last.metadata.name.as_deref().unwrap_or_default();
    // those that should have Pods are the first
    match ended(&last.data) {
        Some(how) => Some(format!("its last Job, job/{name}, {how}")),
        None => is_suspended(&last.data).then(|| format!("its Job, job/{name}, is suspended")),
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
            Some("Complete") => Some("is done".to_owned()),
            Some("Failed") => Some(format!("has failed: {}", text(it, "message"))),
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
