//! How the API server is reached.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use kube::{
    Client, Config,
    client::{AuthError, ClientBuilder},
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError, LoadDataError},
    core::Status,
};
use rustls::CertificateError;

use super::{Options, answered::Noting};
use crate::metrics::Metrics;
use berth_core::shown;
use berth_manifests::files::plain;

/// Nobody listens: try again.
const CONNECT: Duration = Duration::from_secs(5);
/// Longer than a watch is quiet: the API server ends it after 50 s. A connection that says nothing for so long is dead,
/// also one from the pool, on which a request would else wait until TCP gives up (fact 14).
const SILENCE: Duration = Duration::from_secs(55);
/// What kube makes of an answer that is an error and no `Status` of an API server.
pub(super) const NO_STATUS: &str = "Failed to parse error data";
/// What an API server answers to a question about a kind whose definition it has not: no `Status`, but its own all the same.
const NO_KIND: &str = "404 page not found";
/// A single call is answered at once, or not at all.
const ANSWER: Duration = Duration::from_secs(10);

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a Pod nor a kubeconfig.
    #[error("not in a Pod with a service account's token ({}); name a kubeconfig file with --kubeconfig", of_pod(.0))]
    NotInCluster(#[from] InClusterError),
    /// The kubeconfig cannot be used.
    #[error("--kubeconfig {}: {}", path.display(), of_kubeconfig(source))]
    Kubeconfig {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<KubeconfigError>,
    },
    /// What kubectl would use cannot be used.
    #[error(
        "the kubeconfig ($KUBECONFIG, else ~/.kube/config): {}",
        of_kubeconfig(source)
    )]
    Found {
        /// What is wrong with it.
        source: Box<KubeconfigError>,
    },
    /// There is no kubeconfig where kubectl looks for it, and this is not a Pod.
    #[error(
        "no cluster: there is no kubeconfig in $KUBECONFIG or ~/.kube/config; name one with --kubeconfig"
    )]
    NoCluster,
    /// The configuration cannot be used.
    #[error("no client for the API server: {}", of_client(.0))]
    Client(#[from] Box<kube::Error>),
}

/// What a Pod has not, in a person's words.
fn of_pod(error: &InClusterError) -> String {
    match error {
        InClusterError::ReadEnvironmentVariable(_) => {
            "KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is not set".to_owned()
        }
        InClusterError::ParseClusterPort(_) => "KUBERNETES_SERVICE_PORT is not a port".to_owned(),
        InClusterError::ParseClusterUrl(_) => {
            "KUBERNETES_SERVICE_HOST is not an address".to_owned()
        }
        InClusterError::ReadCertificateBundle(error) => format!("its ca.crt: {}", plain(error)),
        InClusterError::ReadDefaultNamespace(error) => format!("its namespace: {}", plain(error)),
        InClusterError::ParseCertificates(_) => "its ca.crt is not PEM".to_owned(),
    }
}

/// What is wrong with a kubeconfig, and what to do.
fn of_kubeconfig(error: &KubeconfigError) -> String {
    use KubeconfigError as E;
    match error {
        E::ReadConfig(error, _) => format!("{}; check the path and its permissions", plain(error)),
        E::Parse(error) => {
            let place = error.location().map_or_else(String::new, |it| {
                format!(" (line {}, column {})", it.line(), it.column())
            });
            format!("it is not a kubeconfig{place}; see what `kubectl config view` says of it")
        }
        E::CurrentContextNotSet => {
            "it has no current-context; name a context with --context".to_owned()
        }
        E::LoadContext(name) => format!(
            "it has no context {}; `kubectl config get-contexts` lists them",
            shown::quoted(name)
        ),
        E::LoadClusterOfContext(name) => format!(
            "it has no cluster {}, which the context names; add it, or name another context with --context",
            shown::quoted(name)
        ),
        E::MissingClusterUrl => "the context's cluster has no server; add its URL".to_owned(),
        E::ParseClusterUrl(_) => {
            "the cluster's server is not a URL; write it as https://10.0.0.1:6443".to_owned()
        }
        E::ParseProxyUrl(_) => {
            "the cluster's proxy-url is not a URL; write it as http://10.0.0.1:3128".to_owned()
        }
        E::LoadCertificateAuthority(error) => of_data("certificate-authority", error),
        E::LoadClientCertificate(error) => of_data("client-certificate", error),
        E::LoadClientKey(error) => of_data("client-key", error),
        E::ParseCertificates(_) => {
            "its certificate-authority is not PEM; it must begin with -----BEGIN CERTIFICATE-----"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// What is wrong with a field that is base64 in the kubeconfig, or the name of a file.
fn of_data(field: &str, error: &LoadDataError) -> String {
    match error {
        LoadDataError::DecodeBase64(_) => {
            format!("its {field}-data is not base64; write the file's name as {field}")
        }
        LoadDataError::ReadFile(error, path) => format!(
            "its {field} {}: {}; check the path and its permissions",
            path.display(),
            plain(error)
        ),
        LoadDataError::NoBase64DataOrFile => {
            format!("it has no {field}; add {field} or {field}-data")
        }
    }
}

/// What the API server answers, if it is one that does.
#[must_use]
pub fn status(error: &kube::Error) -> Option<&Status> {
    match error {
        kube::Error::Api(status) if status.reason != NO_STATUS || status.message == NO_KIND => {
            Some(status)
        }
        _ => None,
    }
}

/// What kube says, in a person's words: what the API server answers, else the cause below all others.
#[must_use]
pub fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.message.contains('<') && status.reason == NO_STATUS => {
            format!(
                "an answer of status {} that is not an API server's",
                status.code
            )
        }
        kube::Error::Api(status) => status.message.trim_end_matches('.').to_owned(),
        error => deepest(error, of_tls),
    }
}

/// What is wrong with the user of a kubeconfig, and what to do.
fn of_client(error: &kube::Error) -> String {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(LoadDataError::ReadFile(error, path)) = error.downcast_ref() {
            let (path, error) = (path.display(), plain(error));
            return format!(
                "{path}: {error}; check the path in the kubeconfig and its permissions"
            );
        }
        if let Some(AuthError::AuthExecStart(error)) = error.downcast_ref() {
            let error = plain(error);
            return format!(
                "the command by which the kubeconfig's user logs in (exec) does not start: {error}; install it, or check its path"
            );
        }
        cause = error.source();
    }
    format!(
        "{}; check the user, its certificate and its key",
        said(error)
    )
}

/// What an error of a connection to another replica says, in a person's words.
pub(crate) fn plainly(error: &(dyn Error + 'static)) -> String {
    deepest(error, |_| None)
}

/// The cause below all others, or the first that has words of its own.
fn deepest(
    error: &(dyn Error + 'static),
    words: fn(&(dyn Error + 'static)) -> Option<&'static str>,
) -> String {
    let mut cause = error;
    loop {
        if let Some(words) = words(cause) {
            return words.to_owned();
        }
        match cause.source() {
            Some(source) => cause = source,
            None => return plain(&io::Error::other(cause.to_string())),
        }
    }
}

/// What TLS has against the API server's certificate, or the client's own; rustls says it in the words of its code.
fn of_tls(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let inner = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    let inner = inner.and_then(|it| it.downcast_ref::<rustls::Error>());
    Some(match inner.or_else(|| error.downcast_ref())? {
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "the API server's certificate has expired",
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the API server's certificate is for another name",
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the API server's certificate is not of the certificate authority that is configured"
        }
        rustls::Error::InvalidCertificate(_) => "the API server's certificate is not accepted",
        rustls::Error::InconsistentKeys(_) => "the client's key is not the key of its certificate",
        rustls::Error::AlertReceived(_) => "the API server refuses the TLS connection",
        _ => "TLS cannot be established",
    })
}

/// The clients, which differ in how long they wait.
pub(super) struct Clients {
    /// For lists and watches.
    pub(super) watches: Client,
    /// For single calls.
    pub(super) calls: Client,
}

impl Clients {
    pub(super) async fn connect(
        options: &Options,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, ConnectError> {
        let mut config = config(options).await?;
        config.connect_timeout = Some(CONNECT);
        // without it, the time in which a connection was idle in the pool counts
        config.reset_reader_on_write = true;
        let client = |timeout| {
            let mut config = config.clone();
            config.read_timeout = Some(timeout);
            ClientBuilder::try_from(config).map_err(Box::new)
        };
        let noting = Noting(Arc::clone(metrics));
        Ok(Self {
            watches: client(SILENCE)?.with_layer(&noting).build(),
            calls: client(ANSWER)?.build(),
        })
    }
}

/// A client for a command that a person runs, and the namespace of the context. The cluster is the one that kubectl finds:
/// of `kubeconfig`, else of `$KUBECONFIG`, else of `~/.kube/config`, else the one in whose Pod this runs.
pub async fn connect(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<(Client, String), ConnectError> {
    let mut config = match kubeconfig {
        Some(path) => of_file(path, context).await?,
        None => of_environment(context).await?,
    };
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    let namespace = config.default_namespace.clone();
    Ok((Client::try_from(config).map_err(Box::new)?, namespace))
}

async fn of_environment(context: Option<&str>) -> Result<Config, ConnectError> {
    let found = match Kubeconfig::read() {
        // no file: as kubectl does in a Pod
        Err(error) if context.is_none() && is_absent(&error) => {
            return Config::incluster().map_err(|_| ConnectError::NoCluster);
        }
        found => found,
    };
    let chosen = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let config = match found {
        Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &chosen).await,
        Err(error) => Err(error),
    };
    config.map_err(|source| ConnectError::Found {
        source: Box::new(source),
    })
}

/// Whether there is no kubeconfig. One that cannot be read is there.
fn is_absent(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::ReadConfig(error, _) => error.kind() == io::ErrorKind::NotFound,
        KubeconfigError::FindPath => true,
        _ => false,
    }
}

async fn config(options: &Options) -> Result<Config, ConnectError> {
    match &options.kubeconfig {
        Some(path) => of_file(path, options.context.as_deref()).await,
        None => Ok(Config::incluster()?),
    }
}

async fn of_file(path: &Path, context: Option<&str>) -> Result<Config, ConnectError> {
    let error = |source| ConnectError::Kubeconfig {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let kubeconfig = Kubeconfig::read_from(path).map_err(error)?;
    let chosen = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    Config::from_custom_kubeconfig(kubeconfig, &chosen)
        .await
        .map_err(error)
}
