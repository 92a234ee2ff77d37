//! The head of an HTTP request and what follows it: an answer that HTTP has, never an internal error, and an end.
#![no_main]

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::Router;
use berth_core::review;
use berth_fuzz::view;
use berth_server::{
    accept::BoundedChunks,
    metrics::Metrics,
    state::ServerState,
    webhook::{Limits, Webhook, router},
};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use libfuzzer_sys::fuzz_target;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    runtime::{Builder, Runtime},
};

/// Less than any input has, so that most go to the end of what is allowed.
const MAX_BODY: usize = 1 << 10;
/// As much as an answer may wait in the pipe, and more than all answers to an input.
const PIPE: usize = 1 << 22;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime")
});
static ROUTER: LazyLock<Router> = LazyLock::new(|| {
    let state = Arc::new(ServerState::default());
    state.set_view(view());
    router(Webhook {
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
    })
});

fuzz_target!(|bytes: &[u8]| {
    let answers = RUNTIME.block_on(answers(bytes, |it| it));
    assert!(
        answers.is_empty() || answers.starts_with("HTTP/1."),
        "{answers}"
    );
    assert!(!answers.contains("HTTP/1.1 500 "), "{answers}");
    let bounded = RUNTIME.block_on(self::answers(bytes, |it| BoundedChunks::new(it, MAX_BODY)));
    assert!(
        has_a_large_number(bytes) || bounded == answers,
        "{bounded}\nwhere without the bound of a chunk it is\n{answers}"
    );
});

/// The answers to a client that sends some bytes and no more, without their dates.
async fn answers<S>(bytes: &[u8], bound: impl FnOnce(DuplexStream) -> S) -> String
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = TowerToHyperService::new(ROUTER.clone());
    let (mut client, accepted) = duplex(PIPE);
    let connection = TokioIo::new(bound(accepted));
    let serving = async {
        // what is wrong with the connection is the client's affair
        drop(
            http1::Builder::new()
                .serve_connection(connection, service)
                .await,
        );
    };
    let asked = async {
        let mut answers = Vec::new();
        // a server that has closed takes no more
        drop(client.write_all(bytes).await);
        drop(client.shutdown().await);
        drop(client.read_to_end(&mut answers).await);
        String::from_utf8_lossy(&answers).into_owned()
    };
    let answers = tokio::join!(serving, asked).1;
    let lines = answers.split_inclusive('\n');
    lines.filter(|line| !line.starts_with("date: ")).collect()
}

/// Whether some bytes may be the size of a chunk over the limit.
fn has_a_large_number(bytes: &[u8]) -> bool {
    let runs = bytes.split(|byte| !byte.is_ascii_hexdigit());
    let digits = runs.map(|run| std::str::from_utf8(run).unwrap_or_default());
    digits
        .map(|digits| digits.trim_start_matches('0'))
        .any(|digits| u64::from_str_radix(digits, 16).map_or(!digits.is_empty(), |it| it > 1024))
}
