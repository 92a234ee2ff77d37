#![allow(unreachable_pub, reason = "object! is for modules that others use")]

use proptest::{collection::vec, prelude::*, sample::select};
use serde::de::IgnoredAny;

use super::*;

object! {
    /// One of each kind of field.
    Sample {
        /// A text.
        text: Text<'a> = "text",
        /// A boolean.
        flag: bool = "flag",
        /// Quantities.
        amounts: Map<'a, Amount<'a>> = "amounts",
        /// A list.
        list: Vec<Sample<'a>> = "list",
        /// What is only there.
        there: Unread = "there",
    }
}

fn sample(text: &str) -> Result<Sample<'_>, (Problem, String)> {
    parse(text).map_err(|error: Error| (error.problem().clone(), error.path().to_owned()))
}

/// Pieces of JSON, sound and unsound, as they may meet in a text that nobody meant.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\"a\":",
    "{\"b\":",
    "\"c\"",
    "[1,",
    "null",
    "true",
    "false",
    "nul",
    "0",
    "-",
    "-0",
    "01",
    "1.5",
    "1.",
    ".5",
    "2e",
    "2e+7",
    "2E-07",
    "1e999",
    " ",
    "\n",
    "\t\r",
    "\u{c}",
    "\0",
    "\u{1f}",
    "\u{7f}",
    "\\n",
    "\\u00e9",
    "\\u00g0",
    "\\ud83d\\ude80",
    "\\ud800",
    "\\udc00",
    "\\x",
    "é",
    "\u{2028}",
    "🚀",
    "eight by",
    "\u{feff}",
    "//",
];

/// Sound JSON of any depth, or the same with pieces put in, and cut.
fn texts() -> impl Strategy<Value = String> {
    let pieces = || vec(select(PIECES), 0..6).prop_map(|pieces| pieces.concat());
    let sound = value().prop_map(|value| value.to_string());
    let spoilt = (
        value(),
        pieces(),
        any::<prop::sample::Index>(),
        any::<bool>(),
    )
        .prop_map(|(value, pieces, at, cut)| {
            let mut text = value.to_string();
            let mut at = at.index(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            text.insert_str(at, &pieces);
            if cut {
                text.truncate(at + pieces.len());
            }
            text
        });
    prop_oneof![1 => sound, 3 => spoilt, 2 => vec(select(PIECES), 0..12).prop_map(|pieces| pieces.concat())]
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 24, 4, |inner| {
        let fields = vec((".{0,10}", inner.clone()), 0..4);
        prop_oneof![
            vec(inner, 0..4).prop_map(Into::into),
            fields.prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A sample's keys, one as an escape, and others.
const KEYS: &[&str] = &[
    "text",
    "flag",
    "amounts",
    "list",
    "there",
    "x",
    "te\\u0078t",
    "\\ud800",
    "\\ud800\\n",
];
const LEAVES: &[&str] = &[
    "null",
    "true",
    "-0.5e1",
    "\"a\"",
    "\"\\n\"",
    "\"\\udc00\"",
    "\"x\\ud800\\u0041\\n\"",
];

/// Sound JSON of a sample's keys with values of every kind, keys twice and halves of surrogate pairs.
fn samples() -> impl Strategy<Value = String> {
    let key = || select(KEYS).prop_map(|key| format!("\"{key}\""));
    let leaf = select(LEAVES).prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 6, move |inner| {
        let list = vec(inner.clone(), 0..6).prop_map(|values| format!("[{}]", values.join(" ,")));
        let fields = vec((key(), inner), 0..6);
        let object = fields.prop_map(|fields| {
            let fields: Vec<_> = fields
                .iter()
                .map(|(key, it)| format!("{key} :{it}"))
                .collect();
            format!("{{{}}}", fields.join(", "))
        });
        prop_oneof![1 => list, 3 => object]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn after_an_error_the_rest_of_the_value_is_passed_over(text in samples()) {
        let mut reader = Reader::new(&text);
        let start = reader;
        if let Err(error) = Sample::read(&mut reader) {
            prop_assert!(reader.resume(start, &error).is_ok(), "{}: {}", error, text);
        }
        prop_assert!(reader.end().is_ok(), "{}", text);
    }

    #[test]
    fn after_an_error_no_text_is_taken_for_json_that_is_none(text in samples(), at in any::<prop::sample::Index>(), piece in select(PIECES)) {
        let mut text = text;
        let mut at = at.index(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.insert_str(at, piece);
        let mut reader = Reader::new(&text);
        let start = reader;
        let read = Sample::read(&mut reader).map(drop);
        let read = read.or_else(|error| reader.resume(start, &error)).and_then(|()| reader.end());
        let sound = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        prop_assert_eq!(read.is_ok(), sound, "{}", text);
    }

    #[test]
    fn what_is_skipped_is_as_sound_as_serde_json_demands(text in texts()) {
        let sound = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        let ours = parse::<Raw<'_>>(&text).map(|raw| raw.0);
        prop_assert_eq!(ours.is_ok(), sound, "{:?}", text);
        prop_assert!(ours.is_err() || ours.is_ok_and(|raw| raw == text.trim_matches([' ', '\n', '\r', '\t'])));
    }

    #[test]
    fn a_string_is_read_as_serde_json_reads_it(inside in vec(select(PIECES), 0..8)) {
        let text = format!("\"{}\"", inside.concat());
        let theirs = serde_json::from_str::<String>(&text).ok();
        prop_assert_eq!(parse::<Text<'_>>(&text).ok().map(|ours| ours.0.into_owned()), theirs);
    }

    #[test]
    fn any_string_is_read_back(text in ".{0,40}", escaped in any::<bool>()) {
        let written = if escaped {
            let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
            format!("\"{}\"", units.collect::<String>())
        } else {
            serde_json::to_string(&text).unwrap()
        };
        prop_assert_eq!(&*parse::<Text<'_>>(&written).unwrap(), text);
    }

    #[test]
    fn an_object_is_read_where_it_is_sound_and_its_fields_are_of_their_kind(text in texts()) {
        let in_a_field = format!("{{\"other\":{text},\"there\":{text},\"text\":\"x\"}}");
        let sound = serde_json::from_str::<IgnoredAny>(&in_a_field).is_ok();
        let there = sample(&in_a_field);
        // sound by itself or not, it may close the object and open another field
        prop_assert!(sound || there.is_err(), "{}", in_a_field);
        if serde_json::from_str::<IgnoredAny>(&text).is_ok() {
            let there = there.expect("sound");
            prop_assert_eq!(there.there.is_some(), text.trim() != "null");
            prop_assert_eq!(there.text.as_deref(), Some("x"));
        }
    }
}

#[test]
fn an_object_is_read_in_any_order_and_null_is_nothing() {
    let text = r#" { "list" : [ {"text":"in\u0073ide"} , {} ] , "skipped" : [{"text":1}], "text":null,
        "amounts":{"a":1,"b":"2Gi","c":-1.5e3,"d":null}, "flag":true } "#;
    let read = sample(text).unwrap();
    assert_eq!(read.text, None);
    assert_eq!(read.flag, Some(true));
    assert!(read.there.is_none());
    let texts: Vec<Option<&str>> = read
        .list
        .iter()
        .flatten()
        .map(|it| it.text.as_deref())
        .collect();
    assert_eq!(texts, [Some("inside"), None]);
    let amounts = read.amounts.unwrap_or_default();
    let amounts: Vec<(&str, &str)> = amounts
        .iter()
        .map(|(key, amount)| (key, &*amount.0))
        .collect();
    assert_eq!(
        amounts,
        [("a", "1"), ("b", "2Gi"), ("c", "-1.5e3"), ("d", "0")]
    );
}

#[test]
fn a_string_is_borrowed_unless_it_has_escapes() {
    assert!(matches!(
        parse("\"plain é\""),
        Ok(Text(Cow::Borrowed("plain é")))
    ));
    assert!(matches!(parse::<Text<'_>>("\"a\\/b\""), Ok(Text(Cow::Owned(text))) if text == "a/b"));
}

#[test]
fn a_key_that_is_read_is_there_once() {
    for (text, key) in [
        (r#"{"text":"a","text":"a"}"#, "text"),
        (r#"{"text":null,"te\u0078t":"a"}"#, "text"),
        (r#"{"amounts":{"x":1,"y":1,"x":1}}"#, "x"),
        (r#"{"amounts":{"x":1,"x":1}}"#, "x"),
        (r#"{"list":[{},{"flag":true,"flag":true}]}"#, "flag"),
    ] {
        let problem = sample(text).expect_err(text).0;
        assert_eq!(problem, Problem::Duplicate(key.to_owned()), "{text}");
    }
    let many: Vec<String> = (0..100).map(|i| format!("\"k{}\":1", i % 99)).collect();
    let many = format!("{{\"amounts\":{{{}}}}}", many.join(","));
    assert_eq!(
        sample(&many).expect_err("twice").0,
        Problem::Duplicate("k0".to_owned())
    );
    assert!(sample(r#"{"skipped":1,"skipped":{"x":1,"x":1}}"#).is_ok());
}

#[test]
fn another_kind_is_named_with_its_path() {
    let kind = |expected, found| Problem::Kind { expected, found };
    for (text, problem, path) in [
        ("[]", kind("an object", "a list"), ""),
        (r#"{"text":7}"#, kind("a string", "a number"), ".text"),
        (r#"{"flag":"true"}"#, kind("a boolean", "a string"), ".flag"),
        (r#"{"list":{}}"#, kind("a list", "an object"), ".list"),
        (
            r#"{"list":[{},null]}"#,
            kind("an object", "null"),
            ".list[1]",
        ),
        (
            r#"{"list":[{},{"text":false}]}"#,
            kind("a string", "a boolean"),
            ".list[1].text",
        ),
        (
            r#"{"amounts":{"a.b/c":[]}}"#,
            kind("a quantity", "a list"),
            ".amounts[\"a.b/c\"]",
        ),
        (r#"{"text":"\ud800x"}"#, Problem::Surrogate, ".text"),
        (r#"{"text":"\uD800\u0041"}"#, Problem::Surrogate, ".text"),
    ] {
        assert_eq!(
            sample(text).expect_err(text),
            (problem, path.to_owned()),
            "{text}"
        );
    }
}

#[test]
fn an_error_names_the_line_and_column() {
    for (text, expected) in [
        ("", "it ends too early at line 1 column 1"),
        ("{\"text\":\n \"a\"", "it ends too early at line 2 column 5"),
        (
            "{\"text\":\n \"a\";}",
            "expected a comma or the end of the list at line 2 column 5",
        ),
        ("{} {}", "expected the end at line 1 column 4"),
        ("{\"x\":tru}", "expected a value at line 1 column 6"),
        ("{\"x\" 1}", "expected a colon at line 1 column 6"),
        ("{\"x\":[1,]}", "expected a value at line 1 column 9"),
        ("{\"x\":{1:2}}", "expected a key at line 1 column 7"),
        (
            "{\"x\":\"\\q\"}",
            "invalid escape in a string at line 1 column 7",
        ),
        (
            "{\"x\":\"\n\"}",
            "a control character in a string is not escaped at line 1 column 7",
        ),
    ] {
        assert_eq!(
            parse::<Sample<'_>>(text).expect_err(text).to_string(),
            expected,
            "{text:?}"
        );
    }
}

#[test]
fn nesting_of_any_depth_is_skipped() {
    for depth in [1, 63, 64, 65, 128, 129, 100_000] {
        let (open, close) = ("[{\"\":".repeat(depth), "}]".repeat(depth));
        assert!(
            parse::<Unread>(&format!("{open}0{close}")).is_ok(),
            "{depth}"
        );
        for wrong in [
            format!("{open}0{}", close.replacen('}', "]", 1)),
            format!("{open}0{close}]"),
            format!("{open}0{}", &close[1..]),
        ] {
            assert!(parse::<Unread>(&wrong).is_err(), "{depth}");
        }
    }
}

#[test]
fn of_what_is_passed_over_or_unescaped_there_is_a_bound_beyond_which_nothing_is_read() {
    let (most, escapes) = (STEPS.most / VALUE, STEPS.most);
    let fits = |text: &str| match parse::<Sample<'_>>(text) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(*error.problem(), Problem::TooMany(STEPS));
            assert!(error.ends_reading());
            false
        }
    };
    let list = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    let keys = |count: usize| vec!["\"x\":\"\""; count].join(",");
    // the list is a value, too
    for (text, is_read) in [
        (format!("{{\"there\":{}}}", list(most - 1)), true),
        (format!("{{\"there\":{}}}", list(most)), false),
        (format!("{{{}}}", keys(most)), true),
        (format!("{{{}}}", keys(most + 1)), false),
        (format!("{{\"text\":\"{}\"}}", "\\n".repeat(escapes)), true),
        (
            format!("{{\"text\":\"{}\"}}", "\\n".repeat(escapes + 1)),
            false,
        ),
        (
            format!("{{\"x\":\"{}\"}}", "\\na".repeat((escapes - VALUE) / 2)),
            true,
        ),
        (
            format!("{{\"x\":\"{}\"}}", "\\na".repeat(escapes / 2)),
            false,
        ),
        // such a key is 66
        (
            format!("{{\"te\\u0078t\":\"{}\"}}", "\\n".repeat(escapes - 66)),
            true,
        ),
        (
            format!("{{\"te\\u0078t\":\"{}\"}}", "\\n".repeat(escapes - 65)),
            false,
        ),
        (
            format!("{{\"x\":{},\"there\":{}}}", list(most / 2), list(most / 2)),
            false,
        ),
    ] {
        assert_eq!(fits(&text), is_read, "{text:.20}");
    }
}

#[test]
fn after_an_error_the_bound_of_what_is_passed_over_is_the_same() {
    let long = format!(
        "{{\"text\":1,\"x\":[{}]}}",
        vec!["1"; STEPS.most / VALUE].join(",")
    );
    let mut reader = Reader::new(&long);
    let start = reader;
    let error = Sample::read(&mut reader).expect_err("a number is no text");
    let resumed = reader.resume(start, &error).expect_err("too much");
    assert_eq!(*resumed.problem(), Problem::TooMany(STEPS));
}
