//! Two replicas, one chooser: bursts of Pods over two vendors' pools, while the holder of the Lease lives, is killed, is
//! stopped, and cannot be asked.

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use berth_cluster::{Certificate, Cluster, Homelab, Options, Replicas, Serving, Setup, Source};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    choice::{apply, has_free, node, table_object},
    common::{
        client::{builder, get},
        path,
    },
    eventually,
    load::{Creates, Load},
    objects::{bound, object},
};

/// So many Pods come at once.
const COUNT: usize = 100;
/// So many reviews tell what asking the holder costs.
const REVIEWS: usize = 200;
/// The replicas' name.
const NAME: &str = "berth.berth.svc";
/// No create takes longer, whatever becomes of the holder.
const LONGEST: Duration = Duration::from_secs(5);

/// Two replicas behind the stand-in for a Service, with their table in the cluster. None where this machine has none.
async fn homelab() -> Option<(Homelab, Setup)> {
    homelab_with(&[]).await
}

/// The same, with more flags of the API server.
pub async fn homelab_with(api_server: &[String]) -> Option<(Homelab, Setup)> {
    let setup = Setup {
        berth: env!("CARGO_BIN_EXE_berth").into(),
        table: path("examples/homelab.yaml"),
        source: Source::Cluster,
        certificate: Certificate::OfTheControlPlane,
    };
    let options = Options {
        kubernetes: std::env::var(crate::KUBERNETES).ok(),
        api_server: api_server.to_vec(),
    };
    match Homelab::start(&options, &setup).await {
        Ok(homelab) => Some((homelab, setup)),
        Err(berth_cluster::Error::Missing(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

async fn replicas<'a>(homelab: &'a Homelab, setup: &Setup, cluster: &Cluster<'_>) -> Replicas<'a> {
    replicas_with(homelab, setup, cluster, &[]).await
}

/// The same, with more flags of berth.
pub async fn replicas_with<'a>(
    homelab: &'a Homelab,
    setup: &Setup,
    cluster: &Cluster<'_>,
    flags: &[String],
) -> Replicas<'a> {
    let flags = [&["--drain-period=0s".to_owned()], flags].concat();
    let replicas = Replicas::start(homelab, setup, &flags).await;
    let mut replicas = replicas.unwrap_or_else(|error| panic!("{error}"));
    let load = Load::start(cluster, Creates::DryRuns);
    let connected = replicas.connect_anew().await;
    connected.unwrap_or_else(|error| panic!("{error}"));
    load.stop().await;
    // the homelab's own holds the Lease until now
    let ended = homelab.webhook().serving.terminate();
    ended.unwrap_or_else(|error| panic!("{error}"));
    holder(&replicas).await;
    replicas
}

/// The replica that holds the Lease.
async fn holder(replicas: &Replicas<'_>) -> Serving {
    let found = eventually(async || {
        for replica in replicas.serving() {
            if says(*replica, "berth_lease_held 1").await {
                return Some(*replica);
            }
        }
        None
    });
    found.await.expect("one of them holds it")
}

async fn says(replica: Serving, line: &str) -> bool {
    let metrics = get(replica.admin, "/metrics").await;
    metrics.lines().any(|it| it == line)
}

/// How many reviews the replicas sent to the holder, by result.
async fn forwards(replicas: &Replicas<'_>) -> [u64; 3] {
    let mut sums = [0; 3];
    for replica in replicas.serving() {
        let metrics = get(replica.admin, "/metrics").await;
        for (sum, result) in sums.iter_mut().zip(["answered", "failed", "skipped"]) {
            let series = format!("berth_forwards_total{{result=\"{result}\"}} ");
            let count = metrics.lines().find_map(|line| line.strip_prefix(&series));
            *sum += count.map_or(0, |count| count.parse::<u64>().expect("a number"));
        }
    }
    sums
}

/// A class of two vendors' pools with so many GPUs, in force with all replicas.
pub async fn class(cluster: &Cluster<'_>, replicas: &Replicas<'_>, name: &str, gpus: [usize; 2]) {
    let vendors = [("amd", "amd.com/gpu"), ("nvidia", "nvidia.com/gpu")];
    let mut objects = Vec::new();
    for ((vendor, resource), gpus) in vendors.into_iter().zip(gpus) {
        let pool = format!("{name}-{vendor}");
        let spec =
            json!({"resourceName": resource, "nodeSelector": {"matchLabels": {"kind": pool}}});
        objects.push(table_object("GPUPool", &pool, spec));
        for (i, gpus) in [gpus / 2, gpus - gpus / 2].into_iter().enumerate() {
            objects.push(node(&format!("{pool}-{i}"), &pool, Some((resource, gpus))));
        }
    }
    let pools: Vec<Value> = vendors
        .map(|(vendor, _)| json!({"name": format!("{name}-{vendor}")}))
        .into();
    objects.push(table_object("WorkloadClass", name, json!({"pools": pools})));
    apply(cluster, &objects).await;
    let classes = format!("class \"{name}\"");
    let free: Vec<_> = vendors
        .iter()
        .zip(gpus)
        .map(|((vendor, _), gpus)| (format!("{name}-{vendor}"), gpus))
        .collect();
    let in_force = eventually(async || {
        for replica in replicas.serving() {
            let table = get(replica.admin, "/debug/table").await;
            if !table.contains(&format!("\"{name}\"")) {
                return None;
            }
        }
        // the scheduler and the statuses see the Nodes, too
        has_free(cluster, &free).await.then_some(())
    });
    assert!(in_force.await.is_some(), "{classes} is not in force");
}

/// What came of a burst.
#[derive(Debug, Default)]
struct Tally {
    /// Creates that failed, with when they were on their way. Each was tried again, as a controller does.
    failed: Vec<(Instant, Instant, String)>,
    slowest: Duration,
}

/// Creates Pods of a class, all at once and tried again until they are there. Something may be done in the middle.
async fn burst<T>(
    cluster: &Cluster<'_>,
    class: &str,
    meanwhile: impl Future<Output = T>,
) -> (Tally, T) {
    let mut creating = JoinSet::new();
    for _ in 0..COUNT {
        let api: Api<Pod> = cluster.api();
        let pod: Pod = object(json!({
            "metadata": {"generateName": format!("{class}-"), "labels": {"app": class, "berth.dev/workload-class": class}},
            "spec": {"containers": [{"name": "main", "image": "main"}]},
        }));
        creating.spawn(async move {
            let mut tally = Tally::default();
            loop {
                let began = Instant::now();
                let created = api.create(&PostParams::default(), &pod).await;
                tally.slowest = tally.slowest.max(began.elapsed());
                match created {
                    Ok(_) => return tally,
                    Err(error) => tally
                        .failed
                        .push((began, Instant::now(), error.to_string())),
                }
                sleep(Duration::from_millis(100)).await;
            }
        });
    }
    let done = meanwhile.await;
    let mut sum = Tally::default();
    let all = async {
        while let Some(tally) = creating.join_next().await {
            let tally = tally.expect("no panic");
            sum.failed.extend(tally.failed);
            sum.slowest = sum.slowest.max(tally.slowest);
        }
    };
    timeout(Duration::from_mins(1), all)
        .await
        .expect("all are created");
    (sum, done)
}

/// How many of a burst wait when the scheduler has looked at each.
async fn waiting(cluster: &Cluster<'_>, class: &str, wanted: RangeInclusive<usize>) -> usize {
    let api: Api<Pod> = cluster.api();
    let label = format!("app={class}");
    let counts = async || Some(COUNT - bound(&api, &label, COUNT).await?);
    let settled = eventually(async || counts().await.filter(|it| wanted.contains(it))).await;
    match settled {
        Some(waiting) => waiting,
        None => counts().await.expect("the scheduler has looked at each"),
    }
}

/// Not one Pod waits but those that could not run, where each review is answered by the one that chooses. On a machine that
/// is too busy for 300 ms, a replica chooses for itself: each such choice leaves one Pod waiting at most.
#[tokio::test]
async fn two_replicas_leave_none_pending_that_could_run() {
    let Some((homelab, setup)) = homelab().await else {
        return;
    };
    let cluster = homelab.cluster().await;
    let replicas = replicas(&homelab, &setup, &cluster).await;
    let mut before = forwards(&replicas).await;
    for (gpus, left) in [
        ([50, 50], 0),
        ([60, 60], 0),
        ([10, 90], 0),
        ([3, 97], 0),
        ([40, 50], 10),
    ] {
        let name = format!("of-{}-{}", gpus[0], gpus[1]);
        class(&cluster, &replicas, &name, gpus).await;
        let (tally, ()) = burst(&cluster, &name, async {}).await;
        let forwards = forwards(&replicas).await;
        let [answered, failed, skipped] = [0, 1, 2].map(|i| forwards[i] - before[i]);
        let alone = usize::try_from(failed + skipped).expect("a count");
        let waiting = waiting(&cluster, &name, left..=left + alone).await;
        println!(
            "{gpus:?}: {waiting} Pending, {answered} reviews sent on and answered, {alone} not, slowest create {:.1?}",
            tally.slowest
        );
        assert_eq!(tally.failed.len(), 0, "{tally:?}");
        assert!(tally.slowest < LONGEST, "{tally:?}");
        let wanted = left..=left + alone;
        assert!(
            wanted.contains(&waiting),
            "{gpus:?}: {waiting}, not {wanted:?}"
        );
        assert!(answered > 0, "one of the replicas was asked nothing");
        before = forwards;
    }
    let [here, there] = prices(&homelab, &replicas, "of-60-60").await;
    println!(
        "a review in which there is something to choose: {here:?} with the holder, {there:?} with the other"
    );
}

/// A client of one replica, as the API server is, and where it asks.
pub fn way(homelab: &Homelab, replica: SocketAddr) -> (reqwest::Client, String) {
    let ca = std::fs::read_to_string(homelab.control_plane().path("ca.crt")).expect("a CA");
    let client = builder(&ca).resolve(NAME, replica).build();
    let url = format!("https://{NAME}:{}/mutate?timeout=10s", replica.port());
    (client.expect("a client"), url)
}

/// The median of what a review takes with the replica that chooses, and with the one that asks it, in turns.
async fn prices(homelab: &Homelab, replicas: &Replicas<'_>, class: &str) -> [Duration; 2] {
    let holder = holder(replicas).await.webhook;
    let mut addresses = replicas.serving().iter().map(|it| it.webhook);
    let other = addresses.find(|it| *it != holder).expect("another");
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "operation": "CREATE", "namespace": "default", "dryRun": true,
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "object": {
                "metadata": {"name": "x", "labels": {"berth.dev/workload-class": class}},
                "spec": {"containers": [{"name": "x"}]},
            },
        },
    });
    let ways = [holder, other].map(|address| way(homelab, address));
    let before = forwards(replicas).await[0];
    let mut times = [const { Vec::new() }; 2];
    for _ in 0..REVIEWS {
        for ((client, url), times) in ways.iter().zip(&mut times) {
            let began = Instant::now();
            let answer = client.post(url).json(&review).send().await;
            let answer = answer.expect("an answer").text().await.expect("text");
            times.push(began.elapsed());
            assert!(answer.contains("JSONPatch"), "{answer}");
        }
    }
    let sent_on = forwards(replicas).await[0] - before;
    assert!(sent_on > 0, "the holder was asked nothing");
    times.map(|mut times| {
        times.sort();
        times[REVIEWS / 2]
    })
}

/// Not one create fails but those that the killed process had, or that were led to it before its endpoint was gone.
#[tokio::test]
async fn a_holder_that_is_stopped_or_killed_in_a_burst_fails_no_create() {
    let Some((homelab, setup)) = homelab().await else {
        return;
    };
    let cluster = homelab.cluster().await;
    let mut replicas = replicas(&homelab, &setup, &cluster).await;
    class(&cluster, &replicas, "stopped", [50, 50]).await;
    class(&cluster, &replicas, "killed", [50, 50]).await;

    let stopped = holder(&replicas).await;
    let stop = async {
        sleep(Duration::from_millis(100)).await;
        stopped.signal("STOP").expect("stopped");
        sleep(Duration::from_secs(2)).await;
        stopped.signal("CONT").expect("goes on");
    };
    let (tally, ()) = burst(&cluster, "stopped", stop).await;
    let left = waiting(&cluster, "stopped", 0..=COUNT).await;
    println!(
        "stopped: {left} Pending, slowest create {:.1?}, forwards {:?}",
        tally.slowest,
        forwards(&replicas).await
    );
    assert_eq!(tally.failed.len(), 0, "{tally:?}");
    assert!(tally.slowest < LONGEST, "{tally:?}");

    let killed = holder(&replicas).await;
    let kill = async {
        sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        replicas
            .kill(killed)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        began..Instant::now()
    };
    let (tally, gone) = burst(&cluster, "killed", kill).await;
    holder(&replicas).await;
    let took = gone.start.elapsed();
    let left = waiting(&cluster, "killed", 0..=COUNT).await;
    println!(
        "killed: {left} Pending, {} failed, slowest create {:.1?}, forwards {:?}",
        tally.failed.len(),
        tally.slowest,
        forwards(&replicas).await
    );
    let elsewhere = tally
        .failed
        .iter()
        .filter(|(began, ended, _)| *ended < gone.start || gone.end < *began);
    assert_eq!(elsewhere.count(), 0, "{tally:?}");
    assert!(tally.slowest < LONGEST, "{tally:?}");
    println!("another replica holds the Lease {took:.1?} after the kill");
    assert!(took < Duration::from_secs(25), "{took:?}");
}

/// Where the holder cannot be asked, each chooses for itself: creates succeed, and some Pods wait. How many is printed.
#[tokio::test]
async fn replicas_that_cannot_ask_each_other_fail_no_create() {
    let Some((homelab, setup)) = homelab().await else {
        return;
    };
    let cluster = homelab.cluster().await;
    // nothing listens there
    let cut = ["--drain-period=0s", "--advertise=127.0.0.1:1"].map(str::to_owned);
    let replicas = Replicas::start(&homelab, &setup, &cut).await;
    let mut replicas = replicas.unwrap_or_else(|error| panic!("{error}"));
    let load = Load::start(&cluster, Creates::DryRuns);
    replicas
        .connect_anew()
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    load.stop().await;
    homelab.webhook().serving.terminate().expect("ended");
    holder(&replicas).await;
    class(&cluster, &replicas, "cut", [50, 50]).await;
    let (tally, ()) = burst(&cluster, "cut", async {}).await;
    let left = waiting(&cluster, "cut", 0..=COUNT).await;
    let forwards = forwards(&replicas).await;
    println!(
        "cut: {left} Pending, slowest create {:.1?}, forwards {forwards:?}",
        tally.slowest
    );
    assert_eq!(tally.failed.len(), 0, "{tally:?}");
    assert!(tally.slowest < LONGEST, "{tally:?}");
    assert!(forwards[1] > 0 && forwards[0] == 0, "{forwards:?}");
}
