//! What is left of the traces in a berth that is built without `otel`: nothing.

use std::{convert::Infallible, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use clap::Args;

use crate::metrics::Metrics;
use berth_core::{outcome::Reason, review::Answer};

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// No flags.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Options {}

/// Nothing can be wrong.
pub type Error = Infallible;

/// No spans.
#[derive(Clone, Debug, Default)]
pub struct Traces {}

#[derive(Clone, Debug)]
pub(crate) struct Span;

#[expect(
    clippy::unused_self,
    clippy::unused_async,
    reason = "as those that do something"
)]
impl Traces {
    /// Starts nothing.
    #[must_use]
    pub fn start(_: &Options, _: &Metrics) -> Result<Self, Error> {
        Ok(Self {})
    }

    pub(crate) fn begin(&self, _: &'static str, _: &HeaderMap) -> Span {
        Span
    }

    pub(crate) async fn end(&self, _: Duration) {}
}

#[expect(clippy::unused_self, reason = "as those that do something")]
impl Span {
    pub(crate) fn decided(&self, _: &Answer<'_>) {}

    pub(crate) fn said(&self, _: &'static str) {}

    pub(crate) fn forwarded(&self) {}

    pub(crate) fn failed(&self, _: Reason) {}

    pub(crate) fn traceparent(&self) -> Option<HeaderValue> {
        None
    }
}
