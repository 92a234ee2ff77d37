//! What an address of the webhook shows to whoever asks it as the API server does: its certificate, and an answer.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme, StreamOwned,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use serde_json::{Value, json};

use super::files::problem;
use crate::webhook::PATH;
use berth_manifests::files::plain;

/// Who does not answer in this time is not reached from here.
const PATIENCE: Duration = Duration::from_secs(3);
/// An answer to our question has less.
const MAX_ANSWER: u64 = 1 << 20;
/// No table has it: what answers names its table, and takes no GPU.
const NO_CLASS: &str = "berth-check";

/// What was seen.
#[derive(Debug)]
pub struct Served {
    /// The last second of the certificate, of Unix time.
    pub not_after: i64,
    /// What the CA and the name say to it.
    pub trusted: Result<(), String>,
    /// The revision of the table.
    pub revision: Result<String, String>,
}

/// Whom a client trusts.
#[derive(Clone, Debug)]
pub struct Roots(Arc<RootCertStore>);

/// Remembers what is presented, and what a client would say to it. It then goes on, whatever that is.
#[derive(Debug)]
struct Witness {
    verifier: Arc<WebPkiServerVerifier>,
    seen: Mutex<Option<(i64, Result<(), String>)>>,
}

impl Roots {
    /// The CAs of a bundle, PEM; an error says what is wrong with it.
    pub fn of(pem: &[u8]) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| problem(&error).to_owned())?;
            let added = roots.add(certificate);
            added.map_err(|_| "what is in it is not an X.509 certificate".to_owned())?;
        }
        if roots.is_empty() {
            return Err("it has no certificate".to_owned());
        }
        Ok(Self(Arc::new(roots)))
    }
}

/// Asks an address, as `10.0.0.7:8443`, for the name by which the API server asks it. An error says why it was not
/// reached.
pub fn ask(address: &str, name: &str, class_label: &str, roots: &Roots) -> Result<Served, String> {
    let server = ServerName::try_from(name.to_owned());
    let server = server.map_err(|_| format!("{name} is not a DNS name"))?;
    let provider = Arc::new(default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots.0), Arc::clone(&provider));
    let verifier = verifier.build().map_err(|error| error.to_string())?;
    let witness = Arc::new(Witness {
        verifier,
        seen: Mutex::default(),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), server);
    let connection = connection.map_err(|error| error.to_string())?;
    let stream = connect(address).map_err(|error| plain(&error))?;
    let asked = review(StreamOwned::new(connection, stream), name, class_label);
    let seen = witness.seen.lock().ok().and_then(|mut seen| seen.take());
    match (seen, asked) {
        (Some((not_after, trusted)), revision) => Ok(Served {
            not_after,
            trusted,
            revision: revision.map_err(|error| plain(&error)),
        }),
        (None, Err(error)) => Err(plain(&error)),
        (None, Ok(_)) => Err("it presents no certificate".to_owned()),
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Asks for a review of a Pod of no class, in a dry run: the revision of the table by which it was answered.
fn review(
    mut stream: StreamOwned<ClientConnection, TcpStream>,
    host: &str,
    class_label: &str,
) -> io::Result<String> {
    let pod = json!({
        "metadata": {"name": NO_CLASS, "labels": {class_label: NO_CLASS}},
        "spec": {"containers": [{"name": NO_CLASS}]},
    });
    let body = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": NO_CLASS, "operation": "CREATE", "dryRun": true, "namespace": "default",
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "object": pod,
        },
    })
    .to_string();
    write!(
        stream,
        "POST {PATH}?timeout=2s HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.flush()?;
    let mut answer = Vec::new();
    // who closes without a TLS goodbye has still said what it said
    let read = stream.take(MAX_ANSWER).read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = match (text.split_once("\r\n\r\n"), read) {
        (Some(parts), _) => parts,
        (None, Err(error)) => return Err(error),
        (None, Ok(_)) => return Err(io::Error::other("it closed the connection")),
    };
    let status = head.lines().next().unwrap_or_default();
    let answer: Value = serde_json::from_str(body.trim()).unwrap_or_default();
    let revision = answer["response"]["auditAnnotations"]["table"].as_str();
    revision
        .map(str::to_owned)
        .ok_or_else(|| io::Error::other(format!("it does not name its table: {status}")))
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let not_after = parsed.validity().not_after.timestamp();
        let verified = self
            .verifier
            .verify_server_cert(leaf, between, name, ocsp, now);
        let trusted = verified.map(drop).map_err(|error| in_words(&error, name));
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some((not_after, trusted));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// What a client has against a certificate; rustls says it in the words of its code.
fn in_words(error: &Error, name: &ServerName<'_>) -> String {
    use CertificateError as E;
    match error {
        Error::InvalidCertificate(E::UnknownIssuer | E::BadSignature) => {
            "it is not of a CA that the caBundle has".to_owned()
        }
        Error::InvalidCertificate(E::Expired | E::ExpiredContext { .. }) => {
            "it has expired".to_owned()
        }
        Error::InvalidCertificate(E::NotValidYet | E::NotValidYetContext { .. }) => {
            "it is not valid yet".to_owned()
        }
        Error::InvalidCertificate(E::NotValidForName | E::NotValidForNameContext { .. }) => {
            format!("it is not for {}", name.to_str())
        }
        Error::InvalidCertificate(E::InvalidPurpose | E::InvalidPurposeContext { .. }) => {
            "it is not for servers".to_owned()
        }
        other => format!("it is not accepted ({other})"),
    }
}
