//! The workloads of a cluster, each as its author would write it in a file.

use std::fmt::Debug;

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    batch::v1::{CronJob, Job},
    core::v1::Pod,
};
use kube::{
    Api, Resource,
    core::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};

use crate::cli::{cluster::Cluster, report::Failure};
use berth_manifests::{diagnostic::SourceText, yaml};

/// What the API server writes into metadata, and no author.
const OF_THE_SERVER: [&str; 6] = [
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];
/// Annotations that controllers and kubectl write.
const OF_OTHERS: [&str; 2] = [
    "deployment.kubernetes.io/revision",
    "kubectl.kubernetes.io/last-applied-configuration",
];

/// Every workload of a namespace, or of all, that no other one has made.
pub(super) fn workloads(
    cluster: &Cluster,
    namespace: Option<&str>,
) -> Result<Vec<SourceText>, Failure> {
    let mut all = Vec::new();
    let mut add = |kind: &str, resource: &ApiResource| -> Result<(), Failure> {
        let client = cluster.client.clone();
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, resource),
            None => Api::all_with(client, resource),
        };
        let objects = cluster.list(kind, &api)?;
        let own = objects.into_iter().filter(is_own);
        all.extend(own.map(|object| text(object, resource)));
        Ok(())
    };
    add("Deployments", &erased::<Deployment>())?;
    add("StatefulSets", &erased::<StatefulSet>())?;
    add("DaemonSets", &erased::<DaemonSet>())?;
    add("CronJobs", &erased::<CronJob>())?;
    add("Jobs", &erased::<Job>())?;
    add("Pods", &erased::<Pod>())?;
    Ok(all)
}

fn erased<K: Resource<DynamicType = ()> + Debug>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

/// Whether no controller has made it, which would make it anew as it was.
fn is_own(object: &DynamicObject) -> bool {
    let owners = object.metadata.owner_references.iter().flatten();
    owners
        .into_iter()
        .all(|owner| owner.controller != Some(true))
}

/// Its text, named as kubectl names it.
fn text(object: DynamicObject, resource: &ApiResource) -> SourceText {
    let mut metadata = serde_json::to_value(&object.metadata).unwrap_or_default();
    if let Some(fields) = metadata.as_object_mut() {
        fields.retain(|name, _| !OF_THE_SERVER.contains(&&**name));
        if let Some(Value::Object(annotations)) = fields.get_mut("annotations") {
            annotations.retain(|name, _| !OF_OTHERS.contains(&&**name));
        }
        fields.retain(|_, value| *value != json!({}));
    }
    let namespace = object.metadata.namespace.unwrap_or_default();
    let name = object.metadata.name.unwrap_or_default();
    let manifest = json!({
        "apiVersion": resource.api_version, "kind": resource.kind,
        "metadata": metadata, "spec": object.data["spec"],
    });
    let path = format!("{namespace}/{}/{name}", resource.kind.to_ascii_lowercase());
    SourceText::new(path, yaml::write(&manifest))
}
