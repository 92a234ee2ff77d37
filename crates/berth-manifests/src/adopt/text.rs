//! The document's text with the class: the lines of what is needless are taken out, and all others stay as they were.

use serde_json::Value;

use crate::yaml::{
    Kind, Node, Span, Style,
    edit::{Edited, edit},
    parse,
};

/// The text of a document that means `target`; nothing where none was found.
#[must_use]
pub fn text(text: &str, root: &Node, target: &Value) -> Option<Edited> {
    let mut lines = Vec::new();
    let shorter = gone(text, root, target, &mut lines).map(|()| without(text, lines));
    let shorter = shorter.and_then(|text| {
        let root = parse(&text).ok()?.pop()?;
        // what else is another is written by the editor, which holds the result against the target
        edit(&text, &root, target).filter(|it| !it.rewritten)
    });
    shorter.or_else(|| edit(text, root, target))
}

/// Finds the lines of what the target has not; nothing where it does not stand on lines of its own.
fn gone(text: &str, node: &Node, target: &Value, lines: &mut Vec<Span>) -> Option<()> {
    if node == target {
        return Some(());
    }
    match (&node.kind, target) {
        (Kind::Mapping(entries), Value::Object(fields)) => {
            for entry in entries.iter().filter(|entry| !entry.merged) {
                if let Some(value) = fields.get(&entry.key) {
                    gone(text, &entry.value, value, lines)?;
                } else {
                    let (from, to) = (entry.key_span.start, entry.value.span.end);
                    lines.push(own(text, node, from, to)?);
                }
            }
        }
        (Kind::Sequence(items), Value::Array(values)) if items.len() == values.len() => {
            for (item, value) in items.iter().zip(values) {
                gone(text, item, value, lines)?;
            }
        }
        (Kind::Sequence(items), Value::Array(values)) => {
            let mut left = values.iter().peekable();
            for item in items.iter() {
                if left.next_if(|value| item == *value).is_none() {
                    lines.push(own(text, node, item.span.start, item.span.end)?);
                }
            }
        }
        _ => {}
    }
    Some(())
}

/// The lines from one byte to another of a part of a node, if nothing else is on them.
fn own(text: &str, node: &Node, from: usize, to: usize) -> Option<Span> {
    let line = text.get(..from)?.rfind('\n').map_or(0, |end| end + 1);
    let before = text.get(line..from)?.trim();
    let is_alone = match node.kind {
        Kind::Sequence(_) => before == "-",
        _ => before.is_empty(),
    };
    if node.style != Style::Block || !is_alone {
        return None;
    }
    let last = text.get(..to)?.trim_end().len().max(from);
    let end = text
        .get(last..)?
        .find('\n')
        .map_or(text.len(), |end| last + end + 1);
    Some(line..end)
}

fn without(text: &str, mut lines: Vec<Span>) -> String {
    lines.sort_by_key(|span| span.start);
    let (mut left, mut at) = (String::new(), 0);
    for span in lines {
        left.push_str(text.get(at..span.start).unwrap_or_default());
        at = at.max(span.end);
    }
    left + text.get(at..).unwrap_or_default()
}
