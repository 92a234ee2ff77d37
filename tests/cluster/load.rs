//! Creates that go on while something else happens.

use std::{
    fmt,
    time::{Duration, Instant},
};

use berth_cluster::{Cluster, PATIENCE};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, PostParams},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::objects::{limits, pod};

/// How many create at once.
const WORKERS: usize = 4;
/// How often each of them does: 100 creates a second together, where the machine can.
const PACE: Duration = Duration::from_millis(40);

/// What is created.
#[derive(Clone, Copy)]
pub enum Creates {
    /// Dry runs.
    DryRuns,
    /// Dry runs and Pods that are stored, in turn; the latter are deleted at once.
    Both,
}

/// A steady load, until it is stopped or dropped.
pub struct Load {
    workers: JoinSet<Tally>,
    stop: watch::Sender<bool>,
    done: watch::Receiver<usize>,
}

/// What came of it.
#[derive(Default)]
pub struct Tally {
    /// How long each create took.
    pub took: Vec<Duration>,
    /// How many were no dry runs.
    pub stored: usize,
    /// What the creator of each that failed reads.
    pub failed: Vec<String>,
    /// How many were accepted without what berth adds.
    pub unmutated: usize,
}

impl Load {
    /// Begins.
    pub fn start(cluster: &Cluster<'_>, creates: Creates) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (count, done) = watch::channel(0);
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let pods = cluster.api();
            workers.spawn(work(pods, creates, stopped.clone(), count.clone()));
        }
        Self {
            workers,
            stop,
            done,
        }
    }

    /// Waits for so many more creates.
    pub async fn more(&mut self, creates: usize) {
        let wanted = *self.done.borrow() + creates;
        let reached = self.done.wait_for(|&done| done >= wanted);
        let reached = timeout(PATIENCE, reached).await;
        reached.expect("creates go on").expect("workers work");
    }

    /// Ends it.
    pub async fn stop(self) -> Tally {
        self.stop.send_replace(true);
        let tallies = self.workers.join_all().await;
        let mut sum = Tally::default();
        for tally in tallies {
            sum.took.extend(tally.took);
            sum.stored += tally.stored;
            sum.failed.extend(tally.failed);
            sum.unmutated += tally.unmutated;
        }
        sum.took.sort();
        sum
    }
}

impl Tally {
    /// Holds that every create was accepted, as berth makes it.
    pub fn is_without_failure(&self) {
        assert_eq!(self.failed, Vec::<String>::new(), "{self}");
        assert_eq!(self.unmutated, 0, "{self}");
        assert!(!self.took.is_empty(), "{self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |percent: usize| {
            let index = (self.took.len() * percent / 100).min(self.took.len().saturating_sub(1));
            self.took.get(index).copied().unwrap_or_default()
        };
        let (creates, stored) = (self.took.len(), self.stored);
        let (failed, unmutated) = (self.failed.len(), self.unmutated);
        let (median, slow) = (at(50), at(99));
        write!(
            f,
            "{creates} creates ({stored} stored): {failed} failed, {unmutated} unmutated, median {median:.1?}, p99 {slow:.1?}"
        )
    }
}

async fn work(
    pods: Api<Pod>,
    creates: Creates,
    stopped: watch::Receiver<bool>,
    count: watch::Sender<usize>,
) -> Tally {
    let mut tally = Tally::default();
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !*stopped.borrow() {
        pace.tick().await;
        let params = PostParams {
            dry_run: matches!(creates, Creates::DryRuns) || tally.took.len().is_multiple_of(2),
            ..PostParams::default()
        };
        tally.create(&pods, &params).await;
        count.send_modify(|count| *count += 1);
    }
    tally
}

impl Tally {
    async fn create(&mut self, pods: &Api<Pod>, params: &PostParams) {
        let mut wanted = pod("vllm");
        wanted.metadata.name = None;
        wanted.metadata.generate_name = Some("load-".to_owned());
        let began = Instant::now();
        let created = pods.create(params, &wanted).await;
        self.took.push(began.elapsed());
        let created = match created {
            Ok(created) => created,
            Err(kube::Error::Api(status)) => return self.failed.push(status.message),
            Err(error) => return self.failed.push(error.to_string()),
        };
        let pool = created.annotations().get("berth.dev/pool");
        let mutated = pool.is_some() && limits(&created).contains_key("amd.com/gpu");
        self.unmutated += usize::from(!mutated);
        if !params.dry_run {
            self.stored += 1;
            let at_once = DeleteParams::default().grace_period(0);
            let deleted = pods.delete(&created.name_any(), &at_once).await;
            deleted.expect("a Pod that was stored");
        }
    }
}
