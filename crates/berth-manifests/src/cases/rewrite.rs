//! What a case expects, written into its text. What the author wrote stays: each new text is read again and held
//! against what it should say.

use std::ops::Range;

use serde_json::{Map, Value};

use super::{FIELDS, written};
use crate::yaml::{self, Entry, Kind, Node};

/// A part of the text, and what stands there instead.
type Edit = (Range<usize>, String);

/// The text that expects what was found; none where the text cannot take it.
pub(super) fn rewrite(text: &str, root: &Node, found: &Map<String, Value>) -> Option<String> {
    let expect = root.entries().iter().find(|entry| entry.key == "expect");
    let field_by_field = || expect.and_then(|entry| fields(text, &entry.value, found));
    let at_once = || {
        if let Some(entry) = expect {
            return vec![(entry.key_span.start..end(text, entry), whole(found))];
        }
        let newline = if text.ends_with('\n') { "" } else { "\n" };
        let block = format!("{newline}{}\n", whole(found));
        vec![(text.len()..text.len(), block)]
    };
    let edited = |edits| {
        let edited = edit(text, edits);
        says(&edited, root, found).then_some(edited)
    };
    field_by_field()
        .and_then(edited)
        .or_else(|| edited(at_once()))
}

/// Only the fields that differ, each in its place; new ones go before the first. This is for a block: within braces it
/// may come to nonsense, which is not taken.
fn fields(text: &str, expect: &Node, found: &Map<String, Value>) -> Option<Vec<Edit>> {
    let first = expect.entries().first()?;
    let start = line_start(text, first.key_span.start);
    let indent = text.get(start..first.key_span.start)?;
    let new = FIELDS.iter().filter(|name| expect.get(name).is_none());
    let new = new.filter_map(|name| {
        let field = field(name, found.get(*name)?, indent);
        Some((start..start, format!("{indent}{field}\n")))
    });
    let entries = expect.entries().iter();
    let changed = entries.filter_map(|entry| change(text, entry, found.get(&entry.key), indent));
    Some(new.chain(changed).collect())
}

/// The edit of a field that is there.
fn change(text: &str, entry: &Entry, found: Option<&Value>, indent: &str) -> Option<Edit> {
    let end = end(text, entry);
    let Some(value) = found else {
        let lines = line_start(text, entry.key_span.start)..line_end(text, end);
        return Some((lines, String::new()));
    };
    if *value == entry.value.to_json() {
        return None;
    }
    let is_scalar = |node: &Node| matches!(node.kind, Kind::Scalar(_)) && !node.span.is_empty();
    if is_scalar(&entry.value) && !value.is_object() && !value.is_array() {
        let scalar = yaml::write(value).trim_end().to_owned();
        return Some((entry.value.span.clone(), scalar));
    }
    Some((entry.key_span.start..end, field(&entry.key, value, indent)))
}

/// `expect:` as a block.
fn whole(found: &Map<String, Value>) -> String {
    format!("expect:\n  {}", indented(&written(found), "  "))
}

/// A field as YAML; every line but the first is indented.
fn field(name: &str, value: &Value, indent: &str) -> String {
    indented(
        &written(&Map::from_iter([(name.to_owned(), value.clone())])),
        indent,
    )
}

fn indented(yaml: &str, indent: &str) -> String {
    let lines: Vec<&str> = yaml.trim_end().lines().collect();
    lines.join(&format!("\n{indent}"))
}

fn edit(text: &str, mut edits: Vec<Edit>) -> String {
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    // from the end, so that the earlier places stay true; those of one place in their order
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let mut edited = text.to_owned();
    for (range, new) in edits.into_iter().rev() {
        edited.replace_range(range, &new.replace('\n', newline));
    }
    edited
}

/// Whether the text says what was found, and else what it said before.
fn says(text: &str, before: &Node, found: &Map<String, Value>) -> bool {
    let documents = yaml::parse(text).unwrap_or_default();
    let [after] = documents.as_slice() else {
        return false;
    };
    let others = |root: &Node| -> Vec<(String, Value)> {
        let others = root.entries().iter().filter(|entry| entry.key != "expect");
        others
            .map(|entry| (entry.key.clone(), entry.value.to_json()))
            .collect()
    };
    let expects = after.get("expect").map(Node::to_json);
    expects == Some(Value::Object(found.clone())) && others(after) == others(before)
}

/// Where the text of an entry ends: with its value, or with the colon where there is none.
fn end(text: &str, entry: &Entry) -> usize {
    let rest = text.get(entry.key_span.end..).unwrap_or_default();
    let colon = rest.find(':').map_or(0, |colon| colon + 1);
    (entry.key_span.end + colon).max(end_of(text, &entry.value))
}

fn end_of(text: &str, node: &Node) -> usize {
    let written = text.get(node.span.clone()).unwrap_or_default();
    let below = match &node.kind {
        // in brackets or braces
        Kind::Sequence(_) | Kind::Mapping(_) if written.starts_with(['[', '{']) => None,
        Kind::Sequence(nodes) => nodes.iter().map(|node| end_of(text, node)).max(),
        Kind::Mapping(entries) => entries.iter().map(|entry| end(text, entry)).max(),
        Kind::Scalar(_) => None,
    };
    below.unwrap_or(node.span.start + written.trim_end().len())
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |newline| newline + 1)
}

/// After the newline that ends the line.
fn line_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).and_then(|rest| rest.find('\n'));
    rest.map_or(text.len(), |newline| at + newline + 1)
}
