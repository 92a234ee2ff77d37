use std::{sync::mpsc::channel, thread, time::Duration};

use berth_core::{live::Live, objects::compile_each, table::Settings};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::{super::Picture, *};

const LABEL: &str = "berth.dev/workload-class";

/// A task that counts, and the way to it.
fn counting() -> (Counting, watch::Receiver<bool>) {
    let counted = Picture::told().0.counted();
    let (synced, say) = watch::channel(false);
    let shown = Shown {
        drafts: None,
        board: None,
    };
    (Counting::new(counted, shown, LABEL.to_owned(), synced), say)
}

fn pod(name: &str, labels: &Value, requests: &Value) -> PodView {
    let pod = json!({
        "metadata": {"name": name, "namespace": "ai", "uid": name, "labels": labels},
        "spec": {"nodeName": "n", "containers": [{"name": "x", "resources": {"requests": requests}}]},
    });
    serde_json::from_value(pod).expect("a Pod")
}

/// One that asks for a GPU, one that asks for none, one with a class of its own, and one that opts out.
fn pods() -> [PodView; 4] {
    let (none, gpu) = (json!({}), json!({"amd.com/gpu": "1"}));
    [
        pod("asks", &none, &gpu),
        pod("does-not", &none, &none),
        pod("own", &json!({LABEL: "own"}), &none),
        pod("out", &json!({"berth.dev/inject": "disabled"}), &gpu),
    ]
}

fn named(class: &str) -> NamespaceClasses {
    [("ai".to_owned(), class.to_owned())].into()
}

#[tokio::test]
async fn a_pod_is_of_the_class_of_its_namespace_whichever_is_seen_first() {
    for namespace_comes_at in 0..=4 {
        let (mut counting, _synced) = counting();
        for (i, pod) in pods().into_iter().enumerate() {
            if i == namespace_comes_at {
                counting.classify(named("a")).await;
            }
            counting.pod(Event::Apply(pod));
        }
        if namespace_comes_at == 4 {
            counting.classify(named("a")).await;
        }
        let running = |counting: &Counting, class: &str| {
            let ledger = counting.counted.ledger();
            ledger.fleet().class_pods(class).running
        };
        assert_eq!(running(&counting, "a"), 2, "{namespace_comes_at}");
        // and no Pod says anything any more
        counting.classify(named("b")).await;
        let all = ["a", "b", "own"].map(|class| running(&counting, class));
        assert_eq!(all, [0, 2, 1], "{namespace_comes_at}");
        counting.classify(NamespaceClasses::new()).await;
        let all = ["a", "b", "own"].map(|class| running(&counting, class));
        assert_eq!(all, [0, 0, 1], "{namespace_comes_at}");
        for pod in pods() {
            counting.pod(Event::Delete(pod));
        }
        assert_eq!(counting.counted.ledger().fleet().pod_count(), 0);
    }
}

fn node(name: &str) -> NodeView {
    let node = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}});
    serde_json::from_value(node).expect("a Node")
}

/// A table of one pool.
fn table(hostname: &str) -> Arc<AllocationTable> {
    let pool = json!({
        "apiVersion": "berth.dev/v1alpha1", "kind": "GPUPool", "metadata": {"name": "p"},
        "spec": {"hostnames": [hostname], "resourceName": "amd.com/gpu"},
    });
    let pool: DynamicObject = serde_json::from_value(pool).expect("an object");
    compile_each([&pool], [], &Settings::default()).table
}

#[tokio::test]
async fn reviews_are_answered_while_the_cluster_is_counted_anew() {
    let (counting, _synced) = counting();
    let counted = Arc::clone(&counting.counted);
    let (say, answered) = channel();
    let count = move |fleet: &Fleet| {
        let (review, done) = channel();
        thread::spawn(move || review.send(counted.node("n")));
        // who waits for the lock is never answered
        let answer = done.recv_timeout(Duration::from_secs(20));
        say.send(answer.is_ok()).expect("the test waits");
        fleet.clone()
    };
    counting.replace(count).await;
    assert_eq!(answered.recv(), Ok(true));
}

#[tokio::test]
async fn the_cluster_is_counted_anew_for_another_table_and_not_for_the_same() {
    let (counting, _synced) = counting();
    let in_force = |table: &Arc<AllocationTable>| {
        let ledger = counting.counted.ledger();
        std::ptr::eq(ledger.fleet().table(), &raw const **table)
    };
    let (first, same, other) = (table("a"), table("a"), table("b"));
    counting.count_by(Arc::clone(&first)).await;
    assert!(in_force(&first));
    counting.count_by(Arc::clone(&same)).await;
    assert!(in_force(&first) && !in_force(&same));
    counting.count_by(Arc::clone(&other)).await;
    assert!(in_force(&other));
}

/// Else the next change would copy all of the cluster, and reviews would wait for it.
#[tokio::test]
async fn who_looks_at_a_copy_keeps_it_when_the_next_change_comes() {
    let (counting, _synced) = counting();
    let counted = Arc::clone(&counting.counted);
    counting.node(Event::Apply(node("a")));
    let copy = counted.ledger().fleet().clone();
    assert!(counted.ledger().fleet().is_shared());
    let (news, coming) = mpsc::channel(1);
    let change = news.send(News::Node(Ok(Event::Apply(node("b"))))).await;
    change.expect("room");
    drop(news);
    counting.run(coming).await;
    let ledger = counted.ledger();
    assert!(!ledger.fleet().is_shared(), "the copy is another's");
    assert_eq!((copy.node_count(), ledger.fleet().node_count()), (1, 2));
}
