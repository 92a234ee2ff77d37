//! What is wrong, in words.

use maud::{Markup, html};

use super::{Content, more};
use berth_core::{
    board::{Bounded, Wrong},
    check::Hint,
};

pub(super) fn part(content: &Content<'_>) -> Markup {
    let wrong = content.board.map(|board| &board.wrong);
    let is_well = content.not_ready.is_empty() && wrong.is_none_or(Bounded::is_empty);
    html! {
        h2 #wrong-title { "What is wrong" }
        // only this is told to who listens: the rest changes too often
        p role="status" {
            @if is_well {
                span.mark.good aria-hidden="true" { "✓" } " Nothing that berth sees."
            } @else {
                @let all = content.not_ready.len() + wrong.map_or(0, Bounded::len);
                span.mark.bad aria-hidden="true" { "!" } " "
                (super::counted(all as u64, "thing needs", "things need")) " somebody’s attention."
            }
        }
        @if !is_well {
            ul.wrong {
                @for reason in content.not_ready {
                    li.failure { strong { "Not ready: " } (reason) }
                }
                @for it in wrong.iter().flat_map(|it| &it.shown) { (item(it)) }
            }
            @if let Some(wrong) = wrong {
                (more(wrong, "of them", Some("berth check")))
            }
        }
    }
}

fn item(wrong: &Wrong) -> Markup {
    html! {
        li.failure[wrong.is_failure].warning[!wrong.is_failure] {
            strong { @if wrong.is_failure { "Does not work: " } @else { "Look at it: " } }
            span.what { (wrong.what) } " — " (wrong.found)
            @match &wrong.hint {
                Some(Hint::Run(command)) => { span.hint { "→ " code { (command) } } }
                Some(Hint::Do(advice)) => { span.hint { "→ " (advice) } }
                None => {}
            }
        }
    }
}
