//! Client certificates: who may connect, where that is asked for.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use x509_parser::prelude::{GeneralName, X509Certificate};

use super::files::problem;

/// Why a CA for clients is invalid.
#[derive(Debug, thiserror::Error)]
#[error("--client-ca {}: {message}; it must hold at least one PEM certificate of a CA", path.display())]
pub struct Error {
    path: PathBuf,
    message: String,
}

/// How many bytes of names the handshake may carry. TLS counts them in 16 bits: more fail every handshake. Without them
/// a client offers the certificate that it has, as the API server does.
const MOST_HINTS: usize = 16 << 10;

/// How many CAs may have the same name. A client is checked against each of them in turn, and after 100 signatures TLS
/// gives up: with more, some of the CAs would be there in vain.
const MOST_NAMESAKES: usize = 64;

/// Lets in who has a certificate of the CA that carries the name, if one is asked for.
#[derive(Debug)]
pub struct NamedClients {
    chain: Arc<dyn ClientCertVerifier>,
    name: Option<String>,
}

impl NamedClients {
    /// Reads the CA's PEM.
    pub fn new(path: &Path, pem: &[u8], name: Option<String>) -> Result<Self, Error> {
        let error = |message: String| Error {
            path: path.to_owned(),
            message,
        };
        let mut roots = RootCertStore::empty();
        for (i, certificate) in (1..).zip(CertificateDer::pem_slice_iter(pem)) {
            let certificate = certificate.map_err(|it| error(problem(&it).to_owned()))?;
            let added = roots.add(certificate);
            added.map_err(|_| error(format!("its certificate {i} is not an X.509 certificate")))?;
        }
        if roots.is_empty() {
            return Err(error("it has no certificate".to_owned()));
        }
        let hints = roots.subjects();
        if namesakes(&hints) > MOST_NAMESAKES {
            let message = format!("more than {MOST_NAMESAKES} CAs have the same subject");
            return Err(error(message));
        }
        let hints: usize = hints.iter().map(|name| name.as_ref().len() + 2).sum();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        if hints > MOST_HINTS {
            builder = builder.clear_root_hint_subjects();
        }
        let chain = builder
            .build()
            .map_err(|problem| error(problem.to_string()))?;
        Ok(Self { chain, name })
    }
}

/// How many of the names are the same one, at most.
fn namesakes(names: &[DistinguishedName]) -> usize {
    let mut counts = HashMap::new();
    for name in names {
        *counts.entry(name.as_ref()).or_insert(0) += 1;
    }
    counts.into_values().max().unwrap_or_default()
}

/// Whether a certificate carries the name, as its CN or among its alternative names.
fn carries(certificate: &X509Certificate<'_>, name: &str) -> bool {
    let mut common = certificate.subject().iter_common_name();
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let mut alternative = alternative
        .iter()
        .flat_map(|names| &names.value.general_names);
    common.any(|common| common.as_str() == Ok(name))
        || alternative.any(|alternative| match alternative {
            GeneralName::DNSName(text) | GeneralName::URI(text) | GeneralName::RFC822Name(text) => {
                *text == name
            }
            _ => false,
        })
}

impl ClientCertVerifier for NamedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self
            .chain
            .verify_client_cert(end_entity, intermediates, now)?;
        let Some(name) = &self.name else {
            return Ok(verified);
        };
        let (_, certificate) = x509_parser::parse_x509_certificate(end_entity)
            .map_err(|_| CertificateError::BadEncoding)?;
        if carries(&certificate, name) {
            Ok(verified)
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
