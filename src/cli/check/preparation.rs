//! What is needed before berth is installed.

use k8s_openapi::{
    api::{
        admissionregistration::v1::MutatingWebhookConfiguration,
        authorization::v1::{SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
        core::v1::Service,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, ResourceExt, api::PostParams};

use super::{asking, installation::is_berth};
use crate::cli::cluster::Cluster;
use berth_core::check::{self, CERT_MANAGER, Category, Foreign, NEEDED_TO_INSTALL, Right, Seen};

/// Checks what an installation needs.
pub(super) fn look(
    cluster: &Cluster,
    version: Seen<(String, String)>,
    namespace: &str,
    name: &str,
) -> Vec<Category> {
    let checks = check::preparation(
        &rulings(cluster, namespace),
        &missing_definitions(cluster),
        &configurations(cluster),
        name,
    );
    vec![
        Category::new("kubernetes-api", vec![check::version(&version)]),
        Category::new("berth-preparation", checks),
    ]
}

fn rulings(cluster: &Cluster, namespace: &str) -> Seen<Vec<(Right, bool)>> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let ruling = |(group, resource, is_of_namespace): (&'static str, &'static str, bool)| {
        let right = Right {
            verb: "create",
            group,
            resource,
            subresource: "",
            name: String::new(),
            namespace: if is_of_namespace {
                namespace.to_owned()
            } else {
                String::new()
            },
            is_needed: true,
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(asking::attributes(&right)),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let asked = cluster.wait(reviews.create(&PostParams::default(), &review));
        let status = asked
            .map_err(|error| asking::unseen("your rights", &error))?
            .status;
        Ok((right, status.unwrap_or_default().allowed))
    };
    NEEDED_TO_INSTALL.into_iter().map(ruling).collect()
}

/// Those of cert-manager's definitions that are not there.
fn missing_definitions(cluster: &Cluster) -> Seen<Vec<String>> {
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let mut missing = Vec::new();
    for name in CERT_MANAGER {
        if asking::one(cluster, "the definitions", &definitions, name)?.is_none() {
            missing.push(name.to_owned());
        }
    }
    Ok(missing)
}

fn configurations(cluster: &Cluster) -> Seen<Vec<Foreign>> {
    let all: Vec<MutatingWebhookConfiguration> =
        asking::everywhere(cluster, "MutatingWebhookConfigurations")?;
    let foreign = |it: &MutatingWebhookConfiguration| {
        let is_berth = is_berth(it);
        let missing_service = if is_berth {
            missing_service(cluster, it)?
        } else {
            None
        };
        Ok(Foreign {
            name: it.name_any(),
            is_berth,
            missing_service,
        })
    };
    all.iter().map(foreign).collect()
}

/// The Service that a configuration asks, if it does not exist.
fn missing_service(
    cluster: &Cluster,
    configuration: &MutatingWebhookConfiguration,
) -> Seen<Option<String>> {
    let mut hooks = configuration.webhooks.iter().flatten();
    let Some(service) = hooks.find_map(|it| it.client_config.service.clone()) else {
        return Ok(None);
    };
    let services: Api<Service> = Api::namespaced(cluster.client.clone(), &service.namespace);
    let found = asking::one(cluster, "the Service", &services, &service.name)?;
    Ok(found
        .is_none()
        .then(|| format!("{}/{}", service.namespace, service.name)))
}
