//! What berth's service account may do: all that it needs, and nothing by which it could harm.

use std::fmt;

use super::{Check, Seen, counted};
use crate::names::GROUP;

mod grant;

/// Somebody's right to do something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Right {
    /// As `list`.
    pub verb: &'static str,
    /// Empty for the core group.
    pub group: &'static str,
    /// As `pods`.
    pub resource: &'static str,
    /// As `status`, or empty.
    pub subresource: &'static str,
    /// Of which object; empty for all.
    pub name: String,
    /// Where; empty for everywhere.
    pub namespace: String,
    /// Whether berth needs it; else it must not have it.
    pub is_needed: bool,
}

/// Whose rights they are, and what berth is told to do.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of berth serve"
)]
pub struct Account {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The name of its `ClusterRole` and Role.
    pub role: String,
    /// Of the objects that carry its rights, the kinds that are known to be missing.
    pub absent: Vec<Carrier>,
    /// The name of its Lease.
    pub lease: String,
    /// Whether the table is in the cluster. Without it, berth needs no right.
    pub reads_cluster: bool,
    /// `--live`.
    pub live: bool,
    /// `--status`.
    pub status: bool,
    /// `--events`.
    pub events: bool,
}

/// An object that carries berth's rights, by berth's name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carrier {
    /// What it may do everywhere.
    ClusterRole,
    /// That it may.
    ClusterRoleBinding,
    /// What it may do in its namespace.
    Role,
    /// That it may.
    RoleBinding,
}

/// What the API server says to a question about a right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ruling {
    /// Whether it allows it.
    pub is_allowed: bool,
    /// Why, as `RBAC: allowed by ClusterRoleBinding "x" of ClusterRole "y" to ServiceAccount "berth/berth"`.
    pub reason: String,
}

/// What would harm if berth were taken over, in its own namespace as well as everywhere: verb, group, resource and
/// subresource.
const HARMFUL_HERE: [(&str, &str, &str, &str); 8] = [
    ("get", "", "secrets", ""),
    ("list", "", "secrets", ""),
    ("create", "", "pods", ""),
    ("patch", "", "pods", ""),
    ("delete", "", "pods", ""),
    ("create", "", "pods", "binding"),
    ("create", "", "pods", "exec"),
    ("create", "", "serviceaccounts", "token"),
];

/// The same of what has no namespace.
const HARMFUL: [(&str, &str, &str, &str); 4] = [
    ("patch", "", "nodes", ""),
    (
        "create",
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
        "",
    ),
    (
        "patch",
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
        "",
    ),
    ("escalate", "rbac.authorization.k8s.io", "clusterroles", ""),
];

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.subresource.is_empty() {
            write!(f, "/{}", self.subresource)?;
        }
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        if !self.namespace.is_empty() {
            write!(f, " in namespace {}", self.namespace)?;
        }
        Ok(())
    }
}

/// Every right that is to be asked about.
#[must_use]
pub fn asked(account: &Account) -> Vec<Right> {
    let mut all = Vec::new();
    let mut needs = |verbs: &[&'static str],
                     group: &'static str,
                     resource: &'static str,
                     subresource: &'static str| {
        all.extend(verbs.iter().map(|verb| Right {
            verb,
            group,
            resource,
            subresource,
            name: String::new(),
            namespace: String::new(),
            is_needed: true,
        }));
    };
    let follow = &["list", "watch"];
    if account.reads_cluster {
        needs(follow, GROUP, "gpupools", "");
        needs(follow, GROUP, "workloadclasses", "");
        needs(follow, "", "namespaces", "");
        if account.live {
            needs(follow, "", "nodes", "");
            needs(follow, "", "pods", "");
            needs(follow, "resource.k8s.io", "deviceclasses", "");
        }
        if account.status {
            needs(&["patch"], GROUP, "gpupools", "status");
            needs(&["patch"], GROUP, "workloadclasses", "status");
        }
        if account.events {
            needs(&["create"], "events.k8s.io", "events", "");
        }
        if account.status {
            all.extend(["get", "list", "watch", "update"].map(|verb| Right {
                verb,
                group: "coordination.k8s.io",
                resource: "leases",
                subresource: "",
                name: account.lease.clone(),
                namespace: account.namespace.clone(),
                is_needed: true,
            }));
        }
    }
    let harmful = |(verb, group, resource, subresource), namespace: &str| Right {
        verb,
        group,
        resource,
        subresource,
        name: String::new(),
        namespace: namespace.to_owned(),
        is_needed: false,
    };
    all.extend(HARMFUL.map(|it| harmful(it, "")));
    all.extend(HARMFUL_HERE.map(|it| harmful(it, &account.namespace)));
    all
}

/// Whether the account has all that it needs, and none that it should not have.
#[must_use]
pub fn rights(account: &Seen<Account>, rulings: &Seen<Vec<(Right, Ruling)>>) -> Vec<Check> {
    let (needs, harms) = (
        "berth has the rights that it needs",
        "berth has no right by which it could harm",
    );
    let (account, rulings) = match (account, rulings) {
        (Ok(account), Ok(rulings)) => (account, rulings),
        (Err(why), _) | (_, Err(why)) => {
            return vec![Check::skipped(needs, why), Check::skipped(harms, why)];
        }
    };
    let missing = rulings
        .iter()
        .filter(|(right, ruling)| right.is_needed && !ruling.is_allowed);
    let missing: Vec<&Right> = missing.map(|(right, _)| right).collect();
    let mut checks = vec![if missing.is_empty() {
        let needed = rulings.iter().filter(|(right, _)| right.is_needed).count();
        Check::passed(format!("{needs}: {}", counted(needed, "right", "rights")))
    } else {
        let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
        Check::failed(needs, format!("it may not {}", names.join(", ")))
            .run(account.grant(&missing))
    }];
    let harmful = rulings
        .iter()
        .filter(|(right, ruling)| !right.is_needed && ruling.is_allowed);
    let harmful: Vec<&(Right, Ruling)> = harmful.collect();
    checks.push(if harmful.is_empty() {
        Check::passed(harms)
    } else {
        account.too_much(harms, &harmful)
    });
    checks
}

impl Account {
    /// Names the bindings by which it is allowed; those that are not berth's own can be deleted.
    fn too_much(&self, what: &str, harmful: &[&(Right, Ruling)]) -> Check {
        let names: Vec<String> = harmful.iter().map(|(right, _)| right.to_string()).collect();
        let mut bindings: Vec<(String, String)> = harmful
            .iter()
            .filter_map(|(_, it)| binding(&it.reason))
            .collect();
        bindings.sort();
        bindings.dedup();
        let by = bindings.iter().map(|(kind, name)| format!("{kind} {name}"));
        let by = by.collect::<Vec<_>>().join(", ");
        let by = if by.is_empty() {
            String::new()
        } else {
            format!(", by {by}")
        };
        let check = Check::failed(what, format!("it may {}{by}", names.join(", ")));
        let is_own = |(_, name): &(String, String)| name.split('/').next() == Some(&*self.role);
        if bindings.is_empty() || bindings.iter().any(is_own) {
            return check.advise(format!(
                "remove these rules: kubectl edit clusterrole {role}; or install berth's own again",
                role = self.role
            ));
        }
        let deletes = bindings
            .iter()
            .map(|(kind, name)| match name.split_once('/') {
                Some((name, namespace)) => format!(
                    "kubectl delete {} {name} -n {namespace}",
                    kind.to_ascii_lowercase()
                ),
                None => format!("kubectl delete {} {name}", kind.to_ascii_lowercase()),
            });
        check.run(deletes.collect::<Vec<_>>().join(" && "))
    }
}

/// The kind and name of the binding that a reason names. A `RoleBinding` is written as name/namespace.
fn binding(reason: &str) -> Option<(String, String)> {
    let (_, rest) = reason.split_once("allowed by ")?;
    let (kind, rest) = rest.split_once(" \"")?;
    let (name, _) = rest.split_once('"')?;
    let is_binding = matches!(kind, "ClusterRoleBinding" | "RoleBinding");
    is_binding.then(|| (kind.to_owned(), name.to_owned()))
}

#[cfg(test)]
mod tests;
