//! How the API server is reached.

use std::{path::PathBuf, time::Duration};

use kube::{
    Client, Config,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::Options;

/// Nobody listens: try again.
const CONNECT: Duration = Duration::from_secs(5);
/// Longer than a watch is quiet: the API server ends it after 50 s. A connection that says nothing for so long is dead,
/// also one from the pool, on which a request would else wait until TCP gives up.
const SILENCE: Duration = Duration::from_secs(55);

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a Pod nor a kubeconfig.
    #[error(
        "not in a Pod with a service account's token ({0}); name a kubeconfig file with --kubeconfig"
    )]
    NotInCluster(#[from] InClusterError),
    /// The kubeconfig cannot be used.
    #[error("--kubeconfig {path}: {source}")]
    Kubeconfig {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<KubeconfigError>,
    },
    /// The configuration cannot be used.
    #[error("no client for the API server: {0}")]
    Client(#[from] Box<kube::Error>),
}

/// The clients, which differ in how long they wait.
pub(super) struct Clients {
    /// For lists and watches.
    pub(super) watches: Client,
}

impl Clients {
    pub(super) async fn connect(options: &Options) -> Result<Self, ConnectError> {
        let mut config = config(options).await?;
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(SILENCE);
        // without it, the time in which a connection was idle in the pool counts
        config.reset_reader_on_write = true;
        let watches = Client::try_from(config).map_err(Box::new)?;
        Ok(Self { watches })
    }
}

async fn config(options: &Options) -> Result<Config, ConnectError> {
    let Some(path) = &options.kubeconfig else {
        return Ok(Config::incluster()?);
    };
    let error = |source| ConnectError::Kubeconfig {
        path: path.clone(),
        source: Box::new(source),
    };
    let kubeconfig = Kubeconfig::read_from(path).map_err(error)?;
    let chosen = KubeConfigOptions {
        context: options.context.clone(),
        ..KubeConfigOptions::default()
    };
    Config::from_custom_kubeconfig(kubeconfig, &chosen)
        .await
        .map_err(error)
}
