//! What a pool says of its nodes' names and labels.

use super::{Found, Manifests, name_of, node_requirements};
use berth_core::{
    api::GPUPool,
    names::{HOSTNAME_LABEL, OS_LABEL},
    selector::{Operator, Requirement},
    shown,
    syntax::is_dns_subdomain,
};

/// The labels that kubelet gives every node, with all the values that it gives, where these are few.
const KUBELETS: &[(&str, &[&str])] = &[
    (HOSTNAME_LABEL, &[]),
    (OS_LABEL, &["linux", "windows"]),
    (
        "kubernetes.io/arch",
        &[
            "386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x",
        ],
    ),
];

pub(super) fn impossible_node(manifests: &Manifests<'_>, found: &mut Found) {
    for (origin, pool) in &manifests.pools {
        for (field, hostname) in hostnames(pool) {
            let lower = hostname.to_ascii_lowercase();
            let (why, help) = if lower != hostname {
                let help = format!("write {lower}", lower = shown::quoted(&lower));
                ("kubelet writes it in lower case", help)
            } else if !is_dns_subdomain(&hostname) {
                let help = "write it as `kubectl get nodes -L kubernetes.io/hostname` shows it";
                (
                    "the name of a node has only letters, digits, '-' and '.'",
                    help.to_owned(),
                )
            } else {
                continue;
            };
            let message = format!(
                "no node has the hostname {hostname}: {why}",
                hostname = shown::quoted(&hostname)
            );
            found.add(*origin, field, message, help);
        }
        for (field, requirement) in node_requirements(pool) {
            if let Some((why, help)) = impossible(&requirement) {
                found.add(
                    *origin,
                    field,
                    format!("no node is of pool {}: {why}", shown::quoted(name_of(pool))),
                    help,
                );
            }
        }
    }
}

/// Why no node meets a requirement, and what to do.
fn impossible(requirement: &Requirement) -> Option<(String, String)> {
    let (key, values) = KUBELETS.iter().find(|(key, _)| *key == requirement.key)?;
    match requirement.operator {
        Operator::DoesNotExist => Some((
            format!("kubelet labels every node with {key}"),
            "remove the requirement".to_owned(),
        )),
        Operator::In if !values.is_empty() => {
            let known = |value: &String| values.contains(&value.as_str());
            (!requirement.values.iter().any(known)).then(|| {
                (
                    format!("{key} is never {}", requirement.values.join(" or ")),
                    format!("the values are {}", values.join(", ")),
                )
            })
        }
        _ => None,
    }
}

pub(super) fn replaced_hostname(manifests: &Manifests<'_>, found: &mut Found) {
    for (origin, pool) in &manifests.pools {
        for (field, hostname) in hostnames(pool) {
            if is_replaced(&hostname) {
                found.add(
                    *origin,
                    field,
                    format!("{hostname} looks like a node of a scaled group: its replacement has another name", hostname = shown::quoted(&hostname)),
                    "select the nodes by a label of their group",
                );
            }
        }
    }
}

pub(super) fn dotted_hostname(manifests: &Manifests<'_>, found: &mut Found) {
    for (origin, pool) in &manifests.pools {
        for (field, hostname) in hostnames(pool) {
            // what is replaced is told as that, and has the same help
            if let Some((short, _)) = hostname.split_once('.')
                && !is_replaced(&hostname)
            {
                found.add(
                    *origin,
                    field,
                    format!(
                        "{hostname} has a dot, as the name of a node may: its label {HOSTNAME_LABEL} is often only {short}", hostname = shown::quoted(&hostname), short = shown::quoted(short)),
                    format!("compare it with `kubectl get nodes -L {HOSTNAME_LABEL}`"),
                );
            }
        }
    }
}

/// Every hostname that a pool selects, with the field that names it.
pub(super) fn hostnames(pool: &GPUPool) -> Vec<(String, String)> {
    let by_name =
        |(_, it): &(String, Requirement)| it.key == HOSTNAME_LABEL && it.operator == Operator::In;
    let named = node_requirements(pool).into_iter().filter(by_name);
    let of_one = |(field, requirement): (String, Requirement)| {
        let place = move |(i, hostname)| {
            let field = match &*field {
                "spec.hostnames" => format!("{field}[{i}]"),
                label if label.contains(".matchLabels[") => label.to_owned(),
                expression => format!("{expression}.values[{i}]"),
            };
            (field, hostname)
        };
        requirement.values.into_iter().enumerate().map(place)
    };
    named.flat_map(of_one).collect()
}

/// The names that EKS, GKE and AKS give to the nodes of a group, and AWS to an instance.
fn is_replaced(hostname: &str) -> bool {
    let host = hostname.split('.').next().unwrap_or_default();
    let octets = |rest: &str| {
        let octets: Vec<&str> = rest.split('-').collect();
        octets.len() == 4 && octets.iter().all(|octet| octet.parse::<u8>().is_ok())
    };
    let instance = |rest: &str| {
        matches!(rest.len(), 8 | 17) && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    host.strip_prefix("ip-").is_some_and(octets)
        || host.strip_prefix("i-").is_some_and(instance)
        || host.starts_with("gke-")
        || (host.starts_with("aks-") && host.contains("-vmss"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::lint::{
        code,
        testing::{fires, used_pool},
    };

    fn selects(key: &str, operator: &str, values: &[&str]) -> Value {
        let expression = json!({"key": key, "operator": operator, "values": values});
        json!({"nodeSelector": {"matchExpressions": [expression]}})
    }

    #[test]
    fn a_node_that_cannot_exist_is_found() {
        let expression = Some("spec.nodeSelector.matchExpressions[0]");
        for (spec, expected) in [
            (json!({"hostnames": ["khelben"]}), None),
            (
                json!({"hostnames": ["khelben", "Elminster"]}),
                Some("spec.hostnames[1]"),
            ),
            (json!({"hostnames": ["gpu_a"]}), Some("spec.hostnames[0]")),
            (json!({"hostnames": ["gpu-a.lab.example.net"]}), None),
            (
                json!({"nodeSelector": {"matchLabels": {HOSTNAME_LABEL: "Khelben"}}}),
                Some("spec.nodeSelector.matchLabels[\"kubernetes.io/hostname\"]"),
            ),
            (selects(HOSTNAME_LABEL, "NotIn", &["gpu_a"]), None),
            (selects("kubernetes.io/arch", "In", &["x86_64"]), expression),
            (
                selects("kubernetes.io/arch", "In", &["x86_64", "amd64"]),
                None,
            ),
            (selects("kubernetes.io/arch", "NotIn", &["x86_64"]), None),
            (selects("kubernetes.io/os", "In", &["Linux"]), expression),
            (selects(HOSTNAME_LABEL, "DoesNotExist", &[]), expression),
            (selects("example.com/gpu", "DoesNotExist", &[]), None),
            (
                json!({"nodeSelector": {"matchLabels": {"kubernetes.io/os": "talos"}}}),
                Some("spec.nodeSelector.matchLabels[\"kubernetes.io/os\"]"),
            ),
        ] {
            fires(&code::IMPOSSIBLE_NODE, &used_pool(spec), expected);
        }
    }

    #[test]
    fn a_hostname_with_a_dot_is_found() {
        for (hostname, expected) in [
            ("gpu-a.lab.example.net", true),
            ("10.0.0.5", true),
            ("gpu-a", false),
            // told as the node of a scaled group
            ("ip-10-0-3-17.eu-west-1.compute.internal", false),
        ] {
            let field = expected.then_some("spec.hostnames[0]");
            let documents = used_pool(json!({"hostnames": [hostname]}));
            fires(&code::DOTTED_HOSTNAME, &documents, field);
            let field = expected.then_some("spec.nodeSelector.matchExpressions[0].values[0]");
            let documents = used_pool(selects(HOSTNAME_LABEL, "In", &[hostname]));
            fires(&code::DOTTED_HOSTNAME, &documents, field);
        }
    }

    #[test]
    fn the_hostname_of_a_node_that_is_replaced_is_found() {
        for (hostname, expected) in [
            ("ip-10-0-3-17.eu-west-1.compute.internal", true),
            ("ip-10-0-3-17", true),
            ("i-0a1b2c3d4e5f60718.eu-west-1.compute.internal", true),
            ("gke-ai-gpu-pool-1a2b3c4d-x7k2", true),
            ("aks-gpu-12345678-vmss000001", true),
            ("khelben", false),
            ("ip-10", false),
            ("ip-10-0-3-300", false),
            ("i-robot", false),
            ("aks", false),
        ] {
            let field = expected.then_some("spec.hostnames[0]");
            fires(
                &code::REPLACED_HOSTNAME,
                &used_pool(json!({"hostnames": [hostname]})),
                field,
            );
            let field = expected.then_some("spec.nodeSelector.matchExpressions[0].values[0]");
            let documents = used_pool(selects(HOSTNAME_LABEL, "In", &[hostname]));
            fires(&code::REPLACED_HOSTNAME, &documents, field);
        }
    }
}
