//! berth as `deploy/kustomize` installs it, called by the API server through a Service, as in production.
//!
//! A Pod of kwok's runs nothing. So the process that serves is one of this machine, the Service is an
//! `ExternalName` of `localhost`, and the webhook's port is that of the process. All else is the same for the API server: the selectors,
//! the TLS server name, the path, the connections. The Deployment's Pods are there, too, and serve nothing.

use std::{
    fmt::Debug,
    fs,
    io::{Read, Seek, SeekFrom},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
        core::v1::{Namespace, Pod, ServiceAccount},
    },
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::Status,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    ControlPlane, Error, cert_manager, control_plane::ASK, define, group::Pid, mounted::Mounted,
};

/// berth's namespace, Service and webhook configuration.
pub(crate) const NAME: &str = "berth";
/// The server name that the API server asks for.
pub(crate) const SERVER_NAME: &str = "berth.berth.svc";
/// No table has it, so that a Pod of this class is refused where the webhook is called.
const NO_CLASS: &str = "is-the-webhook-called";
/// The Secret with the certificate.
pub(crate) const SECRET: &str = "berth-tls";

/// What is to be installed.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The binary.
    pub berth: PathBuf,
    /// A file of GPUPools and WorkloadClasses.
    pub table: PathBuf,
    /// Where berth finds them.
    pub source: Source,
    /// Where its certificate comes from.
    pub certificate: Certificate,
}

/// Where berth's table is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// In a file, as in the installed ConfigMap.
    Files,
    /// In the cluster, with the definitions. berth reads it with the installed rights alone.
    Cluster,
}

/// Where the webhook's certificate comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Certificate {
    /// The control plane's own CA: at once.
    OfTheControlPlane,
    /// cert-manager issues it, and injects the caBundle.
    CertManager,
}

/// The webhook, installed and called.
#[derive(Debug)]
pub struct Webhook {
    /// The process behind the Service.
    pub serving: Serving,
    /// The Secret's folder, which follows it.
    _mounted: Mounted,
}

/// A process that serves the webhook.
#[derive(Clone, Copy, Debug)]
pub struct Serving {
    /// Where the API server finds it.
    pub webhook: SocketAddr,
    /// Where it shows its health and metrics.
    pub admin: SocketAddr,
    pid: Pid,
}

impl Serving {
    /// Starts `berth serve` with the flags, in the control plane's group, and waits until it listens.
    pub async fn start(
        control_plane: &ControlPlane,
        berth: &Path,
        flags: &[String],
    ) -> Result<Self, Error> {
        let mut command = Command::new(berth);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("BERTH_") || text.starts_with("OTEL_") {
                command.env_remove(name);
            }
        }
        command
            .args(["serve", "--bind=127.0.0.1:0", "--admin-bind=127.0.0.1:0"])
            .args(flags);
        let log = control_plane.group().log(NAME);
        let before = fs::metadata(&log).map_or(0, |log| log.len());
        let pid = control_plane.group().spawn(NAME, &mut command)?;
        let listening = || {
            let said = from(&log, before)?;
            let events = serde_json::Deserializer::from_slice(&said).into_iter();
            let mut events = events.map_while(Result::<Value, _>::ok);
            events.find(|event| event["message"] == "listening")
        };
        let listens = async || listening().is_some();
        control_plane.answers(NAME, pid, listens).await?;
        let event = listening().unwrap_or_default();
        let address = |name: &str| event[name].as_str().and_then(|text| text.parse().ok());
        let addresses = address("webhook").zip(address("admin"));
        let (webhook, admin) =
            addresses.ok_or(Error::NotReady("berth does not say where it listens"))?;
        Ok(Self {
            webhook,
            admin,
            pid,
        })
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) -> Result<(), Error> {
        self.signal("TERM")
    }

    /// Sends a signal, as `STOP`.
    pub fn signal(&self, name: &str) -> Result<(), Error> {
        let pid = self.pid.0.to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        sent.map(drop).map_err(Error::io("kill"))
    }

    /// The number of its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.0
    }

    /// Waits for its end: an error where that is late, or no success.
    pub(crate) async fn ends_well(
        &self,
        control_plane: &ControlPlane,
        within: Duration,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + within;
        loop {
            match control_plane.group().ended(self.pid) {
                Some(state) if state.ends_with("status: 0") => return Ok(()),
                None if Instant::now() < deadline => sleep(ASK).await,
                state => {
                    let late = || "does not end within its grace period".to_owned();
                    return Err(control_plane.told(NAME, state.unwrap_or_else(late)));
                }
            }
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(&self, control_plane: &ControlPlane) {
        control_plane.group().kill(self.pid);
    }

    /// Whether it has ended.
    #[must_use]
    pub fn ended(&self, control_plane: &ControlPlane) -> bool {
        control_plane.group().ended(self.pid).is_some()
    }
}

impl Webhook {
    /// Installs it, and returns when the API server calls it.
    pub async fn install(control_plane: &ControlPlane, setup: &Setup) -> Result<Self, Error> {
        let client = control_plane.client().await?;
        if setup.certificate == Certificate::CertManager {
            cert_manager::start(control_plane).await?;
        }
        apply(control_plane, setup).await?;
        let folder = control_plane.path(SECRET);
        let mounted = Mounted::of(setup.certificate, control_plane, &folder).await?;
        let flags = match setup.source {
            Source::Files => serve_flags(&setup.table, &mounted),
            Source::Cluster => cluster_flags(control_plane, &mounted)?,
        };
        let serving = Serving::start(control_plane, &setup.berth, &flags).await?;
        let webhook = Self {
            serving,
            _mounted: mounted,
        };
        let own = setup.certificate == Certificate::OfTheControlPlane;
        let ca = own.then(|| control_plane.authority().pem());
        call(&client, serving.webhook.port(), ca).await?;
        webhook.wait_until_called(control_plane, &client).await?;
        Ok(webhook)
    }

    /// The API server notices a configuration some time after it is there, and says so to nobody: a Pod that berth
    /// refuses shows it.
    async fn wait_until_called(
        &self,
        control_plane: &ControlPlane,
        client: &Client,
    ) -> Result<(), Error> {
        let namespace = "berth-probe";
        create_namespace(client, namespace).await?;
        let pod = json!({
            "metadata": {"name": "probe", "labels": {"berth.dev/workload-class": NO_CLASS}},
            "spec": {"containers": [{"name": "probe", "image": "probe"}]},
        });
        let pod: Pod = serde_json::from_value(pod).expect("a Pod");
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let refused = |status: &Status| status.message.contains(NO_CLASS);
        let called = control_plane.answers(NAME, self.serving.pid, async || {
            matches!(pods.create(&dry_run, &pod).await, Err(kube::Error::Api(status)) if refused(&status))
        });
        called.await?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let deleted = namespaces.delete(namespace, &DeleteParams::default()).await;
        deleted
            .map(drop)
            .map_err(Error::api("deleting a namespace"))
    }
}

/// What has been written to a file since it had so many bytes: after hours of load, a log is larger than what is looked for.
fn from(log: &Path, before: u64) -> Option<Vec<u8>> {
    let mut log = fs::File::open(log).ok()?;
    log.seek(SeekFrom::Start(before)).ok()?;
    let mut said = Vec::new();
    log.read_to_end(&mut said).ok()?;
    Some(said)
}

/// The flags for a table and a mounted certificate.
pub(crate) fn serve_flags(table: &Path, mounted: &Mounted) -> Vec<String> {
    let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
    vec![
        flag("table", table),
        flag("tls-cert", &mounted.path("tls.crt")),
        flag("tls-key", &mounted.path("tls.key")),
    ]
}

/// The flags for the table in the cluster and a mounted certificate, as the installed service account.
pub(crate) fn cluster_flags(
    control_plane: &ControlPlane,
    mounted: &Mounted,
) -> Result<Vec<String>, Error> {
    let account = format!("system:serviceaccount:{NAME}:{NAME}");
    let kubeconfig = control_plane.kubeconfig_without_rights(&account)?;
    let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
    Ok(vec![
        "--table-source=cluster".to_owned(),
        flag("kubeconfig", &kubeconfig),
        format!("--tls-server-name={SERVER_NAME}"),
        "--advertise=127.0.0.1".to_owned(),
        flag("forward-ca", &mounted.path("ca.crt")),
        flag("tls-cert", &mounted.path("tls.crt")),
        flag("tls-key", &mounted.path("tls.key")),
    ])
}

/// Tells the API server on which port to call, and by which CA it is known: for Pods, and for a word at apply.
pub(crate) async fn call(client: &Client, port: u16, ca: Option<String>) -> Result<(), Error> {
    let ca = ca.map(|ca| ByteString(ca.into_bytes()));
    call_of::<MutatingWebhookConfiguration>(client, port, ca.as_ref()).await?;
    call_of::<ValidatingWebhookConfiguration>(client, port, ca.as_ref()).await
}

/// The same for the webhooks of one kind.
async fn call_of<K>(client: &Client, port: u16, ca: Option<&ByteString>) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let configurations: Api<K> = Api::all(client.clone());
    let installed = configurations.get(NAME).await;
    let installed = installed.map_err(Error::api("the webhook configuration"))?;
    let installed = serde_json::to_value(installed).expect("JSON");
    let hooks = installed["webhooks"].as_array().map_or(0, Vec::len);
    let mut patch = Vec::new();
    for hook in 0..hooks {
        let config = format!("/webhooks/{hook}/clientConfig");
        let at = format!("{config}/service/port");
        patch.push(json!({"op": "replace", "path": at, "value": port}));
        if let Some(ca) = ca {
            patch.push(json!({"op": "add", "path": format!("{config}/caBundle"), "value": ca}));
        }
    }
    let patch = serde_json::from_value(Value::Array(patch)).expect("a JSON Patch");
    let patch = Patch::Json::<K>(patch);
    let params = PatchParams::default();
    let patched = configurations.patch(NAME, &params, &patch).await;
    patched
        .map(drop)
        .map_err(Error::api("patching the webhook configuration"))
}

/// Applies `deploy/kustomize` with the table, and a Service that leads to this machine.
async fn apply(control_plane: &ControlPlane, setup: &Setup) -> Result<(), Error> {
    let folder = control_plane.path("kustomization");
    fs::create_dir_all(&folder).map_err(Error::io(folder.display().to_string()))?;
    let table = folder.join("table.yaml");
    fs::copy(&setup.table, table).map_err(Error::io(setup.table.display().to_string()))?;
    let deploy = relative(&folder, &checkout().join("deploy/kustomize"));
    let mut components = Vec::new();
    if setup.source == Source::Files {
        components.push(format!("{deploy}/components/files-table"));
    }
    if setup.certificate == Certificate::CertManager {
        components.push(format!("{deploy}/components/cert-manager"));
    }
    let table_of_files = json!([{
        "name": "berth-table", "namespace": NAME, "files": ["table.yaml"],
        "options": {"disableNameSuffixHash": true},
    }]);
    let tables = match setup.source {
        Source::Files => table_of_files,
        Source::Cluster => json!([]),
    };
    let service = json!([{"op": "replace", "path": "/spec", "value": {"type": "ExternalName", "externalName": "localhost"}}]);
    let kustomization = json!({
        "resources": [format!("{deploy}/base")],
        "components": components,
        "configMapGenerator": tables,
        "patches": [{"target": {"kind": "Service", "name": NAME}, "patch": service.to_string()}],
    });
    let name = "kustomization/kustomization.yaml";
    control_plane.write(name, &kustomization.to_string())?;
    let kustomization = folder.display().to_string();
    let apply = ["apply", "-k", &kustomization];
    if setup.source == Source::Files {
        return control_plane.kubectl_run(&apply).await;
    }
    define(control_plane).await?;
    control_plane.kubectl_run(&apply).await?;
    let table = folder.join("table.yaml").display().to_string();
    control_plane.kubectl_run(&["apply", "-f", &table]).await
}

/// The way from a folder to another, both absolute: kustomize takes no absolute one.
fn relative(from: &Path, to: &Path) -> String {
    let up = from.components().skip(1).map(|_| "..");
    let up: PathBuf = up.collect();
    up.join(to.strip_prefix("/").unwrap_or(to))
        .display()
        .to_string()
}

pub(crate) fn checkout() -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    checkout.canonicalize().unwrap_or(checkout)
}

/// A namespace in which Pods can be created at once: the controller-manager makes the service account later.
pub(crate) async fn create_namespace(client: &Client, name: &str) -> Result<(), Error> {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.to_owned());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let created = namespaces.create(&PostParams::default(), &namespace).await;
    created.map_err(Error::api(format!("creating the namespace {name}")))?;
    let mut account = ServiceAccount::default();
    account.metadata.name = Some("default".to_owned());
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    match accounts.create(&PostParams::default(), &account).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        created => created
            .map(drop)
            .map_err(Error::api("creating a service account")),
    }
}
