//! The configuration that asks for a word at apply.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::ResourceExt;

use super::{asking, installation::Installation};
use crate::cli::cluster::Cluster;
use berth_core::{
    check::{Seen, Unseen, WORD_HOOK, Word},
    names::GROUP,
};

/// The configuration beside that for Pods, of the same Service.
pub(super) fn seen(cluster: &Cluster, installation: &Installation) -> Seen<Option<Word>> {
    let pods = installation.configurations.as_ref().map_err(Clone::clone)?;
    let Some(pods) = pods.first() else {
        return Err(Unseen("there is no webhook configuration".to_owned()));
    };
    let mut of_pods = pods.webhooks.iter().flatten();
    let of_pods = of_pods
        .next()
        .map(|it| it.client_config.clone())
        .unwrap_or_default();
    let all: Vec<ValidatingWebhookConfiguration> =
        asking::everywhere(cluster, "ValidatingWebhookConfigurations")?;
    let hook = format!("{WORD_HOOK}.{GROUP}");
    let has_hook = |it: &&ValidatingWebhookConfiguration| {
        let mut hooks = it.webhooks.iter().flatten();
        hooks.any(|it| it.name == hook)
    };
    let name = pods.name_any();
    let mut words = all.iter().filter(has_hook);
    // another installation has its own
    let word = words.find(|it| it.name_any() == name);
    Ok(word.map(|it| {
        let clients: Vec<&WebhookClientConfig> = it
            .webhooks
            .iter()
            .flatten()
            .map(|it| &it.client_config)
            .collect();
        let place = |it: &WebhookClientConfig| {
            let service = it.service.clone().unwrap_or_default();
            (
                it.url.clone(),
                service.namespace,
                service.name,
                service.port,
            )
        };
        Word {
            name: it.name_any(),
            other: name.clone(),
            has_same_ca: clients.iter().all(|it| it.ca_bundle == of_pods.ca_bundle),
            webhooks: clients.len(),
            asks_same: clients.iter().all(|it| place(it) == place(&of_pods)),
        }
    }))
}
