//! A control plane with nodes and without berth, for tests that install it themselves.
//!
//! kwok's Pods run nothing, so a process of this machine takes a replica's place: the installed Service leads to it,
//! and it serves with the installed Secret and table.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use berth_cluster::{
    ControlPlane, Error, Options, PATIENCE, Serving, homelab, start_cert_manager, until,
};
use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope,
    api::{
        admissionregistration::v1::MutatingWebhookConfiguration,
        core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount},
    },
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams, PostParams},
    runtime::watcher,
};
use serde_json::json;
use tokio::{
    sync::{Mutex, MutexGuard, OnceCell},
    task::spawn_blocking,
    time::Instant,
};

use crate::{common::process::arg, objects::pod};

/// As GKE has it: who has no quota for it gets no critical Pod.
const CRITICAL_NEEDS_QUOTA: &str = r#"{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": [
  {"name": "ResourceQuota", "configuration": {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "ResourceQuotaConfiguration",
    "limitedResources": [{"resource": "pods", "matchScopes": [
      {"scopeName": "PriorityClass", "operator": "In", "values": ["system-cluster-critical"]}]}]}}]}"#;
/// What an installation may consist of.
const KINDS: &str = "all,configmap,secret,serviceaccount,poddisruptionbudget,networkpolicy,resourcequota,\
                     mutatingwebhookconfiguration,role,rolebinding,clusterrole,clusterrolebinding,lease";
/// The label that all of it has.
const INSTALLED: &str = "app.kubernetes.io/instance=berth";

static CONTROL_PLANE: OnceCell<Option<Mutex<ControlPlane>>> = OnceCell::const_new();

/// The cluster, for one test at a time: an installation is for the whole of it.
pub struct Bare {
    control_plane: MutexGuard<'static, ControlPlane>,
    client: Client,
}

/// None where this machine has no control plane.
pub async fn bare() -> Option<Bare> {
    let started = CONTROL_PLANE.get_or_init(start).await.as_ref()?;
    let control_plane = started.lock().await;
    let client = control_plane.client().await.expect("a client");
    let bare = Bare {
        control_plane,
        client,
    };
    // what a test left that failed
    for left in [
        "mutatingwebhookconfiguration/berth clusterrole/berth clusterrolebinding/berth namespace/berth",
        "crd/gpupools.berth.dev crd/workloadclasses.berth.dev",
    ] {
        let delete = format!("delete --ignore-not-found {left}");
        said(&bare.kubectl(&delete, &[]).await);
    }
    Some(bare)
}

async fn start() -> Option<Mutex<ControlPlane>> {
    let config = tempfile::NamedTempFile::new().expect("a file");
    fs::write(&config, CRITICAL_NEEDS_QUOTA).expect("written");
    let config = format!("--admission-control-config-file={}", arg(config.path()));
    let options = Options {
        api_server: vec![config],
        ..Options::default()
    };
    let control_plane = match ControlPlane::start(&options).await {
        Err(Error::Missing(_)) => return None,
        started => started.unwrap_or_else(|error| panic!("{error}")),
    };
    let client = control_plane.client().await.expect("a client");
    homelab::register(&client).await.expect("nodes");
    for namespace in ["default", "kube-system"] {
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        let there = until(accounts, watcher::Config::default(), |accounts| {
            accounts.get("default").map(drop)
        });
        there.await.expect("Pods can be created");
    }
    Some(Mutex::new(control_plane))
}

impl Bare {
    /// Runs helm: the words of a line, and what may hold spaces.
    pub async fn helm(&self, line: &str, rest: &[&str]) -> Output {
        let parts = self.control_plane.parts();
        let mut helm = Command::new(parts.path("helm").expect("helm"));
        let kubeconfig = self.control_plane.kubeconfig().expect("a file");
        helm.env("KUBECONFIG", kubeconfig);
        helm.env("HELM_CACHE_HOME", self.control_plane.path("helm"));
        output(helm, line, rest).await
    }

    /// What a user has asked of the API server, and the code that it was answered with.
    pub fn asked_by(&self, user: &str) -> Vec<(String, u64)> {
        let log = self.control_plane.audit().expect("a log");
        let ours = log.iter().filter(|it| it["user"]["username"] == user);
        let asked = ours.map(|it| {
            let what = format!("{} {}", it["verb"], it["requestURI"]);
            (
                what,
                it["responseStatus"]["code"].as_u64().unwrap_or_default(),
            )
        });
        asked.collect()
    }

    /// Runs kubectl.
    pub async fn kubectl(&self, line: &str, rest: &[&str]) -> Output {
        let kubectl = self.control_plane.kubectl().expect("kubectl");
        output(kubectl, line, rest).await
    }

    /// Whether the installed ServiceAccount has a right, everywhere or in the namespace that is named: yes or no.
    pub async fn can(&self, right: &str) -> String {
        let everywhere = if right.contains(" -n ") { "" } else { "-A" };
        let account = "--as=system:serviceaccount:berth:berth";
        let line = format!("auth can-i {right} {everywhere} {account}");
        // the answer no is a failure, too
        let output = self.kubectl(&line, &[]).await;
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Installs the definitions of the table.
    pub async fn define(&self) {
        let defined = berth_cluster::define(&self.control_plane).await;
        defined.unwrap_or_else(|error| panic!("{error}"));
    }

    /// cert-manager's definitions.
    pub fn definitions(&self) -> &str {
        let definitions = self.control_plane.parts().path("cert-manager-crds");
        arg(definitions.expect("cert-manager is one of the parts"))
    }

    /// Starts cert-manager itself, with its definitions. It runs until the control plane ends.
    pub async fn start_cert_manager(&self) {
        let started = start_cert_manager(&self.control_plane).await;
        started.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Objects of the cluster.
    pub fn all<K: Resource<DynamicType = (), Scope = ClusterResourceScope>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    /// Objects of a namespace.
    pub fn within<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The CA that the API server trusts, the same for each webhook.
    pub async fn ca(&self) -> Option<Vec<u8>> {
        let hooks: Api<MutatingWebhookConfiguration> = self.all();
        let hook = hooks.get("berth").await.expect("a configuration");
        let hooks = hook.webhooks.expect("webhooks").into_iter();
        let mut bundles = hooks.map(|hook| hook.client_config.ca_bundle.map(|ca| ca.0));
        let first = bundles.next().expect("a webhook");
        assert!(bundles.all(|ca| ca == first), "each has the same");
        first
    }

    /// The certificate that is served with.
    pub async fn secret(&self) -> Secret {
        let secrets: Api<Secret> = self.within("berth");
        secrets.get("berth-tls").await.expect("a Secret")
    }

    /// A process serves what is installed, and the Service leads to it.
    pub async fn serve(&self) {
        let tables: Api<ConfigMap> = self.within("berth");
        let table = tables.get("berth-table").await.expect("a table");
        let folder = self.control_plane.path("installed");
        fs::create_dir_all(&folder).expect("a folder");
        for (name, content) in table.data.expect("data") {
            fs::write(folder.join(name), content).expect("written");
        }
        let table = folder.join("table.yaml");
        self.serve_table(&[format!("--table={}", table.display())])
            .await;
    }

    /// The same with the table in the cluster, as the installed ServiceAccount, with its rights alone.
    pub async fn serve_from_cluster(&self) {
        let account = "system:serviceaccount:berth:berth";
        let kubeconfig = self.control_plane.kubeconfig_without_rights(account);
        let kubeconfig = kubeconfig.expect("a file");
        let flags = [
            "--table-source=cluster".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
        ];
        self.serve_table(&flags).await;
    }

    async fn serve_table(&self, table: &[String]) {
        let folder = self.control_plane.path("installed");
        fs::create_dir_all(&folder).expect("a folder");
        for (name, content) in self.secret().await.data.expect("data") {
            fs::write(folder.join(name), content.0).expect("written");
        }
        let flag = |name: &str, file: &str| format!("--{name}={}", folder.join(file).display());
        let certificate = [flag("tls-cert", "tls.crt"), flag("tls-key", "tls.key")];
        let flags = [table, &certificate].concat();
        let berth = Path::new(env!("CARGO_BIN_EXE_berth"));
        let serving = Serving::start(&self.control_plane, berth, &flags).await;
        let serving = serving.unwrap_or_else(|error| panic!("{error}"));
        self.lead_to(serving.webhook.port()).await;
    }

    async fn lead_to(&self, port: u16) {
        let ours = PatchParams::default();
        let to = json!({"spec": {"type": "ExternalName", "externalName": "localhost", "clusterIP": null}});
        let services: Api<Service> = self.within("berth");
        let led = services.patch("berth", &ours, &Patch::Merge(to)).await;
        led.expect("the Service leads there");
        let hooks: Api<MutatingWebhookConfiguration> = self.all();
        let installed = hooks.get("berth").await.expect("a configuration");
        let count = installed.webhooks.map_or(0, |hooks| hooks.len());
        let at = |hook| json!({"op": "replace", "path": format!("/webhooks/{hook}/clientConfig/service/port"), "value": port});
        let at = (0..count).map(at).collect();
        let at = serde_json::from_value(at).expect("a JSON Patch");
        let patched = hooks.patch("berth", &ours, &Patch::Json::<()>(at)).await;
        patched.expect("the port is another");
    }

    /// What a create of a Pod would store.
    pub async fn dry_run(&self, namespace: &str, pod: &Pod) -> Result<Pod, kube::Error> {
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        self.within(namespace).create(&dry_run, pod).await
    }

    /// A Pod after admission, as soon as the API server has seen the configuration as it is.
    pub async fn placed(&self, class: &str) -> Pod {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.dry_run("default", &pod(class)).await {
                Ok(pod) if is_placed(&pod) => return pod,
                last => assert!(Instant::now() < deadline, "{last:?}"),
            }
        }
    }

    /// Nothing is left of an installation.
    pub async fn is_gone(&self) {
        let ended = "wait --for=delete pod -A --timeout=60s -l";
        said(&self.kubectl(ended, &[INSTALLED]).await);
        let left = format!("get {KINDS} -A -o name -l");
        assert_eq!(said(&self.kubectl(&left, &[INSTALLED]).await), "");
    }
}

/// Whether berth has seen the Pod.
pub fn is_placed(pod: &Pod) -> bool {
    pod.annotations().contains_key("berth.dev/pool")
}

async fn output(mut command: Command, line: &str, rest: &[&str]) -> Output {
    command.args(line.split_whitespace()).args(rest);
    let ran = spawn_blocking(move || command.output()).await;
    ran.expect("no panic").expect("it starts")
}

/// What a command said that went well.
pub fn said(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{errors}");
    assert!(!errors.contains("would violate PodSecurity"), "{errors}");
    text.into_owned()
}
