//! The cluster as it is counted: Nodes, Pods and every DeviceClass, and the decisions that they do not show yet.
//!
//! One task applies every change, so none can come between a fleet that is counted aside and the moment it is put in
//! force. The lock is held for one change, one question, or a copy, which costs nothing: never while the whole cluster is
//! looked at. Nor is it held across an await: its guard cannot be sent to another thread, and every task here can, so that
//! would not compile.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::resource::v1::DeviceClass;
use kube::{Api, runtime::watcher::Event};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
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
    fleet::{NodeView, PodView},
    labels::Labels,
    ledger::Ledger,
    live::{Choice, Live, Wish},
    objects::Compiled,
    table::{AllocationTable, Settings, compile},
};
use counting::Counting;
use gauges::Gauges;

mod counting;
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
pub(super) enum News {
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

/// What waits to be counted is small, whatever a Pod's author writes into it.
fn slim(seen: Seen<PodView>, class_label: &str) -> News {
    News::Pod(seen.map(|event| match event {
        Event::Apply(pod) => Event::Apply(pod.slim(class_label)),
        Event::Delete(pod) => Event::Delete(pod.slim(class_label)),
        Event::InitApply(pod) => Event::InitApply(pod.slim(class_label)),
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
    let label = settings.class_label.clone();
    let unfinished = config().fields(UNFINISHED).page_size(PODS_IN_A_PAGE);
    tasks.spawn(
        contact("Pod").follow(pods, unfinished, news.clone(), move |seen| {
            slim(seen, &label)
        }),
    );
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
    let class_label = settings.class_label.clone();
    let counting = Counting::new(Arc::clone(&counted), shown, class_label, say);
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

#[cfg(test)]
impl Picture {
    /// One for which a test counts.
    pub(super) fn told() -> (Self, mpsc::Receiver<News>) {
        let (news, told) = mpsc::channel(WAITING);
        let (empty, _) = compile(&[], &Settings::default());
        let live = Arc::new(Counted {
            ledger: Mutex::new(Ledger::new(Arc::new(empty))),
            began: Instant::now(),
            metrics: Arc::default(),
        });
        let (_, synced) = watch::channel(true);
        (Self { news, live, synced }, told)
    }
}

impl Counted {
    /// Counts what there is of these objects.
    pub(super) fn count(&self, compiled: &Compiled) -> Count {
        let fleet = self.ledger().fleet().clone();
        if fleet.table().revision() != compiled.table.revision() {
            return Count::ByAnotherTable;
        }
        Counts::of(&fleet, compiled).map_or(Count::NotSynced, Count::Counts)
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
