//! `make load`: what the server costs around a review, over keep-alive HTTPS on loopback: each berth that is named, and on
//! the same stack a handler with a constant answer (the floor), in turns. Handshakes are counted apart, by certificate type.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "counts and times are small here"
)]

use std::{
    env, fs,
    net::SocketAddr,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Bytes;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
};
use reqwest::Certificate;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use xtask::servers::{Failure, Place, Server, constant, example, runtime};

/// Reviews for each server and load.
const REVIEWS: usize = 20_000;
/// No load runs longer.
const LONGEST: Duration = Duration::from_secs(30);
/// Turns of each server.
const TURNS: usize = 3;
/// Full handshakes for each certificate type.
const HANDSHAKES: u32 = 1_000;

#[derive(Default)]
struct Measured {
    latencies: Vec<Duration>,
    errors: usize,
    cpu: Duration,
    resident_kib: u64,
}

fn main() -> Result<(), Failure> {
    let _ = default_provider().install_default();
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("constant") => runtime()?.block_on(constant()),
        Some(_) => load(&arguments),
        None => Err("usage: load BERTH...".into()),
    }
}

fn load(binaries: &[String]) -> Result<(), Failure> {
    let place = Place::new(binaries.first().ok_or("no binary")?.as_ref())?;
    let body = fs::read(example("reviews/vllm-replicaset.json"))?;
    let body: Vec<u8> = serde_json::to_vec(&serde_json::from_slice::<serde_json::Value>(&body)?)?;
    let ca = fs::read(place.file("ca.crt"))?;
    let runtime = runtime()?;

    let mut servers = Vec::new();
    for binary in binaries {
        let server = Server::start(&mut place.berth(binary.as_ref(), None))?;
        let answer = runtime.block_on(one(&client(&ca)?, server.address, &body))?;
        fs::write(place.file("answer.json"), &answer)?;
        servers.push((binary.as_str(), server));
    }
    let floor = Server::start(&mut place.this("constant", None)?)?;
    servers.push(("a constant answer", floor));

    println!("a review of {} bytes", body.len());
    for (name, connections, rate) in [
        ("1,000 a second", 4, Some(1_000)),
        ("16 connections, as fast as they can", 16, None),
    ] {
        let mut measured: Vec<Measured> = servers.iter().map(|_| Measured::default()).collect();
        for _ in 0..TURNS {
            for ((_, server), all) in servers.iter().zip(&mut measured) {
                let part =
                    runtime.block_on(reviews(server, &client(&ca)?, &body, connections, rate))?;
                all.add(part);
            }
        }
        println!("\n{name}");
        let floor = measured.last().map_or(0.0, Measured::cpu_per_review);
        for ((who, _), measured) in servers.iter().zip(&mut measured) {
            let times = measured.cpu_per_review() / floor;
            println!(
                "  {who}: {}, {times:.2} times a constant answer's",
                measured.line()
            );
        }
    }
    println!("\nfull handshakes, TLS 1.3, one connection after another");
    runtime.block_on(handshakes())
}

/// Sends reviews over some connections, as fast as they can or at a rate.
async fn reviews(
    server: &Server,
    client: &reqwest::Client,
    body: &[u8],
    connections: usize,
    rate: Option<u64>,
) -> Result<Measured, Failure> {
    let before = server.cpu()?;
    let until = Instant::now() + LONGEST;
    let each = REVIEWS / TURNS / connections;
    let tasks: Vec<_> = (0..connections)
        .map(|i| {
            let (client, body, address) = (client.clone(), body.to_vec(), server.address);
            let pause =
                rate.map(|rate| Duration::from_micros(1_000_000 * connections as u64 / rate));
            tokio::spawn(async move {
                let mut measured = Measured::default();
                let mut next = tokio::time::Instant::now()
                    + pause.unwrap_or_default() * u32::try_from(i).unwrap_or(0) / 4;
                for _ in 0..each {
                    if Instant::now() > until {
                        break;
                    }
                    if let Some(pause) = pause {
                        tokio::time::sleep_until(next).await;
                        next += pause;
                    }
                    let started = Instant::now();
                    match one(&client, address, &body).await {
                        Ok(_) => measured.latencies.push(started.elapsed()),
                        Err(_) => measured.errors += 1,
                    }
                }
                measured
            })
        })
        .collect();
    let mut all = Measured::default();
    for task in tasks {
        all.add(task.await?);
    }
    all.cpu = server.cpu()?.saturating_sub(before);
    all.resident_kib = server.resident_kib()?;
    Ok(all)
}

impl Measured {
    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.errors += other.errors;
        self.cpu += other.cpu;
        self.resident_kib = self.resident_kib.max(other.resident_kib);
    }

    fn cpu_per_review(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.latencies.len().max(1) as f64
    }

    fn line(&mut self) -> String {
        self.latencies.sort_unstable();
        let at = |part: f64| {
            let index = (self.latencies.len() as f64 * part) as usize;
            self.latencies
                .get(index)
                .copied()
                .unwrap_or_default()
                .as_secs_f64()
                * 1e3
        };
        format!(
            "{} reviews, {} errors: p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, {:.1} MiB, {:.1} µs CPU a review",
            self.latencies.len(),
            self.errors,
            at(0.5),
            at(0.99),
            at(0.999),
            self.resident_kib as f64 / 1024.0,
            self.cpu_per_review()
        )
    }
}

fn client(ca: &[u8]) -> Result<reqwest::Client, Failure> {
    Ok(reqwest::Client::builder()
        .tls_certs_only([Certificate::from_pem(ca)?])
        .no_proxy()
        .build()?)
}

async fn one(client: &reqwest::Client, address: SocketAddr, body: &[u8]) -> reqwest::Result<Bytes> {
    let url = format!("https://{address}/mutate?timeout=5s");
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .body(body.to_vec());
    request.send().await?.error_for_status()?.bytes().await
}

/// Full handshakes a second, both sides on this machine, by the type of the certificate.
async fn handshakes() -> Result<(), Failure> {
    let mut keys = vec![
        (
            "ECDSA P-256",
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
        ),
        (
            "ECDSA P-384",
            KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?,
        ),
        ("Ed25519", KeyPair::generate_for(&PKCS_ED25519)?),
    ];
    match rsa_key() {
        Ok(key) => keys.push(("RSA-2048", key)),
        Err(error) => println!(
            "  RSA-2048     not measured: ring makes no such key, and openssl failed ({error})"
        ),
    }
    for (name, key) in keys {
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
        let rate = handshakes_with(certificate.der().clone(), &key).await?;
        println!("  {name:12} {rate:.0} a second, client and server on one core");
    }
    Ok(())
}

fn rsa_key() -> Result<KeyPair, Failure> {
    let arguments = [
        "genpkey",
        "-quiet",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
    ];
    let output = Command::new("openssl").args(arguments).output()?;
    Ok(KeyPair::from_pem(&String::from_utf8(output.stdout)?)?)
}

async fn handshakes_with(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
) -> Result<f64, Failure> {
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], private)?;
    server.send_tls13_tickets = 0;
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let started = Instant::now();
    for _ in 0..HANDSHAKES {
        let (here, there) = tokio::io::duplex(16 * 1024);
        let (accepted, connected) = tokio::join!(
            acceptor.accept(there),
            connector.connect("localhost".try_into()?, here)
        );
        accepted?;
        connected?;
    }
    Ok(f64::from(HANDSHAKES) / started.elapsed().as_secs_f64())
}
