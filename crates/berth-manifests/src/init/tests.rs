use serde_json::{Value, json};

use super::*;
use crate::diagnostic::SourceText;
use crate::table_files::TableFiles;
use berth_core::table::Settings;

/// A Node with a GPU, and with more labels and other fields.
fn node(hostname: &str, resource: &str, count: &str, labels: Value, taints: Value) -> Value {
    let mut all = json!({"kubernetes.io/hostname": hostname, "kubernetes.io/os": "linux"});
    let more = labels.as_object().expect("an object").clone();
    all.as_object_mut().expect("an object").extend(more);
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": format!("{hostname}.home.arpa"), "labels": all, "annotations": {"x": "y"}},
        "spec": {"podCIDR": "10.0.0.0/24", "taints": taints},
        "status": {
            "allocatable": {"cpu": "16", "memory": "64Gi", "pods": "110", resource: count},
            "nodeInfo": {"osImage": "Debian GNU/Linux 12", "kernelVersion": "6"},
        },
    })
}

/// The pools' specs of what is proposed, which loads and of which nothing is left out.
fn pools(nodes: &[Value]) -> Vec<(String, Value)> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": nodes});
    let read = super::nodes(&list.to_string()).expect("Nodes");
    assert_eq!(read.len(), nodes.len());
    let proposal = propose(&read);
    let files = TableFiles {
        paths: Vec::new(),
        settings: Settings::default(),
    };
    let source = SourceText::new("table.yaml", &*proposal.text);
    let table = files
        .compile(&[source])
        .unwrap_or_else(|error| panic!("{error}\n{}", proposal.text));
    assert_eq!(
        (table.pool_count(), table.len()),
        (proposal.pools, proposal.pools)
    );
    let documents = yaml::parse(&proposal.text).expect("YAML");
    let documents = documents.iter().map(yaml::Node::to_json);
    let pools = documents.filter(|it| it["kind"] == "GPUPool");
    let named = |it: Value| {
        (
            it["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            it["spec"].clone(),
        )
    };
    pools.map(named).collect()
}

#[test]
fn the_seeds_nodes_give_the_seeds_pools() {
    let dedicated = json!([{"key": "dedicated", "value": "vllm", "effect": "NoSchedule"}]);
    let nodes = [
        node("khelben", "amd.com/gpu", "1", json!({}), dedicated.clone()),
        node("elminster", "nvidia.com/gpu", "2", json!({}), json!(null)),
        node("drizzt", "amd.com/gpu", "1", json!({}), json!([])),
        node("danilo", "gpu.intel.com/i915", "1", json!({}), json!([])),
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "plain"}}),
    ];
    let pools = pools(&nodes);
    let expected = [
        (
            "amd-gpu",
            json!({"hostnames": ["drizzt"], "resourceName": "amd.com/gpu"}),
        ),
        (
            "amd-gpu-khelben",
            json!({"hostnames": ["khelben"], "resourceName": "amd.com/gpu", "taints": dedicated}),
        ),
        (
            "intel-gpu",
            json!({"hostnames": ["danilo"], "resourceName": "gpu.intel.com/i915", "resourceAliases": ["gpu.intel.com/xe"]}),
        ),
        (
            "nvidia-gpu",
            json!({"hostnames": ["elminster"], "resourceName": "nvidia.com/gpu"}),
        ),
    ];
    assert_eq!(pools, expected.map(|(name, spec)| (name.to_owned(), spec)));
}

#[test]
fn labels_give_a_pool_its_name_memory_sharing_and_selector() {
    let nvidia = json!({
        "nvidia.com/gpu.product": "NVIDIA-GeForce-RTX-2070-SHARED", "nvidia.com/gpu.memory": "8192",
        "nvidia.com/gpu.replicas": "2", "nvidia.com/gpu.sharing-strategy": "time-slicing",
    });
    let radeon = json!({"amd.com/gpu.product-name": "AMD_Radeon_680M", "amd.com/gpu.device-id": "1681", "amd.com/gpu.vram": "12G"});
    let strix = json!({"amd.com/gpu.product-name": "AMD_Radeon_8060S_Graphics", "amd.com/gpu.device-id": "1586", "amd.com/gpu.vram": "64G"});
    let mut talos = node("elminster", "nvidia.com/gpu", "2", nvidia, json!([]));
    talos["status"]["nodeInfo"]["osImage"] = json!("Talos (v1.11.2)");
    let nodes = [
        talos,
        node("drizzt", "amd.com/gpu", "1", radeon, json!([])),
        node(
            "khelben",
            "amd.com/gpu",
            "1",
            strix,
            json!([{"key": "dedicated", "effect": "NoExecute"}]),
        ),
        node(
            "danilo",
            "gpu.intel.com/xe",
            "1",
            json!({"gpu.intel.com/product": "Arc_B580"}),
            json!([]),
        ),
    ];
    let label = |key: &str, value: &str| json!({"matchLabels": {key: value}});
    let expected = [
        (
            "radeon-680m",
            json!({
                "nodeSelector": label("amd.com/gpu.product-name", "AMD_Radeon_680M"), "resourceName": "amd.com/gpu",
                "memoryPerGPU": "12Gi", "env": [{"name": "HSA_OVERRIDE_GFX_VERSION", "value": "10.3.0"}],
            }),
        ),
        (
            "strix-halo",
            json!({
                "nodeSelector": label("amd.com/gpu.product-name", "AMD_Radeon_8060S_Graphics"),
                "taints": [{"key": "dedicated", "effect": "NoExecute"}], "resourceName": "amd.com/gpu", "memoryPerGPU": "64Gi",
            }),
        ),
        (
            "arc-b580",
            json!({
                "nodeSelector": label("gpu.intel.com/product", "Arc_B580"), "resourceName": "gpu.intel.com/xe",
                "resourceAliases": ["gpu.intel.com/i915"],
            }),
        ),
        (
            "rtx-2070",
            json!({
                "nodeSelector": label("nvidia.com/gpu.product", "NVIDIA-GeForce-RTX-2070-SHARED"),
                "resourceName": "nvidia.com/gpu", "memoryPerGPU": "8Gi",
                "sharing": {"strategy": "TimeSlicing", "replicas": 2}, "runtimeClassName": "nvidia",
            }),
        ),
    ];
    assert_eq!(
        pools(&nodes),
        expected.map(|(name, spec)| (name.to_owned(), spec))
    );
}

#[test]
fn nodes_are_apart_where_a_pod_needs_something_else_and_taints_that_pass_do_not_count() {
    let l4 = json!({"nvidia.com/gpu.product": "NVIDIA-L4", "cloud.google.com/gke-nodepool": "l4"});
    let spot =
        json!({"nvidia.com/gpu.product": "NVIDIA-L4", "cloud.google.com/gke-nodepool": "l4-spot"});
    let passing = json!([
        {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"},
        {"key": "karpenter.sh/disrupted", "effect": "NoSchedule"},
        {"key": "maybe", "effect": "PreferNoSchedule"},
    ]);
    let hard = json!([{"key": "spot", "value": "", "effect": "NoSchedule"}]);
    let nodes = [
        node("a", "nvidia.com/gpu", "1", l4.clone(), json!([])),
        node("b", "nvidia.com/gpu", "4", l4, passing),
        node("c", "nvidia.com/gpu", "1", spot.clone(), hard.clone()),
        node("d", "nvidia.com/mig-1g.10gb", "7", spot, json!([])),
    ];
    let pools = pools(&nodes);
    let selectors: Vec<(&str, &Value)> = pools
        .iter()
        .map(|(name, spec)| (&**name, &spec["nodeSelector"]["matchLabels"]))
        .collect();
    assert_eq!(
        selectors,
        [
            ("l4", &json!({"cloud.google.com/gke-nodepool": "l4"})),
            ("l4-2", &json!({"cloud.google.com/gke-nodepool": "l4-spot"})),
            (
                "l4-mig-1g-10gb",
                &json!({"nvidia.com/gpu.product": "NVIDIA-L4"})
            ),
        ]
    );
    assert_eq!(
        pools[1].1["taints"],
        json!([{"key": "spot", "effect": "NoSchedule"}])
    );
    assert_eq!(pools[0].1.get("taints"), None);
}

#[test]
fn what_a_label_says_cannot_end_its_line_and_no_group_is_lost() {
    let evil = json!({"nvidia.com/gpu.product": "x: {y\n# z\u{85}\nkind: Pod"});
    let long = json!({"nvidia.com/gpu.product": "A".repeat(300)});
    let mut nodes = vec![
        node("a", "nvidia.com/gpu", "1", evil, json!([])),
        node(
            "b",
            "nvidia.com/gpu",
            "1",
            json!({"nvidia.com/gpu.product": "---"}),
            json!([]),
        ),
    ];
    let many: Vec<Value> = (0..2_000)
        .map(|i| {
            node(
                &format!("n{i}"),
                "amd.com/gpu",
                "8",
                json!({}),
                json!([{"key": format!("k{}", i % 100), "effect": "NoSchedule"}]),
            )
        })
        .collect();
    nodes.extend(many);
    let list = |items: &[Value]| {
        json!({"apiVersion": "v1", "kind": "NodeList", "items": items}).to_string()
    };
    let read = super::nodes(&list(&nodes)).expect("Nodes");
    let proposal = propose(&read);
    assert_eq!(proposal.pools, 102);
    assert!(!proposal.text.contains("\nkind: Pod"), "{}", proposal.text);
    let long = propose(
        &super::nodes(&list(&[node("a", "nvidia.com/gpu", "1", long, json!([]))])).expect("Nodes"),
    );
    let name = format!("  name: {}\n", "a".repeat(63));
    assert!(long.text.contains(&name), "{}", long.text);
}

#[test]
fn what_is_in_no_pool_is_said() {
    let label = json!({"nvidia.com/gpu.present": "true"});
    let mut nameless = node("a", "amd.com/gpu", "1", json!({}), json!([]));
    nameless["metadata"]["labels"] = json!({});
    let nodes = [node("b", "nvidia.com/gpu", "0", label, json!([])), nameless];
    let text = json!({"apiVersion": "v1", "kind": "List", "items": nodes}).to_string();
    let remarks = propose(&super::nodes(&text).expect("Nodes")).remarks;
    assert!(
        remarks
            .iter()
            .any(|it| it.starts_with("node \"b.home.arpa\": its label nvidia.com/gpu.present")),
        "{remarks:?}"
    );
    assert!(
        remarks
            .iter()
            .any(|it| it.starts_with("node \"a.home.arpa\": it has no label")),
        "{remarks:?}"
    );
}

#[test]
fn nodes_are_read_from_json_and_yaml_and_what_is_none_says_so() {
    let one = node("a", "amd.com/gpu", "1", json!({}), json!([]));
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": []}});
    let typed =
        json!({"apiVersion": "v1", "kind": "NodeList", "items": [{"metadata": {"name": "a"}}]});
    for (text, count) in [
        (one.to_string(), 1),
        (yaml::write(&one), 1),
        (
            format!("{}---\n{}", yaml::write(&one), yaml::write(&one)),
            2,
        ),
        (typed.to_string(), 1),
        (
            json!({"apiVersion": "v1", "kind": "List", "items": [pod, one]}).to_string(),
            1,
        ),
        (pod.to_string(), 0),
        (String::new(), 0),
    ] {
        assert_eq!(super::nodes(&text).expect("read").len(), count, "{text}");
    }
    for text in ["{\"kind\": ", "a: [", "{\"kind\": 1}", "- a"] {
        assert!(super::nodes(text).is_err(), "{text}");
    }
}
