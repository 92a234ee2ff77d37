//! One replica with its table in the cluster. Nothing calls it but the test.

use std::{path::PathBuf, sync::Arc, time::Duration};

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
        process::{Berth, arg},
    },
    eventually,
};

/// A replica that reads its table from the cluster. Nothing calls it but the test.
pub struct Replica {
    control_plane: Arc<ControlPlane>,
    berth: Berth,
    client: reqwest::Client,
}

/// None where this machine has no control plane.
pub async fn control_plane() -> Option<ControlPlane> {
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
    /// Starts it with the rights of a kubeconfig.
    pub fn start(control_plane: &Arc<ControlPlane>, kubeconfig: PathBuf) -> Self {
        let ca = kubeconfig.with_extension("ca.pem");
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
            control_plane: Arc::clone(control_plane),
            berth,
            client: https(&ca),
        }
    }

    /// Runs kubectl, which must be content.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&self.control_plane, arguments).await
    }

    /// Applies an object.
    pub async fn apply(&self, object: &Value) {
        apply(&self.control_plane, object).await;
    }

    /// Installs the definitions.
    pub async fn define(&self) {
        define(&self.control_plane).await;
    }

    /// What the admin port says.
    pub async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.berth.admin)
            .await
            .expect("it lives");
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut said = String::new();
        stream.read_to_string(&mut said).await.expect("text");
        said
    }

    /// Whether it is ready.
    pub async fn ready(&self) -> bool {
        self.get("/readyz").await.contains("200 OK")
    }

    /// Waits until it is ready: how long that took.
    pub async fn becomes_ready(&self) -> Duration {
        let began = Instant::now();
        let ready = eventually(async || self.ready().await.then_some(())).await;
        assert!(ready.is_some(), "{}", self.get("/readyz").await);
        began.elapsed()
    }

    /// Waits until it says why it is not.
    pub async fn says(&self, words: &str) {
        let said =
            eventually(async || self.get("/readyz").await.contains(words).then_some(())).await;
        assert!(said.is_some(), "{words}: {}", self.get("/readyz").await);
    }

    /// The answer to a Pod of a class, in a dry run, which takes no GPU: the pool it gets, or the message.
    pub async fn answer(&self, class: Option<&str>, namespace: &str) -> Result<String, String> {
        let mut labels = json!({"app": "x"});
        if let Some(class) = class {
            labels["berth.dev/workload-class"] = json!(class);
        }
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "resource": {"group": "", "version": "v1", "resource": "pods"},
                "operation": "CREATE", "dryRun": true, "namespace": namespace,
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
    pub async fn answers(
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

/// For [`Replica::answers`]: the Pod gets this pool.
pub fn gets(pool: &str) -> impl Fn(&Result<String, String>) -> bool {
    move |answer| answer.as_deref() == Ok(pool)
}

/// For [`Replica::answers`]: the Pod is refused in these words.
pub fn is_told(words: &str) -> impl Fn(&Result<String, String>) -> bool {
    move |answer| {
        answer
            .as_ref()
            .is_err_and(|message| message.contains(words))
    }
}

/// Runs kubectl, which must be content.
pub async fn kubectl(control_plane: &ControlPlane, arguments: &[&str]) -> String {
    let mut kubectl = control_plane.kubectl().expect("kubectl");
    kubectl.args(arguments);
    let ran = tokio::task::spawn_blocking(move || kubectl.output()).await;
    let output = ran.expect("no panic").expect("kubectl runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

/// Applies an object.
pub async fn apply(control_plane: &ControlPlane, object: &Value) {
    let file = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
    std::fs::write(file.path(), object.to_string()).expect("written");
    kubectl(control_plane, &["apply", "-f", arg(file.path())]).await;
}

/// Installs the definitions.
pub async fn define(control_plane: &ControlPlane) {
    let defined = berth_cluster::define(control_plane).await;
    defined.unwrap_or_else(|error| panic!("{error}"));
}
