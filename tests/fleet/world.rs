//! A world that changes by chance, as plain maps.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use berth_core::{
    fleet::{Change, Kind, SeenNode, SeenPod, Tolerated},
    ledger::LIFETIME,
    live::{Choice, Plan, Room, Wish},
    table::AllocationTable,
};

use crate::{
    by_definition,
    tables::{AMD, NVIDIA},
};

const NAMESPACES: [&str; 4] = ["ai", "ai", "ai", "lab"];
const OWNERS: [&str; 3] = ["rs-1", "rs-2", "pod-"];
const CLASSES: [&str; 4] = ["x", "y", "z", "w"];
const RESOURCES: [&str; 3] = [NVIDIA, AMD, "example.com/other"];
const RECORDED: [&str; 8] = ["a", "c", "b", "a,b,d", "d", "a,c", "gone", "b,nothing"];

/// Chance that repeats: `SplitMix64`.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).expect("small")]
    }

    fn small(&mut self, bound: u64) -> u32 {
        u32::try_from(self.below(bound)).expect("small")
    }
}

pub(crate) enum Event {
    Change(Change),
    Table,
    Time(Duration),
    Choice(Wanted),
}

/// A Pod that is created.
pub(crate) struct Wanted {
    pub(crate) owner: &'static str,
    pub(crate) class: &'static str,
    pub(crate) gpus: u64,
    pub(crate) dry_run: bool,
}

/// What is taken and not seen yet.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    key: [String; 4],
    pub(crate) resource: String,
    pub(crate) pools: Vec<String>,
    pub(crate) gpus: u64,
    until: Duration,
}

pub(crate) struct World {
    tables: Vec<Arc<AllocationTable>>,
    at: usize,
    pub(crate) nodes: BTreeMap<String, SeenNode>,
    pub(crate) pods: BTreeMap<String, SeenPod>,
    /// The classes that namespaces name.
    classes: BTreeMap<String, String>,
    pub(crate) provided: BTreeSet<String>,
    pub(crate) listed: [bool; 2],
    /// What a list in progress has had.
    list: [Option<BTreeSet<String>>; 2],
    pub(crate) taken: VecDeque<Taken>,
    pub(crate) now: Duration,
}

impl World {
    pub(crate) fn new(tables: Vec<Arc<AllocationTable>>) -> Self {
        Self {
            tables,
            at: 0,
            nodes: BTreeMap::new(),
            pods: BTreeMap::new(),
            classes: BTreeMap::new(),
            provided: BTreeSet::new(),
            listed: [false; 2],
            list: [None, None],
            taken: VecDeque::new(),
            now: Duration::ZERO,
        }
    }

    pub(crate) fn table(&self) -> Arc<AllocationTable> {
        Arc::clone(&self.tables[self.at])
    }

    /// What happens next.
    pub(crate) fn event(&mut self, dice: &mut Dice) -> Event {
        let kind = dice.pick(&[Kind::Node, Kind::Pod]);
        Event::Change(match dice.below(200) {
            0..60 => Change::Pod(Box::new(self.pod(dice))),
            60..85 => Change::PodGone { uid: uid(dice) },
            85..115 => Change::Node(Box::new(node(dice))),
            115..120 => Change::NodeGone {
                name: node_name(dice).to_owned(),
            },
            124..130 if self.list[place(kind)].is_some() => Change::RelistEnds(kind),
            120..130 => Change::RelistBegins(kind),
            130..134 => {
                let classes = [("nvidia", Some(NVIDIA.to_owned())), ("gpu.amd.com", None)];
                let classes = classes.into_iter().filter(|_| dice.percent(30));
                Change::DeviceClasses(classes.map(|(name, it)| (name.to_owned(), it)).collect())
            }
            134..136 => {
                self.at = 1 - self.at;
                return Event::Table;
            }
            136..140 => {
                let changed = dice.pick(&NAMESPACES);
                let class = dice.percent(60).then(|| dice.pick(&CLASSES).to_owned());
                Change::NamespaceClasses(vec![(changed.to_owned(), class)])
            }
            140..150 => return Event::Time(Duration::from_millis(dice.below(900))),
            _ => {
                return Event::Choice(Wanted {
                    owner: dice.pick(&OWNERS),
                    class: dice.pick(&CLASSES),
                    gpus: dice.below(4),
                    dry_run: dice.percent(20),
                });
            }
        })
    }

    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::RelistBegins(kind) => self.list[place(*kind)] = Some(BTreeSet::new()),
            Change::RelistEnds(kind) => {
                let list = self.list[place(*kind)].take().unwrap_or_default();
                match kind {
                    Kind::Node => self.nodes.retain(|name, _| list.contains(name)),
                    Kind::Pod => self.pods.retain(|uid, _| list.contains(uid)),
                }
                self.listed[place(*kind)] = true;
            }
            Change::Pod(pod) => {
                self.in_list(Kind::Pod, &pod.uid);
                let is_kept = !pod.demand.is_empty() || pod.class.is_some() || pod.is_of_namespace;
                let is_new = !self.pods.contains_key(&pod.uid);
                self.pods.remove(&pod.uid);
                if is_kept {
                    self.pods.insert(pod.uid.clone(), SeenPod::clone(pod));
                }
                if is_new {
                    self.settle(pod);
                }
            }
            Change::PodGone { uid } => {
                self.pods.remove(uid);
            }
            Change::Node(node) => {
                self.in_list(Kind::Node, &node.name);
                self.nodes.insert(node.name.clone(), SeenNode::clone(node));
            }
            Change::NodeGone { name } => {
                self.nodes.remove(name);
            }
            Change::DeviceClasses(classes) => {
                let own = classes.iter();
                let own = own.map(|(name, _)| format!("deviceclass.resource.kubernetes.io/{name}"));
                self.provided = own
                    .chain(classes.iter().filter_map(|(_, it)| it.clone()))
                    .collect();
            }
            Change::NamespaceClasses(classes) => {
                for (namespace, class) in classes {
                    self.name_class(namespace, class.as_ref());
                }
            }
        }
    }

    fn name_class(&mut self, namespace: &str, class: Option<&String>) {
        self.classes.remove(namespace);
        if let Some(class) = class {
            self.classes.insert(namespace.to_owned(), class.clone());
        }
        for pod in self.pods.values_mut() {
            if pod.is_of_namespace && pod.namespace == namespace {
                pod.class = class.cloned();
            }
        }
    }

    /// A Pod; some name no class, and have that of their namespace.
    fn pod(&self, dice: &mut Dice) -> SeenPod {
        let mut pod = pod(dice);
        if dice.percent(30) {
            pod.is_of_namespace = true;
            pod.class = self.classes.get(&pod.namespace).cloned();
        }
        pod
    }

    fn in_list(&mut self, kind: Kind, name: &str) {
        if let Some(list) = &mut self.list[place(kind)] {
            list.insert(name.to_owned());
        }
    }

    fn settle(&mut self, pod: &SeenPod) {
        if let (Some(class), Some(pools)) = (&pod.class, &pod.pools) {
            let key = [&pod.namespace, &pod.owner, class, pools].map(String::clone);
            if let Some(place) = self.taken.iter().position(|it| it.key == key) {
                self.taken.remove(place);
            }
        }
    }

    pub(crate) fn expire(&mut self) {
        self.taken.retain(|it| it.until > self.now);
    }

    /// What should be chosen; it is taken unless it is a dry run.
    pub(crate) fn choose(&mut self, wish: &Wish<'_>) -> Choice {
        self.expire();
        let room = |plan: &Plan<'_>| match plan.gpus {
            0 => Room::Enough,
            _ => by_definition::room(self, &plan.group.resource, &plan.group.pools, plan.gpus),
        };
        let rooms: Vec<Room> = wish.plans.iter().map(room).collect();
        let first = |of: &[Room]| rooms.iter().position(|room| of.contains(room));
        let plan = first(&[Room::Enough, Room::Unknown]).or_else(|| first(&[Room::Perhaps]));
        let plan = plan.unwrap_or(0);
        let chosen = &wish.plans[plan];
        if !wish.dry_run && chosen.gpus > 0 {
            let key = [
                wish.namespace,
                wish.owner,
                &wish.class.name,
                &chosen.group.name.text,
            ];
            self.taken.push_back(Taken {
                key: key.map(str::to_owned),
                resource: chosen.group.resource.clone(),
                pools: chosen.group.pools.clone(),
                gpus: chosen.gpus,
                until: self.now + LIFETIME,
            });
        }
        Choice {
            plan,
            room: rooms[plan],
        }
    }
}

const fn place(kind: Kind) -> usize {
    match kind {
        Kind::Node => 0,
        Kind::Pod => 1,
    }
}

fn uid(dice: &mut Dice) -> String {
    format!("705ab4f5-6393-11e8-b7cc-42010a80{:04}", dice.below(40))
}

fn node_name(dice: &mut Dice) -> &'static str {
    dice.pick(&["n1", "n2", "n3", "n4", "n5", "n6"])
}

fn demand(dice: &mut Dice, bound: u64) -> Vec<(String, u32)> {
    let mut demand = BTreeMap::new();
    for resource in RESOURCES {
        let amount = dice.small(bound);
        if amount > 0 && dice.percent(60) {
            demand.insert(resource.to_owned(), amount);
        }
    }
    if dice.percent(2) {
        demand.insert(NVIDIA.to_owned(), u32::MAX);
    }
    demand.into_iter().collect()
}

fn pod(dice: &mut Dice) -> SeenPod {
    let maybe = |dice: &mut Dice, share, it: &str| dice.percent(share).then(|| it.to_owned());
    let (class, recorded) = (dice.pick(&CLASSES), dice.pick(&RECORDED));
    let (node, nominated) = (node_name(dice), node_name(dice));
    SeenPod {
        uid: uid(dice),
        name: "x".to_owned(),
        namespace: dice.pick(&NAMESPACES).to_owned(),
        owner: dice.pick(&OWNERS).to_owned(),
        class: if dice.percent(5) {
            Some("unknown".to_owned())
        } else {
            maybe(dice, 75, class)
        },
        pools: maybe(dice, 85, recorded),
        node: maybe(dice, 50, node),
        nominated: maybe(dice, 10, nominated),
        is_gated: dice.percent(10),
        is_leaving: dice.percent(10),
        is_of_namespace: false,
        tolerations: tolerations(dice),
        demand: demand(dice, 4),
    }
}

fn tolerations(dice: &mut Dice) -> Vec<Tolerated> {
    let all = [
        ("only", "Equal", "gpu", "NoSchedule"),
        ("only", "Exists", "", ""),
        ("", "Exists", "", "NoExecute"),
        ("only", "Lt", "", ""),
    ];
    let some = all.into_iter().filter(|_| dice.percent(25));
    some.map(|(key, operator, value, effect)| Tolerated {
        key: key.to_owned(),
        operator: operator.to_owned(),
        value: value.to_owned(),
        effect: effect.to_owned(),
    })
    .collect()
}

fn node(dice: &mut Dice) -> SeenNode {
    let taints = [
        ("only", "gpu", "NoSchedule"),
        ("only", "gpu", "NoExecute"),
        ("soft", "", "PreferNoSchedule"),
        ("other", "", "NoSchedule"),
        ("odd", "", "Sometimes"),
    ];
    let taints = taints.into_iter().filter(|_| dice.percent(20));
    let taints =
        taints.map(|(key, value, effect)| (key.to_owned(), value.to_owned(), effect.to_owned()));
    let taints = taints.collect();
    let mut labels = BTreeMap::new();
    if dice.percent(90) {
        labels.insert(
            "kind".to_owned(),
            dice.pick(&["a", "b", "c", "d"]).to_owned(),
        );
    }
    if dice.percent(50) {
        labels.insert("zone".to_owned(), dice.pick(&["1", "2"]).to_owned());
    }
    SeenNode {
        name: node_name(dice).to_owned(),
        labels,
        taints,
        allocatable: demand(dice, 9),
        is_ready: dice.percent(90),
        is_cordoned: dice.percent(5),
    }
}
