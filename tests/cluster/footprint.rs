//! What a replica holds of the machine, which must not grow with what it has been through.

use std::fs;

use berth_cluster::Serving;

use crate::{
    common::client::{get, value},
    stand::{Stand, is_soak},
};

/// Descriptors that come and go with who asks for the metrics and for the readiness at that moment.
const PASSING: usize = 4;
/// KiB of a connection after its handshake (docs/design/budget.md). How many there are is the API server's to say: it dials
/// one for each review that waits, on a busy machine more.
const CONNECTION: usize = 22;

/// Of one replica.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    id: u32,
    /// KiB that are resident.
    memory: usize,
    connections: usize,
    /// Open files besides these.
    descriptors: usize,
}

impl Footprint {
    async fn of(replica: Serving) -> Self {
        let id = replica.id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|resident| resident.trim().strip_suffix(" kB"));
        // of one moment: connections come and go
        let metrics = get(replica.admin, "/metrics").await;
        let open = value(&metrics, "process_open_fds");
        let connections = value(&metrics, "berth_connections");
        Self {
            id,
            memory: resident.expect("VmRSS").parse().expect("a number"),
            connections: usize::try_from(connections).expect("few"),
            descriptors: usize::try_from(open.saturating_sub(connections)).expect("few"),
        }
    }
}

impl Stand {
    /// That of each replica.
    pub async fn footprint(&self) -> Vec<Footprint> {
        let mut all = Vec::new();
        for replica in self.replicas.serving() {
            all.push(Footprint::of(*replica).await);
        }
        all
    }

    /// Holds that the same replicas hold no more than 5 % more than they did, besides what more connections take. Memory is
    /// held in `make soak` alone: what little happens in a test run is within what an allocator keeps.
    pub async fn is_flat_since(&self, before: &[Footprint]) {
        let after = self.footprint().await;
        println!("before: {before:?}, after: {after:?}");
        for (before, after) in before.iter().zip(after) {
            assert_eq!(before.id, after.id, "the same process");
            assert!(after.descriptors * 20 <= before.descriptors * 21 + 20 * PASSING);
            if is_soak() {
                let more = after.connections.saturating_sub(before.connections);
                assert!(after.memory * 20 <= before.memory * 21 + 20 * CONNECTION * more);
            }
        }
    }
}
