//! cert-manager issues the webhook's certificate, and injects its CA.

use berth_cluster::{Certificate, Options};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::{Api, ResourceExt};

use crate::{homelab, objects::pod};

#[tokio::test]
async fn a_pod_runs_behind_cert_managers_certificate() {
    let Some(homelab) = homelab(&Options::default(), Certificate::CertManager).await else {
        return;
    };
    let cluster = homelab.cluster().await;
    cluster.create(pod("vllm")).await.runs_on("khelben").await;

    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(cluster.client());
    let webhook = webhooks.get("berth").await.expect("a configuration");
    let from = &webhook.annotations()["cert-manager.io/inject-ca-from"];
    assert_eq!(from, "berth/berth-tls");
    let injected = &webhook.webhooks.as_ref().expect("webhooks")[0]
        .client_config
        .ca_bundle;
    assert!(injected.is_some());
}
