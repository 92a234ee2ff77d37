//! Which class, and whether the namespace may use it (rule 31).

use std::fmt::Write;

use strsim::damerau_levenshtein;

use crate::core::{
    outcome::{Denial, Reason},
    syntax::is_label_value,
    table::{Allocation, AllocationTable},
};

/// So many classes are listed by name.
const LISTED: usize = 10;
/// A suggestion differs by so many letters at most.
const DISTANCE: usize = 2;
/// So many names are compared at most: work is bounded.
const COMPARED: usize = 1000;
/// The message has so many bytes at most, the table's revision included.
const BYTES: usize = 900;

/// The allocation of the class that a Pod names. An unknown class and one that is not open to the namespace get one
/// and the same answer, so that nobody learns of classes that are not theirs.
pub fn authorise<'t>(
    table: &'t AllocationTable,
    class: &str,
    namespace: &str,
) -> Result<&'t Allocation, Denial> {
    if !is_label_value(class) {
        let message = format!(
            "label {}: {:?} is no legal label value: at most 63 letters, digits, '-', '_' or '.', \
             with a letter or digit at both ends",
            table.class_label(),
            shortened(class)
        );
        return Err(Denial::new(Reason::LabelSyntax, message));
    }
    let allocation = table
        .class(class)
        .filter(|allocation| allocation.is_open_to(namespace));
    allocation.ok_or_else(|| {
        Denial::new(
            Reason::ClassUnavailable,
            unavailable(table, class, namespace),
        )
    })
}

fn unavailable(table: &AllocationTable, class: &str, namespace: &str) -> String {
    let open: Vec<&str> = table.open_to(namespace).collect();
    let mut message =
        format!("workload class {class:?} is not available in namespace {namespace:?}; ");
    if open.is_empty() {
        message.push_str("no class is available here");
        return message;
    }
    let suggestion = suggestion(class, &open)
        .map(|name| format!("; did you mean {name:?}?"))
        .unwrap_or_default();
    let room = BYTES
        - message.len()
        - suggestion.len()
        - "available here: ".len()
        - ", 99999 more".len()
        - " (table 0123456789ab)".len();
    message.push_str("available here: ");
    list_names(&mut message, &open, room);
    message + &suggestion
}

fn list_names(message: &mut String, names: &[&str], room: usize) {
    let (mut listed, mut used) = (0, 0);
    for name in names.iter().take(LISTED) {
        used += name.len() + 2;
        if used > room {
            break;
        }
        let separator = if listed == 0 { "" } else { ", " };
        let _ = write!(message, "{separator}{name}");
        listed += 1;
    }
    if listed < names.len() {
        let _ = write!(message, ", {} more", names.len() - listed);
    }
}

fn suggestion<'n>(class: &str, names: &[&'n str]) -> Option<&'n str> {
    let near = names
        .iter()
        .take(COMPARED)
        .filter(|name| name.len().abs_diff(class.len()) <= DISTANCE);
    let distances = near.map(|name| (damerau_levenshtein(class, name), *name));
    distances
        .filter(|(distance, _)| *distance <= DISTANCE)
        .min()
        .map(|(_, name)| name)
}

/// A text of any length, short enough for a message.
fn shortened(text: &str) -> String {
    text.chars().take(63).collect()
}
