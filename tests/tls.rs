//! TLS by real handshakes: versions, protocols, names and client certificates.

use std::{fs, sync::Arc};

use berth_core::names::CLASS_LABEL;
use berth_server::tls::{
    asked::{Roots, ask},
    self_signed::Authority,
};
use rustls::{
    ClientConfig, ProtocolVersion, SupportedProtocolVersion,
    crypto::ring::default_provider,
    version::{TLS12, TLS13},
};
use time::OffsetDateTime;

mod common;

use common::{
    client::{connect, exchange, roots, trust, with_leaf},
    example,
    process::{arg, serve},
};

fn only(version: &'static SupportedProtocolVersion, ca: &str) -> ClientConfig {
    let provider = Arc::new(default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots(ca))
        .with_no_client_auth()
}

#[tokio::test]
async fn tls_1_3_alone_is_spoken_unless_1_2_is_asked_for() {
    let (strict, ca) = serve(&[]);
    assert!(connect(strict.webhook, only(&TLS12, &ca)).await.is_err());
    let stream = connect(strict.webhook, only(&TLS13, &ca))
        .await
        .expect("a handshake");
    assert_eq!(
        stream.get_ref().1.protocol_version(),
        Some(ProtocolVersion::TLSv1_3)
    );

    let (lenient, ca) = serve(&["--tls-min-version", "1.2"]);
    let stream = connect(lenient.webhook, only(&TLS12, &ca))
        .await
        .expect("a handshake");
    assert_eq!(
        stream.get_ref().1.protocol_version(),
        Some(ProtocolVersion::TLSv1_2)
    );
}

#[tokio::test]
async fn http_1_1_is_the_one_protocol() {
    let (berth, ca) = serve(&[]);
    let offering = |protocols: &[&str]| {
        let mut config = trust(&ca);
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        config
    };
    let stream = connect(berth.webhook, offering(&["h2", "http/1.1"]))
        .await
        .expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(connect(berth.webhook, offering(&["h2"])).await.is_err());
}

#[tokio::test]
async fn the_self_signed_certificate_is_for_loopback_and_the_names_given() {
    let (berth, ca) = serve(&["--tls-name", "berth.berth.svc"]);
    let verified = |name: &str| {
        let (name, address, config) = (name.to_owned(), berth.webhook, trust(&ca));
        async move {
            let stream = tokio::net::TcpStream::connect(address)
                .await
                .expect("a connection");
            let name = name.try_into().expect("a name");
            tokio_rustls::TlsConnector::from(Arc::new(config))
                .connect(name, stream)
                .await
                .is_ok()
        }
    };
    for name in ["localhost", "127.0.0.1", "::1", "berth.berth.svc"] {
        assert!(verified(name).await, "{name}");
    }
    assert!(!verified("other.berth.svc").await);
}

#[tokio::test]
async fn a_client_needs_a_certificate_of_the_ca_and_the_name() {
    let now = OffsetDateTime::now_utc();
    let (clients, strangers) = (
        Authority::new(now).expect("a CA"),
        Authority::new(now).expect("a CA"),
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("clients.pem");
    fs::write(&file, clients.pem()).expect("written");
    let (berth, ca) = serve(&["--client-ca", arg(&file), "--client-name", "kube-apiserver"]);

    let right = clients.client("kube-apiserver", now).expect("a leaf");
    let misnamed = clients.client("someone", now).expect("a leaf");
    let strange = strangers.client("kube-apiserver", now).expect("a leaf");
    let body = example("vllm").to_string();
    let answer = |config: ClientConfig| {
        let (address, body) = (berth.webhook, body.clone());
        async move {
            // with TLS 1.3 a client hears of the refusal when it reads
            let mut stream = connect(address, config).await?;
            exchange(&mut stream, &body).await
        }
    };
    let answered = answer(with_leaf(&ca, right)).await.expect("an answer");
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    assert!(answer(with_leaf(&ca, misnamed)).await.is_err());
    assert!(answer(with_leaf(&ca, strange)).await.is_err());
    assert!(answer(trust(&ca)).await.is_err());
}

/// What `berth check` sees of a replica, whoever signed its certificate.
#[tokio::test]
async fn a_check_sees_what_is_served_and_what_a_client_says_to_it() {
    let (berth, ca) = serve(&[]);
    let other = Authority::new(OffsetDateTime::now_utc())
        .expect("another CA")
        .pem();
    let address = format!("localhost:{}", berth.webhook.port());
    for (name, ca, expected) in [
        ("localhost", &ca, Ok(())),
        (
            "localhost",
            &other,
            Err("it is not of a CA that the caBundle has"),
        ),
        ("other.example", &ca, Err("it is not for other.example")),
    ] {
        let roots = Roots::of(ca.as_bytes()).expect("a CA");
        let asked = ask(&address, name, CLASS_LABEL, &roots).expect("it is reached");
        assert_eq!(asked.trusted, expected.map_err(str::to_owned), "{name}");
        assert!(asked.not_after > OffsetDateTime::now_utc().unix_timestamp());
        assert_eq!(asked.revision.map(|it| it.len()), Ok(12), "{name}");
    }
    let roots = Roots::of(ca.as_bytes()).expect("a CA");
    let admin = berth.admin.to_string();
    assert!(
        ask(&admin, "localhost", CLASS_LABEL, &roots).is_err(),
        "no TLS"
    );
    assert!(Roots::of(b"-----BEGIN CERTIFICATE-----").is_err());
    assert!(Roots::of(b"").is_err());
}
