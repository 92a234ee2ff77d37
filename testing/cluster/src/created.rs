//! What a test creates, and what becomes of it.
#![allow(
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a test fails by a panic"
)]

use std::fmt::Debug;

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
        batch::v1::{CronJob, Job},
        core::v1::{Node, Pod, PodTemplateSpec},
    },
};
use kube::{Api, Client, Resource, ResourceExt, api::ListParams, core::Selector, runtime::watcher};
use serde::{Serialize, de::DeserializeOwned};

use crate::{homelab, until};

/// An object that a test has created.
#[expect(missing_debug_implementations, reason = "a client has none")]
pub struct Created<K> {
    pub(crate) client: Client,
    /// As the API server stored it.
    pub object: K,
}

/// What has Pods.
pub trait Workload:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
{
    /// Selects its Pods.
    fn pods(&self) -> watcher::Config;
}

impl<K: Workload> Created<K> {
    /// Waits until a Pod of it runs, and holds that it does so on the node with that hostname.
    pub async fn runs_on(&self, hostname: &str) -> Pod {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let nodes = nodes.list(&ListParams::default()).await.expect("nodes");
        let running = self
            .pod(|pod| (phase(pod) == "Running").then(|| pod.clone()))
            .await;
        let name = running
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.clone());
        let node = nodes.iter().find(|node| node.metadata.name == name);
        let found = node.and_then(|node| node.labels().get(homelab::HOSTNAME));
        assert_eq!(found.map(String::as_str), Some(hostname), "{running:#?}");
        running
    }

    /// Waits until the scheduler has no node for a Pod of it: the scheduler's reason.
    pub async fn stays_pending(&self) -> String {
        self.pod(|pod| {
            let status = pod.status.as_ref()?;
            let mut conditions = status.conditions.iter().flatten();
            let scheduled = conditions.find(|condition| condition.type_ == "PodScheduled")?;
            (scheduled.status == "False").then(|| scheduled.message.clone().unwrap_or_default())
        })
        .await
    }

    /// Waits for one of its Pods that shows what is wanted.
    pub async fn pod<T>(&self, wanted: impl Fn(&Pod) -> Option<T>) -> T {
        let namespace = self.object.namespace().unwrap_or_default();
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let found = until(pods, self.object.pods(), |pods| {
            pods.values().find_map(&wanted)
        });
        found
            .await
            .unwrap_or_else(|pods| panic!("no such Pod of {}: {pods:#?}", self.object.name_any()))
    }
}

fn phase(pod: &Pod) -> &str {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    phase.unwrap_or_default()
}

impl Workload for Pod {
    fn pods(&self) -> watcher::Config {
        watcher::Config::default().fields(&format!("metadata.name={}", self.name_any()))
    }
}

/// Selects Pods by the labels of their template.
fn of_template(template: Option<&PodTemplateSpec>) -> watcher::Config {
    let labels = template.and_then(|template| template.metadata.as_ref()?.labels.clone());
    let labels = labels.unwrap_or_default().into_iter();
    watcher::Config::default().labels_from(&labels.collect::<Selector>())
}

macro_rules! workloads {
    ($($kind:ty: $template:expr),+ $(,)?) => {
        $(impl Workload for $kind {
            fn pods(&self) -> watcher::Config {
                let template: fn(&Self) -> Option<&PodTemplateSpec> = $template;
                of_template(template(self))
            }
        })+
    };
}

workloads! {
    Deployment: |owner| Some(&owner.spec.template),
    ReplicaSet: |owner| owner.spec.template.as_ref(),
    StatefulSet: |owner| Some(&owner.spec.template),
    DaemonSet: |owner| Some(&owner.spec.template),
    Job: |owner| Some(&owner.spec.as_ref()?.template),
    CronJob: |owner| Some(&owner.spec.job_template.spec.as_ref()?.template),
}
