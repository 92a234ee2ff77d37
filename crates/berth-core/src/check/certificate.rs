//! The certificate that each replica serves, the caBundle by which the API server knows it, and the table that it has.

use super::{Check, Seen, Unseen};

/// cert-manager renews a certificate so many days before its end, as it is shipped. One day is for the renewal itself.
const RENEWED: i64 = 29;
/// In so many days somebody must act.
const SOON: i64 = 3;
const DAY: i64 = 24 * 60 * 60;

/// What was seen of one address of the Service.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Its address, or its Pod.
    pub name: String,
    /// The certificate that it presents.
    pub presented: Seen<Presented>,
    /// The revision of its table.
    pub revision: Seen<String>,
}

/// A certificate as it was served.
#[derive(Clone, Debug)]
pub struct Presented {
    /// Its last second, of Unix time.
    pub not_after: i64,
    /// What the caBundle and the name say to it.
    pub trusted: Result<(), String>,
}

/// Whom the API server trusts.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The name of the configuration.
    pub configuration: String,
    /// How many webhooks it has.
    pub webhooks: usize,
    /// What is wrong with its caBundle itself.
    pub problem: Option<String>,
    /// Where cert-manager takes it from, as `NAMESPACE/CERTIFICATE`, if it does.
    pub injected_from: Option<String>,
    /// The Secret of the serving certificate, and its namespace.
    pub secret: Option<(String, String)>,
}

/// Whether the API server trusts each replica, and for how long. `now` is of Unix time.
#[must_use]
pub fn certificates(bundle: &Seen<Bundle>, replicas: &[Replica], now: i64) -> Vec<Check> {
    let what = "the caBundle verifies the certificate that is served";
    let bundle = match bundle {
        Ok(bundle) => bundle,
        Err(why) => return vec![Check::skipped(what, why)],
    };
    if let Some(problem) = &bundle.problem {
        return vec![Check::failed(what, problem).run(bundle.fix())];
    }
    let seen = replicas
        .iter()
        .filter_map(|it| Some((it, it.presented.as_ref().ok()?)));
    let seen: Vec<(&Replica, &Presented)> = seen.collect();
    let mut checks: Vec<Check> = replicas
        .iter()
        .filter_map(|it| {
            Some(Check::skipped(
                format!("{what} at {}", it.name),
                it.presented.as_ref().err()?,
            ))
        })
        .collect();
    if replicas.is_empty() {
        checks.push(Check::skipped(what, "no replica is known"));
    }
    let untrusted = seen.iter().filter_map(|(replica, presented)| {
        let why = presented.trusted.as_ref().err()?;
        Some(Check::failed(format!("{what} at {}", replica.name), why).run(bundle.fix()))
    });
    let untrusted: Vec<Check> = untrusted.collect();
    if untrusted.is_empty() && !seen.is_empty() {
        let names: Vec<&str> = seen.iter().map(|(replica, _)| &*replica.name).collect();
        checks.push(Check::passed(format!("{what} at {}", names.join(" and "))));
    }
    checks.extend(untrusted);
    if let Some(ends) = seen.iter().map(|(_, presented)| presented.not_after).min() {
        checks.push(bundle.validity(ends, now));
    }
    checks
}

impl Bundle {
    /// Brings the CA into every webhook.
    fn fix(&self) -> String {
        let name = &self.configuration;
        if let Some(from) = &self.injected_from {
            // a change of the object brings cert-manager's injector to it
            return format!(
                "kubectl annotate mutatingwebhookconfiguration {name} cert-manager.io/inject-ca-from={from} --overwrite"
            );
        }
        let (namespace, secret) = self
            .secret
            .clone()
            .unwrap_or_else(|| ("berth".to_owned(), "berth-tls".to_owned()));
        let operation = |hook| {
            format!(
                r#"{{\"op\":\"add\",\"path\":\"/webhooks/{hook}/clientConfig/caBundle\",\"value\":\"$CA\"}}"#
            )
        };
        let operations: Vec<String> = (0..self.webhooks).map(operation).collect();
        format!(
            r#"CA=$(kubectl get secret {secret} -n {namespace} -o jsonpath='{{.data.ca\.crt}}') && kubectl patch mutatingwebhookconfiguration {name} --type=json -p "[{}]""#,
            operations.join(",")
        )
    }

    fn validity(&self, ends: i64, now: i64) -> Check {
        let days = (ends - now).div_euclid(DAY);
        let what = "the certificate is valid for weeks";
        let renew = match (&self.injected_from, &self.secret) {
            (Some(from), _) => {
                let (namespace, certificate) = from.split_once('/').unwrap_or(("berth", from));
                format!("kubectl describe certificate {certificate} -n {namespace}")
            }
            (None, Some((namespace, secret))) => {
                format!("kubectl describe secret {secret} -n {namespace}")
            }
            (None, None) => "kubectl get secrets -A".to_owned(),
        };
        if ends <= now {
            Check::failed(what, "it has expired").run(renew)
        } else if days < SOON {
            Check::failed(what, format!("it is valid for {days} days")).run(renew)
        } else if days < RENEWED {
            let found = format!("it is valid for {days} days, and should have been renewed");
            Check::warned(what, found).run(renew)
        } else {
            Check::passed(format!("the certificate is valid for {days} days"))
        }
    }
}

/// Whether every replica has the table of the objects as they are now, where this berth can tell.
#[must_use]
pub fn revisions(replicas: &[Replica], ours: &Seen<String>) -> Vec<Check> {
    let what = "every replica has the same table";
    let mut seen: Vec<(&str, &str)> = Vec::new();
    let mut unseen: Vec<(&str, &Unseen)> = Vec::new();
    for replica in replicas {
        match &replica.revision {
            Ok(revision) => seen.push((&replica.name, revision)),
            Err(why) => unseen.push((&replica.name, why)),
        }
    }
    let mut checks: Vec<Check> = unseen
        .into_iter()
        .map(|(name, why)| Check::skipped(format!("{name} has the table"), why))
        .collect();
    let Some((_, first)) = seen.first() else {
        if checks.is_empty() {
            checks.push(Check::skipped(what, "no replica is known"));
        }
        return checks;
    };
    let each = seen
        .iter()
        .map(|(name, revision)| format!("{name} has {revision}"));
    let each = || each.clone().collect::<Vec<_>>().join(", ");
    checks.push(if seen.iter().any(|(_, revision)| revision != first) {
        Check::failed(what, each())
            .advise("wait a second after a change of the table; if it stays so, see what the log of the replica says that is behind")
    } else if let Ok(ours) = ours && ours != first {
        Check::warned(what, format!("{}, and the objects are {ours}", each()))
            .advise("the replicas are of another version, or have flags that this berth does not see: use the berth of the same version")
    } else {
        Check::passed(format!("{what} ({first})"))
    });
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Hint, Outcome};

    fn bundle() -> Bundle {
        Bundle {
            configuration: "berth".to_owned(),
            webhooks: 2,
            problem: None,
            injected_from: None,
            secret: Some(("berth".to_owned(), "berth-tls".to_owned())),
        }
    }

    fn replica(name: &str, days: i64, trusted: Result<(), &str>, revision: &str) -> Replica {
        Replica {
            name: name.to_owned(),
            presented: Ok(Presented {
                not_after: days * DAY,
                trusted: trusted.map_err(str::to_owned),
            }),
            revision: Ok(revision.to_owned()),
        }
    }

    fn outcomes(checks: &[Check]) -> Vec<Outcome> {
        checks.iter().map(|it| it.outcome).collect()
    }

    #[test]
    fn the_days_that_are_left_say_what_to_do() {
        for (days, outcome) in [
            (90, Outcome::Passed),
            (30, Outcome::Passed),
            (28, Outcome::Warned),
            (2, Outcome::Failed),
            (0, Outcome::Failed),
            (-1, Outcome::Failed),
        ] {
            let all = [
                replica("a", 90, Ok(()), "r"),
                replica("b", days, Ok(()), "r"),
            ];
            let checks = certificates(&Ok(bundle()), &all, 0);
            assert_eq!(outcomes(&checks), [Outcome::Passed, outcome], "{days}");
        }
    }

    #[test]
    fn a_replica_that_is_not_trusted_fails_alone_and_one_that_is_not_reached_is_skipped() {
        let mut far = replica("far", 90, Ok(()), "r");
        far.presented = Err(Unseen("it cannot be reached from here".to_owned()));
        let all = [
            far,
            replica("a", 90, Ok(()), "r"),
            replica("b", 90, Err("unknown issuer"), "r"),
        ];
        let checks = certificates(&Ok(bundle()), &all, 0);
        assert_eq!(
            outcomes(&checks),
            [Outcome::Skipped, Outcome::Failed, Outcome::Passed]
        );
        assert!(checks[1].what.ends_with("at b"), "{checks:?}");
        let Some(Hint::Run(command)) = &checks[1].hint else {
            panic!("{checks:?}");
        };
        assert!(
            command.contains("/webhooks/1/clientConfig/caBundle"),
            "{command}"
        );
        let injected = Bundle {
            injected_from: Some("berth/berth-tls".to_owned()),
            problem: Some("it is empty".to_owned()),
            ..bundle()
        };
        let checks = certificates(&Ok(injected), &all, 0);
        assert_eq!(outcomes(&checks), [Outcome::Failed]);
        let hint = checks[0].hint.as_ref().expect("a hint").text();
        assert!(hint.contains("inject-ca-from=berth/berth-tls"), "{hint}");
        assert_eq!(
            outcomes(&certificates(&Ok(bundle()), &[], 0)),
            [Outcome::Skipped]
        );
    }

    #[test]
    fn replicas_with_different_tables_fail() {
        let of = |revisions: &[&str]| -> Vec<Replica> {
            let all = revisions.iter().map(|it| replica(it, 90, Ok(()), it));
            all.collect()
        };
        let ours = Ok("x".to_owned());
        for (all, outcome) in [
            (&["x", "x"][..], Outcome::Passed),
            (&["x", "y"], Outcome::Failed),
            (&["y", "y"], Outcome::Warned),
            (&[], Outcome::Skipped),
        ] {
            assert_eq!(outcomes(&revisions(&of(all), &ours)), [outcome], "{all:?}");
        }
        let unknown = Err(Unseen("no right".to_owned()));
        assert_eq!(
            outcomes(&revisions(&of(&["y"]), &unknown)),
            [Outcome::Passed]
        );
    }
}
