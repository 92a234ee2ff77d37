//! What is needed before berth is installed.

use super::{Check, Right, Seen};

/// The definitions of cert-manager that the installation uses.
pub const CERT_MANAGER: [&str; 2] = ["certificates.cert-manager.io", "issuers.cert-manager.io"];

/// What whoever installs berth creates: the group, the resource, and whether it is in a namespace.
pub const NEEDED_TO_INSTALL: [(&str, &str, bool); 13] = [
    ("apiextensions.k8s.io", "customresourcedefinitions", false),
    (
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
        false,
    ),
    (
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations",
        false,
    ),
    ("rbac.authorization.k8s.io", "clusterroles", false),
    ("rbac.authorization.k8s.io", "clusterrolebindings", false),
    ("rbac.authorization.k8s.io", "roles", true),
    ("rbac.authorization.k8s.io", "rolebindings", true),
    ("apps", "deployments", true),
    ("policy", "poddisruptionbudgets", true),
    ("networking.k8s.io", "networkpolicies", true),
    ("coordination.k8s.io", "leases", true),
    ("", "services", true),
    ("", "serviceaccounts", true),
];

/// A webhook configuration that is there already.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// Its name.
    pub name: String,
    /// Whether it has berth's webhooks.
    pub is_berth: bool,
    /// The Service that it asks, where that does not exist.
    pub missing_service: Option<String>,
}

/// Whether berth can be installed.
#[must_use]
pub fn preparation(
    rulings: &Seen<Vec<(Right, bool)>>,
    cert_manager: &Seen<Vec<String>>,
    foreign: &Seen<Vec<Foreign>>,
    name: &str,
) -> Vec<Check> {
    let mut checks = vec![rights(rulings), issuer(cert_manager)];
    checks.extend(webhooks(foreign, name));
    checks
}

fn rights(rulings: &Seen<Vec<(Right, bool)>>) -> Check {
    let what = "you may create what berth consists of";
    let rulings = match rulings {
        Ok(rulings) => rulings,
        Err(why) => return Check::skipped(what, why),
    };
    let missing = rulings.iter().filter(|(_, is_allowed)| !is_allowed);
    let missing: Vec<String> = missing.map(|(right, _)| right.to_string()).collect();
    if missing.is_empty() {
        return Check::passed(what);
    }
    Check::failed(what, format!("you may not {}", missing.join(", ")))
        .advise("install as a cluster's administrator, who has the ClusterRole cluster-admin")
}

fn issuer(missing: &Seen<Vec<String>>) -> Check {
    let what = "cert-manager is installed";
    match missing {
        Err(why) => Check::skipped(what, why),
        Ok(missing) if missing.is_empty() => Check::passed(what),
        Ok(missing) => Check::warned(what, format!("there is no CustomResourceDefinition {}", missing.join(", ")))
            .advise("install cert-manager, or let the chart make the certificate: helm install berth deploy/chart/berth -n berth --set tls.mode=helm"),
    }
}

fn webhooks(foreign: &Seen<Vec<Foreign>>, name: &str) -> Vec<Check> {
    let what = format!("no other webhook configuration is named {name}");
    let all = match foreign {
        Ok(all) => all,
        Err(why) => return vec![Check::skipped(what, why)],
    };
    let mut checks = Vec::new();
    let same = all.iter().find(|it| it.name == name && !it.is_berth);
    checks.push(match same {
        Some(_) => Check::failed(what, "there is one, and it is not berth's")
            .advise(format!("give berth another name: helm install OTHER deploy/chart/berth, or delete it: kubectl delete mutatingwebhookconfiguration {name}")),
        None => Check::passed(what),
    });
    let what = "no webhook of an earlier installation points nowhere";
    let nowhere = all
        .iter()
        .filter(|it| it.is_berth)
        .find_map(|it| Some((it, it.missing_service.as_ref()?)));
    checks.push(match nowhere {
        Some((it, service)) => Check::failed(
            what,
            format!("{} asks Service {service}, which does not exist: no Pod that names a class can be created", it.name),
        )
        .run(format!("kubectl delete mutatingwebhookconfiguration {}", it.name)),
        None => Check::passed(what),
    });
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Outcome, Unseen};

    fn foreign(name: &str, is_berth: bool, missing: Option<&str>) -> Foreign {
        Foreign {
            name: name.to_owned(),
            is_berth,
            missing_service: missing.map(str::to_owned),
        }
    }

    fn outcomes(allowed: bool, missing: &[&str], all: Vec<Foreign>) -> Vec<Outcome> {
        let right = Right {
            verb: "create",
            group: "apps",
            resource: "deployments",
            subresource: "",
            name: String::new(),
            namespace: "berth".to_owned(),
            is_needed: true,
        };
        let missing = missing.iter().map(|it| (*it).to_owned()).collect();
        let checks = preparation(&Ok(vec![(right, allowed)]), &Ok(missing), &Ok(all), "berth");
        checks.iter().map(|it| it.outcome).collect()
    }

    #[test]
    fn what_stops_an_installation_fails() {
        use Outcome::{Failed, Passed, Skipped, Warned};
        let fine = [Passed, Passed, Passed, Passed];
        assert_eq!(outcomes(true, &[], vec![]), fine);
        assert_eq!(
            outcomes(true, &[], vec![foreign("berth", true, None)]),
            fine
        );
        assert_eq!(
            outcomes(true, &[], vec![foreign("istio", false, Some("x/y"))]),
            fine
        );
        assert_eq!(
            outcomes(false, &["certificates.cert-manager.io"], vec![]),
            [Failed, Warned, Passed, Passed]
        );
        assert_eq!(
            outcomes(true, &[], vec![foreign("berth", false, None)]),
            [Passed, Passed, Failed, Passed]
        );
        assert_eq!(
            outcomes(true, &[], vec![foreign("old", true, Some("gpu/berth"))]),
            [Passed, Passed, Passed, Failed]
        );
        let why = || Unseen("no right".to_owned());
        let unseen = preparation(&Err(why()), &Err(why()), &Err(why()), "berth");
        assert!(unseen.iter().all(|it| it.outcome == Skipped));
    }
}
