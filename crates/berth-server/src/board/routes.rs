//! Who gets the page and the stream, and with which headers.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, LazyLock},
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, RETRY_AFTER,
            X_CONTENT_TYPE_OPTIONS,
        },
        uri::Authority,
    },
    middleware::{Next, from_fn_with_state, map_response},
    response::{Html, IntoResponse, Response, Sse},
    routing::get,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest::{SHA256, digest};

use super::{
    Audience, Board,
    page::{SCRIPT, STYLE},
};
use crate::state::ServerState;

/// Where the page hears what has changed; `board.js` has it, too.
const EVENTS: &str = "/events";

/// Nothing runs and nothing is drawn but what the page has from here, and nothing is loaded from elsewhere.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(digest(&SHA256, text.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    HeaderValue::try_from(policy).expect("base64 and words")
});

/// The board and what it looks at.
#[derive(Clone, Debug)]
struct Serving {
    board: Board,
    state: Arc<ServerState>,
}

/// The routes of the board.
pub(crate) fn routes(board: Board, state: Arc<ServerState>) -> Router {
    let audience = board.0.audience;
    Router::new()
        .route("/", get(page))
        .route(EVENTS, get(events))
        .with_state(Serving { board, state })
        .layer(from_fn_with_state(audience, admit))
        .layer(map_response(with_headers))
}

async fn page(State(Serving { board, state }): State<Serving>) -> Response {
    match board.page(&state).await {
        Ok(page) => Html(page.document().into_string()).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn events(State(Serving { board, .. }): State<Serving>) -> Response {
    match board.watch() {
        Some(stream) => Sse::new(stream).into_response(),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            [(RETRY_AFTER, "5")],
            "too many watch the board, or berth drains: reload the page instead\n",
        )
            .into_response(),
    }
}

async fn admit(
    State(audience): State<Audience>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let refused = |text: &'static str| (StatusCode::FORBIDDEN, text).into_response();
    let headers = request.headers();
    if audience == Audience::Loopback && !peer.ip().to_canonical().is_loopback() {
        return refused("for loopback peers only: use kubectl port-forward, or --board all\n");
    }
    if audience == Audience::Loopback && !names_this_machine(headers) {
        return refused("ask for localhost or an IP address, or use --board all\n");
    }
    if request.uri().path() == EVENTS && comes_from_elsewhere(headers) {
        return refused("another site's page may not watch\n");
    }
    next.run(request).await
}

/// A page of any site can have its own name lead to a forwarded port on the reader's machine, and its browser says then
/// which name it asked for (DNS rebinding).
fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|it| it.to_str().ok());
    let Some(host) = host.and_then(|it| it.parse::<Authority>().ok()) else {
        return false;
    };
    let name = host.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
}

/// It could not read a stream, but it could take all seats.
fn comes_from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    site.is_some_and(|site| site != b"same-origin" && site != b"none")
}

async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    let opener = HeaderName::from_static("cross-origin-opener-policy");
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (policy, "same-origin"),
        (opener, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
