use serde_json::{Value, json};

use super::*;

const LABEL: &str = "berth.dev/workload-class";

/// A task that counts, and the way to it.
fn counting() -> (Counting, watch::Receiver<bool>) {
    let (empty, _) = compile(&[], &Settings::default());
    let counted = Arc::new(Counted {
        ledger: Mutex::new(Ledger::new(Arc::new(empty))),
        began: Instant::now(),
        metrics: Arc::default(),
    });
    let (synced, say) = watch::channel(false);
    let counting = Counting {
        counted,
        shown: Shown {
            drafts: None,
            board: None,
        },
        class_label: LABEL.to_owned(),
        namespaces: BTreeMap::new(),
        device_classes: BTreeMap::new(),
        synced,
    };
    (counting, say)
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

#[test]
fn a_pod_is_of_the_class_of_its_namespace_whichever_is_seen_first() {
    for namespace_comes_at in 0..=4 {
        let (mut counting, _synced) = counting();
        for (i, pod) in pods().into_iter().enumerate() {
            if i == namespace_comes_at {
                counting.classify(named("a"));
            }
            counting.pod(Event::Apply(pod));
        }
        if namespace_comes_at == 4 {
            counting.classify(named("a"));
        }
        let running = |counting: &Counting, class: &str| {
            let ledger = counting.counted.ledger();
            ledger.fleet().class_pods(class).running
        };
        assert_eq!(running(&counting, "a"), 2, "{namespace_comes_at}");
        // and no Pod says anything any more
        counting.classify(named("b"));
        let all = ["a", "b", "own"].map(|class| running(&counting, class));
        assert_eq!(all, [0, 2, 1], "{namespace_comes_at}");
        counting.classify(NamespaceClasses::new());
        let all = ["a", "b", "own"].map(|class| running(&counting, class));
        assert_eq!(all, [0, 0, 1], "{namespace_comes_at}");
        for pod in pods() {
            counting.pod(Event::Delete(pod));
        }
        assert_eq!(counting.counted.ledger().fleet().pod_count(), 0);
    }
}
