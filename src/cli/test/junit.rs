//! What CI systems read: `JUnit`'s XML, a suite for each folder and a test for each case. A file that cannot be read is a
//! test with an error, so that a report is not green without it.

use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anstream::adapter::strip_str;

use super::{Outcome, Ran};
use crate::cli::report::Failure;
use berth_manifests::diagnostic::{Diagnostic, turns};

/// A case, or a file that is none.
struct Test {
    path: PathBuf,
    took: Duration,
    wrong: Option<Wrong>,
}

/// Why a test does not pass.
struct Wrong {
    /// `failure` where a case does not hold, `error` where it could not be run.
    element: &'static str,
    message: String,
    text: String,
}

/// How many tests there are, and how many of them do not pass.
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    took: Duration,
}

/// The whole document.
pub(super) fn document(ran: &[Ran], failures: &[Failure]) -> String {
    let mut suites: BTreeMap<PathBuf, Vec<Test>> = BTreeMap::new();
    let errors = failures.iter().flat_map(Failure::diagnostics);
    for test in ran.iter().map(Test::of).chain(errors.map(Test::unread)) {
        let folder = test.path.parent().unwrap_or(Path::new("")).to_owned();
        suites.entry(folder).or_default().push(test);
    }
    let counts = Counts::of(suites.values().flatten());
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let _ = writeln!(
        xml,
        "<testsuites name=\"berth test\" {}>",
        counts.attributes()
    );
    for (folder, tests) in &suites {
        suite(&mut xml, &name(folder), tests);
    }
    xml + "</testsuites>\n"
}

fn suite(xml: &mut String, folder: &str, tests: &[Test]) {
    let counts = Counts::of(tests.iter()).attributes();
    let folder = escaped(folder);
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{folder}\" {counts} skipped=\"0\">"
    );
    for test in tests {
        let of_test = test.path.file_stem().unwrap_or_default();
        let _ = write!(
            xml,
            "    <testcase name=\"{}\" classname=\"{folder}\" file=\"{}\" time=\"{}\"",
            escaped(&of_test.to_string_lossy()),
            escaped(&test.path.display().to_string()),
            seconds(test.took)
        );
        let _ = match &test.wrong {
            None => writeln!(xml, "/>"),
            Some(Wrong {
                element,
                message,
                text,
            }) => writeln!(
                xml,
                ">\n      <{element} message=\"{}\">{}</{element}>\n    </testcase>",
                escaped(message),
                escaped(text)
            ),
        };
    }
    let _ = writeln!(xml, "  </testsuite>");
}

impl Test {
    fn of(ran: &Ran) -> Self {
        let wrong = (ran.outcome == Outcome::Failed).then(|| {
            let mut text = String::new();
            ran.write_difference(&mut text);
            Wrong {
                element: "failure",
                message: message(ran),
                text: strip_str(&text).to_string(),
            }
        });
        Self {
            path: ran.path.clone(),
            took: ran.took,
            wrong,
        }
    }

    fn unread(error: &Diagnostic) -> Self {
        let place = error.place.as_ref();
        let path = place.map(|place| place.source.path.clone());
        Self {
            path: path.unwrap_or_else(|| "unreadable".into()),
            took: Duration::ZERO,
            wrong: Some(Wrong {
                element: "error",
                message: error.message.clone(),
                text: error.to_string(),
            }),
        }
    }
}

/// The fields that are not as expected.
fn message(ran: &Ran) -> String {
    let fields = ran.expected.keys().chain(ran.found.keys());
    let differ = fields.filter(|field| ran.expected.get(*field) != ran.found.get(*field));
    let mut differ: Vec<&str> = differ.map(String::as_str).collect();
    differ.sort_unstable();
    differ.dedup();
    format!("not as expected: {}", differ.join(", "))
}

impl Counts {
    fn of<'t>(tests: impl Iterator<Item = &'t Test>) -> Self {
        let none = Self {
            tests: 0,
            failures: 0,
            errors: 0,
            took: Duration::ZERO,
        };
        tests.fold(none, |counts, test| {
            let element = test.wrong.as_ref().map(|wrong| wrong.element);
            Self {
                tests: counts.tests + 1,
                failures: counts.failures + usize::from(element == Some("failure")),
                errors: counts.errors + usize::from(element == Some("error")),
                took: counts.took + test.took,
            }
        })
    }

    fn attributes(&self) -> String {
        let Self {
            tests,
            failures,
            errors,
            took,
        } = self;
        let took = seconds(*took);
        format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{took}\"")
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.6}", took.as_secs_f64())
}

/// A suite needs a name, also where the cases are named without a folder.
fn name(folder: &Path) -> String {
    match folder.display().to_string() {
        none if none.is_empty() => ".".to_owned(),
        folder => folder,
    }
}

/// A text as XML takes it, in an attribute, too: what no document of XML may have is replaced.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut xml, c| {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\'' => xml.push_str("&apos;"),
            // a reader makes a space of them in an attribute otherwise
            '\n' => xml.push_str("&#10;"),
            '\t' => xml.push_str("&#9;"),
            '\r' => xml.push_str("&#13;"),
            '\u{fffe}' | '\u{ffff}' => xml.push(char::REPLACEMENT_CHARACTER),
            c if c.is_control() || turns(c) => xml.push(char::REPLACEMENT_CHARACTER),
            c => xml.push(c),
        }
        xml
    })
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_text_is_xml_whatever_it_says() {
        for (text, xml) in [
            (
                "a < b & c > \"d\" 'e'",
                "a &lt; b &amp; c &gt; &quot;d&quot; &apos;e&apos;",
            ),
            ("a\n\tb\r", "a&#10;&#9;b&#13;"),
            (
                "\u{1b}[2J\0\u{9b}\u{ffff}é",
                "\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}é",
            ),
            ("]]>", "]]&gt;"),
        ] {
            assert_eq!(escaped(text), xml);
        }
    }
}
