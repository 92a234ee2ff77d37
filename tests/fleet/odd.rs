//! What is rare, and must not mislead the count: a clock that jumps, Pods that were forged, pools that may grow.

use std::{sync::Arc, time::Duration};

use berth_core::{
    fleet::{Change, Kind, SeenNode, SeenPod},
    ledger::{LIFETIME, Ledger},
    live::{Choice, Plan, Room, Wish},
    table::AllocationTable,
};
use serde_json::{Value, json};

use crate::tables::{self, AMD, NVIDIA};

/// A class that prefers `first` of NVIDIA's, and falls back to `second` of AMD's.
fn table(first: Value) -> Arc<AllocationTable> {
    let mut pool = tables::pool("first", NVIDIA, "first");
    let spec = pool["spec"].as_object_mut().expect("an object");
    spec.extend(first.as_object().expect("an object").clone());
    let pools = [pool, tables::pool("second", AMD, "second")];
    tables::table(&pools, &[tables::class("c", &["first", "second"])])
}

/// Nothing is there, and that is known.
fn ledger(table: &Arc<AllocationTable>) -> Ledger {
    let mut ledger = Ledger::new(Arc::clone(table));
    for kind in [Kind::Node, Kind::Pod] {
        ledger.apply(&Change::RelistBegins(kind));
        ledger.apply(&Change::RelistEnds(kind));
    }
    ledger
}

fn node(pool: &str, resource: &str, gpus: u32) -> SeenNode {
    SeenNode {
        name: format!("{pool}-0"),
        labels: [("kind".to_owned(), pool.to_owned())].into(),
        allocatable: vec![(resource.to_owned(), gpus)],
        is_ready: true,
        ..SeenNode::default()
    }
}

/// Chooses for a Pod of one GPU, which is created.
fn choose(ledger: &mut Ledger, table: &AllocationTable, seconds: u64) -> Choice {
    let class = table.class("c").expect("there");
    let plans = class.groups.iter().map(|group| Plan { group, gpus: 1 });
    let plans: Vec<Plan<'_>> = plans.collect();
    let wish = Wish {
        namespace: "ai",
        owner: "u",
        class,
        plans: &plans,
        dry_run: false,
    };
    ledger.choose(&wish, Duration::from_secs(seconds))
}

fn room(ledger: &Ledger, table: &AllocationTable, group: usize) -> Room {
    let class = table.class("c").expect("there");
    ledger.room(&class.groups[group], 1)
}

#[test]
fn a_clock_that_jumps_keeps_nothing_for_ever_and_lets_go_nothing_early() {
    let table = table(json!({}));
    let mut ledger = ledger(&table);
    ledger.apply(&Change::Node(Box::new(node("first", NVIDIA, 2))));
    let begun = 1_000;
    assert_eq!(choose(&mut ledger, &table, begun).plan, 0);
    // an hour back: the second is taken from then on, by the clock as it was
    assert_eq!(choose(&mut ledger, &table, 0).plan, 0);
    assert_eq!((ledger.len(), room(&ledger, &table, 0)), (2, Room::None));
    let end = Duration::from_secs(begun) + LIFETIME;
    ledger.expire(end.saturating_sub(Duration::from_millis(1)));
    assert_eq!(ledger.len(), 2);
    ledger.expire(end);
    assert_eq!((ledger.len(), ledger.expired()), (0, 2));
    // and ten years on
    assert_eq!(choose(&mut ledger, &table, 300_000_000).plan, 0);
    ledger.expire(Duration::from_mins(5_000_000) + LIFETIME);
    assert!(ledger.is_empty());
    assert_eq!(room(&ledger, &table, 0), Room::Enough);
}

#[test]
fn a_forged_pod_counts_where_it_could_go_and_settles_nothing_that_is_not_its_own() {
    let table = table(json!({}));
    let mut ledger = ledger(&table);
    ledger.apply(&Change::Node(Box::new(node("first", NVIDIA, 1))));
    let forged = |uid: &str, class: Option<&str>, pools: &str| {
        Change::Pod(Box::new(SeenPod {
            uid: uid.to_owned(),
            namespace: "ai".to_owned(),
            owner: "u".to_owned(),
            class: class.map(str::to_owned),
            pools: Some(pools.to_owned()),
            demand: vec![(NVIDIA.to_owned(), 1)],
            ..SeenPod::default()
        }))
    };
    assert_eq!(choose(&mut ledger, &table, 0).plan, 0);
    ledger.expire(LIFETIME);
    for (uid, class, pools, expected) in [
        // without a class the annotation says nothing, and the pool has no taint that keeps the Pod away
        ("1", None, "second", Room::None),
        ("2", None, "first,second", Room::None),
        ("3", Some("c"), "first,second", Room::None),
        ("4", Some("c"), "first,no-such-pool,,", Room::None),
        // a class of the table, and a pool that has no such GPU
        ("5", Some("c"), "second", Room::Enough),
        ("6", Some("c"), "no-such-pool", Room::Enough),
    ] {
        ledger.apply(&forged(uid, class, pools));
        let found = room(&ledger, &table, 0);
        assert_eq!(found, expected, "{class:?}, {pools}");
        ledger.apply(&Change::PodGone {
            uid: uid.to_owned(),
        });
        assert_eq!(room(&ledger, &table, 0), Room::Enough, "it is gone");
    }
    assert_eq!(choose(&mut ledger, &table, 10).plan, 0);
    for (uid, pools) in [("7", "first,second"), ("8", "second"), ("9", "")] {
        ledger.apply(&forged(uid, Some("c"), pools));
        assert_eq!(ledger.len(), 1, "{pools}: the take is another Pod's");
    }
    ledger.apply(&forged("10", Some("c"), "first"));
    assert!(ledger.is_empty(), "and this is it");
}

#[test]
fn a_pool_that_may_grow_is_chosen_as_far_as_it_may_and_a_node_counts_when_it_has_gpus() {
    let table = table(json!({"autoscaling": {"maxGPUs": 4}}));
    let mut ledger = ledger(&table);
    ledger.apply(&Change::Node(Box::new(node("second", AMD, 8))));
    for _ in 0..4 {
        let unknown = Choice {
            plan: 0,
            room: Room::Unknown,
        };
        assert_eq!(choose(&mut ledger, &table, 0), unknown);
    }
    let enough = |plan| Choice {
        plan,
        room: Room::Enough,
    };
    assert_eq!(choose(&mut ledger, &table, 0), enough(1));
    ledger.expire(LIFETIME);

    // a node that has come, and whose GPUs have not: the pool may still grow by four
    ledger.apply(&Change::Node(Box::new(node("first", NVIDIA, 0))));
    assert_eq!(room(&ledger, &table, 0), Room::Unknown);
    let whole = node("first", NVIDIA, 4);
    ledger.apply(&Change::Node(Box::new(whole.clone())));
    assert_eq!(room(&ledger, &table, 0), Room::Enough);
    for _ in 0..4 {
        assert_eq!(choose(&mut ledger, &table, 4), enough(0));
    }
    assert_eq!(choose(&mut ledger, &table, 4), enough(1), "it is full");
    ledger.expire(2 * LIFETIME + Duration::from_secs(4));

    // on its way out, it is of no use, and it is still there
    let disrupted = ("karpenter.sh/disrupted", "", "NoSchedule");
    let taint = (disrupted.0.into(), disrupted.1.into(), disrupted.2.into());
    ledger.apply(&Change::Node(Box::new(SeenNode {
        taints: vec![taint],
        ..whole
    })));
    assert!(!ledger.fleet().usable("first-0", "first"));
    assert_eq!(room(&ledger, &table, 0), Room::None);
}

#[test]
fn a_pod_that_asks_for_more_than_any_node_has_takes_no_room_while_it_waits() {
    let table = table(json!({}));
    let mut ledger = ledger(&table);
    let waits = |uid: &str, gpus: u32| {
        Change::Pod(Box::new(SeenPod {
            uid: uid.to_owned(),
            namespace: "ai".to_owned(),
            owner: "u".to_owned(),
            class: Some("c".to_owned()),
            pools: Some("first".to_owned()),
            demand: vec![(NVIDIA.to_owned(), gpus)],
            ..SeenPod::default()
        }))
    };
    ledger.apply(&Change::Node(Box::new(node("first", NVIDIA, 4))));
    ledger.apply(&waits("too large", 5));
    assert_eq!(room(&ledger, &table, 0), Room::Enough);
    let gpus = ledger.fleet().survey()[0].gpus;
    assert_eq!((gpus.waiting, gpus.free), (5, 4));
    ledger.apply(&waits("fits", 4));
    assert_eq!(room(&ledger, &table, 0), Room::None);
    ledger.apply(&Change::PodGone {
        uid: "fits".to_owned(),
    });

    // a larger node has come, and with it room for that Pod alone
    let larger = SeenNode {
        name: "first-1".to_owned(),
        ..node("first", NVIDIA, 5)
    };
    ledger.apply(&Change::Node(Box::new(larger)));
    for (gpus, expected) in [(1, Room::Enough), (4, Room::Perhaps)] {
        let class = table.class("c").expect("there");
        assert_eq!(ledger.room(&class.groups[0], gpus), expected, "{gpus}");
    }
    assert_eq!(ledger.fleet().survey()[0].gpus.free, 4);

    // what may grow may get a larger node, so what waits counts against its bound
    let table = self::table(json!({"autoscaling": {"maxGPUs": 5}}));
    let mut ledger = self::ledger(&table);
    assert_eq!(room(&ledger, &table, 0), Room::Unknown);
    ledger.apply(&waits("first to come", 5));
    assert_eq!(room(&ledger, &table, 0), Room::None);
}
