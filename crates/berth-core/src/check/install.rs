//! The replicas.

use std::collections::BTreeMap;

use super::{Check, Seen, counted, shell};

/// The Deployment.
#[derive(Clone, Debug, Default)]
pub struct Install {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How many replicas are wanted.
    pub wanted: i32,
    /// How many are ready.
    pub ready: i32,
    /// How many have the newest template.
    pub updated: i32,
    /// The labels of its Pods.
    pub labels: BTreeMap<String, String>,
    /// Why its Pods cannot be created, if somebody said so.
    pub problem: Option<String>,
}

/// Whether replicas are ready.
#[must_use]
pub fn deployment(seen: &Seen<Option<Install>>) -> Check {
    let what = "the replicas are ready";
    let install = match seen {
        Ok(Some(install)) => install,
        Ok(None) => {
            return Check::skipped(
                what,
                "no Deployment in the Service's namespace has Pods that it selects",
            );
        }
        Err(why) => return Check::skipped(what, why),
    };
    let Install {
        namespace,
        name,
        wanted,
        ready,
        updated,
        ..
    } = install;
    let object = format!("deployment/{} -n {namespace}", shell(name));
    if *wanted == 0 {
        return Check::failed(what, format!("Deployment {name} is scaled to 0"))
            .run(format!("kubectl scale {object} --replicas=2"));
    }
    let found = format!("{ready} of {wanted} of Deployment {name} are ready");
    let found = install
        .problem
        .as_ref()
        .map_or(found.clone(), |problem| format!("{found}: {problem}"));
    if *ready == 0 {
        return Check::failed(what, found).run(format!("kubectl describe {object}"));
    }
    if ready < wanted {
        return Check::warned(what, found).run(format!("kubectl rollout status {object}"));
    }
    if updated < wanted {
        return Check::warned(
            what,
            format!(
                "a rollout of Deployment {name} is not complete: {updated} of {wanted} are new"
            ),
        )
        .run(format!("kubectl rollout status {object}"));
    }
    let replicas = counted(
        usize::try_from(*ready).unwrap_or_default(),
        "replica is",
        "replicas are",
    );
    Check::passed(format!("{replicas} ready"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Outcome, Unseen};

    fn labels(text: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("app".to_owned(), text.to_owned())])
    }

    fn install(wanted: i32, ready: i32, updated: i32) -> Install {
        Install {
            namespace: "gpu".to_owned(),
            name: "berth".to_owned(),
            wanted,
            ready,
            updated,
            labels: labels("berth"),
            problem: None,
        }
    }

    #[test]
    fn replicas_that_are_not_ready_are_told() {
        for (install, outcome, said) in [
            (install(2, 2, 2), Outcome::Passed, "2 replicas are ready"),
            (install(1, 1, 1), Outcome::Passed, "1 replica is ready"),
            (
                install(2, 1, 2),
                Outcome::Warned,
                "1 of 2 of Deployment berth are ready",
            ),
            (install(2, 2, 1), Outcome::Warned, "1 of 2 are new"),
            (install(2, 0, 2), Outcome::Failed, "0 of 2"),
            (install(0, 0, 0), Outcome::Failed, "scaled to 0"),
        ] {
            let check = deployment(&Ok(Some(install)));
            assert_eq!(check.outcome, outcome, "{check:?}");
            let text = check.found.unwrap_or(check.what);
            assert!(text.contains(said), "{text}");
        }
        assert_eq!(deployment(&Ok(None)).outcome, Outcome::Skipped);
        assert_eq!(
            deployment(&Err(Unseen("no".to_owned()))).outcome,
            Outcome::Skipped
        );
    }
}
