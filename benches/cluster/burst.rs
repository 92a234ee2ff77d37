//! Many real creates at once, with two replicas behind one Service: berth's, a constant answer's, and with neither.

use std::{
    env, fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::Request;
use berth_cluster::{Certificate, Homelab, Options, Replicas, Serving, Setup, Source};
use berth_core::names::CLASS_LABEL;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams},
    runtime::watcher,
};

use crate::{
    Failure,
    chart::{Axis, Line, Panel, draw},
    subjects::{namespace, pod},
};

/// Creates of one turn, and how many of them are under way at once.
const CREATES: usize = 2_000;
const AT_ONCE: usize = 64;
/// Turns of each.
const TURNS: usize = 3;
const NAMESPACE: &str = "burst";

/// What one of the contenders needed in all of its turns.
#[derive(Debug)]
struct Took {
    name: &'static str,
    creates: Vec<Duration>,
    wall: Duration,
    cpu: Duration,
}

/// Measures, prints and draws.
pub(crate) async fn run() -> Result<(), Failure> {
    let setup = |server| Setup {
        berth: server,
        table: concat!(env!("CARGO_MANIFEST_DIR"), "/examples/homelab.yaml").into(),
        source: Source::Files,
        certificate: Certificate::OfTheControlPlane,
    };
    let berth = setup(env!("CARGO_BIN_EXE_berth").into());
    let homelab = Homelab::start(&Options::default(), &berth).await?;
    let client = homelab.control_plane().client().await?;
    namespace(&client, NAMESPACE).await?;
    let mut berth = Replicas::start(&homelab, &berth, &[]).await?;
    let mut constant = Replicas::start(&homelab, &setup(env::current_exe()?), &[]).await?;
    let mut all = ["berth", "a constant answer", "nothing"].map(Took::new);
    let mut replicas = [Some(&mut berth), Some(&mut constant), None];
    let count = all.len();
    for turn in 0..TURNS {
        // three turns are too few for chance
        for i in (turn..turn + count).map(|i| i % count) {
            all[i].turn(&client, replicas[i].as_deref_mut()).await?;
        }
    }
    println!("{TURNS} times {CREATES} real creates, {AT_ONCE} at once");
    for took in &mut all {
        took.creates.sort_unstable();
        println!("{}", took.text());
    }
    let panel = Panel {
        x: Axis::tens("ms of a create"),
        y: Axis::tens("% of creates that take longer"),
        lines: all.iter().map(Took::line).collect(),
    };
    draw("docs/cost-burst.svg", &[panel])
}

impl Took {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            creates: Vec::new(),
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
        }
    }

    /// A burst, after the API server has connected anew to the replicas; without any, of Pods that nobody is asked about.
    async fn turn(
        &mut self,
        client: &Client,
        replicas: Option<&mut Replicas<'_>>,
    ) -> Result<(), Failure> {
        let mut body = pod(0);
        let mut serving: Vec<Serving> = Vec::new();
        if let Some(replicas) = replicas {
            body["metadata"]["labels"][CLASS_LABEL] = "vllm".into();
            let ask = Arc::new(body.to_string());
            tokio::select! {
                connected = replicas.connect_anew() => connected?,
                failed = ask_on(client, &ask) => failed?,
            }
            serving = replicas.serving().to_vec();
        } else {
            body["metadata"]["labels"] = serde_json::json!({"app": "vllm"});
        }
        let is_placed = !serving.is_empty();
        let body = Arc::new(body.to_string());
        let before = cpu(&serving)?;
        let started = Instant::now();
        self.creates.extend(burst(client, &body, is_placed).await?);
        self.wall += started.elapsed();
        self.cpu += cpu(&serving)?.saturating_sub(before);
        sweep(client).await
    }

    fn text(&self) -> String {
        let at = |share: f64| self.quantile(share).as_secs_f64() * 1e3;
        let count = self.creates.len();
        let cpu = self.cpu.as_secs_f64() * 1e6 / count as f64;
        format!(
            "{:18} p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms, {:.0} creates a second, {cpu:.1} µs of CPU a review",
            self.name,
            at(0.5),
            at(0.99),
            at(1.0),
            count as f64 / self.wall.as_secs_f64()
        )
    }

    /// Of sorted times.
    fn quantile(&self, share: f64) -> Duration {
        let last = self.creates.len().saturating_sub(1);
        self.creates
            .get((share * last as f64) as usize)
            .copied()
            .unwrap_or_default()
    }

    /// From half of the creates to one in a thousand, at equal steps of the logarithm.
    fn line(&self) -> Line {
        let point = |step: i32| {
            let longer = 10_f64.powf(-f64::from(step) / 20.0);
            (
                self.quantile(1.0 - longer).as_secs_f64() * 1e3,
                longer * 100.0,
            )
        };
        Line {
            name: self.name,
            points: (0..=60).map(point).collect(),
        }
    }
}

/// Creates again and again, and ends with the first error alone.
async fn ask_on(client: &Client, body: &str) -> Result<(), Failure> {
    loop {
        create(client, body, "?dryRun=All").await?;
    }
}

async fn burst(
    client: &Client,
    body: &Arc<String>,
    is_placed: bool,
) -> Result<Vec<Duration>, Failure> {
    let left = Arc::new(AtomicUsize::new(CREATES));
    let tasks = (0..AT_ONCE).map(|_| {
        let (client, body, left) = (client.clone(), Arc::clone(body), Arc::clone(&left));
        tokio::spawn(async move {
            let mut took = Vec::new();
            let one_less = |left: usize| left.checked_sub(1);
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                .is_ok()
            {
                let started = Instant::now();
                let stored = create(&client, &body, "").await?;
                took.push(started.elapsed());
                if is_placed != stored.contains("berth.dev/pool") {
                    return Err(format!("wrongly placed: {stored}").into());
                }
            }
            Ok::<_, Failure>(took)
        })
    });
    let mut all = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await??);
    }
    Ok(all)
}

async fn create(client: &Client, body: &str, query: &str) -> Result<String, Failure> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods{query}");
    let request = Request::post(path).header("Content-Type", "application/json");
    Ok(client
        .request_text(request.body(body.as_bytes().to_vec())?)
        .await?)
}

/// Removes the Pods, which is not timed.
async fn sweep(client: &Client) -> Result<(), Failure> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let at_once = DeleteParams::default().grace_period(0);
    pods.delete_collection(&at_once, &ListParams::default())
        .await?;
    let gone = berth_cluster::until(pods, watcher::Config::default(), |pods| {
        pods.is_empty().then_some(())
    });
    gone.await.map_err(|_| "Pods are left".into())
}

/// What all threads of the replicas have run so far, to the nanosecond.
fn cpu(serving: &[Serving]) -> Result<Duration, Failure> {
    let mut all = Duration::ZERO;
    for serving in serving {
        for thread in fs::read_dir(format!("/proc/{}/task", serving.id()))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            let ran = text.split_whitespace().next().ok_or("an empty schedstat")?;
            all += Duration::from_nanos(ran.parse()?);
        }
    }
    Ok(all)
}
