//! The counts as they are defined, from every node and every Pod each time.

use berth_core::{
    api::{PodCounts, TaintEffect},
    fleet::{SeenNode, SeenPod},
    ledger::Ledger,
    live::Room,
    table::{AllocationTable, Pool},
};

use crate::world::World;

/// Holds everything that the ledger says against the definition.
pub(crate) fn check(ledger: &Ledger, world: &World, event: u64) {
    let table = world.table();
    for class in table.classes() {
        for group in &class.groups {
            for gpus in 1..=4 {
                let expected = room(world, &group.resource, &group.pools, gpus);
                let room = ledger.room(group, gpus);
                assert_eq!(
                    room, expected,
                    "event {event}: {} × {gpus}",
                    group.name.text
                );
            }
        }
        assert_eq!(
            ledger.fleet().class_pods(&class.name),
            pods_of(world, &class.name),
            "event {event}: class {}",
            class.name
        );
    }
    nodes(ledger, world, event);
    pools(ledger, world, event);
    assert_eq!(ledger.len(), world.taken.len(), "event {event}");
}

fn nodes(ledger: &Ledger, world: &World, event: u64) {
    let (table, fleet) = (world.table(), ledger.fleet());
    assert_eq!(fleet.node_count(), world.nodes.len(), "event {event}");
    assert_eq!(fleet.pod_count(), world.pods.len(), "event {event}");
    for node in world.nodes.values() {
        assert_eq!(
            fleet.node_labels(&node.name).as_ref(),
            Some(&node.labels),
            "event {event}"
        );
        for pool in table.pools() {
            assert_eq!(
                fleet.usable(&node.name, &pool.name),
                usable(node, pool),
                "event {event}"
            );
        }
        for (resource, _) in &node.allocatable {
            let on = |name: &Option<String>| name.as_ref() == Some(&node.name);
            let there = |pod: &&SeenPod| on(&pod.node) || (waits(pod) && on(&pod.nominated));
            let used = world
                .pods
                .values()
                .filter(there)
                .map(|pod| asked(pod, resource));
            let free = offered(node, resource).saturating_sub(used.sum());
            assert_eq!(
                u64::from(fleet.free(&node.name, resource)),
                free,
                "event {event}"
            );
        }
    }
}

fn pools(ledger: &Ledger, world: &World, event: u64) {
    let table = world.table();
    for (survey, pool) in ledger.fleet().survey().iter().zip(table.pools()) {
        let nodes = || world.nodes.values().filter(|node| usable(node, pool));
        let selected = world.nodes.values().filter(|node| selects(node, pool));
        let allocatable: u64 = nodes().map(|node| offered(node, &pool.resource)).sum();
        let allocated: u64 = nodes()
            .map(|node| taken_of(world, node, &pool.resource))
            .sum();
        let alone = std::slice::from_ref(&pool.name);
        let waiting = waiting(world, &pool.resource, alone).sum();
        assert_eq!(survey.name, pool.name);
        assert_eq!(
            survey.nodes.matched as usize,
            selected.count(),
            "event {event}"
        );
        assert_eq!(
            survey.nodes.usable as usize,
            nodes().count(),
            "event {event}"
        );
        let gpus = (
            survey.gpus.allocatable,
            survey.gpus.allocated,
            survey.gpus.waiting,
        );
        assert_eq!(
            gpus,
            (allocatable, allocated, waiting),
            "event {event}: {}",
            pool.name
        );
        let largest = nodes().map(|node| offered(node, &pool.resource)).max();
        let may_run: u64 = self::waiting(world, &pool.resource, alone)
            .filter(|size| Some(*size) <= largest)
            .sum();
        assert_eq!(
            survey.gpus.free,
            allocatable.saturating_sub(allocated + may_run)
        );
    }
}

/// How much is known of the room of some pools.
pub(crate) fn room(world: &World, resource: &str, pools: &[String], gpus: u64) -> Room {
    if world.listed != [true, true] {
        return Room::Unknown;
    }
    let table = world.table();
    let of_group: Vec<&Pool> = table
        .pools()
        .iter()
        .filter(|it| pools.contains(&it.name))
        .collect();
    let nodes = |pools: &[&Pool]| -> Vec<&SeenNode> {
        let by_one = |node: &&SeenNode| pools.iter().any(|pool| usable(node, pool));
        world.nodes.values().filter(by_one).collect()
    };
    let free =
        |node: &SeenNode| offered(node, resource).saturating_sub(taken_of(world, node, resource));
    let wanted = |pools: &[String]| -> Vec<u64> {
        let taken = world.taken.iter().filter(|it| it.resource == resource);
        let taken = taken.filter(|it| it.pools.iter().any(|pool| pools.contains(pool)));
        waiting(world, resource, pools)
            .chain(taken.map(|it| it.gpus))
            .collect()
    };
    let slots = |of: &[&Pool], wanted: &[u64]| -> i128 {
        let places: u64 = nodes(of).into_iter().map(|node| free(node) / gpus).sum();
        let spoilt: u64 = wanted.iter().map(|size| size.div_ceil(gpus)).sum();
        i128::from(places) - i128::from(spoilt)
    };
    // what no node of the group offers is waited for in vain
    let has_all = |size: &u64| {
        let nodes = nodes(&of_group);
        nodes
            .into_iter()
            .any(|node| offered(node, resource) >= *size)
    };
    let in_time: Vec<u64> = wanted(pools).into_iter().filter(has_all).collect();
    if slots(&of_group, &in_time) >= 1 {
        return Room::Enough;
    }
    let without = |node: &&SeenNode| offered(node, resource) == 0;
    let provided = world.provided.contains(resource) && nodes(&of_group).iter().any(without);
    let may_grow = of_group.iter().any(|pool| {
        let selected = world.nodes.values().filter(|node| selects(node, pool));
        let there: u64 = selected.map(|node| offered(node, resource)).sum();
        let alone = wanted(std::slice::from_ref(&pool.name));
        let short = (-slots(&[pool], &alone)).max(0);
        let max = pool.max_gpus.map(i128::from);
        max.is_some_and(|max| i128::from(there) + (short + 1) * i128::from(gpus) <= max)
    });
    if provided || may_grow {
        return Room::Unknown;
    }
    let fits = nodes(&of_group).into_iter().any(|node| free(node) >= gpus);
    let all_free: u64 = nodes(&of_group).into_iter().map(free).sum();
    let all_wanted: u64 = in_time.iter().sum();
    if fits && i128::from(all_free) - i128::from(all_wanted) >= i128::from(gpus) {
        Room::Perhaps
    } else {
        Room::None
    }
}

/// The GPUs of each Pod that waits and may go to one of the pools.
fn waiting(world: &World, resource: &str, pools: &[String]) -> impl Iterator<Item = u64> {
    let table = world.table();
    let may_go = |pod: &&SeenPod| {
        let within = table
            .pools()
            .iter()
            .filter(|pool| reaches(&table, pod, pool));
        waits(pod) && within.into_iter().any(|pool| pools.contains(&pool.name))
    };
    let sizes = world
        .pods
        .values()
        .filter(may_go)
        .map(|pod| asked(pod, resource));
    sizes
        .filter(|size| *size > 0)
        .collect::<Vec<_>>()
        .into_iter()
}

fn waits(pod: &SeenPod) -> bool {
    pod.node.is_none() && !pod.is_gated && !pod.is_leaving
}

fn reaches(table: &AllocationTable, pod: &SeenPod, pool: &Pool) -> bool {
    let class = pod.class.as_ref().and_then(|class| table.class(class));
    if let (Some(_), Some(recorded)) = (class, &pod.pools) {
        return recorded.split(',').any(|name| name == pool.name);
    }
    let mut hard = pool
        .taints
        .iter()
        .filter(|it| it.effect != TaintEffect::PreferNoSchedule);
    hard.all(|taint| {
        let (value, effect) = (
            taint.value.as_deref().unwrap_or_default(),
            taint.effect.as_str(),
        );
        pod.tolerations.iter().any(|it| {
            let of_effect = it.effect.is_empty() || it.effect == effect;
            let of_key = match it.operator.as_str() {
                "Equal" => it.key == taint.key && it.value == value,
                "Exists" => it.key.is_empty() || it.key == taint.key,
                _ => false,
            };
            of_effect && of_key
        })
    })
}

fn selects(node: &SeenNode, pool: &Pool) -> bool {
    let label = |key: &str| node.labels.get(key).map(String::as_str);
    pool.requirements.iter().all(|it| it.admits(label(&it.key)))
}

fn usable(node: &SeenNode, pool: &Pool) -> bool {
    let declared = |(key, value, effect): &(String, String, String)| {
        !["NoSchedule", "NoExecute"].contains(&effect.as_str())
            || pool.taints.iter().any(|it| {
                let own = it.value.as_deref().unwrap_or_default();
                (it.key.as_str(), own, it.effect.as_str()) == (key, value, effect)
            })
    };
    selects(node, pool) && node.is_ready && !node.is_cordoned && node.taints.iter().all(declared)
}

fn amount(of: &[(String, u32)], resource: &str) -> u64 {
    of.iter()
        .find(|(name, _)| name == resource)
        .map_or(0, |(_, it)| u64::from(*it))
}

fn offered(node: &SeenNode, resource: &str) -> u64 {
    amount(&node.allocatable, resource)
}

fn asked(pod: &SeenPod, resource: &str) -> u64 {
    amount(&pod.demand, resource)
}

fn taken_of(world: &World, node: &SeenNode, resource: &str) -> u64 {
    let there = world
        .pods
        .values()
        .filter(|pod| pod.node.as_ref() == Some(&node.name));
    there.map(|pod| asked(pod, resource)).sum()
}

fn pods_of(world: &World, class: &str) -> PodCounts {
    let mut counts = PodCounts::default();
    for pod in world
        .pods
        .values()
        .filter(|pod| pod.class.as_deref() == Some(class))
    {
        if pod.node.is_some() {
            counts.running += 1;
        } else if waits(pod) {
            counts.waiting += 1;
        } else if !pod.is_leaving {
            counts.gated += 1;
        }
    }
    counts
}
