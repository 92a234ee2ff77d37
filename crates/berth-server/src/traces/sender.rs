//! The way to the Collector: HTTP/1.1 on the thread that sends, and on no other. That it fails is told once.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use axum::http::Uri;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use super::{
    options::{self, Error, Options},
    queue::Queue,
};
use crate::{
    sources::cluster::{Told, plainly},
    tls::{files, peer},
};
use berth_core::shown;
use berth_manifests::files::consistently;

/// An answer says how many spans were taken, and no more.
const LARGEST: usize = 64 << 10;

type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Sends what OpenTelemetry has encoded.
#[derive(Debug)]
pub(super) struct Sender {
    endpoint: Uri,
    http: Http,
    timeout: Duration,
    runtime: Runtime,
    queue: Queue,
    told: Mutex<Told>,
}

impl Sender {
    pub(super) fn new(options: &Options, endpoint: &Uri, queue: &Queue) -> Result<Self, Error> {
        let roots = match &options.otlp_ca {
            Some(path) => roots(path)?,
            None if endpoint.scheme_str() == Some("https") => {
                return Err(Error::NoCa(endpoint.clone()));
            }
            None => RootCertStore::empty(),
        };
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            endpoint: endpoint.clone(),
            http: Client::builder(TokioExecutor::new()).build(tls),
            timeout: options::timeout(),
            runtime: Builder::new_current_thread().enable_all().build()?,
            queue: queue.clone(),
            told: Mutex::default(),
        })
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let sending = async {
            let answer = self.http.request(request.map(Full::new)).await;
            let (head, body) = answer.map_err(|error| plainly(&error))?.into_parts();
            let whole = Limited::new(body, LARGEST).collect().await;
            let whole = whole.map_err(|error| plainly(&*error))?;
            Ok(Response::from_parts(head, whole.to_bytes()))
        };
        let late = || format!("no answer within {} ms", self.timeout.as_millis());
        timeout(self.timeout, sending)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    /// What an answer with success says of spans that the Collector has not taken, which are counted. An answer that is
    /// not OTLP's says nothing.
    fn rejection(&self, body: &[u8]) -> Option<String> {
        let answer = ExportTraceServiceResponse::decode(body).ok()?;
        let partial = answer.partial_success?;
        let spans = usize::try_from(partial.rejected_spans).ok()?;
        self.queue.rejected(spans);
        let message = shown::name(&partial.error_message);
        (spans > 0).then(|| format!("it does not take some of them: {message}"))
    }

    /// Tells a failure that is not the last one again, and its end.
    fn tell(&self, failure: Option<&str>) {
        let endpoint = &self.endpoint;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Some(error) if told.is_new(error) => {
                tracing::warn!(%endpoint, error, "spans cannot be sent, and are dropped; reviews are answered as ever");
            }
            None if told.ends() => tracing::info!(%endpoint, "spans are sent again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // the thread is there for this alone, and has no runtime
        let answer = self.runtime.block_on(self.send(request));
        let failure = match &answer {
            Ok(answer) if answer.status().is_success() => self.rejection(answer.body()),
            Ok(answer) => Some(format!("it answers with HTTP {}", answer.status())),
            Err(error) => Some(error.clone()),
        };
        self.tell(failure.as_deref());
        answer.map_err(Into::into)
    }
}

fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let pem = consistently(|snapshot| files::read(snapshot, "--otlp-ca", path))?;
    peer::roots(&pem).map_err(|problem| Error::Ca {
        path: path.to_owned(),
        problem,
    })
}
