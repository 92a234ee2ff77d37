//! W3C Trace Context: the API server's span, in the header `traceparent`.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The header.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What vendors add to it.
const TRACESTATE: &str = "tracestate";
/// So much of that is kept, as the recommendation asks for at least; of more, nothing.
const MAX_STATE: usize = 512;

/// The span that a request belongs to. None: it begins a trace, as with a header that is invalid.
pub(super) fn of(headers: &HeaderMap) -> Option<SpanContext> {
    let headers = Headers::new(headers)?;
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
    let span = context.span().span_context().clone();
    span.is_valid().then_some(span)
}

/// The header of a span.
pub(super) fn header(span: &SpanContext) -> Option<HeaderValue> {
    let (trace, id, flags) = (span.trace_id(), span.span_id(), span.trace_flags().to_u8());
    let text = format!("00-{trace}-{id}-{flags:02x}");
    let header = HeaderValue::try_from(text).ok();
    header.filter(|_| span.is_valid())
}

/// What the propagator reads.
struct Headers<'a> {
    parent: &'a str,
    state: Option<&'a str>,
}

impl<'a> Headers<'a> {
    fn new(headers: &'a HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let (Some(parent), None) = (parents.next(), parents.next()) else {
            return None;
        };
        let state = headers
            .get(TRACESTATE)
            .and_then(|state| state.to_str().ok());
        Some(Self {
            parent: parent.to_str().ok().filter(|it| is_parent(it))?,
            state: state.filter(|state| state.len() <= MAX_STATE),
        })
    }
}

/// Whether each field has its length, and nothing but digits: the propagator takes `1`, and `+1`, for an id.
fn is_parent(text: &str) -> bool {
    let mut fields = text.split('-');
    let has = |field: Option<&str>, length| {
        field
            .is_some_and(|it| it.len() == length && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    [2, 32, 16, 2]
        .into_iter()
        .all(|length| has(fields.next(), length))
}

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(self.parent),
            TRACESTATE => self.state,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", TRACESTATE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn read(headers: &[(&'static str, &str)]) -> Option<SpanContext> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        of(&map)
    }

    #[test]
    fn a_parent_is_read_and_written() {
        for (flags, is_sampled) in [("00", false), ("01", true), ("03", true), ("fe", false)] {
            let span = read(&[("traceparent", &format!("00-{TRACE}-{SPAN}-{flags}"))]);
            let span = span.expect("a parent");
            assert_eq!(span.trace_id().to_string(), TRACE);
            assert_eq!(span.span_id().to_string(), SPAN);
            assert_eq!(span.is_sampled(), is_sampled, "{flags}");
            assert!(span.is_remote());
            let written = header(&span).expect("a header");
            let flags = u8::from(is_sampled);
            assert_eq!(written, format!("00-{TRACE}-{SPAN}-{flags:02x}"));
        }
        // a later version may have more fields
        let later = format!("01-{TRACE}-{SPAN}-01-what-is-new");
        assert!(read(&[("traceparent", &later)]).is_some());
        assert_eq!(header(&SpanContext::empty_context()), None);
    }

    #[test]
    fn what_is_invalid_is_no_parent() {
        let zeros = |n| "0".repeat(n);
        for text in [
            String::new(),
            "-".repeat(3),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", zeros(32)),
            format!("00-{TRACE}-{}-01", zeros(16)),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-1-{SPAN}-01"),
            format!("00-+{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-0x"),
            "x".repeat(8 << 10),
        ] {
            assert!(read(&[("traceparent", &text)]).is_none(), "{text}");
        }
        let parent = format!("00-{TRACE}-{SPAN}-01");
        let twice = [("traceparent", &*parent), ("traceparent", &*parent)];
        assert!(read(&twice).is_none());
        assert!(read(&[]).is_none());
    }

    #[test]
    fn a_long_state_is_not_kept() {
        let parent = format!("00-{TRACE}-{SPAN}-01");
        let state = |state: &str| {
            let span = read(&[("traceparent", &parent), ("tracestate", state)]);
            span.expect("a parent").trace_state().header()
        };
        assert_eq!(state("a=1,b=2"), "a=1,b=2");
        assert_eq!(state("not a state"), "");
        assert_eq!(state(&format!("a={}", "1".repeat(MAX_STATE))), "");
    }
}
