//! berth installed as people install it, by helm and by kubectl. The API server has a quota like that of GKE.
//!
//! kwok's Pods run nothing, so a process of this machine takes a replica's place: the installed Service leads to it,
//! and it serves with the installed Secret and table.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use berth_cluster::{ControlPlane, Error, Options, PATIENCE, Serving, homelab, until};
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    core::v1::{ConfigMap, Namespace, Pod, Secret, Service},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    runtime::watcher,
};
use serde_json::json;
use tokio::{
    sync::{Mutex, MutexGuard, OnceCell},
    time::Instant,
};

use crate::{
    common::{
        overlays, path,
        process::{arg, command},
    },
    objects::{limits, pod},
};

/// As GKE has it: who has no quota for it gets no critical Pod.
const CRITICAL_NEEDS_QUOTA: &str = r#"{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": [
  {"name": "ResourceQuota", "configuration": {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "ResourceQuotaConfiguration",
    "limitedResources": [{"resource": "pods", "matchScopes": [
      {"scopeName": "PriorityClass", "operator": "In", "values": ["system-cluster-critical"]}]}]}}]}"#;
/// What an installation consists of, by the label that all of it has.
const INSTALLED: &str = "all,configmap,secret,serviceaccount,poddisruptionbudget,networkpolicy,resourcequota,\
                         mutatingwebhookconfiguration,role,rolebinding,clusterrole,clusterrolebinding";

/// A control plane with nodes and without berth.
static BARE: OnceCell<Option<Mutex<ControlPlane>>> = OnceCell::const_new();

/// The cluster for one test at a time: an installation is for the whole of it.
struct Bare {
    control_plane: MutexGuard<'static, ControlPlane>,
    client: Client,
}

async fn bare() -> Option<Bare> {
    let started = BARE.get_or_init(start).await.as_ref()?;
    let control_plane = started.lock().await;
    let client = control_plane.client().await.expect("a client");
    let bare = Bare {
        control_plane,
        client,
    };
    // what a test left that failed
    for left in ["mutatingwebhookconfiguration/berth", "namespace/berth"] {
        said(&bare.kubectl(&["delete", left, "--ignore-not-found"]).await);
    }
    Some(bare)
}

async fn start() -> Option<Mutex<ControlPlane>> {
    let config = tempfile::NamedTempFile::new().expect("a file");
    fs::write(&config, CRITICAL_NEEDS_QUOTA).expect("written");
    let options = Options {
        api_server: vec![format!(
            "--admission-control-config-file={}",
            arg(config.path())
        )],
        ..Options::default()
    };
    let control_plane = match ControlPlane::start(&options).await {
        Err(Error::Missing(_)) => return None,
        started => started.unwrap_or_else(|error| panic!("{error}")),
    };
    let client = control_plane.client().await.expect("a client");
    homelab::register(&client).await.expect("nodes");
    Some(Mutex::new(control_plane))
}

impl Bare {
    /// Runs helm: what it says.
    async fn helm(&self, arguments: &[&str]) -> Output {
        let mut helm = Command::new(self.control_plane.parts().path("helm").expect("helm"));
        helm.env(
            "KUBECONFIG",
            self.control_plane.kubeconfig().expect("a file"),
        );
        helm.env("HELM_CACHE_HOME", self.control_plane.path("helm"));
        output(helm, arguments).await
    }

    /// Runs kubectl: what it says.
    async fn kubectl(&self, arguments: &[&str]) -> Output {
        output(self.control_plane.kubectl().expect("kubectl"), arguments).await
    }

    fn all<K: kube::Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope>>(
        &self,
    ) -> Api<K> {
        Api::all(self.client.clone())
    }

    fn within<K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>>(
        &self,
        namespace: &str,
    ) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn hook(&self) -> MutatingWebhookConfiguration {
        self.all().get("berth").await.expect("a configuration")
    }

    async fn secret(&self) -> Secret {
        self.within("berth")
            .get("berth-tls")
            .await
            .expect("a Secret")
    }

    /// A process serves what is installed, and the Service leads to it.
    async fn serve(&self) -> Serving {
        let folder = self.control_plane.path("installed");
        fs::create_dir_all(&folder).expect("a folder");
        for (name, content) in self.secret().await.data.expect("data") {
            fs::write(folder.join(name), content.0).expect("written");
        }
        let table: ConfigMap = self
            .within("berth")
            .get("berth-table")
            .await
            .expect("a table");
        let table = table.data.expect("data").remove("table.yaml");
        fs::write(folder.join("table.yaml"), table.expect("a table")).expect("written");
        let flag = |name: &str, file: &str| format!("--{name}={}", folder.join(file).display());
        let flags = [
            flag("table", "table.yaml"),
            flag("tls-cert", "tls.crt"),
            flag("tls-key", "tls.key"),
        ];
        let berth = Path::new(env!("CARGO_BIN_EXE_berth"));
        let serving = Serving::start(&self.control_plane, berth, &flags).await;
        let serving = serving.unwrap_or_else(|error| panic!("{error}"));
        self.lead_to(serving.webhook.port()).await;
        serving
    }

    async fn lead_to(&self, port: u16) {
        let ours = PatchParams::default();
        let to = json!({"spec": {"type": "ExternalName", "externalName": "localhost", "clusterIP": null}});
        let services: Api<Service> = self.within("berth");
        let led = services.patch("berth", &ours, &Patch::Merge(to)).await;
        led.expect("the Service leads there");
        let at = json!([{"op": "replace", "path": "/webhooks/0/clientConfig/service/port", "value": port}]);
        let at: json_patch::Patch = serde_json::from_value(at).expect("a patch");
        let hooks: Api<MutatingWebhookConfiguration> = self.all();
        let patched = hooks.patch("berth", &ours, &Patch::Json::<()>(at)).await;
        patched.expect("the port is another");
    }

    /// What a create of a Pod would store.
    async fn dry_run(&self, namespace: &str, pod: &Pod) -> Result<Pod, kube::Error> {
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        self.within(namespace).create(&dry_run, pod).await
    }

    /// A Pod after admission, as soon as the API server has seen the configuration as it is.
    async fn placed(&self, class: &str) -> Pod {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.dry_run("default", &pod(class)).await {
                Ok(pod) if pod.annotations().contains_key("berth.dev/pool") => return pod,
                last => assert!(Instant::now() < deadline, "{last:?}"),
            }
        }
    }

    /// Nothing is left of an installation.
    async fn is_gone(&self) {
        let label = "app.kubernetes.io/instance=berth";
        let wait = [
            "wait",
            "--for=delete",
            "pod",
            "-A",
            "-l",
            label,
            "--timeout=60s",
        ];
        said(&self.kubectl(&wait).await);
        let left = ["get", INSTALLED, "-A", "-l", label, "-o", "name"];
        assert_eq!(said(&self.kubectl(&left).await), "");
    }
}

async fn output(mut command: Command, arguments: &[&str]) -> Output {
    command.args(arguments);
    let ran = tokio::task::spawn_blocking(move || command.output()).await;
    ran.expect("no panic").expect("it starts")
}

/// What a command said that went well.
fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    assert!(
        !text(&output.stderr).contains("would violate PodSecurity"),
        "{}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn chart() -> PathBuf {
    path("deploy/chart/berth")
}

/// `helm upgrade --install`, with the homelab's table and a certificate of Helm's.
async fn upgrade(bare: &Bare, values: &str) -> String {
    let (chart, table) = (chart(), path("examples/homelab.yaml"));
    let table = format!("table={}", arg(&table));
    let arguments = [
        "upgrade",
        "--install",
        "berth",
        arg(&chart),
        "--namespace=berth",
        "--wait",
        "--timeout=60s",
    ];
    let set = [
        "--set",
        "tls.mode=helm",
        "--set-file",
        &table,
        "--set",
        values,
    ];
    said(&bare.helm(&[&arguments[..], &set].concat()).await)
}

async fn restricted_namespace(bare: &Bare) {
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"});
    let namespace = json!({"metadata": {"name": "berth", "labels": labels}});
    let namespace: Namespace = serde_json::from_value(namespace).expect("a namespace");
    let created = bare.all().create(&PostParams::default(), &namespace).await;
    created.expect("the namespace");
}

#[tokio::test]
async fn the_chart_is_installed_tested_upgraded_and_taken_away() {
    let Some(bare) = bare().await else { return };
    restricted_namespace(&bare).await;
    let notes = upgrade(&bare, "replicas=2").await;
    assert!(notes.contains("helm test berth -n berth"), "{notes}");
    let (made, hook) = (bare.secret().await, bare.hook().await);

    // nothing serves yet: the Pod of the test is refused, and the message says by whom
    let test = ["test", "berth", "--namespace=berth", "--timeout=60s"];
    let failed = bare.helm(&test).await;
    let message = String::from_utf8_lossy(&failed.stderr);
    assert!(
        !failed.status.success() && message.contains("pods.berth.dev"),
        "{message}"
    );
    bystanders_do_not_wait(&bare).await;

    upgrade(&bare, "replicas=3").await;
    assert!(
        bare.secret().await.data == made.data,
        "the certificate is kept"
    );
    let kept = |hook: MutatingWebhookConfiguration| {
        hook.webhooks
            .expect("one")
            .remove(0)
            .client_config
            .ca_bundle
    };
    assert!(kept(bare.hook().await) == kept(hook), "and so is its CA");

    bare.serve().await;
    let shown = bare.placed("vllm").await;
    assert_eq!(limits(&shown)["amd.com/gpu"], "1");
    let (tested, ()) = tokio::join!(bare.helm(&test), play_kubelet(&bare));
    assert!(said(&tested).contains("Succeeded"), "{tested:?}");

    let uninstalled = bare.helm(&["uninstall", "berth", "--namespace=berth", "--wait"]);
    let creates = creates_while(&bare, uninstalled).await;
    assert!(creates.contains(&true), "some were placed before the end");
    bare.is_gone().await;
}

/// Runs the container of the chart's test, and reports how it ends, as a kubelet does.
async fn play_kubelet(bare: &Bare) {
    let pods: Api<Pod> = bare.within("default");
    let test = watcher::Config::default().fields("metadata.name=berth-test");
    let running = until(pods.clone(), test, |pods| {
        let pod = pods.get("berth-test")?;
        let phase = pod.status.as_ref()?.phase.as_deref();
        (phase == Some("Running")).then(|| pod.clone())
    });
    let running = running.await.expect("the test's Pod runs");
    assert_eq!(limits(&running)["amd.com/gpu"], "0");
    let pool = &running.annotations()["berth.dev/pool"];
    let spec = running.spec.as_ref().expect("a spec");
    assert_eq!(spec.node_name.as_deref(), Some("khelben.home.arpa"));
    let args = spec.containers[0].args.iter().flatten();
    let args = args.map(|it| it.replace("$(POOL)", pool));
    let ended = command().args(args).output().expect("berth starts");
    let phase = if ended.status.success() {
        "Succeeded"
    } else {
        "Failed"
    };
    let status = Patch::Merge(json!({"status": {"phase": phase}}));
    let ours = PatchParams::default();
    let patched = pods.patch_status("berth-test", &ours, &status).await;
    patched.expect("a status");
}

/// Pods without a class, and those of the namespaces that are left out, are created while no replica answers.
async fn bystanders_do_not_wait(bare: &Bare) {
    let mut plain = pod("vllm");
    plain.metadata.labels = None;
    bare.dry_run("default", &plain).await.expect("no class");
    bare.dry_run("kube-system", &pod("vllm"))
        .await
        .expect("left out");
    let refused = bare.dry_run("default", &pod("vllm")).await;
    let message = refused.expect_err("no one answers").to_string();
    assert!(
        message.contains("failed calling webhook \"pods.berth.dev\""),
        "{message}"
    );
}

/// Creates Pods of a class until something has ended: whether each was placed. None may be refused.
async fn creates_while(bare: &Bare, something: impl Future<Output = Output>) -> BTreeSet<bool> {
    let (mut placed, whisper) = (BTreeSet::new(), pod("whisper"));
    let mut something = Box::pin(something);
    loop {
        tokio::select! {
            biased;
            created = bare.dry_run("default", &whisper) => {
                let created = created.unwrap_or_else(|error| panic!("{error}"));
                placed.insert(created.annotations().contains_key("berth.dev/pool"));
            }
            ended = &mut something => {
                said(&ended);
                return placed;
            }
        }
    }
}

#[tokio::test]
async fn the_overlay_for_development_serves_and_is_taken_away() {
    let Some(bare) = bare().await else { return };
    let copy = overlays::copy();
    let overlay = copy.path().join("deploy/kustomize/overlays/dev");
    said(&bare.kubectl(&["apply", "-k", arg(&overlay)]).await);
    rolled_out(&bare).await;
    let refused = bare.dry_run("berth", &pod("vllm")).await;
    let message = refused.expect_err("a Pod with every right").to_string();
    assert!(
        message.contains("violates PodSecurity \"restricted"),
        "{message}"
    );

    bare.serve().await;
    assert_eq!(limits(&bare.placed("whisper").await)["nvidia.com/gpu"], "1");

    // in the order that deploy/README.md gives
    let first = ["delete", "mutatingwebhookconfiguration", "berth"];
    said(&bare.kubectl(&first).await);
    let rest = [
        "delete",
        "-k",
        arg(&overlay),
        "--ignore-not-found",
        "--timeout=60s",
    ];
    let creates = creates_while(&bare, bare.kubectl(&rest)).await;
    assert_eq!(creates, BTreeSet::from([false]), "and none is refused");
    bare.is_gone().await;
}

#[tokio::test]
async fn the_overlay_for_production_runs_each_replica_on_a_node_of_its_own() {
    let Some(bare) = bare().await else { return };
    let Ok(definitions) = bare.control_plane.parts().path("cert-manager-crds") else {
        return;
    };
    define(&bare, arg(definitions)).await;
    let overlay = path("deploy/kustomize/overlays/ha");
    said(&bare.kubectl(&["apply", "-k", arg(&overlay)]).await);
    rolled_out(&bare).await;
    let pods = bare
        .within::<Pod>("berth")
        .list(&ListParams::default())
        .await;
    let pods = pods.expect("Pods").items.into_iter();
    let nodes: BTreeSet<_> = pods.filter_map(|pod| pod.spec?.node_name).collect();
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    said(
        &bare
            .kubectl(&["delete", "-k", arg(&overlay), "--timeout=60s"])
            .await,
    );
    bare.is_gone().await;
}

/// The definitions that the overlay needs: cert-manager's own, and of Prometheus' operator no more than the names.
async fn define(bare: &Bare, cert_manager: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    for (kind, plural) in [
        ("ServiceMonitor", "servicemonitors"),
        ("PrometheusRule", "prometheusrules"),
    ] {
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.monitoring.coreos.com")},
            "spec": {
                "group": "monitoring.coreos.com",
                "names": {"kind": kind, "plural": plural},
                "scope": "Namespaced",
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
            },
        });
        fs::write(
            folder.path().join(format!("{plural}.json")),
            definition.to_string(),
        )
        .expect("written");
    }
    let arguments = [
        "apply",
        "--server-side",
        "-f",
        cert_manager,
        "-f",
        arg(folder.path()),
    ];
    said(&bare.kubectl(&arguments).await);
    let wait = [
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=60s",
    ];
    said(&bare.kubectl(&wait).await);
}

/// The Deployment's Pods were admitted, by the Pod Security Standard and by the quota, and are ready.
async fn rolled_out(bare: &Bare) {
    let status = [
        "rollout",
        "status",
        "deployment/berth",
        "--namespace=berth",
        "--timeout=60s",
    ];
    said(&bare.kubectl(&status).await);
}
