use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde_json::json;

use super::{super::calls::played, *};

fn remark(owner: &str, reason: &'static str, is_warning: bool) -> Remarked {
    Remarked {
        regarding: ObjectReference {
            name: Some(owner.to_owned()),
            namespace: Some("ai".to_owned()),
            uid: Some(owner.to_owned()),
            ..ObjectReference::default()
        },
        action: REVIEWING,
        remark: Remark {
            reason: reason.into(),
            is_warning,
            note: String::new(),
        },
    }
}

/// Writes so many Events, all but the last of which fail so: how long that takes, and how many were counted.
async fn last_of(many: usize, code: u16, message: &'static str) -> (Duration, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let left = AtomicUsize::new(many - 1);
    let left = Arc::new(left);
    let client = played(move |_, _| {
        let fails = |left: usize| left.checked_sub(1);
        match left.fetch_update(Relaxed, Relaxed, fails) {
            Ok(_) => (
                code,
                json!({"kind": "Status", "code": code, "message": message}),
            ),
            Err(_) => (201, json!({"metadata": {}, "eventTime": null})),
        }
    });
    let reporter = Reporter {
        controller: "berth".to_owned(),
        instance: None,
    };
    let (news, to_write) = mpsc::channel(many);
    for owner in 0..many {
        let remarked = remark(&owner.to_string(), "Placed", false);
        news.send(remarked).await.expect("room");
    }
    drop(news);
    let began = tokio::time::Instant::now();
    write(
        to_write,
        Recorder::new(client, reporter),
        Arc::clone(&metrics),
    )
    .await;
    (began.elapsed(), metrics)
}

#[tokio::test(start_paused = true)]
async fn what_will_never_be_taken_is_counted_and_delays_no_other() {
    let ending = "x is forbidden: unable to create new content in namespace ai because it is being terminated";
    for (code, message) in [
        (422, "x is invalid"),
        (404, "namespaces \"ai\" not found"),
        (403, ending),
    ] {
        let (took, metrics) = last_of(20, code, message).await;
        assert_eq!(took, 20 * BETWEEN, "{code}");
        let text = metrics.text().expect("text");
        for line in ["{result=\"refused\"} 19\n", "{result=\"written\"} 1\n"] {
            assert!(
                text.contains(&format!("berth_events_total{line}")),
                "{text}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_try_may_not_repeat_is_waited_for() {
    let right = "x is forbidden: User \"berth\" cannot create resource \"events\" in API group \"events.k8s.io\"";
    for (code, message) in [(403, right), (429, "later"), (500, "etcd")] {
        let (took, metrics) = last_of(20, code, message).await;
        assert!(took > 10 * LONGEST, "{code}: {took:?}");
        let text = metrics.text().expect("text");
        assert!(
            text.contains("berth_events_total{result=\"failed\"} 19\n"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn the_same_is_said_once_and_warnings_have_room_when_the_rest_has_none() {
    let metrics = Arc::new(Metrics::default());
    let (remarked, coming) = mpsc::channel(10 * WAITING);
    let (news, mut to_write) = mpsc::channel(WAITING);
    for owner in 0..WAITING {
        remarked
            .send(remark(&owner.to_string(), "Placed", false))
            .await
            .expect("room");
    }
    for _ in 0..3 {
        for owner in 0..4 {
            let warning = remark(&owner.to_string(), "TolerationEnds", true);
            remarked.send(warning).await.expect("room");
        }
    }
    drop(remarked);
    sort(coming, news, Arc::clone(&metrics)).await;
    let mut found = [0, 0];
    while let Some(Remarked { remark, .. }) = to_write.recv().await {
        found[usize::from(remark.is_warning)] += 1;
    }
    assert_eq!(found, [WAITING - FOR_WARNINGS, 4]);
    let text = metrics.text().expect("text");
    let dropped = format!("berth_events_total{{result=\"dropped\"}} {FOR_WARNINGS}\n");
    assert!(text.contains(&dropped), "{text}");
}

#[test]
fn what_was_said_is_said_again_after_a_time_and_as_many_are_kept_as_may_be() {
    let mut said = Said::default();
    let now = Instant::now();
    for owner in 0..KEPT {
        assert!(said.has_room(now));
        said.0.insert((owner.to_string(), "Placed".into()), now);
    }
    let about = ("7".to_owned(), "Placed".into());
    assert!(said.was_said(&about, now) && !said.has_room(now));
    let later = now + QUIET;
    assert!(!said.was_said(&about, later) && said.has_room(later));
}
