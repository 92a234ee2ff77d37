//! Waiting for what the cluster does.

use std::{collections::BTreeMap, fmt::Debug, time::Duration};

use futures_util::StreamExt;
use kube::{
    Api, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;

/// Longer than anything takes here, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Watches objects, by their names, until they show what is wanted. An error is what was there at the end.
pub async fn until<K, T>(
    api: Api<K>,
    selected: watcher::Config,
    wanted: impl Fn(&BTreeMap<String, K>) -> Option<T>,
) -> Result<T, BTreeMap<String, K>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut seen = BTreeMap::new();
    let watching = async {
        let mut events = Box::pin(watcher(api, selected).default_backoff());
        let mut listed = false;
        // the watcher has no end, and an error of it is not the last word
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => seen.clear(),
                Ok(Event::InitApply(object) | Event::Apply(object)) => {
                    seen.insert(object.name_any(), object);
                }
                Ok(Event::Delete(object)) => {
                    seen.remove(&object.name_any());
                }
                Ok(Event::InitDone) => listed = true,
                Err(_) => listed = false,
            }
            if listed && let Some(found) = wanted(&seen) {
                return Some(found);
            }
        }
        None
    };
    match tokio::time::timeout(PATIENCE, watching).await {
        Ok(Some(found)) => Ok(found),
        _ => Err(seen),
    }
}
