//! Changing a document's text so that it means another value: lines are added where they belong, and everything else
//! stays as it was, comments, quoting, anchors and line ends included.
//!
//! The new text is read again and held against the value. Where it means anything else, the document is written anew.

use serde_json::{Map, Value};

use super::{
    Entry, Kind, Node, Span, Style,
    emit::{self, Dialect, Layout},
    read,
};

/// A text after a change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Edited {
    /// The text.
    pub text: String,
    /// Whether the document was written anew.
    pub rewritten: bool,
}

/// Changes the text of a document, which was read as `root`, so that it means `target`; nothing where no text that was
/// tried does.
#[must_use]
pub fn edit(text: &str, root: &Node, target: &Value) -> Option<Edited> {
    edit_or(&[rewrite, alone], text, root, target)
}

/// The same for a list that is a part of a document: it stays in its place there.
#[must_use]
pub fn edit_part(text: &str, list: &Node, target: &Value) -> Option<Edited> {
    edit_or(&[rewrite], text, list, target)
}

/// A way to write a document anew.
type Write = fn(&str, &Node, &Value) -> String;

fn edit_or(writes: &[Write], text: &str, root: &Node, target: &Value) -> Option<Edited> {
    let mut editor = Editor {
        text,
        layout: layout(text, root),
        edits: Vec::new(),
    };
    let edited = editor.node(root, target, Parent::Root);
    let text_edited = edited.map(|()| editor.apply());
    let before = text;
    let is_right = |text: &String| {
        let now = read(text);
        // a key that was there twice may still be, and no other
        let twice = now.duplicates.len();
        let is_twice = || twice == 0 || twice <= read(before).duplicates.len();
        let is_meant = matches!(&*now.documents, [only] if only == target);
        now.errors.is_empty() && is_meant && is_twice()
    };
    if let Some(text) = text_edited.filter(is_right) {
        return Some(Edited {
            text,
            rewritten: false,
        });
    }
    let mut texts = writes.iter().map(|write| write(text, root, target));
    texts.find(is_right).map(|text| Edited {
        text,
        rewritten: true,
    })
}

/// Where a node stands.
#[derive(Clone, Copy, Debug)]
enum Parent {
    /// It is the document.
    Root,
    /// Below a key that is indented by so much.
    Key(usize),
    /// In a list that is written by lines.
    Item,
    /// Within brackets.
    Flow(Dialect),
}

struct Editor<'t> {
    text: &'t str,
    layout: Layout,
    edits: Vec<(Span, String)>,
}

impl Editor<'_> {
    /// Makes a node mean the target; nothing where its text cannot take that.
    fn node(&mut self, node: &Node, target: &Value, parent: Parent) -> Option<()> {
        if node == target {
            return Some(());
        }
        match (&node.kind, target) {
            _ if node.style == Style::Alias => self.replace(node, target, parent),
            (Kind::Mapping(entries), Value::Object(fields)) if !entries.is_empty() => {
                self.mapping(node, entries, fields, parent)
            }
            (Kind::Sequence(items), Value::Array(values)) if !items.is_empty() => {
                self.sequence(node, items, values, parent)
            }
            _ => self.replace(node, target, parent),
        }
    }

    fn mapping(
        &mut self,
        node: &Node,
        entries: &[Entry],
        target: &Map<String, Value>,
        parent: Parent,
    ) -> Option<()> {
        let own = || entries.iter().filter(|entry| !entry.merged);
        let (first, last) = (own().next()?, own().next_back()?);
        let below = self.parent_below(node, first.key_span.start, parent);
        let mut added = target.clone();
        let mut removed = Vec::new();
        for entry in entries {
            match target.get(&entry.key) {
                // what is merged is overridden, not changed where it stands
                Some(value) if entry.merged && entry.value != *value => {}
                Some(value) => {
                    if !entry.merged {
                        self.node(&entry.value, value, below)?;
                    }
                    added.remove(&entry.key);
                }
                None => removed.push(entry),
            }
        }
        for entry in removed {
            self.rename(entry, &mut added, below)?;
        }
        if added.is_empty() {
            return Some(());
        }
        if let Parent::Flow(dialect) = below {
            let entries = emit::entries(&added, dialect);
            return self.append_within(&last.value, first.key_span.start, &entries);
        }
        let indent = self.column(first.key_span.start);
        let lines = added
            .iter()
            .map(|(key, value)| self.layout.entry(key, value, indent));
        self.append_lines(node, lines.collect())
    }

    fn sequence(
        &mut self,
        node: &Node,
        items: &[Node],
        target: &[Value],
        parent: Parent,
    ) -> Option<()> {
        let (first, last) = (items.first()?, items.last()?);
        let added = target.get(items.len()..)?;
        let parent = match node.style {
            Style::Flow => self.parent_below(node, first.span.start, parent),
            _ => Parent::Item,
        };
        for (item, value) in items.iter().zip(target) {
            self.node(item, value, parent)?;
        }
        if added.is_empty() {
            return Some(());
        }
        if let Parent::Flow(dialect) = parent {
            let values: Vec<String> = added
                .iter()
                .map(|value| emit::flow(value, dialect))
                .collect();
            return self.append_within(last, first.span.start, &values);
        }
        let indent = self.dash(last)?;
        let lines = added
            .iter()
            .map(|value| self.layout.item(value, indent))
            .collect();
        self.append_lines(node, lines)
    }

    /// A key that is gone is one that was renamed, or the text cannot take it.
    fn rename(
        &mut self,
        entry: &Entry,
        added: &mut Map<String, Value>,
        parent: Parent,
    ) -> Option<()> {
        let (key, _) = added.iter().find(|(_, value)| entry.value == **value)?;
        let key = key.clone();
        added.remove(&key);
        let text = emit::string(&key, parent.dialect());
        self.edits.push((entry.key_span.clone(), text));
        Some(())
    }

    /// Puts another value where a node stands: as lines below its key where there is room, else within the line.
    fn replace(&mut self, node: &Node, target: &Value, parent: Parent) -> Option<()> {
        let is_flat = match target {
            Value::Object(fields) => fields.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => true,
        };
        // a tag would stay, and speak of the new value
        let before = self.text.get(..node.span.start)?;
        if before.split_whitespace().next_back()?.starts_with('!') {
            return None;
        }
        let room = self.rest_of_line(node.span.end).trim_start();
        match parent {
            Parent::Root => None,
            // null, as nothing at all: the place is that of the colon
            Parent::Key(indent) if node.span.is_empty() => {
                if is_flat {
                    let colon = node.span.end + room.find(':')? + 1;
                    let value = format!(" {}", emit::flow(target, Dialect::Yaml));
                    self.edits.push((colon..colon, value));
                    return Some(());
                }
                let end = self.line_end(node.span.end);
                let lines = self.below(target, indent);
                self.edits.push((end..end, lines));
                Some(())
            }
            Parent::Key(indent) if !is_flat && room.is_empty() => {
                let before = self
                    .text
                    .get(..node.span.start)?
                    .trim_end_matches(' ')
                    .len();
                let lines = self.below(target, indent);
                self.edits.push((before..node.span.end, lines));
                Some(())
            }
            _ if node.span.is_empty() => None,
            _ => {
                let value = emit::flow(target, parent.dialect());
                self.edits.push((node.span.clone(), value));
                Some(())
            }
        }
    }

    /// A value as the lines below a key, the key's own line end before them instead of after.
    fn below(&self, value: &Value, indent: usize) -> String {
        let indent = if value.is_array() {
            indent + self.layout.list
        } else {
            indent + self.layout.step
        };
        let lines = self.layout.block(value, indent);
        let lines = lines.strip_suffix(self.layout.newline).unwrap_or(&lines);
        format!("{}{lines}", self.layout.newline)
    }

    /// Adds whole lines after those of a node.
    fn append_lines(&mut self, node: &Node, lines: String) -> Option<()> {
        let end = node.span.end;
        // a text of many lines ends where the next line's content begins
        let content = self.text.get(..end)?.trim_end_matches(' ');
        if content.ends_with('\n') {
            self.edits.push((content.len()..content.len(), lines));
            return Some(());
        }
        let at = self.line_end(end);
        let lines = lines.strip_suffix(self.layout.newline).unwrap_or(&lines);
        self.edits
            .push((at..at, format!("{}{lines}", self.layout.newline)));
        Some(())
    }

    /// Adds to what is within brackets: each on a line of its own where the first entry has one.
    fn append_within(&mut self, last: &Node, first: usize, entries: &[String]) -> Option<()> {
        if last.span.is_empty() {
            return None;
        }
        let line = self.text.get(..first)?.rsplit('\n').next()?;
        let separator = if line.trim().is_empty() {
            format!(",{}{line}", self.layout.newline)
        } else {
            ", ".to_owned()
        };
        let end = last.span.end;
        let entries = entries.iter().map(|entry| format!("{separator}{entry}"));
        self.edits.push((end..end, entries.collect()));
        Some(())
    }

    /// What stands below a mapping or list whose first entry begins at a byte. What is within JSON stays JSON.
    fn parent_below(&self, node: &Node, first: usize, parent: Parent) -> Parent {
        if node.style == Style::Block {
            return Parent::Key(self.column(first));
        }
        if let Parent::Flow(dialect) = parent {
            return Parent::Flow(dialect);
        }
        let text = self.text.get(first..).unwrap_or_default();
        let is_quoted = text.trim_start_matches(['{', '[', ' ']).starts_with('"');
        Parent::Flow(if is_quoted {
            Dialect::Json
        } else {
            Dialect::Yaml
        })
    }

    fn dash(&self, item: &Node) -> Option<usize> {
        column_of_dash(self.text, item)
    }

    fn column(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        line.trim_start_matches('\u{feff}').chars().count()
    }

    /// The rest of a byte's line, without what ends it.
    fn rest_of_line(&self, at: usize) -> &str {
        let rest = self.text.get(at..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// Where the line of a byte ends, before what ends it.
    fn line_end(&self, at: usize) -> usize {
        at + self.rest_of_line(at).len()
    }

    /// The text with the edits. Those at one place are in the order in which they were made: inner ones first.
    fn apply(mut self) -> String {
        self.edits.sort_by_key(|(span, _)| span.start);
        let mut out = String::with_capacity(self.text.len() + 1024);
        let mut at = 0;
        for (span, new) in &self.edits {
            out.push_str(self.text.get(at..span.start).unwrap_or_default());
            out.push_str(new);
            at = span.end.max(at);
        }
        out + self.text.get(at..).unwrap_or_default()
    }
}

/// How far an item's dash is indented.
fn column_of_dash(text: &str, item: &Node) -> Option<usize> {
    let line = text.get(..item.span.start)?.rsplit('\n').next()?;
    let dash = line.rfind("- ")?;
    let between = line.get(dash + 1..)?.trim();
    let is_property = between.starts_with(['&', '!']);
    (between.is_empty() || is_property).then(|| line[..dash].chars().count())
}

impl Parent {
    fn dialect(self) -> Dialect {
        match self {
            Self::Flow(dialect) => dialect,
            _ => Dialect::Yaml,
        }
    }
}

/// The document anew, in the place of the old one.
fn rewrite(text: &str, root: &Node, target: &Value) -> String {
    let Span { start, end } = root.span;
    let before = text.get(..start).unwrap_or_default();
    let before = before.trim_end_matches(' ');
    let after = text.get(end..).unwrap_or_default();
    let after = after.trim_start_matches([' ', '\t']);
    let layout = layout(text, root);
    let indent = match &root.kind {
        Kind::Sequence(items) => items.last().and_then(|it| column_of_dash(text, it)),
        _ => None,
    };
    if root.style == Style::Flow {
        let json = format!("{target:#}").replace('\n', layout.newline);
        let space = if before.ends_with('-') { " " } else { "" };
        return format!("{before}{space}{json}{after}");
    }
    let begins_line = before.is_empty() || before.ends_with(['\n', '\u{feff}']);
    let begin = if begins_line { "" } else { layout.newline };
    let after = after.trim_start_matches(['\r', '\n']);
    let block = layout.block(target, indent.unwrap_or_default());
    format!("{before}{begin}{block}{after}")
}

/// The document anew, and nothing of its text beside it.
fn alone(text: &str, root: &Node, target: &Value) -> String {
    let layout = layout(text, root);
    format!("---{}{}", layout.newline, layout.block(target, 0))
}

/// The layout of the first mapping and the first list below a key; two spaces and none, as kubectl writes, where there
/// is none.
fn layout(text: &str, root: &Node) -> Layout {
    let mut layout = Layout {
        step: 2,
        list: 0,
        newline: if text.contains("\r\n") { "\r\n" } else { "\n" },
    };
    let editor = Editor {
        text,
        layout,
        edits: Vec::new(),
    };
    if let Some(step) = editor.indentation(root, &|node| matches!(node.kind, Kind::Mapping(_))) {
        layout.step = step;
    }
    if let Some(list) = editor.indentation(root, &|node| matches!(node.kind, Kind::Sequence(_))) {
        layout.list = list;
    }
    layout
}

impl Editor<'_> {
    /// How far the first value of some kind is indented below its key.
    fn indentation(&self, node: &Node, kind: &dyn Fn(&Node) -> bool) -> Option<usize> {
        if node.style != Style::Block {
            return None;
        }
        let below: Vec<(&Node, Option<usize>)> = match &node.kind {
            Kind::Scalar(_) => return None,
            Kind::Sequence(items) => items.iter().map(|item| (item, None)).collect(),
            Kind::Mapping(entries) => {
                let own = entries.iter().filter(|entry| !entry.merged);
                let column = |entry: &Entry| Some(self.column(entry.key_span.start));
                own.map(|entry| (&entry.value, column(entry))).collect()
            }
        };
        below.into_iter().find_map(|(value, key)| {
            let of_value = || {
                let column = match &value.kind {
                    Kind::Sequence(items) => self.dash(items.first()?)?,
                    _ => self.column(value.span.start),
                };
                column.checked_sub(key?)
            };
            let is_it = value.style == Style::Block && kind(value);
            is_it
                .then(of_value)
                .flatten()
                .or_else(|| self.indentation(value, kind))
        })
    }
}

#[cfg(test)]
mod tests;
