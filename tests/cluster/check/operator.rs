//! Who runs `berth check`, and pastes what it prints.

use std::{
    ffi::OsStr,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Output,
};

use berth_cluster::{Certificate, ControlPlane, Homelab, Options, Serving, Setup, Source, homelab};
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::breaks::Break;
use crate::{
    common::{
        path,
        process::{arg, command},
    },
    eventually,
};

/// What somebody runs on a cluster: berth, kubectl, and a shell for what is to be pasted.
pub(super) struct Operator {
    cluster: Cluster,
    /// With berth and kubectl.
    folder: tempfile::TempDir,
}

/// A cluster in which berth is installed.
enum Cluster {
    /// With kustomize, and a Service that leads out of it.
    Homelab(Box<Homelab>),
    /// With the chart, and what serves in the place of its Pods.
    Chart(Box<ControlPlane>),
}

/// A line that did not pass.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Bad {
    pub(super) result: String,
    pub(super) what: String,
    pub(super) found: String,
    hint: Option<String>,
}

fn options(api_server: &[&str]) -> Options {
    Options {
        kubernetes: std::env::var(crate::KUBERNETES).ok(),
        api_server: api_server.iter().map(|it| (*it).to_owned()).collect(),
    }
}

impl Operator {
    /// None where this machine has no control plane.
    pub(super) async fn of_homelab() -> Option<Self> {
        let setup = Setup {
            berth: env!("CARGO_BIN_EXE_berth").into(),
            table: path("examples/homelab.yaml"),
            source: Source::Cluster,
            certificate: Certificate::OfTheControlPlane,
        };
        let homelab = match Homelab::start(&options(&[]), &setup).await {
            Err(berth_cluster::Error::Missing(_)) => return None,
            started => started.unwrap_or_else(|error| panic!("{error}")),
        };
        let operator = Self::new(Cluster::Homelab(Box::new(homelab)));
        // the Secret that is mounted, of which kwok's Pods need nothing
        let ca = operator.control_plane().path("ca.crt");
        let secret = format!(
            "kubectl create secret generic berth-tls -n berth --from-file=ca.crt={}",
            arg(&ca)
        );
        operator.shell(&secret).await;
        Some(operator)
    }

    /// Installs the chart, whose Pods are then said to be at the addresses, of which one is for the admin port. What serves there is the replica that is given
    /// back, with the installed certificate and rights. None where this machine has no control plane.
    pub(super) async fn of_chart([address, admin]: [SocketAddr; 2]) -> Option<(Self, Serving)> {
        // the API server itself finds the endpoints of a Service: there is no kube-proxy
        let routing = options(&["--enable-aggregator-routing=true"]);
        let control_plane = match ControlPlane::start(&routing).await {
            Err(berth_cluster::Error::Missing(_)) => return None,
            started => started.unwrap_or_else(|error| panic!("{error}")),
        };
        let client = control_plane.client().await.expect("a client");
        homelab::register(&client).await.expect("nodes");
        let operator = Self::new(Cluster::Chart(Box::new(control_plane)));
        let (ip, port) = (address.ip(), address.port());
        for line in [
            &*format!(
                "helm upgrade --install berth deploy/chart/berth -n berth --create-namespace --wait --timeout=60s --set tls.mode=helm,webhook.port={port},adminPort={}",
                admin.port()
            ),
            "kubectl apply -f examples/homelab.yaml",
            // what a kubelet would say of a Pod there
            &format!(
                r#"for pod in $(kubectl get pods -n berth -o name); do kubectl patch $pod -n berth --subresource=status --type=merge -p '{{"status":{{"podIP":"{ip}","podIPs":[{{"ip":"{ip}"}}]}}}}'; done"#
            ),
        ] {
            operator.shell(line).await;
        }
        let account = "system:serviceaccount:berth:berth";
        let kubeconfig = operator
            .control_plane()
            .kubeconfig_without_rights(account)
            .expect("a file");
        let table = ["--table-source=cluster", "--kubeconfig", arg(&kubeconfig)];
        let serving = operator.serve(&table).await;
        Some((operator, serving))
    }

    /// A process with the installed certificate, and these flags for its table.
    pub(super) async fn serve(&self, table: &[&str]) -> Serving {
        let folder = arg(self.folder.path());
        for file in ["tls.crt", "tls.key"] {
            let escaped = file.replace('.', r"\.");
            self.shell(&format!(
                "kubectl get secret berth-tls -n berth -o jsonpath='{{.data.{escaped}}}' | base64 -d > {folder}/{file}"
            ))
            .await;
        }
        let mut flags = vec![
            format!("--tls-cert={folder}/tls.crt"),
            format!("--tls-key={folder}/tls.key"),
        ];
        flags.extend(table.iter().map(|it| (*it).to_owned()));
        let berth = Path::new(env!("CARGO_BIN_EXE_berth"));
        let serving = Serving::start(self.control_plane(), berth, &flags).await;
        serving.unwrap_or_else(|error| panic!("{error}"))
    }

    fn new(cluster: Cluster) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let operator = Self { cluster, folder };
        let kubectl = operator.control_plane().kubectl().expect("kubectl");
        let link = |program: &OsStr, name: &str| {
            symlink(program, operator.folder.path().join(name)).expect("a link");
        };
        link(kubectl.get_program(), "kubectl");
        link(env!("CARGO_BIN_EXE_berth").as_ref(), "berth");
        let helm = operator.control_plane().parts().path("helm");
        link(helm.expect("helm").as_os_str(), "helm");
        operator
    }

    pub(super) fn control_plane(&self) -> &ControlPlane {
        match &self.cluster {
            Cluster::Homelab(homelab) => homelab.control_plane(),
            Cluster::Chart(control_plane) => control_plane,
        }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.control_plane().kubeconfig().expect("a file")
    }

    /// What berth says to a check.
    pub(super) async fn check(&self, flags: &str) -> Output {
        check(self.kubeconfig(), flags).await
    }

    /// The same for a user who has no right.
    pub(super) async fn check_as(&self, user: &str, flags: &str) -> Output {
        let control_plane = self.control_plane();
        let kubeconfig = control_plane.kubeconfig_without_rights(user);
        check(kubeconfig.expect("a file"), flags).await
    }

    /// The lines that did not pass, and were not skipped.
    pub(super) async fn bad(&self) -> Vec<Bad> {
        let output = self.check("-o json").await;
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let checks = report["categories"].as_array().expect("categories").iter();
        let checks = checks.flat_map(|it| it["checks"].as_array().expect("checks"));
        let bad = checks.filter(|it| it["result"] == "error" || it["result"] == "warning");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        bad.map(|it| Bad {
            result: text(&it["result"]),
            what: text(&it["description"]),
            found: text(&it["error"]),
            hint: it["hint"].as_str().map(str::to_owned),
        })
        .collect()
    }

    /// Runs what is to be pasted into a shell, which must be content.
    pub(super) async fn shell(&self, line: &str) -> String {
        let mut shell = std::process::Command::new("sh");
        let path = std::env::var("PATH").unwrap_or_default();
        shell.env("PATH", format!("{}:{path}", arg(self.folder.path())));
        shell.env("KUBECONFIG", self.kubeconfig());
        // what an editor would do in the one place where a person edits
        shell.env("KUBE_EDITOR", "sed -i s/gone/rtx-2070/");
        shell.args(["-c", line]);
        let ran = spawn_blocking(move || shell.output()).await;
        let output = ran.expect("no panic").expect("a shell");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{line}: {said}");
        said
    }

    /// Waits until all is well, and nothing should be looked at: what a check then prints.
    pub(super) async fn is_well(&self) -> String {
        let well = async || {
            let (code, said) = printed(&self.check("--wait 60s").await);
            assert_eq!(code, Some(0), "{said}");
            (!said.contains('‼')).then_some(said)
        };
        match eventually(well).await {
            Some(said) => said,
            None => panic!("{}", printed(&self.check("").await).1),
        }
    }

    /// Breaks a link, waits until that line and no other is bad, and runs its hint, or else what fixes it.
    pub(super) async fn breaks(&self, link: &Break) {
        self.shell(link.how).await;
        let only = async || {
            let bad = self.bad().await;
            let [one] = bad.as_slice() else { return None };
            (one.what.contains(link.line) && one.found.contains(link.found)).then_some(bad)
        };
        let Some(bad) = eventually(only).await else {
            panic!("{}: {:#?}", link.how, self.bad().await);
        };
        let result = if link.is_warning { "warning" } else { "error" };
        assert_eq!(bad[0].result, result, "{bad:?}");
        let code = i32::from(!link.is_warning);
        assert_eq!(self.check("").await.status.code(), Some(code), "{bad:?}");
        let fix = match (link.fix, &bad[0].hint) {
            (Some(fix), _) => fix,
            (None, Some(hint)) => hint,
            (None, None) => panic!("no command: {bad:?}"),
        };
        self.shell(fix).await;
        self.is_well().await;
    }
}

/// What berth says to a check of a kubeconfig's cluster.
pub(super) async fn check(kubeconfig: PathBuf, flags: &str) -> Output {
    let mut berth = command();
    berth.arg("check").args(flags.split_whitespace());
    berth.env("KUBECONFIG", kubeconfig);
    let ran = spawn_blocking(move || berth.output()).await;
    ran.expect("no panic").expect("berth starts")
}

/// What a command printed, and its exit code.
pub(super) fn printed(output: &Output) -> (Option<i32>, String) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text)
}
