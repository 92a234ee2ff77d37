//! The guard, which keeps others off the GPUs: in force, and made from the table as it is.

use super::{Check, Seen, shell};
use crate::names::EXCLUDED_NAMESPACES;

/// The name of a guard that nobody named.
const GUARD: &str = "berth-guard";
/// The namespace that a guard leaves out, too, whoever makes it.
const NAMESPACE: &str = "berth";

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
    /// The namespaces that it leaves out, which are a person's choice.
    pub exempt: Vec<String>,
    /// The class label of the berth that is installed, where that is another one than berth's own.
    pub class_label: Option<String>,
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
    match &policy.actions {
        None => Check::failed(what, format!("policy {name} has no binding: it looks at no Pod")).run(policy.again("warn")),
        Some(actions) if !policy.is_current => Check::failed(
            what,
            format!("policy {name} was made from table {}, and another one would be made now: it keeps off Pods that may use a GPU, or lets others on", policy.revision),
        )
        .run(policy.again(action(actions))),
        Some(actions) => Check::passed(format!("guard {name} is in force ({}) and as the table", action(actions))),
    }
}

impl Policy {
    /// What makes it anew, of the table that the cluster has.
    fn again(&self, action: &str) -> String {
        let mut command = format!("berth guard --from-cluster --action {action}");
        let mut flag = |flag: &str, value: &str| {
            command = format!("{command} {flag} {}", shell(value));
        };
        if self.name != GUARD {
            flag("--name", &self.name);
        }
        if let Some(label) = &self.class_label {
            flag("--class-label", label);
        }
        let exempt = self.exempt.iter().map(String::as_str);
        let by_itself = |it: &&str| EXCLUDED_NAMESPACES.contains(it) || *it == NAMESPACE;
        exempt
            .filter(|it| !by_itself(it))
            .for_each(|it| flag("--exempt-namespace", it));
        format!("{command} | kubectl apply -f -")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Hint, Outcome, Unseen};

    #[test]
    fn a_guard_of_another_table_and_one_without_a_binding_fail() {
        let policy = |is_current, actions: Option<&[&str]>| Policy {
            name: "berth-guard".to_owned(),
            revision: "3f9c2a".to_owned(),
            is_current,
            actions: actions.map(|it| it.iter().map(|it| (*it).to_owned()).collect()),
            exempt: ["kube-system", "kube-node-lease", "berth"]
                .map(str::to_owned)
                .into(),
            class_label: None,
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
        let own = "berth guard --from-cluster --action warn | kubectl apply -f -";
        let named = "berth guard --from-cluster --action warn --name gpus --class-label a.com/class --exempt-namespace gpu-operator | kubectl apply -f -";
        let mut other = policy(true, None);
        (other.name, other.class_label) = ("gpus".to_owned(), Some("a.com/class".to_owned()));
        other.exempt.push("gpu-operator".to_owned());
        for (policy, command) in [(policy(true, None), own), (other, named)] {
            let checks = guard(&Ok(vec![policy]));
            assert_eq!(checks[0].hint, Some(Hint::Run(command.to_owned())));
        }
        assert_eq!(guard(&Ok(vec![]))[0].outcome, Outcome::Skipped);
        assert_eq!(
            guard(&Err(Unseen("no".to_owned())))[0].outcome,
            Outcome::Skipped
        );
    }
}
