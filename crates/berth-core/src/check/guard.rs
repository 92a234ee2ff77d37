//! The guard, which keeps others off the GPUs: in force, and made from the table as it is.

use super::{Check, Seen, shell};

/// A policy that `berth guard` printed.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// The revision of the table that it was made from.
    pub revision: String,
    /// Whether a guard of the table as it is would be the same.
    pub is_current: bool,
    /// What its binding does, as `Deny`; none where there is no binding.
    pub actions: Option<Vec<String>>,
}

/// Whether each guard is in force and up to date. None is a choice.
#[must_use]
pub fn guard(seen: &Seen<Vec<Policy>>) -> Vec<Check> {
    let what = "the guard is in force and as the table";
    let policies = match seen {
        Ok(policies) => policies,
        Err(why) => return vec![Check::skipped(what, why)],
    };
    if policies.is_empty() {
        let none = "there is none: a Pod without a class that tolerates a pool's taints gets there (docs/guard.md)";
        return vec![Check::skipped(what, none)];
    }
    policies.iter().map(|policy| of_one(what, policy)).collect()
}

fn of_one(what: &str, policy: &Policy) -> Check {
    let name = &policy.name;
    let action = |actions: &[String]| {
        if actions.iter().any(|it| it == "Deny") {
            "deny"
        } else {
            "warn"
        }
    };
    let again = |action: &str| {
        let name = if name == "berth-guard" {
            String::new()
        } else {
            format!(" --name {}", shell(name))
        };
        format!(
            "berth guard --table TABLE --action {action}{name} | kubectl apply -f -, with the files of the table that is applied"
        )
    };
    match &policy.actions {
        None => Check::failed(what, format!("policy {name} has no binding: it looks at no Pod")).advise(again("warn")),
        Some(actions) if !policy.is_current => Check::failed(
            what,
            format!("policy {name} was made from table {}, and another one would be made now: it keeps off Pods that may use a GPU, or lets others on", policy.revision),
        )
        .advise(again(action(actions))),
        Some(actions) => Check::passed(format!("guard {name} is in force ({}) and as the table", action(actions))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Outcome, Unseen};

    #[test]
    fn a_guard_of_another_table_and_one_without_a_binding_fail() {
        let policy = |is_current, actions: Option<&[&str]>| Policy {
            name: "berth-guard".to_owned(),
            revision: "3f9c2a".to_owned(),
            is_current,
            actions: actions.map(|it| it.iter().map(|it| (*it).to_owned()).collect()),
        };
        for (policy, outcome, said) in [
            (
                policy(true, Some(&["Deny", "Audit"])),
                Outcome::Passed,
                "in force (deny)",
            ),
            (
                policy(true, Some(&["Warn"])),
                Outcome::Passed,
                "in force (warn)",
            ),
            (
                policy(false, Some(&["Deny"])),
                Outcome::Failed,
                "made from table 3f9c2a",
            ),
            (policy(true, None), Outcome::Failed, "no binding"),
        ] {
            let checks = guard(&Ok(vec![policy]));
            assert_eq!(checks[0].outcome, outcome, "{checks:?}");
            let text = checks[0].found.as_ref().unwrap_or(&checks[0].what);
            assert!(text.contains(said), "{text}");
        }
        assert_eq!(guard(&Ok(vec![]))[0].outcome, Outcome::Skipped);
        assert_eq!(
            guard(&Err(Unseen("no".to_owned())))[0].outcome,
            Outcome::Skipped
        );
    }
}
