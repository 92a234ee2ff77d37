use std::sync::Mutex;

use axum::http::Method;
use berth_core::table::{Settings, compile};
use kube::Client;
use serde_json::json;
use time::OffsetDateTime;

use super::{super::super::calls::played, *};
use crate::validity::Validity;

/// An API server that takes what it is sent: a Lease that is created names its holder, one that is replaced names none.
fn server(asked: &Arc<Mutex<Vec<Method>>>) -> Client {
    let asked = Arc::clone(asked);
    played(move |method, _| {
        asked.lock().expect("no panic").push(method.clone());
        let holder = (method == Method::POST).then_some("me");
        let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": SECONDS});
        (200, json!({"metadata": {"name": "berth"}, "spec": spec}))
    })
}

fn valid_for(seconds: i64) -> Validity {
    let now = OffsetDateTime::now_utc();
    Validity {
        not_before: now - time::Duration::HOUR,
        not_after: now + time::Duration::seconds(seconds),
    }
}

#[tokio::test]
async fn a_replica_that_is_not_ready_takes_no_lease_and_leaves_the_one_that_it_has() {
    let asked = Arc::default();
    let (held, holds) = watch::channel(None);
    let (other, _others) = watch::channel(None);
    let state = Arc::new(ServerState::default());
    let mut candidate = Candidate::new(
        Api::default_namespaced(server(&asked)),
        "berth".to_owned(),
        "me".to_owned(),
        Shown { held, other },
        Arc::clone(&state),
        Arc::default(),
    );
    for event in [Event::Init, Event::InitDone] {
        candidate.see(event);
    }
    let asked = || asked.lock().expect("no panic").clone();
    candidate.act().await;
    assert!(asked().is_empty() && !is_held(*holds.borrow()));
    state.set_view(compile(&[], &Settings::default()).0.into());
    state.set_certificate(valid_for(60));
    candidate.act().await;
    assert_eq!(asked(), [Method::POST]);
    assert!(is_held(*holds.borrow()));
    state.set_certificate(valid_for(-1));
    for _ in 0..2 {
        candidate.act().await;
        assert_eq!(asked(), [Method::POST, Method::PUT]);
        assert!(!is_held(*holds.borrow()) && candidate.sighting.holder().is_none());
    }
}
