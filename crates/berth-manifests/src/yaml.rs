//! YAML as kubectl reads it, with the place of everything in its text.
//!
//! kubectl's reader is YAML 1.1 for scalars (`0400` is 256, `yes` is true), takes merge keys, and turns every key into a
//! string. A duplicate key is an error here, as it is to the API server.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StructureStyle};
use serde_json::{Map, Value};

pub mod edit;
mod emit;
mod scalar;

/// Aliases may repeat so many nodes in all: a short text can name an endless tree.
const MAX_NODES: usize = 1_000_000;
/// Aliases may nest the tree so deep.
const MAX_DEPTH: usize = 512;

/// A mapping with fewer entries is searched for a key one by one.
const FEW: usize = 32;

/// Bytes of the text.
pub type Place = Range<usize>;

/// Why a text is no YAML.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub place: Place,
}

impl Error {
    /// What to change in the text.
    #[must_use]
    pub fn help(&self, text: &str) -> &'static str {
        let at = self.place.start;
        let (before, after) = text.split_at_checked(at).unwrap_or_default();
        let start = before.rfind('\n').unwrap_or_default();
        let end = at + after.find('\n').unwrap_or(after.len());
        if text.get(start..end).is_some_and(|line| line.contains("{{")) {
            "a template is left in it: render it first, as with `helm template`"
        } else {
            "write it as kubectl would read it"
        }
    }
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands.
    pub place: Place,
    /// How it is written there.
    pub style: Style,
    /// What it is.
    pub kind: Kind,
}

/// How a node is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Style {
    /// By lines and indentation.
    Block,
    /// Within its line, or within brackets.
    Flow,
    /// As an alias of another node.
    Alias,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Neither list nor mapping.
    Scalar(Value),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping.
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// The value.
    pub value: Node,
    /// Whether it comes in by a merge key, and stands elsewhere.
    pub merged: bool,
}

/// Reads every document of a text; those without content are left out.
pub fn parse(text: &str) -> Result<Vec<Node>, Error> {
    // comments are skipped: the parser would bound how many may follow each other
    let options = granit_parser::options! { emit_comments: false };
    Reader {
        text,
        parser: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        nodes: 0,
        depth: 0,
    }
    .documents()
}

/// Writes YAML that every reader takes for the same, in the order of the keys' letters, as kubectl does.
#[allow(clippy::missing_panics_doc, reason = "no value of JSON is refused")]
#[must_use]
pub fn write(value: &Value) -> String {
    serde_saphyr::to_string(value).expect("all of JSON can be written as YAML")
}

/// The comments of a text, each without its `#`, and its place; of a text that is no YAML, those before the error.
#[must_use]
pub fn comments(text: &str) -> Vec<(Place, String)> {
    // however many follow each other: the text itself is the bound
    let options = granit_parser::options! { max_buffered_comment_events: usize::MAX };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let events = std::iter::from_fn(|| parser.next_event()?.ok());
    let comment = |(event, span): (Event<'_>, Span)| match event {
        Event::Comment(comment, _) => Some((span.byte_range()?, comment.into_owned())),
        _ => None,
    };
    events.filter_map(comment).collect()
}

impl Node {
    /// The value alone.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::Sequence(nodes) => nodes.iter().map(Self::to_json).collect(),
            Kind::Mapping(entries) => {
                let pairs = entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The text of a scalar string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// A mapping's entries; none where it is no mapping.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The place of a field, as `spec.pools[0].name`; of the nearest one above where it is absent.
    ///
    /// A scalar's place is its value's, anything else's its key's: a caret should mark one line.
    #[must_use]
    pub fn locate(&self, field: &str) -> Place {
        match self.walk(field) {
            (_, Some(value)) if value.is_marked_itself() => value.place.clone(),
            (key, _) => key,
        }
    }

    /// The place of a field's key.
    #[must_use]
    pub fn locate_key(&self, field: &str) -> Place {
        self.walk(field).0
    }

    /// Down a field's path as far as it goes: the last key's place, and its value.
    fn walk(&self, field: &str) -> (Place, Option<&Self>) {
        let (mut place, mut value) = (self.first_line(), None);
        let (mut node, mut rest) = (self, field);
        while !rest.is_empty() {
            let Some((key, below, after)) = node.step(rest) else {
                break;
            };
            (place, value) = (key, Some(below));
            (node, rest) = (below, after);
        }
        (place, value)
    }

    fn is_marked_itself(&self) -> bool {
        matches!(self.kind, Kind::Scalar(_)) && !self.place.is_empty()
    }

    /// One step down a field's path: the key's place, the value, and what remains of the path.
    fn step<'n, 'p>(&'n self, path: &'p str) -> Option<(Place, &'n Self, &'p str)> {
        match &self.kind {
            Kind::Scalar(_) => None,
            Kind::Sequence(nodes) => {
                let (index, after) = path.strip_prefix('[')?.split_once(']')?;
                let node = nodes.get(index.parse::<usize>().ok()?)?;
                Some((node.first_line(), node, after.trim_start_matches('.')))
            }
            // a key may have dots itself, so the keys are asked, not the path
            Kind::Mapping(entries) => entries.iter().find_map(|entry| {
                let after = path.strip_prefix(entry.key.as_str())?;
                let ends = after.is_empty() || after.starts_with(['.', '[']);
                ends.then(|| {
                    let after = after.strip_prefix('.').unwrap_or(after);
                    (entry.place.clone(), &entry.value, after)
                })
            }),
        }
    }

    fn first_line(&self) -> Place {
        match (&self.kind, self.entries().first()) {
            (Kind::Mapping(_), Some(first)) => first.place.clone(),
            _ => self.place.clone(),
        }
    }

    fn depth(&self) -> usize {
        let below = match &self.kind {
            Kind::Scalar(_) => None,
            Kind::Sequence(nodes) => nodes.iter().map(Self::depth).max(),
            Kind::Mapping(entries) => entries.iter().map(|entry| entry.value.depth()).max(),
        };
        1 + below.unwrap_or_default()
    }

    fn count(&self) -> usize {
        let below: usize = match &self.kind {
            Kind::Scalar(_) => 0,
            Kind::Sequence(nodes) => nodes.iter().map(Self::count).sum(),
            Kind::Mapping(entries) => entries.iter().map(|entry| entry.value.count()).sum(),
        };
        1 + below
    }
}

/// Builds the trees from the parser's events.
struct Reader<'t> {
    text: &'t str,
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn documents(mut self) -> Result<Vec<Node>, Error> {
        let mut documents = Vec::new();
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(documents),
                (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {
                    self.anchors.clear();
                }
                (event, span) => {
                    let node = self.node(event, &span)?;
                    if !matches!(node.kind, Kind::Scalar(Value::Null)) {
                        documents.push(node);
                    }
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Error> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.malformed(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, span: &Span) -> Result<Node, Error> {
        let mut place = self.place(span);
        self.nodes += 1;
        let (anchor, style, kind) = match event {
            Event::Alias(id) => return self.alias(id, place),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let over_lines = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let style = if over_lines {
                    Style::Block
                } else {
                    Style::Flow
                };
                let tag = tag.as_deref().and_then(|tag| tag.core_suffix());
                let value = scalar::resolve(&text, plain, tag).map_err(|message| Error {
                    message,
                    place: place.clone(),
                })?;
                (anchor, style, Kind::Scalar(value))
            }
            Event::SequenceStart(style, anchor, _) => {
                (anchor, style.into(), self.sequence(&mut place)?)
            }
            Event::MappingStart(style, anchor, _) => {
                (anchor, style.into(), self.mapping(&mut place)?)
            }
            // the parser gives no node another beginning
            _ => {
                let message = "not YAML: no value begins here".to_owned();
                return Err(Error { message, place });
            }
        };
        let node = Node { place, style, kind };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn sequence(&mut self, place: &mut Place) -> Result<Kind, Error> {
        self.depth += 1;
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, span) => {
                    self.depth -= 1;
                    place.end = self.place(&span).end;
                    return Ok(Kind::Sequence(nodes));
                }
                (event, span) => nodes.push(self.node(event, &span)?),
            }
        }
    }

    fn mapping(&mut self, place: &mut Place) -> Result<Kind, Error> {
        self.depth += 1;
        let (mut entries, mut merged) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        loop {
            match self.next()? {
                (Event::MappingEnd, span) => {
                    self.depth -= 1;
                    place.end = self.place(&span).end;
                    break;
                }
                (event, span) => {
                    let is_merge_key = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
                    let key = self.node(event, &span)?;
                    let (event, span) = self.next()?;
                    let value = self.node(event, &span)?;
                    if is_merge_key {
                        merge(value, &mut merged)?;
                    } else {
                        insert(&mut entries, &mut seen, key, value)?;
                    }
                }
            }
        }
        // what the mapping says itself wins over what it merges
        for entry in merged {
            if !entries.iter().any(|own: &Entry| own.key == entry.key) {
                entries.push(Entry {
                    merged: true,
                    ..entry
                });
            }
        }
        Ok(Kind::Mapping(entries))
    }

    fn alias(&mut self, id: usize, place: Place) -> Result<Node, Error> {
        let Some(node) = self.anchors.get(&id) else {
            let message = "an alias within its own anchor never ends: write it out".to_owned();
            return Err(Error { message, place });
        };
        self.nodes += node.count();
        if self.nodes > MAX_NODES || self.depth + node.depth() > MAX_DEPTH {
            let message = "aliases repeat too much: write it out".to_owned();
            return Err(Error { message, place });
        }
        Ok(Node {
            place,
            style: Style::Alias,
            kind: node.kind.clone(),
        })
    }

    fn malformed(&self, error: &ScanError) -> Error {
        let at = error.marker().byte_offset().unwrap_or_default();
        let at = self.text.floor_char_boundary(at);
        Error {
            // the place is said by the marker, and not again
            message: format!("not YAML: {}", error.info()),
            place: at..at,
        }
    }

    fn place(&self, span: &Span) -> Place {
        span.byte_range()
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

impl PartialEq<Value> for Node {
    fn eq(&self, value: &Value) -> bool {
        match (&self.kind, value) {
            (Kind::Sequence(nodes), Value::Array(values)) => nodes == values,
            (Kind::Mapping(entries), Value::Object(fields)) => {
                let same =
                    |entry: &Entry| fields.get(&entry.key).is_some_and(|it| entry.value == *it);
                entries.len() == fields.len() && entries.iter().all(same)
            }
            (Kind::Scalar(scalar), value) => scalar == value,
            _ => false,
        }
    }
}

fn insert(
    entries: &mut Vec<Entry>,
    seen: &mut HashSet<String>,
    key: Node,
    value: Node,
) -> Result<(), Error> {
    let place = key.place;
    let key = match key.kind {
        Kind::Scalar(Value::String(text)) => text,
        Kind::Scalar(other) => other.to_string(),
        Kind::Sequence(_) | Kind::Mapping(_) => {
            let message = "a key must be a string".to_owned();
            return Err(Error { message, place });
        }
    };
    if is_known(&key, entries, seen) {
        let message = format!("duplicate key {key:?}: leave one of them out");
        return Err(Error { message, place });
    }
    entries.push(Entry {
        key,
        place,
        value,
        merged: false,
    });
    Ok(())
}

/// Whether a mapping has a key already. The keys of a large one are `seen`: not each is held against all others.
fn is_known(key: &str, entries: &[Entry], seen: &mut HashSet<String>) -> bool {
    if entries.len() < FEW {
        return entries.iter().any(|entry| entry.key == key);
    }
    if seen.is_empty() {
        seen.extend(entries.iter().map(|entry| entry.key.clone()));
    }
    !seen.insert(key.to_owned())
}

/// Takes in a mapping, or a list of mappings of which the first has the last word.
fn merge(value: Node, merged: &mut Vec<Entry>) -> Result<(), Error> {
    match value.kind {
        Kind::Mapping(entries) => {
            for entry in entries {
                if !merged.iter().any(|earlier| earlier.key == entry.key) {
                    merged.push(entry);
                }
            }
            Ok(())
        }
        Kind::Sequence(nodes) => nodes.into_iter().try_for_each(|node| merge(node, merged)),
        Kind::Scalar(_) => Err(Error {
            message: "<< merges a mapping, or a list of mappings".to_owned(),
            place: value.place,
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Vec<Value> {
        let documents = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        documents.iter().map(Node::to_json).collect()
    }

    fn refusal(text: &str) -> (String, &str) {
        let error = parse(text).expect_err(text);
        (error.message, &text[error.place])
    }

    #[test]
    fn documents_are_read_and_empty_ones_left_out() {
        let text = "# only a comment\n---\na: 1\n---\n---\r\nb:\r\n- x\r\n...\n---\n{\"c\": \"\\u003c\"}\n";
        assert_eq!(
            read(text),
            [json!({"a": 1}), json!({"b": ["x"]}), json!({"c": "<"})]
        );
        assert_eq!(read("\u{feff}a: b"), [json!({"a": "b"})]);
        assert_eq!(read(""), Vec::<Value>::new());
    }

    #[test]
    fn anchors_and_merge_keys_are_read_as_kubectl_reads_them() {
        let text = "base: &b {x: 1, z: 2}\none: {<<: *b, z: 3}\ntwo:\n  <<: [{x: 9}, *b]\n  y: 1\n";
        let read = read(text).remove(0);
        assert_eq!(read["one"], json!({"x": 1, "z": 3}));
        // to kubectl, a bare y is true even as a key
        assert_eq!(read["two"], json!({"true": 1, "x": 9, "z": 2}));
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        assert_eq!(refusal("a: 1\nb: 2\na: 3").1, "a");
        assert!(
            refusal("a: 1\nb: 2\na: 3")
                .0
                .contains("duplicate key \"a\"")
        );
        let large: Vec<String> = (0..100).map(|i| format!("k{}: 1", i % 99)).collect();
        assert_eq!(refusal(&large.join("\n")).1, "k0");
        assert!(refusal("a: &a [*a]").0.contains("never ends"));
        assert!(refusal("a:\n\tb: 1").0.contains("not YAML"));
        assert!(refusal("{[1]: 2}").0.contains("key"));
        assert!(refusal("a: {{ .Values.x }}").0.contains("key"));
        assert!(refusal("a: .inf").0.contains("number"));
        let mut laughs = "a0: &a0 [x, x]\n".to_owned();
        for i in 1..40 {
            let line = format!("a{i}: &a{i} [*a{}, *a{}]\n", i - 1, i - 1);
            laughs.push_str(&line);
        }
        assert!(refusal(&laughs).0.contains("too much"));
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let long = "x ".repeat(100);
        let texts = [
            "yes",
            "n",
            "on",
            "null",
            "~",
            "",
            "0400",
            "1e3",
            "1:30",
            "0x1F",
            "1_000",
            "2001-01-01",
            ".5",
            "-",
            "- a",
            "a: b",
            "a #b",
            "#",
            "*a",
            "&a",
            "{{ .Values.x }}",
            " a ",
            "a\nb\n",
            "a\n\n",
            "\ttab",
            "\u{1b}",
            "é",
            "'",
            "\"",
            "<<",
            "=",
            &long,
        ];
        let value = json!({"texts": texts, "n": [0, -1, 1.5, u64::MAX], "none": [null, [], {}, true],
            "keys": texts.iter().map(|text| ((*text).to_owned(), json!(1))).collect::<Map<_, _>>()});
        let text = write(&value);
        assert_eq!(read(&text), [value], "{text}");
    }

    #[test]
    fn comments_are_told_from_text_that_looks_like_one() {
        let text = "# one\na: b # two\nc: |\n  # text\nd: \"# text\"\ne: x#y\n---\n#three";
        let found: Vec<_> = comments(text)
            .into_iter()
            .map(|(place, comment)| (text[place].to_owned(), comment))
            .collect();
        let pair = |comment: &str| (format!("#{comment}"), comment.to_owned());
        assert_eq!(found, [pair(" one"), pair(" two"), pair("three")]);
        let many = "# x\n".repeat(1_000);
        for text in [
            format!("a: b\n{many}c: d # y\n"),
            format!("a:\n{many}  c: d # y\n"),
            format!("a:\n{many}- c # y\n"),
            format!("{many}---\na: b # y\n"),
            format!("a: b\n---\n{many}a: b # y\n"),
        ] {
            assert_eq!(
                comments(&text).len(),
                1_001,
                "{}",
                text.replace("# x\n", "")
            );
        }
    }

    #[test]
    fn a_field_is_found_in_its_text() {
        let text = "spec:\n  pools:\n  - name: x\n  - name: yy\n  labels:\n    a.b/c: v\n";
        let root = parse(text).unwrap().remove(0);
        for (field, expected) in [
            ("spec.pools[1].name", "yy"),
            ("spec.pools[1].missing", "name"),
            ("spec.pools[7].name", "pools"),
            ("spec.pools", "pools"),
            ("spec.labels.a.b/c", "v"),
            ("spec.missing.too", "spec"),
            ("", "spec"),
        ] {
            assert_eq!(&text[root.locate(field)], expected, "{field}");
        }
    }
}
