//! `make cluster`: a whole cluster for a person to try berth in, until Ctrl-C.

use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use berth_cluster::{Certificate, Homelab, Options, Setup, Source, homelab, until};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, ResourceExt, api::ListParams, runtime::watcher};
use tokio::signal::unix::{SignalKind, signal};

/// The namespace of `examples/workloads/homelab.yaml`.
const NAMESPACE: &str = "ai";
/// How many Pods its Deployments have.
const PODS: usize = 5;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let serve = async {
        let homelab = start().await?;
        Ok::<_, Box<dyn Error>>(homelab)
    };
    let homelab = tokio::select! {
        started = serve => started?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("\nending");
    drop(homelab);
    Ok(())
}

/// Starts everything, and shows it.
async fn start() -> Result<Homelab, Box<dyn Error>> {
    let began = Instant::now();
    let checkout = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let setup = Setup {
        berth: berth()?,
        table: checkout.join("examples/homelab.yaml"),
        source: Source::Cluster,
        certificate: Certificate::CertManager,
    };
    eprintln!(
        "starting etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok and cert-manager"
    );
    let homelab = Homelab::start(&Options::default(), &setup).await?;
    let control_plane = homelab.control_plane();
    eprintln!(
        "berth is installed, with cert-manager's certificate and its table in the cluster: applying examples/workloads/homelab.yaml"
    );
    let workloads = checkout.join("examples/workloads/homelab.yaml");
    let applied = control_plane
        .kubectl()?
        .arg("apply")
        .arg("-f")
        .arg(&workloads)
        .output()?;
    if !applied.status.success() {
        return Err(String::from_utf8_lossy(&applied.stderr).into());
    }
    let client = control_plane.client().await?;
    let pods = running(&client).await?;
    eprintln!("up after {:.0} s\n", began.elapsed().as_secs_f64());
    print!("{}", table(&client, &pods).await?);
    next(&homelab, &setup.berth)?;
    Ok(homelab)
}

/// The binary that was built beside this one.
fn berth() -> Result<PathBuf, Box<dyn Error>> {
    let here = std::env::current_exe()?;
    let folder = here.parent().ok_or("not in a target folder")?;
    Ok(folder.join("berth"))
}

async fn running(client: &Client) -> Result<Vec<Pod>, Box<dyn Error>> {
    let api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let all = until(
        api,
        watcher::Config::default(),
        |pods: &BTreeMap<String, Pod>| {
            let running = pods.values().filter(|pod| {
                let status = pod.status.as_ref();
                status.and_then(|status| status.phase.as_deref()) == Some("Running")
            });
            let running: Vec<Pod> = running.cloned().collect();
            (running.len() == PODS).then_some(running)
        },
    );
    all.await
        .map_err(|pods| format!("not all Pods run: {:?}", pods.keys()).into())
}

/// Which Pod runs where.
async fn table(client: &Client, pods: &[Pod]) -> Result<String, Box<dyn Error>> {
    let nodes: Api<Node> = Api::all(client.clone());
    let nodes = nodes.list(&ListParams::default()).await?;
    let hostname = |pod: &Pod| {
        let name = pod.spec.as_ref()?.node_name.as_deref();
        let node = nodes
            .iter()
            .find(|node| node.metadata.name.as_deref() == name)?;
        node.labels().get(homelab::HOSTNAME).cloned()
    };
    let mut text = row("POD", "NODE", "POOL", "LIMIT");
    for pod in pods {
        let pool = pod.annotations().get("berth.dev/pool").cloned();
        text += &row(
            &pod.name_any(),
            &hostname(pod).unwrap_or_default(),
            &pool.unwrap_or_default(),
            &gpu(pod).unwrap_or_default(),
        );
    }
    Ok(text)
}

fn row(pod: &str, node: &str, pool: &str, limit: &str) -> String {
    format!("{pod:<34}{node:<12}{pool:<14}{limit}\n")
}

/// The extended resource among the limits of a Pod's first container.
fn gpu(pod: &Pod) -> Option<String> {
    let container = pod.spec.as_ref()?.containers.first()?;
    let limits = container.resources.as_ref()?.limits.as_ref()?;
    let (name, count) = limits.iter().find(|(name, _)| name.contains('/'))?;
    Some(format!("{name}: {}", count.0))
}

/// What to try, in another terminal.
fn next(homelab: &Homelab, berth: &Path) -> Result<(), berth_cluster::Error> {
    let control_plane = homelab.control_plane();
    let board = homelab.webhook().serving.admin;
    let kubeconfig = control_plane.kubeconfig()?;
    let kubectl = control_plane.parts().path("kubectl")?;
    println!(
        "
The nodes are played by kwok: a Pod is placed and counted as in any cluster, and runs nothing.

The board, with every GPU and who has it: http://{board}/

In another terminal:

  export KUBECONFIG={kubeconfig}
  alias kubectl={kubectl} berth={berth}

  # is it installed right? each link from the API server to a GPU
  berth check
  # the table: edit it, and the next Pod is placed by what you wrote
  kubectl get gpupools,workloadclasses
  # what would a first Pod get? nothing is stored
  kubectl run first --image=demo --labels=berth.dev/workload-class=whisper --dry-run=server -o yaml
  # there is no third slice of the card: it stays Pending. Why, who has the others, and what would help?
  kubectl run first --image=demo --labels=berth.dev/workload-class=whisper && berth explain pod/first
  # what may a namespace use, and what of it is free?
  berth classes -n {NAMESPACE}
  # until XTTS gives its slice back
  kubectl scale -n {NAMESPACE} deployment/xtts --replicas=0 && kubectl get pod first -o wide --watch
  # a class that does not exist
  kubectl run second --image=demo --labels=berth.dev/workload-class=wisper

Ctrl-C ends it all.",
        kubeconfig = kubeconfig.display(),
        kubectl = kubectl.display(),
        berth = berth.display(),
    );
    Ok(())
}
