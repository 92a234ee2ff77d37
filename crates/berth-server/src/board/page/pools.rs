//! The pools: a row for each, a cell for each GPU.

use maud::{Markup, html};

use super::{counted, head, more, name, uncounted};
use berth_core::{
    board::{Board, Bounded, Cell, NodeRow, PoolRow},
    fleet::{Holding, NodeState, PodName},
};

pub(super) fn part(board: &Board, is_of_files: bool) -> Markup {
    let uncounted = uncounted(board.gpus, is_of_files);
    let columns: &[&str] = if uncounted.is_none() {
        &["Pool", "GPUs", "Free", "Ready"]
    } else {
        &["Pool"]
    };
    html! {
        h2 #pools-title { "Pools" }
        @if let Some(why) = uncounted { p.note { (why) } }
        @else { (legend()) }
        @if board.pools.is_empty() {
            p { "The table has no GPUPool." }
        } @else {
            table role="table" aria-labelledby="pools-title" {
                (head(columns))
                tbody role="rowgroup" {
                    @for pool in &board.pools.shown { (row(pool, uncounted.is_none())) }
                }
            }
            (more(&board.pools, "pools", Some("kubectl get gpupools")))
        }
    }
}

/// What the looks of a cell mean. The words are in the cells, too.
fn legend() -> Markup {
    html! {
        ul.legend aria-label="What the cells look like" {
            li { span.sample.free aria-hidden="true" {} "free" }
            li { span.sample.taken aria-hidden="true" {} "taken by a Pod" }
            li { span.sample.waiting aria-hidden="true" {} "a Pod waits" }
            li { span.sample.closed aria-hidden="true" {} "closed: nobody has it, and no Pod can go there" }
        }
    }
}

fn row(pool: &PoolRow, is_counted: bool) -> Markup {
    html! {
        tr role="row" data-key={ "pool-" (pool.name) } {
            th scope="row" role="rowheader" {
                span.name { (name(&pool.name)) }
                span.detail { (pool.resource) }
                @if pool.sharers > 1 {
                    span.detail { "a cell is 1/" (pool.sharers) " of a GPU" }
                }
            }
            @if is_counted {
                td role="cell" data-label="GPUs" { (gpus(pool)) }
                td.number role="cell" data-label="Free" { (free(pool)) }
                td role="cell" data-label="Ready" { (ready(pool)) }
            }
        }
    }
}

fn gpus(pool: &PoolRow) -> Markup {
    html! {
        @if pool.nodes.is_empty() { p.none { "no node" } }
        @for node in &pool.nodes.shown { (node_of(node)) }
        (more(&pool.nodes, "nodes", None))
        @if !pool.waiting.is_empty() {
            div.node data-key="waiting" {
                span.node-name { "no node yet" }
                ul.cells {
                    @for holding in &pool.waiting.shown { (waiting(holding)) }
                }
                (more(&pool.waiting, "Pods that wait", None))
            }
        }
    }
}

fn node_of(node: &NodeRow) -> Markup {
    let state = match node.state {
        NodeState::Usable => None,
        NodeState::NotReady => Some("not ready"),
        NodeState::Cordoned => Some("cordoned"),
        NodeState::Tainted => Some("another taint"),
    };
    html! {
        div.node data-key={ "node-" (node.name) } {
            span.node-name {
                (name(&node.name))
                @if let Some(state) = state { " " span.tag { (state) } }
            }
            @if node.cells.is_empty() { span.none { "offers none" } }
            @else {
                ul.cells { @for it in &node.cells.shown { (cell(it)) } }
                (left_out(&node.cells))
            }
        }
    }
}

fn left_out(cells: &Bounded<Cell>) -> Markup {
    more(cells, "GPUs", None)
}

fn cell(cell: &Cell) -> Markup {
    match cell {
        Cell::Free => html! { li.cell.free { "free" } },
        Cell::Closed => html! { li.cell.closed { "closed" } },
        Cell::Kept => html! { li.cell.kept { "kept for a Pod that comes" } },
        Cell::Taken(pod) => {
            html! { li.cell.taken { span.said { "taken by " } (of(pod.as_deref())) } }
        }
        Cell::Lost(pod) => html! {
            li.cell.lost { "gone, and taken by " (of(pod.as_deref())) }
        },
    }
}

fn waiting(holding: &Holding) -> Markup {
    html! {
        li.cell.waiting {
            (of(holding.pod.as_deref()))
            span.detail { "waits for " (counted(holding.gpus.into(), "GPU", "GPUs")) }
        }
    }
}

fn of(pod: Option<&PodName>) -> Markup {
    match pod {
        None => html! { "a Pod" },
        Some(pod) => html! {
            span.pod { span.namespace { (pod.namespace) "/" } (name(&pod.name)) }
        },
    }
}

fn free(pool: &PoolRow) -> Markup {
    match pool.gpus {
        None => html! { "unknown" },
        Some(_) if pool.is_provided => html! { "unknown" span.detail { "by DRA" } },
        Some(gpus) => html! {
            span { b { (gpus.free) } " of " (gpus.allocatable) }
            @if gpus.waiting > 0 { span.detail { (gpus.waiting) " wanted" } }
        },
    }
}

fn ready(pool: &PoolRow) -> Markup {
    let Some(ready) = &pool.ready else {
        return html! { "unknown" };
    };
    let (class, mark, word) = match ready.status {
        "True" => ("good", "✓", "yes"),
        "False" => ("bad", "!", "no"),
        _ => ("unknown", "?", "unknown"),
    };
    html! {
        span { span.mark.(class) aria-hidden="true" { (mark) } " " (word) }
        @if ready.reason != "Ready" {
            span.detail { b { (ready.reason) } ": " (ready.message) }
        }
    }
}
