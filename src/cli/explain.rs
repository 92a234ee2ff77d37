//! `berth explain`.

use clap::Args;
use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::{
    Api, ResourceExt,
    core::{DynamicObject, PartialObjectMeta},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    SettingsOptions,
    cluster::{Cluster, ClusterOptions, NOT_FOUND},
    facts::{Reading, no_namespace},
    namespace,
    report::{Ended, Failure, Format, print, versioned},
};
use berth_core::{
    explain::{self, Explanation, Facts},
    review,
    suggestion::suggestion,
};
use berth_manifests::dry_run;
use object::{Kind, ObjectName};

mod object;
mod template;
mod text;
mod workload;

const MORE: &str = "\
Examples:
  # why a Pod waits
  berth explain pod/whisper-6d5f-x2x7k -n ai
  # why a Deployment has no Pod, or why its Pods wait
  berth explain deploy/whisper -n ai
  # whether a class or a pool has a free GPU
  berth explain class/whisper -n ai
  berth explain pool/rtx-2070
  # for a program
  berth explain pod/whisper-6d5f-x2x7k -n ai -o json

Exit codes:
  0  it is explained
  2  the flags are wrong, or there is no way to a cluster
  3  what is to be explained is not there, or may not be read";

/// Say why a Pod waits, or where it runs
///
/// It also explains what makes Pods (deploy, rs, sts, ds, job, cronjob), a class and a pool. The conclusion comes first; then how many nodes are left after each step that the scheduler takes, what berth decided,
/// what to do, and what others say. It reads with your rights, and says what they do not let it read.
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
pub(super) struct Explain {
    /// What to explain, as pod/NAME, deploy/NAME, class/NAME or pool/NAME
    #[arg(value_name = "KIND/NAME")]
    object: ObjectName,
    /// Its namespace, if not that of the kubeconfig's context
    #[arg(short = 'n', long = "namespace", value_name = "NAME", value_parser = namespace)]
    in_namespace: Option<String>,
    /// The form of the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    #[command(flatten)]
    cluster: ClusterOptions,
    #[command(flatten)]
    settings: SettingsOptions,
}

/// What is asked, of which namespace.
struct Question<'c> {
    cluster: &'c Cluster,
    namespace: String,
    reading: Reading<'c>,
}

impl Explain {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        let cluster = self.cluster.connect()?;
        let reading = Reading::new(&cluster, self.settings.try_into()?);
        let namespace = self
            .in_namespace
            .unwrap_or_else(|| cluster.namespace.clone());
        let question = Question {
            cluster: &cluster,
            namespace,
            reading,
        };
        let ObjectName { kind, name } = self.object;
        let explanation = match kind {
            Kind::Pod => question.of_pod(&name)?,
            Kind::Pool => question.of_pool(&name)?,
            Kind::Class => question.of_class(&name)?,
            Kind::Workload(kind) => question.of_workload(kind, &name)?,
        };
        match self.output {
            Format::Text => print(text::of(&explanation))?,
            Format::Json => print(versioned("Explanation", &explanation)?)?,
        }
        Ok(Ended::Fine)
    }
}

impl Question<'_> {
    fn of_pod(mut self, name: &str) -> Result<Explanation, Failure> {
        let api: Api<Pod> = self.api();
        let pod = match self.cluster.get("Pod", &api, name) {
            Ok(pod) => pod,
            Err(error) if error.code() == Some(NOT_FOUND) => {
                return Err(self.missing("Pod", &api, name));
            }
            Err(error) => return Err(error.into()),
        };
        let events = self.events_of(pod.metadata.uid.as_deref())?;
        let events = events.unwrap_or_default();
        let made_by = self.template_of(&pod)?;
        let (namespace, facts) = self.facts()?;
        let before = template::before(&pod, made_by.as_ref());
        Ok(explained(&pod, &events, before, &namespace, &facts))
    }

    fn of_pool(self, name: &str) -> Result<Explanation, Failure> {
        let facts = self.reading.facts(None)?;
        if !facts.sees_pools {
            return Err(Failure::unreadable(facts.unread.join("; ")));
        }
        explain::pool(name, &facts).map_err(Failure::unreadable)
    }

    fn of_class(self, name: &str) -> Result<Explanation, Failure> {
        let (namespace, facts) = self.facts()?;
        if !facts.sees_classes {
            return Err(Failure::unreadable(facts.unread.join("; ")));
        }
        explain::class(name, &namespace, &facts).map_err(Failure::unreadable)
    }

    fn facts(self) -> Result<(String, Facts), Failure> {
        let facts = self.reading.facts(Some(&self.namespace))?;
        Ok((self.namespace, facts))
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// The Events about an object; none where they may not be read.
    fn events_of(&mut self, uid: Option<&str>) -> Result<Option<Vec<Event>>, Failure> {
        let api: Api<Event> = self.api();
        let fields = format!("involvedObject.uid={}", uid.unwrap_or_default());
        let mut events = Vec::new();
        let read = self
            .cluster
            .each("Events", &api, &fields, |it| events.push(it));
        Ok(self.reading.or_unread(read)?.map(|()| events))
    }

    /// What made the Pod; none where nothing did that has a template, or where it may not be read.
    fn template_of(&mut self, pod: &Pod) -> Result<Option<DynamicObject>, Failure> {
        let Some(kind) = template::controller(pod) else {
            return Ok(None);
        };
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.cluster.client.clone(), &self.namespace, &kind.resource);
        let what = &kind.resource.kind;
        match self.cluster.get(what, &api, &kind.name) {
            Err(error) if error.code() == Some(NOT_FOUND) => Ok(None),
            read => self.reading.or_unread(read),
        }
    }

    /// There is no such object: it is gone, or another one is meant.
    fn missing<K>(&self, kind: &str, api: &Api<K>, name: &str) -> Failure
    where
        K: Clone + DeserializeOwned + std::fmt::Debug + ResourceExt,
    {
        let namespace = &self.namespace;
        let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(self.cluster.client.clone());
        let of_name = self.cluster.get("Namespace", &namespaces, namespace);
        if of_name.is_err_and(|error| error.code() == Some(NOT_FOUND)) {
            return no_namespace(namespace, &[]);
        }
        let mut names = Vec::new();
        let read = self
            .cluster
            .each(kind, api, "", |it| names.push(it.name_any()));
        let meant = suggestion(name, names.iter().map(String::as_str));
        Failure::unreadable(match (read, meant) {
            (Ok(()), Some(meant)) => {
                format!("there is no {kind} {name} in namespace {namespace}; did you mean {meant}?")
            }
            _ => format!(
                "there is no {kind} {name} in namespace {namespace}: it was deleted, or is in another one (-n)"
            ),
        })
    }
}

/// The explanation of a Pod, with what berth decided about it as it was before its review.
fn explained(
    pod: &Pod,
    events: &[Event],
    before: Option<Value>,
    namespace: &str,
    facts: &Facts,
) -> Explanation {
    let mut explanation = explain::pod(pod, events, facts);
    explanation.decision = decision(pod, before, namespace, facts);
    explanation
}

/// What berth decided, from the Pod as it was before its review: what its controller's template, or its author, says.
fn decision(pod: &Pod, before: Option<Value>, namespace: &str, facts: &Facts) -> Vec<String> {
    let annotations = pod.metadata.annotations.as_ref();
    let recorded = annotations.and_then(|it| it.get(berth_core::names::POOL_ANNOTATION));
    let Some(recorded) = recorded else {
        return Vec::new();
    };
    let stored = serde_json::to_value(pod).ok();
    for pod in before.into_iter().chain(stored) {
        let body = dry_run::creation(&pod, namespace).to_string();
        let Ok(answer) = review::peek(body.as_bytes(), &facts.view) else {
            continue;
        };
        // of today's table: where that decides otherwise, only the Pod as it is tells what was decided
        if answer.decision.pool() == Some(recorded) {
            let placement = answer.decision.placement.as_ref();
            return placement.map(explain::decision).unwrap_or_default();
        }
    }
    Vec::new()
}
