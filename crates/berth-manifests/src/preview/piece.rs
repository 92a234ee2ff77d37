//! A long List in pieces: however many items it has, the trees of a few of them are held at a time.

use std::borrow::Cow;

use serde_json::Value;

use super::document::FORM;
use crate::{
    diagnostic::SourceText,
    yaml::{self, Entry, Items, Kind, Node, Read, Span, Style},
};

/// A document with fewer bytes is one piece.
const LONG: usize = 256 << 10;
/// Items of so many bytes are a piece: their trees take some tens of it.
const BYTES: usize = 32 << 10;

/// A part of a document's text that is previewed by itself. All of a document's pieces are all of its text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Piece {
    /// Its bytes of the document's text.
    pub span: Span,
    holds: Holds,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Holds {
    Document,
    /// What stands before, between and after items.
    Frame,
    Items {
        /// How many items come before them.
        first: usize,
        style: Style,
    },
}

/// A piece that was read.
pub(super) struct Parsed<'s> {
    /// What was given to the parser.
    pub(super) text: Cow<'s, str>,
    /// What the parser found, its spans in that text.
    pub(super) read: Read,
}

/// The pieces of a document, in their order: one, unless it is a long List whose items mean the same by themselves.
#[must_use]
pub fn pieces(source: &SourceText) -> Vec<Piece> {
    pieces_of(&source.text, LONG, BYTES).unwrap_or_else(|| {
        vec![Piece {
            span: 0..source.text.len(),
            holds: Holds::Document,
        }]
    })
}

fn pieces_of(text: &str, long: usize, bytes: usize) -> Option<Vec<Piece>> {
    // a comment that suppresses may speak of the whole document
    if text.len() < long || text.contains(FORM.mark) {
        return None;
    }
    let Items { spans, style } = yaml::items(text)?;
    let mut pieces = Vec::new();
    let (mut first, mut at) = (0, 0);
    while first < spans.len() {
        let rest = spans.get(first..)?;
        let start = rest.first()?.start;
        let count = rest.iter().take_while(|it| it.start < start + bytes);
        let count = count.count().max(1);
        let begin = begin(text, rest.first()?, style)?;
        let end = match (style, spans.get(first + count)) {
            (Style::Flow, _) => rest.get(count - 1)?.end,
            (_, Some(next)) => self::begin(text, next, style)?,
            (_, None) => end_of_lines(text, rest.get(count - 1)?.end),
        };
        if at < begin {
            pieces.push(Piece {
                span: at..begin,
                holds: Holds::Frame,
            });
        }
        let holds = Holds::Items { first, style };
        pieces.push(Piece {
            span: begin..end,
            holds,
        });
        at = end;
        first += count;
    }
    if at < text.len() {
        pieces.push(Piece {
            span: at..text.len(),
            holds: Holds::Frame,
        });
    }
    Some(pieces)
}

/// Where an item begins: with its line where the list is one by lines. Nothing where more than a dash is before it.
fn begin(text: &str, item: &Span, style: Style) -> Option<usize> {
    if style == Style::Flow {
        return Some(item.start);
    }
    let before = text.get(..item.start)?;
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    let is_dash = before.get(line..)?.trim() == "-";
    is_dash.then_some(line)
}

/// Where the lines of an item end. One that ends with a text of many lines ends where the next content begins.
fn end_of_lines(text: &str, at: usize) -> usize {
    let content = text.get(..at).unwrap_or_default().trim_end_matches(' ');
    if content.ends_with('\n') {
        return content.len();
    }
    let rest = text.get(at..).unwrap_or_default();
    rest.find('\n').map_or(text.len(), |end| at + end + 1)
}

impl Piece {
    /// How many items of its List come before its own.
    pub(super) fn first(&self) -> usize {
        match self.holds {
            Holds::Items { first, .. } => first,
            Holds::Document | Holds::Frame => 0,
        }
    }

    /// Whether it is a whole document.
    pub(super) fn is_document(&self) -> bool {
        self.holds == Holds::Document
    }

    /// Reads its text.
    pub(super) fn parse<'s>(&self, source: &'s SourceText) -> Parsed<'s> {
        let text = source.text.get(self.span.clone()).unwrap_or_default();
        let text = match self.holds {
            Holds::Frame => Cow::Borrowed(""),
            _ if self.is_bracketed() => Cow::Owned(format!("[{text}]")),
            _ => Cow::Borrowed(text),
        };
        Parsed {
            read: yaml::read(&text),
            text,
        }
    }

    /// Where a span of its text stands in the document's.
    pub(super) fn span_in_document(&self, span: &Span) -> Span {
        let bracket = usize::from(self.is_bracketed());
        let at = |at: usize| (self.span.start + at).saturating_sub(bracket);
        at(span.start)..at(span.end)
    }

    /// The items as the List that they are of, with nothing in the place of those before them.
    pub(super) fn in_document(&self, node: Node) -> Node {
        if self.is_document() {
            return node;
        }
        let Kind::Sequence(items) = &node.kind else {
            return node;
        };
        let nothing = Node {
            span: node.span.start..node.span.start,
            style: Style::Flow,
            kind: Kind::Scalar(Value::Null),
        };
        let before = std::iter::repeat_n(nothing, self.first());
        let items: Vec<Node> = before.chain(items.iter().cloned()).collect();
        let list = Node {
            span: node.span.clone(),
            style: node.style,
            kind: Kind::Sequence(items.into()),
        };
        let entry = Entry {
            key: "items".to_owned(),
            key_span: node.span.start..node.span.start,
            value: list,
            merged: false,
        };
        Node {
            kind: Kind::Mapping(vec![entry].into()),
            ..node
        }
    }

    /// The value of a node that [`in_document`](Self::in_document) gave.
    pub(super) fn value(&self, root: &Node) -> Value {
        let mut value = root.to_json();
        if let (Holds::Items { .. }, Value::Object(fields)) = (self.holds, &mut value) {
            fields.insert("apiVersion".to_owned(), "v1".into());
            fields.insert("kind".to_owned(), "List".into());
        }
        value
    }

    /// What its text means after a change of the document.
    pub(super) fn target<'v>(&self, patched: &'v Value) -> Cow<'v, Value> {
        if self.is_document() {
            return Cow::Borrowed(patched);
        }
        let items = patched["items"].as_array();
        let items = items.and_then(|items| items.get(self.first()..));
        Cow::Owned(items.unwrap_or_default().into())
    }

    /// A changed text of what was given to the parser, as it stands in the document.
    pub(super) fn text_in_document(&self, text: String) -> String {
        if !self.is_bracketed() {
            return text;
        }
        let within = text.trim().strip_prefix('[');
        let within = within.and_then(|it| it.strip_suffix(']'));
        within.map(str::to_owned).unwrap_or(text)
    }

    /// Items of JSON, or of YAML within brackets, are read with brackets of their own.
    fn is_bracketed(&self) -> bool {
        let flow = Style::Flow;
        matches!(self.holds, Holds::Items { style, .. } if style == flow)
    }
}

#[cfg(test)]
mod tests;
