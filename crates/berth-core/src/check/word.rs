//! The word at apply, which nobody misses where it is not asked for: its webhook ignores every error.

use super::{Check, Seen, shell};

/// The webhook for workloads, below the group.
pub const WORD_HOOK: &str = "workloads";

/// A configuration that asks for a word at apply.
#[derive(Clone, Debug)]
pub struct Word {
    /// Its name.
    pub name: String,
    /// The name of the configuration that asks about Pods.
    pub other: String,
    /// The caBundle of each of its webhooks is that of the webhooks for Pods.
    pub has_same_ca: bool,
    /// How many webhooks it has.
    pub webhooks: usize,
    /// It asks the same Service at the same port.
    pub asks_same: bool,
}

/// Whether the word at apply is asked for as Pods are. Without one, it is switched off.
#[must_use]
pub fn word(seen: &Seen<Option<Word>>) -> Check {
    let what = "the word at apply is asked for as Pods are";
    let word = match seen {
        Ok(Some(word)) => word,
        Ok(None) => {
            return Check::skipped(
                what,
                "no ValidatingWebhookConfiguration asks for it: it is switched off",
            );
        }
        Err(why) => return Check::skipped(what, why),
    };
    let (name, other) = (shell(&word.name), shell(&word.other));
    if !word.asks_same {
        let found = "it asks another Service or port than the webhooks for Pods: nobody is warned";
        return Check::warned(what, found).run(format!(
            "kubectl get mutatingwebhookconfiguration/{other} validatingwebhookconfiguration/{name} -o yaml"
        ));
    }
    if word.has_same_ca {
        return Check::passed(what);
    }
    let operation = |hook| {
        format!(
            r#"{{\"op\":\"add\",\"path\":\"/webhooks/{hook}/clientConfig/caBundle\",\"value\":\"$CA\"}}"#
        )
    };
    let operations: Vec<String> = (0..word.webhooks).map(operation).collect();
    Check::warned(what, "its caBundle is another one than that of the webhooks for Pods: nobody is warned").run(format!(
        r#"CA=$(kubectl get mutatingwebhookconfiguration {other} -o jsonpath='{{.webhooks[0].clientConfig.caBundle}}') && kubectl patch validatingwebhookconfiguration {name} --type=json -p "[{}]""#,
        operations.join(",")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Outcome, Unseen};

    #[test]
    fn a_word_that_is_not_asked_for_as_pods_are_is_a_warning() {
        let word_ = |has_same_ca, asks_same| {
            Ok(Some(Word {
                name: "berth".to_owned(),
                other: "berth".to_owned(),
                has_same_ca,
                webhooks: 1,
                asks_same,
            }))
        };
        for (seen, outcome) in [
            (word_(true, true), Outcome::Passed),
            (word_(false, true), Outcome::Warned),
            (word_(true, false), Outcome::Warned),
            (Ok(None), Outcome::Skipped),
            (Err(Unseen("no right".to_owned())), Outcome::Skipped),
        ] {
            assert_eq!(word(&seen).outcome, outcome, "{seen:?}");
        }
        let hint = word(&word_(false, true)).hint.expect("a hint");
        assert!(
            hint.text().contains("/webhooks/0/clientConfig/caBundle"),
            "{hint:?}"
        );
    }
}
