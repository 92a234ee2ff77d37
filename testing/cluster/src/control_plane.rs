//! etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok as processes on loopback.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::{
    Error, PATIENCE, Parts,
    authority::{Authority, Identity},
    group::{Group, Pid},
    port::Port,
};

/// How often something is asked that cannot be watched.
pub(crate) const ASK: Duration = Duration::from_millis(20);
/// How much of a log is shown.
const LOG_LINES: usize = 20;
/// Creates of Pods go into the audit log, and all that berth asks, by whichever name it has.
const AUDIT_POLICY: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [
  {"level": "Metadata", "verbs": ["create"], "resources": [{"group": "", "resources": ["pods"]}]},
  {"level": "Metadata", "users": ["berth", "system:serviceaccount:berth:berth"]}, {"level": "None"}]}"#;

/// What differs from one control plane to another.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Another minor of Kubernetes than the usual: `1.33`.
    pub kubernetes: Option<String>,
    /// More flags of kube-apiserver, as `--enable-admission-plugins=PodTolerationRestriction`. They win over ours.
    pub api_server: Vec<String>,
}

/// A control plane, which ends when it is dropped, and with its process.
#[derive(Debug)]
pub struct ControlPlane {
    group: Group,
    parts: Parts,
    authority: Authority,
    etcd: Port,
    etcd_peers: Port,
    api_server: Port,
}

impl ControlPlane {
    /// Starts one, and returns when the API server is ready and every other part is started.
    pub async fn start(options: &Options) -> Result<Self, Error> {
        let control_plane = Self {
            parts: Parts::find(options.kubernetes.as_deref())?,
            group: Group::new()?,
            authority: Authority::new()?,
            etcd: Port::reserve()?,
            etcd_peers: Port::reserve()?,
            api_server: Port::reserve()?,
        };
        control_plane.start_etcd().await?;
        control_plane.start_api_server(options).await?;
        control_plane.start_controllers()?;
        control_plane.start_kwok()?;
        Ok(control_plane)
    }

    async fn start_etcd(&self) -> Result<(), Error> {
        let (clients, peers) = (self.etcd.address, self.etcd_peers.address);
        let mut etcd = self.parts.command("etcd")?;
        etcd.args(["--unsafe-no-fsync", "--socket-reuse-port"])
            .arg(format!("--data-dir={}", self.path("etcd").display()))
            .arg(format!("--listen-client-urls=http://{clients}"))
            .arg(format!("--advertise-client-urls=http://{clients}"))
            .arg(format!("--listen-peer-urls=http://{peers}"))
            .arg(format!("--initial-advertise-peer-urls=http://{peers}"))
            .arg(format!("--initial-cluster=default=http://{peers}"));
        let pid = self.group.spawn("etcd", &mut etcd)?;
        self.answers("etcd", pid, async || {
            TcpStream::connect(clients).await.is_ok()
        })
        .await
    }

    async fn start_api_server(&self, options: &Options) -> Result<(), Error> {
        self.write("ca.crt", &self.authority.pem())?;
        self.write("audit-policy.yaml", AUDIT_POLICY)?;
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"];
        self.write_identity("api-server", &self.authority.server(&names)?)?;
        // an identity for its key alone
        self.write_identity("service-account", &self.authority.server(&[])?)?;
        let mut server = self.parts.command("kube-apiserver")?;
        server
            .args(["--permit-port-sharing", "--bind-address=127.0.0.1"])
            .args([
                "--authorization-mode=Node,RBAC",
                "--endpoint-reconciler-type=none",
            ])
            .arg("--service-cluster-ip-range=10.96.0.0/16")
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(format!("--etcd-servers=http://{}", self.etcd.address))
            .arg(format!("--secure-port={}", self.api_server.address.port()));
        for (flag, file) in [
            ("client-ca-file", "ca.crt"),
            ("tls-cert-file", "api-server.crt"),
            ("tls-private-key-file", "api-server.key"),
            ("service-account-key-file", "service-account.crt"),
            ("service-account-signing-key-file", "service-account.key"),
            ("audit-policy-file", "audit-policy.yaml"),
            ("audit-log-path", "audit.jsonl"),
        ] {
            server.arg(format!("--{flag}={}", self.path(file).display()));
        }
        server.args(&options.api_server);
        let pid = self.group.spawn("kube-apiserver", &mut server)?;
        let client = self.client().await?;
        self.answers("kube-apiserver", pid, async || {
            let ready = http::Request::get("/readyz").body(Vec::new());
            let ready = ready.expect("a path is a request");
            client.request_text(ready).await.is_ok()
        })
        .await
    }

    fn start_controllers(&self) -> Result<(), Error> {
        for name in ["kube-controller-manager", "kube-scheduler"] {
            let kubeconfig = self.kubeconfig_of(&format!("system:{name}"), None)?;
            let mut part = self.parts.command(name)?;
            part.args(["--leader-elect=false", "--secure-port=0"])
                .arg(format!("--kubeconfig={}", kubeconfig.display()));
            if name == "kube-controller-manager" {
                let (ca, key) = (self.path("ca.crt"), self.path("service-account.key"));
                part.arg("--use-service-account-credentials")
                    .arg(format!("--root-ca-file={}", ca.display()))
                    .arg(format!(
                        "--service-account-private-key-file={}",
                        key.display()
                    ));
            }
            self.group.spawn(name, &mut part)?;
        }
        Ok(())
    }

    /// kwok plays the kubelets: it has the stages of a Node's and a Pod's life.
    fn start_kwok(&self) -> Result<(), Error> {
        let stages = self.parts.path("kwok-stages")?;
        let listed = fs::read_dir(stages).map_err(Error::io(stages.display().to_string()))?;
        let mut kwok = self.parts.command("kwok")?;
        kwok.args(["--manage-all-nodes", "--node-lease-duration-seconds=40"])
            .arg(format!("--kubeconfig={}", self.kubeconfig()?.display()));
        for stage in listed.map_while(Result::ok) {
            kwok.arg(format!("--config={}", stage.path().display()));
        }
        self.group.spawn("kwok", &mut kwok).map(drop)
    }

    /// A new client with every right. One that is made in a test ends with that test's runtime.
    pub async fn client(&self) -> Result<Client, Error> {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig()?)?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        Client::try_from(config).map_err(Error::api("a client"))
    }

    /// A kubeconfig file with every right.
    pub fn kubeconfig(&self) -> Result<PathBuf, Error> {
        self.kubeconfig_of("admin", Some("system:masters"))
    }

    /// A kubeconfig file for a user who has the rights that a test binds to the name, and no other.
    pub fn kubeconfig_without_rights(&self, user: &str) -> Result<PathBuf, Error> {
        self.kubeconfig_of(user, None)
    }

    /// A kubeconfig file for a user; made once. A service account's is for its namespace, as its token is.
    fn kubeconfig_of(&self, user: &str, group: Option<&str>) -> Result<PathBuf, Error> {
        let account = user.strip_prefix("system:serviceaccount:");
        let namespace = account.and_then(|it| it.split(':').next());
        let namespace = namespace.unwrap_or("default");
        let name = format!("{}.kubeconfig", user.replace(':', "-"));
        if self.path(&name).exists() {
            return Ok(self.path(&name));
        }
        let identity = format!("{}-user", user.replace(':', "-"));
        self.write_identity(&identity, &self.authority.user(user, group)?)?;
        let content = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "berth", "cluster": {
                "server": format!("https://{}", self.api_server.address), "certificate-authority": self.path("ca.crt"),
            }}],
            "users": [{"name": user, "user": {
                "client-certificate": self.path(&format!("{identity}.crt")), "client-key": self.path(&format!("{identity}.key")),
            }}],
            "contexts": [{"name": "berth", "context": {"cluster": "berth", "user": user, "namespace": namespace}}],
            "current-context": "berth",
        });
        self.write(&name, &format!("{content:#}"))?;
        Ok(self.path(&name))
    }

    /// kubectl, with every right.
    pub fn kubectl(&self) -> Result<Command, Error> {
        let mut kubectl = self.parts.command("kubectl")?;
        kubectl.env("KUBECONFIG", self.kubeconfig()?);
        Ok(kubectl)
    }

    /// Runs kubectl to its end, with every right.
    pub(crate) async fn kubectl_run(&self, arguments: &[&str]) -> Result<(), Error> {
        let mut kubectl = self.kubectl()?;
        kubectl.args(arguments).stdin(Stdio::null());
        let ran = tokio::task::spawn_blocking(move || kubectl.output()).await;
        let output = ran.map_err(std::io::Error::other).flatten();
        let output = output.map_err(Error::io("kubectl"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::Kubectl {
            arguments: arguments.join(" "),
            said: said.trim().to_owned(),
        })
    }

    /// Where the parts are.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// A file of the control plane's folder, which ends with it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.group.folder().join(name)
    }

    /// The audit log so far: an event for every create of a Pod, dry runs included, and for all that berth asked.
    pub fn audit(&self) -> Result<Vec<Value>, Error> {
        let path = self.path("audit.jsonl");
        let log = fs::File::open(&path).map_err(Error::io(path.display().to_string()))?;
        let lines = BufReader::new(log).lines().map_while(Result::ok);
        // the last line may be half there
        Ok(lines
            .filter_map(|line| serde_json::from_str(&line).ok())
            .collect())
    }

    pub(crate) fn group(&self) -> &Group {
        &self.group
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Asks a process until it answers; an error where it ends instead, or takes too long.
    pub(crate) async fn answers(
        &self,
        name: &'static str,
        pid: Pid,
        ask: impl AsyncFn() -> bool,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        while !ask().await {
            let late = || {
                let waited = PATIENCE.as_secs();
                (Instant::now() > deadline).then(|| format!("does not answer after {waited} s"))
            };
            if let Some(state) = self.group.ended(pid).or_else(late) {
                return Err(self.told(name, state));
            }
            sleep(ASK).await;
        }
        Ok(())
    }

    /// An error about a process, with the end of its log.
    pub(crate) fn told(&self, name: &'static str, state: String) -> Error {
        let log = last_lines(&self.group.log(name));
        Error::Process { name, state, log }
    }

    pub(crate) fn write_identity(&self, name: &str, identity: &Identity) -> Result<(), Error> {
        self.write(&format!("{name}.crt"), &identity.certificate)?;
        self.write(&format!("{name}.key"), &identity.key)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> Result<(), Error> {
        let path = self.path(name);
        fs::write(&path, content).map_err(Error::io(path.display().to_string()))
    }
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
