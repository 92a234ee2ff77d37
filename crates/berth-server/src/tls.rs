//! TLS: whose certificate is shown, who may connect, and how both change while the server runs.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum_server::tls_rustls::RustlsConfig;
use clap::{Args, ValueEnum, builder::BoolishValueParser};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    server::NoServerSessionStorage,
    version::{TLS12, TLS13},
};

use crate::{
    metrics::{Metrics, Source},
    sources::{Reloaded, Reporter},
    watch::{self, Watch},
};
use berth_manifests::files::consistently;
use time::OffsetDateTime;

pub mod client;
pub mod files;
pub mod self_signed;

use client::NamedClients;
use files::{Pair, Pem};
use self_signed::SelfSigned;

/// The flags.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(next_help_heading = "TLS")]
pub struct Options {
    /// The serving certificate with its chain, PEM; read again when it changes
    #[arg(long, env = "BERTH_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, env = "BERTH_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Serve with a certificate made at start, for localhost, loopback and each --tls-name
    #[arg(long, env = "BERTH_TLS_SELF_SIGNED", value_parser = BoolishValueParser::new())]
    pub tls_self_signed: bool,
    /// Another DNS name or IP address of the self-signed certificate, as berth.berth.svc
    #[arg(
        long = "tls-name",
        env = "BERTH_TLS_NAME",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = server_name
    )]
    pub tls_names: Vec<String>,
    /// Where to write the self-signed certificate's CA, PEM: what a client must trust
    #[arg(long, env = "BERTH_CA_OUT", value_name = "FILE")]
    pub ca_out: Option<PathBuf>,
    /// The oldest TLS version to accept
    #[arg(
        long,
        env = "BERTH_TLS_MIN_VERSION",
        value_name = "VERSION",
        default_value = "1.3"
    )]
    pub tls_min_version: MinVersion,
    /// Require client certificates of this CA, PEM; read again when it changes
    #[arg(long, env = "BERTH_CLIENT_CA", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,
    /// The name (CN or SAN) that a client's certificate must carry, besides being of --client-ca
    #[arg(long, env = "BERTH_CLIENT_NAME", value_name = "NAME")]
    pub client_name: Option<String>,
}

fn server_name(text: &str) -> Result<String, String> {
    match ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("not a DNS name or an IP address: write it as berth.berth.svc".to_owned()),
    }
}

/// The oldest TLS version.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum MinVersion {
    /// TLS 1.2, with 1.3 where the client can.
    #[value(name = "1.2")]
    Tls12,
    /// TLS 1.3 alone.
    #[default]
    #[value(name = "1.3")]
    Tls13,
}

impl MinVersion {
    fn versions(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Tls12 => vec![&TLS12, &TLS13],
            Self::Tls13 => vec![&TLS13],
        }
    }
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Flags that do not go together.
    #[error("{0}")]
    Usage(&'static str),
    /// The pair from files cannot be used.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// The clients' CA cannot be used.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// A certificate could not be made.
    #[error(
        "--tls-self-signed: no certificate could be made: {0}; is every --tls-name a DNS name or an IP address?"
    )]
    SelfSigned(#[from] rcgen::Error),
    /// The CA could not be written.
    #[error("--ca-out {path}: {source}; name a file in a folder that exists and can be written to")]
    CaOut {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// rustls does not take the settings.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

impl Error {
    /// Whether the flags are wrong, not the files.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Usage(_) | Self::SelfSigned(_) | Self::CaOut { .. }
        )
    }
}

/// A certificate with its chain, its key, and when it ends.
#[derive(Debug)]
pub struct Identity {
    /// The leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
    /// In seconds since the epoch.
    pub not_after: i64,
}

/// Where the certificate comes from.
#[derive(Debug)]
enum Origin {
    Files(Pair),
    SelfSigned(Box<SelfSigned>),
}

/// What is read from files, as it was read.
#[derive(Debug, PartialEq)]
struct Inputs {
    pair: Option<Pem>,
    client_ca: Option<Vec<u8>>,
}

/// TLS as the flags ask for it, ready to serve.
#[derive(Debug)]
pub struct Tls {
    options: Options,
    origin: Origin,
    /// What is in force.
    inputs: Inputs,
    not_after: i64,
    config: RustlsConfig,
}

impl Options {
    fn origin(&self) -> Result<Origin, Error> {
        match (&self.tls_cert, &self.tls_key, self.tls_self_signed) {
            (Some(cert), Some(key), false) => Ok(Origin::Files(Pair {
                cert: cert.clone(),
                key: key.clone(),
            })),
            (None, None, true) => {
                let names = self.tls_names.clone();
                let lifetime = self_signed::LEAF_LIFETIME;
                Ok(Origin::SelfSigned(Box::new(SelfSigned::new(
                    names, lifetime,
                )?)))
            }
            (None, None, false) => Err(Error::Usage(
                "no certificate to serve with: give --tls-cert FILE and --tls-key FILE, or --tls-self-signed",
            )),
            (_, _, true) => Err(Error::Usage(
                "--tls-self-signed cannot be used with --tls-cert or --tls-key: remove the one or the others",
            )),
            (Some(_), None, _) => Err(Error::Usage(
                "--tls-cert without --tls-key: add the file of the certificate's private key",
            )),
            (None, Some(_), _) => Err(Error::Usage(
                "--tls-key without --tls-cert: add the file of the key's certificate",
            )),
        }
    }

    fn check(&self) -> Result<(), Error> {
        if !self.tls_self_signed && (self.ca_out.is_some() || !self.tls_names.is_empty()) {
            return Err(Error::Usage(
                "--ca-out and --tls-name need --tls-self-signed: remove them, or add it",
            ));
        }
        if self.client_name.is_some() && self.client_ca.is_none() {
            return Err(Error::Usage(
                "--client-name without --client-ca: add the CA that signs the clients' certificates",
            ));
        }
        Ok(())
    }

    fn read(&self, origin: &Origin) -> Result<Inputs, Error> {
        let client_ca = self.client_ca.as_deref();
        let client_ca = client_ca
            .map(|path| consistently(|snapshot| files::read(snapshot, "--client-ca", path)));
        let pair = match origin {
            Origin::Files(pair) => Some(pair.read()?),
            Origin::SelfSigned(_) => None,
        };
        Ok(Inputs {
            pair,
            client_ca: client_ca.transpose()?,
        })
    }

    fn server_config(
        &self,
        identity: Identity,
        client_ca: Option<&[u8]>,
    ) -> Result<Arc<ServerConfig>, Error> {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&self.tls_min_version.versions())?;
        let builder =
            match self.client_ca.as_deref().zip(client_ca) {
                Some((path, pem)) => builder.with_client_cert_verifier(Arc::new(
                    NamedClients::new(path, pem, self.client_name.clone())?,
                )),
                None => builder.with_no_client_auth(),
            };
        let mut config = builder.with_single_cert(identity.chain, identity.key)?;
        // HTTP/2 would open a door (rapid reset) for a client that does not need it (fact 3)
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // the API server has no session cache: tickets would be made for nobody (fact 13)
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

impl Origin {
    fn identity(&self, inputs: &Inputs) -> Result<Identity, Error> {
        match (self, &inputs.pair) {
            (Self::Files(pair), Some(pem)) => Ok(pair.identity(pem)?),
            (Self::Files(pair), None) => Ok(pair.identity(&pair.read()?)?),
            (Self::SelfSigned(own), _) => Ok(own.issue()?),
        }
    }
}

impl Tls {
    /// Makes or reads everything, and writes the CA where it was asked for.
    pub fn load(options: Options) -> Result<Self, Error> {
        options.check()?;
        let origin = options.origin()?;
        if let (Origin::SelfSigned(own), Some(path)) = (&origin, &options.ca_out) {
            write_atomically(path, own.ca().as_bytes()).map_err(|source| Error::CaOut {
                path: path.display().to_string(),
                source,
            })?;
        }
        let inputs = options.read(&origin)?;
        let identity = origin.identity(&inputs)?;
        let not_after = identity.not_after;
        let config = options.server_config(identity, inputs.client_ca.as_deref())?;
        Ok(Self {
            options,
            origin,
            inputs,
            not_after,
            config: RustlsConfig::from_config(config),
        })
    }

    /// What connections are accepted with: a handle, which follows the changes.
    #[must_use]
    pub fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Puts every change in force until the watch is dropped. What is invalid leaves the old in force.
    pub fn follow(mut self, poll: Duration, metrics: Arc<Metrics>) -> io::Result<Watch> {
        let mut reporter = Reporter::new(Source::Certificate, Arc::clone(&metrics));
        metrics.certificate_not_after(self.not_after);
        warn_if_expired(self.not_after);
        let directories = self.directories();
        watch::follow(&directories, poll, move || {
            reporter.tell(self.reload());
            metrics.certificate_not_after(self.not_after);
        })
    }

    fn reload(&mut self) -> Result<Reloaded, Error> {
        let inputs = self.options.read(&self.origin)?;
        if inputs == self.inputs && !self.renewal_is_due() {
            return Ok(Reloaded::Same);
        }
        let identity = self.origin.identity(&inputs)?;
        let not_after = identity.not_after;
        let config = self
            .options
            .server_config(identity, inputs.client_ca.as_deref())?;
        self.config.reload_from_config(config);
        self.inputs = inputs;
        self.not_after = not_after;
        warn_if_expired(not_after);
        Ok(Reloaded::New(format!("valid until {}", date(not_after))))
    }

    fn renewal_is_due(&self) -> bool {
        match &self.origin {
            Origin::Files(_) => false,
            Origin::SelfSigned(own) => now() >= own.renew_at(self.not_after),
        }
    }

    fn directories(&self) -> Vec<PathBuf> {
        let pair = match &self.origin {
            Origin::Files(pair) => vec![pair.cert.as_path(), pair.key.as_path()],
            Origin::SelfSigned(_) => Vec::new(),
        };
        watch::directories(pair.into_iter().chain(self.options.client_ca.as_deref()))
    }
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

fn date(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .map_or_else(|| seconds.to_string(), |date| date.to_string())
}

fn warn_if_expired(not_after: i64) {
    if now() > not_after {
        let since = date(not_after);
        tracing::warn!(%since, "the serving certificate has expired, and clients do not accept it: renew it");
    }
}

/// Writes a file so that no reader ever sees a part of it.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    fs::write(&beside, content)
        .and_then(|()| fs::rename(&beside, path))
        .inspect_err(|_| drop(fs::remove_file(&beside)))
}
