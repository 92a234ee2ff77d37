//! A burst of Pods over two vendors' pools, as a ReplicaSet makes them: a replica with its ledger decides, the API server
//! stores, each replica's watch shows, and the scheduler binds.

use std::{collections::BinaryHeap, sync::Arc, time::Duration};

use berth_core::{
    fleet::{Change, Kind, SeenNode, SeenPod},
    ledger::Ledger,
    live::{Plan, Room, Wish},
    table::AllocationTable,
};

use crate::{
    tables::{self, AMD, NVIDIA},
    world::Dice,
};

/// What happens to a Pod after it was decided, at a time in microseconds; the earliest first.
#[derive(Eq, PartialEq)]
struct Step {
    at: u64,
    pod: usize,
    what: What,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum What {
    Review,
    Schedule,
    /// A replica sees it as it is then.
    Watch(usize),
}

impl Ord for Step {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.pod).cmp(&(self.at, self.pod))
    }
}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

struct Burst {
    table: Arc<AllocationTable>,
    /// One for each replica.
    ledgers: Vec<Ledger>,
    /// Whether the first of them chooses for all, as the holder of the Lease, and until when.
    chooser: Option<u64>,
    /// The nodes of each vendor, with what is free on them.
    free: [Vec<u32>; 2],
    pods: Vec<Placed>,
    dice: Dice,
}

/// A Pod that was decided.
#[derive(Clone, Copy)]
struct Placed {
    vendor: usize,
    gpus: u32,
    node: Option<usize>,
    room: Room,
}

const VENDORS: [(&str, &str); 2] = [("amd", AMD), ("nvidia", NVIDIA)];

impl Burst {
    fn new(seed: u64, replicas: usize, free: [Vec<u32>; 2]) -> Self {
        let pools = VENDORS.map(|(name, resource)| tables::pool(name, resource, name));
        let table = tables::table(&pools, &[tables::class("c", &["amd", "nvidia"])]);
        let mut ledger = Ledger::new(Arc::clone(&table));
        for kind in [Kind::Node, Kind::Pod] {
            ledger.apply(&Change::RelistBegins(kind));
            ledger.apply(&Change::RelistEnds(kind));
        }
        for ((name, resource), nodes) in VENDORS.iter().zip(&free) {
            for (i, gpus) in nodes.iter().enumerate() {
                ledger.apply(&Change::Node(Box::new(SeenNode {
                    name: format!("{name}-{i}"),
                    labels: [("kind".to_owned(), (*name).to_owned())].into(),
                    allocatable: vec![((*resource).to_owned(), *gpus)],
                    is_ready: true,
                    ..SeenNode::default()
                })));
            }
        }
        Self {
            table,
            ledgers: vec![ledger; replicas],
            chooser: None,
            free,
            pods: Vec::new(),
            dice: Dice(seed),
        }
    }

    /// Creates Pods of one size, in batches of 1, 2, 4 …, and says which of them wait in the end.
    fn run(&mut self, count: usize, size: impl Fn(&mut Dice) -> u32) -> Vec<Placed> {
        let mut steps = BinaryHeap::new();
        let (mut made, mut batch, mut at) = (0, 1, 0);
        while made < count {
            for pod in made..count.min(made + batch) {
                let gpus = size(&mut self.dice);
                self.pods.push(Placed {
                    vendor: 0,
                    gpus,
                    node: None,
                    room: Room::None,
                });
                steps.push(Step {
                    at: at + self.dice.below(1_500),
                    pod,
                    what: What::Review,
                });
            }
            (made, batch, at) = (count.min(made + batch), batch * 2, at + 8_000);
        }
        while let Some(step) = steps.pop() {
            self.step(&step, &mut steps);
        }
        self.pods
            .iter()
            .copied()
            .filter(|pod| pod.node.is_none())
            .collect()
    }

    fn step(&mut self, step: &Step, steps: &mut BinaryHeap<Step>) {
        let Step { at, pod, what } = *step;
        let mut then = |delay: u64, what: What| {
            steps.push(Step {
                at: at + delay,
                pod,
                what,
            });
        };
        match what {
            What::Review => {
                self.review(pod, Duration::from_micros(at));
                let stored = 1_500 + self.dice.below(4_500);
                for replica in 0..self.ledgers.len() {
                    let seen = 5_000 + self.dice.below(35_000);
                    then(stored + seen, What::Watch(replica));
                }
                then(stored + self.dice.below(10_000), What::Schedule);
            }
            What::Schedule => {
                self.schedule(pod);
                for replica in 0..self.ledgers.len() {
                    then(5_000 + self.dice.below(35_000), What::Watch(replica));
                }
            }
            What::Watch(replica) => self.see(pod, replica),
        }
    }

    /// Any of the replicas decides, since the API server has connections to all, unless the first one chooses for all. When
    /// that one has ended, the others do.
    fn review(&mut self, pod: usize, now: Duration) {
        let ended = usize::from(self.chooser.is_some());
        let replica = match self.ledgers.len() {
            1 => 0,
            _ if self
                .chooser
                .is_some_and(|end| now < Duration::from_micros(end)) =>
            {
                0
            }
            many => ended + usize::try_from(self.dice.below((many - ended) as u64)).expect("small"),
        };
        let ledger = &mut self.ledgers[replica];
        let class = self.table.class("c").expect("there");
        let gpus = u64::from(self.pods[pod].gpus);
        let plans: Vec<Plan<'_>> = class
            .groups
            .iter()
            .map(|group| Plan { group, gpus })
            .collect();
        let wish = Wish {
            namespace: "ai",
            owner: "rs",
            class,
            plans: &plans,
            dry_run: false,
        };
        let dry = Wish {
            dry_run: true,
            ..wish
        };
        // P5
        let before = ledger.len();
        let peeked = ledger.choose(&dry, now);
        assert_eq!(ledger.len(), before);
        let rooms: Vec<Room> = plans
            .iter()
            .map(|it| ledger.room(it.group, it.gpus))
            .collect();
        let choice = ledger.choose(&wish, now);
        assert_eq!(choice, peeked);
        // P2
        let passed = &rooms[..choice.plan];
        assert!(
            passed
                .iter()
                .all(|room| matches!(room, Room::Perhaps | Room::None)),
            "{rooms:?}"
        );
        (self.pods[pod].vendor, self.pods[pod].room) = (choice.plan, choice.room);
    }

    /// The scheduler takes any node that fits: here the last, which may be the worst.
    fn schedule(&mut self, pod: usize) {
        let placed = &mut self.pods[pod];
        let nodes = &mut self.free[placed.vendor];
        if let Some(node) = nodes.iter().rposition(|free| *free >= placed.gpus) {
            nodes[node] -= placed.gpus;
            placed.node = Some(node);
        }
    }

    fn see(&mut self, pod: usize, replica: usize) {
        let Placed {
            vendor, gpus, node, ..
        } = self.pods[pod];
        let (pool, resource) = VENDORS[vendor];
        self.ledgers[replica].apply(&Change::Pod(Box::new(SeenPod {
            uid: format!("00000000-0000-0000-0000-{pod:012}"),
            namespace: "ai".to_owned(),
            owner: "rs".to_owned(),
            class: Some("c".to_owned()),
            pools: Some(pool.to_owned()),
            node: node.map(|node| format!("{pool}-{node}")),
            demand: vec![(resource.to_owned(), gpus)],
            ..SeenPod::default()
        })));
    }
}

/// Nodes of 1 to 8 GPUs, so many together.
fn nodes(gpus: u32, dice: &mut Dice) -> Vec<u32> {
    let (mut left, mut nodes) = (gpus, Vec::new());
    while left > 0 {
        let gpus = left.min(1 + u32::try_from(dice.below(8)).expect("small"));
        nodes.push(gpus);
        left -= gpus;
    }
    nodes
}

#[test]
fn a_burst_over_two_vendors_leaves_none_pending_that_could_run() {
    for (amd, nvidia, pending) in [
        (50, 50, 0),
        (60, 60, 0),
        (10, 90, 0),
        (3, 97, 0),
        (40, 50, 10),
    ] {
        for seed in 0..100 {
            let mut dice = Dice(seed);
            let free = [nodes(amd, &mut dice), nodes(nvidia, &mut dice)];
            let mut burst = Burst::new(seed, 1, free);
            let waiting = burst.run(100, |_| 1);
            assert_eq!(waiting.len(), pending, "{amd} + {nvidia}, seed {seed}");
            // P4
            assert!(burst.ledgers.iter().all(Ledger::is_empty));
            // P2: the first vendor is filled first
            let of_amd = burst.pods.iter().filter(|pod| pod.vendor == 0).count();
            assert_eq!(
                of_amd,
                usize::try_from(amd).expect("small") + pending,
                "seed {seed}"
            );
        }
    }
}

/// P1: a Pod that nobody promised a place may take the place of one that was; as many are placed as were promised.
#[test]
fn as_many_pods_of_one_size_have_a_node_as_there_are_places() {
    for seed in 0..400 {
        let mut dice = Dice(seed);
        let free = [nodes(60, &mut dice), nodes(60, &mut dice)];
        let size = 1 + u32::try_from(dice.below(4)).expect("small");
        let places = free.iter().flatten().map(|free| free / size);
        let places = usize::try_from(places.sum::<u32>()).expect("small");
        let mut burst = Burst::new(seed, 1, free);
        let waiting = burst.run(80, |_| size);
        assert_eq!(
            waiting.len(),
            80_usize.saturating_sub(places),
            "seed {seed}, size {size}"
        );
        let promised = burst.pods.iter().filter(|pod| pod.room == Room::Enough);
        assert_eq!(promised.count(), 80.min(places), "seed {seed}, size {size}");
    }
}

/// P1 of sizes that differ: of the Pods on a vendor's nodes, none was left out that was promised a place, as long as no
/// other came that was not.
#[test]
fn a_promise_is_kept_whatever_the_sizes_and_the_scheduler() {
    for seed in 0..400 {
        let mut dice = Dice(seed);
        let free = [nodes(60, &mut dice), nodes(60, &mut dice)];
        let mut burst = Burst::new(seed, 1, free);
        burst.run(30, |dice| 1 + u32::try_from(dice.below(4)).expect("small"));
        for vendor in 0..2 {
            let of_vendor = || burst.pods.iter().filter(|pod| pod.vendor == vendor);
            if of_vendor().all(|pod| pod.room == Room::Enough) {
                assert!(of_vendor().all(|pod| pod.node.is_some()), "seed {seed}");
            }
        }
    }
}

/// What one chooser is for: two replicas that choose for themselves leave Pods Pending beside free GPUs. The figures are a
/// median of 101 bursts; `--nocapture` shows them.
#[test]
fn two_replicas_that_choose_for_themselves_leave_pods_pending() {
    for (amd, nvidia) in [(50, 50), (60, 60), (10, 90), (3, 97)] {
        let mut pending: Vec<usize> = (0..101)
            .map(|seed| {
                let mut dice = Dice(seed);
                let free = [nodes(amd, &mut dice), nodes(nvidia, &mut dice)];
                Burst::new(seed, 2, free).run(100, |_| 1).len()
            })
            .collect();
        pending.sort_unstable();
        let (least, median, most) = (pending[0], pending[50], pending[100]);
        println!("{amd} + {nvidia}: {median} Pending ({least} to {most})");
        assert!(median > 0, "{amd} + {nvidia}: {pending:?}");
    }
}

/// What forwarding comes to: with two replicas as with one, none waits that could run.
#[test]
fn two_replicas_with_one_chooser_leave_none_pending_that_could_run() {
    for (amd, nvidia, pending) in [
        (50, 50, 0),
        (60, 60, 0),
        (10, 90, 0),
        (3, 97, 0),
        (40, 50, 10),
    ] {
        for seed in 0..100 {
            let mut dice = Dice(seed);
            let free = [nodes(amd, &mut dice), nodes(nvidia, &mut dice)];
            let mut burst = Burst::new(seed, 2, free);
            burst.chooser = Some(u64::MAX);
            let waiting = burst.run(100, |_| 1);
            assert_eq!(waiting.len(), pending, "{amd} + {nvidia}, seed {seed}");
        }
    }
}

/// What the end of the chooser costs: the other one does not know what was decided in its last moments. The figures are a
/// median of 101 bursts; `--nocapture` shows them.
#[test]
fn a_chooser_that_ends_in_a_burst_leaves_fewer_pending_than_two() {
    for (amd, nvidia) in [(50, 50), (60, 60), (10, 90), (3, 97)] {
        let mut pending: Vec<usize> = (0..101)
            .map(|seed| {
                let mut dice = Dice(seed);
                let free = [nodes(amd, &mut dice), nodes(nvidia, &mut dice)];
                let mut burst = Burst::new(seed, 2, free);
                // the batches begin every 8 ms, and the last one has 37 Pods
                burst.chooser = Some(dice.below(50_000));
                burst.run(100, |_| 1).len()
            })
            .collect();
        pending.sort_unstable();
        let (least, median, most) = (pending[0], pending[50], pending[100]);
        println!("{amd} + {nvidia}: {median} Pending ({least} to {most})");
        assert!(median < 40, "{amd} + {nvidia}: {pending:?}");
    }
}
