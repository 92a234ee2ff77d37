//! The rule book of docs/design holds every number that the code cites, and the code cites every number of the book.
//!
//! A citation is `rule` or `law` or `fact` with its number, or several of one kind: `rules`, and then numbers between
//! which there is a comma, `and` or `to`. It may go on in the next line of a comment, or be part of a function's name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const RULES: &str = "docs/design/rules.md";
const FACTS: &str = "docs/design/apiserver.md";
const THREATS: &str = "docs/design/threats.md";

/// Where the repository has source text. A folder that does not exist has none.
const FOLDERS: &[&str] = &["src", "crates", "tests", "benches", "testing"];
/// Other files that cite.
const FILES: &[&str] = &["Containerfile"];
/// This file cites for its own tests alone.
const SELF: &str = "tests/rule_book.rs";
/// Crates of `crates` that are never shipped.
const NOT_SHIPPED: &[&str] = &["xtask"];
/// How a module of tests begins: what comes after it is not shipped.
const TESTS: &str = "#[cfg(test)]\nmod tests";

/// What has numbers.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    Rule,
    Law,
    Fact,
}

const KINDS: [(Kind, &str); 3] = [
    (Kind::Rule, "rule"),
    (Kind::Law, "law"),
    (Kind::Fact, "fact"),
];

/// What a text cites.
type Cited = (Kind, u32);

/// A numbered entry of the book.
#[derive(Debug, Default)]
struct Entry {
    title: String,
    lines: Vec<String>,
}

/// A file, by its path from the root.
#[derive(Debug)]
struct File {
    path: String,
    text: String,
}

#[test]
fn every_citation_is_in_the_book() {
    let book = book();
    let mut wrong = String::new();
    let pages = [RULES, FACTS].map(read);
    for file in sources().iter().chain(&pages) {
        for (line, cited) in citations(&file.text) {
            if !book.contains_key(&cited) {
                let _ = writeln!(wrong, "{}:{line}: no {}", file.path, shown(cited));
            }
        }
    }
    assert!(wrong.is_empty(), "docs/design has no such entry:\n{wrong}");
}

#[test]
fn the_numbers_of_the_book_have_no_gap() {
    let book = book();
    for (kind, first) in [(Kind::Rule, 0), (Kind::Law, 1), (Kind::Fact, 1)] {
        let numbers = book.keys().filter(|(of, _)| *of == kind).map(|(_, n)| *n);
        let numbers: Vec<u32> = numbers.collect();
        let count = u32::try_from(numbers.len()).expect("few");
        assert!(count > 0, "{kind:?}");
        let right = first..first + count;
        assert!(numbers.iter().copied().eq(right), "{kind:?}: {numbers:?}");
    }
}

#[test]
fn every_rule_is_cited_by_what_is_shipped() {
    let shipped = sources().into_iter().filter_map(shipped);
    let missing = missing(Kind::Rule, shipped);
    assert!(
        missing.is_empty(),
        "nothing that is shipped cites:\n{missing}"
    );
}

#[test]
fn every_law_is_cited_by_a_test() {
    let of_tests = |file: &File| file.path.split('/').any(|part| part == "tests");
    let missing = missing(Kind::Law, sources().into_iter().filter(of_tests));
    assert!(
        missing.is_empty(),
        "no test cites:
{missing}"
    );
}

#[test]
fn every_fact_is_cited_by_a_rule_or_by_the_code() {
    let citing = sources().into_iter().chain([read(RULES)]);
    let missing = missing(Kind::Fact, citing);
    assert!(
        missing.is_empty(),
        "neither a rule nor the code cites:\n{missing}"
    );
}

/// The last lines of a fact say what it decides and how it is known; a test that they name exists.
#[test]
fn every_fact_has_its_evidence() {
    const EVIDENCE: [&str; 4] = [
        "- Confirmed by: ",
        "- Held by: ",
        "- Measured: ",
        "- Read in source only: ",
    ];
    for ((kind, number), entry) in book() {
        if kind != Kind::Fact {
            continue;
        }
        let has = |mark: &str| entry.lines.iter().any(|line| line.starts_with(mark));
        assert!(has("- Decides: "), "fact {number} decides nothing");
        let is_known = EVIDENCE.iter().any(|mark| has(mark));
        assert!(is_known, "fact {number} has no evidence");
        for (file, test) in named_tests(&entry) {
            assert!(is_test(&file, &test), "fact {number}: {file} has no {test}");
        }
    }
}

/// Each threat has a test that exists, or is called a non-goal.
#[test]
fn every_threat_has_its_tests_or_is_a_non_goal() {
    let page = read(THREATS);
    let rows = page.text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let number = cells.get(1)?.parse::<usize>().ok()?;
        Some((number, *cells.get(4)?, *cells.get(5)?))
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.iter().map(|row| row.0).eq(1..=18), "{rows:?}");
    for (number, berth, held_by) in rows {
        let tests = named_in(held_by, &mut String::new());
        let is_non_goal = berth.starts_with("Non-goal");
        assert!(is_non_goal || !tests.is_empty(), "threat {number}");
        for (file, test) in tests {
            assert!(
                is_test(&file, &test),
                "threat {number}: {file} has no {test}"
            );
        }
    }
}

fn is_test(file: &str, test: &str) -> bool {
    let source = fs::read_to_string(Path::new(ROOT).join(file)).unwrap_or_default();
    let mut lines = source.lines().map(str::trim_start);
    // the attribute stands above it, or another attribute between the two
    let mut marked = false;
    lines.any(|line| {
        let is_it = line.contains(&format!("fn {test}("));
        if line.starts_with("#[") {
            marked |= line.contains("test");
        } else if is_it && marked {
            return true;
        } else {
            marked = false;
        }
        false
    })
}

#[test]
fn a_citation_is_found_in_its_forms() {
    for (text, numbers) in [
        ("/// Rule 13.", &[13][..]),
        ("(rule 13), `rule 7`: rule 0(b)", &[0, 7, 13]),
        (
            "//! Limits (rules 14 to 18\n    //! and 20)",
            &[14, 15, 16, 17, 18, 20],
        ),
        (
            "// rules 1, 3 and\n// 5, rules 7 and 8 have 9 words",
            &[1, 3, 5, 7, 8],
        ),
        ("rules 1, 2, and 4: 6", &[1, 2, 4]),
        ("fn it_is_rule_4_that_holds()", &[4]),
        (
            "rule 3, 4 of them; rules of 5, the rule: 6, rule 7th, rule 8.5, overrule 9",
            &[3],
        ),
    ] {
        let found: BTreeSet<Cited> = citations(text).into_iter().map(|(_, it)| it).collect();
        let right = numbers.iter().map(|number| (Kind::Rule, *number));
        assert_eq!(found, right.collect(), "{text}");
    }
    let lines = citations("law 2\n\n/// the facts 5\n/// to 6");
    let right = [
        (1, (Kind::Law, 2)),
        (3, (Kind::Fact, 5)),
        (4, (Kind::Fact, 6)),
    ];
    assert_eq!(lines, right);
}

/// Every entry of the book: `### Rule 13: …`, up to the next heading.
fn book() -> BTreeMap<Cited, Entry> {
    let mut book = BTreeMap::new();
    for page in [RULES, FACTS].map(read) {
        let mut current = None;
        for line in page.text.lines() {
            if line.starts_with('#') {
                current = heading(line);
                if let Some((cited, title)) = current {
                    let entry = Entry {
                        title: title.to_owned(),
                        lines: Vec::new(),
                    };
                    let twice = book.insert(cited, entry).is_some();
                    assert!(!twice, "{} is there twice", shown(cited));
                }
            } else if let Some(entry) = current.and_then(|(cited, _)| book.get_mut(&cited)) {
                entry.lines.push(line.to_owned());
            }
        }
    }
    book
}

fn heading(line: &str) -> Option<(Cited, &str)> {
    let (name, title) = line.strip_prefix("### ")?.split_once(": ")?;
    let (kind, number) = name.split_once(' ')?;
    let kind = KINDS
        .iter()
        .find(|(_, word)| word.eq_ignore_ascii_case(kind))?;
    Some(((kind.0, number.parse().ok()?), title))
}

impl Entry {
    /// Whether berth does nothing of it yet.
    fn is_planned(&self) -> bool {
        let mut text = self.lines.iter().filter(|line| !line.is_empty());
        let begins = text.next().is_some_and(|line| line.starts_with("Planned:"));
        let decides = |line: &String| line.starts_with("- Decides: nothing yet");
        begins || self.lines.iter().any(decides)
    }
}

/// The tests that the lines of evidence name: after a file in backquotes, functions in backquotes.
fn named_tests(entry: &Entry) -> Vec<(String, String)> {
    let (mut file, mut tests) = (String::new(), Vec::new());
    let mut is_evidence = false;
    for line in &entry.lines {
        if line.starts_with("- ") {
            is_evidence = line.starts_with("- Confirmed by: ") || line.starts_with("- Held by: ");
        }
        if is_evidence {
            tests.extend(named_in(line, &mut file));
        }
    }
    tests
}

/// The same of one line, which goes on with the file of the line before.
fn named_in(line: &str, file: &mut String) -> Vec<(String, String)> {
    let mut tests = Vec::new();
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    for word in line.split('`').skip(1).step_by(2) {
        if word.contains('/') {
            word.clone_into(file);
        } else if word.chars().all(is_name) {
            tests.push((file.clone(), word.to_owned()));
        }
    }
    tests
}

/// The entries of a kind that no file cites, a line each.
fn missing(kind: Kind, files: impl Iterator<Item = File>) -> String {
    let cited: BTreeSet<Cited> = files
        .flat_map(|file| citations(&file.text))
        .map(|(_, cited)| cited)
        .collect();
    let mut missing = String::new();
    for (it, entry) in book() {
        if it.0 == kind && !entry.is_planned() && !cited.contains(&it) {
            let _ = writeln!(missing, "{}: {}", shown(it), entry.title);
        }
    }
    missing
}

/// What a file ships: nothing where it is of tests.
fn shipped(mut file: File) -> Option<File> {
    let parts: Vec<&str> = file.path.split('/').collect();
    let is_shipped = match parts[..] {
        ["src", ..] => true,
        ["crates", name, "src", ..] => !NOT_SHIPPED.contains(&name),
        _ => false,
    };
    let of_tests = ["tests.rs", "testing.rs", "tests", "testing"];
    if !is_shipped || parts.iter().any(|part| of_tests.contains(part)) {
        return None;
    }
    if let Some(end) = file.text.find(TESTS) {
        file.text.truncate(end);
    }
    Some(file)
}

/// Every source file but this one, and the other files that cite.
fn sources() -> Vec<File> {
    let mut paths = Vec::new();
    for folder in FOLDERS {
        collect(&Path::new(ROOT).join(folder), &mut paths);
    }
    let paths = paths.into_iter().map(|path| {
        let path = path.strip_prefix(ROOT).expect("below the root");
        path.to_str().expect("UTF-8").to_owned()
    });
    let mut paths: Vec<String> = paths.filter(|path| path != SELF).collect();
    paths.sort();
    assert!(paths.len() > 100, "only {} files", paths.len());
    let files = FILES.iter().map(|file| (*file).to_owned());
    paths.into_iter().chain(files).map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, paths);
        } else if path.extension().is_some_and(|it| it == "rs") {
            paths.push(path);
        }
    }
}

fn read(path: impl Into<String>) -> File {
    let path = path.into();
    let text = fs::read_to_string(Path::new(ROOT).join(&path));
    let text = text.expect(&path);
    File { path, text }
}

fn shown((kind, number): Cited) -> String {
    let word = KINDS.iter().find(|(of, _)| *of == kind);
    format!("{} {number}", word.map_or("", |(_, word)| word))
}

/// What a text cites, each with its line.
fn citations(text: &str) -> Vec<(usize, Cited)> {
    // a function's name is words, too
    let text = text.replace('_', " ");
    let lines = text.lines().enumerate();
    let words = lines.flat_map(|(i, line)| line.split_whitespace().map(move |word| (i + 1, word)));
    // what begins the line of a comment is no word
    let is_mark = |word: &str| word.chars().all(|c| matches!(c, '/' | '!' | '#' | '*'));
    let words: Vec<(usize, &str)> = words.filter(|(_, word)| !is_mark(word)).collect();
    let mut found = Vec::new();
    for (i, (_, word)) in words.iter().enumerate() {
        if let Some((kind, several)) = keyword(word) {
            let numbers = numbers(&words[i + 1..], several);
            found.extend(numbers.map(|(line, number)| (line, (kind, number))));
        }
    }
    found
}

/// `rule`, or `rules`, after any bracket or quote.
fn keyword(word: &str) -> Option<(Kind, bool)> {
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    let word = word.to_ascii_lowercase();
    KINDS.iter().find_map(|(kind, one)| {
        let rest = word.strip_prefix(one)?;
        matches!(rest, "" | "s").then_some((*kind, rest == "s"))
    })
}

/// The numbers with which the words begin: one, or as many as are joined.
fn numbers(words: &[(usize, &str)], several: bool) -> impl Iterator<Item = (usize, u32)> {
    let (mut numbers, mut words) = (Vec::new(), words.iter());
    let mut after_to = false;
    while let Some((line, word)) = words.next() {
        let Some((number, rest)) = number(word) else {
            break;
        };
        let first = match numbers.last() {
            Some((_, last)) if after_to => last + 1,
            _ => number,
        };
        numbers.extend((first..=number).map(|number| (*line, number)));
        let joined = matches!(rest, "" | ",") && several;
        let next = words.as_slice().first().map_or("", |(_, word)| word);
        after_to = next == "to";
        if !joined {
            break;
        } else if after_to || next == "and" {
            words.next();
        } else if rest.is_empty() {
            break;
        }
    }
    numbers.into_iter()
}

/// A number, and what comes after it in the word: no letter, and no fraction.
fn number(word: &str) -> Option<(u32, &str)> {
    let end = word.find(|c: char| !c.is_ascii_digit());
    let (digits, rest) = word.split_at(end.unwrap_or(word.len()));
    let mut after = rest.chars();
    let goes_on = match after.next() {
        Some('.') => after.next().is_some_and(|c| c.is_ascii_digit()),
        Some(c) => c.is_alphanumeric(),
        None => false,
    };
    Some((digits.parse().ok().filter(|_| !goes_on)?, rest))
}
