//! Law 1 on the real thing: what kube-apiserver accepts without berth, it accepts with berth's patch.
//!
//! Each Pod is created twice, as a dry run: in a namespace in which no webhook is called, and in one in which the API
//! server applies berth's patch and validates the result. Every case has a table of its own, so the webhook, on berth's
//! own server, takes the table of the Pod's number.

#![allow(
    clippy::panic,
    reason = "a test fails by a panic, and these are its helpers"
)]

use std::{
    io::Write,
    net::TcpListener,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum_server::tls_rustls::RustlsConfig;
use berth_cluster::{ControlPlane, Error, Options, PATIENCE, until};
use berth_core::{
    review::{self, Answer},
    table::{Settings, compile},
    view::View,
};
use berth_server::{
    accept::{Gate, Meters},
    metrics::Metrics,
    state::ServerState,
    tls::self_signed::{Authority, LEAF_LIFETIME},
    traces::Traces,
    webhook::{Limits, Routes, Webhook},
};
use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::MutatingWebhookConfiguration,
        core::v1::{Namespace, ServiceAccount},
        node::v1::RuntimeClass,
    },
};
use kube::{Api, Client, api::PostParams, core::Status, runtime::watcher};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use rustls::pki_types::PrivateKeyDer;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

use crate::{case, cases, config, seed, words::RUNTIME_CLASSES};

/// The namespaces of the cases, and the one in which no webhook is called.
const NAMESPACES: [&str; 2] = ["ai", "lab"];
const PLAIN: &str = "plain";
/// So many creates are under way at once.
const AT_ONCE: usize = 8;

/// The tables, by the Pods' numbers.
static VIEWS: OnceLock<Vec<View>> = OnceLock::new();

/// What became of the Pods.
#[derive(Clone, Copy, Debug, Default)]
struct Census {
    /// The API server refuses the original.
    invalid: usize,
    /// berth denies it.
    denied: usize,
    /// Accepted, and changed by nobody.
    as_it_was: usize,
    /// Accepted with berth's choice in it.
    placed: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_api_server_accepts_it_accepts_with_the_patch() {
    let control_plane = match ControlPlane::start(&Options::default()).await {
        Ok(control_plane) => control_plane,
        Err(Error::Missing(sentence)) => {
            // past libtest, which shows what a test that passes prints to nobody
            let _ = writeln!(std::io::stderr(), "{sentence}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let client = control_plane.client().await.expect("a client");
    let pods: Arc<[(String, Value)]> = draw().into();
    prepare(&client).await;
    let workers = (0..AT_ONCE).map(|worker| {
        let (client, pods) = (client.clone(), Arc::clone(&pods));
        tokio::spawn(async move {
            let mut census = Census::default();
            for (namespace, pod) in pods.iter().skip(worker).step_by(AT_ONCE) {
                census.count(&client, namespace, pod).await;
            }
            census
        })
    });
    let mut census = Census::default();
    for worker in workers.collect::<Vec<_>>() {
        census.add(worker.await.unwrap_or_else(|broken| panic!("{broken}")));
    }
    println!("{census:?}");
    // a law that no Pod comes under says nothing
    assert!(census.placed > pods.len() / 10, "{census:?}");
    assert!(census.denied > pods.len() / 100, "{census:?}");
}

impl Census {
    async fn count(&mut self, client: &Client, namespace: &str, pod: &Value) {
        let original = create(client, PLAIN, pod).await;
        let with_berth = create(client, namespace, pod).await;
        match (original, with_berth) {
            (Err(_), _) => self.invalid += 1,
            (Ok(_), Err(refusal)) if refusal.message.contains("denied the request: ") => {
                self.denied += 1;
            }
            (Ok(_), Err(refusal)) => panic!("{}\n{pod:#}", refusal.message),
            (Ok(_), Ok(result))
                if result["metadata"]["annotations"]["berth.dev/pool"].is_null() =>
            {
                self.as_it_was += 1;
            }
            (Ok(_), Ok(_)) => self.placed += 1,
        }
    }

    fn add(&mut self, other: Self) {
        self.invalid += other.invalid;
        self.denied += other.denied;
        self.as_it_was += other.as_it_was;
        self.placed += other.placed;
    }
}

/// The Pods of the cases, with their namespaces; their tables become those of the webhook.
fn draw() -> Vec<(String, Value)> {
    let mut runner = TestRunner::new(config(cases(), seed()));
    let strategy = case::cases();
    let drawn = (0..cases()).map(|_| strategy.new_tree(&mut runner).expect("a case").current());
    let (mut views, mut pods) = (Vec::new(), Vec::new());
    for case in drawn {
        let mut pod = case.pod.clone();
        prepare_pod(&mut pod, views.len());
        let namespace = case.request["namespace"].as_str().unwrap_or("ai");
        pods.push((namespace.to_owned(), pod));
        views.push(case.view(0));
    }
    VIEWS.set(views).expect("there is one such test");
    pods
}

/// Gives a Pod its number as a name, and what validation wants and no rule reads. What is misshapen stays so.
fn prepare_pod(pod: &mut Value, number: usize) {
    if let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("name".to_owned(), json!(number.to_string()));
    }
    for list in ["/spec/containers", "/spec/initContainers"] {
        let containers = pod.pointer_mut(list).and_then(Value::as_array_mut);
        let containers = containers.into_iter().flatten();
        for container in containers.filter_map(Value::as_object_mut) {
            container.insert("image".to_owned(), json!("x"));
        }
    }
}

/// [`review::review`] with the view of the Pod's number.
fn review_by_number<'a>(body: &'a [u8], other: &'a View) -> Result<Answer<'a>, review::Error> {
    #[derive(Deserialize)]
    struct Review {
        request: Request,
    }
    #[derive(Deserialize)]
    struct Request {
        name: String,
    }
    let number = serde_json::from_slice::<Review>(body)
        .ok()
        .and_then(|it| it.request.name.parse::<usize>().ok());
    let view = number.and_then(|number| VIEWS.get()?.get(number));
    review::review(body, view.unwrap_or(other))
}

/// Serves, and registers, the webhook, in namespaces in which it is called.
async fn prepare(client: &Client) {
    for name in NAMESPACES.into_iter().chain([PLAIN]) {
        let labels = json!({"webhook": if name == PLAIN { "off" } else { "on" }});
        post::<Namespace>(
            &Api::all(client.clone()),
            json!({"metadata": {"name": name, "labels": labels}}),
        )
        .await;
        // made by the controller-manager, some time later
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
        let there = until(accounts, watcher::Config::default(), |accounts| {
            accounts.contains_key("default").then_some(())
        });
        there.await.expect("a service account");
    }
    for name in RUNTIME_CLASSES {
        let class = json!({"metadata": {"name": name}, "handler": name});
        post::<RuntimeClass>(&Api::all(client.clone()), class).await;
    }
    let (port, ca) = serve();
    let webhook = json!({
        "name": "laws.berth.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None", "reinvocationPolicy": "IfNeeded",
        "clientConfig": {"url": format!("https://localhost:{port}/mutate"), "caBundle": ByteString(ca.into_bytes())},
        "namespaceSelector": {"matchLabels": {"webhook": "on"}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
    });
    let configuration = json!({"metadata": {"name": "laws"}, "webhooks": [webhook]});
    post::<MutatingWebhookConfiguration>(&Api::all(client.clone()), configuration).await;
    called(client).await;
}

/// The port and the CA of berth's server with [`review_by_number`].
fn serve() -> (u16, String) {
    let now = OffsetDateTime::now_utc();
    let authority = Authority::new(now).expect("a CA");
    let leaf = authority.leaf(&[], now, LEAF_LIFETIME).expect("a leaf");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .expect("versions")
    .with_no_client_auth()
    .with_single_cert(
        vec![leaf.certificate.der().clone()],
        PrivateKeyDer::Pkcs8(leaf.key.serialize_der().into()),
    )
    .expect("a pair");
    let state = Arc::new(ServerState::default());
    let (nothing, _) = compile(&[], &Settings::default());
    state.set_view(nothing.into());
    let webhook = Webhook {
        review: review_by_number,
        state,
        metrics: Arc::new(Metrics::default()),
        limits: Limits {
            max_body_bytes: 10 << 20,
            body_timeout: Duration::from_secs(10),
            max_body_memory: 64 << 20,
            max_in_flight: 256,
        },
        events: None,
        forward: None,
        board: None,
        traces: Traces::default(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    listener.set_nonblocking(true).expect("a socket");
    let server =
        axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(config)))
            .expect("a listener");
    let routes = Routes::new(webhook);
    let gate = Gate::new(1 << 10, Duration::from_secs(10), Meters::default());
    tokio::spawn(server.serve(gate.services(routes)));
    (port, authority.pem())
}

/// The API server notices a configuration some time after it is there, and says so to nobody: a Pod of no class of the
/// table is then refused.
async fn called(client: &Client) {
    let pod = json!({
        "metadata": {"name": "probe", "labels": {"berth.dev/workload-class": "probe"}},
        "spec": {"containers": [{"name": "probe", "image": "probe"}]},
    });
    let deadline = Instant::now() + PATIENCE;
    while create(client, NAMESPACES[0], &pod).await.is_ok() {
        assert!(Instant::now() < deadline, "the webhook is not called");
        sleep(Duration::from_millis(20)).await;
    }
}

/// What a create would store.
async fn create(client: &Client, namespace: &str, pod: &Value) -> Result<Value, Box<Status>> {
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
    let request = axum::http::Request::post(path)
        .header("Content-Type", "application/json")
        .body(pod.to_string().into_bytes());
    match client.request(request.expect("a request")).await {
        Ok(stored) => Ok(stored),
        Err(kube::Error::Api(refusal)) => Err(refusal),
        Err(error) => panic!("{error}\n{pod:#}"),
    }
}

async fn post<K: Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize>(
    api: &Api<K>,
    object: Value,
) {
    let object: K = serde_json::from_value(object).expect("an object of the kind");
    if let Err(error) = api.create(&PostParams::default(), &object).await {
        panic!("{error}");
    }
}
