//! A pool as a row, with a cell for each GPU.

use std::sync::Arc;

use super::{Bounded, Counted, Known, ROWS, sight};
use crate::{
    api::GpuCounts,
    conditions::{self, Finding},
    fleet::{Holding, NodeState, OccupiedNode, PodName},
    table::Pool,
};

/// So many nodes of a pool are shown.
const NODES: usize = 32;
/// So many GPUs of a node are shown.
const CELLS: usize = 64;
/// So many cells are shown in all, so that the page stays within some hundred kilobytes.
const CELLS_IN_ALL: usize = 2048;
/// So many Pods that wait are shown of a pool.
const WAITING: usize = 16;

/// A pool as it is shown.
#[derive(Clone, Debug)]
pub struct PoolRow {
    /// Its name.
    pub name: String,
    /// The resource by which its nodes offer their GPUs.
    pub resource: String,
    /// How many Pods share one GPU: above 1, a cell is a share of a GPU.
    pub sharers: u32,
    /// The sums, as the scheduler counts them; none where they are not known.
    pub gpus: Option<GpuCounts>,
    /// Whether DRA provides the resource: how many GPUs there are, berth does not know.
    pub is_provided: bool,
    /// Its nodes.
    pub nodes: Bounded<NodeRow>,
    /// The Pods that may come here and have no node yet.
    pub waiting: Bounded<Holding>,
    /// Whether a Pod could run here when a GPU is free; none for a table of files.
    pub ready: Option<Finding>,
}

/// A node with its GPUs.
#[derive(Clone, Debug)]
pub struct NodeRow {
    /// Its name.
    pub name: String,
    /// Whether Pods of the pool can go there.
    pub state: NodeState,
    /// Its GPUs, or their shares.
    pub cells: Bounded<Cell>,
}

/// A GPU, or a share of one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Cell {
    /// A Pod can have it.
    Free,
    /// Nobody has it, and no Pod of the pool can go to its node.
    Closed,
    /// It is kept for a Pod for which room is made.
    Kept,
    /// A Pod has it; none where its name is not kept.
    Taken(Option<Arc<PodName>>),
    /// A Pod has it, and the node does not offer it any more.
    Lost(Option<Arc<PodName>>),
}

pub(super) fn rows(known: Known<'_>, counted: Option<&Counted<'_>>) -> Bounded<PoolRow> {
    let mut room = CELLS_IN_ALL;
    Bounded::new(known.table.pools(), ROWS, |pool| {
        let row = row(pool, known, counted, room);
        let cells = row.nodes.shown.iter().map(|it| it.cells.shown.len());
        room -= cells.sum::<usize>();
        row
    })
}

fn row(pool: &Pool, known: Known<'_>, counted: Option<&Counted<'_>>, mut room: usize) -> PoolRow {
    let survey = counted.and_then(|it| it.counts.pool(&pool.name));
    let occupancy = counted.and_then(|it| it.occupancies.get(&*pool.name));
    let nodes = occupancy.iter().flat_map(|it| &it.nodes);
    let waiting = occupancy.iter().flat_map(|it| &it.waiting);
    PoolRow {
        name: pool.name.clone(),
        resource: pool.resource.clone(),
        sharers: pool.sharers,
        gpus: survey.map(|it| it.gpus),
        is_provided: survey.is_some_and(|it| it.is_provided),
        nodes: Bounded::new(nodes, NODES, |node| {
            let row = NodeRow::of(node, CELLS.min(room));
            room -= row.cells.shown.len();
            row
        }),
        waiting: Bounded::new(waiting, WAITING, Clone::clone),
        ready: ready(pool, known, counted),
    }
}

fn ready(pool: &Pool, known: Known<'_>, counted: Option<&Counted<'_>>) -> Option<Finding> {
    let pools = &known.compiled?.pools;
    let place = pools.binary_search_by(|it| it.name.cmp(&pool.name));
    let judged = pools.get(place.ok()?)?;
    Some(conditions::readiness(judged, sight(known, counted)))
}

impl NodeRow {
    fn of(node: &OccupiedNode, most: usize) -> Self {
        let shown: Vec<Cell> = cells(node).take(most).collect();
        let all = held(node).max(node.offer.allocatable as usize);
        let more = all - shown.len();
        Self {
            name: node.name.clone(),
            state: node.state,
            cells: Bounded { shown, more },
        }
    }
}

fn held(node: &OccupiedNode) -> usize {
    node.holders.iter().map(|it| it.gpus as usize).sum()
}

/// Those that are taken, then those that are kept, then those that nobody has. Where a GPU has failed, more are taken than
/// there are.
fn cells(node: &OccupiedNode) -> impl Iterator<Item = Cell> {
    let offered = node.offer.allocatable as usize;
    let of_holder = |it: &Holding| std::iter::repeat_n(it.pod.clone(), it.gpus as usize);
    let taken = node.holders.iter().flat_map(of_holder);
    let taken = taken.enumerate().map(move |(place, pod)| {
        if place < offered {
            Cell::Taken(pod)
        } else {
            Cell::Lost(pod)
        }
    });
    let left = offered.saturating_sub(held(node));
    let kept = left.min(usize::try_from(node.offer.nominated).unwrap_or(usize::MAX));
    let nobodys = if node.state == NodeState::Usable {
        Cell::Free
    } else {
        Cell::Closed
    };
    taken
        .chain(std::iter::repeat_n(Cell::Kept, kept))
        .chain(std::iter::repeat_n(nobodys, left - kept))
}
