//! `--log-level`: what to log, as `tracing_subscriber` reads it, but for its surprises.
//!
//! It takes a word that is not a level for a module of which everything is logged: with `inof`, nothing is. And it
//! takes an empty text for `error`.

use berth_core::suggestion::suggestion;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// The levels.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What kube says at each attempt, and berth says once. Whoever names these modules, or wants details, gets them.
const SAID_ALREADY: [&str; 2] = ["kube_runtime::watcher=off", "kube_client::client=off"];

/// Why a text does not say what to log.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// A word stands where a level must.
    #[error(
        "--log-level {text}: {word:?} is not a level{}; write error, warn, info, debug, trace or off, or by module as info,hyper=debug",
        did_you_mean(word)
    )]
    NotALevel {
        /// The whole text.
        text: String,
        /// The word.
        word: String,
    },
    /// Something else is wrong.
    #[error("--log-level {text}: {problem}; write a level, or by module as info,hyper=debug")]
    Unreadable {
        /// The whole text.
        text: String,
        /// What is wrong.
        problem: String,
    },
}

fn did_you_mean(word: &str) -> String {
    let near = suggestion(&word.to_ascii_lowercase(), LEVELS);
    near.map_or_else(String::new, |level| format!("; did you mean {level:?}?"))
}

/// Reads levels and `module=level`, separated by commas.
pub(super) fn parse(text: &str) -> Result<EnvFilter, Error> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    for part in &parts {
        let level = part.rsplit_once('=').map_or(*part, |(_, level)| level);
        if level.is_empty() || level.parse::<LevelFilter>().is_err() {
            return Err(Error::NotALevel {
                text: text.to_owned(),
                word: level.to_owned(),
            });
        }
    }
    let is_detailed = |part: &&str| {
        let part = part.to_ascii_lowercase();
        part == "debug" || part == "trace" || part.starts_with("kube_")
    };
    let silent = if parts.iter().any(is_detailed) {
        &[][..]
    } else {
        &SAID_ALREADY
    };
    let all: Vec<&str> = silent.iter().chain(&parts).copied().collect();
    let filter = EnvFilter::builder().parse(all.join(","));
    filter.map_err(|error| Error::Unreadable {
        text: text.to_owned(),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_modules_are_read() {
        for text in [
            "info",
            "WARN",
            "off",
            "berth=debug,hyper=info",
            "info, berth_server::accept=trace",
            "warn,a[span{field=1}]=debug",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_kube_repeats_is_silent_unless_it_is_asked_for() {
        for (text, is_silent) in [
            ("info", true),
            ("warn,hyper=debug", true),
            ("debug", false),
            ("INFO,kube_runtime=warn", false),
        ] {
            let filter = parse(text).expect(text).to_string();
            let found = filter.contains("kube_runtime::watcher=off");
            assert_eq!(found, is_silent, "{text}: {filter}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_an_error() {
        for (text, says) in [
            ("inof", "\"inof\" is not a level; did you mean \"info\"?"),
            ("INOF", "\"INOF\" is not a level; did you mean \"info\"?"),
            ("info,debgu", "did you mean \"debug\"?"),
            ("berth=loud", "\"loud\" is not a level;"),
            ("berth=", "\"\" is not a level;"),
            ("berth", "\"berth\" is not a level; write error"),
            ("", "\"\" is not a level;"),
            ("info,,warn", "\"\" is not a level;"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            let begins = format!("--log-level {text}: ");
            assert!(error.starts_with(&begins), "{error}");
            assert!(error.contains(says), "{says}: {error}");
        }
    }
}
