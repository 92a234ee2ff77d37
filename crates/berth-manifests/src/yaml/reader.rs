//! From the parser's events to trees.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, StructureStyle};
use serde_json::Value;

use super::{Entry, Error, Kind, Node, Span, Style, scalar};

mod items;

pub use items::{Items, items};

/// Aliases may repeat so many nodes in all: a short text can name an endless tree. kubectl's reader takes as many.
const MAX_REPEATED: usize = 400_000;
/// Aliases may nest the tree so deep.
const MAX_DEPTH: usize = 512;

/// A mapping with fewer entries is searched for a key one by one.
const FEW: usize = 32;

/// So many errors of a text are told at most.
const MAX_ERRORS: usize = 20;

/// What was read of a text.
#[derive(Debug)]
pub struct Read {
    /// The documents; those without content are left out.
    pub documents: Vec<Node>,
    /// Why not all of it could be read.
    pub errors: Vec<Error>,
    /// Keys that a mapping has twice: the last one counts, as it does to kubectl and helm. Twenty are told.
    pub duplicates: Vec<Error>,
}

/// Reads every document of a text; those without content are left out. A duplicate key is an error.
pub fn parse(text: &str) -> Result<Vec<Node>, Error> {
    let read = read(text);
    let errors = read.errors.into_iter().chain(read.duplicates);
    let first = errors.min_by_key(|error| error.span.start);
    first.map_or(Ok(read.documents), Err)
}

/// Reads every document of a text as far as it can be read, and tells all that is wrong with it: a number that is none
/// does not hide what comes after it.
#[must_use]
pub fn read(text: &str) -> Read {
    reader(text).documents()
}

fn reader(text: &str) -> Reader<'_> {
    // comments are skipped: the parser would bound how many may follow each other
    let options = granit_parser::options! { emit_comments: false };
    Reader {
        text,
        parser: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        nodes: 0,
        repeated: 0,
        depth: 0,
        deepest: 0,
        end: 0,
        errors: Vec::new(),
        duplicates: Vec::new(),
    }
}

/// The comments of a text, each without its `#`, and its span; of a text that is not YAML, those before the error.
#[must_use]
pub fn comments(text: &str) -> Vec<(Span, String)> {
    // however many follow each other: the text itself is the bound
    let options = granit_parser::options! { max_buffered_comment_events: usize::MAX };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let events = std::iter::from_fn(|| parser.next_event()?.ok());
    let comment = |(event, at): (Event<'_>, granit_parser::Span)| match event {
        Event::Comment(comment, _) => Some((at.byte_range()?, comment.into_owned())),
        _ => None,
    };
    events.filter_map(comment).collect()
}

/// Builds the trees from the parser's events.
struct Reader<'t> {
    text: &'t str,
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    anchors: HashMap<usize, Anchor>,
    /// How many nodes there are so far, those that aliases repeat among them.
    nodes: usize,
    /// How many of them aliases repeat.
    repeated: usize,
    depth: usize,
    /// How deep the node that is read has become.
    deepest: usize,
    /// Where what has been read so far ends in the text.
    end: usize,
    /// What is wrong, and did not keep the rest from being read.
    errors: Vec<Error>,
    /// What is there twice.
    duplicates: Vec<Error>,
}

/// What an alias stands for: shared, and measured once.
struct Anchor {
    node: Node,
    nodes: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn documents(mut self) -> Read {
        let mut documents = Vec::new();
        if let Err(error) = self.all(&mut documents) {
            self.errors.push(error);
        }
        Read {
            documents,
            errors: self.errors,
            duplicates: self.duplicates,
        }
    }

    fn all(&mut self, documents: &mut Vec<Node>) -> Result<(), Error> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {
                    self.anchors.clear();
                }
                (event, span) => {
                    let node = self.node(event, span)?;
                    if !matches!(node.kind, Kind::Scalar(Value::Null)) {
                        documents.push(node);
                    }
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Error> {
        match self.parser.next_event() {
            Some(Ok((event, at))) => Ok((event, self.span(&at))),
            Some(Err(error)) => Err(self.invalid(&error)),
            None => Ok((Event::StreamEnd, 0..0)),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span) -> Result<Node, Error> {
        let (nodes, deepest) = (self.nodes, self.deepest);
        self.deepest = self.depth;
        let (anchor, node) = self.read(event, span)?;
        if anchor > 0 {
            let of_anchor = Anchor {
                node: node.clone(),
                nodes: self.nodes - nodes,
                depth: self.deepest - self.depth + 1,
            };
            self.anchors.insert(anchor, of_anchor);
        }
        self.deepest = self.deepest.max(deepest);
        Ok(node)
    }

    /// A node, and the number of its anchor; 0 where it has none.
    fn read(&mut self, event: Event<'t>, mut span: Span) -> Result<(usize, Node), Error> {
        self.nodes += 1;
        self.end = self.end.max(span.end);
        let (anchor, style, kind) = match event {
            Event::Alias(id) => return Ok((0, self.alias(id, span)?)),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let over_lines = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let style = if over_lines {
                    Style::Block
                } else {
                    Style::Flow
                };
                let tag = tag.as_deref().and_then(|tag| tag.core_suffix());
                let value = match scalar::resolve(&text, plain, tag) {
                    Ok(value) => value,
                    Err(message) => {
                        let span = span.clone();
                        self.note(Error { message, span })?;
                        Value::Null
                    }
                };
                (anchor, style, Kind::Scalar(value))
            }
            Event::SequenceStart(style, anchor, _) => {
                let kind = self.sequence()?;
                span.end = self.end;
                (anchor, style.into(), kind)
            }
            Event::MappingStart(style, anchor, _) => {
                let kind = self.mapping()?;
                span.end = self.end;
                (anchor, style.into(), kind)
            }
            // the parser gives no node another beginning
            _ => {
                let message = "not YAML: no value begins here".to_owned();
                return Err(Error { message, span });
            }
        };
        Ok((anchor, Node { span, style, kind }))
    }

    /// One level deeper, until the list or mapping ends there.
    fn deeper(&mut self) {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
    }

    /// A list or a mapping ends: one by lines with the last of its content, one within brackets with its bracket.
    fn ends(&mut self, at: &Span) {
        self.depth -= 1;
        if self
            .text
            .get(at.clone())
            .is_some_and(|it| !it.trim().is_empty())
        {
            self.end = self.end.max(at.end);
        }
    }

    fn sequence(&mut self) -> Result<Kind, Error> {
        self.deeper();
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, end) => {
                    self.ends(&end);
                    return Ok(Kind::Sequence(Rc::new(nodes)));
                }
                (event, span) => nodes.push(self.node(event, span)?),
            }
        }
    }

    fn mapping(&mut self) -> Result<Kind, Error> {
        self.deeper();
        let (mut entries, mut merged) = (Vec::new(), Vec::new());
        let mut seen = HashMap::new();
        loop {
            match self.next()? {
                (Event::MappingEnd, end) => {
                    self.ends(&end);
                    break;
                }
                (event, span) => {
                    let is_merge_key = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
                    let key = self.node(event, span)?;
                    let (event, span) = self.next()?;
                    let value = self.node(event, span)?;
                    let taken = if is_merge_key {
                        merge(&value, &mut merged)
                    } else {
                        self.insert(&mut entries, &mut seen, key, value)
                    };
                    taken.or_else(|error| self.note(error))?;
                }
            }
        }
        // what the mapping says itself wins over what it merges
        let mut seen: HashSet<String> = if merged.is_empty() {
            HashSet::new()
        } else {
            entries.iter().map(|own: &Entry| own.key.clone()).collect()
        };
        merged.retain(|entry: &Entry| seen.insert(entry.key.clone()));
        entries.extend(merged);
        Ok(Kind::Mapping(Rc::new(entries)))
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node, Error> {
        let Some(anchor) = self.anchors.get(&id) else {
            let message = "an alias within its own anchor never ends: write it out".to_owned();
            return Err(Error { message, span });
        };
        self.nodes += anchor.nodes;
        self.repeated += anchor.nodes;
        self.deepest = self.deepest.max(self.depth + anchor.depth);
        if self.repeated > MAX_REPEATED || self.deepest > MAX_DEPTH {
            let message = "aliases repeat too much: write it out".to_owned();
            return Err(Error { message, span });
        }
        Ok(Node {
            span,
            style: Style::Alias,
            kind: anchor.node.kind.clone(),
        })
    }

    /// Takes in a key and its value; a key that is there already gets the new value.
    fn insert(
        &mut self,
        entries: &mut Vec<Entry>,
        seen: &mut HashMap<String, usize>,
        key: Node,
        value: Node,
    ) -> Result<(), Error> {
        let key_span = key.span;
        let key = match key.kind {
            Kind::Scalar(Value::String(text)) => text,
            Kind::Scalar(other) => other.to_string(),
            Kind::Sequence(_) | Kind::Mapping(_) => {
                let message =
                    "a key is one text or number, and no list or mapping: quote it".to_owned();
                return Err(Error {
                    message,
                    span: key_span,
                });
            }
        };
        let known = known(&key, entries, seen);
        if known.is_some() && self.duplicates.len() < MAX_ERRORS {
            let key = berth_core::shown::quoted(&key);
            self.duplicates.push(Error {
                message: format!("duplicate key {key}: leave one of them out"),
                span: key_span.clone(),
            });
        }
        let entry = Entry {
            key,
            key_span,
            value,
            merged: false,
        };
        match known.and_then(|at| entries.get_mut(at)) {
            Some(earlier) => *earlier = entry,
            None => entries.push(entry),
        }
        Ok(())
    }

    /// Keeps an error after which the rest can be read; one too many ends the reading.
    fn note(&mut self, error: Error) -> Result<(), Error> {
        if self.errors.len() + 1 >= MAX_ERRORS {
            return Err(error);
        }
        self.errors.push(error);
        Ok(())
    }

    fn invalid(&self, error: &ScanError) -> Error {
        let at = error.marker().byte_offset().unwrap_or_default();
        // without the marker's words: the span says where
        Error::of_scan(self.text, self.text.floor_char_boundary(at), &error.info())
    }

    fn span(&self, at: &granit_parser::Span) -> Span {
        at.byte_range()
            .filter(|range| self.text.get(range.clone()).is_some())
            .unwrap_or(0..0)
    }
}

impl From<StructureStyle> for Style {
    fn from(style: StructureStyle) -> Self {
        match style {
            StructureStyle::Block => Self::Block,
            StructureStyle::Flow => Self::Flow,
        }
    }
}

/// The index of a key that a mapping has already. The keys of a large one are `seen`: not each is held against all others.
fn known(key: &str, entries: &[Entry], seen: &mut HashMap<String, usize>) -> Option<usize> {
    if entries.len() < FEW {
        return entries.iter().position(|entry| entry.key == key);
    }
    if seen.is_empty() {
        let keys = entries.iter().map(|entry| entry.key.clone());
        seen.extend(keys.zip(0..));
    }
    let known = seen.get(key).copied();
    if known.is_none() {
        seen.insert(key.to_owned(), entries.len());
    }
    known
}

/// Takes in a mapping, or a list of mappings of which the first has the last word.
fn merge(value: &Node, merged: &mut Vec<Entry>) -> Result<(), Error> {
    match &value.kind {
        Kind::Mapping(entries) => {
            merged.extend(entries.iter().map(|entry| Entry {
                merged: true,
                ..entry.clone()
            }));
            Ok(())
        }
        Kind::Sequence(nodes) => nodes.iter().try_for_each(|node| merge(node, merged)),
        Kind::Scalar(_) => Err(Error {
            message: "<< merges a mapping, or a list of mappings".to_owned(),
            span: value.span.clone(),
        }),
    }
}
