//! What a namespace names, and what is counted by it.

use serde_json::json;

use crate::{eventually, stage::stage};

/// The namespace's label may come at any time, and the Pod says nothing any more.
#[tokio::test]
async fn a_pod_without_a_class_is_counted_by_what_its_namespace_names() {
    let Some(stage) = stage().await else { return };
    let plain = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "plain"},
        "spec": {
            "automountServiceAccountToken": false, "nodeName": "elminster.home.arpa",
            "containers": [{"name": "x", "image": "x"}],
        },
    });
    stage.apply(&plain.to_string()).await;
    let label = |value: &str| format!("berth.dev/workload-class{value}");
    let running = async |expected: [u64; 2]| {
        let reached = eventually(async || {
            let mut running = [0; 2];
            for (class, running) in ["whisper", "xtts"].into_iter().zip(&mut running) {
                let object = stage.object(&format!("workloadclass/{class}")).await;
                *running = object["status"]["pods"]["running"].as_u64()?;
            }
            (running == expected).then_some(())
        });
        assert!(reached.await.is_some(), "{expected:?} are not running");
    };
    stage
        .run(&["label", "ns", "default", &label("=whisper")])
        .await;
    let _berth = stage.berth(&[]);
    running([1, 0]).await;
    for (value, expected) in [("=xtts", [0, 1]), ("-", [0, 0]), ("=whisper", [1, 0])] {
        let label = ["label", "ns", "default", "--overwrite", &label(value)];
        stage.run(&label).await;
        running(expected).await;
    }
}
