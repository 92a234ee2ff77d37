//! The head of an HTTP request and what follows it: an answer that HTTP has, never an internal error, and an end.
#![no_main]

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use berth_core::review;
use berth_fuzz::view;
use berth_server::{
    accept::{BoundedChunks, Followed, Gate, Meters, Seated},
    metrics::Metrics,
    state::ServerState,
    traces::Traces,
    webhook::{Limits, Routes, Webhook},
};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use libfuzzer_sys::fuzz_target;
use tokio::{
    io::{AsyncRead, AsyncWrite, join},
    runtime::{Builder, Runtime},
};

/// Less than any input has, so that most go to the end of what is allowed.
const MAX_BODY: usize = 1 << 10;
const FAILS: &str = "HTTP/1.1 500 ";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime")
});
/// What answers the one client that there is.
static SERVICE: LazyLock<Seated<Followed<Routes>>> = LazyLock::new(|| {
    let state = Arc::new(ServerState::default());
    state.set_view(view());
    let routes = Routes::new(Webhook {
        review: review::review,
        state,
        metrics: Arc::new(Metrics::default()),
        limits: Limits {
            max_body_bytes: MAX_BODY,
            body_timeout: Duration::from_secs(1),
            max_body_memory: 8 << 20,
            max_in_flight: 4,
        },
        events: None,
        forward: None,
        board: None,
        traces: Traces::default(),
    });
    let gate = Gate::new(1, Duration::from_secs(1), Meters::default());
    gate.seat(routes, ([127, 0, 0, 1], 1).into())
});

fuzz_target!(|bytes: &[u8]| {
    let (mut answers, mut bounded) = (Vec::new(), Vec::new());
    // all that is ever sent is there, and all that is answered is kept: nobody waits for the other side
    RUNTIME.block_on(serve(join(bytes, &mut answers)));
    assert!(
        answers.is_empty() || answers.starts_with(b"HTTP/1."),
        "{}",
        answers.escape_ascii()
    );
    let fails = answers
        .windows(FAILS.len())
        .any(|some| some == FAILS.as_bytes());
    assert!(!fails, "{}", answers.escape_ascii());
    let client = BoundedChunks::new(join(bytes, &mut bounded), MAX_BODY);
    RUNTIME.block_on(serve(client));
    assert!(
        bounded == answers || has_a_large_number(bytes),
        "{}\nwhere without the bound of a chunk it is\n{}",
        bounded.escape_ascii(),
        answers.escape_ascii()
    );
});

/// Serves a connection to its end.
async fn serve(connection: impl AsyncRead + AsyncWrite + Unpin) {
    let service = TowerToHyperService::new(SERVICE.clone());
    let mut builder = http1::Builder::new();
    let serving = builder
        .auto_date_header(false)
        .serve_connection(TokioIo::new(connection), service);
    // what is wrong with the connection is the client's affair
    drop(serving.await);
}

/// Whether some bytes may be the size of a chunk over the limit.
fn has_a_large_number(bytes: &[u8]) -> bool {
    let runs = bytes.split(|byte| !byte.is_ascii_hexdigit());
    let digits = runs.map(|run| std::str::from_utf8(run).unwrap_or_default());
    digits
        .map(|digits| digits.trim_start_matches('0'))
        .any(|digits| u64::from_str_radix(digits, 16).map_or(!digits.is_empty(), |it| it > 1024))
}
