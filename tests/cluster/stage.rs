//! What the tests of `--table-source cluster` stand on that need the cluster's objects: the homelab's nodes and table, and a
//! user with exactly berth's rights.

use std::{
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use berth_cluster::{ControlPlane, homelab};
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::{task::spawn_blocking, time::Instant};

use crate::{
    common::{
        client::ready,
        path,
        process::{Berth, arg},
    },
    eventually,
    replica::{control_plane, define},
};

/// What berth may do. The Lease is named: nobody who has this may write another.
pub const RIGHTS: &str = r#"{"apiVersion": "v1", "kind": "List", "items": [
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "berth"}, "rules": [
  {"apiGroups": ["berth.dev"], "resources": ["gpupools", "workloadclasses"], "verbs": ["list", "watch"]},
  {"apiGroups": ["berth.dev"], "resources": ["gpupools/status", "workloadclasses/status"], "verbs": ["patch"]},
  {"apiGroups": [""], "resources": ["namespaces", "nodes", "pods"], "verbs": ["list", "watch"]},
  {"apiGroups": ["resource.k8s.io"], "resources": ["deviceclasses"], "verbs": ["list", "watch"]},
  {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]}]},
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "berth"},
  "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "berth"},
  "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "berth"}]},
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "berth", "namespace": "default"}, "rules": [
  {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["berth"], "verbs": ["get", "list", "watch", "update"]}]},
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "berth", "namespace": "default"},
  "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "berth"},
  "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "berth"}]},
{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "berth", "namespace": "default"}}]}"#;
/// A control plane with the homelab's nodes and table, and berth's rights.
pub struct Stage {
    pub control_plane: ControlPlane,
    kubeconfig: PathBuf,
}

/// None where this machine has no control plane.
pub async fn stage() -> Option<Stage> {
    let control_plane = control_plane().await?;
    let client = control_plane.client().await.expect("a client");
    homelab::register(&client).await.expect("nodes");
    let kubeconfig = control_plane.kubeconfig_without_rights("berth");
    let stage = Stage {
        kubeconfig: kubeconfig.expect("a file"),
        control_plane,
    };
    define(&stage.control_plane).await;
    stage.apply(RIGHTS).await;
    let table = path("examples/homelab.yaml");
    stage.run(&["apply", "-f", arg(&table)]).await;
    let accounts = eventually(async || {
        let there = stage.kubectl(&["get", "serviceaccount/default"]).await;
        there.status.success().then_some(())
    });
    assert!(accounts.await.is_some(), "Pods cannot be created");
    Some(stage)
}

impl Stage {
    pub async fn kubectl(&self, arguments: &[&str]) -> Output {
        let mut kubectl = self.control_plane.kubectl().expect("kubectl");
        kubectl.args(arguments);
        let ran = spawn_blocking(move || kubectl.output()).await;
        ran.expect("no panic").expect("kubectl runs")
    }

    /// Runs kubectl, which must be content: what it said.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let output = self.kubectl(arguments).await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}{errors}");
        said
    }

    pub async fn apply(&self, manifest: &str) {
        self.apply_with(manifest, &[]).await;
    }

    /// As a dry run on the server.
    pub async fn dry_run(&self, manifest: &str) {
        self.apply_with(manifest, &["--dry-run=server"]).await;
    }

    async fn apply_with(&self, manifest: &str, flags: &[&str]) {
        let file = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
        std::fs::write(file.path(), manifest).expect("written");
        self.run(&[&["apply", "-f", arg(file.path())], flags].concat())
            .await;
    }

    pub fn berth(&self, flags: &[&str]) -> Berth {
        Self::berth_with(&self.kubeconfig, flags)
    }

    pub fn berth_with(kubeconfig: &Path, flags: &[&str]) -> Berth {
        let mut all = vec![
            "--table-source=cluster",
            "--kubeconfig",
            arg(kubeconfig),
            "--tls-self-signed",
            "--drain-period=0s",
        ];
        all.extend(flags);
        Berth::serve(&all)
    }

    /// Starts berth, and returns when the API server calls it for Pods with the label of a class.
    pub async fn berth_called(&self, flags: &[&str]) -> Berth {
        let ca = self.control_plane.path("berth-ca.pem");
        let ca_out = format!("--ca-out={}", ca.display());
        let berth = self.berth(&[&[ca_out.as_str()], flags].concat());
        // else it has a warning of the first reviews in its log
        let is_ready = eventually(async || (ready(berth.admin).await.0 == 200).then_some(()));
        assert!(is_ready.await.is_some(), "{:?}", ready(berth.admin).await);
        let ca = ByteString(std::fs::read(ca).expect("a CA"));
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "berth"},
            "webhooks": [{
                "name": "pods.berth.dev", "admissionReviewVersions": ["v1"], "sideEffects": "NoneOnDryRun",
                "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
                "objectSelector": {"matchExpressions": [{"key": "berth.dev/workload-class", "operator": "Exists"}]},
                "clientConfig": {"url": format!("https://{}/mutate", berth.webhook), "caBundle": ca},
            }],
        });
        self.apply(&configuration.to_string()).await;
        // the API server says to nobody when it has noticed
        let called = eventually(async || {
            let dry = [
                "run",
                "probe",
                "--image=x",
                "--labels=berth.dev/workload-class=none",
                "--dry-run=server",
            ];
            let said = self.kubectl(&dry).await;
            String::from_utf8_lossy(&said.stderr)
                .contains("none")
                .then_some(())
        });
        assert!(called.await.is_some(), "berth is not called");
        berth
    }

    pub async fn object(&self, object: &str) -> Value {
        let said = self
            .run(&["get", object, "-o", "json", "--show-managed-fields"])
            .await;
        serde_json::from_str(&said).expect("JSON")
    }

    /// The status and the reason of a condition, with its message.
    pub async fn condition(&self, object: &str, type_: &str) -> Option<[String; 3]> {
        let object = self.object(object).await;
        let conditions = object["status"]["conditions"].as_array()?;
        let condition = conditions.iter().find(|it| it["type"] == type_)?;
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        Some([text("status"), text("reason"), text("message")])
    }

    /// Waits until a condition has a status and a reason: how long that took, and the message.
    pub async fn turns(&self, object: &str, type_: &str, to: [&str; 2]) -> (Duration, String) {
        let began = Instant::now();
        let turned = eventually(async || {
            let [status, reason, message] = self.condition(object, type_).await?;
            ([&*status, &*reason] == to).then_some(message)
        });
        let Some(message) = turned.await else {
            panic!("{object}: {:?}", self.object(object).await["status"]);
        };
        (began.elapsed(), message)
    }

    pub async fn resource_version(&self, object: &str) -> String {
        let object = self.object(object).await;
        object["metadata"]["resourceVersion"].to_string()
    }

    pub async fn holder(&self) -> Option<String> {
        let lease = self.object("lease/berth").await;
        lease["spec"]["holderIdentity"].as_str().map(str::to_owned)
    }
}
