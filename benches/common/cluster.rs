//! A cluster as its watches show it: Nodes of two vendors, and Pods that have some of their GPUs.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use berth_core::{
    fleet::{Change, Kind, SeenNode, SeenPod},
    labels::Labels,
    ledger::Ledger,
    live::{Choice, Live, Wish},
    table::AllocationTable,
};

pub const VENDORS: [(&str, &str); 2] = [("amd", "amd.com/gpu"), ("nvidia", "nvidia.com/gpu")];
/// GPUs of each Node.
const GPUS: u32 = 8;

/// The picture as the server holds it: behind a lock, with a clock.
#[derive(Debug)]
pub struct Counted {
    ledger: Mutex<Ledger>,
    began: Instant,
}

impl Live for Counted {
    fn choose(&self, wish: &Wish<'_>) -> Choice {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.choose(wish, self.began.elapsed())
    }

    fn node(&self, name: &str) -> Option<Labels> {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.fleet().node_labels(name)
    }
}

/// So many Nodes, half of each vendor, and so many Pods with one GPU each; the Pods that use none are as many again.
pub fn counted(table: Arc<AllocationTable>, nodes: usize, pods: usize) -> Counted {
    let mut ledger = Ledger::new(table);
    for kind in [Kind::Node, Kind::Pod] {
        ledger.apply(&Change::RelistBegins(kind));
    }
    for i in 0..nodes {
        ledger.apply(&Change::Node(Box::new(node(i))));
    }
    for i in 0..pods {
        for demand in [1, 0] {
            ledger.apply(&Change::Pod(Box::new(pod(i, demand, nodes))));
        }
    }
    for kind in [Kind::Node, Kind::Pod] {
        ledger.apply(&Change::RelistEnds(kind));
    }
    Counted {
        ledger: Mutex::new(ledger),
        began: Instant::now(),
    }
}

fn node(i: usize) -> SeenNode {
    let (name, resource) = VENDORS[i % 2];
    let labels = [
        ("kind", name.to_owned()),
        ("kubernetes.io/hostname", format!("node-{i}")),
        ("kubernetes.io/arch", "amd64".to_owned()),
        ("kubernetes.io/os", "linux".to_owned()),
        ("node.kubernetes.io/instance-type", "gpu-8".to_owned()),
        ("topology.kubernetes.io/region", "here".to_owned()),
        ("topology.kubernetes.io/zone", format!("zone-{}", i % 3)),
    ];
    SeenNode {
        name: format!("node-{i}"),
        labels: labels.map(|(key, value)| (key.to_owned(), value)).into(),
        allocatable: vec![(resource.to_owned(), GPUS)],
        is_ready: true,
        ..SeenNode::default()
    }
}

fn pod(i: usize, gpus: u32, nodes: usize) -> SeenPod {
    let (pool, resource) = VENDORS[i % nodes % 2];
    SeenPod {
        uid: format!("{gpus:08}-0000-0000-0000-{i:012}"),
        namespace: "ai".to_owned(),
        owner: format!("owner-{}", i % 1_000),
        class: (gpus > 0).then(|| "class-7".to_owned()),
        pools: (gpus > 0).then(|| pool.to_owned()),
        node: Some(format!("node-{}", i % nodes)),
        demand: (0..gpus).map(|_| (resource.to_owned(), 1)).collect(),
        ..SeenPod::default()
    }
}
