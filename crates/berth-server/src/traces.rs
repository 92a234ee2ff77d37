//! Traces: a span for each review, a child of the API server's, sent to an OpenTelemetry Collector by OTLP over HTTP.
//!
//! ```text
//!   webhook ─▶ Span ─▶ queue ─▶ thread: encodes, sends, counts and tells
//! ```
//!
//! A review never waits for a span: there is room for so many, and what is over is dropped, and counted.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use opentelemetry::{
    Context, KeyValue, Value,
    trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    resource::EnvResourceDetector,
    trace::{SdkTracer, SdkTracerProvider, Span as Recording},
};
use tokio::sync::oneshot;

use crate::{metrics::Metrics, process::host};
use berth_core::{outcome::Reason, review::Answer};

mod options;
mod parent;
mod queue;
mod sender;

pub use options::{Error, Options};
pub(crate) use parent::TRACEPARENT;

use queue::Queue;
use sender::Sender;

/// Where the spans of reviews go; nowhere without an endpoint.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Tracing>>);

#[derive(Debug)]
struct Tracing {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    queue: Queue,
}

/// The span of a request, which ends with its last copy. Without traces it is nothing.
#[derive(Clone, Debug)]
pub(crate) struct Span(Option<Arc<Mutex<Recording>>>);

impl Traces {
    /// Starts the thread that sends, where the flags name an endpoint.
    pub fn start(options: &Options, metrics: &Metrics) -> Result<Self, Error> {
        let Some(endpoint) = options.endpoint()? else {
            return Ok(Self::default());
        };
        let queue = Queue::new(metrics);
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender::new(options, &endpoint, &queue)?)
            .with_endpoint(endpoint.to_string())
            .with_protocol(Protocol::HttpBinary)
            .build()?;
        let provider = SdkTracerProvider::builder()
            .with_sampler(options.sampler())
            .with_resource(resource())
            .with_span_processor(queue.before(exporter))
            .build();
        tracing::info!(%endpoint, "spans of reviews are sent");
        Ok(Self(Some(Arc::new(Tracing {
            tracer: provider.tracer("berth"),
            provider,
            queue,
        }))))
    }

    /// Begins the span of a request to a path.
    pub(crate) fn begin(&self, path: &'static str, headers: &HeaderMap) -> Span {
        let Some(tracing) = &self.0 else {
            return Span(None);
        };
        let parent = parent::of(headers).map_or_else(Context::new, |parent| {
            Context::new().with_remote_span_context(parent)
        });
        let builder = SpanBuilder::from_name(format!("POST {path}"))
            .with_kind(SpanKind::Server)
            .with_attributes([KeyValue::new("http.route", path)]);
        let span = tracing.tracer.build_with_context(builder, &parent);
        Span(Some(Arc::new(Mutex::new(span))))
    }

    /// Sends what waits, but for no longer than that.
    pub(crate) async fn end(&self, within: Duration) {
        let Some(tracing) = self.0.clone() else {
            return;
        };
        let (done, ended) = oneshot::channel();
        // not on the runtime, which would wait for it where a second signal ends all at once
        thread::spawn(move || {
            let ended = tracing.provider.shutdown_with_timeout(within);
            // nobody may listen any more
            let _ = done.send(ended.is_ok().then_some(()).ok_or(tracing.queue.waiting()));
        });
        if let Ok(Err(spans)) = ended.await {
            tracing::warn!(spans, "the last spans could not be sent in time");
        }
    }
}

/// Who sends. What `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say wins.
fn resource() -> Resource {
    let own = [
        ("service.name", "berth".to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", host()),
    ];
    let own = own.map(|(key, value)| KeyValue::new(key, value));
    let name = std::env::var("OTEL_SERVICE_NAME");
    let name = name.ok().filter(|name| !name.is_empty());
    Resource::builder_empty()
        .with_attributes(own)
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_attributes(name.map(|name| KeyValue::new("service.name", name)))
        .build()
}

impl Span {
    /// Tells what was decided, in texts as short as the log's.
    pub(crate) fn decided(&self, answer: &Answer<'_>) {
        let Some(mut span) = self.recording() else {
            return;
        };
        let Answer {
            subject, decision, ..
        } = answer;
        let mut tell = |key, value: Value| span.set_attribute(KeyValue::new(key, value));
        tell("berth.result", decision.reason.verdict().as_str().into());
        tell("berth.reason", decision.reason.as_str().into());
        for (key, value) in [
            ("berth.class", decision.class),
            ("berth.pool", decision.pool()),
        ] {
            if let Some(value) = value {
                tell(key, value.to_owned().into());
            }
        }
        tell("berth.uid", subject.uid.clone().into_owned().into());
        tell("berth.dry_run", subject.dry_run.into());
    }

    /// Tells what came of a word at apply.
    pub(crate) fn said(&self, result: &'static str) {
        if let Some(mut span) = self.recording() {
            span.set_attribute(KeyValue::new("berth.result", result));
        }
    }

    /// Tells that another replica has decided.
    pub(crate) fn forwarded(&self) {
        if let Some(mut span) = self.recording() {
            span.set_attribute(KeyValue::new("berth.forwarded", true));
        }
    }

    /// Tells why there is no answer to the review. What its sender did wrong is no error of the span.
    pub(crate) fn failed(&self, reason: Reason) {
        let Some(mut span) = self.recording() else {
            return;
        };
        let code = reason.code();
        span.set_attributes([
            KeyValue::new("berth.result", reason.verdict().as_str()),
            KeyValue::new("berth.reason", reason.as_str()),
            KeyValue::new("http.response.status_code", i64::from(code)),
        ]);
        if code >= StatusCode::INTERNAL_SERVER_ERROR.as_u16() {
            span.set_status(Status::error(reason.as_str()));
        }
    }

    /// The header that makes another replica's span a child of this one.
    pub(crate) fn traceparent(&self) -> Option<HeaderValue> {
        parent::header(self.lock()?.span_context())
    }

    /// The span, if it is to be sent.
    fn recording(&self) -> Option<MutexGuard<'_, Recording>> {
        self.lock().filter(|span| span.is_recording())
    }

    fn lock(&self) -> Option<MutexGuard<'_, Recording>> {
        let span = self.0.as_ref()?.lock();
        Some(span.unwrap_or_else(PoisonError::into_inner))
    }
}
