//! What is installed: from the webhook configuration to the Service, the Deployment, and the flags of its Pods.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, WebhookClientConfig},
    apps::v1::Deployment,
    core::v1::{PodTemplateSpec, Service},
};
use kube::{Api, ResourceExt};

use super::{
    asking,
    flags::{flags, shipped},
    replicas::Lead,
};
use crate::cli::{cluster::Cluster, serve::Flags};
use berth_core::{
    check::{self, HOOK, Install, Seen, Unseen},
    names::{GROUP, LEASE},
};

/// The API server asks a Service at this port where the configuration names none.
const HTTPS: i32 = 443;

/// What is installed, as far as it was found.
pub(super) struct Installation {
    /// The configurations that have berth's webhook.
    pub(super) configurations: Seen<Vec<MutatingWebhookConfiguration>>,
    /// The name of the configuration, which is also that of the roles.
    pub(super) name: String,
    /// Whom the API server asks.
    pub(super) asked: Asked,
    pub(super) deployment: Seen<Option<Deployment>>,
    /// The flags of its Pods; as they are installed, where they are not known.
    pub(super) flags: Flags,
}

/// Whom the API server asks.
pub(super) enum Asked {
    /// A Service.
    Service {
        namespace: String,
        name: String,
        port: i32,
        found: Seen<Option<Box<Service>>>,
    },
    /// An address outside of the cluster: the name and the port.
    Address(String, i32),
}

impl Installation {
    /// Looks for it.
    pub(super) fn find(cluster: &Cluster, name: Option<&str>) -> Self {
        let configurations = asking::everywhere::<MutatingWebhookConfiguration>(
            cluster,
            "MutatingWebhookConfigurations",
        )
        .map(|all| {
            let is_berth = |it: &MutatingWebhookConfiguration| {
                is_berth(it) && name.is_none_or(|name| it.name_any() == name)
            };
            all.into_iter().filter(is_berth).collect::<Vec<_>>()
        });
        let one = configurations.as_ref().ok().and_then(|all| all.first());
        let client = one.and_then(|it| Some(&it.webhooks.as_ref()?.first()?.client_config));
        let asked = Asked::of(cluster, client);
        let deployment = deployment(cluster, &asked);
        let template = deployment
            .as_ref()
            .ok()
            .and_then(|it| Some(&it.as_ref()?.spec.template));
        Self {
            name: one.map_or_else(|| name.unwrap_or(LEASE).to_owned(), ResourceExt::name_any),
            flags: template.and_then(flags).unwrap_or_else(shipped),
            configurations,
            asked,
            deployment,
        }
    }

    /// The namespace of its Pods.
    pub(super) fn namespace(&self) -> &str {
        match &self.asked {
            Asked::Service { namespace, .. } => namespace,
            Asked::Address(..) => LEASE,
        }
    }

    /// The template of its Pods.
    pub(super) fn template(&self) -> Option<&PodTemplateSpec> {
        let deployment = self.deployment.as_ref().ok()?.as_ref()?;
        Some(&deployment.spec.template)
    }

    /// The Deployment as a fact.
    pub(super) fn replicas(&self) -> Seen<Option<Install>> {
        let found = self.deployment.as_ref().map_err(Clone::clone)?;
        Ok(found.as_ref().map(|deployment| {
            let status = deployment.status.clone().unwrap_or_default();
            let spec = deployment.spec.clone();
            let mut failures = status.conditions.into_iter().flatten().filter(|it| {
                it.type_.as_deref() == Some("ReplicaFailure")
                    && it.status.as_deref() == Some("True")
            });
            Install {
                namespace: deployment.namespace().unwrap_or_default(),
                name: deployment.name_any(),
                wanted: spec.replicas.unwrap_or(1),
                ready: status.ready_replicas.unwrap_or_default(),
                updated: status.updated_replicas.unwrap_or_default(),
                labels: spec.selector.match_labels.unwrap_or_default(),
                problem: failures.find_map(|it| it.message),
            }
        }))
    }
}

/// Whether a configuration has berth's webhook.
pub(super) fn is_berth(configuration: &MutatingWebhookConfiguration) -> bool {
    let hook = format!("{HOOK}.{GROUP}");
    let mut hooks = configuration.webhooks.iter().flatten();
    hooks.any(|it| it.name == hook)
}

impl Asked {
    fn of(cluster: &Cluster, client: Option<&WebhookClientConfig>) -> Self {
        if let Some(url) = client.and_then(|it| it.url.as_deref()) {
            let (host, port) = host(url);
            return Self::Address(host, port);
        }
        let reference = client.and_then(|it| it.service.clone()).unwrap_or_default();
        let or_berth = |text: String| {
            if text.is_empty() {
                LEASE.to_owned()
            } else {
                text
            }
        };
        let (namespace, name) = (or_berth(reference.namespace), or_berth(reference.name));
        let services: Api<Service> = Api::namespaced(cluster.client.clone(), &namespace);
        let found = asking::one(cluster, "the Service", &services, &name);
        Self::Service {
            namespace,
            name,
            port: reference.port.unwrap_or(HTTPS),
            found: found.map(|it| it.map(Box::new)),
        }
    }
}

/// The host and port of a URL that the API server takes.
fn host(url: &str) -> (String, i32) {
    let rest = url.strip_prefix("https://").unwrap_or(url);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !port.ends_with(']') => {
            (host.to_owned(), port.parse().unwrap_or(HTTPS))
        }
        _ => (authority.to_owned(), HTTPS),
    }
}

/// The Deployment to which the Service leads; where it leads out of the cluster or is not there, the one of its name.
fn deployment(cluster: &Cluster, asked: &Asked) -> Seen<Option<Deployment>> {
    let Asked::Service {
        namespace,
        name,
        found,
        ..
    } = asked
    else {
        return Err(Unseen(
            "the webhook configuration names no Service".to_owned(),
        ));
    };
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), namespace);
    let all = asking::all(cluster, "the Deployments", &deployments)?;
    let selector = found
        .as_ref()
        .ok()
        .and_then(|it| it.as_ref()?.spec.as_ref()?.selector.clone());
    let is_selected = |it: &&Deployment| {
        selector
            .as_ref()
            .is_some_and(|selector| selects(selector, it))
    };
    let selected = all.iter().find(is_selected);
    Ok(selected
        .or_else(|| all.iter().find(|it| it.name_any() == *name))
        .cloned())
}

fn selects(selector: &BTreeMap<String, String>, deployment: &Deployment) -> bool {
    let metadata = deployment.spec.template.metadata.as_ref();
    let labels = metadata.and_then(|it| it.labels.as_ref());
    let has =
        |(key, value): (&String, &String)| labels.is_some_and(|it| it.get(key) == Some(value));
    !selector.is_empty() && selector.iter().all(has)
}

/// The Service as a fact.
pub(super) fn service(asked: &Asked, leads: &Seen<Vec<Lead>>) -> Seen<check::Service> {
    let Asked::Service {
        namespace,
        name,
        port,
        found,
    } = asked
    else {
        return Err(Unseen("the webhook configuration names a URL".to_owned()));
    };
    let found = found.as_ref().map_err(Clone::clone)?;
    let external = found.as_deref().and_then(external).map(str::to_owned);
    let spec = found
        .as_ref()
        .and_then(|it| it.spec.clone())
        .unwrap_or_default();
    let endpoints = match external {
        None => leads.as_ref().map_err(Clone::clone)?.as_slice(),
        Some(_) => &[],
    };
    Ok(check::Service {
        namespace: namespace.clone(),
        name: name.clone(),
        port: *port,
        is_there: found.is_some(),
        ports: spec.ports.iter().flatten().map(|it| it.port).collect(),
        selector: spec.selector.unwrap_or_default(),
        external,
        endpoints: endpoints.iter().map(|it| it.endpoint.clone()).collect(),
    })
}

/// The name outside of the cluster to which a Service leads, where it is of that type.
pub(super) fn external(service: &Service) -> Option<&str> {
    let spec = service.spec.as_ref()?;
    let name = spec.external_name.as_deref();
    name.filter(|_| spec.type_.as_deref() == Some("ExternalName"))
}

/// The container port of a name, or the one that is named.
pub(super) fn port_of(template: Option<&PodTemplateSpec>, name: &str) -> Option<i32> {
    let containers = &template?.spec.as_ref()?.containers;
    let mut ports = containers.iter().flat_map(|it| it.ports.iter().flatten());
    ports
        .find(|it| it.name.as_deref() == Some(name))
        .map(|it| it.container_port)
}

/// The name of a Service's port, by which its slices name theirs; empty where it has none.
pub(super) fn port_name(service: &Service, port: i32) -> Option<String> {
    let ports = service.spec.as_ref()?.ports.as_ref()?;
    let port = ports.iter().find(|it| it.port == port)?;
    Some(port.name.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_and_a_port() {
        for (url, host_, port) in [
            ("https://a.example/mutate", "a.example", 443),
            ("https://a.example:8443/mutate?x=y", "a.example", 8443),
            ("https://[::1]:8443/", "[::1]", 8443),
            ("https://[::1]/", "[::1]", 443),
        ] {
            assert_eq!(host(url), (host_.to_owned(), port), "{url}");
        }
    }
}
