//! `berth bench --cluster` on a real control plane: what it prints, that nothing is stored, and why it goes no further.

use serde_json::{Value, json};

use crate::{
    eventually,
    explain::berth,
    stage::{Stage, stage},
};

/// The creates of Pods in a namespace, as the API server has them in its audit log.
fn creates(stage: &Stage, namespace: &str) -> Vec<Value> {
    let mut events = stage.control_plane.audit().expect("a log");
    events.retain(|it| {
        let object = &it["objectRef"];
        it["verb"] == "create" && object["resource"] == "pods" && object["namespace"] == namespace
    });
    events
}

#[tokio::test]
async fn creates_are_measured_in_dry_runs_and_nothing_is_stored() {
    let Some(stage) = stage().await else { return };
    let _berth = stage.berth_called(&[]).await;
    stage.run(&["create", "namespace", "measured"]).await;
    let admin = stage.control_plane.kubeconfig().expect("a file");
    let bench = async |flags: &[&str]| {
        let fixed = ["bench", "--cluster", "-n", "measured", "--rounds=5"];
        berth(&admin, &[&fixed, flags].concat()).await
    };
    let account = eventually(async || {
        let (code, ..) = bench(&[]).await;
        (code == Some(0)).then_some(())
    });
    assert!(account.await.is_some(), "{:?}", bench(&[]).await);

    let before = creates(&stage, "measured").len();
    let (code, said, announced) = bench(&["--class", "whisper"]).await;
    assert_eq!(code, Some(0), "{said}{announced}");
    for words in [
        "in namespace measured at most 12 times, with class whisper and without a class",
        "one at a time, at most 50 a second, for 5 s. Nothing is stored.",
    ] {
        assert!(announced.contains(words), "{announced}");
    }
    println!("{announced}{said}");
    let lines: Vec<_> = said.lines().collect();
    let [creates_, without, class, difference] = lines.as_slice() else {
        panic!("{said}");
    };
    assert_eq!(
        *creates_,
        "creates   5 rounds of two dry runs in namespace measured"
    );
    let is_row = |line: &str, label: &str| {
        line.starts_with(label)
            && [" p50 ", " p90 ", " p99 "]
                .iter()
                .all(|it| line.contains(it))
    };
    assert!(is_row(without, "without"), "{without}");
    assert!(
        without.ends_with("a Pod without a class, which is not sent to berth"),
        "{without}"
    );
    assert!(is_row(class, "class"), "{class}");
    assert!(
        class.ends_with("the same Pod with class whisper"),
        "{class}"
    );
    assert!(
        difference.ends_with("what berth adds to a create"),
        "{difference}"
    );

    let all = creates(&stage, "measured");
    assert_eq!(all.len() - before, 12);
    for event in &all {
        let uri = event["requestURI"].as_str().expect("a URI");
        assert!(uri.contains("dryRun=All"), "{event:#}");
    }
    let pods = stage
        .run(&["get", "pods", "-n", "measured", "-o", "name"])
        .await;
    assert_eq!(pods, "");

    // the first class of the table, for a program
    let (_, said, _) = bench(&["-o", "json"]).await;
    let figures: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(figures["class"], "bge-embeddings");
    assert_eq!(
        (&figures["namespace"], &figures["rounds"]),
        (&json!("measured"), &json!(5))
    );
    assert_eq!(figures["without_reaches_berth"], false);
    for row in ["without", "with"] {
        let times = ["p50_ns", "p90_ns", "p99_ns"].map(|it| figures[row][it].as_u64());
        assert!(times[0] > Some(0) && times.is_sorted(), "{figures:#}");
    }
    assert!(figures["difference_p50_ns"].is_i64(), "{figures:#}");
}

#[tokio::test]
async fn what_stops_it_is_said_with_what_to_do() {
    let Some(stage) = stage().await else { return };
    let _berth = stage.berth_called(&[]).await;
    let admin = stage.control_plane.kubeconfig().expect("a file");
    let nobody = stage.control_plane.kubeconfig_without_rights("nobody");
    let nobody = nobody.expect("a file");
    for (kubeconfig, flags, says) in [
        (
            &nobody,
            &["--class", "whisper"][..],
            &[
                "you may not create Pods in namespace default",
                "User \"nobody\" cannot create resource \"pods\"",
                "ask for the right to create pods there",
            ][..],
        ),
        (&nobody, &[], &["is forbidden", "name a class with --class"]),
        (
            &admin,
            &["-n", "defalt"],
            &["there is no namespace defalt; did you mean default?"],
        ),
        (
            &admin,
            &["--class", "whispr"],
            &["berth denied the Pod of class whispr", "whisper"],
        ),
    ] {
        let all = [&["bench", "--cluster", "--seconds", "1"], flags].concat();
        let (code, said, error) = berth(kubeconfig, &all).await;
        assert_eq!((code, &*said), (Some(3), ""), "{flags:?}: {error}");
        for words in says {
            assert!(error.contains(words), "{flags:?}: {words}: {error}");
        }
    }

    // a webhook for every Pod, in a namespace without a class, and in one that names one
    let every = r#"[{"op": "remove", "path": "/webhooks/0/objectSelector"}]"#;
    let hook = "mutatingwebhookconfiguration/berth";
    stage
        .run(&["patch", hook, "--type=json", "-p", every])
        .await;
    let says = async |words: &str| {
        let said = eventually(async || {
            let (_, said, error) = berth(&admin, &["bench", "--cluster", "--rounds", "1"]).await;
            (said + &error).contains(words).then_some(())
        });
        assert!(said.await.is_some(), "{words}");
    };
    says("which pods.berth.dev sends to berth, too").await;
    let label = "berth.dev/workload-class=vllm";
    stage.run(&["label", "namespace", "default", label]).await;
    says("which berth places, too, as the namespace names a class").await;
    stage.run(&["delete", hook]).await;
    says("came back as it was sent: the API server does not ask berth").await;
}
