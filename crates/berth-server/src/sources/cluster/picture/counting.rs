//! The task that counts what the watches show. It alone changes what is counted, so what takes long is made of a copy, while
//! reviews go on, and then put in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::resource::v1::DeviceClass;
use kube::{ResourceExt, runtime::watcher::Event};
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
};

use super::{Counted, NamespaceClasses, News, Shown};
use berth_core::{
    fleet::{Change, Fleet, Kind, NodeView, PodView},
    table::AllocationTable,
};

/// See the module.
pub(super) struct Counting {
    counted: Arc<Counted>,
    /// Told of every change.
    shown: Shown,
    class_label: String,
    namespaces: NamespaceClasses,
    device_classes: BTreeMap<String, Option<String>>,
    synced: watch::Sender<bool>,
}

impl Counting {
    pub(super) fn new(
        counted: Arc<Counted>,
        shown: Shown,
        class_label: String,
        synced: watch::Sender<bool>,
    ) -> Self {
        Self {
            counted,
            shown,
            class_label,
            namespaces: BTreeMap::new(),
            device_classes: BTreeMap::new(),
            synced,
        }
    }

    /// Counts until nobody says anything any more.
    pub(super) async fn run(mut self, mut news: mpsc::Receiver<News>) {
        while let Some(next) = news.recv().await {
            self.leave_copies().await;
            match next {
                News::Table(table) => self.count_by(table).await,
                News::Namespaces(classes) => self.classify(classes).await,
                News::Node(Ok(event)) => self.node(event),
                News::Pod(Ok(event)) => self.pod(event),
                News::DeviceClass(Ok(event)) => self.device_class(event),
                // the watch has said so, and what was seen last stays
                News::Node(Err(_)) | News::Pod(Err(_)) | News::DeviceClass(Err(_)) => {}
            }
        }
    }

    /// Counts everything by another table, if it is another.
    async fn count_by(&self, table: Arc<AllocationTable>) {
        let is_same = {
            let ledger = self.counted.ledger();
            ledger.fleet().table().revision() == table.revision()
        };
        if !is_same {
            self.replace(move |fleet| fleet.with_table(table)).await;
        }
    }

    /// Leaves to whoever looks at a copy what they share with it, so that the change that comes need not copy it.
    async fn leave_copies(&self) {
        let is_shared = self.counted.ledger().fleet().is_shared();
        if is_shared {
            self.replace(Fleet::copied).await;
        }
    }

    /// Makes another fleet of the one in force, aside, and puts it in force. Nothing comes between, since this task alone
    /// changes it.
    async fn replace(&self, make: impl FnOnce(&Fleet) -> Fleet + Send + 'static) {
        let old = self.counted.ledger().fleet().clone();
        let done = spawn_blocking(move || (make(&old), old));
        match done.await {
            Ok((new, old)) => {
                self.counted.ledger().put_fleet(new);
                // not under the lock: it is as large as the cluster
                drop(old);
            }
            Err(error) => {
                tracing::error!(%error, "GPUs are counted as they were before: a bug in berth");
            }
        }
        self.shown.change();
    }

    /// Pods and namespaces come in any order: who was seen before its namespace is counted again.
    async fn classify(&mut self, classes: NamespaceClasses) {
        let before = std::mem::replace(&mut self.namespaces, classes);
        let names: BTreeSet<&String> = before.keys().chain(self.namespaces.keys()).collect();
        let changed = names.into_iter().filter_map(|name| {
            let class = self.namespaces.get(name);
            (class != before.get(name)).then(|| (name.clone(), class.cloned()))
        });
        let change = Change::NamespaceClasses(changed.collect());
        self.replace(move |fleet| {
            let mut fleet = fleet.clone();
            fleet.apply(&change);
            fleet
        })
        .await;
    }

    fn apply(&self, change: &Change) {
        let mut ledger = self.counted.ledger();
        ledger.apply(change);
        let synced = ledger.fleet().is_synced();
        drop(ledger);
        self.synced
            .send_if_modified(|known| std::mem::replace(known, synced) != synced);
        self.shown.change();
    }

    fn node(&self, event: Event<NodeView>) {
        self.apply(&match event {
            Event::Init => Change::RelistBegins(Kind::Node),
            Event::InitDone => Change::RelistEnds(Kind::Node),
            Event::InitApply(node) | Event::Apply(node) => Change::Node(Box::new(node.seen())),
            Event::Delete(node) => Change::NodeGone {
                name: node.name_any(),
            },
        });
    }

    fn pod(&self, event: Event<PodView>) {
        let gone = |pod: &PodView| Change::PodGone {
            uid: pod.uid().unwrap_or_default(),
        };
        self.apply(&match event {
            Event::Init => Change::RelistBegins(Kind::Pod),
            Event::InitDone => Change::RelistEnds(Kind::Pod),
            Event::InitApply(pod) | Event::Apply(pod) => {
                let class = self.namespaces.get(&pod.namespace().unwrap_or_default());
                let seen = pod.seen(&self.class_label, class.map(String::as_str));
                seen.map_or_else(|| gone(&pod), |seen| Change::Pod(Box::new(seen)))
            }
            Event::Delete(pod) => gone(&pod),
        });
    }

    fn device_class(&mut self, event: Event<DeviceClass>) {
        match event {
            Event::Init => return self.device_classes.clear(),
            Event::InitApply(class) => {
                self.keep(class);
                return;
            }
            Event::InitDone => {}
            Event::Apply(class) => {
                self.keep(class);
            }
            Event::Delete(class) => {
                self.device_classes.remove(&class.name_any());
            }
        }
        let all = self.device_classes.iter();
        let all = all.map(|(name, resource)| (name.clone(), resource.clone()));
        self.apply(&Change::DeviceClasses(all.collect()));
    }

    fn keep(&mut self, class: DeviceClass) {
        let name = class.name_any();
        let resource = class.spec.and_then(|spec| spec.extended_resource_name);
        self.device_classes.insert(name, resource);
    }
}

#[cfg(test)]
mod tests;
