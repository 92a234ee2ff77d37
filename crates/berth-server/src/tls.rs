//! TLS: whose certificate is shown, who may connect, and how both change while the server runs.

use std::{
    fs,
    io::{self, Write},
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
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use crate::{
    metrics::{Metrics, Source},
    sources::{Reloaded, Reporter},
    state::ServerState,
    validity::Validity,
    watch::{self, Watch},
};
use berth_manifests::files::{consistently, plain};
use time::OffsetDateTime;

pub mod asked;
pub mod client;
pub mod files;
pub mod peer;
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
    /// The DNS name that clients ask for, as berth.berth.svc: a certificate of --tls-cert without it is refused
    #[arg(
        long,
        env = "BERTH_TLS_SERVER_NAME",
        value_name = "NAME",
        value_parser = server_name
    )]
    pub tls_server_name: Option<String>,
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

/// A name that a certificate can have and a client can ask for: a DNS name or an IP address.
pub fn server_name(text: &str) -> Result<String, String> {
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
    #[error(
        "--ca-out {path}: {}; name a file in a folder that exists and can be written to",
        plain(source)
    )]
    CaOut {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// rustls does not take the settings, although each was checked: its words are for whoever reads the report.
    #[error("TLS cannot be set up ({0}); this is a bug in berth: report it")]
    Rustls(#[from] rustls::Error),
}

/// A certificate with its chain, its key, and when it ends.
#[derive(Debug)]
pub struct Identity {
    /// The leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
    /// When clients accept it.
    pub validity: Validity,
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

/// TLS as the flags ask for it. Until a first certificate is in force, no handshake succeeds.
#[derive(Debug)]
pub struct Tls {
    options: Options,
    origin: Origin,
    in_force: Option<InForce>,
    config: RustlsConfig,
}

/// What is in force.
#[derive(Debug)]
struct InForce {
    /// What was read for it.
    inputs: Inputs,
    validity: Validity,
}

/// Shows none: a client hears that there is none, instead of waiting.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

impl Options {
    fn origin(&self) -> Result<Origin, Error> {
        match (&self.tls_cert, &self.tls_key, self.tls_self_signed) {
            (Some(cert), Some(key), false) => Ok(Origin::Files(Pair {
                cert: cert.clone(),
                key: key.clone(),
                server_name: self.expected_name()?,
            })),
            (None, None, true) => {
                let names = self.tls_names.clone();
                let lifetime = self_signed::LEAF_LIFETIME;
                Ok(Origin::SelfSigned(Box::new(SelfSigned::new(
                    names,
                    lifetime,
                    OffsetDateTime::now_utc(),
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

    fn expected_name(&self) -> Result<Option<ServerName<'static>>, Error> {
        let name = self.tls_server_name.clone();
        let name = name.map(ServerName::try_from).transpose();
        name.map_err(|_| Error::Usage("--tls-server-name is not a DNS name or an IP address"))
    }

    fn check(&self) -> Result<(), Error> {
        if self.tls_self_signed && self.tls_server_name.is_some() {
            return Err(Error::Usage(
                "--tls-server-name is for --tls-cert: with --tls-self-signed, --tls-name puts a name into the certificate",
            ));
        }
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

    fn write_ca(&self, pem: &str) -> Result<(), Error> {
        let Some(path) = &self.ca_out else {
            return Ok(());
        };
        write_atomically(path, pem.as_bytes()).map_err(|source| Error::CaOut {
            path: path.display().to_string(),
            source,
        })
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
    fn identity(&self, inputs: &Inputs, now: OffsetDateTime) -> Result<Identity, Error> {
        match (self, &inputs.pair) {
            (Self::Files(pair), Some(pem)) => Ok(pair.identity(pem, now)?),
            (Self::Files(pair), None) => Ok(pair.identity(&pair.read()?, now)?),
            (Self::SelfSigned(own), _) => Ok(own.issue(now)?),
        }
    }

    fn renewal_is_due(&self, validity: Validity, now: OffsetDateTime) -> bool {
        match self {
            Self::Files(_) => false,
            Self::SelfSigned(own) => own.is_due(validity, now),
        }
    }
}

impl Tls {
    /// Takes the flags. A certificate comes with the first reading: [`Self::follow`].
    pub fn new(options: Options) -> Result<Self, Error> {
        options.check()?;
        let origin = options.origin()?;
        let none = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&options.tls_min_version.versions())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(NoCertificate));
        Ok(Self {
            options,
            origin,
            in_force: None,
            config: RustlsConfig::from_config(Arc::new(none)),
        })
    }

    /// The same with a certificate in force, and the CA written: for who follows nothing.
    pub fn load(options: Options) -> Result<Self, Error> {
        let mut tls = Self::new(options)?;
        tls.write_ca()?;
        tls.reload(OffsetDateTime::now_utc())?;
        Ok(tls)
    }

    /// Writes the CA of a self-signed certificate where that was asked for.
    pub fn write_ca(&self) -> Result<(), Error> {
        match &self.origin {
            Origin::SelfSigned(own) => self.options.write_ca(&own.ca()),
            Origin::Files(_) => Ok(()),
        }
    }

    /// What connections are accepted with: a handle, which follows the changes.
    #[must_use]
    pub fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Puts the certificate in force, and every later one, until the watch is dropped. What is invalid leaves the old one
    /// in force. As long as there is none, or it is out of date, the state says why.
    pub fn follow(
        mut self,
        poll: Duration,
        state: Arc<ServerState>,
        metrics: Arc<Metrics>,
    ) -> io::Result<Watch> {
        let (paths, panics) = (self.paths(), metrics.panics.clone());
        let mut reporter = Reporter::new(Source::Certificate, Arc::clone(&metrics));
        watch::follow(paths, poll, panics, move || {
            let now = OffsetDateTime::now_utc();
            let outcome = self.reload(now);
            if let Err(error) = &outcome {
                state.set_no_certificate(&error.to_string());
            }
            if let Some(InForce { validity, .. }) = self.in_force {
                state.set_certificate(validity);
                metrics.certificate_not_after(validity.not_after.unix_timestamp());
                warn_if_out_of_date(validity, now);
            }
            reporter.tell(outcome);
        })
    }

    fn reload(&mut self, now: OffsetDateTime) -> Result<Reloaded, Error> {
        let inputs = self.options.read(&self.origin)?;
        let unchanged =
            |it: &InForce| it.inputs == inputs && !self.origin.renewal_is_due(it.validity, now);
        if self.in_force.as_ref().is_some_and(unchanged) {
            return Ok(Reloaded::Same);
        }
        self.renew_authority(now)?;
        let identity = self.origin.identity(&inputs, now)?;
        let validity = identity.validity;
        let client_ca = inputs.client_ca.as_deref();
        let config = self.options.server_config(identity, client_ca)?;
        self.config.reload_from_config(config);
        self.in_force = Some(InForce { inputs, validity });
        Ok(Reloaded::New(validity.to_string()))
    }

    /// Clients must trust the new CA before it signs: it is written first.
    fn renew_authority(&mut self, now: OffsetDateTime) -> Result<(), Error> {
        let Origin::SelfSigned(own) = &mut self.origin else {
            return Ok(());
        };
        if let Some(authority) = own.successor(now)? {
            self.options.write_ca(&authority.pem())?;
            tracing::warn!(
                "the self-signed CA was out of date, and there is a new one: clients must trust what --ca-out holds now"
            );
            own.succeed(authority);
        }
        Ok(())
    }

    /// Every file that is read.
    fn paths(&self) -> Vec<PathBuf> {
        let pair = match &self.origin {
            Origin::Files(pair) => vec![pair.cert.clone(), pair.key.clone()],
            Origin::SelfSigned(_) => Vec::new(),
        };
        let client_ca = self.options.client_ca.clone();
        pair.into_iter().chain(client_ca).collect()
    }
}

fn warn_if_out_of_date(validity: Validity, now: OffsetDateTime) {
    if let Err(why) = validity.check(now) {
        tracing::error!(
            source = Source::Certificate.as_str(),
            error = format!("the certificate in force {why}"),
            "not ready: clients do not accept the certificate"
        );
    }
}

/// Writes a file so that no reader ever sees a part of it, over nothing or over a regular file. A link's target, a
/// device and a pipe are somebody else's.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|it| !it.is_file()) {
        let message = "it is there, and is not a regular file (a link, a device, a pipe or a folder); it would be replaced";
        return Err(io::Error::other(message));
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    create(&beside, content)
        .and_then(|()| fs::rename(&beside, path))
        .inspect_err(|_| drop(fs::remove_file(&beside)))
}

/// Writes a file that was not there. What an earlier process of the same number left is taken away first.
fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::File::options()
        .write(true)
        .create_new(true)
        .open(path)?;
    file.write_all(content)
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    /// A self-signed certificate as it was at a moment, and its CA's file.
    fn self_signed(now: OffsetDateTime) -> (Tls, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            tls_self_signed: true,
            ca_out: Some(folder.path().join("ca.pem")),
            ..Options::default()
        };
        let mut tls = Tls::new(options).unwrap();
        if let Origin::SelfSigned(own) = &mut tls.origin {
            own.succeed(self_signed::Authority::new(now).unwrap());
        }
        tls.write_ca().unwrap();
        tls.reload(now).unwrap();
        (tls, folder)
    }

    fn ca(folder: &tempfile::TempDir) -> String {
        fs::read_to_string(folder.path().join("ca.pem")).unwrap()
    }

    fn validity(tls: &Tls) -> Validity {
        tls.in_force.as_ref().unwrap().validity
    }

    #[test]
    fn a_self_signed_certificate_is_renewed_at_two_thirds_of_its_life_by_the_same_ca() {
        let now = OffsetDateTime::now_utc();
        let (mut tls, folder) = self_signed(now);
        let first = ca(&folder);
        let at = |tls: &mut Tls, days| tls.reload(now + Duration::days(days)).unwrap();
        assert!(matches!(at(&mut tls, 59), Reloaded::Same));
        assert!(matches!(at(&mut tls, 60), Reloaded::New(_)));
        assert!(matches!(at(&mut tls, 61), Reloaded::Same));
        assert_eq!(ca(&folder), first);
    }

    #[test]
    fn a_self_signed_certificate_is_made_anew_where_the_clock_was_ahead_and_so_is_its_ca() {
        let now = OffsetDateTime::now_utc();
        let (mut tls, folder) = self_signed(now + Duration::days(1_000));
        let first = ca(&folder);
        assert!(validity(&tls).check(now).is_err());
        assert!(matches!(tls.reload(now).unwrap(), Reloaded::New(_)));
        assert_eq!(validity(&tls).check(now), Ok(()));
        assert_ne!(ca(&folder), first);
        let second = ca(&folder);
        assert!(matches!(tls.reload(now).unwrap(), Reloaded::Same));
        assert_eq!(ca(&folder), second);
    }

    #[test]
    fn a_ca_is_followed_by_another_before_a_leaf_outlives_it() {
        let now = OffsetDateTime::now_utc();
        let (mut tls, folder) = self_signed(now);
        let first = ca(&folder);
        let late = now + Duration::days(3_649);
        assert!(matches!(tls.reload(late).unwrap(), Reloaded::New(_)));
        assert_ne!(ca(&folder), first);
    }
}
