//! Clients: one as the API server is, and one that speaks TLS and no more.

use std::{io, net::SocketAddr, sync::Arc};

use berth_server::tls::self_signed::Leaf;
use reqwest::Certificate;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::process::PATIENCE;

/// A client that trusts the CAs given (PEM), and keeps its connections.
pub fn https(cas: &str) -> reqwest::Client {
    builder(cas).build().expect("a client")
}

/// The same, before it is built.
pub fn builder(cas: &str) -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cas = Certificate::from_pem_bundle(cas.as_bytes()).expect("PEM");
    reqwest::Client::builder().tls_certs_only(cas).no_proxy()
}

/// A POST of a review.
pub async fn post(
    client: &reqwest::Client,
    address: SocketAddr,
    body: String,
) -> reqwest::Result<reqwest::Response> {
    client
        .post(format!("https://{address}/mutate?timeout=10s"))
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
}

/// What a plain port shows, which is there in time.
pub async fn get(address: SocketAddr, path: &str) -> String {
    let client = builder("").timeout(PATIENCE).build();
    let url = format!("http://{address}{path}");
    let answer = client.expect("a client").get(url).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status);
    answer.expect("an answer").text().await.expect("text")
}

/// The value of a series on the admin port, named with its labels, without its fraction.
pub async fn metric(admin: SocketAddr, series: &str) -> u64 {
    value(&get(admin, "/metrics").await, series)
}

/// The same of metrics that have been read: for what must be of one moment.
pub fn value(metrics: &str, series: &str) -> u64 {
    let mut rests = metrics.lines().filter_map(|line| line.strip_prefix(series));
    let value = rests.find_map(|rest| rest.strip_prefix(' '));
    let value = value.unwrap_or_else(|| panic!("{series}: {metrics}"));
    // some are written with a fraction of zero
    let whole = value.split('.').next().unwrap_or_default();
    whole.parse().expect("a number")
}

/// What `/readyz` says: its code, and its text.
pub async fn ready(admin: SocketAddr) -> (u16, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let response = reqwest::get(format!("http://{admin}/readyz")).await;
    let response = response.expect("an answer");
    let code = response.status().as_u16();
    (code, response.text().await.expect("text"))
}

/// The CAs of a PEM.
pub fn roots(cas: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(cas.as_bytes()) {
        roots.add(ca.expect("PEM")).expect("a CA");
    }
    roots
}

/// What a bare client trusts and offers.
pub fn trust(cas: &str) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots(cas))
        .with_no_client_auth()
}

/// The same, with a certificate of its own.
pub fn with_leaf(ca: &str, leaf: Leaf) -> ClientConfig {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf.key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots(ca))
        .with_client_auth_cert(vec![leaf.certificate.der().clone()], key)
        .expect("a client certificate")
}

/// A TLS connection to localhost.
pub async fn connect(
    address: SocketAddr,
    config: ClientConfig,
) -> io::Result<TlsStream<TcpStream>> {
    connect_to(address, "localhost", config).await
}

/// A TLS connection to a server of that name.
pub async fn connect_to(
    address: SocketAddr,
    name: &'static str,
    config: ClientConfig,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(name).expect("a name");
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// The head of a POST of so many bytes.
pub fn head(length: usize) -> String {
    format!(
        "POST /mutate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// Sends a whole request and reads a whole response.
pub async fn exchange(stream: &mut TlsStream<TcpStream>, body: &str) -> io::Result<String> {
    stream.write_all(head(body.len()).as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    response(stream).await
}

/// Reads one response.
pub async fn response(stream: &mut TlsStream<TcpStream>) -> io::Result<String> {
    let mut text = Vec::new();
    loop {
        let read = stream.read_buf(&mut text).await?;
        let so_far = String::from_utf8_lossy(&text);
        if let Some((head, body)) = so_far.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if length.is_some_and(|length| length.parse() == Ok(body.len())) {
                return Ok(so_far.into_owned());
            }
        }
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Reads until the server closes.
pub async fn closed(stream: &mut TlsStream<TcpStream>) -> String {
    let mut text = Vec::new();
    // without close_notify, rustls calls it an error: the text is what counts
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}
