//! The flags of traces. Their variables are OpenTelemetry's own, which whoever runs a Collector knows.

use std::{env, path::PathBuf, time::Duration};

use axum::http::{Uri, uri::InvalidUri};
use clap::{Args, ValueEnum};
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::trace::Sampler;

use crate::tls::files;

/// What is below an endpoint that is for every signal.
const PATH: &str = "v1/traces";
/// So long a batch of spans may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Whether reviews have spans, and where these go.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(next_help_heading = "Traces")]
pub struct Options {
    /// An OpenTelemetry Collector that takes OTLP over HTTP, mostly at port 4318. Reviews then have spans, which are sent to
    /// its path v1/traces
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", value_parser = url)]
    pub otlp_endpoint: Option<Uri>,
    /// The same with the whole path, which wins
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", value_name = "URL", value_parser = url)]
    pub otlp_traces_endpoint: Option<Uri>,
    /// The CAs by which a Collector with https is known: PEM
    #[arg(long, env = "OTEL_EXPORTER_OTLP_CERTIFICATE", value_name = "FILE")]
    pub otlp_ca: Option<PathBuf>,
    /// Which reviews have a span. With parentbased_*, the API server decides if it sends a trace, and the rest of the name is
    /// about reviews without one
    #[arg(
        long,
        env = "OTEL_TRACES_SAMPLER",
        value_name = "SAMPLER",
        default_value = "parentbased_always_off"
    )]
    pub traces_sampler: SamplerName,
    /// The share of traces for traceidratio, from 0 to 1
    #[arg(
        long,
        env = "OTEL_TRACES_SAMPLER_ARG",
        value_name = "SHARE",
        default_value = "1",
        value_parser = share
    )]
    pub traces_sampler_arg: f64,
}

/// The samplers that OpenTelemetry names.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum SamplerName {
    /// Every review.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// A share of the traces.
    #[value(name = "traceidratio")]
    TraceIdRatio,
    /// As the API server says, and every review without its word.
    #[value(name = "parentbased_always_on")]
    ParentBasedAlwaysOn,
    /// As the API server says, and no other.
    #[value(name = "parentbased_always_off")]
    ParentBasedAlwaysOff,
    /// As the API server says, and a share of the others.
    #[value(name = "parentbased_traceidratio")]
    ParentBasedTraceIdRatio,
}

/// Why spans cannot be sent as the flags say.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is to speak gRPC, or JSON.
    #[error(
        "{variable}={value}: berth sends http/protobuf alone; set that, with the Collector's port for HTTP, 4318 mostly"
    )]
    Protocol {
        /// The variable.
        variable: &'static str,
        /// What it says.
        value: String,
    },
    /// Nobody to trust.
    #[error(
        "--otlp-endpoint {0} without --otlp-ca: name the PEM file of the CAs, as berth trusts no other, or use http"
    )]
    NoCa(Uri),
    /// The CAs' file.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// No CA in it.
    #[error("--otlp-ca {}: {problem}; it must hold the PEM certificates of CAs", path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// The endpoint with its path is none.
    #[error("--otlp-endpoint {url}: {source}")]
    Endpoint {
        /// The URL.
        url: Uri,
        /// What is wrong.
        source: InvalidUri,
    },
    /// A variable of OpenTelemetry says what cannot be done.
    #[error("OTEL_EXPORTER_OTLP_*: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// What the system does not give.
    #[error("cannot send spans: {0}")]
    Io(#[from] std::io::Error),
    /// TLS.
    #[error("cannot send spans: {0}")]
    Tls(#[from] rustls::Error),
}

impl Options {
    /// Where spans go, with the path; nowhere where it is switched off.
    pub(super) fn endpoint(&self) -> Result<Option<Uri>, Error> {
        let says =
            |name, value: &str| env::var(name).is_ok_and(|it| it.eq_ignore_ascii_case(value));
        if says("OTEL_SDK_DISABLED", "true") || says("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        let endpoint = match (&self.otlp_traces_endpoint, &self.otlp_endpoint) {
            (Some(whole), _) => whole.clone(),
            (None, Some(base)) => below(base)?,
            (None, None) => return Ok(None),
        };
        speaks_protobuf()?;
        Ok(Some(endpoint))
    }

    /// Which requests have a span that is sent.
    pub(super) fn sampler(&self) -> Sampler {
        let share = Sampler::TraceIdRatioBased(self.traces_sampler_arg);
        let parent_based = |root| Sampler::ParentBased(Box::new(root));
        match self.traces_sampler {
            SamplerName::AlwaysOn => Sampler::AlwaysOn,
            SamplerName::AlwaysOff => Sampler::AlwaysOff,
            SamplerName::TraceIdRatio => share,
            SamplerName::ParentBasedAlwaysOn => parent_based(Sampler::AlwaysOn),
            SamplerName::ParentBasedAlwaysOff => parent_based(Sampler::AlwaysOff),
            SamplerName::ParentBasedTraceIdRatio => parent_based(share),
        }
    }
}

/// How long a batch may take, in OpenTelemetry's variables in milliseconds.
pub(super) fn timeout() -> Duration {
    let names = [
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
    ];
    let milliseconds = names
        .iter()
        .find_map(|name| env::var(name).ok()?.parse().ok());
    milliseconds.map_or(TIMEOUT, Duration::from_millis)
}

fn below(base: &Uri) -> Result<Uri, Error> {
    let url = base.to_string();
    let whole = format!("{}/{PATH}", url.trim_end_matches('/'));
    whole.parse().map_err(|source| Error::Endpoint {
        url: base.clone(),
        source,
    })
}

fn speaks_protobuf() -> Result<(), Error> {
    for variable in [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ] {
        match env::var(variable) {
            Ok(value) if value == "http/protobuf" => return Ok(()),
            Ok(value) if !value.is_empty() => return Err(Error::Protocol { variable, value }),
            _ => {}
        }
    }
    Ok(())
}

fn url(text: &str) -> Result<Uri, String> {
    let words = || "write a URL, as http://collector:4318".to_owned();
    let url: Uri = text.parse().map_err(|_| words())?;
    let is_http = matches!(url.scheme_str(), Some("http" | "https"));
    (is_http && url.host().is_some_and(|host| !host.is_empty()) && url.query().is_none())
        .then_some(url)
        .ok_or_else(words)
}

fn share(text: &str) -> Result<f64, String> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "write a share from 0 to 1, as 0.01".to_owned())
}
