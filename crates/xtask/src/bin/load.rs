//! `make load`: what the server costs around a review, over keep-alive HTTPS on loopback: berth, and on the same stack
//! a handler with a constant answer (the floor), in turns. Handshakes are counted apart, by certificate type.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "counts and times are small here"
)]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::header::CONTENT_TYPE, routing::post};
use axum_server::tls_rustls::RustlsConfig;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
};
use reqwest::Certificate;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Reviews for each server and load.
const REVIEWS: usize = 20_000;
/// No load runs longer.
const LONGEST: Duration = Duration::from_secs(30);
/// Turns of each server.
const TURNS: usize = 3;
/// Full handshakes for each certificate type.
const HANDSHAKES: u32 = 1_000;

/// A server in a process of its own, so that its CPU time is its own.
struct Server {
    child: Child,
    address: SocketAddr,
}

#[derive(Default)]
struct Measured {
    latencies: Vec<Duration>,
    errors: usize,
    cpu: Duration,
    resident_kib: u64,
}

fn main() -> Result<(), Failure> {
    let _ = default_provider().install_default();
    match env::args().nth(1).as_deref() {
        Some("constant") => runtime()?.block_on(constant()),
        None => load(),
        Some(other) => Err(format!("no such mode: {other}").into()),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

/// The floor: reads the whole body, and answers what the environment says.
async fn constant() -> Result<(), Failure> {
    let read = |name| env::var(name).map(fs::read);
    let (cert, key, answer) = (read("CERT")??, read("KEY")??, read("ANSWER")??);
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(&cert)?],
            PrivateKeyDer::from_pem_slice(&key)?,
        )?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 0;
    let answer = Bytes::from(answer);
    let handler = async move |_: Bytes| ([(CONTENT_TYPE, "application/json")], answer.clone());
    let listener = TcpListener::bind("127.0.0.1:0")?;
    eprintln!(
        "{}",
        serde_json::json!({"message": "listening", "webhook": listener.local_addr()?})
    );
    axum_server::from_tcp(listener)?
        .acceptor(axum_server::tls_rustls::RustlsAcceptor::new(
            RustlsConfig::from_config(Arc::new(config)),
        ))
        .serve(
            Router::new()
                .route("/mutate", post(handler))
                .into_make_service(),
        )
        .await?;
    Ok(())
}

fn load() -> Result<(), Failure> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let folder = tempfile::tempdir()?;
    let berth = root.join("target/release/berth");
    let certs = Command::new(&berth)
        .args(["certs", "dev", "--out"])
        .arg(folder.path())
        .stderr(Stdio::null())
        .status()?;
    if !certs.success() {
        return Err("berth certs dev failed".into());
    }
    let body = fs::read(root.join("examples/reviews/vllm-replicaset.json"))?;
    let body: Vec<u8> = serde_json::to_vec(&serde_json::from_slice::<serde_json::Value>(&body)?)?;
    let ca = fs::read(folder.path().join("ca.crt"))?;
    let runtime = runtime()?;

    let real = Server::berth(&berth, &root, folder.path())?;
    let answer = runtime.block_on(one(&client(&ca)?, real.address, &body))?;
    fs::write(folder.path().join("answer.json"), &answer)?;
    let floor = Server::constant(folder.path())?;

    println!(
        "a review of {} bytes, an answer of {}",
        body.len(),
        answer.len()
    );
    for (name, connections, rate) in [
        ("1,000 a second", 4, Some(1_000)),
        ("16 connections, as fast as they can", 16, None),
    ] {
        let mut measured: [Measured; 2] = Default::default();
        for _ in 0..TURNS {
            for (server, all) in [&real, &floor].into_iter().zip(&mut measured) {
                let part =
                    runtime.block_on(server.load(&client(&ca)?, &body, connections, rate))?;
                all.add(part);
            }
        }
        println!("\n{name}");
        for (who, measured) in ["berth", "constant"].into_iter().zip(&mut measured) {
            println!("  {who:9} {}", measured.line());
        }
        let [berth, constant] = measured.map(|measured| measured.cpu_per_review());
        println!(
            "  berth takes {:.1} µs of CPU a review more than a constant answer",
            berth - constant
        );
    }
    println!("\nfull handshakes, TLS 1.3, one connection after another");
    runtime.block_on(handshakes())
}

impl Server {
    fn berth(berth: &Path, root: &Path, certs: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(berth);
        command
            .args([
                "serve",
                "--bind",
                "127.0.0.1:0",
                "--admin-bind",
                "127.0.0.1:0",
                "--table",
            ])
            .arg(root.join("examples/homelab.yaml"))
            .arg("--tls-cert")
            .arg(certs.join("tls.crt"))
            .arg("--tls-key")
            .arg(certs.join("tls.key"));
        Self::start(&mut command)
    }

    fn constant(folder: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(env::current_exe()?);
        command
            .arg("constant")
            .env("CERT", folder.join("tls.crt"))
            .env("KEY", folder.join("tls.key"))
            .env("ANSWER", folder.join("answer.json"));
        Self::start(&mut command)
    }

    fn start(command: &mut Command) -> Result<Self, Failure> {
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("piped")?).lines();
        let address = loop {
            let line = lines.next().ok_or("the server ended")??;
            let event: serde_json::Value = serde_json::from_str(&line).map_err(|_| line.clone())?;
            if let Some(address) = event["webhook"].as_str() {
                break address.parse()?;
            }
        };
        // the log is written for someone
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address })
    }

    async fn load(
        &self,
        client: &reqwest::Client,
        body: &[u8],
        connections: usize,
        rate: Option<u64>,
    ) -> Result<Measured, Failure> {
        let before = self.cpu()?;
        let until = Instant::now() + LONGEST;
        let each = REVIEWS / TURNS / connections;
        let tasks: Vec<_> = (0..connections)
            .map(|i| {
                let (client, body, address) = (client.clone(), body.to_vec(), self.address);
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
        all.cpu = self.cpu()?.saturating_sub(before);
        all.resident_kib = self.resident_kib()?;
        Ok(all)
    }

    /// User and system time so far, by ticks of 10 ms.
    fn cpu(&self) -> Result<Duration, Failure> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .ok_or("no stat")?
            .1
            .split_whitespace()
            .collect();
        let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    fn resident_kib(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        Ok(line
            .and_then(|line| line.split_whitespace().next())
            .ok_or("no VmRSS")?
            .parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
            "{} reviews, {} errors: p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, {:.1} µs CPU a review, {:.1} MiB",
            self.latencies.len(),
            self.errors,
            at(0.5),
            at(0.99),
            at(0.999),
            self.cpu_per_review(),
            self.resident_kib as f64 / 1024.0
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
