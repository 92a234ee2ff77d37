use std::{
    fs,
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{Sender, channel},
    },
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    response::IntoResponse,
    routing::post,
};
use axum_server::tls_rustls::RustlsConfig;
use berth_core::{
    labels::Labels,
    live::{Choice, Live, NothingKnown, Wish},
    review::review,
    table::Settings,
    view::View,
};
use berth_manifests::table_files::TableFiles;
use rcgen::ExtendedKeyUsagePurpose;
use rustls::{ServerConfig, crypto::ring::default_provider};
use serde_json::json;
use tokio::sync::watch;

use super::*;
use crate::{
    accept::Answers,
    sources::cluster::lease,
    state::ServerState,
    tls::{
        self, Identity,
        client::NamedClients,
        self_signed::{Authority, LEAF_LIFETIME, Leaf},
    },
    traces::Traces,
    webhook::{Limits, Routes, Webhook},
};

const NAME: &str = "berth.berth.svc";

/// A replica that knows another one as the holder, as long as this lives.
struct Follower {
    forward: Forward,
    metrics: Arc<Metrics>,
    held: watch::Sender<Option<Instant>>,
    other: watch::Sender<Option<(SocketAddr, Instant)>>,
    _files: tempfile::TempDir,
}

impl Follower {
    fn of(authority: &Authority, holder: SocketAddr) -> Self {
        Self::with(authority, holder, None)
    }

    /// One that is started with `--client-ca`, and has a certificate of its own.
    fn with(authority: &Authority, holder: SocketAddr, own: Option<Leaf>) -> Self {
        let files = tempfile::tempdir().expect("a folder");
        let file = |name: &str, pem: String| {
            let path = files.path().join(name);
            fs::write(&path, pem).expect("written");
            path
        };
        let ca = file("ca.crt", authority.pem());
        let mut options = tls::Options {
            tls_server_name: Some(NAME.to_owned()),
            ..tls::Options::default()
        };
        if let Some(own) = own {
            options.client_ca = Some(ca.clone());
            options.tls_cert = Some(file("tls.crt", own.certificate.pem()));
            options.tls_key = Some(file("tls.key", own.key.serialize_pem()));
        }
        let metrics = Arc::new(Metrics::default());
        let (held, holds) = watch::channel(None);
        let (other, others) = watch::channel(Some((holder, in_a_minute())));
        let (holds, others) = lease::known(holds, others);
        let (forward, mut read) = Forward::new(Peers::new(options, ca), holds, others, &metrics);
        read();
        Self {
            forward,
            metrics,
            held,
            other,
            _files: files,
        }
    }

    async fn ask(&self) -> Option<Bytes> {
        let review = Bytes::from_static(b"a review");
        self.forward.ask(review, in_a_minute(), None).await
    }

    /// How many were answered, failed and were skipped.
    fn counts(&self) -> [u64; 3] {
        let text = self.metrics.text().expect("text");
        ["answered", "failed", "skipped"].map(|result| {
            let series = format!("berth_forwards_total{{result=\"{result}\"}} ");
            let count = text.lines().find_map(|line| line.strip_prefix(&series));
            count.map_or(0, |count| count.parse().expect("a number"))
        })
    }
}

/// The clock stands still until this is dropped: a busy machine takes longer than 300 ms for a handshake.
fn no_time_passes() -> Sender<()> {
    tokio::time::pause();
    let (held, ends) = channel();
    // while a thread is waited for, tokio does not put the clock forward
    tokio::task::spawn_blocking(move || ends.recv());
    held
}

fn in_a_minute() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

fn authority() -> Authority {
    Authority::new(OffsetDateTime::now_utc()).expect("a CA")
}

fn leaf(authority: &Authority, name: &str) -> Leaf {
    let leaf = authority.leaf(&[name.to_owned()], OffsetDateTime::now_utc(), LEAF_LIFETIME);
    leaf.expect("a leaf")
}

/// A holder that serves these routes, until the runtime ends.
async fn holder(authority: &Authority, name: &str, routes: Router) -> SocketAddr {
    let leaf = leaf(authority, name);
    let config = RustlsConfig::from_pem(
        leaf.certificate.pem().into(),
        leaf.key.serialize_pem().into(),
    );
    served(config.await.expect("a pair"), routes)
}

/// One that lets in only clients with a certificate of the CA, and of that name.
fn choosy_holder(authority: &Authority, client: &str, routes: Router) -> SocketAddr {
    let path = Path::new("ca.crt");
    let clients = NamedClients::new(path, authority.pem().as_bytes(), Some(client.to_owned()));
    let Identity { chain, key, .. } = leaf(authority, NAME).into();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(Arc::new(clients.expect("a CA")))
        .with_single_cert(chain, key);
    served(
        RustlsConfig::from_config(Arc::new(config.expect("a pair"))),
        routes,
    )
}

fn served(config: RustlsConfig, routes: Router) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("bound");
    let server = axum_server::from_tcp_rustls(listener, config).expect("a server");
    tokio::spawn(server.serve(routes.into_make_service()));
    address
}

/// Answers with what it was asked.
fn echo() -> Router {
    let echo = async |request: axum::extract::Request| {
        let forwarded = request.headers()[FORWARDED].clone();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let body = to_bytes(request.into_body(), 1 << 20)
            .await
            .expect("a body");
        let body = String::from_utf8(body.into()).expect("text");
        format!("{forwarded:?} {query} {body}")
    };
    Router::new().route(webhook::PATH, post(echo))
}

#[tokio::test]
async fn the_holder_is_told_the_span() {
    let authority = authority();
    let says = async |headers: HeaderMap| format!("{:?}", headers.get(TRACEPARENT));
    let routes = Router::new().route(webhook::PATH, post(says));
    let holder = holder(&authority, NAME, routes).await;
    let follower = Follower::of(&authority, holder);
    for (span, told) in [(None, "None"), (Some("00-1-2-01"), "Some(\"00-1-2-01\")")] {
        let span = span.map(HeaderValue::from_static);
        let answer = follower.forward.ask(Bytes::new(), in_a_minute(), span);
        assert_eq!(answer.await.expect("an answer"), told);
    }
}

#[tokio::test]
async fn the_holders_answer_is_given_as_it_is() {
    let _still = no_time_passes();
    let authority = authority();
    let holder = holder(&authority, NAME, echo()).await;
    let follower = Follower::of(&authority, holder);
    assert!(follower.forward.is_elsewhere());
    for n in 1..=3 {
        let answer = follower.ask().await.expect("an answer");
        assert_eq!(&*answer, b"\"1\" timeout=300ms a review");
        assert_eq!(follower.counts(), [n, 0, 0]);
    }
    // one that holds the Lease asks nobody, and where nobody else does, nobody can be asked
    follower.held.send_replace(Some(in_a_minute()));
    assert!(!follower.forward.is_elsewhere());
    follower.other.send_replace(Some((holder, Instant::now())));
    assert_eq!(follower.ask().await, None);
    follower.other.send_replace(None);
    assert_eq!(follower.ask().await, None);
    assert_eq!(follower.counts(), [3, 0, 2]);
}

/// A holder that takes connections and says nothing, as long as it lives.
async fn silent() -> (tokio::net::TcpListener, SocketAddr) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

#[tokio::test]
async fn a_review_in_a_hurry_stops_no_other_from_being_sent() {
    let authority = authority();
    let (_silent, holder) = silent().await;
    let follower = Follower::of(&authority, holder);
    let review = Bytes::from_static(b"a review");
    let soon = Instant::now() + Duration::from_millis(20);
    assert_eq!(follower.forward.ask(review, soon, None).await, None);
    assert_eq!(follower.ask().await, None);
    assert_eq!(follower.counts(), [0, 2, 0]);
    // this one had all the time that there is
    assert_eq!(follower.ask().await, None);
    assert_eq!(follower.counts(), [0, 2, 1]);
}

#[tokio::test]
async fn a_ca_that_was_read_while_a_review_was_sent_stays_in_use() {
    let authority = authority();
    let follower = Follower::of(&authority, ([127, 0, 0, 1], 1).into());
    let inner = &follower.forward.0;
    let in_use = || inner.way.load_full().expect("the files were read");
    let of_sender = in_use();
    let read = Arc::new(of_sender.anew());
    inner.way.store(Some(Arc::clone(&read)));
    let holder = ([127, 0, 0, 1], 1).into();
    inner.fails(holder, &Failure::Late, &of_sender);
    assert!(Arc::ptr_eq(&in_use(), &read));
    // and where nothing was read, its connections are not used again
    inner.fails(holder, &Failure::Late, &read);
    assert!(!Arc::ptr_eq(&in_use(), &read));
}

#[tokio::test]
async fn a_holder_that_says_nothing_is_waited_for_once_a_second_and_300_ms() {
    let authority = authority();
    let (_silent, holder) = silent().await;
    let follower = Follower::of(&authority, holder);
    let began = Instant::now();
    assert_eq!(follower.ask().await, None);
    assert!(began.elapsed() >= PATIENCE, "{:?}", began.elapsed());
    assert!(began.elapsed() < 4 * PATIENCE, "{:?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(follower.ask().await, None);
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    assert_eq!(follower.counts(), [0, 1, 1]);
    // the API server does not wait for so long
    follower.forward.0.pause().until = None;
    let began = Instant::now();
    assert_eq!(follower.forward.ask(Bytes::new(), began, None).await, None);
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn only_a_replica_with_the_certificate_is_asked() {
    let _still = no_time_passes();
    let (ours, theirs) = (authority(), authority());
    for (authority, name) in [(&theirs, NAME), (&ours, "other.berth.svc")] {
        let holder = holder(authority, name, echo()).await;
        let follower = Follower::of(&ours, holder);
        assert_eq!(follower.ask().await, None);
        assert_eq!(follower.counts(), [0, 1, 0], "{name}");
    }
}

#[tokio::test]
async fn with_client_certificates_a_replica_shows_its_own_if_it_is_one_for_clients() {
    let _still = no_time_passes();
    let authority = authority();
    let holder = choosy_holder(&authority, NAME, echo());
    let asked = async |own: Option<Leaf>| {
        let follower = Follower::with(&authority, holder, own);
        let answer = follower.ask().await;
        (answer.is_some(), follower.counts())
    };
    let both = [
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let now = OffsetDateTime::now_utc();
    let own = authority.sign(vec![NAME.to_owned()], &both, now, LEAF_LIFETIME);
    assert_eq!(asked(Some(own.expect("a leaf"))).await, (true, [1, 0, 0]));
    // one of a server alone is not shown
    assert_eq!(
        asked(Some(leaf(&authority, NAME))).await,
        (false, [0, 0, 1])
    );
    // without --client-ca nothing is shown, and the holder does not let it in
    assert_eq!(asked(None).await, (false, [0, 1, 0]));
}

#[tokio::test]
async fn a_holder_that_refuses_one_review_is_asked_the_next() {
    let _still = no_time_passes();
    let authority = authority();
    let refuses =
        async |State(count): State<Arc<AtomicUsize>>| match count.fetch_add(1, Ordering::Relaxed) {
            0 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            1 => vec![b'x'; LARGEST + 1].into_response(),
            _ => "an answer".into_response(),
        };
    let routes = Router::new().route(webhook::PATH, post(refuses));
    let holder = holder(&authority, NAME, routes.with_state(Arc::default())).await;
    let follower = Follower::of(&authority, holder);
    assert_eq!(follower.ask().await, None);
    assert_eq!(follower.ask().await, None);
    assert_eq!(follower.ask().await.as_deref(), Some(&b"an answer"[..]));
    assert_eq!(follower.counts(), [1, 2, 0]);
}

#[test]
fn after_a_pause_one_review_is_sent_and_the_next_ones_see_how_that_ends() {
    let now = Instant::now();
    let mut pause = Pause::default();
    assert!(pause.lets(now) && pause.lets(now));
    pause.until = Some(now + PAUSE);
    assert!(!pause.lets(now));
    assert!(pause.lets(now + PAUSE));
    assert!(!pause.lets(now + PAUSE));
    assert!(pause.lets(now + 2 * PAUSE));
}

/// Counts what is taken and what is only looked at.
#[derive(Debug, Default)]
struct Counting {
    takes: AtomicUsize,
    looks: AtomicUsize,
}

impl Live for Counting {
    fn choose(&self, wish: &Wish<'_>) -> Choice {
        let count = if wish.dry_run {
            &self.looks
        } else {
            &self.takes
        };
        count.fetch_add(1, Ordering::Relaxed);
        NothingKnown.choose(wish)
    }

    fn node(&self, name: &str) -> Option<Labels> {
        NothingKnown.node(name)
    }
}

/// A class of two vendors' pools.
const TABLE: &str = "
apiVersion: berth.dev/v1alpha1
kind: GPUPool
metadata: {name: amd}
spec: {hostnames: [drizzt], resourceName: amd.com/gpu}
---
apiVersion: berth.dev/v1alpha1
kind: GPUPool
metadata: {name: nvidia}
spec: {hostnames: [elminster], resourceName: nvidia.com/gpu}
---
apiVersion: berth.dev/v1alpha1
kind: WorkloadClass
metadata: {name: both}
spec: {pools: [{name: amd}, {name: nvidia}]}
";

fn state(live: Arc<Counting>) -> Arc<ServerState> {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
    fs::write(file.path(), TABLE).expect("written");
    let files = TableFiles {
        paths: vec![file.path().to_owned()],
        settings: Settings::default(),
    };
    let table = files.load().expect("a table");
    let state = ServerState::default();
    state.set_view(View::from(table).with_live(live));
    Arc::new(state)
}

fn pod(class: &str, forwarded: bool) -> Request<Body> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE", "namespace": "ai",
            "object": {
                "metadata": {"name": "x", "labels": {"berth.dev/workload-class": class}},
                "spec": {"containers": [{"name": "x"}]},
            },
        },
    });
    let request = Request::post(webhook::PATH).header(CONTENT_TYPE, "application/json");
    let request = if forwarded {
        request.header(FORWARDED, "1")
    } else {
        request
    };
    request
        .body(Body::from(review.to_string()))
        .expect("a request")
}

/// The chooser takes for all, and this replica only where the other does not answer.
#[tokio::test]
async fn gpus_are_taken_by_the_holder_and_here_only_if_it_does_not_answer() {
    let _still = no_time_passes();
    let authority = authority();
    let here = Arc::new(Counting::default());
    let there = holder(&authority, NAME, echo()).await;
    let follower = Follower::of(&authority, there);
    let routes = Routes::new(Webhook {
        review,
        state: state(Arc::clone(&here)),
        metrics: Arc::clone(&follower.metrics),
        limits: Limits {
            max_body_bytes: 1 << 20,
            body_timeout: Duration::from_secs(1),
            max_body_memory: 1 << 20,
            max_in_flight: 4,
        },
        events: None,
        forward: Some(follower.forward.clone()),
        board: None,
        traces: Traces::default(),
    });
    let answer = async |class, forwarded| {
        let answer = routes.clone().answer(pod(class, forwarded), None).await;
        let body = answer.into_body();
        let body = to_bytes(body, 1 << 20).await.expect("an answer");
        String::from_utf8(body.into()).expect("text")
    };
    let taken = || [&here.takes, &here.looks].map(|it| it.load(Ordering::Relaxed));
    let was_asked = "\"1\" timeout=300ms {";
    assert!(answer("both", false).await.starts_with(was_asked));
    assert_eq!((taken(), follower.counts()), ([0, 1], [1, 0, 0]));
    // nothing to choose, or what another replica has sent: decided here
    for (class, forwarded, then) in [("no-such", false, [0, 1]), ("both", true, [1, 1])] {
        assert!(answer(class, forwarded).await.contains("auditAnnotations"));
        assert_eq!((taken(), follower.counts()), (then, [1, 0, 0]), "{class}");
    }
    follower.held.send_replace(Some(in_a_minute()));
    assert!(answer("both", false).await.contains("auditAnnotations"));
    assert_eq!((taken(), follower.counts()), ([2, 1], [1, 0, 0]));
    follower.held.send_replace(None);
    follower.other.send_replace(None);
    assert!(answer("both", false).await.contains("auditAnnotations"));
    assert_eq!((taken(), follower.counts()), ([3, 2], [1, 0, 1]));
}

#[test]
fn an_address_may_have_a_port_and_leads_somewhere() {
    for (text, address) in [
        ("10.0.0.7", "10.0.0.7:8443"),
        ("fd00::7", "[fd00::7]:8443"),
        ("10.0.0.7:1", "10.0.0.7:1"),
        ("[fd00::7]:1", "[fd00::7]:1"),
    ] {
        let parsed = Advertised::parse(text).expect("an address");
        assert_eq!(parsed.address(8443).to_string(), address);
    }
    for text in [
        "",
        "berth",
        "0.0.0.0",
        "[::]:8443",
        "10.0.0.7:0",
        "[10.0.0.7]:1",
    ] {
        let error = Advertised::parse(text).expect_err(text);
        assert!(error.contains("write the Pod's IP"), "{error}");
    }
}
