//! Another webhook in the cluster, called for the Pods of the test's namespace: it answers what the test says.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::request::Parts,
    response::{IntoResponse, Response},
    routing::post,
};
use axum_server::tls_rustls::RustlsAcceptor;
use base64::{Engine, engine::general_purpose::STANDARD};
use berth_cluster::Cluster;
use berth_server::tls::{self, Tls};
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    core::v1::{Pod, Service},
};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use crate::{
    eventually,
    objects::{dry_run, object, plain},
};

/// A webhook that joins before berth, and one that joins after: the API server calls them in the order of their names.
pub const BEFORE: &str = "a-neighbour";
/// See [`BEFORE`].
pub const AFTER: &str = "z-neighbour";

/// The webhook, for as long as the test's runtime lives.
pub struct Neighbour(Arc<Calls>);

/// A request as it came.
pub struct Call {
    pub head: Parts,
    pub body: Bytes,
}

struct Calls {
    answer: Box<dyn Fn(&Value) -> Response + Send + Sync>,
    received: Mutex<Vec<Call>>,
}

impl Neighbour {
    /// Joins, and returns when the API server calls it. The answer is a review to a review.
    pub async fn join<R: IntoResponse>(
        cluster: &Cluster<'_>,
        name: &str,
        answer: impl Fn(&Value) -> R + Send + Sync + 'static,
    ) -> Self {
        Self::join_under(cluster, name, json!({}), answer).await
    }

    /// The same, with more fields of the webhook.
    pub async fn join_under<R: IntoResponse>(
        cluster: &Cluster<'_>,
        name: &str,
        fields: Value,
        answer: impl Fn(&Value) -> R + Send + Sync + 'static,
    ) -> Self {
        let calls = Arc::new(Calls {
            answer: Box::new(move |review| answer(review).into_response()),
            received: Mutex::default(),
        });
        let namespace = cluster.namespace();
        let (port, ca) = serve(&format!("{name}.{namespace}.svc"), &calls);
        let service = json!({"metadata": {"name": name}, "spec": {"type": "ExternalName", "externalName": "localhost"}});
        let params = PostParams::default();
        let services: Api<Service> = cluster.api();
        services
            .create(&params, &object(service))
            .await
            .expect("a Service");
        let mut webhook = json!({
            "name": "pods.neighbour.example",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {
                "service": {"name": name, "namespace": namespace, "port": port, "path": "/mutate"},
                "caBundle": STANDARD.encode(ca),
            },
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        });
        let fields = fields.as_object().expect("an object").clone();
        webhook.as_object_mut().expect("an object").extend(fields);
        let name = format!("{name}-{namespace}");
        let configuration = object(json!({"metadata": {"name": name}, "webhooks": [webhook]}));
        let webhooks: Api<MutatingWebhookConfiguration> = Api::all(cluster.client());
        webhooks
            .create(&params, &configuration)
            .await
            .expect("a webhook");
        let neighbour = Self(calls);
        neighbour.wait_until_called(cluster).await;
        neighbour
    }

    /// The API server says to nobody when it has noticed a webhook: the webhook does.
    async fn wait_until_called(&self, cluster: &Cluster<'_>) {
        let (pods, mut probe) = (cluster.api::<Pod>(), plain("probe"));
        probe.metadata.annotations = Some([("probe".to_owned(), "yes".to_owned())].into());
        let called = async || {
            // refused or not, by this webhook or another
            let _ = pods.create(&dry_run(), &probe).await;
            (!self.received().is_empty()).then_some(())
        };
        eventually(called).await.expect("a call of the neighbour");
        self.received().clear();
    }

    /// What it has been called with.
    pub fn received(&self) -> std::sync::MutexGuard<'_, Vec<Call>> {
        self.0.received.lock().expect("no panic")
    }
}

/// Serves in the test's runtime, on the kind of TLS that berth has: the port, and the CA.
fn serve(server_name: &str, calls: &Arc<Calls>) -> (u16, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    let tls = Tls::load(tls::Options {
        tls_self_signed: true,
        tls_names: vec![server_name.to_owned()],
        ca_out: Some(ca.clone()),
        ..tls::Options::default()
    });
    let acceptor = RustlsAcceptor::new(tls.expect("a certificate").config());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let routes = Router::new()
        .route("/mutate", post(mutate))
        .with_state(Arc::clone(calls));
    let server = axum_server::from_tcp(listener)
        .expect("a listener")
        .acceptor(acceptor);
    tokio::spawn(server.serve(routes.into_make_service()));
    (port, std::fs::read(ca).expect("a CA"))
}

async fn mutate(State(calls): State<Arc<Calls>>, head: Parts, body: Bytes) -> Response {
    let review = serde_json::from_slice(&body).expect("a review");
    calls
        .received
        .lock()
        .expect("no panic")
        .push(Call { head, body });
    (calls.answer)(&review)
}

/// A review that answers a review with these fields.
pub fn answer(review: &Value, fields: Value) -> Json<Value> {
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    let fields = fields.as_object().expect("an object").clone();
    response.as_object_mut().expect("an object").extend(fields);
    Json(
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}),
    )
}

/// An answer with a patch.
pub fn patch(review: &Value, operations: &Value) -> Json<Value> {
    let patch = STANDARD.encode(operations.to_string());
    answer(review, json!({"patch": patch, "patchType": "JSONPatch"}))
}
