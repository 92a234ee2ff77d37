//! `--table-source cluster`: the table, the namespaces and the rights, as a real API server gives and takes them.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    eventually,
    replica::{Replica, control_plane, gets, is_told},
};

/// A change is in force so soon.
const SOON: Duration = Duration::from_secs(1);

pub fn pool(name: &str, hostname: &str) -> Value {
    let spec = json!({"hostnames": [hostname], "resourceName": "amd.com/gpu"});
    json!({"apiVersion": "berth.dev/v1alpha1", "kind": "GPUPool", "metadata": {"name": name}, "spec": spec})
}

pub fn class(name: &str, pool: &str, more: Value) -> Value {
    let mut spec = json!({"pools": [{"name": pool}]});
    spec.as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());
    json!({"apiVersion": "berth.dev/v1alpha1", "kind": "WorkloadClass", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn the_table_follows_the_cluster_and_a_bad_object_is_left_out_alone() {
    let Some(control_plane) = control_plane().await else {
        return;
    };
    let kubeconfig = control_plane.kubeconfig().expect("a file");
    let replica = Replica::start(&Arc::new(control_plane), kubeconfig);
    // alive, and says what is missing
    replica.says("GPUPool is not defined in this cluster").await;
    assert!(replica.get("/livez").await.contains("200 OK"));
    let refused = replica.answer(Some("vllm"), "default").await;
    assert!(
        is_told("503 Service Unavailable no table is in force")(&refused),
        "{refused:?}"
    );

    replica.define().await;
    // the API server itself takes up to a second until it serves a new kind
    let took = replica.becomes_ready().await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    // no object is a table
    let refused = replica.answer(Some("vllm"), "default").await;
    assert!(
        is_told("no class is available here")(&refused),
        "{refused:?}"
    );

    replica.apply(&pool("amd", "khelben")).await;
    replica.apply(&class("vllm", "amd", json!({}))).await;
    let took = replica.answers("vllm", "default", gets("amd")).await;
    assert!(took < SOON, "{took:?}");

    replica.apply(&class("bad", "missing", json!({}))).await;
    let took = replica
        .answers("bad", "default", is_told("is not ready"))
        .await;
    assert!(took < SOON, "{took:?}");
    assert_eq!(
        replica.answer(Some("vllm"), "default").await,
        Ok("amd".to_owned())
    );
    replica.apply(&pool("missing", "drizzt")).await;
    let took = replica.answers("bad", "default", gets("missing")).await;
    assert!(took < SOON, "{took:?}");

    let open = json!({"namespaceSelector": {"matchLabels": {"team": "ml"}}});
    replica.apply(&class("ml", "amd", open)).await;
    replica
        .answers("ml", "default", is_told("is not available in namespace"))
        .await;
    replica
        .kubectl(&["label", "namespace", "default", "team=ml"])
        .await;
    let took = replica.answers("ml", "default", gets("amd")).await;
    assert!(took < SOON, "{took:?}");
    replica
        .kubectl(&["label", "namespace", "default", "team-"])
        .await;
    replica
        .answers("ml", "default", is_told("is not available in namespace"))
        .await;
    a_namespace_names_a_class(&replica).await;
    let metrics = replica.get("/metrics").await;
    for line in [
        r#"berth_objects{kind="WorkloadClass",accepted="true"} 3"#,
        r#"berth_watch_errors_total{kind="GPUPool",code="404"}"#,
        r#"berth_watch_relists_total{kind="Namespace"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

/// For the Pods that name none themselves. A namespace that was not seen yet is an error after which the API server asks
/// again, where it matters.
async fn a_namespace_names_a_class(replica: &Replica) {
    replica.kubectl(&["create", "namespace", "whole"]).await;
    let none = replica.answer(None, "default").await;
    assert_eq!(none, Ok(String::new()), "no class");
    let label = [
        "label",
        "namespace",
        "whole",
        "berth.dev/workload-class=vllm",
    ];
    replica.kubectl(&label).await;
    let began = Instant::now();
    let placed =
        async || (replica.answer(None, "whole").await.as_deref() == Ok("amd")).then_some(());
    assert!(
        eventually(placed).await.is_some(),
        "{:?}",
        replica.answer(None, "whole").await
    );
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    // its own wins
    assert_eq!(
        replica.answer(Some("bad"), "whole").await,
        Ok("missing".to_owned())
    );
    for class in [None, Some("ml"), Some("no-such-class")] {
        let unseen = replica.answer(class, "too-new").await;
        assert!(
            is_told("503 Service Unavailable namespace \"too-new\" is new")(&unseen),
            "{unseen:?}"
        );
    }
    // whoever may use it everywhere does not wait
    assert_eq!(
        replica.answer(Some("vllm"), "too-new").await,
        Ok("amd".to_owned())
    );
}

#[tokio::test]
async fn without_rights_it_lives_and_what_was_seen_stays_when_they_are_lost() {
    let Some(control_plane) = control_plane().await else {
        return;
    };
    let user = "berth";
    let kubeconfig = control_plane.kubeconfig_without_rights(user);
    let replica = Replica::start(&Arc::new(control_plane), kubeconfig.expect("a file"));
    replica.define().await;
    replica.apply(&pool("amd", "khelben")).await;
    replica.apply(&class("vllm", "amd", json!({}))).await;
    replica.says("GPUPool may not be listed and watched").await;

    let bind = [
        "create",
        "clusterrolebinding",
        "berth",
        "--clusterrole=berth",
        "--user=berth",
    ];
    let right = |resource| {
        [
            "create",
            "clusterrole",
            "berth",
            "--verb=list,watch",
            resource,
        ]
    };
    replica
        .kubectl(&right(
            "--resource=gpupools.berth.dev,workloadclasses.berth.dev,namespaces,nodes,pods",
        ))
        .await;
    replica.kubectl(&bind).await;
    let took = replica.becomes_ready().await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    replica.answers("vllm", "default", gets("amd")).await;

    replica
        .kubectl(&["delete", "clusterrolebinding", "berth"])
        .await;
    // a watch that runs is not ended: the loss is noticed with the next one, 50 s later at most
    let refused = |metrics: &str| {
        let mut lines = metrics.lines();
        let line = lines.find(|line| line.contains(r#"kind="GPUPool",code="403""#));
        line.map(str::to_owned)
    };
    let before = refused(&replica.get("/metrics").await);
    assert!(before.is_some());
    let noticed = async || (refused(&replica.get("/metrics").await) != before).then_some(());
    assert!(eventually(noticed).await.is_some(), "{before:?}");
    assert!(replica.ready().await);
    assert_eq!(
        replica.answer(Some("vllm"), "default").await,
        Ok("amd".to_owned())
    );
    replica.apply(&pool("other", "drizzt")).await;
    replica.kubectl(&bind).await;
    replica.apply(&class("late", "other", json!({}))).await;
    replica.answers("late", "default", gets("other")).await;
    // it goes on where it was
    let metrics = replica.get("/metrics").await;
    let once = r#"berth_watch_relists_total{kind="GPUPool"} 1"#;
    assert!(metrics.contains(once), "{metrics}");
}
