//! `--table-source cluster`: the table, the namespaces and the rights, as a real API server gives and takes them.

use std::{path::PathBuf, time::Duration};

use berth_cluster::{ControlPlane, Error, Options};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use crate::{
    common::{
        client::{https, post},
        path,
        process::{Berth, arg},
    },
    eventually,
};

/// A change is in force so soon.
const SOON: Duration = Duration::from_secs(1);

/// A replica that reads its table from the cluster. Nothing calls it but the test.
struct Replica {
    control_plane: ControlPlane,
    berth: Berth,
    client: reqwest::Client,
}

/// None where this machine has no control plane.
async fn control_plane() -> Option<ControlPlane> {
    let options = Options {
        kubernetes: std::env::var(crate::KUBERNETES).ok(),
        ..Options::default()
    };
    match ControlPlane::start(&options).await {
        Err(Error::Missing(_)) => None,
        started => Some(started.unwrap_or_else(|error| panic!("{error}"))),
    }
}

impl Replica {
    fn start(control_plane: ControlPlane, kubeconfig: PathBuf) -> Self {
        let ca = control_plane.path("berth-ca.pem");
        let berth = Berth::serve(&[
            "--table-source=cluster",
            "--kubeconfig",
            arg(&kubeconfig),
            "--tls-self-signed",
            "--ca-out",
            arg(&ca),
            "--drain-period=0s",
        ]);
        let ca = std::fs::read_to_string(ca).expect("a CA");
        Self {
            control_plane,
            berth,
            client: https(&ca),
        }
    }

    /// Runs kubectl, which must be content.
    async fn kubectl(&self, arguments: &[&str]) -> String {
        let mut kubectl = self.control_plane.kubectl().expect("kubectl");
        kubectl.args(arguments);
        let ran = tokio::task::spawn_blocking(move || kubectl.output()).await;
        let output = ran.expect("no panic").expect("kubectl runs");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    }

    async fn apply(&self, manifest: &Value) {
        let file = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
        std::fs::write(file.path(), manifest.to_string()).expect("written");
        self.kubectl(&["apply", "-f", arg(file.path())]).await;
    }

    async fn define(&self) {
        let folder = path("deploy/crds");
        self.kubectl(&["apply", "--server-side", "-f", arg(&folder)])
            .await;
    }

    /// What the admin port says.
    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.berth.admin)
            .await
            .expect("it lives");
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut said = String::new();
        stream.read_to_string(&mut said).await.expect("text");
        said
    }

    async fn ready(&self) -> bool {
        self.get("/readyz").await.contains("200 OK")
    }

    /// Waits until it is ready: how long that took.
    async fn becomes_ready(&self) -> Duration {
        let began = Instant::now();
        let ready = eventually(async || self.ready().await.then_some(())).await;
        assert!(ready.is_some(), "{}", self.get("/readyz").await);
        began.elapsed()
    }

    /// Waits until it says why it is not.
    async fn says(&self, words: &str) {
        let said =
            eventually(async || self.get("/readyz").await.contains(words).then_some(())).await;
        assert!(said.is_some(), "{words}: {}", self.get("/readyz").await);
    }

    /// The answer to a Pod of a class: the pool it gets, or the message.
    async fn answer(&self, class: Option<&str>, namespace: &str) -> Result<String, String> {
        let mut labels = json!({"app": "x"});
        if let Some(class) = class {
            labels["berth.dev/workload-class"] = json!(class);
        }
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "resource": {"group": "", "version": "v1", "resource": "pods"},
                "operation": "CREATE", "namespace": namespace,
                "object": {"metadata": {"name": "x", "labels": labels}, "spec": {"containers": [{"name": "x"}]}},
            },
        });
        let answer = post(&self.client, self.berth.webhook, review.to_string())
            .await
            .expect("an answer");
        let status = answer.status();
        let answer: Value = answer.json().await.expect("JSON");
        let response = &answer["response"];
        if status == 200 && response["allowed"] == true {
            let audit = &response["auditAnnotations"]["pool"];
            return Ok(audit.as_str().unwrap_or_default().to_owned());
        }
        let message = if status == 200 {
            &response["status"]["message"]
        } else {
            &answer["message"]
        };
        Err(format!("{status} {}", message.as_str().unwrap_or_default()))
    }

    /// Waits until a Pod of the class gets what is wanted: how long that took.
    async fn answers(
        &self,
        class: &str,
        namespace: &str,
        wanted: impl Fn(&Result<String, String>) -> bool,
    ) -> Duration {
        let began = Instant::now();
        let found =
            eventually(async || wanted(&self.answer(Some(class), namespace).await).then_some(()));
        assert!(
            found.await.is_some(),
            "{:?}",
            self.answer(Some(class), namespace).await
        );
        began.elapsed()
    }
}

fn pool(name: &str, hostname: &str) -> Value {
    let spec = json!({"hostnames": [hostname], "resourceName": "amd.com/gpu"});
    json!({"apiVersion": "berth.dev/v1alpha1", "kind": "GPUPool", "metadata": {"name": name}, "spec": spec})
}

fn class(name: &str, pool: &str, more: Value) -> Value {
    let mut spec = json!({"pools": [{"name": pool}]});
    spec.as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());
    json!({"apiVersion": "berth.dev/v1alpha1", "kind": "WorkloadClass", "metadata": {"name": name}, "spec": spec})
}

fn gets(pool: &str) -> impl Fn(&Result<String, String>) -> bool {
    move |answer| answer.as_deref() == Ok(pool)
}

fn is_told(words: &str) -> impl Fn(&Result<String, String>) -> bool {
    move |answer| {
        answer
            .as_ref()
            .is_err_and(|message| message.contains(words))
    }
}

#[tokio::test]
async fn the_table_follows_the_cluster_and_a_bad_object_is_left_out_alone() {
    let Some(control_plane) = control_plane().await else {
        return;
    };
    let kubeconfig = control_plane.kubeconfig().expect("a file");
    let replica = Replica::start(control_plane, kubeconfig);
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
    let replica = Replica::start(control_plane, kubeconfig.expect("a file"));
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
