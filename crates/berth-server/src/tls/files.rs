//! A certificate and its key in two files, read as a pair and checked before use: as a client will check it.

use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use rustls::{
    client::verify_server_name,
    crypto::ring::default_provider,
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName,
        pem::{self, PemObject},
    },
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use time::OffsetDateTime;
use x509_parser::prelude::{GeneralName, X509Certificate};

use super::Identity;
use crate::validity::{OutOfDate, Validity};
use berth_manifests::files::{Snapshot, bounded, consistently, plain, regular};

/// A file of ours has so many bytes at most. A chain has a few KiB, and a bundle of all public CAs has 200.
const MAX_BYTES: usize = 4 << 20;
/// So many names of a certificate are shown.
const NAMES: usize = 5;

/// The two files.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate with its chain.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
    /// The name that clients ask for, where it is known.
    pub server_name: Option<ServerName<'static>>,
}

/// The two files' content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pem {
    /// The certificate, and those between it and its CA.
    pub cert: Vec<u8>,
    /// The private key.
    pub key: Vec<u8>,
}

/// Why a pair is invalid.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{flag} {}: {}; check the path and its permissions", path.display(), plain(source))]
    Unreadable {
        /// Who named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No certificate in it.
    #[error("--tls-cert {}: no PEM certificate in it ({problem}); it must begin with -----BEGIN CERTIFICATE-----", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// What is in it as a certificate is none.
    #[error("--tls-cert {}: what is in it is not an X.509 certificate; issue a new one", path.display())]
    NotX509 {
        /// The file.
        path: PathBuf,
    },
    /// No key in it.
    #[error("--tls-key {}: no PEM private key in it ({problem}); it must hold a PKCS#8, PKCS#1 or SEC1 key without a password", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// The key is damaged, or of an algorithm that TLS here does not have.
    #[error("--tls-key {}: the private key cannot be used; issue an ECDSA P-256 or P-384, RSA or Ed25519 key", path.display())]
    KeyOfNoUse {
        /// The file.
        path: PathBuf,
    },
    /// The key is another certificate's.
    #[error("--tls-key {} is not the key of --tls-cert {}; give the certificate and the key that were issued together", key.display(), cert.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Clients would not accept it now.
    #[error("--tls-cert {}: the certificate {source}", cert.display())]
    OutOfDate {
        /// The certificate's file.
        cert: PathBuf,
        /// When they would.
        source: OutOfDate,
    },
    /// Clients ask for another name.
    #[error("--tls-cert {}: the certificate is for {names}, and not for {} (--tls-server-name); issue one for that name", cert.display(), name.to_str())]
    OtherName {
        /// The certificate's file.
        cert: PathBuf,
        /// The name that clients ask for.
        name: ServerName<'static>,
        /// The names that it has.
        names: String,
    },
    /// It is a client's.
    #[error("--tls-cert {}: the certificate is not for servers: its extended key usage does not have serverAuth; issue one that has", cert.display())]
    NotForServers {
        /// The certificate's file.
        cert: PathBuf,
    },
}

impl Pair {
    /// Reads both files as they are at one moment.
    pub fn read(&self) -> Result<Pem, Error> {
        consistently(|snapshot| {
            Ok(Pem {
                cert: read(snapshot, "--tls-cert", &self.cert)?,
                key: read(snapshot, "--tls-key", &self.key)?,
            })
        })
    }

    /// The identity of a content, where clients accept it at this moment.
    pub fn identity(&self, pem: &Pem, now: OffsetDateTime) -> Result<Identity, Error> {
        let chain = self.chain(&pem.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|error| Error::NoKey {
            path: self.key.clone(),
            problem: problem(&error),
        })?;
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &default_provider())
            .map_err(|error| self.unfit(&error))?;
        let validity = self.check(&chain, now)?;
        Ok(Identity {
            chain,
            key,
            validity,
        })
    }

    fn chain(&self, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let chain = chain.map_err(|error| self.no_certificate(problem(&error)))?;
        if chain.is_empty() {
            return Err(self.no_certificate(NONE));
        }
        Ok(chain)
    }

    /// What clients check of the leaf, but for who signed it: whose CAs they trust is not known here.
    fn check(&self, chain: &[CertificateDer<'_>], now: OffsetDateTime) -> Result<Validity, Error> {
        let leaf = chain.first().ok_or_else(|| self.no_certificate(NONE))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf).map_err(|_| self.not_x509())?;
        let validity = Validity {
            not_before: parsed.validity().not_before.to_datetime(),
            not_after: parsed.validity().not_after.to_datetime(),
        };
        validity.check(now).map_err(|source| Error::OutOfDate {
            cert: self.cert.clone(),
            source,
        })?;
        if !is_for_servers(&parsed) {
            let cert = self.cert.clone();
            return Err(Error::NotForServers { cert });
        }
        let Some(name) = &self.server_name else {
            return Ok(validity);
        };
        let asked = ParsedCertificate::try_from(leaf).map_err(|_| self.not_x509())?;
        verify_server_name(&asked, name).map_err(|_| Error::OtherName {
            cert: self.cert.clone(),
            name: name.clone(),
            names: names(&parsed),
        })?;
        Ok(validity)
    }

    fn no_certificate(&self, problem: &'static str) -> Error {
        let path = self.cert.clone();
        Error::NoCertificate { path, problem }
    }

    fn not_x509(&self) -> Error {
        let path = self.cert.clone();
        Error::NotX509 { path }
    }

    /// Why a key cannot be used with a certificate: rustls says it in the words of its own code.
    fn unfit(&self, error: &rustls::Error) -> Error {
        match error {
            rustls::Error::InconsistentKeys(_) => Error::Mismatch {
                cert: self.cert.clone(),
                key: self.key.clone(),
            },
            rustls::Error::InvalidCertificate(_) => self.not_x509(),
            _ => Error::KeyOfNoUse {
                path: self.key.clone(),
            },
        }
    }
}

/// What is said of a file without what it should hold.
const NONE: &str = "the file has none";

/// What is wrong with a PEM file, in a person's words: the library shows the bytes as numbers.
pub(super) fn problem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::NoItemsFound => NONE,
        pem::Error::MissingSectionEnd { .. } => "it is cut: a section has no END line",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "it cannot be read as PEM",
    }
}

/// Whether a certificate may be a server's: where it does not say what it is for, it is for everything.
fn is_for_servers(certificate: &X509Certificate<'_>) -> bool {
    let usage = certificate.extended_key_usage().ok().flatten();
    usage.is_none_or(|usage| usage.value.server_auth || usage.value.any)
}

/// The first names of a certificate, as a message shows them.
fn names(certificate: &X509Certificate<'_>) -> String {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    if names.is_empty() {
        return "no DNS name (a common name is not one)".to_owned();
    }
    let shown: Vec<_> = names.iter().take(NAMES).map(shown).collect();
    let more = if names.len() > NAMES { ", …" } else { "" };
    shown.join(", ") + more
}

fn shown(name: &GeneralName<'_>) -> String {
    let text = match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => address(bytes).unwrap_or_else(|| name.to_string()),
        other => other.to_string(),
    };
    // a DNS name has 253 characters at most, and no control character
    text.chars()
        .filter(|it| !it.is_control())
        .take(253)
        .collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let sixteen = || <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    let address = four.or_else(|_| sixteen()).ok()?;
    Some(address.to_string())
}

/// Reads a file that a flag names, where the snapshot has it.
pub fn read(snapshot: &mut Snapshot, flag: &'static str, path: &Path) -> Result<Vec<u8>, Error> {
    let mut read = || -> io::Result<Vec<u8>> {
        let file = regular(&snapshot.resolve(path)?)?;
        bounded(file, MAX_BYTES)?.ok_or_else(|| io::Error::other("it has more than 4 MiB"))
    };
    read().map_err(|source| Error::Unreadable {
        flag,
        path: path.to_owned(),
        source,
    })
}
