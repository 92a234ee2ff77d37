//! Choices by what is free, on a real scheduler: GPUs of which DRA has the devices, and a burst over two vendors' pools.
//!
//! No kubelet and no driver: Nodes and `ResourceSlice`s are written by hand, and the scheduler allocates.

use berth_cluster::{Certificate, Cluster, Homelab, Options, Setup, Source};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{Api, api::ListParams};
use serde_json::{Value, json};

use crate::{
    common::{path, process::arg},
    eventually,
    objects::{limits, object, pod},
};

/// A homelab whose table is in the cluster, for one test. None where this machine has none, or for another minor of
/// Kubernetes than the newest: older ones have no extended resources of DRA.
async fn homelab() -> Option<Homelab> {
    if std::env::var(crate::KUBERNETES).is_ok() {
        return None;
    }
    let setup = Setup {
        berth: env!("CARGO_BIN_EXE_berth").into(),
        table: path("examples/homelab.yaml"),
        source: Source::Cluster,
        certificate: Certificate::OfTheControlPlane,
    };
    match Homelab::start(&Options::default(), &setup).await {
        Ok(homelab) => Some(homelab),
        Err(berth_cluster::Error::Missing(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

pub async fn apply(cluster: &Cluster<'_>, objects: &[Value]) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let manifest = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
    std::fs::write(manifest.path(), list.to_string()).expect("written");
    let flags = ["apply", "--server-side", "-f", arg(manifest.path())];
    let (fine, said) = cluster.kubectl(&flags).await;
    assert!(fine, "{said}");
}

pub fn table_object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A Node that kwok keeps ready, with so many GPUs of a device plugin.
pub fn node(name: &str, kind: &str, gpus: Option<(&str, usize)>) -> Value {
    let mut amounts = json!({"cpu": "64", "memory": "256Gi", "pods": "500"});
    if let Some((resource, count)) = gpus {
        amounts[resource] = json!(count.to_string());
    }
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kind": kind}},
        "status": {"capacity": amounts, "allocatable": amounts},
    })
}

/// Whether berth has counted so many free GPUs in each of these pools, as their statuses say.
pub async fn has_free(cluster: &Cluster<'_>, pools: &[(String, usize)]) -> bool {
    let status = [
        "get",
        "gpupools",
        "-o",
        "jsonpath={range .items[*]}{.metadata.name} {.status.gpus.free}{\"\\n\"}{end}",
    ];
    let (_, said) = cluster.kubectl(&status).await;
    let mut pools = pools.iter();
    pools.all(|(pool, gpus)| said.lines().any(|line| line == format!("{pool} {gpus}")))
}

#[tokio::test]
async fn a_pool_of_a_device_class_places_pods_and_the_scheduler_gives_them_its_devices() {
    let Some(homelab) = homelab().await else {
        return;
    };
    let cluster = homelab.cluster().await;
    let driver = "gpu.nvidia.com";
    let device_class = json!({
        "apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": driver},
        "spec": {
            "extendedResourceName": "nvidia.com/gpu",
            "selectors": [{"cel": {"expression": format!("device.driver == '{driver}'")}}],
        },
    });
    let slice = json!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": "storm"},
        "spec": {
            "nodeName": "storm", "driver": driver, "pool": {"name": "storm", "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": "gpu-0"}, {"name": "gpu-1"}, {"name": "gpu-2"}],
        },
    });
    let by_name = format!("deviceclass.resource.kubernetes.io/{driver}");
    let here = |resource: &str| json!({"hostnames": ["storm"], "resourceName": resource});
    let of = |pool: &str| json!({"pools": [{"name": pool}]});
    apply(
        &cluster,
        &[
            node("storm", "dra", None),
            device_class,
            slice,
            table_object("GPUPool", "claimed", here("nvidia.com/gpu")),
            table_object("WorkloadClass", "claimed", of("claimed")),
            table_object("GPUPool", "named", here(&by_name)),
            table_object("WorkloadClass", "named", of("named")),
        ],
    )
    .await;
    let named = |class: &str, name: &str| {
        let mut it = pod(class);
        it.metadata.name = Some(name.to_owned());
        it
    };
    let mut created = Vec::new();
    for (class, name) in [("claimed", "one"), ("claimed", "two"), ("named", "three")] {
        created.push((class, admitted(&cluster, &named(class, name)).await));
    }
    for (class, name) in &created {
        let placed = bound(&cluster, name).await;
        let resource = if *class == "named" {
            &by_name
        } else {
            "nvidia.com/gpu"
        };
        assert_eq!(limits(&placed)[resource], "1", "{class}");
        assert_eq!(
            placed.spec.and_then(|spec| spec.node_name).as_deref(),
            Some("storm")
        );
    }
    // every device is taken: the next one waits, as the scheduler says it
    let fourth = cluster.create(named("claimed", "four")).await;
    let reason = fourth.stays_pending().await;
    assert!(reason.contains("cannot allocate all claims"), "{reason}");
}

/// Creates a Pod as soon as its class is in force.
async fn admitted(cluster: &Cluster<'_>, pod: &Pod) -> String {
    let api: Api<Pod> = cluster.api();
    let created = eventually(async || {
        api.create(&kube::api::PostParams::default(), pod)
            .await
            .ok()
    });
    let created = created.await.expect("its class comes into force");
    created.metadata.name.expect("a name")
}

/// The Pod when it has a node.
async fn bound(cluster: &Cluster<'_>, name: &str) -> Pod {
    let api: Api<Pod> = cluster.api();
    let bound = eventually(async || {
        let pod = api.get(name).await.ok()?;
        pod.spec.as_ref()?.node_name.as_ref()?;
        Some(pod)
    });
    bound.await.unwrap_or_else(|| panic!("{name} is not bound"))
}

/// One replica: a Deployment over two vendors' pools leaves none Pending that could run, and what is over capacity waits.
#[tokio::test]
async fn a_deployment_over_two_vendors_pools_leaves_none_pending_that_could_run() {
    let Some(homelab) = homelab().await else {
        return;
    };
    let cluster = homelab.cluster().await;
    let pool = |name: &str, resource: &str| {
        let spec =
            json!({"resourceName": resource, "nodeSelector": {"matchLabels": {"kind": name}}});
        table_object("GPUPool", name, spec)
    };
    let class = json!({"pools": [{"name": "first"}, {"name": "second"}]});
    apply(
        &cluster,
        &[
            pool("first", "amd.com/gpu"),
            pool("second", "nvidia.com/gpu"),
            table_object("WorkloadClass", "both", class),
        ],
    )
    .await;
    // 13 and 27 GPUs on nodes of 1 to 8
    for (kind, resource, nodes) in [
        ("first", "amd.com/gpu", &[1, 4, 8][..]),
        ("second", "nvidia.com/gpu", &[8, 8, 8, 3]),
    ] {
        for (i, gpus) in nodes.iter().enumerate() {
            apply(
                &cluster,
                &[node(&format!("{kind}-{i}"), kind, Some((resource, *gpus)))],
            )
            .await;
        }
    }
    let pools = [("first".to_owned(), 13), ("second".to_owned(), 27)];
    let counted = eventually(async || has_free(&cluster, &pools).await.then_some(()));
    assert!(counted.await.is_some(), "not each Node is counted");
    admitted(&cluster, &pod("both")).await;
    let api: Api<Pod> = cluster.api();
    bound(&cluster, "both").await;
    let template = json!({
        "metadata": {"labels": {"app": "burst", "berth.dev/workload-class": "both"}},
        "spec": {"containers": [{"name": "main", "image": "main"}]},
    });
    let deployment = json!({
        "metadata": {"name": "burst"},
        "spec": {"replicas": 42, "selector": {"matchLabels": {"app": "burst"}}, "template": template},
    });
    let _created = cluster.create(object::<Deployment>(deployment)).await;
    // 40 GPUs, one of which the first Pod has: 39 run, and exactly 3 wait
    let of_burst = ListParams::default().labels("app=burst");
    let counts = async || -> Option<(usize, usize)> {
        let pods = api.list(&of_burst).await.ok()?.items;
        let is_bound = |pod: &&Pod| {
            pod.spec
                .as_ref()
                .is_some_and(|spec| spec.node_name.is_some())
        };
        Some((pods.len(), pods.iter().filter(is_bound).count()))
    };
    let all = eventually(async || counts().await.filter(|it| *it == (42, 39))).await;
    assert_eq!(all, Some((42, 39)), "{:?}", counts().await);
}
