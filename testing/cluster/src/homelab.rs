//! The seed's four nodes, and NVIDIA's runtime class.

use k8s_openapi::api::{core::v1::Node, node::v1::RuntimeClass};
use kube::{Api, Client, api::PostParams, runtime::watcher};
use serde_json::{Value, json};

use crate::{Error, until};

/// The label that places Pods. Its value is not the node's name: nothing may derive one from the other.
pub const HOSTNAME: &str = "kubernetes.io/hostname";

/// Registers the nodes and the runtime class, and returns when the scheduler can use them.
pub async fn register(client: &Client) -> Result<(), Error> {
    let post = PostParams::default();
    let classes: Api<RuntimeClass> = Api::all(client.clone());
    let created = classes.create(&post, &nvidia()).await;
    created.map_err(Error::api("creating the runtime class nvidia"))?;
    let api: Api<Node> = Api::all(client.clone());
    for node in nodes() {
        let created = api.create(&post, &node).await;
        created.map_err(Error::api("creating a node"))?;
    }
    let ready = until(api, watcher::Config::default(), |nodes| {
        let ready = |node: &Node| {
            let taints = node
                .spec
                .iter()
                .flat_map(|spec| spec.taints.iter().flatten());
            taints
                .clone()
                .all(|taint| !taint.key.starts_with("node.kubernetes.io/"))
                && condition(node, "Ready")
        };
        nodes.values().all(ready).then_some(())
    });
    let error = Error::NotReady("the nodes do not become ready: kwok.log says why");
    ready.await.map_err(|_| error)
}

/// Whether a condition of the node is true.
fn condition(node: &Node, name: &str) -> bool {
    let conditions = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .clone()
        .any(|condition| condition.type_ == name && condition.status == "True")
}

/// khelben, elminster, drizzt and danilo.
#[must_use]
pub fn nodes() -> Vec<Node> {
    let dedicated = json!([{"key": "dedicated", "value": "vllm", "effect": "NoSchedule"}]);
    [
        ("khelben", "amd.com/gpu", 1, dedicated),
        // one RTX 2070, advertised twice by time-slicing
        ("elminster", "nvidia.com/gpu", 2, json!([])),
        ("drizzt", "amd.com/gpu", 1, json!([])),
        ("danilo", "gpu.intel.com/i915", 1, json!([])),
    ]
    .map(|(hostname, resource, count, taints)| node(hostname, resource, count, taints))
    .into()
}

fn node(hostname: &str, resource: &str, count: u32, taints: Value) -> Node {
    let resources =
        json!({"cpu": "16", "memory": "64Gi", "pods": "110", resource: count.to_string()});
    let node = json!({
        "metadata": {
            "name": format!("{hostname}.home.arpa"),
            "labels": {HOSTNAME: hostname, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
        },
        "spec": {"taints": taints},
        "status": {"capacity": resources, "allocatable": resources},
    });
    serde_json::from_value(node).expect("a node")
}

fn nvidia() -> RuntimeClass {
    let class = json!({"metadata": {"name": "nvidia"}, "handler": "nvidia"});
    serde_json::from_value(class).expect("a runtime class")
}
