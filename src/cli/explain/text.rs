//! An explanation for people, and for programs.

use std::fmt::{self, Write};

use crate::cli::report::for_output;
use berth_core::explain::{Advice, Explanation, Funnel, Said};

/// What a line of the rest begins with.
const INDENT: &str = "  ";

pub(super) fn of(explanation: &Explanation) -> String {
    let mut text = String::new();
    // a String takes all that is written
    let _ = write(&mut text, explanation);
    for_output(&text).into_owned()
}

fn write(out: &mut String, it: &Explanation) -> fmt::Result {
    writeln!(out, "{}", it.conclusion)?;
    for line in class(it).iter().chain(&it.remarks) {
        writeln!(out, "{INDENT}{line}")?;
    }
    for funnel in &it.pools {
        funnel_of(out, funnel, it.pools.len())?;
    }
    list(out, "berth", &it.decision)?;
    list(out, "try", it.advice.iter().map(advice))?;
    list(out, "said", it.said.iter().map(said))?;
    list(out, "not read", &it.unread)
}

/// Lines after a word, which stands before the first of them.
fn list<T: fmt::Display>(
    out: &mut String,
    word: &str,
    lines: impl IntoIterator<Item = T>,
) -> fmt::Result {
    let mut word = word;
    for line in lines {
        writeln!(out, "{INDENT}{word:10}{line}")?;
        word = "";
    }
    Ok(())
}

fn funnel_of(out: &mut String, funnel: &Funnel, pools: usize) -> fmt::Result {
    let steps: Vec<String> = funnel
        .steps
        .iter()
        .map(|it| format!("{} {}", it.step, it.nodes))
        .collect();
    let word = if pools == 1 { "" } else { &*funnel.pool };
    let gap = if word.is_empty() { "" } else { ": " };
    writeln!(out, "{INDENT}{word}{gap}{}", steps.join(" → "))?;
    let taken: Vec<String> = funnel
        .taken_by
        .iter()
        .map(|it| {
            let kept = if it.is_nominated {
                ", room is made for it"
            } else {
                ""
            };
            format!("{} {} ({}{kept})", it.pod, it.gpus, it.age)
        })
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    let more = match funnel.more_taken_by {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    writeln!(out, "{INDENT}{:10}{}{more}", "taken by", taken.join(", "))
}

/// `class whisper → pool rtx-2070 (table 7bd141452d22)`, for a Pod.
fn class(it: &Explanation) -> Option<String> {
    let class = it.class.as_ref().filter(|_| !it.placed_in.is_empty())?;
    let pools = it.placed_in.join(", ");
    let word = if it.placed_in.len() == 1 {
        "pool"
    } else {
        "pools"
    };
    let table = it.table.as_ref().map(|it| format!(" (table {it})"));
    Some(format!(
        "class {class} → {word} {pools}{}",
        table.unwrap_or_default()
    ))
}

fn advice(advice: &Advice) -> String {
    match (&*advice.command, &*advice.text) {
        ("", text) => text.to_owned(),
        (command, "") => command.to_owned(),
        (command, text) => format!("{command}  # {text}"),
    }
}

fn said(said: &Said) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| {
        let Said {
            by,
            reason,
            message,
            ago,
            times,
        } = said;
        write!(f, "{by}: {reason}")?;
        if *times > 1 {
            write!(f, ", {times} times")?;
        }
        if let Some(ago) = ago {
            write!(f, ", {ago} ago")?;
        }
        // a message of several lines stays in one
        let message = message.replace('\n', " ");
        write!(f, ": {message}")
    })
}
