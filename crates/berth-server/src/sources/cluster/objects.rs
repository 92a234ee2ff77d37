//! From what the watches show to the view: kept by name, compiled off the asynchronous threads, put in force whole.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Namespace;
use kube::core::{DynamicObject, PartialObjectMeta};
use tokio::{
    sync::mpsc::Receiver,
    task::{JoinError, spawn_blocking},
    time::{Instant, timeout_at},
};

use super::{
    Shown,
    contact::Seen,
    drafts::Kind,
    kept::Kept,
    picture::{NamespaceClasses, Picture},
};
use crate::{metrics::Metrics, sources::Publisher};
use berth_core::{
    labels::{Labels, Namespaces},
    live::{Live, NothingKnown},
    objects::{Compiled, compile_each},
    table::{AllocationTable, Settings},
    view::View,
};

/// So long after the last change it is compiled: `kubectl apply` sends a pool and its class one after the other.
const QUIET: Duration = Duration::from_millis(20);
/// So long after the first change at most, if they do not end.
const AT_MOST: Duration = Duration::from_millis(200);

/// What a watch has shown.
#[derive(Debug)]
pub(super) enum News {
    Pools(Seen<DynamicObject>),
    Classes(Seen<DynamicObject>),
    Namespaces(Seen<PartialObjectMeta<Namespace>>),
}

/// What changed since it was put in force.
#[derive(Clone, Copy, Debug, Default)]
struct Changed {
    table: bool,
    namespaces: bool,
}

/// All that a view is made of.
#[derive(Debug)]
pub(super) struct Objects {
    settings: Settings,
    metrics: Arc<Metrics>,
    publisher: Publisher,
    picture: Option<Picture>,
    shown: Shown,
    pools: Kept<DynamicObject>,
    classes: Kept<DynamicObject>,
    namespaces: Kept<Labels>,
    /// The classes that they name, as they were handed to the picture.
    named: NamespaceClasses,
    /// In force; none before the first.
    table: Option<Arc<AllocationTable>>,
    labels: Arc<Namespaces>,
    /// The refusals as they were logged.
    refused: BTreeSet<String>,
}

impl Objects {
    pub(super) fn new(
        settings: Settings,
        metrics: Arc<Metrics>,
        publisher: Publisher,
        picture: Option<Picture>,
        shown: Shown,
    ) -> Self {
        Self {
            settings,
            metrics,
            publisher,
            picture,
            shown,
            pools: Kept::default(),
            classes: Kept::default(),
            namespaces: Kept::default(),
            named: NamespaceClasses::new(),
            table: None,
            labels: Arc::default(),
            refused: BTreeSet::new(),
        }
    }

    /// Puts every change in force, until no watch is left.
    pub(super) async fn publish(mut self, mut news: Receiver<News>) {
        self.say_what_is_missing();
        while let Some(first) = news.recv().await {
            let mut changed = Changed::default();
            self.take(first, &mut changed);
            self.gather(&mut news, &mut changed).await;
            if let Err(error) = self.put(changed).await {
                tracing::error!(%error, "the table was not compiled: a bug in berth");
            }
        }
    }

    /// Takes what follows, until it is quiet or has lasted long enough.
    async fn gather(&mut self, news: &mut Receiver<News>, changed: &mut Changed) {
        let end = Instant::now() + AT_MOST;
        loop {
            let quiet = (Instant::now() + QUIET).min(end);
            match timeout_at(quiet, news.recv()).await {
                Ok(Some(next)) => self.take(next, changed),
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn take(&mut self, news: News, changed: &mut Changed) {
        match news {
            News::Pools(seen) => {
                self.show(Kind::Pool, &seen);
                changed.table |= self.pools.take(&seen, as_the_author_wrote_it);
            }
            News::Classes(seen) => {
                self.show(Kind::Class, &seen);
                changed.table |= self.classes.take(&seen, as_the_author_wrote_it);
            }
            News::Namespaces(seen) => {
                let labels = |it: &PartialObjectMeta<Namespace>| {
                    it.metadata.labels.clone().unwrap_or_default()
                };
                changed.namespaces |= self.namespaces.take(&seen, labels);
            }
        }
    }

    fn show(&self, kind: Kind, seen: &Seen<DynamicObject>) {
        if let Some(drafts) = &self.shown.drafts {
            drafts.see(kind, seen);
        }
    }

    async fn put(&mut self, changed: Changed) -> Result<(), JoinError> {
        if changed.namespaces {
            self.see_namespaces().await;
        }
        let (Some(pools), Some(classes), Some(_)) = (
            &self.pools.listed,
            &self.classes.listed,
            &self.namespaces.listed,
        ) else {
            self.say_what_is_missing();
            return Ok(());
        };
        if !changed.table && !changed.namespaces && self.table.is_some() {
            return Ok(());
        }
        let compiled = if changed.table || self.table.is_none() {
            let (pools, classes, settings) =
                (pools.clone(), classes.clone(), self.settings.clone());
            let compile = move || compile_each(pools.values(), classes.values(), &settings);
            Some(spawn_blocking(compile).await?)
        } else {
            None
        };
        self.put_in_force(compiled).await;
        Ok(())
    }

    /// Takes the labels of the namespaces, and says which name a class. It waits for nothing else: the list of the pools may
    /// come later, and what is counted is right before a table is in force.
    async fn see_namespaces(&mut self) {
        let Some(namespaces) = &self.namespaces.listed else {
            return;
        };
        let labels = namespaces.iter();
        let labels = labels.map(|(name, labels)| (name.clone(), labels.clone()));
        self.labels = Arc::new(Namespaces::all(labels));
        let named = namespaces.iter().filter_map(|(name, labels)| {
            let class = labels.get(&self.settings.class_label)?;
            Some((name.clone(), class.clone()))
        });
        let named: NamespaceClasses = named.collect();
        if let Some(picture) = self.picture.as_ref().filter(|_| named != self.named) {
            picture.set_namespaces(named.clone()).await;
            self.named = named;
        }
    }

    async fn put_in_force(&mut self, compiled: Option<Compiled>) {
        let first = self.table.is_none();
        let compiled = compiled.map(Arc::new);
        if let Some(compiled) = &compiled {
            self.tell(compiled);
            self.table = Some(Arc::clone(&compiled.table));
        }
        let Some(table) = &self.table else { return };
        let live: Arc<dyn Live> = match &mut self.picture {
            None => Arc::new(NothingKnown),
            Some(picture) => {
                // a namespace's label changes nothing that is counted by the table
                if compiled.is_some() {
                    picture.set_table(Arc::clone(table)).await;
                }
                if first {
                    picture.listed().await;
                }
                picture.live()
            }
        };
        let view = View {
            table: Arc::clone(table),
            namespaces: Arc::clone(&self.labels),
            live,
        };
        self.publisher.take::<Infallible>(Ok(Some(view)));
        if let Some(compiled) = &compiled {
            self.shown.put(compiled);
        }
    }

    /// Logs each refusal once, and shows how many there are.
    fn tell(&mut self, compiled: &Compiled) {
        let refused = |kind, name: &str, message: &str| format!("{kind} {name}: {message}");
        let pools = compiled.pools.iter().filter_map(|it| {
            let message = &it.refusal.as_ref()?.message;
            Some(refused("GPUPool", &it.name, message))
        });
        let classes = compiled.classes.iter().filter_map(|it| {
            let message = &it.refusal.as_ref()?.message;
            Some(refused("WorkloadClass", &it.name, message))
        });
        let (pools, classes): (BTreeSet<String>, BTreeSet<String>) =
            (pools.collect(), classes.collect());
        for (kind, all, refused) in [
            ("GPUPool", compiled.pools.len(), pools.len()),
            ("WorkloadClass", compiled.classes.len(), classes.len()),
        ] {
            self.metrics.objects(kind, all - refused, all);
        }
        let now: BTreeSet<String> = pools.into_iter().chain(classes).collect();
        for object in now.difference(&self.refused) {
            tracing::warn!(%object, "left out of the table");
        }
        self.refused = now;
    }

    fn say_what_is_missing(&self) {
        let missing = [
            ("GPUPool", self.pools.listed.is_none(), &self.pools.failed),
            (
                "WorkloadClass",
                self.classes.listed.is_none(),
                &self.classes.failed,
            ),
            (
                "Namespace",
                self.namespaces.listed.is_none(),
                &self.namespaces.failed,
            ),
        ];
        let missing = missing.into_iter().filter(|(_, is_missing, _)| *is_missing);
        let why = missing.map(|(kind, _, failed)| {
            failed
                .clone()
                .unwrap_or_else(|| format!("{kind} is being listed"))
        });
        let why: Vec<String> = why.collect();
        self.publisher.wait(&why.join("\n"));
    }
}

/// The object without what others write: a status is no change of the table.
fn as_the_author_wrote_it(object: &DynamicObject) -> DynamicObject {
    let mut object = object.clone();
    object.metadata.managed_fields = None;
    object.metadata.resource_version = None;
    if let Some(data) = object.data.as_object_mut() {
        data.remove("status");
    }
    object
}

#[cfg(test)]
mod tests;
