//! TLS towards another replica: its certificate is checked as the API server checks it, by CA and name.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::danger::ClientCertVerifier,
};
use time::OffsetDateTime;

use super::{
    Error as TlsError, Identity, Options, Origin,
    client::NamedClients,
    files::{self, problem},
};
use berth_manifests::files::consistently;

/// Why no other replica can be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The CA's file, or one of the own certificate.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// What the flags of TLS ask for is not there.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No CA in it.
    #[error("--forward-ca {}: {problem}; it must hold the PEM certificate of the CA that signs the replicas' certificates", path.display())]
    NoCa {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The name is not known by which the other is checked.
    #[error(
        "--forward-ca without --tls-server-name: add the DNS name that the replicas' certificate is for, as berth.berth.svc"
    )]
    NoName,
    /// Replicas ask for client certificates, and this one has none that they take.
    #[error(
        "--client-ca and --client-name do not let in a client with this replica's own certificate ({0}); \
         issue it for client authentication too, by a CA of --client-ca and with the name of --client-name, \
         or run one replica"
    )]
    NotLetIn(String),
}

/// The files by which another replica is known, and by which it knows this one.
#[derive(Clone, Debug)]
pub struct Peers {
    options: Options,
    ca: PathBuf,
}

impl Peers {
    /// Replicas with the same flags, whose certificates are of a CA.
    #[must_use]
    pub fn new(options: Options, ca: PathBuf) -> Self {
        Self { options, ca }
    }

    /// Every file that is read.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let own = [
            &self.options.client_ca,
            &self.options.tls_cert,
            &self.options.tls_key,
        ];
        let own = own.into_iter().flatten().cloned();
        // without client certificates, only the CA counts
        let own = own.filter(|_| self.options.client_ca.is_some());
        [self.ca.clone()].into_iter().chain(own).collect()
    }

    /// The name that they are asked for.
    pub(crate) fn name(&self) -> Result<ServerName<'static>, Error> {
        self.options.expected_name()?.ok_or(Error::NoName)
    }

    /// What the files say now.
    pub(crate) fn config(&self, now: OffsetDateTime) -> Result<ClientConfig, Error> {
        let pem = consistently(|snapshot| files::read(snapshot, "--forward-ca", &self.ca))?;
        let roots = self.roots(&pem)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&self.options.tls_min_version.versions())
            .map_err(TlsError::from)?
            .with_root_certificates(roots);
        let Some(client_ca) = &self.options.client_ca else {
            return Ok(builder.with_no_client_auth());
        };
        let Identity { chain, key, .. } = self.own(client_ca, now)?;
        let config = builder.with_client_auth_cert(chain, key);
        Ok(config.map_err(TlsError::from)?)
    }

    fn roots(&self, pem: &[u8]) -> Result<RootCertStore, Error> {
        roots(pem).map_err(|problem| Error::NoCa {
            path: self.ca.clone(),
            problem: problem.to_owned(),
        })
    }

    /// The serving certificate as a client's, if a replica with these flags takes it as one.
    fn own(&self, client_ca: &Path, now: OffsetDateTime) -> Result<Identity, Error> {
        let Origin::Files(pair) = self.options.origin()? else {
            let text = "it is self-signed";
            return Err(Error::NotLetIn(text.to_owned()));
        };
        let identity = pair.identity(&pair.read()?, now)?;
        let pem = consistently(|snapshot| files::read(snapshot, "--client-ca", client_ca))?;
        let clients = NamedClients::new(client_ca, &pem, self.options.client_name.clone());
        let clients = clients.map_err(TlsError::from)?;
        if let Some((leaf, between)) = identity.chain.split_first() {
            let taken = clients.verify_client_cert(leaf, between, UnixTime::now());
            taken.map_err(|error| Error::NotLetIn(error.to_string()))?;
        }
        Ok(identity)
    }
}

/// The CAs of a PEM file, or what is wrong with it.
pub(crate) fn roots(pem: &[u8]) -> Result<RootCertStore, &'static str> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|it| problem(&it))?;
        let added = roots.add(certificate);
        added.map_err(|_| "what is in it is not an X.509 certificate")?;
    }
    if roots.is_empty() {
        return Err("it has no certificate");
    }
    Ok(roots)
}
