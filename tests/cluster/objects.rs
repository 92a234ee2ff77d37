//! Pods and their owners, as short as a user can write them.

use std::collections::BTreeMap;

use berth_cluster::Cluster;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Container, Namespace, Pod, ServiceAccount},
};
use kube::{
    Api,
    api::{ListParams, PostParams},
    core::Status,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::common::path;

/// An object from its fields.
pub fn object<K: DeserializeOwned>(fields: Value) -> K {
    serde_json::from_value(fields).expect("an object of the kind")
}

/// The metadata and spec of a Pod of a class.
pub fn template(class: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": class, "berth.dev/workload-class": class}},
        "spec": {"containers": [{"name": class, "image": class}]},
    })
}

/// A bare Pod of a class.
pub fn pod(class: &str) -> Pod {
    let mut pod = template(class);
    pod["metadata"]["name"] = json!(class);
    object(pod)
}

/// A Deployment of one Pod of a class.
pub fn deployment(class: &str) -> Deployment {
    let spec = json!({"selector": {"matchLabels": {"app": class}}, "template": template(class)});
    object(json!({"metadata": {"name": class}, "spec": spec}))
}

/// The first container.
pub fn container(pod: &Pod) -> &Container {
    &pod.spec.as_ref().expect("a spec").containers[0]
}

/// The limits of the first container.
pub fn limits(pod: &Pod) -> BTreeMap<String, String> {
    let resources = container(pod).resources.iter();
    let limits = resources.flat_map(|resources| resources.limits.iter().flatten());
    limits
        .map(|(name, quantity)| (name.clone(), quantity.0.clone()))
        .collect()
}

/// A Deployment of `examples/workloads`, for the test's namespace.
pub fn service(class: &str) -> Deployment {
    let text = std::fs::read_to_string(path("examples/workloads/homelab.yaml")).expect("a file");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let is_it = |document: &Value| {
        document["kind"] == "Deployment" && document["metadata"]["name"] == class
    };
    let found = documents.into_iter().find(is_it);
    let mut deployment: Deployment = object(found.expect("a Deployment of the class"));
    deployment.metadata.namespace = None;
    deployment
}

/// A Pod without a class.
pub fn plain(name: &str) -> Pod {
    object(
        json!({"metadata": {"name": name}, "spec": {"containers": [{"name": name, "image": name}]}}),
    )
}

/// The keys of a Pod's tolerations.
pub fn tolerations(pod: &Pod) -> impl Iterator<Item = &str> {
    let spec = pod.spec.as_ref().expect("a spec");
    let tolerations = spec.tolerations.iter().flatten();
    tolerations.map(|toleration| toleration.key.as_deref().unwrap_or_default())
}

/// Pods of another namespace, which begins with these labels and annotations.
pub async fn pods_of_a_namespace(cluster: &Cluster<'_>, metadata: Value) -> Api<Pod> {
    let name = format!("{}-other", cluster.namespace());
    let mut namespace: Namespace = object(json!({"metadata": metadata}));
    namespace.metadata.name = Some(name.clone());
    let (client, post) = (cluster.client(), PostParams::default());
    let created = Api::all(client.clone()).create(&post, &namespace).await;
    created.expect("a namespace");
    // the controller-manager makes one, too, a little later
    let account: ServiceAccount = object(json!({"metadata": {"name": "default"}}));
    let accounts = Api::namespaced(client.clone(), &name);
    match accounts.create(&post, &account).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        created => drop(created.expect("a service account")),
    }
    Api::namespaced(client, &name)
}

/// How many Pods with a label have a node, if there are so many and the scheduler has looked at each.
pub async fn bound(pods: &Api<Pod>, label: &str, count: usize) -> Option<usize> {
    let pods = pods.list(&ListParams::default().labels(label)).await.ok()?;
    let is_decided = |pod: &Pod| {
        let status = pod.status.iter();
        let mut conditions = status.flat_map(|it| it.conditions.iter().flatten());
        conditions.any(|it| it.type_ == "PodScheduled")
    };
    if pods.items.len() != count || !pods.iter().all(is_decided) {
        return None;
    }
    let is_bound = |pod: &&Pod| pod.spec.iter().any(|spec| spec.node_name.is_some());
    Some(pods.iter().filter(is_bound).count())
}

/// For a create that stores nothing.
pub fn dry_run() -> PostParams {
    PostParams {
        dry_run: true,
        ..PostParams::default()
    }
}

/// What the user reads of a create that is refused.
pub fn refusal(created: kube::Result<Pod>) -> Status {
    match created {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("{other:#?}"),
    }
}

/// Whether kubectl would create it, and what it says.
pub async fn kubectl_creates(cluster: &Cluster<'_>, manifest: &impl Serialize) -> (bool, String) {
    let file = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
    serde_json::to_writer(&file, manifest).expect("written");
    let name = file.path().to_str().expect("UTF-8");
    let arguments = ["create", "--dry-run=server", "-f", name];
    cluster.kubectl(&arguments).await
}

/// Holds that a message contains these words, and that the page of such messages explains them.
pub fn explained(message: &str, words: &str) {
    assert!(message.contains(words), "{words}: {message}");
    let page = std::fs::read_to_string(path("docs/neighbours.md")).expect("a page");
    assert!(page.contains(words), "{words}: not in docs/neighbours.md");
}
