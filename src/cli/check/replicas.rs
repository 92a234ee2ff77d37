//! The replicas behind the Service: what each serves, as far as it is reached from here.

use std::{thread, time::Duration};

use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    discovery::v1::{EndpointPort, EndpointSlice},
};
use kube::{Api, ResourceExt, api::ListParams, core::Request};

use tokio::time::timeout;

use super::{
    asking,
    installation::{Asked, Installation, external, port_name, port_of},
};
use crate::cli::cluster::Cluster;
use berth_core::check::{Bundle, Endpoint, Presented, Replica, Seen, Unseen};
use berth_server::tls::asked::{self, Roots, Served};

/// How long a replica is asked by way of the API server.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many replicas are asked at most.
const MOST: usize = 16;
/// Where cert-manager takes the CA from.
const INJECTED: &str = "cert-manager.io/inject-ca-from";
/// The metric that has the revision of the table.
const REVISION: &str = "berth_table_info{revision=\"";

/// Where a review goes, and to which Pod.
#[derive(Clone)]
pub(super) struct Lead {
    pub(super) endpoint: Endpoint,
    pod: Option<String>,
}

/// Where the reviews go.
pub(super) fn leads(cluster: &Cluster, asked: &Asked) -> Seen<Vec<Lead>> {
    let (namespace, name, port, found) = match asked {
        Asked::Address(host, port) => return Ok(vec![reached(format!("{host}:{port}"))]),
        Asked::Service {
            namespace,
            name,
            port,
            found,
        } => (namespace, name, *port, found),
    };
    let Some(service) = found.as_ref().map_err(Clone::clone)? else {
        return Ok(Vec::new());
    };
    if let Some(external) = external(service) {
        return Ok(vec![reached(format!("{external}:{port}"))]);
    }
    let Some(port) = port_name(service, port) else {
        return Ok(Vec::new());
    };
    let slices: Api<EndpointSlice> = Api::namespaced(cluster.client.clone(), namespace);
    let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
    let slices = cluster.wait(slices.list(&of_service));
    let slices = slices.map_err(|error| asking::unseen("the EndpointSlices", &error))?;
    let mut leads = Vec::new();
    for slice in slices {
        let name = |it: &EndpointPort| it.name.clone().unwrap_or_default();
        let mut ports = slice.ports.iter().flatten();
        let Some(number) = ports.find(|it| name(it) == port).and_then(|it| it.port) else {
            continue;
        };
        for endpoint in slice.endpoints.into_iter().flatten() {
            let target = endpoint
                .target_ref
                .filter(|it| it.kind.as_deref() == Some("Pod"));
            let conditions = endpoint.conditions.unwrap_or_default();
            for address in endpoint.addresses {
                let endpoint = Endpoint {
                    address: with_port(&address, number),
                    is_ready: conditions.ready != Some(false),
                };
                let pod = target.as_ref().and_then(|it| it.name.clone());
                leads.push(Lead { endpoint, pod });
            }
        }
    }
    leads.sort_by(|a, b| a.endpoint.address.cmp(&b.endpoint.address));
    // two Pods of the host's network have one address
    leads.dedup_by(|a, b| a.endpoint.address == b.endpoint.address);
    Ok(leads)
}

fn with_port(address: &str, port: i32) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

/// Whom the API server trusts, by the configuration.
pub(super) fn bundle(installation: &Installation) -> Seen<Bundle> {
    let all = installation.configurations.as_ref().map_err(Clone::clone)?;
    let Some(configuration) = all.first() else {
        return Err(Unseen("there is no webhook configuration".to_owned()));
    };
    let annotations = configuration.annotations();
    Ok(Bundle {
        configuration: configuration.name_any(),
        webhooks: configuration.webhooks.as_ref().map_or(0, Vec::len),
        problem: ca(configuration).and_then(|ca| Roots::of(&ca)).err(),
        injected_from: annotations.get(INJECTED).cloned(),
        secret: secret(installation),
    })
}

/// The Secret of the serving certificate, after its namespace.
fn secret(installation: &Installation) -> Option<(String, String)> {
    let volumes = installation.template()?.spec.as_ref()?.volumes.as_ref()?;
    let mut secrets = volumes
        .iter()
        .filter_map(|it| it.secret.as_ref()?.secret_name.clone());
    Some((installation.namespace().to_owned(), secrets.next()?))
}

/// The caBundle, which each webhook should have.
fn ca(configuration: &MutatingWebhookConfiguration) -> Result<Vec<u8>, String> {
    let hooks = configuration.webhooks.iter().flatten();
    let bundles = hooks.map(|hook| hook.client_config.ca_bundle.clone().unwrap_or_default().0);
    let mut bundles: Vec<Vec<u8>> = bundles.collect();
    bundles.dedup();
    match bundles.len() {
        0 | 1 => {
            let first = bundles.pop().unwrap_or_default();
            if first.is_empty() {
                return Err(
                    "the caBundle is empty: the API server trusts no certificate of a cluster's CA"
                        .to_owned(),
                );
            }
            Ok(first)
        }
        _ => Err("the webhooks have different caBundles".to_owned()),
    }
}

/// What each replica serves.
pub(super) fn replicas(
    cluster: &Cluster,
    installation: &Installation,
    leads: &Seen<Vec<Lead>>,
) -> Seen<Vec<Replica>> {
    let all = installation.configurations.as_ref().map_err(Clone::clone)?;
    let Some(configuration) = all.first() else {
        return Err(Unseen("there is no webhook configuration".to_owned()));
    };
    let roots = ca(configuration).and_then(|ca| Roots::of(&ca));
    let roots = roots.map_err(|problem| Unseen(format!("the caBundle: {problem}")))?;
    let name = match &installation.asked {
        Asked::Address(host, _) => host.clone(),
        Asked::Service {
            namespace, name, ..
        } => format!("{name}.{namespace}.svc"),
    };
    let leads = leads.as_ref().map_err(Clone::clone)?;
    let label = &installation.flags.settings.class_label;
    let ready = leads.iter().filter(|it| it.endpoint.is_ready);
    let ready: Vec<Lead> = ready.take(MOST).cloned().collect();
    let answers = ask_all(&ready, |address| asked::ask(address, &name, label, &roots));
    let replica = |(lead, answer): (Lead, Result<Served, String>)| match answer {
        Ok(asked) => Replica {
            name: lead.endpoint.address,
            presented: Ok(Presented {
                not_after: asked.not_after,
                trusted: asked.trusted,
            }),
            revision: asked.revision.map_err(Unseen),
        },
        Err(why) => far(cluster, installation, lead, &why),
    };
    Ok(ready.into_iter().zip(answers).map(replica).collect())
}

/// Asks all of them at once: those that are not reached take their time.
fn ask_all(
    leads: &[Lead],
    ask: impl Fn(&str) -> Result<Served, String> + Sync,
) -> Vec<Result<Served, String>> {
    thread::scope(|scope| {
        let asking = leads
            .iter()
            .map(|it| scope.spawn(|| ask(&it.endpoint.address)));
        // each has begun before one is waited for
        let asking: Vec<_> = asking.collect();
        let ended = asking.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|it| it.unwrap_or_else(|_| Err("internal error".to_owned())))
            .collect()
    })
}

fn reached(address: String) -> Lead {
    Lead {
        endpoint: Endpoint {
            address,
            is_ready: true,
        },
        pod: None,
    }
}

/// A replica that is not reached from here. The API server reaches its admin port, which shows the table and no certificate.
fn far(cluster: &Cluster, installation: &Installation, lead: Lead, why: &str) -> Replica {
    let unreached = Unseen(format!(
        "{} is not reached from here: {why}",
        lead.endpoint.address
    ));
    let (name, revision) = match lead.pod {
        None => (lead.endpoint.address, Err(unreached.clone())),
        Some(pod) => {
            let revision = metrics(cluster, installation, &pod).and_then(|text| {
                let revision = text
                    .split_once(REVISION)
                    .and_then(|(_, rest)| rest.split_once('"'));
                let revision = revision.map(|(revision, _)| revision.to_owned());
                revision.ok_or_else(|| Unseen("it has no table yet".to_owned()))
            });
            (format!("Pod {pod}"), revision)
        }
    };
    Replica {
        name,
        presented: Err(unreached),
        revision,
    }
}

/// The metrics of a Pod, by way of the API server.
fn metrics(cluster: &Cluster, installation: &Installation, pod: &str) -> Seen<String> {
    let port = port_of(installation.template(), "admin").unwrap_or(8080);
    let pods = format!("/api/v1/namespaces/{}/pods", installation.namespace());
    let request = Request::new(pods).get(
        &format!("{pod}:{port}/proxy/metrics"),
        &kube::api::GetParams::default(),
    );
    let request = request.map_err(|error| Unseen(error.to_string()))?;
    let what = "its metrics, by way of the API server";
    // the client asks 15 times where the API server does not get there
    let asked = async { timeout(PATIENCE, cluster.client.request_text(request)).await };
    match cluster.wait(asked) {
        Ok(answer) => answer.map_err(|error| asking::unseen(what, &error)),
        Err(_) => Err(Unseen(format!(
            "{what}: no answer in {} s",
            PATIENCE.as_secs()
        ))),
    }
}
