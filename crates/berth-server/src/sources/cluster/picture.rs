//! The cluster as it is counted: Nodes, Pods and every DeviceClass, and the decisions that they do not show yet.
//!
//! One task applies every change, so none can come between a fleet that is counted aside and the moment it is put in
//! force. The lock is held for one change or one question, never across an await or a count from scratch.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::resource::v1::DeviceClass;
use kube::{Api, ResourceExt, runtime::watcher::Event};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinSet, spawn_blocking},
    time::timeout,
};

use super::{
    Shown, WAITING,
    client::Clients,
    config,
    contact::{Contact, Seen},
};
use crate::metrics::Metrics;
use berth_core::{
    conditions::Counts,
    fleet::{Change, Kind, NodeView, PodView},
    labels::Labels,
    ledger::Ledger,
    live::{Choice, Live, Wish},
    objects::Compiled,
    table::{AllocationTable, Settings, compile},
};
use gauges::Gauges;

mod gauges;

/// So long a replica that starts waits for Nodes and Pods; then every pool counts as having room.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the scheduler counts: finished Pods have given their GPUs back.
const UNFINISHED: &str = "status.phase!=Succeeded,status.phase!=Failed";
/// A Node is large: its images and conditions.
const NODES_IN_A_PAGE: u32 = 250;
/// A Pod may be larger: its annotations alone may have 256 KiB, and whoever may create Pods can fill them.
const PODS_IN_A_PAGE: u32 = 50;

/// The class that each namespace names, where it names one.
pub(super) type NamespaceClasses = BTreeMap<String, String>;

/// What comes to the task that counts.
enum News {
    Table(Arc<AllocationTable>),
    Namespaces(NamespaceClasses),
    Node(Seen<NodeView>),
    Pod(Seen<PodView>),
    DeviceClass(Seen<DeviceClass>),
}

/// The way to the task that counts, and to what it has counted.
#[derive(Debug)]
pub(super) struct Picture {
    news: mpsc::Sender<News>,
    live: Arc<Counted>,
    synced: watch::Receiver<bool>,
}

/// What reviews ask.
pub(super) struct Counted {
    ledger: Mutex<Ledger>,
    began: Instant,
    metrics: Arc<Metrics>,
}

/// What the statuses are made from.
pub(super) enum Count {
    /// It counts by another table than the one that was asked for, but not for long.
    ByAnotherTable,
    /// Nodes and Pods are still being listed.
    NotSynced,
    Counts(Counts),
}

/// The task that counts.
struct Counting {
    counted: Arc<Counted>,
    /// Told of every change.
    shown: Shown,
    class_label: String,
    namespaces: NamespaceClasses,
    device_classes: BTreeMap<String, Option<String>>,
    synced: watch::Sender<bool>,
}

/// What waits to be counted is small, whatever a Pod's author writes into it.
fn slim(seen: Seen<PodView>) -> News {
    News::Pod(seen.map(|event| match event {
        Event::Apply(pod) => Event::Apply(pod.slim()),
        Event::Delete(pod) => Event::Delete(pod.slim()),
        Event::InitApply(pod) => Event::InitApply(pod.slim()),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }))
}

/// Watches, and counts.
pub(super) fn start(
    tasks: &mut JoinSet<()>,
    clients: &Clients,
    settings: &Settings,
    shown: Shown,
    metrics: &Arc<Metrics>,
) -> Picture {
    let (news, coming) = mpsc::channel(WAITING);
    let contact = |kind| Contact::new(kind, Arc::clone(metrics));
    let client = &clients.watches;
    let (nodes, pods) = (Api::all(client.clone()), Api::all(client.clone()));
    let classes = Api::all(client.clone());
    let pages = config().page_size(NODES_IN_A_PAGE);
    tasks.spawn(contact("Node").follow(nodes, pages, news.clone(), News::Node));
    let unfinished = config().fields(UNFINISHED).page_size(PODS_IN_A_PAGE);
    tasks.spawn(contact("Pod").follow(pods, unfinished, news.clone(), slim));
    tasks.spawn(contact("DeviceClass").optional().follow(
        classes,
        config(),
        news.clone(),
        News::DeviceClass,
    ));
    let (empty, _) = compile(&[], settings);
    let ledger = Ledger::new(Arc::new(empty));
    let ledger = match shown.board {
        Some(_) => ledger.with_pod_names(),
        None => ledger,
    };
    let counted = Arc::new(Counted {
        ledger: Mutex::new(ledger),
        began: Instant::now(),
        metrics: Arc::clone(metrics),
    });
    if let Some(board) = &shown.board {
        let counted = Arc::clone(&counted);
        board.look_by(move || counted.ledger().fleet().clone());
    }
    tasks.spawn(Gauges::default().run(Arc::clone(&counted), Arc::clone(metrics)));
    let (say, synced) = watch::channel(false);
    let counting = Counting {
        counted: Arc::clone(&counted),
        shown,
        class_label: settings.class_label.clone(),
        namespaces: BTreeMap::new(),
        device_classes: BTreeMap::new(),
        synced: say,
    };
    tasks.spawn(counting.run(coming));
    Picture {
        news,
        live: counted,
        synced,
    }
}

impl Picture {
    /// Counts by another table from now on.
    pub(super) async fn set_table(&self, table: Arc<AllocationTable>) {
        // it is gone only when all ends
        let _ = self.news.send(News::Table(table)).await;
    }

    /// Counts the Pods that name no class by what their namespaces name from now on.
    pub(super) async fn set_namespaces(&self, classes: NamespaceClasses) {
        let _ = self.news.send(News::Namespaces(classes)).await;
    }

    /// Waits until Nodes and Pods were listed once, but not for long: what is not known has room.
    pub(super) async fn listed(&mut self) {
        if timeout(PATIENCE, self.synced.wait_for(|synced| *synced))
            .await
            .is_err()
        {
            tracing::warn!(
                "Nodes and Pods are not listed yet: until they are, every pool counts as having room"
            );
        }
    }

    /// What reviews ask.
    pub(super) fn live(&self) -> Arc<dyn Live> {
        Arc::clone(&self.live) as Arc<dyn Live>
    }

    /// What the statuses are made from.
    pub(super) fn counted(&self) -> Arc<Counted> {
        Arc::clone(&self.live)
    }
}

impl Counted {
    /// Counts what there is of these objects.
    pub(super) fn count(&self, compiled: &Compiled) -> Count {
        let ledger = self.ledger();
        let fleet = ledger.fleet();
        if fleet.table().revision() != compiled.table.revision() {
            return Count::ByAnotherTable;
        }
        Counts::of(fleet, compiled).map_or(Count::NotSynced, Count::Counts)
    }

    /// A panic in a review leaves the ledger whole or a take short, and the next list mends it.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted").finish_non_exhaustive()
    }
}

impl Live for Counted {
    fn choose(&self, wish: &Wish<'_>) -> Choice {
        let choice = self.ledger().choose(wish, self.began.elapsed());
        if !wish.dry_run {
            self.metrics.chose(choice.room);
        }
        choice
    }

    fn node(&self, name: &str) -> Option<Labels> {
        self.ledger().fleet().node_labels(name)
    }
}

impl Counting {
    async fn run(mut self, mut news: mpsc::Receiver<News>) {
        while let Some(next) = news.recv().await {
            match next {
                News::Table(table) => self.count_by(table).await,
                News::Namespaces(classes) => self.classify(classes),
                News::Node(Ok(event)) => self.node(event),
                News::Pod(Ok(event)) => self.pod(event),
                News::DeviceClass(Ok(event)) => self.device_class(event),
                // the watch has said so, and what was seen last stays
                News::Node(Err(_)) | News::Pod(Err(_)) | News::DeviceClass(Err(_)) => {}
            }
        }
    }

    /// Counts everything by another table, aside, and puts it in force.
    async fn count_by(&self, table: Arc<AllocationTable>) {
        let fleet = self.counted.ledger().fleet().clone();
        match spawn_blocking(move || fleet.with_table(table)).await {
            Ok(fleet) => self.counted.ledger().put_fleet(fleet),
            Err(error) => {
                tracing::error!(%error, "GPUs are counted by an older table: a bug in berth");
            }
        }
        self.show();
    }

    /// Pods and namespaces come in any order: who was seen before its namespace is counted again.
    fn classify(&mut self, classes: NamespaceClasses) {
        let before = std::mem::replace(&mut self.namespaces, classes);
        let names: BTreeSet<&String> = before.keys().chain(self.namespaces.keys()).collect();
        let changed = names.into_iter().filter_map(|name| {
            let class = self.namespaces.get(name);
            (class != before.get(name)).then(|| (name.clone(), class.cloned()))
        });
        self.apply(&Change::NamespaceClasses(changed.collect()));
    }

    fn show(&self) {
        self.shown.change();
    }

    fn apply(&self, change: &Change) {
        let mut ledger = self.counted.ledger();
        ledger.apply(change);
        let synced = ledger.fleet().is_synced();
        drop(ledger);
        self.synced
            .send_if_modified(|known| std::mem::replace(known, synced) != synced);
        self.show();
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
