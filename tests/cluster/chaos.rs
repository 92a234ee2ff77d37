//! What happens to a replica that is told nothing: it is killed, it is stopped, it is given what is broken. Pods are created
//! meanwhile; which of them may fail is said by each test, and none gets through without its placement.

use std::{
    fs,
    ops::Range,
    time::{Duration, Instant},
};

use berth_cluster::{Error, PATIENCE, Serving};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use rcgen::KeyPair;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    common::client::{get, metric, ready},
    load::{Creates, Load},
    stand::{Stand, is_soak, replace, stand, times},
};

/// Less than the API server waits for a replica that is stopped, which is `timeoutSeconds: 5`, with room for a machine that
/// is busy.
const SHORT: Duration = Duration::from_secs(2);
/// More than that.
const LONG: Duration = Duration::from_secs(8);

/// Tables that are never put in force: no YAML, a field of a wrong type, a pool that is not there, nothing at all.
const BROKEN: [&str; 4] = [
    "apiVersion: [",
    "apiVersion: berth.dev/v1alpha1\nkind: GPUPool\nmetadata: {name: x}\nspec: {hostnames: 7, resourceName: amd.com/gpu}\n",
    "apiVersion: berth.dev/v1alpha1\nkind: WorkloadClass\nmetadata: {name: vllm}\nspec: {pools: [{name: nowhere}]}\n",
    "# nothing\n",
];
/// The sources of `berth_reloads_total`.
const TABLE: &str = "table";
const CERTIFICATE: &str = "certificate";

fn ok<T>(outcome: Result<T, Error>) -> T {
    outcome.unwrap_or_else(|error| panic!("{error}"))
}

/// Only creates that were on their way when a replica was killed may fail, or that came after that and before its endpoint
/// was gone: they were led to a port where nothing listens.
#[tokio::test]
async fn kills_of_a_replica_fail_no_create_but_those_in_flight() {
    let Some(mut stand) = stand(&[]).await else {
        return;
    };
    let mut load = Load::start(&stand.cluster, Creates::DryRuns);
    let kills = times(1, 50);
    let (mut killed, mut until_gone) = (Vec::new(), Vec::new());
    for _ in 0..kills {
        load.more(20).await;
        let victim = stand.replicas.serving()[0];
        let began = Instant::now();
        ok(stand.replicas.kill(victim).await);
        killed.push(began);
        until_gone.push(began..Instant::now());
        // as kubelet starts a container again
        ok(stand.replicas.add().await);
    }
    load.more(20).await;
    let tally = load.stop().await;
    let in_flight = tally.in_flight_at(&killed);
    println!("{kills} kills, {in_flight} creates failed that were in flight at one: {tally}");
    tally.fails_only_during(&until_gone);
}

/// The API server waits for a replica that is stopped, and fails no create if it goes on in time. If it does not, those
/// fail that it has; none does after that.
#[tokio::test]
async fn stops_of_a_replica_fail_no_create_for_which_the_api_server_waits() {
    let Some(stand) = stand(&[]).await else {
        return;
    };
    let (short, long) = (times(1, 20), times(0, 5));
    let mut load = Load::start(&stand.cluster, Creates::DryRuns);
    for _ in 0..short {
        stop(&stand, &mut load, SHORT).await;
    }
    let tally = load.stop().await;
    println!("{short} stops of {SHORT:?}: {tally}");
    tally.is_without_failure();
    if long > 0 {
        let mut load = Load::start(&stand.cluster, Creates::DryRuns);
        let mut stops = Vec::new();
        for _ in 0..long {
            stops.push(stop(&stand, &mut load, LONG).await);
        }
        let tally = load.stop().await;
        println!("{long} stops of {LONG:?}: {tally}");
        tally.fails_only_during(&stops);
    }
}

/// Stops a replica for so long, and waits until it gets connections again.
async fn stop(stand: &Stand, load: &mut Load, time: Duration) -> Range<Instant> {
    load.more(20).await;
    let victim = stand.replicas.serving()[0];
    let began = Instant::now();
    ok(victim.signal("STOP"));
    sleep(time).await;
    ok(victim.signal("CONT"));
    ok(stand.replicas.joins(victim).await);
    load.more(20).await;
    began..Instant::now()
}

/// How often a replica refused what it read of a source.
async fn refused(replica: Serving, source: &str) -> u64 {
    let series = format!("berth_reloads_total{{source=\"{source}\",result=\"invalid\"}} ");
    let text = get(replica.admin, "/metrics").await;
    let count = text.lines().find_map(|line| line.strip_prefix(&series));
    // it begins with the first
    count.map_or(0, |count| count.parse().expect("a number"))
}

/// Whether what a replica read last of a source is in force.
async fn is_in_force(replica: Serving, source: &str) -> bool {
    let series = format!("berth_source_invalid{{source=\"{source}\"}}");
    metric(replica.admin, &series).await == 0
}

/// Asks each replica until it says so: how long that took.
async fn each(stand: &Stand, wanted: impl AsyncFn(Serving) -> bool) -> Duration {
    let began = Instant::now();
    for replica in stand.replicas.serving() {
        while !wanted(*replica).await {
            assert!(began.elapsed() < PATIENCE, "a replica does not notice");
            // its metrics change when they do: there is nothing to watch
            sleep(Duration::from_millis(20)).await;
        }
    }
    began.elapsed()
}

/// Puts a key beside the certificate that is not its own, into the Secret: cert-manager issues another pair at once.
async fn break_the_pair(stand: &Stand) {
    let secrets: Api<Secret> = Api::namespaced(stand.cluster.client(), "berth");
    let key = KeyPair::generate().expect("a key").serialize_pem();
    let data = json!({"data": {"tls.key": ByteString(key.into_bytes())}});
    let (params, patch) = (PatchParams::default(), Patch::Merge(data));
    let patched = secrets.patch("berth-tls", &params, &patch).await;
    patched.expect("a Secret");
}

#[tokio::test]
async fn tables_and_pairs_that_are_broken_are_never_in_force_and_fail_no_create() {
    let Some(mut stand) = stand(&[]).await else {
        return;
    };
    let good = fs::read_to_string(&stand.table).expect("a table");
    let mut load = Load::start(&stand.cluster, Creates::DryRuns);
    let rounds = times(1, 60);
    let mut footprint = None;
    for round in 0..rounds {
        let mut before = Vec::new();
        for replica in stand.replicas.serving() {
            before.push((replica.id(), refused(*replica, CERTIFICATE).await));
        }
        replace(&stand.table, BROKEN[round % BROKEN.len()]);
        break_the_pair(&stand).await;
        each(&stand, async |replica| !is_in_force(replica, TABLE).await).await;
        let seen = async |replica: Serving| {
            let before = before.iter().find(|(id, _)| *id == replica.id());
            refused(replica, CERTIFICATE).await > before.expect("a replica").1
        };
        each(&stand, seen).await;
        for replica in stand.replicas.serving() {
            assert_eq!(ready(replica.admin).await.0, 200);
        }
        load.more(10).await;
        replace(&stand.table, &good);
        each(&stand, async |replica| is_in_force(replica, TABLE).await).await;
        let both = async |replica| is_in_force(replica, CERTIFICATE).await;
        each(&stand, both).await;
        if round == rounds / 5 {
            footprint = Some(stand.footprint().await);
        }
    }
    stand.connect_anew().await;
    load.more(20).await;
    let tally = load.stop().await;
    println!("{rounds} broken tables and as many broken pairs: {tally}");
    tally.is_without_failure();
    stand.is_flat_since(&footprint.expect("a first one")).await;
}

#[tokio::test]
async fn tables_that_are_broken_at_the_start_of_both_replicas_let_nothing_through() {
    let Some(mut stand) = stand(&[]).await else {
        return;
    };
    let good = fs::read_to_string(&stand.table).expect("a table");
    let mut load = Load::start(&stand.cluster, Creates::DryRuns);
    for round in 0..times(1, 4) {
        replace(&stand.table, BROKEN[round % BROKEN.len()]);
        // as a rollout: it does not become ready, and the old ones serve on
        let new = ok(stand.replicas.start_one().await);
        let (code, why) = ready(new.admin).await;
        assert_eq!(code, 503, "{why}");
        load.more(20).await;
        ok(stand.replicas.kill(new).await);
    }
    let tally = load.stop().await;
    println!("replicas that are never ready beside two that are: {tally}");
    tally.is_without_failure();

    let mut load = Load::start(&stand.cluster, Creates::DryRuns);
    let mut broken = Vec::new();
    for round in 0..times(1, 10) {
        load.more(20).await;
        let began = Instant::now();
        replace(&stand.table, BROKEN[round % BROKEN.len()]);
        for old in stand.replicas.serving().to_vec() {
            ok(stand.replicas.kill(old).await);
        }
        for _ in 0..2 {
            let new = ok(stand.replicas.start_one().await);
            assert_eq!(ready(new.admin).await.0, 503);
        }
        load.more(20).await;
        replace(&stand.table, &good);
        let is_ready = async |replica: Serving| ready(replica.admin).await.0 == 200;
        let took = each(&stand, is_ready).await;
        println!("both replicas are ready {took:.1?} after the table is mended");
        // on a machine that does other things, too, it may take longer
        assert!(
            took < if is_soak() {
                Duration::from_secs(1)
            } else {
                PATIENCE
            }
        );
        for replica in stand.replicas.serving() {
            ok(stand.replicas.joins(*replica).await);
        }
        broken.push(began..Instant::now());
        load.more(20).await;
    }
    let tally = load.stop().await;
    println!("both replicas into a broken table: {tally}");
    tally.fails_only_during(&broken);
    assert!(!tally.failed.is_empty(), "nobody served, and nobody failed");
}
