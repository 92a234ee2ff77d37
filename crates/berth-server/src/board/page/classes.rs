//! The classes: where the Pods of each go, in order, and what is free there now.

use maud::{Markup, html};

use super::{head, more, name};
use berth_core::board::{Board, ClassRow, Gpus, Step};

pub(super) fn part(board: &Board) -> Markup {
    let is_counted = board.gpus == Gpus::Counted;
    let columns: &[&str] = if is_counted {
        &["Class", "Pools, in order", "GPUs of a Pod", "Pods"]
    } else {
        &["Class", "Pools, in order", "GPUs of a Pod"]
    };
    html! {
        h2 #classes-title { "Classes" }
        @if board.classes.is_empty() {
            p { "The table has no WorkloadClass: every Pod that names a class is denied." }
        } @else {
            table role="table" aria-labelledby="classes-title" {
                (head(columns))
                tbody role="rowgroup" {
                    @for class in &board.classes.shown { (row(class, is_counted)) }
                }
            }
            (more(&board.classes, "classes", Some("kubectl get workloadclasses")))
        }
    }
}

fn row(class: &ClassRow, is_counted: bool) -> Markup {
    html! {
        tr role="row" data-key={ "class-" (class.name) } {
            th scope="row" role="rowheader" {
                span.name { (name(&class.name)) }
                @if class.is_restricted { span.detail { "for some namespaces alone" } }
            }
            td role="cell" data-label="Pools, in order" {
                @if let Some(why) = &class.not_ready {
                    span.mark.bad aria-hidden="true" { "!" } " not in use: " (why)
                } @else {
                    ol.steps { @for it in &class.steps { li { (step(it, is_counted)) } } }
                }
            }
            td role="cell" data-label="GPUs of a Pod" {
                (class.default_gpus)
                @if class.max_gpus > class.default_gpus { " to " (class.max_gpus) }
            }
            @if is_counted {
                td role="cell" data-label="Pods" {
                    @match class.pods {
                        None => { "unknown" }
                        Some(pods) => {
                            (pods.running) " placed"
                            @if pods.waiting > 0 { ", " b { (pods.waiting) " waiting" } }
                            @if pods.gated > 0 { ", " (pods.gated) " gated" }
                        }
                    }
                }
            }
        }
    }
}

fn step(step: &Step, is_counted: bool) -> Markup {
    html! {
        @for (i, pool) in step.pools.iter().enumerate() {
            @if i > 0 { " or " }
            span.name { (name(&pool.name)) }
            @if is_counted {
                " " span.detail.inline {
                    @match pool.free {
                        Some((free, all)) => { (free) " of " (all) " free" }
                        None => { "free: unknown" }
                    }
                }
            }
        }
        @if step.is_windows { " " span.tag { "Windows" } }
    }
}
