//! Free GPUs, as berth counts them and as the scheduler does: Pods of one GPU are created until the scheduler finds no room
//! for one, and so many were free.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::{
    choice::node,
    common::{client, process::Berth},
    eventually,
    objects::bound,
    stage::{Stage, stage},
    stand::times,
};

const GPU: &str = "nvidia.com/gpu";
/// The GPUs of each Node.
const NODES: [usize; 4] = [1, 3, 8, 12];
/// So many Pods come in a round, after which some of all go.
const ROUND: usize = 10;

/// What a Pod asks for, and what becomes of it.
#[derive(Clone, Debug)]
struct Drawn {
    /// GPUs of each container, of each init container, and whether that one is a sidecar.
    containers: Vec<usize>,
    init: Vec<(usize, bool)>,
    /// Whether its runtime class has an overhead of a GPU.
    overhead: bool,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Runs,
    /// Its phase says that it has ended.
    Ends(&'static str),
    /// It is being deleted, which something holds up.
    Held,
    /// It is gated, and takes nothing.
    Gated,
    Deleted,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let fate = prop_oneof![
        4 => Just(Fate::Runs),
        2 => Just(Fate::Ends("Succeeded")),
        1 => Just(Fate::Ends("Failed")),
        1 => Just(Fate::Held),
        1 => Just(Fate::Gated),
        6 => Just(Fate::Deleted),
    ];
    (
        prop::collection::vec(0..=1_usize, 1..=2),
        prop::collection::vec((0..=2_usize, any::<bool>()), 0..=3),
        prop::bool::weighted(0.2),
        fate,
    )
        .prop_map(|(containers, init, overhead, fate)| Drawn {
            containers,
            init,
            overhead,
            fate,
        })
}

fn with_a_sidecar_first() -> Drawn {
    Drawn {
        containers: vec![0],
        init: vec![(1, true), (2, false)],
        overhead: true,
        fate: Fate::Deleted,
    }
}

fn container(name: String, gpus: usize) -> Value {
    let mut container = json!({"name": name, "image": "x"});
    if gpus > 0 {
        container["resources"] = json!({"limits": {GPU: gpus.to_string()}});
    }
    container
}

impl Drawn {
    fn pod(&self, name: &str) -> Pod {
        let containers = self.containers.iter().enumerate();
        let containers = containers.map(|(i, gpus)| container(format!("c{i}"), *gpus));
        let init = self.init.iter().enumerate().map(|(i, (gpus, sidecar))| {
            let mut container = container(format!("i{i}"), *gpus);
            if *sidecar {
                container["restartPolicy"] = json!("Always");
            }
            container
        });
        let mut pod = json!({
            "metadata": {"name": name, "labels": {"round": "drawn"}},
            "spec": {
                "nodeSelector": {"kind": "counted"}, "terminationGracePeriodSeconds": 0,
                "containers": containers.collect::<Value>(), "initContainers": init.collect::<Value>(),
            },
        });
        if self.overhead {
            pod["spec"]["runtimeClassName"] = json!("heavy");
        }
        match self.fate {
            Fate::Gated => pod["spec"]["schedulingGates"] = json!([{"name": "example.com/gate"}]),
            Fate::Held => pod["metadata"]["finalizers"] = json!(["example.com/held"]),
            _ => {}
        }
        serde_json::from_value(pod).expect("a Pod")
    }
}

fn bare(name: &str, label: &str, spec: &Value) -> Pod {
    let mut pod = json!({
        "metadata": {"name": name, "labels": {"round": label}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container("c".to_owned(), 1)]},
    });
    let more = spec.as_object().expect("an object").clone();
    pod["spec"].as_object_mut().expect("an object").extend(more);
    serde_json::from_value(pod).expect("a Pod")
}

/// How many Pods with a label the scheduler has placed, when it has looked at each.
async fn placed(pods: &Api<Pod>, label: &str, count: usize) -> usize {
    let decided = eventually(async || bound(pods, label, count).await);
    decided
        .await
        .unwrap_or_else(|| panic!("the scheduler has not looked at each of {label}"))
}

async fn gpus(berth: &Berth, pool: &str, state: &str) -> Option<usize> {
    let metrics = client::get(berth.admin, "/metrics").await;
    let series = format!("berth_pool_gpus{{pool=\"{pool}\",state=\"{state}\"}} ");
    let count = metrics
        .lines()
        .find_map(|line| line.strip_prefix(&series))?;
    count.parse().ok()
}

/// Waits until berth has seen all that has happened: a Pod on the last pool's Node is what happened last.
async fn all_is_seen(berth: &Berth, pods: &Api<Pod>, round: usize) {
    let mark = bare(
        &format!("mark-{round}"),
        "mark",
        &json!({"nodeName": "mark"}),
    );
    let created = pods.create(&PostParams::default(), &mark).await;
    created.unwrap_or_else(|error| panic!("{error}"));
    let seen = eventually(async || {
        (gpus(berth, "mark", "allocated").await == Some(round + 1)).then_some(())
    });
    assert!(seen.await.is_some(), "round {round} is not seen");
}

/// The nodes, the pools and the runtime class, and berth, which has seen them.
async fn counted(stage: &Stage) -> Berth {
    let mut nodes: Vec<Value> = (0..)
        .zip(NODES)
        .map(|(i, gpus)| node(&format!("counted-{i}"), "counted", Some((GPU, gpus))))
        .collect();
    nodes.push(node("mark", "mark", Some((GPU, 100_000))));
    for node in &nodes {
        stage.apply(&node.to_string()).await;
    }
    for name in ["counted", "mark"] {
        let pool = json!({
            "apiVersion": "berth.dev/v1alpha1", "kind": "GPUPool", "metadata": {"name": name},
            "spec": {"resourceName": GPU, "nodeSelector": {"matchLabels": {"kind": name}}},
        });
        stage.apply(&pool.to_string()).await;
    }
    let class = json!({
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "heavy"}, "handler": "heavy",
        "overhead": {"podFixed": {GPU: "1"}},
    });
    stage.apply(&class.to_string()).await;
    let berth = stage.berth(&["--status=off", "--events=off"]);
    let all: usize = NODES.iter().sum();
    let seen =
        eventually(async || (gpus(&berth, "counted", "free").await == Some(all)).then_some(()));
    assert!(seen.await.is_some(), "the Nodes are not seen");
    berth
}

#[tokio::test]
async fn counts_are_the_schedulers_whatever_pods_come_end_and_go() {
    let Some(stage) = stage().await else { return };
    let berth = counted(&stage).await;
    let api = stage.control_plane.client().await.expect("a client");
    let pods: Api<Pod> = Api::namespaced(api, "default");
    let now = DeleteParams::default().grace_period(0);
    let patch = PatchParams::default();
    let mut runner = TestRunner::deterministic();
    let (mut there, mut seen) = (BTreeMap::new(), BTreeMap::<usize, usize>::new());
    for round in 0..times(4, 1_000_usize.div_ceil(ROUND)) {
        for i in 0..ROUND {
            // what counts only with its sidecars is too seldom drawn
            let drawn = match i {
                0 => with_a_sidecar_first(),
                _ => drawn().new_tree(&mut runner).expect("drawn").current(),
            };
            let name = format!("drawn-{round}-{i}");
            let created = pods.create(&PostParams::default(), &drawn.pod(&name)).await;
            created.unwrap_or_else(|error| panic!("{drawn:?}: {error}"));
            there.insert(name, drawn);
        }
        placed(&pods, "round=drawn", there.len()).await;
        // what waits would get the room that the others leave
        let waiting = waiting(&pods).await;
        for name in &waiting {
            there.remove(name);
        }
        remove(&pods, &waiting).await;
        for (name, drawn) in &there {
            match drawn.fate {
                Fate::Ends(phase) => {
                    let status = Patch::Merge(json!({"status": {"phase": phase}}));
                    pods.patch_status(name, &patch, &status)
                        .await
                        .expect("patched");
                }
                Fate::Held => drop(pods.delete(name, &now).await.expect("deleted")),
                _ => {}
            }
        }
        all_is_seen(&berth, &pods, round).await;
        let ours = gpus(&berth, "counted", "free").await.expect("a count");

        let probes = NODES.iter().sum::<usize>() + 1;
        for i in 0..probes {
            let probe = bare(
                &format!("probe-{i}"),
                "probe",
                &json!({"nodeSelector": {"kind": "counted"}}),
            );
            pods.create(&PostParams::default(), &probe)
                .await
                .expect("created");
        }
        // a Node of which the scheduler hears late gets its Pods late, and none too many
        let as_many = eventually(async || {
            let bound = bound(&pods, "round=probe", probes).await?;
            (bound >= ours).then_some(bound)
        });
        let theirs = match as_many.await {
            Some(bound) => bound,
            None => placed(&pods, "round=probe", probes).await,
        };
        assert_eq!(ours, theirs, "round {round}: {there:#?}");
        *seen.entry(ours).or_default() += 1;

        let probes: Vec<String> = (0..probes).map(|i| format!("probe-{i}")).collect();
        remove(&pods, &probes).await;
        // for one round more, so that sometimes there is room
        let new = format!("drawn-{round}-");
        let stays = |name: &str, drawn: &Drawn| drawn.fate == Fate::Runs && name.starts_with(&new);
        let gone = there.iter().filter(|(name, drawn)| !stays(name, drawn));
        let gone: Vec<String> = gone.map(|(name, _)| name.clone()).collect();
        there.retain(|name, drawn| stays(name, drawn));
        remove(&pods, &gone).await;
    }
    println!("free GPUs, and in how many rounds: {seen:?}");
    assert!(seen.len() > 2, "{seen:?}");
}

/// The Pods that wait for room.
async fn waiting(pods: &Api<Pod>) -> Vec<String> {
    let list = ListParams::default().labels("round=drawn");
    let pods = pods.list(&list).await.expect("a list").items;
    let waits = |pod: &Pod| {
        let spec = pod.spec.as_ref();
        spec.is_some_and(|spec| spec.node_name.is_none() && spec.scheduling_gates.is_none())
    };
    let names = pods.into_iter().filter(waits).map(|pod| pod.metadata.name);
    names.collect::<Option<_>>().expect("names")
}

/// Deletes Pods whatever holds them, and waits until they are gone.
async fn remove(pods: &Api<Pod>, names: &[String]) {
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let now = DeleteParams::default().grace_period(0);
    for name in names {
        // it may be gone when it is let go
        let _ = pods.patch(name, &PatchParams::default(), &free).await;
        let _ = pods.delete(name, &now).await;
    }
    for name in names {
        let gone = eventually(async || pods.get_opt(name).await.ok()?.is_none().then_some(()));
        assert!(gone.await.is_some(), "{name} is still there");
    }
}
