//! `berth check` on a real control plane: all is well, then each link is broken. That line fails and no other, and its hint,
//! run as it is printed, fixes it.

use std::{
    ffi::OsStr,
    fs,
    net::{SocketAddr, UdpSocket},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Output,
};

use berth_cluster::{Certificate, ControlPlane, Homelab, Options, Serving, Setup, Source, homelab};
use regex::Regex;
use serde_json::Value;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinSet, spawn_blocking},
};

use crate::{
    common::{
        path,
        process::{arg, command},
    },
    eventually,
};

/// What somebody runs on a cluster: berth, kubectl, and a shell for what is to be pasted.
struct Operator {
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
struct Bad {
    result: String,
    what: String,
    found: String,
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
    async fn of_homelab() -> Option<Self> {
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

    fn control_plane(&self) -> &ControlPlane {
        match &self.cluster {
            Cluster::Homelab(homelab) => homelab.control_plane(),
            Cluster::Chart(control_plane) => control_plane,
        }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.control_plane().kubeconfig().expect("a file")
    }

    /// What berth says to a check.
    async fn check(&self, flags: &str) -> Output {
        check(self.kubeconfig(), flags).await
    }

    /// The same for a user who has no right.
    async fn check_as(&self, user: &str, flags: &str) -> Output {
        let control_plane = self.control_plane();
        let kubeconfig = control_plane.kubeconfig_without_rights(user);
        check(kubeconfig.expect("a file"), flags).await
    }

    /// The lines that did not pass, and were not skipped.
    async fn bad(&self) -> Vec<Bad> {
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
    async fn shell(&self, line: &str) -> String {
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

    /// Waits until all is well: what a check then prints.
    async fn is_well(&self) -> String {
        let output = self.check("--wait 60s").await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(!said.contains('‼') && !said.contains('×'), "{said}");
        said
    }

    /// Breaks a link, waits until that line and no other is bad, and runs its hint, or else what fixes it.
    async fn breaks(&self, link: &Break) {
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

async fn check(kubeconfig: PathBuf, flags: &str) -> Output {
    let mut berth = command();
    berth.arg("check").args(flags.split_whitespace());
    berth.arg("--kubeconfig").arg(kubeconfig);
    let ran = spawn_blocking(move || berth.output()).await;
    ran.expect("no panic").expect("berth starts")
}

/// What a command printed, and its exit code.
fn printed(output: &Output) -> (Option<i32>, String) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text)
}

/// A link that is broken.
struct Break {
    how: &'static str,
    /// What the line says.
    line: &'static str,
    found: &'static str,
    is_warning: bool,
    /// What fixes it, where the hint is no command that does.
    fix: Option<&'static str>,
}

const BREAK: Break = Break {
    how: "",
    line: "",
    found: "",
    is_warning: false,
    fix: None,
};

/// Each link that can be broken without another one.
const BREAKS: &[Break] = &[
    Break {
        how: r#"kubectl patch crd gpupools.berth.dev --type=json -p '[{"op":"remove","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/autoscaling"}]'"#,
        line: "GPUPool has the schema of this berth",
        found: "schema.spec.autoscaling",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch mutatingwebhookconfiguration berth --type=json -p '[{"op":"replace","path":"/webhooks/0/reinvocationPolicy","value":"Never"}]'"#,
        line: "the webhook configuration is as it is shipped",
        found: "pods.berth.dev reinvocationPolicy is Never",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch mutatingwebhookconfiguration berth --type=json -p '[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]'"#,
        line: "the webhook configuration is as it is shipped",
        found: "failurePolicy is Ignore",
        is_warning: true,
        ..BREAK
    },
    Break {
        how: r#"kubectl patch mutatingwebhookconfiguration berth --type=json -p '[{"op":"remove","path":"/webhooks/1"}]'"#,
        line: "the webhook configuration is as it is shipped",
        found: "namespaces.berth.dev is missing",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch mutatingwebhookconfiguration berth --type=json -p '[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"},{"op":"remove","path":"/webhooks/1/clientConfig/caBundle"}]'"#,
        line: "the caBundle verifies the certificate that is served",
        found: "the caBundle is empty",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch clusterrole berth --type=json -p '[{"op":"remove","path":"/rules/3"}]'"#,
        line: "berth has the rights that it needs",
        found: "it may not list nodes, watch nodes, list pods, watch pods",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch role berth -n berth --type=json -p '[{"op":"replace","path":"/rules/0/verbs","value":["list","watch","update"]}]'"#,
        line: "berth has the rights that it needs",
        found: "it may not get leases.coordination.k8s.io berth in namespace berth",
        ..BREAK
    },
    Break {
        how: "kubectl create clusterrolebinding too-much --clusterrole=edit --serviceaccount=berth:berth",
        line: "berth has no right by which it could harm",
        found: "by ClusterRoleBinding too-much",
        ..BREAK
    },
    Break {
        how: "kubectl scale deployment berth -n berth --replicas=0",
        line: "the replicas are ready",
        found: "Deployment berth is scaled to 0",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch workloadclass xtts --type=json -p '[{"op":"replace","path":"/spec/pools/0/name","value":"gone"}]'"#,
        line: "WorkloadClass xtts is accepted",
        found: "PoolNotFound",
        ..BREAK
    },
    Break {
        how: "kubectl taint nodes khelben.home.arpa dedicated-",
        line: "strix-halo: its Nodes have the taints that it declares",
        found: "node khelben.home.arpa has no taint dedicated=vllm:NoSchedule",
        is_warning: true,
        ..BREAK
    },
    Break {
        how: "kubectl label node drizzt.home.arpa kubernetes.io/hostname-",
        line: "radeon-680m: its Nodes are there",
        found: "no Node has the label kubernetes.io/hostname=drizzt",
        ..BREAK
    },
    Break {
        how: "kubectl cordon danilo.home.arpa",
        line: "intel-arc: its Nodes take Pods",
        found: "node danilo.home.arpa is cordoned",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch node drizzt.home.arpa --subresource=status --type=json -p '[{"op":"remove","path":"/status/allocatable/amd.com~1gpu"}]'"#,
        line: "radeon-680m: its Nodes offer amd.com/gpu",
        found: "does the device plugin run there?",
        fix: Some(
            r#"kubectl patch node drizzt.home.arpa --subresource=status --type=json -p '[{"op":"add","path":"/status/allocatable/amd.com~1gpu","value":"1"}]'"#,
        ),
        ..BREAK
    },
    Break {
        how: "kubectl delete lease berth -n berth",
        line: "a replica holds the Lease",
        found: "there is no Lease berth in namespace berth",
        ..BREAK
    },
    Break {
        how: r#"berth guard --table examples/homelab.yaml | kubectl apply -f - && echo '{"apiVersion":"berth.dev/v1alpha1","kind":"WorkloadClass","metadata":{"name":"second"},"spec":{"pools":[{"name":"rtx-2070"}]}}' | kubectl apply -f -"#,
        line: "the guard is in force and as the table",
        found: "policy berth-guard was made from table ",
        fix: Some("kubectl delete workloadclass second"),
        ..BREAK
    },
    Break {
        how: "kubectl delete validatingadmissionpolicybinding berth-guard",
        line: "the guard is in force and as the table",
        found: "policy berth-guard has no binding",
        // from here on there is none
        fix: Some("kubectl delete validatingadmissionpolicy berth-guard"),
        ..BREAK
    },
    // these change the table
    Break {
        how: "kubectl taint nodes elminster.home.arpa gpu=true:NoSchedule",
        line: "rtx-2070: its Pods tolerate every taint of its Nodes",
        found: "node elminster.home.arpa has the taint gpu=true:NoSchedule",
        ..BREAK
    },
    Break {
        how: r#"kubectl patch node danilo.home.arpa --subresource=status --type=json -p '[{"op":"remove","path":"/status/allocatable/gpu.intel.com~1i915"},{"op":"add","path":"/status/allocatable/gpu.intel.com~1xe","value":"1"}]'"#,
        line: "intel-arc: its Nodes offer gpu.intel.com/i915",
        found: "gpu.intel.com/xe instead",
        ..BREAK
    },
];

/// The links that are there where the Service is as it is installed.
const OF_THE_SERVICE: &[Break] = &[
    Break {
        how: "kubectl set selector service berth app=other -n berth",
        line: "the Service leads to the replicas",
        found: "it selects app=other",
        ..BREAK
    },
    Break {
        how: r#"CA=$(kubectl get configmap kube-root-ca.crt -n default -o jsonpath='{.data.ca\.crt}' | base64 -w0) && kubectl patch mutatingwebhookconfiguration berth --type=json -p "[{\"op\":\"replace\",\"path\":\"/webhooks/0/clientConfig/caBundle\",\"value\":\"$CA\"},{\"op\":\"replace\",\"path\":\"/webhooks/1/clientConfig/caBundle\",\"value\":\"$CA\"}]""#,
        line: "the caBundle verifies the certificate that is served at ",
        found: "it is not of a CA that the caBundle has",
        ..BREAK
    },
    Break {
        how: "kubectl delete service berth -n berth",
        line: "the Service leads to the replicas",
        found: "there is no Service berth in namespace berth",
        ..BREAK
    },
];

#[tokio::test]
async fn all_is_well_and_each_link_that_is_broken_is_the_one_that_fails() {
    let Some(operator) = Operator::of_homelab().await else {
        return;
    };
    let said = operator.is_well().await;
    for line in [
        "√ Kubernetes is 1.33 or newer",
        "√ the definition of GPUPool is installed",
        "√ berth has the rights that it needs: 19 rights",
        "√ 2 replicas are ready",
        "√ the webhook configuration is as it is shipped",
        "√ the caBundle verifies the certificate that is served at localhost:",
        "comes back placed from a dry run: pool ",
        "√ 4 GPUPools and 5 WorkloadClasses are accepted",
        "√ every replica has the same table (",
        "√ strix-halo: 1 node with 1 amd.com/gpu, taint dedicated=vllm:NoSchedule",
        "√ rtx-2070: 1 node with 2 nvidia.com/gpu, no taint",
        "√ a replica holds the Lease: ",
        "· the guard is in force and as the table",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    for link in BREAKS {
        operator.breaks(link).await;
    }
    // nothing was left behind by the dry runs
    let pods = operator.shell("kubectl get pods -n default -o name").await;
    assert_eq!(pods, "");
    before_an_installation(&operator).await;
    without_rights(&operator).await;
    waits(&operator).await;
}

/// Before an installation: who may not install it, and what is in the way.
async fn before_an_installation(operator: &Operator) {
    let (code, text) = printed(&operator.check("--pre").await);
    assert_eq!(code, Some(0), "{text}");
    for line in [
        "√ you may create what berth consists of",
        "‼ cert-manager is installed\n    there is no CustomResourceDefinition certificates.cert-manager.io, issuers.cert-manager.io",
        "√ no other webhook configuration is named berth",
        "√ no webhook of an earlier installation points nowhere",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let foreign = r#"echo '{"apiVersion":"admissionregistration.k8s.io/v1","kind":"MutatingWebhookConfiguration","metadata":{"name":"other"}}' | kubectl apply -f -"#;
    operator.shell(foreign).await;
    let (code, text) = printed(&operator.check("--pre --name other").await);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("× no other webhook configuration is named other"),
        "{text}"
    );
    operator
        .shell("kubectl delete mutatingwebhookconfiguration other")
        .await;
    let (code, text) = printed(&operator.check_as("nobody", "--pre -n gpu").await);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("create deployments.apps in namespace gpu"),
        "{text}"
    );
    assert!(text.contains("cluster-admin"), "{text}");
}

/// Who may read nothing is told so, and no line looks like a broken link.
async fn without_rights(operator: &Operator) {
    let (code, text) = printed(&operator.check_as("nobody", "").await);
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains('×') && !text.contains('‼'), "{text}");
    for line in [
        "√ Kubernetes is 1.33 or newer",
        "· the webhook configuration is as it is shipped\n    you may not read MutatingWebhookConfigurations",
        "· each pool has its Nodes",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let end = text.lines().last().unwrap_or_default();
    assert!(
        end.starts_with("√ all is well; ") && end.ends_with("could not be checked"),
        "{end}"
    );
}

/// How long it waits, and how it ends.
async fn waits(operator: &Operator) {
    operator.shell("kubectl cordon danilo.home.arpa").await;
    let (code, text) = printed(&operator.check("--wait 2s -o short").await);
    assert_eq!(code, Some(124), "{text}");
    assert!(
        text.starts_with("berth-nodes\n-----------\n× intel-arc: its Nodes take Pods\n"),
        "{text}"
    );
    let (waited, _) = tokio::join!(
        operator.check("--wait 60s"),
        operator.shell("kubectl uncordon danilo.home.arpa")
    );
    assert_eq!(waited.status.code(), Some(0));
}

/// A port of this machine at which the API server finds the replica, as it would find a Pod: of an address that is not
/// loopback, which no endpoint may have.
struct Way {
    address: SocketAddr,
    listener: std::net::TcpListener,
    tasks: JoinSet<()>,
}

/// What becomes of a connection.
#[derive(Clone, Copy)]
enum Goes {
    /// It reaches the replica.
    To(SocketAddr),
    /// Nobody answers, as behind a firewall that drops packets.
    Nowhere,
}

impl Way {
    /// None where this machine has no other address than loopback.
    fn new() -> Option<Self> {
        // nothing is sent: it is asked from where it would be
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("192.0.2.1:9").ok()?;
        let ip = socket.local_addr().ok()?.ip();
        let listener = std::net::TcpListener::bind((ip, 0)).ok()?;
        listener.set_nonblocking(true).ok()?;
        Some(Self {
            address: listener.local_addr().ok()?,
            listener,
            tasks: JoinSet::new(),
        })
    }

    /// Ends every connection, and goes on so.
    async fn leads(&mut self, goes: Goes) {
        self.tasks.shutdown().await;
        let listener = self.listener.try_clone().and_then(TcpListener::from_std);
        let listener = listener.expect("its port");
        self.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                connections.spawn(async move {
                    match goes {
                        Goes::To(replica) => {
                            let mut replica = TcpStream::connect(replica).await?;
                            copy_bidirectional(&mut client, &mut replica)
                                .await
                                .map(drop)
                        }
                        Goes::Nowhere => std::future::pending().await,
                    }
                });
            }
        });
    }
}

impl Operator {
    /// Installs the chart, whose Pods are then said to be at the addresses, of which one is for the admin port. What serves there is the replica that is given
    /// back, with the installed certificate and rights. None where this machine has no control plane.
    async fn of_chart([address, admin]: [SocketAddr; 2]) -> Option<(Self, Serving)> {
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
        let serving = operator.serve().await;
        Some((operator, serving))
    }

    /// A process with the installed certificate, as the installed ServiceAccount.
    async fn serve(&self) -> Serving {
        let folder = arg(self.folder.path());
        for file in ["tls.crt", "tls.key"] {
            let escaped = file.replace('.', r"\.");
            self.shell(&format!(
                "kubectl get secret berth-tls -n berth -o jsonpath='{{.data.{escaped}}}' | base64 -d > {folder}/{file}"
            ))
            .await;
        }
        let account = "system:serviceaccount:berth:berth";
        let kubeconfig = self.control_plane().kubeconfig_without_rights(account);
        let flags = [
            "--table-source=cluster".to_owned(),
            format!("--kubeconfig={}", kubeconfig.expect("a file").display()),
            format!("--tls-cert={folder}/tls.crt"),
            format!("--tls-key={folder}/tls.key"),
        ];
        let berth = Path::new(env!("CARGO_BIN_EXE_berth"));
        let serving = Serving::start(self.control_plane(), berth, &flags).await;
        serving.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// With a Service as it is installed: what leads to the replicas, and a control plane that does not reach them.
#[tokio::test]
async fn a_service_that_leads_nowhere_and_a_port_that_is_not_reached_are_told_apart() {
    let (Some(mut way), Some(mut admin)) = (Way::new(), Way::new()) else {
        return;
    };
    let addresses = [way.address, admin.address];
    let Some((operator, serving)) = Operator::of_chart(addresses).await else {
        return;
    };
    let replica = Goes::To(serving.webhook);
    way.leads(replica).await;
    admin.leads(Goes::To(serving.admin)).await;
    let said = operator.is_well().await;
    the_page_shows_it(&operator, &said).await;
    let at = format!(
        "√ the caBundle verifies the certificate that is served at {}",
        way.address
    );
    assert!(said.contains(&at), "{said}");

    for link in OF_THE_SERVICE {
        operator.breaks(link).await;
    }
    // the control plane alone does not get there
    for (goes, means, advice) in [
        (
            Goes::Nowhere,
            "the control plane does not reach the port",
            "--set webhook.port=10250",
        ),
        (
            Goes::To(SocketAddr::from(([127, 0, 0, 1], 1))),
            "nothing listens at the port",
            "see whether berth runs",
        ),
    ] {
        way.leads(goes).await;
        let only = async || {
            let bad = operator.bad().await;
            let [one] = bad.as_slice() else { return None };
            one.found.starts_with(means).then_some(bad)
        };
        let Some(bad) = eventually(only).await else {
            panic!("{means}: {:#?}", operator.bad().await);
        };
        assert!(
            bad[0].what.contains("comes back placed from a dry run"),
            "{bad:?}"
        );
        let (_, said) = printed(&operator.check("-o short").await);
        assert!(said.contains(advice), "{said}");
        // the API server reaches the other port, and tells of the table
        let (_, said) = printed(&operator.check("").await);
        assert!(said.contains("is not reached from here"), "{said}");
        assert!(
            said.contains("√ every replica has the same table ("),
            "{said}"
        );
        way.leads(replica).await;
        operator.is_well().await;
    }
}

/// What differs from one run to another, in the form of the page.
fn normal(text: &str) -> String {
    let mut text = text.trim_end().to_owned();
    for (varies, form) in [
        (r"served at \S+", "served at ADDRESS"),
        (r"valid for \d+ days", "valid for N days"),
        (r"holds the Lease: \S+", "holds the Lease: ID"),
    ] {
        let varies = Regex::new(varies).expect("an expression");
        text = varies.replace_all(&text, form).into_owned();
    }
    text
}

/// docs/check.md shows what a check prints where all is well, and where a Node has a taint.
async fn the_page_shows_it(operator: &Operator, said: &str) {
    let page = fs::read_to_string(path("docs/check.md")).expect("the page");
    let block = |command: &str| {
        let (_, rest) = page
            .split_once(&format!("```console\n$ {command}\n"))
            .expect("a block");
        let (block, _) = rest.split_once("```").expect("its end");
        normal(block)
    };
    assert_eq!(block("berth check"), normal(said));
    let readme = fs::read_to_string(path("README.md")).expect("the README");
    let end = said.lines().last().unwrap_or_default();
    assert!(readme.contains(end), "{end}");
    let taint = "kubectl taint nodes elminster.home.arpa gpu=true:NoSchedule";
    operator.shell(taint).await;
    let short = async || normal(&printed(&operator.check("-o short").await).1);
    let wanted = block("berth check -o short");
    let same = eventually(async || (short().await == wanted).then_some(())).await;
    assert!(same.is_some(), "{}", short().await);
    operator.shell(&format!("{taint}-")).await;
    operator.is_well().await;
}
