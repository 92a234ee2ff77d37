//! What is counted of each pool.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::count;

/// So many pools are shown at most, the first by name.
pub const POOLS: usize = 256;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct PoolState {
    pool: String,
    state: &'static str,
}

/// The numbers of one pool, by state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Numbers {
    /// GPUs.
    pub gpus: [(&'static str, u64); 5],
    /// Nodes.
    pub nodes: [(&'static str, u64); 3],
}

/// The gauges of every pool.
#[derive(Debug, Default)]
pub struct Pools {
    gpus: Family<PoolState, Gauge>,
    nodes: Family<PoolState, Gauge>,
}

impl Pools {
    pub(super) fn register(&self, r: &mut Registry) {
        let help = "GPUs of a pool's usable nodes, by state: reserved are those of Pods that were placed and are not seen yet. At most 256 pools";
        r.register("pool_gpus", help, self.gpus.clone());
        let help = "Nodes of a pool, by state: unknown are those whose GPUs DRA provides. At most 256 pools";
        r.register("pool_nodes", help, self.nodes.clone());
    }

    /// Shows the numbers of a pool.
    pub fn show(&self, pool: &str, numbers: &Numbers) {
        let set = |family: &Family<PoolState, Gauge>, state, number: u64| {
            let number = count(usize::try_from(number).unwrap_or(usize::MAX));
            family.get_or_create(&of(pool, state)).set(number);
        };
        for (state, number) in numbers.gpus {
            set(&self.gpus, state, number);
        }
        for (state, number) in numbers.nodes {
            set(&self.nodes, state, number);
        }
    }

    /// Takes away a pool that is no more.
    pub fn forget(&self, pool: &str, numbers: &Numbers) {
        for (state, _) in numbers.gpus {
            self.gpus.remove(&of(pool, state));
        }
        for (state, _) in numbers.nodes {
            self.nodes.remove(&of(pool, state));
        }
    }
}

fn of(pool: &str, state: &'static str) -> PoolState {
    PoolState {
        pool: pool.to_owned(),
        state,
    }
}
