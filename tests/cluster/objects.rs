//! Pods and their owners, as short as a user can write them.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Container, Pod},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

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
