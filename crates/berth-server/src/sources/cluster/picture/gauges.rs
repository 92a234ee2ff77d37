//! Shows in the metrics what is counted, and lets go what was taken too long ago where no review comes to do it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

use super::Counted;
use crate::metrics::{
    Metrics,
    pools::{Numbers, POOLS},
};
use berth_core::{
    fleet::{Fleet, PoolSurvey},
    ledger::Ledger,
};

/// So often. It looks at every node once, of a copy.
const EVERY: Duration = Duration::from_secs(2);

/// What is shown.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pools: BTreeMap<String, Numbers>,
    expired: u64,
}

impl Gauges {
    /// Shows it from now on.
    pub(super) async fn run(mut self, counted: Arc<Counted>, metrics: Arc<Metrics>) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let (fleet, reserved, expired) = {
                let mut ledger = counted.ledger();
                ledger.expire(counted.began.elapsed());
                (ledger.fleet().clone(), reserved(&ledger), ledger.expired())
            };
            self.show(numbers(&fleet, &reserved), expired, &metrics);
        }
    }

    fn show(&mut self, pools: BTreeMap<String, Numbers>, expired: u64, metrics: &Metrics) {
        for (pool, numbers) in &self.pools {
            if !pools.contains_key(pool) {
                metrics.pools.forget(pool, numbers);
            }
        }
        for (pool, numbers) in &pools {
            if self.pools.get(pool) != Some(numbers) {
                metrics.pools.show(pool, numbers);
            }
        }
        self.pools = pools;
        let before = std::mem::replace(&mut self.expired, expired);
        let more = expired.saturating_sub(before);
        metrics.reservations_expired.inc_by(more);
    }
}

/// The GPUs that are taken, by pool.
fn reserved(ledger: &Ledger) -> HashMap<String, u64> {
    let reserved = ledger.reservations().into_iter();
    reserved
        .map(|(pool, gpus)| (pool.to_owned(), gpus))
        .collect()
}

/// The numbers of every pool; none until all of the cluster was seen.
fn numbers(fleet: &Fleet, reserved: &HashMap<String, u64>) -> BTreeMap<String, Numbers> {
    if !fleet.is_synced() {
        return BTreeMap::new();
    }
    let of = |survey: PoolSurvey| {
        let reserved = reserved.get(&survey.name).copied().unwrap_or_default();
        let unknown = if survey.is_provided {
            survey.empty.count
        } else {
            0
        };
        let numbers = Numbers {
            gpus: [
                ("allocatable", survey.gpus.allocatable),
                ("allocated", survey.gpus.allocated),
                ("waiting", survey.gpus.waiting),
                ("reserved", reserved),
                ("free", survey.gpus.free),
            ],
            nodes: [
                ("matched", survey.nodes.matched.into()),
                ("usable", survey.nodes.usable.into()),
                ("unknown", unknown.into()),
            ],
        };
        (survey.name, numbers)
    };
    fleet.survey().into_iter().take(POOLS).map(of).collect()
}

#[cfg(test)]
mod tests {
    use berth_core::{
        fleet::{Change, Kind, NodeView},
        objects::compile_each,
        table::Settings,
    };
    use kube::core::DynamicObject;
    use serde_json::{Value, json};

    use super::*;

    fn object(kind: &str, name: &str, spec: &Value) -> DynamicObject {
        let object = json!({
            "apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
        });
        serde_json::from_value(object).expect("an object")
    }

    fn ledger(pools: &[&str]) -> Ledger {
        let pools: Vec<DynamicObject> = pools
            .iter()
            .map(|name| {
                let spec = json!({"hostnames": [name], "resourceName": "amd.com/gpu"});
                object("GPUPool", name, &spec)
            })
            .collect();
        let compiled = compile_each(pools.iter(), [].iter(), &Settings::default());
        Ledger::new(compiled.table)
    }

    #[test]
    fn a_pool_is_shown_once_all_is_listed_and_until_it_is_gone() {
        let metrics = Metrics::default();
        let mut shown = Gauges::default();
        let mut ledger = ledger(&["a"]);
        let text = |shown: &mut Gauges, ledger: &Ledger| {
            let numbers = numbers(ledger.fleet(), &reserved(ledger));
            shown.show(numbers, 3, &metrics);
            metrics.text().expect("text")
        };
        assert!(!text(&mut shown, &ledger).contains("berth_pool_gpus{"));
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "a", "labels": {"kubernetes.io/hostname": "a"}},
            "status": {"allocatable": {"amd.com/gpu": "4"}, "conditions": [{"type": "Ready", "status": "True"}]},
        });
        let node: NodeView = serde_json::from_value(node).expect("a Node");
        ledger.apply(&Change::Node(Box::new(node.seen())));
        ledger.apply(&Change::RelistEnds(Kind::Node));
        ledger.apply(&Change::RelistEnds(Kind::Pod));
        let all = text(&mut shown, &ledger);
        for line in [
            "berth_pool_gpus{pool=\"a\",state=\"allocatable\"} 4\n",
            "berth_pool_gpus{pool=\"a\",state=\"reserved\"} 0\n",
            "berth_pool_gpus{pool=\"a\",state=\"free\"} 4\n",
            "berth_pool_nodes{pool=\"a\",state=\"usable\"} 1\n",
            "berth_reservations_expired_total 3\n",
        ] {
            assert!(all.contains(line), "{line}: {all}");
        }
        shown.show(BTreeMap::new(), 4, &metrics);
        let nothing = metrics.text().expect("text");
        assert!(!nothing.contains("pool=\"a\""), "{nothing}");
        assert!(
            nothing.contains("berth_reservations_expired_total 4\n"),
            "{nothing}"
        );
    }
}
