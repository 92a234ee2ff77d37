//! cert-manager issues the webhook's certificate, injects its CA, and renews both, by the manifests of `deploy/`.
//!
//! cert-manager and the API server are real, and so are the processes that serve; what stands in for kubelet writes the
//! Secret into the folder that they read.

use std::time::{Duration, Instant};

use berth_cluster::{PATIENCE, Serving, until};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::watcher,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

use crate::{
    common::client::{connect_to, trust},
    load::{Creates, Failure, Load},
    objects::object,
    stand::{Stand, is_soak, stand, times},
};

/// The Certificate of the CA, and its Secret.
const CA: &str = "berth-ca";
/// The Certificate that is served, and its Secret.
const LEAF: &str = "berth-tls";
/// Each rotation makes the API server connect anew, and what it no longer uses idles for minutes on either side: so long
/// there are more and more connections, up to some 550, each of some 30 KiB.
const LEVEL: Duration = Duration::from_mins(4);
/// Where the API server finds the CA.
const CA_BUNDLE: &str = "/webhooks/0/clientConfig/caBundle";

fn secrets(client: Client) -> Api<Secret> {
    Api::namespaced(client, "berth")
}

/// The certificate in a Secret, PEM.
fn certificate(secret: &Secret) -> Option<String> {
    let data = secret.data.as_ref()?.get("tls.crt")?;
    String::from_utf8(data.0.clone()).ok()
}

async fn issued(client: &Client, name: &str) -> String {
    let secret = secrets(client.clone()).get(name).await.expect("a Secret");
    certificate(&secret).expect("a certificate")
}

/// Waits for another certificate in the Secret than there was.
async fn reissued(client: &Client, name: &str, old: &str) -> String {
    let one = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let new = until(secrets(client.clone()), one, |secrets| {
        let new = secrets.values().find_map(certificate)?;
        (!new.is_empty() && new != old).then_some(new)
    });
    new.await.unwrap_or_else(|_| panic!("no new {name}"))
}

/// Has cert-manager renew a Certificate before its time, as its cmctl does.
async fn renew(client: &Client, name: &str) -> String {
    let kind = GroupVersionKind::gvk("cert-manager.io", "v1", "Certificate");
    let kind = ApiResource::from_gvk(&kind);
    let certificates: Api<DynamicObject> = Api::namespaced_with(client.clone(), "berth", &kind);
    // what was issued last is in the Secret before cert-manager is done with it, and forgets what it is told meanwhile
    let one = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let rests = until(certificates.clone(), one, |certificates| {
        let conditions = certificates.get(name)?.data["status"]["conditions"].as_array()?;
        let is_issuing = |it: &Value| it["type"] == "Issuing" && it["status"] == "True";
        (!conditions.iter().any(is_issuing)).then_some(())
    });
    rests.await.expect("nothing is being issued");
    let old = issued(client, name).await;
    let condition = json!({
        "type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "renewed by a test",
    });
    let patch = json!([{"op": "add", "path": "/status/conditions/-", "value": condition}]);
    let patch = Patch::Json::<()>(object(patch));
    let params = PatchParams::default();
    let patched = certificates.patch_status(name, &params, &patch).await;
    patched.expect("a condition");
    reissued(client, name, &old).await
}

/// What the API server trusts.
async fn ca_bundle(client: &Client) -> String {
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let webhook = webhooks.get("berth").await.expect("a configuration");
    bundle(&webhook).unwrap_or_default()
}

fn bundle(webhook: &MutatingWebhookConfiguration) -> Option<String> {
    let config = &webhook.webhooks.as_ref()?.first()?.client_config;
    String::from_utf8(config.ca_bundle.as_ref()?.0.clone()).ok()
}

/// Waits until the API server trusts what is wanted.
async fn trusted(client: &Client, wanted: impl Fn(&str) -> bool) -> String {
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let injected = until(webhooks, watcher::Config::default(), |webhooks| {
        bundle(webhooks.get("berth")?).filter(|bundle| wanted(bundle))
    });
    let injected = injected.await;
    injected.unwrap_or_else(|webhooks| panic!("not injected: {webhooks:#?}"))
}

/// Of two of one object, the later one has the larger.
fn version(webhook: &MutatingWebhookConfiguration) -> u64 {
    let version = webhook.metadata.resource_version.as_deref();
    version.expect("a version").parse().expect("a number")
}

fn first(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

/// Waits until every replica shows the certificate to a client that trusts these CAs.
async fn served(replicas: &[Serving], cas: &str, certificate: &str) {
    let deadline = Instant::now() + PATIENCE;
    for replica in replicas {
        loop {
            let stream = connect_to(replica.webhook, "berth.berth.svc", trust(cas)).await;
            let stream = stream.expect("a handshake that the CAs vouch for");
            let shown = stream.get_ref().1.peer_certificates().expect("a server's");
            if shown[0] == first(certificate) {
                break;
            }
            assert!(Instant::now() < deadline, "the old certificate is served");
            // the files change when they do: there is nothing to watch
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Stand {
    /// A load of dry runs.
    fn load(&self) -> Load {
        Load::start(&self.cluster, Creates::DryRuns)
    }

    /// Renews what is served, waits until it is, and has the API server see it.
    async fn rotate(&mut self) {
        let client = self.cluster.client();
        let leaf = renew(&client, LEAF).await;
        served(self.replicas.serving(), &ca_bundle(&client).await, &leaf).await;
        self.connect_anew().await;
    }
}

#[tokio::test]
async fn a_certificate_is_issued_and_injected() {
    let Some(stand) = stand(&[]).await else {
        return;
    };
    let client = stand.cluster.client();
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let webhook = webhooks.get("berth").await.expect("a configuration");
    let from = &webhook.annotations()["cert-manager.io/inject-ca-from"];
    assert_eq!(from, "berth/berth-tls");
    let (ca, leaf) = (issued(&client, CA).await, issued(&client, LEAF).await);
    let bundle = ca_bundle(&client).await;
    assert!(bundle.contains(ca.trim()), "{bundle}");
    served(stand.replicas.serving(), &ca, &leaf).await;
    let mut load = stand.load();
    load.more(20).await;
    load.stop().await.is_without_failure();
}

#[tokio::test]
async fn leaves_are_rotated_under_load_and_no_create_fails() {
    let Some(mut stand) = stand(&[]).await else {
        return;
    };
    let mut load = stand.load();
    let rotations = times(4, 1000);
    let started = Instant::now();
    let mut took = Vec::new();
    let mut footprint = None;
    for rotation in 0..rotations {
        let began = Instant::now();
        stand.rotate().await;
        took.push(began.elapsed());
        load.more(10).await;
        let is_level = !is_soak() || started.elapsed() > LEVEL;
        if footprint.is_none() && is_level && rotation >= rotations / 5 {
            footprint = Some(stand.footprint().await);
        }
    }
    let tally = load.stop().await;
    took.sort();
    let median = took[took.len() / 2];
    println!("{rotations} rotations, of {median:.1?} in the median: {tally}");
    tally.is_without_failure();
    if let Some(footprint) = footprint {
        stand.is_flat_since(&footprint).await;
    } else {
        println!("memory is not compared: the run was shorter than {LEVEL:?}");
    }
}

#[tokio::test]
async fn roots_are_rotated_under_load_and_the_new_is_trusted_beside_the_old() {
    let Some(mut stand) = stand(&[]).await else {
        return;
    };
    let mut load = stand.load();
    let rotations = times(1, 50);
    for _ in 0..rotations {
        a_new_ca_is_trusted_beside_the_old(&mut stand).await;
        load.more(20).await;
    }
    let tally = load.stop().await;
    println!("{rotations} new CAs: {tally}");
    tally.is_without_failure();
}

async fn a_new_ca_is_trusted_beside_the_old(stand: &mut Stand) {
    let client = stand.cluster.client();
    let (old, leaf) = (issued(&client, CA).await, issued(&client, LEAF).await);
    let new = renew(&client, CA).await;
    // the certificate that is served is of the old CA until its own time comes
    assert_eq!(issued(&client, LEAF).await, leaf);
    stand.connect_anew().await;
    let renewed = renew(&client, LEAF).await;
    let both = |bundle: &str| bundle.contains(old.trim()) && bundle.contains(new.trim());
    trusted(&client, both).await;
    served(
        stand.replicas.serving(),
        &ca_bundle(&client).await,
        &renewed,
    )
    .await;
    // of the new CA alone
    served(stand.replicas.serving(), &new, &renewed).await;
    stand.connect_anew().await;
}

#[tokio::test]
async fn wipes_of_the_ca_bundle_are_restored_and_let_nothing_through() {
    let Some(mut stand) = stand(&[]).await else {
        return;
    };
    let client = stand.cluster.client();
    let mut load = stand.load();
    let secret = secrets(client.clone()).get(LEAF).await.expect("a Secret");
    let ca = &secret.data.expect("data")["ca.crt"].0;
    let ca = String::from_utf8_lossy(ca);
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let wipes = times(3, 20);
    for _ in 0..wipes {
        let wipe: Value = json!([{"op": "remove", "path": CA_BUNDLE}]);
        let wipe = Patch::Json::<()>(object(wipe));
        let params = PatchParams::default();
        let patched = webhooks.patch("berth", &params, &wipe).await;
        let patched = version(&patched.expect("a configuration"));
        // a first list may be from before the wipe
        let restored = until(webhooks.clone(), watcher::Config::default(), |webhooks| {
            let webhook = webhooks.get("berth").filter(|it| version(it) > patched);
            bundle(webhook?).filter(|bundle| !bundle.is_empty())
        });
        let restored = restored.await.expect("the CA is injected again");
        // the CA that signed what the Secret holds; one that it replaced stays where the injector still had it
        assert!(restored.contains(ca.trim()), "{restored}");
        load.more(10).await;
    }
    // it knows the last one when it is called by what came after it
    stand.connect_anew().await;
    let tally = load.stop().await;
    println!("{wipes} wipes of the caBundle: {tally}");
    tally.lets_nothing_through();
    for Failure { message, .. } in &tally.failed {
        assert!(message.contains("failed calling webhook"), "{message}");
        assert!(message.contains("x509"), "{message}");
    }
    let mut load = stand.load();
    load.more(20).await;
    load.stop().await.is_without_failure();
}

#[tokio::test]
async fn a_deleted_secret_is_made_anew_and_serving_goes_on() {
    let Some(mut stand) = stand(&[]).await else {
        return;
    };
    let client = stand.cluster.client();
    let mut load = stand.load();
    let old = issued(&client, LEAF).await;
    let secrets = secrets(client.clone());
    let deleted = secrets.delete(LEAF, &DeleteParams::default()).await;
    deleted.expect("a Secret");
    let new = reissued(&client, LEAF, &old).await;
    served(stand.replicas.serving(), &ca_bundle(&client).await, &new).await;
    stand.connect_anew().await;
    load.more(20).await;
    let tally = load.stop().await;
    println!("a deleted Secret: {tally}");
    tally.is_without_failure();
}
