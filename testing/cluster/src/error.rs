//! Why there is no control plane.

use std::{io, path::PathBuf};

/// Why there is no control plane.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A machine without Go; the sentence says what is skipped.
    #[error("{0}")]
    Missing(String),
    /// The parts do not build.
    #[error("{script} failed: {message}", script = script.display())]
    Parts {
        /// What builds them.
        script: PathBuf,
        /// What it said last.
        message: String,
    },
    /// A file or a port cannot be had.
    #[error("{what}: {source}")]
    Io {
        /// What it is for.
        what: String,
        /// What the system says.
        source: io::Error,
    },
    /// A process ended or does not answer.
    #[error("{name} {state}; the end of its log:\n{log}")]
    Process {
        /// Which.
        name: &'static str,
        /// What it did instead.
        state: String,
        /// Its last lines.
        log: String,
    },
    /// A certificate cannot be made.
    #[error("a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The API server does not do what it is asked to.
    #[error("the API server, {doing}: {source}")]
    Api {
        /// What it was asked.
        doing: String,
        /// What it says.
        source: Box<kube::Error>,
    },
    /// kubectl is not content.
    #[error("kubectl {arguments}: {said}")]
    Kubectl {
        /// What it was told.
        arguments: String,
        /// What it says.
        said: String,
    },
    /// kwok, or what it needs, does not do its work.
    #[error("{0}")]
    NotReady(&'static str),
    /// The kubeconfig does not make a client.
    #[error("the kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
}

impl Error {
    /// An error of the system about a thing.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// An error of the API server about a request.
    pub(crate) fn api(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Api {
            doing,
            source: Box::new(source),
        }
    }
}
