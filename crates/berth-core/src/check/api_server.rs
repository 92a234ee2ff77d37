//! The API server itself.

use super::{Check, Seen};

/// The oldest minor of Kubernetes 1 that the tests run on.
const OLDEST: u32 = 33;

/// Whether the API server is of a version that berth is tested with. `minor` is as it says it: `33`, or `33+`.
#[must_use]
pub fn version(seen: &Seen<(String, String)>) -> Check {
    let what = format!("Kubernetes is 1.{OLDEST} or newer");
    let (major, minor) = match seen {
        Ok(version) => version,
        Err(why) => return Check::skipped(what, why),
    };
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    match (major.as_str(), digits.parse::<u32>()) {
        ("1", Ok(number)) if number >= OLDEST => Check::passed(what),
        ("1", Ok(_)) => Check::failed(what, format!("it is {major}.{minor}"))
            .advise("upgrade Kubernetes: the webhook's conditions need what it has since then"),
        _ => Check::skipped(what, format!("it says that it is {major}.{minor}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Outcome, Unseen};

    #[test]
    fn an_old_api_server_fails() {
        for (minor, outcome) in [
            ("33", Outcome::Passed),
            ("33+", Outcome::Passed),
            ("37", Outcome::Passed),
            ("32", Outcome::Failed),
            ("9+", Outcome::Failed),
            ("x", Outcome::Skipped),
        ] {
            let seen = Ok(("1".to_owned(), minor.to_owned()));
            assert_eq!(version(&seen).outcome, outcome, "{minor}");
        }
        let unseen = version(&Err(Unseen("no".to_owned())));
        assert_eq!(unseen.outcome, Outcome::Skipped);
        assert_eq!(unseen.found.as_deref(), Some("no"));
    }
}
