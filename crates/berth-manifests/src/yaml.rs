//! YAML as kubectl reads it, with the span of everything in its text.
//!
//! kubectl's reader is YAML 1.1 for scalars (`0400` is 256, `yes` is true), takes merge keys, and turns every key into a
//! string. Of a key that is there twice, kubectl takes the last one; where a text is ours, that is an error.

use std::{borrow::Cow, ops::Range, rc::Rc};

use serde_json::{Map, Value};

use berth_core::field::{self, Step};

pub mod edit;
pub(crate) mod emit;
mod kind;
mod reader;
mod scalar;

pub use reader::{Items, Read, comments, items, parse, read};

/// Bytes of the text.
pub type Span = Range<usize>;

/// Why a text is not YAML.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
}

/// How it begins where the parser gives up.
const NOT_YAML: &str = "not YAML";
/// What is said of a tab where YAML takes none.
const TAB: &str = "not YAML: tabs disallowed as indentation";

impl Error {
    /// What the parser says of a place. It is a line early for a tab, which is found here again.
    fn of_scan(text: &str, at: usize, info: &str) -> Self {
        let tab = info.contains("tab").then(|| tab_near(text, at)).flatten();
        match tab {
            Some(tab) => Self {
                message: TAB.to_owned(),
                span: tab..tab + 1,
            },
            None => Self {
                message: format!(
                    "{NOT_YAML}: {}",
                    plain(info, text.get(at..).unwrap_or_default())
                ),
                span: at..at,
            },
        }
    }

    /// Whether its line is a template's, which is no YAML before it is rendered.
    #[must_use]
    pub fn is_of_template(&self, text: &str) -> bool {
        let at = self.span.start;
        let (before, after) = text.split_at_checked(at).unwrap_or_default();
        let start = before.rfind('\n').unwrap_or_default();
        let end = at + after.find('\n').unwrap_or(after.len());
        text.get(start..end).is_some_and(|line| line.contains("{{"))
    }

    /// What to change in the text, where the message does not say it.
    #[must_use]
    pub fn help(&self, text: &str) -> Option<&'static str> {
        if self.message == TAB {
            Some("write spaces for it")
        } else if self.is_of_template(text) {
            Some("a template is left in it: render it first, as with `helm template`")
        } else if self.message.starts_with(NOT_YAML) {
            Some("check the quotes, the brackets and the indentation here and on the line above")
        } else {
            None
        }
    }
}

/// What the parser says, but with a character as JSON writes it.
fn plain<'i>(info: &'i str, from: &str) -> Cow<'i, str> {
    let character = from.chars().next().map(String::from).unwrap_or_default();
    if info.starts_with("unexpected character") && !character.is_empty() {
        let character = berth_core::shown::quoted(&character);
        Cow::Owned(format!("unexpected character {character}"))
    } else {
        Cow::Borrowed(info)
    }
}

/// A value and its span.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
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
    /// A list; an alias shares it with its anchor.
    Sequence(Rc<Vec<Node>>),
    /// A mapping; an alias shares it with its anchor.
    Mapping(Rc<Vec<Entry>>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
    /// Whether it comes in by a merge key, and stands elsewhere.
    pub merged: bool,
}

/// Writes YAML that every reader takes for the same, in the order of the keys' letters, as kubectl does.
#[allow(clippy::missing_panics_doc, reason = "no value of JSON is refused")]
#[must_use]
pub fn write(value: &Value) -> String {
    serde_saphyr::to_string(value).expect("all of JSON can be written as YAML")
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

    /// A mapping's entries; none where it is another kind of node.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The span of a field, as `spec.pools[0].name`; of the nearest one above where it is absent.
    ///
    /// A scalar's span is its value's, anything else's its key's: a caret should mark one line.
    #[must_use]
    pub fn locate(&self, field: &str) -> Span {
        match self.walk(field) {
            (_, Some(value)) if value.is_marked_itself() => value.span.clone(),
            (key, _) => key,
        }
    }

    /// The value of a field, where it is there.
    #[must_use]
    pub fn at(&self, field: &str) -> Option<&Self> {
        let (mut node, mut rest) = (self, field);
        while !rest.is_empty() {
            (_, node, rest) = node.step(rest)?;
        }
        Some(node)
    }

    /// The span of a field's key.
    #[must_use]
    pub fn locate_key(&self, field: &str) -> Span {
        self.walk(field).0
    }

    /// Down a field's path as far as it goes: the last key's span, and its value.
    fn walk(&self, field: &str) -> (Span, Option<&Self>) {
        let (mut span, mut value) = (self.first_line(), None);
        let (mut node, mut rest) = (self, field);
        while !rest.is_empty() {
            let Some((key, below, after)) = node.step(rest) else {
                break;
            };
            (span, value) = (key, Some(below));
            (node, rest) = (below, after);
        }
        (span, value)
    }

    fn is_marked_itself(&self) -> bool {
        matches!(self.kind, Kind::Scalar(_)) && !self.span.is_empty()
    }

    /// One step down a field's path: the key's span, the value, and what remains of the path.
    fn step<'n, 'p>(&'n self, path: &'p str) -> Option<(Span, &'n Self, &'p str)> {
        let (step, rest) = field::first(path)?;
        match (&self.kind, step) {
            (Kind::Sequence(nodes), Step::Index(index)) => {
                let node = nodes.get(index)?;
                Some((node.first_line(), node, rest))
            }
            (Kind::Mapping(entries), Step::Key(key)) => {
                let mut entries = entries.iter();
                let entry = entries.find(|entry| entry.key == key)?;
                Some((entry.key_span.clone(), &entry.value, rest))
            }
            _ => None,
        }
    }

    fn first_line(&self) -> Span {
        match (&self.kind, self.entries().first()) {
            (Kind::Mapping(_), Some(first)) => first.key_span.clone(),
            _ => self.span.clone(),
        }
    }
}

impl PartialEq<Value> for Node {
    fn eq(&self, value: &Value) -> bool {
        match (&self.kind, value) {
            (Kind::Sequence(nodes), Value::Array(values)) => **nodes == *values,
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

/// The first tab that indents a line, from a place's own line on.
fn tab_near(text: &str, at: usize) -> Option<usize> {
    let mut start = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    for line in text.get(start..)?.split_inclusive('\n') {
        let blanks = line.find(|c: char| !c.is_whitespace());
        let blanks = line.get(..blanks.unwrap_or(line.len()))?;
        if let Some(tab) = blanks.find('\t') {
            return Some(start + tab);
        }
        start += line.len();
    }
    None
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
        (error.message, &text[error.span])
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
    fn of_a_key_that_is_there_twice_the_last_one_counts() {
        let lines = (0..100).map(|i| format!("k{}: {i}\n", i % 99));
        let large = lines.collect::<Vec<_>>().concat();
        for (text, expected) in [
            ("a: 1\nb: 2\na: 3\n", json!({"a": 3, "b": 2})),
            ("a: {x: 1}\na: {z: 1}\n", json!({"a": {"z": 1}})),
        ] {
            let read = super::read(text);
            assert_eq!(read.documents[0].to_json(), expected);
            assert!(read.errors.is_empty());
            assert_eq!(&text[read.duplicates[0].span.clone()], "a");
        }
        let read = super::read(&large);
        assert_eq!(read.documents[0].to_json()["k0"], 99);
        assert_eq!(read.duplicates.len(), 1);
        let many = "a: 1\n".repeat(1000);
        assert_eq!(super::read(&many).duplicates.len(), 20);
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
    fn a_tab_is_told_on_its_own_line() {
        for (text, at) in [
            ("a:\n  b: 1\n\tc: 1\n", 10),
            ("a:\n\tb: 1", 3),
            ("a: b\n\tc: d\n", 5),
            ("pod:\n\tx", 5),
            ("a:\n- b\n\t- c\n", 7),
            ("a:\n  - b: 1\n  \tc: 1\n", 14),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.span, at..at + 1, "{text:?}: {error}");
            assert_eq!(error.help(text), Some("write spaces for it"));
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_and_the_rest_is_read() {
        let text = "a: 1\na: 2\nb: .inf\nc: {d: 1, d: 2}\n<<: 3\ne: 5\n";
        let read = super::read(text);
        let told = |errors: &[Error]| -> Vec<&str> {
            errors.iter().map(|it| &text[it.span.clone()]).collect()
        };
        assert_eq!(told(&read.errors), [".inf", "3"]);
        assert_eq!(told(&read.duplicates), ["a", "d"]);
        let documents: Vec<Value> = read.documents.iter().map(Node::to_json).collect();
        assert_eq!(
            documents,
            [json!({"a": 2, "b": null, "c": {"d": 2}, "e": 5})]
        );
        let many = "- .inf\n".repeat(1_000);
        assert_eq!(super::read(&many).errors.len(), 20);
        assert_eq!(super::read("a: .inf\nb: [").errors.len(), 2);
    }

    /// In time and memory that grow with the text alone, or the test takes minutes.
    #[test]
    fn nested_anchors_and_large_merges_stay_small() {
        let nested: Vec<String> = (0..200).map(|i| format!("&a{i} [")).collect();
        let nested = nested.concat();
        let text = format!("{nested}{}", "]".repeat(200));
        assert_eq!(read(&text).len(), 1);
        let keys = |range: std::ops::Range<usize>| -> String {
            let lines: Vec<String> = range.map(|i| format!("  k{i}: 1\n")).collect();
            lines.concat()
        };
        let text = format!(
            "a: &a\n{}b:\n  <<: *a\n{}",
            keys(0..30_000),
            keys(15_000..45_000)
        );
        let root = parse(&text).unwrap().remove(0);
        assert_eq!(root.get("b").map(|b| b.entries().len()), Some(45_000));
        // an alias shares what its anchor has
        let text = format!("a: &a\n{}b: [*a, *a]\n", keys(0..10));
        let root = parse(&text).unwrap().remove(0);
        let shared = |node: &Node| match &node.kind {
            Kind::Mapping(entries) => Rc::strong_count(entries),
            _ => 0,
        };
        assert_eq!(root.get("a").map(shared), Some(3));
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
            .map(|(span, comment)| (text[span].to_owned(), comment))
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
            ("spec.labels[\"a.b/c\"]", "v"),
            ("spec.missing.too", "spec"),
            ("", "spec"),
        ] {
            assert_eq!(&text[root.locate(field)], expected, "{field}");
        }
    }
}
