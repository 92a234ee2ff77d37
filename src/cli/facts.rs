//! What `explain`, `classes` and `bench` read of a cluster, with the rights of whoever asks. What may not be read is noted, and the
//! answer goes as far as the rest.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::{
        admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Namespace,
        resource::v1::DeviceClass,
    },
    jiff::Timestamp,
};
use kube::{
    Api,
    core::{DynamicObject, PartialObjectMeta},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{
    cluster::{Cluster, FORBIDDEN, NOT_FOUND, Unanswered},
    report::Failure,
};
use berth_core::{
    api::{GPUPoolStatus, WorkloadClassStatus},
    conditions::Statuses,
    explain::{Counted, Facts, Webhook},
    fleet::{NodeView, PodView},
    labels::Namespaces,
    names::WEBHOOK,
    objects::compile_each,
    suggestion::suggestion,
    table::{AllocationTable, Settings},
    validate::NamespaceLabels,
    view::View,
};

/// What is neither finished nor gone.
pub(super) const UNFINISHED: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// Reads a cluster, and notes what may not be read.
pub(super) struct Reading<'c> {
    pub(super) cluster: &'c Cluster,
    pub(super) settings: Settings,
    pub(super) unread: Vec<String>,
}

impl<'c> Reading<'c> {
    pub(super) fn new(cluster: &'c Cluster, settings: Settings) -> Self {
        let settings = Settings {
            namespaces: NamespaceLabels::All,
            ..settings
        };
        Self {
            cluster,
            settings,
            unread: Vec::new(),
        }
    }

    /// What was read; none where the right is missing.
    pub(super) fn or_unread<T>(
        &mut self,
        answer: Result<T, Unanswered>,
    ) -> Result<Option<T>, Failure> {
        match answer {
            Ok(it) => Ok(Some(it)),
            Err(error) if error.code() == Some(FORBIDDEN) => {
                self.note(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Notes what could not be read, once.
    fn note(&mut self, sentence: String) {
        if !self.unread.contains(&sentence) {
            self.unread.push(sentence);
        }
    }

    /// Objects of the table, which is not in the cluster where it is of files.
    fn of_table(
        &mut self,
        answer: Result<Vec<DynamicObject>, Unanswered>,
    ) -> Result<Option<Vec<DynamicObject>>, Failure> {
        match answer {
            Err(error) if error.code() == Some(NOT_FOUND) => {
                let what = &error.what;
                self.note(format!(
                    "{what}: the cluster has no definition of them, so berth is not installed there, or its table is of files"
                ));
                Ok(None)
            }
            answer => self.or_unread(answer),
        }
    }

    /// All that there is to read, for a namespace if the question is of one.
    pub(super) fn facts(mut self, namespace: Option<&str>) -> Result<Facts, Failure> {
        let (pools, classes) = (self.cluster.pools(), self.cluster.classes());
        let pools = self.of_table(pools)?;
        let classes = self.of_table(classes)?;
        let of_pools = pools.as_deref().unwrap_or_default();
        let of_classes = classes.as_deref().unwrap_or_default();
        let compiled = compile_each(of_pools, of_classes, &self.settings);
        let namespaces = self.namespaces(namespace)?;
        let sees_namespace = namespaces.is_some();
        let view =
            View::from(Arc::clone(&compiled.table)).with_namespaces(namespaces.unwrap_or_default());
        let counted = match &pools {
            Some(_) => self.counted(&compiled.table, &view)?,
            None => None,
        };
        let now = Timestamp::now();
        let written_down = || Statuses {
            pools: statuses::<GPUPoolStatus>(of_pools),
            classes: statuses::<WorkloadClassStatus>(of_classes),
        };
        let by_counts = counted.as_ref().map(|it| it.statuses(&compiled, now));
        Ok(Facts {
            now,
            statuses: by_counts.unwrap_or_else(written_down),
            view,
            compiled,
            sees_pools: pools.is_some(),
            sees_classes: classes.is_some(),
            sees_namespace,
            written: written(of_pools),
            counted,
            webhook: self.webhook()?,
            unread: self.unread,
        })
    }

    /// The labels of every namespace, else of the one that counts, else none.
    pub(super) fn namespaces(
        &mut self,
        namespace: Option<&str>,
    ) -> Result<Option<Namespaces>, Failure> {
        match self.cluster.namespaces() {
            Ok(all) => {
                let names = all.names();
                return match namespace.filter(|it| !names.contains(it)) {
                    Some(missing) => Err(no_namespace(missing, &names)),
                    None => Ok(Some(all)),
                };
            }
            Err(error) if error.code() == Some(FORBIDDEN) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(namespace) = namespace else {
            return Ok(None);
        };
        let api: Api<PartialObjectMeta<Namespace>> = Api::all(self.cluster.client.clone());
        let one = match self.cluster.get("Namespace", &api, namespace) {
            Err(error) if error.code() == Some(NOT_FOUND) => {
                return Err(no_namespace(namespace, &[]));
            }
            answer => self.or_unread(answer)?,
        };
        let labels = |it: PartialObjectMeta<Namespace>| it.metadata.labels.unwrap_or_default();
        Ok(one.map(|it| Namespaces::new([(namespace.to_owned(), labels(it))])))
    }

    /// Nodes, Pods and what DRA provides; none where Nodes or Pods may not be read.
    fn counted(
        &mut self,
        table: &Arc<AllocationTable>,
        view: &View,
    ) -> Result<Option<Counted>, Failure> {
        let client = &self.cluster.client;
        let mut counted = Counted::new(Arc::clone(table));
        let nodes: Api<NodeView> = Api::all(client.clone());
        let read = self
            .cluster
            .each("Nodes", &nodes, "", |it| counted.node(&it));
        let has_nodes = self.or_unread(read)?.is_some();
        let pods: Api<PodView> = Api::all(client.clone());
        let label = table.class_label();
        let read = self.cluster.each("Pods", &pods, UNFINISHED, |it| {
            let namespace = it.metadata.namespace.as_deref().unwrap_or_default();
            counted.pod(&it, label, view.namespace(namespace).label(label));
        });
        let has_pods = self.or_unread(read)?.is_some();
        let classes: Api<DeviceClass> = Api::all(client.clone());
        let mut provided = Vec::new();
        let read = self.cluster.each("DeviceClasses", &classes, "", |it| {
            provided.push((
                it.metadata.name.unwrap_or_default(),
                it.spec.and_then(|it| it.extended_resource_name),
            ));
        });
        // a server without them is an old one
        if read.as_ref().err().and_then(Unanswered::code) != Some(NOT_FOUND) {
            self.or_unread(read)?;
        }
        counted.device_classes(provided);
        Ok((has_nodes && has_pods).then(|| counted.complete()))
    }

    /// Where berth's webhook is registered. It is one detail of one conclusion, so a missing right is no news.
    fn webhook(&self) -> Result<Webhook, Failure> {
        let api: Api<MutatingWebhookConfiguration> = Api::all(self.cluster.client.clone());
        let mut found = Webhook::Missing;
        let read = self
            .cluster
            .each("MutatingWebhookConfigurations", &api, "", |it| {
                let mut hooks = it.webhooks.iter().flatten();
                let created = it.metadata.creation_timestamp.map(|it| it.0);
                if let (true, Some(at)) = (hooks.any(|it| it.name == WEBHOOK), created) {
                    found = Webhook::Since(at);
                }
            });
        match read {
            Ok(()) => Ok(found),
            Err(error) if error.code() == Some(FORBIDDEN) => Ok(Webhook::Unread),
            Err(error) => Err(error.into()),
        }
    }
}

/// There is no such namespace: another one is meant, perhaps.
pub(super) fn no_namespace(name: &str, names: &[&str]) -> Failure {
    let meant = suggestion(name, names.iter().copied());
    let meant = meant.map_or_else(String::new, |it| format!("; did you mean {it}?"));
    Failure::unreadable(format_args!("there is no namespace {name}{meant}"))
}

/// When the spec of each pool was last written.
fn written(pools: &[DynamicObject]) -> BTreeMap<String, Timestamp> {
    let of = |pool: &DynamicObject| {
        let fields = pool.metadata.managed_fields.iter().flatten();
        let of_spec = fields.filter(|it| it.subresource.is_none());
        let last = of_spec.filter_map(|it| Some(it.time.as_ref()?.0)).max();
        Some((pool.metadata.name.clone()?, last?))
    };
    pools.iter().filter_map(of).collect()
}

fn statuses<S: DeserializeOwned>(objects: &[DynamicObject]) -> BTreeMap<String, S> {
    let status = |it: &DynamicObject| {
        let status = it.data.get("status")?;
        // another berth's counts may be others: then its conditions say what there is to say
        let conditions = || S::deserialize(json!({"conditions": status.get("conditions")}));
        let status = S::deserialize(status).or_else(|_| conditions());
        Some((it.metadata.name.clone()?, status.ok()?))
    };
    objects.iter().filter_map(status).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_another_berths_status_the_conditions_are_read() {
        let condition = json!({
            "type": "Ready", "status": "True", "reason": "Ready", "message": "it is",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let pool = |name: &str, status: serde_json::Value| {
            let pool = json!({"metadata": {"name": name}, "status": status});
            serde_json::from_value::<DynamicObject>(pool).expect("an object")
        };
        let pools = [
            pool(
                "a",
                json!({"gpus": {"free": 1, "reserved": 2}, "conditions": [condition]}),
            ),
            pool("b", json!({})),
            pool("c", json!({"gpus": "many", "conditions": "none"})),
        ];
        let read: BTreeMap<String, GPUPoolStatus> = statuses(&pools);
        assert_eq!(read["a"].conditions[0].message, "it is");
        assert!(read["b"].conditions.is_empty());
        assert!(!read.contains_key("c"));
    }
}
