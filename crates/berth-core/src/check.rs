//! What `berth check` says: from what was observed in a cluster alone. Each link of the chain from the API server to a
//! GPU has a file here, and takes facts; what could not be read is a fact, too, and never a failure.

mod api_server;
mod certificate;
mod definitions;
mod dry_run;
mod guard;
mod install;
mod lease;
mod nodes;
mod preparation;
mod rights;
mod service;
mod table;
mod webhook;
mod word;

pub use api_server::version;
pub use certificate::{Bundle, Presented, Replica, certificates, revisions};
pub use definitions::definitions;
pub use dry_run::{Answer, dry_run};
pub use guard::{Policy, guard};
pub use install::{Install, deployment};
pub use lease::{Holder, lease};
pub use nodes::{pool, pools};
pub use preparation::{CERT_MANAGER, Foreign, NEEDED_TO_INSTALL, preparation};
pub use rights::{Account, Carrier, Right, Ruling, asked, rights};
pub use service::{Endpoint, Service, service};
pub use table::objects;
pub use webhook::{Expected, HOOK, NAMESPACE_HOOK, configuration};
pub use word::{WORD_HOOK, Word, word};

/// What was observed, or why it could not be.
pub type Seen<T> = Result<T, Unseen>;

/// Why something could not be observed, in a person's words.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Unseen(pub String);

/// How a check ended.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Outcome {
    /// It is as it should be.
    Passed,
    /// Nothing is known: it could not be looked at, or something before it must be fixed first.
    Skipped,
    /// It works, and somebody should know.
    Warned,
    /// It does not work.
    Failed,
}

/// One line of the report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// What was looked at, as it should be.
    pub what: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What is there instead, or why nothing is known.
    pub found: Option<String>,
    /// What to do about it.
    pub hint: Option<Hint>,
}

/// What to do about a check that did not pass.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Hint {
    /// A command to paste.
    Run(String),
    /// What a person must do.
    Do(String),
}

/// The checks of one link of the chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Category {
    /// Its name, which stays the same.
    pub name: &'static str,
    /// Its checks.
    pub checks: Vec<Check>,
}

impl Outcome {
    /// The word for it, which stays the same.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "success",
            Self::Skipped => "skipped",
            Self::Warned => "warning",
            Self::Failed => "error",
        }
    }
}

impl Check {
    /// It is as it should be.
    pub fn passed(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            outcome: Outcome::Passed,
            found: None,
            hint: None,
        }
    }

    /// Nothing is known.
    pub fn skipped(what: impl Into<String>, why: impl ToString) -> Self {
        Self {
            outcome: Outcome::Skipped,
            found: Some(why.to_string()),
            ..Self::passed(what)
        }
    }

    /// It works, and somebody should know.
    pub fn warned(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self::found(Outcome::Warned, what, found)
    }

    /// It is as it was found.
    pub(crate) fn found(
        outcome: Outcome,
        what: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            outcome,
            found: Some(found.into()),
            ..Self::passed(what)
        }
    }

    /// It does not work.
    pub fn failed(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self::found(Outcome::Failed, what, found)
    }

    /// The same with a command to paste.
    #[must_use]
    pub fn run(self, command: impl Into<String>) -> Self {
        let hint = Some(Hint::Run(command.into()));
        Self { hint, ..self }
    }

    /// The same with what a person must do.
    #[must_use]
    pub fn advise(self, advice: impl Into<String>) -> Self {
        let hint = Some(Hint::Do(advice.into()));
        Self { hint, ..self }
    }
}

impl Hint {
    /// The command or the advice.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Run(text) | Self::Do(text) => text,
        }
    }
}

impl Category {
    /// The checks of one link.
    #[must_use]
    pub fn new(name: &'static str, checks: Vec<Check>) -> Self {
        Self { name, checks }
    }

    /// How the worst of its checks ended.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let outcomes = self.checks.iter().map(|check| check.outcome);
        outcomes.max().unwrap_or(Outcome::Passed)
    }
}

/// A text as one word of a POSIX shell.
#[must_use]
pub fn shell(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A command that changes an object by a JSON Patch.
fn patch(object: &str, operations: &serde_json::Value) -> String {
    let operations = operations.to_string();
    format!(
        "kubectl patch {object} --type=json -p {}",
        shell(&operations)
    )
}

/// `1 node`, `2 nodes`.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_one_word_of_a_shell_whatever_is_in_it() {
        for (text, word) in [
            ("a.b/c=d:NoSchedule", "a.b/c=d:NoSchedule"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(x)", "'$(x)'"),
        ] {
            assert_eq!(shell(text), word);
        }
    }

    #[test]
    fn the_worst_outcome_is_the_category_s() {
        let checks = vec![
            Check::warned("a", "b"),
            Check::passed("c"),
            Check::skipped("d", "e"),
        ];
        assert_eq!(Category::new("n", checks).outcome(), Outcome::Warned);
        assert_eq!(Category::new("n", vec![]).outcome(), Outcome::Passed);
    }
}
