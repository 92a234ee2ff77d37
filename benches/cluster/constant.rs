//! A webhook that answers every review alike, on berth's stack: what any webhook costs.

use std::{
    env, fs,
    net::TcpListener,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    body::Bytes,
    http::header::CONTENT_TYPE,
    routing::{get, post},
};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use berth_core::{review::review, table::Settings, view::View};
use berth_manifests::table_files::TableFiles;
use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::Failure;

/// berth's answer to the first review, before and after its uid.
static ANSWER: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();

/// Serves with the flags of `berth serve`, of which it knows those that the harness gives.
pub(crate) async fn serve() -> Result<(), Failure> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(&fs::read(flag(
                "tls-cert",
            )?)?)?],
            PrivateKeyDer::from_pem_slice(&fs::read(flag("tls-key")?)?)?,
        )?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 0;
    let files = TableFiles {
        paths: vec![flag("table")?],
        settings: Settings::default(),
    };
    let view = Arc::new(View::from(files.load()?));
    let handler =
        async move |body: Bytes| ([(CONTENT_TYPE, "application/json")], answer(&body, &view));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let admin = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let ready = admin.local_addr()?;
    let health = Router::new().route("/readyz", get(async || "ok"));
    tokio::spawn(async move { axum::serve(admin, health).await });
    eprintln!(
        "{}",
        serde_json::json!({"message": "listening", "webhook": address, "admin": ready})
    );
    axum_server::from_tcp(listener)?
        .acceptor(RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(
            config,
        ))))
        .serve(
            Router::new()
                .route("/mutate", post(handler))
                .into_make_service(),
        )
        .await?;
    Ok(())
}

fn answer(body: &[u8], view: &View) -> Vec<u8> {
    let uid = uid(body).unwrap_or_default();
    let (before, after) = ANSWER.get_or_init(|| {
        let answer = review(body, view)
            .map(|answer| answer.body)
            .unwrap_or_default();
        let at = answer
            .windows(uid.len().max(1))
            .position(|window| window == uid)
            .unwrap_or_default();
        let (before, after) = answer.split_at(at);
        (
            before.to_vec(),
            after.get(uid.len()..).unwrap_or_default().to_vec(),
        )
    });
    [before, uid, after].concat()
}

/// The first uid is the request's.
fn uid(body: &[u8]) -> Option<&[u8]> {
    const KEY: &[u8] = br#""uid":""#;
    let at = body.windows(KEY.len()).position(|window| window == KEY)?;
    body.get(at + KEY.len()..)?
        .split(|byte| *byte == b'"')
        .next()
}

fn flag(name: &str) -> Result<PathBuf, Failure> {
    let prefix = format!("--{name}=");
    let found = env::args().find_map(|argument| argument.strip_prefix(&prefix).map(PathBuf::from));
    found.ok_or_else(|| format!("--{name} is missing").into())
}
