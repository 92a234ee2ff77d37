use std::fmt::Write;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::yaml::parse;

/// The text after a JSON Patch, and whether it was written anew.
fn edited(text: &str, patch: Value) -> (String, bool) {
    let root = parse(text).unwrap().remove(0);
    let mut target = root.to_json();
    let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
    json_patch::patch(&mut target, &patch).unwrap();
    let edited = edit(text, &root, &target).expect("a text");
    let again = parse(&edited.text).unwrap();
    assert_eq!(again[0].to_json(), target, "{}", edited.text);
    (edited.text, edited.rewritten)
}

fn added(text: &str, path: &str, value: Value) -> String {
    let (text, rewritten) = edited(text, json!([{"op": "add", "path": path, "value": value}]));
    assert!(!rewritten, "{text}");
    text
}

#[test]
fn lines_are_added_where_they_belong() {
    let gpu = json!({"amd.com/gpu": "1"});
    for (text, path, value, expected) in [
        (
            "a:\n  b: 1 # one\n# two\nc: 2\n",
            "/a/x",
            json!("y"),
            "a:\n  b: 1 # one\n  x: \"y\"\n# two\nc: 2\n",
        ),
        (
            "a:\n    b:\n    - c",
            "/a/b/-",
            json!("d"),
            "a:\n    b:\n    - c\n    - d",
        ),
        (
            "l:\n  -   k: 1\n      m: 2\n",
            "/l/-",
            json!({"k": 3}),
            "l:\n  -   k: 1\n      m: 2\n  - k: 3\n",
        ),
        (
            "a:\r\n  b: 1\r\nc: 2\r\n",
            "/a/d",
            json!([1]),
            "a:\r\n  b: 1\r\n  d:\r\n  - 1\r\nc: 2\r\n",
        ),
        (
            "a: |\n  text\n\nb:\n",
            "/x",
            json!(1),
            "a: |\n  text\n\nb:\nx: 1\n",
        ),
        (
            "r: {}\n",
            "/r/limits",
            gpu.clone(),
            "r:\n  limits:\n    amd.com/gpu: \"1\"\n",
        ),
        (
            "r: {} # none\n",
            "/r/limits",
            gpu.clone(),
            "r: {limits: {amd.com/gpu: \"1\"}} # none\n",
        ),
        (
            "r: # later\ns: 1\n",
            "/r",
            gpu.clone(),
            "r: # later\n  amd.com/gpu: \"1\"\ns: 1\n",
        ),
        (
            "r:\n  limits: {cpu: 1}\n",
            "/r/limits/amd.com~1gpu",
            json!("1"),
            "r:\n  limits: {cpu: 1, amd.com/gpu: \"1\"}\n",
        ),
        (
            "{\"a\": {\n  \"b\": 1\n}}\n",
            "/a/x",
            json!("y"),
            "{\"a\": {\n  \"b\": 1,\n  \"x\": \"y\"\n}}\n",
        ),
        (
            "{\n \"t\": [\n  {\"k\": 1}\n ]\n}\n",
            "/t/-",
            json!({"k": "v"}),
            "{\n \"t\": [\n  {\"k\": 1},\n  {\"k\": \"v\"}\n ]\n}\n",
        ),
        ("\u{feff}a: 1\n", "/b", json!(2), "\u{feff}a: 1\nb: 2\n"),
        (
            "--- # one\na: ~\n",
            "/a",
            json!(["x"]),
            "--- # one\na:\n- x\n",
        ),
    ] {
        assert_eq!(added(text, path, value), expected, "{text}");
    }
}

#[test]
fn an_alias_is_written_out_and_its_anchor_stays() {
    let text = "one: &r\n  cpu: 1\ntwo: *r\nthree:\n  <<: *r\n  mem: 2\n";
    assert_eq!(
        added(text, "/two/gpu", json!(1)),
        "one: &r\n  cpu: 1\ntwo:\n  cpu: 1\n  gpu: 1\nthree:\n  <<: *r\n  mem: 2\n"
    );
    assert_eq!(
        added(text, "/three/cpu", json!(2)),
        "one: &r\n  cpu: 1\ntwo: *r\nthree:\n  <<: *r\n  mem: 2\n  cpu: 2\n"
    );
}

#[test]
fn a_key_is_renamed_and_a_scalar_replaced() {
    let patch = json!([{"op": "move", "from": "/limits/a~1b", "path": "/limits/c~1d"}]);
    assert_eq!(
        edited("limits:\n  a/b: 1 # one\n", patch),
        ("limits:\n  c/d: 1 # one\n".to_owned(), false)
    );
    assert_eq!(
        added("s: 'default' # x\n", "/s", json!("volcano")),
        "s: volcano # x\n"
    );
}

#[test]
fn what_the_text_cannot_take_is_written_anew() {
    // a change of the anchor would change the alias, too
    let text = "# one\na: &r {cpu: 1}\nb: *r\n# two\n";
    let patch = json!([{"op": "add", "path": "/a/gpu", "value": 1}]);
    assert_eq!(
        edited(text, patch),
        (
            "# one\na:\n  cpu: 1\n  gpu: 1\nb:\n  cpu: 1\n# two\n".to_owned(),
            true
        )
    );
    let patch = json!([{"op": "remove", "path": "/a"}]);
    assert_eq!(
        edited("--- {a: 1, b: 2}\n", patch),
        ("--- {\n  \"b\": 2\n}\n".to_owned(), true)
    );
}

/// A document as an author might lay it out.
#[derive(Clone, Debug)]
enum Tree {
    Scalar(&'static str),
    Mapping(Vec<Tree>, Look),
    List(Vec<Tree>, Look),
}

#[derive(Clone, Copy, Debug)]
struct Look {
    flow: bool,
    comment: bool,
    step: usize,
    list: usize,
}

const SCALARS: &[&str] = &[
    "1", "0400", "yes", "a", "\"q\\n\"", "'it''s'", "~", "", "|\n", "10.3.0",
];

fn tree() -> impl Strategy<Value = Tree> {
    let look = (any::<bool>(), any::<bool>(), 1_usize..4, 0_usize..3);
    let look = look.prop_map(|(flow, comment, step, list)| Look {
        flow,
        comment,
        step,
        list,
    });
    let scalar = proptest::sample::select(SCALARS).prop_map(Tree::Scalar);
    let below = scalar.prop_recursive(5, 40, 4, move |inner| {
        let some = || proptest::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            3 => (some(), look.clone()).prop_map(|(trees, look)| Tree::Mapping(trees, look)),
            1 => (some(), look.clone()).prop_map(|(trees, look)| Tree::List(trees, look)),
        ]
    });
    let root = proptest::collection::vec(below, 1..4);
    (root, any::<bool>()).prop_map(|(trees, comment)| {
        let look = Look {
            flow: false,
            comment,
            step: 2,
            list: 0,
        };
        Tree::Mapping(trees, look)
    })
}

impl Tree {
    /// What stands after a key or a dash, and the lines below it.
    fn write(&self, indent: usize, out: &mut String) {
        match self {
            Self::Scalar("|\n") => {
                let pad = " ".repeat(indent + 1);
                let _ = write!(out, " |\n{pad}# text\n{pad} more\n\n");
            }
            Self::Mapping(trees, look) | Self::List(trees, look)
                if look.flow || trees.is_empty() =>
            {
                out.push(' ');
                out.push_str(&self.flow());
                out.push_str(if look.comment { " # flow\n" } else { "\n" });
            }
            Self::Scalar(text) => drop(writeln!(out, " {text}")),
            Self::Mapping(trees, look) => {
                out.push_str(if look.comment { " # block\n" } else { "\n" });
                mapping(trees, indent + look.step, *look, out);
            }
            Self::List(trees, look) => {
                out.push('\n');
                let indent = indent + look.list;
                for tree in trees {
                    let _ = write!(out, "{:indent$}-", "");
                    match tree {
                        Self::Mapping(trees, look) if !look.flow && !trees.is_empty() => {
                            let mut below = String::new();
                            mapping(trees, indent + 2, *look, &mut below);
                            out.push_str(below.get(indent + 1..).unwrap());
                        }
                        Self::Scalar("" | "|\n") => out.push_str(" ~\n"),
                        Self::List(trees, _) if !trees.is_empty() => {
                            let _ = writeln!(out, " {}", tree.flow());
                        }
                        other => other.write(indent, out),
                    }
                }
            }
        }
    }

    fn flow(&self) -> String {
        let all = |trees: &[Self]| trees.iter().map(Self::flow).collect::<Vec<_>>();
        match self {
            Self::Scalar("" | "|\n") => "~".to_owned(),
            Self::Scalar(text) => (*text).to_owned(),
            Self::List(trees, _) => format!("[{}]", all(trees).join(", ")),
            Self::Mapping(trees, _) => {
                let entry = |(i, text)| format!("k{i}: {text}");
                let entries: Vec<_> = all(trees).into_iter().enumerate().map(entry).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
}

fn mapping(trees: &[Tree], indent: usize, look: Look, out: &mut String) {
    for (i, tree) in trees.iter().enumerate() {
        if look.comment && i > 0 {
            let _ = writeln!(out, "{:indent$}# before {i}", "");
        }
        let _ = write!(out, "{:indent$}k{i}:", "");
        tree.write(indent, out);
    }
}

/// Changes a value as patches do: adds an entry, appends an item, or puts another value in a scalar's place.
fn change(value: &mut Value, steps: &[usize]) {
    let added = || json!({"gpu": ["x", {"y/z": "1"}]});
    let (step, rest) = match steps {
        [step, rest @ ..] => (*step, rest),
        [] => (0, steps),
    };
    match value {
        Value::Object(fields) => {
            let at = step % (fields.len() + 1);
            match fields.values_mut().nth(at) {
                Some(below) if !rest.is_empty() => change(below, rest),
                _ => drop(fields.insert("new".to_owned(), added())),
            }
        }
        Value::Array(items) => {
            let at = step % (items.len() + 1);
            match items.get_mut(at) {
                Some(below) if !rest.is_empty() => change(below, rest),
                _ => items.push(added()),
            }
        }
        // a patch replaces words, no texts of many lines
        Value::String(text) if text.contains('\n') => {}
        scalar if step % 2 == 0 => *scalar = json!("other"),
        scalar => *scalar = added(),
    }
}

fn comments(text: &str) -> Vec<&str> {
    let comment = |line| str::split_once(line, '#').map(|(_, comment)| comment.trim());
    text.lines().filter_map(comment).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_text_that_was_changed_means_the_value_and_keeps_its_comments(
        tree in tree(),
        changes in proptest::collection::vec(proptest::collection::vec(0_usize..5, 1..6), 1..5),
        crlf: bool,
        open: bool,
    ) {
        let mut text = String::from("# head\n---");
        tree.write(0, &mut text);
        if open {
            text.truncate(text.trim_end().len());
        }
        if crlf {
            text = text.replace('\n', "\r\n");
        }
        let root = parse(&text).unwrap_or_else(|error| panic!("{error}: {text}")).remove(0);
        let mut target = root.to_json();
        for steps in &changes {
            change(&mut target, steps);
        }
        let edited = edit(&text, &root, &target).expect("a text");
        let again = parse(&edited.text).unwrap();
        prop_assert_eq!(again.len(), 1);
        prop_assert_eq!(again[0].to_json(), target, "{}", edited.text);
        prop_assert!(!edited.rewritten, "{}\n=>\n{}", text, edited.text);
        prop_assert_eq!(comments(&text), comments(&edited.text), "{}", edited.text);
        prop_assert_eq!(edited.text.matches("\r\n").count(), if crlf { edited.text.matches('\n').count() } else { 0 });
    }
}

#[test]
fn a_tag_does_not_stay_above_another_value() {
    let patch = json!([{"op": "add", "path": "/a", "value": {"b": 1}}]);
    let (text, rewritten) = edited("a: !!null 'null'\nc: 2\n", patch);
    assert!(rewritten, "{text}");
    assert!(!text.contains("!!null"), "{text}");
}

#[test]
fn a_merge_key_in_the_last_place_stays_there() {
    for (text, path, expected) in [
        (
            "d: &d {x: 1}\nl:\n- n: 1\n  <<: *d\n",
            "/l/0/new",
            "d: &d {x: 1}\nl:\n- n: 1\n  <<: *d\n  new: 1\n",
        ),
        (
            "d: &d {x: 1}\nm:\n  n: 1\n  <<: [*d, *d] # both\n---\n",
            "/m/new",
            "d: &d {x: 1}\nm:\n  n: 1\n  <<: [*d, *d] # both\n  new: 1\n---\n",
        ),
        (
            "d: &d {x: 1}\nm: {n: 1, <<: *d}",
            "/m/new",
            "d: &d {x: 1}\nm: {n: 1, new: 1, <<: *d}",
        ),
    ] {
        assert_eq!(added(text, path, json!(1)), expected, "{text}");
    }
}

#[test]
fn what_is_written_anew_leaves_nothing_of_its_old_text() {
    let remove = json!([{"op": "remove", "path": "/d"}]);
    for text in [
        "d: &d {x: 1}\nm:\n  n: 1\n  <<: *d\n",
        "d: &d {x: 1}\nm:\n  n: 1\n  <<: [*d, *d] # x\n# y\n",
        "--- !!map\nd: &d\n  x: 1\nm:\n- *d\n- n: 1\n  <<: *d",
    ] {
        let (text, rewritten) = edited(text, remove.clone());
        assert!(rewritten, "{text}");
        assert!(!text.contains("<<") && !text.contains('*'), "{text}");
    }
}
