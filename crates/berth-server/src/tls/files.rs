//! A certificate and its key in two files, read as a pair and checked before use.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustls::{
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::Identity;
use berth_manifests::files::{Snapshot, consistently};

/// The two files.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate with its chain.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// The two files' content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pem {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// Why a pair is invalid.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{flag} {}: {source}; check the path and its permissions", path.display())]
    Unreadable {
        /// Who named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No certificate in it.
    #[error("--tls-cert {}: no PEM certificate in it ({message}); it must begin with -----BEGIN CERTIFICATE-----", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// No key in it.
    #[error("--tls-key {}: no PEM private key in it ({message}); it must hold a PKCS#8, PKCS#1 or SEC1 key without a password", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The key is another certificate's.
    #[error("--tls-key {} is not the key of --tls-cert {} ({message}); give both files of one issue", key.display(), cert.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        message: String,
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

    /// The checked identity of a content.
    pub fn identity(&self, pem: &Pem) -> Result<Identity, Error> {
        let (chain, not_after) = self.chain(&pem.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|error| Error::Key {
            path: self.key.clone(),
            message: error.to_string(),
        })?;
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &default_provider()).map_err(
            |error| Error::Mismatch {
                cert: self.cert.clone(),
                key: self.key.clone(),
                message: error.to_string(),
            },
        )?;
        Ok(Identity {
            chain,
            key,
            not_after,
        })
    }

    fn chain(&self, pem: &[u8]) -> Result<(Vec<CertificateDer<'static>>, i64), Error> {
        let error = |message: String| Error::Certificate {
            path: self.cert.clone(),
            message,
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|problem| error(problem.to_string()))?;
        let leaf = chain
            .first()
            .ok_or_else(|| error("the file has none".to_owned()))?;
        let (_, leaf) = x509_parser::parse_x509_certificate(leaf)
            .map_err(|problem| error(problem.to_string()))?;
        let not_after = leaf.validity().not_after.timestamp();
        Ok((chain, not_after))
    }
}

/// Reads a file that a flag names, where the snapshot has it.
pub fn read(snapshot: &mut Snapshot, flag: &'static str, path: &Path) -> Result<Vec<u8>, Error> {
    let resolved = snapshot.resolve(path);
    resolved
        .and_then(fs::read)
        .map_err(|source| Error::Unreadable {
            flag,
            path: path.to_owned(),
            source,
        })
}
