//! What was decided lately, and why.

use maud::{Markup, html};

use super::{Content, head, name, time};
use berth_core::board::{Decided, Ending};

pub(super) fn part(content: &Content<'_>) -> Markup {
    html! {
        h2 #decisions-title { "Last decisions" }
        p.note {
            "What this replica has decided since it began, the newest first. Pods that name no class are not here."
        }
        @if content.decisions.is_empty() {
            p { "None yet." }
        } @else {
            table role="table" aria-labelledby="decisions-title" {
                (head(&["Time", "Pod", "Class", "Decision"]))
                tbody role="rowgroup" { @for it in content.decisions { (row(it)) } }
            }
        }
    }
}

fn row(decided: &Decided) -> Markup {
    // the API server makes the rest of the name up
    let is_begun = decided.name.ends_with('-');
    html! {
        tr role="row" data-key={ "decision-" (decided.at) "-" (decided.name) } {
            td role="cell" data-label="Time" { (time(decided.at)) }
            th scope="row" role="rowheader" data-label="Pod" {
                span.pod {
                    span.namespace { (decided.namespace) "/" }
                    (name(&decided.name)) @if is_begun { "…" }
                }
                @if decided.dry_run { " " span.tag { "dry run" } }
            }
            td role="cell" data-label="Class" {
                @match &decided.class { Some(class) => { (name(class)) } None => { "none" } }
            }
            td role="cell" data-label="Decision" { (decision(decided)) }
        }
    }
}

fn decision(decided: &Decided) -> Markup {
    let (class, mark, word) = match decided.ending() {
        Ending::Placed => ("good", "✓", "placed"),
        Ending::LeftAlone => ("unknown", "–", "left alone"),
        Ending::Denied => ("bad", "✕", "denied"),
    };
    let reason = decided.reason;
    html! {
        span { span.mark.(class) aria-hidden="true" { (mark) } " " b { (word) } }
        @if let Some(pools) = &decided.pools { " → " span.name { (pools) } }
        @match &decided.message {
            Some(message) => { span.detail { b { (reason) } ": " (message) } }
            None if decided.ending() == Ending::LeftAlone => {
                span.detail { b { (reason) } ": " (reason.meaning()) }
            }
            None => {}
        }
        @for warning in &decided.warnings { span.detail { "warning: " (warning) } }
    }
}
