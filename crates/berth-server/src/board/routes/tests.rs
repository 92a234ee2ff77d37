//! Who gets the board, and how many at a time.

use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt;
use tokio::time::timeout;
use tower::ServiceExt;

use super::{
    super::{Options, STREAMS},
    *,
};

const PATIENCE: Duration = Duration::from_secs(30);

fn board(audience: Audience) -> Board {
    Board::new(Options { board: audience }).expect("one")
}

async fn answer(board: &Board, path: &str, peer: [u8; 4], headers: &[(&str, &str)]) -> Response {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).expect("a request");
    let peer = SocketAddr::from((peer, 1));
    request.extensions_mut().insert(ConnectInfo(peer));
    let routes = routes(board.clone(), Arc::default());
    routes.oneshot(request).await.expect("an answer")
}

const LOCAL: [u8; 4] = [127, 0, 0, 1];

#[tokio::test]
async fn it_is_for_who_is_on_the_machine_and_asks_for_it_by_name() {
    assert!(
        Board::new(Options {
            board: Audience::Off
        })
        .is_none()
    );
    let (near, far) = (board(Audience::Loopback), board(Audience::All));
    for (host, peer, of_near, of_far) in [
        ("localhost:8080", LOCAL, 200, 200),
        ("LOCALHOST", LOCAL, 200, 200),
        ("127.0.0.1:8080", LOCAL, 200, 200),
        ("[::1]:8080", LOCAL, 200, 200),
        ("[::1]", LOCAL, 200, 200),
        ("10.0.0.7", LOCAL, 200, 200),
        ("evil.example:8080", LOCAL, 403, 200),
        ("localhost.evil.example", LOCAL, 403, 200),
        ("[evil.example]", LOCAL, 403, 200),
        ("localhost:8080", [10, 0, 0, 1], 403, 200),
    ] {
        for (board, expected) in [(&near, of_near), (&far, of_far)] {
            let answer = answer(board, "/", peer, &[("host", host)]).await;
            assert_eq!(answer.status(), expected, "{host} {peer:?}");
        }
    }
    let nameless = answer(&near, "/", LOCAL, &[]).await;
    assert_eq!(nameless.status(), 403);
}

#[tokio::test]
async fn every_answer_has_the_policy() {
    let answer = answer(&board(Audience::All), "/", LOCAL, &[]).await;
    let policy = answer.headers()[CONTENT_SECURITY_POLICY]
        .to_str()
        .expect("text");
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(answer.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
    let page = axum::body::to_bytes(answer.into_body(), 1 << 20)
        .await
        .expect("a page");
    let page = String::from_utf8(page.to_vec()).expect("text");
    // what has no hash does not run
    for forbidden in ["style=", " onclick=", "<link rel=\"stylesheet", "src="] {
        let outside = page.replace(SCRIPT, "").replace(STYLE, "");
        assert!(!outside.contains(forbidden), "{forbidden}: {outside}");
    }
}

#[tokio::test]
async fn another_sites_page_cannot_take_a_seat() {
    let board = board(Audience::All);
    for (site, status) in [
        ("cross-site", 403),
        ("same-site", 403),
        ("same-origin", 200),
        ("none", 200),
    ] {
        let headers = [("sec-fetch-site", site)];
        let events = answer(&board, EVENTS, LOCAL, &headers).await;
        assert_eq!(events.status(), status, "{site}");
        // a link may lead here
        assert_eq!(answer(&board, "/", LOCAL, &headers).await.status(), 200);
    }
}

#[tokio::test]
async fn so_many_watch_and_no_more_until_one_goes() {
    let board = board(Audience::All);
    let mut watching = Vec::new();
    for _ in 0..STREAMS {
        let events = answer(&board, EVENTS, LOCAL, &[]).await;
        assert_eq!(events.status(), 200);
        watching.push(events);
    }
    let full = answer(&board, EVENTS, LOCAL, &[]).await;
    assert_eq!(full.status(), 503);
    assert_eq!(full.headers()[RETRY_AFTER], "5");
    watching.pop();
    assert_eq!(answer(&board, EVENTS, LOCAL, &[]).await.status(), 200);
}

#[tokio::test]
async fn a_stream_tells_all_then_what_changes_and_ends_at_the_drain() {
    let board = board(Audience::All);
    let state = Arc::new(ServerState::default());
    let keeping = tokio::spawn(board.clone().keep(Arc::clone(&state)));
    let events = answer(&board, EVENTS, LOCAL, &[]).await;
    let mut frames = events.into_body().into_data_stream();
    let mut next = async || {
        let frame = timeout(PATIENCE, frames.next()).await.expect("in time");
        frame.map(|frame| String::from_utf8(frame.expect("data").to_vec()).expect("text"))
    };
    for part in ["state", "wrong", "decisions"] {
        let frame = next().await.expect("a part");
        assert!(
            frame.starts_with(&format!("event: {part}\ndata: <h2")),
            "{frame}"
        );
    }
    state.set_no_view("x.yaml:3:1: unknown field");
    board.change();
    let frame = next().await.expect("news");
    assert!(
        frame.starts_with("event: wrong\n") && frame.contains("x.yaml:3:1"),
        "{frame}"
    );
    board.end();
    assert_eq!(next().await, None);
    assert_eq!(answer(&board, EVENTS, LOCAL, &[]).await.status(), 503);
    // the page stays: it says that the replica drains
    assert_eq!(answer(&board, "/", LOCAL, &[]).await.status(), 200);
    keeping.abort();
}
