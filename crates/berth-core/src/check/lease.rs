//! The Lease: its holder writes the statuses, and chooses between pools for all.

use serde_json::json;

use super::{Check, Seen, shell};

/// A Lease that was not renewed for so many seconds has no holder any more, also where two clocks differ a little.
const STALE: i64 = 60;

/// A Lease as it is.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Who holds it, if anybody does.
    pub identity: Option<String>,
    /// When it was renewed, of Unix time, by the clock of its holder.
    pub renewed: Option<i64>,
}

/// Whether a replica holds the Lease. `now` is of Unix time.
#[must_use]
pub fn lease(namespace: &str, name: &str, seen: &Seen<Option<Holder>>, now: i64) -> Check {
    let what = "a replica holds the Lease";
    let holder = match seen {
        Err(why) => return Check::skipped(what, why),
        Ok(None) => {
            let lease = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": name, "namespace": namespace},
            });
            let found = format!(
                "there is no Lease {name} in namespace {namespace}: no status is written, and no replica chooses between pools for all"
            );
            return Check::failed(what, found).run(format!(
                "echo {} | kubectl apply -f -",
                shell(&lease.to_string())
            ));
        }
        Ok(Some(holder)) => holder,
    };
    let log = format!("kubectl logs -n {namespace} -l app.kubernetes.io/name=berth --tail=20");
    let Some(identity) = &holder.identity else {
        return Check::failed(
            what,
            format!("nobody holds Lease {name}: no status is written"),
        )
        .run(log);
    };
    let age = holder.renewed.map(|renewed| now - renewed);
    match age {
        Some(age) if age > STALE => Check::failed(
            what,
            format!(
                "{identity} has not renewed Lease {name} for {age} s, by the clock of this machine"
            ),
        )
        .run(log),
        _ => Check::passed(format!("a replica holds the Lease: {identity}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Outcome, Unseen};

    #[test]
    fn a_lease_that_is_missing_not_held_or_stale_fails() {
        let held = |identity: Option<&str>, renewed| {
            Ok(Some(Holder {
                identity: identity.map(str::to_owned),
                renewed,
            }))
        };
        for (seen, outcome, said) in [
            (
                held(Some("a"), Some(990)),
                Outcome::Passed,
                "holds the Lease: a",
            ),
            // the holder's clock is ahead
            (
                held(Some("a"), Some(1010)),
                Outcome::Passed,
                "holds the Lease: a",
            ),
            (held(Some("a"), Some(900)), Outcome::Failed, "for 100 s"),
            (held(None, None), Outcome::Failed, "nobody holds"),
            (
                Ok(None),
                Outcome::Failed,
                "there is no Lease berth in namespace gpu",
            ),
            (
                Err(Unseen("no right".to_owned())),
                Outcome::Skipped,
                "no right",
            ),
        ] {
            let check = lease("gpu", "berth", &seen, 1000);
            assert_eq!(check.outcome, outcome, "{check:?}");
            let text = check.found.unwrap_or(check.what);
            assert!(text.contains(said), "{text}");
        }
        let hint = lease("gpu", "berth", &Ok(None), 0).hint.expect("a hint");
        let expected = r#"echo '{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"berth","namespace":"gpu"}}' | kubectl apply -f -"#;
        assert_eq!(hint.text(), expected);
    }
}
