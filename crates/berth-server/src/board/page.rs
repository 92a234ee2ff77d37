//! The page, part by part. Every name is text to the template, which escapes it.

use k8s_openapi::jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::state::NotReady;
use berth_core::board::{Board, Bounded, Decided, Gpus};

mod classes;
mod decisions;
mod pools;
mod wrong;

/// The whole style.
pub(super) const STYLE: &str = include_str!("board.css");
/// The whole script.
pub(super) const SCRIPT: &str = include_str!("board.js");
/// A name of more characters opens on demand: Kubernetes allows 253.
const LONG: usize = 80;
/// So many of them are shown before that.
const SHORT: usize = 60;

/// What a page is made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'c> {
    pub(super) replica: &'c str,
    pub(super) not_ready: &'c [NotReady],
    /// Whether the table is not the cluster's.
    pub(super) is_of_files: bool,
    /// None while there is no table.
    pub(super) board: Option<&'c Board>,
    /// The newest first.
    pub(super) decisions: &'c [Decided],
}

/// A page: its parts, each of which is told anew where it has changed.
#[derive(Debug, Default)]
pub(super) struct Page {
    made: Timestamp,
    parts: Vec<(&'static str, String)>,
}

impl Page {
    /// Makes the parts.
    pub(super) fn new(content: &Content<'_>) -> Self {
        let part = |id, markup: Markup| (id, markup.into_string());
        let mut parts = vec![
            part("state", state(content)),
            part("wrong", wrong::part(content)),
        ];
        if let Some(board) = content.board {
            parts.push(part("pools", pools::part(board, content.is_of_files)));
            parts.push(part("classes", classes::part(board)));
        }
        parts.push(part("decisions", decisions::part(content)));
        Self {
            made: Timestamp::now(),
            parts,
        }
    }

    /// The parts that another page has not.
    pub(super) fn news_since(&self, other: &Self) -> impl Iterator<Item = (&'static str, &str)> {
        let parts = self.parts.iter().filter(|part| !other.parts.contains(part));
        parts.map(|(id, html)| (*id, html.as_str()))
    }

    /// The document: true as it is, also where no script makes it follow.
    pub(super) fn document(&self) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { "berth: the board" }
                    link rel="icon" href=(ICON);
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#main" { "Skip to the board" }
                    header {
                        div.brand { h1 { "berth" } p { "the right GPU for every Pod" } }
                        nav aria-label="Parts of the board" {
                            ul {
                                li { a href="#wrong" { "What is wrong" } }
                                li { a href="#pools" { "Pools" } }
                                li { a href="#classes" { "Classes" } }
                                li { a href="#decisions" { "Decisions" } }
                            }
                        }
                        p #connection role="status" {
                            "As of " (time(self.made)) ". Reload the page to see it as it is."
                        }
                    }
                    main #main tabindex="-1" {
                        @for (id, part) in &self.parts {
                            section id=(id) aria-labelledby={ (id) "-title" } { (PreEscaped(part)) }
                        }
                    }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        }
    }
}

/// A berth seen from above: a quay, and a ship in it.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='3' fill='%230f6e6e'/%3E%3Cpath d='M3 3v10h10V3' fill='none' stroke='white' stroke-width='2'/%3E%3Crect x='6' y='3' width='4' height='7' rx='2' fill='white'/%3E%3C/svg%3E";

fn state(content: &Content<'_>) -> Markup {
    html! {
        h2.quiet #state-title { "This replica" }
        dl.facts {
            div { dt { "Replica" } dd { (name(content.replica)) } }
            @if let Some(board) = content.board {
                div { dt { "Table" } dd { code { (board.revision) } } }
            }
            div {
                dt { "Ready" }
                dd {
                    @if content.not_ready.is_empty() { "yes" } @else { strong { "no" } }
                }
            }
        }
    }
}

/// Why the GPUs of the board are not counted.
fn uncounted(gpus: Gpus, is_of_files: bool) -> Option<&'static str> {
    match (gpus, is_of_files) {
        (Gpus::Counted, _) => None,
        (Gpus::BeingListed, _) => {
            Some("Nodes and Pods are still being listed: how many GPUs are free is not known yet.")
        }
        (Gpus::Unknown, true) => Some(
            "The table is read from files, so berth sees no Nodes and no Pods: which GPUs are free is not known.",
        ),
        (Gpus::Unknown, false) => Some(
            "berth does not look at Nodes and Pods (--live off): which GPUs are free is not known.",
        ),
    }
}

/// A name of any length: what is long opens on demand, also by keyboard and without a script.
fn name(name: &str) -> Markup {
    if name.chars().count() <= LONG {
        return html! { (name) };
    }
    let end = name
        .char_indices()
        .nth(SHORT)
        .map_or(name.len(), |(at, _)| at);
    html! {
        details { summary { (name.get(..end).unwrap_or(name)) "…" } (name) }
    }
}

fn time(at: Timestamp) -> Markup {
    html! {
        time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) { (at.strftime("%H:%M:%S")) " UTC" }
    }
}

/// The first row of a table.
fn head(columns: &[&str]) -> Markup {
    html! {
        thead role="rowgroup" {
            tr role="row" {
                @for column in columns { th scope="col" role="columnheader" { (column) } }
            }
        }
    }
}

/// How many are not shown, and where they are.
fn more<T>(bounded: &Bounded<T>, what: &str, command: Option<&str>) -> Markup {
    html! {
        @if bounded.more > 0 {
            p.more {
                "and " (bounded.more) " more " (what)
                @if let Some(command) = command { ": " code { (command) } }
            }
        }
    }
}

/// `1 GPU`, `2 GPUs`.
fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests;
