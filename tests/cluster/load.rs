//! Creates that go on while something else happens.

use std::{
    fmt,
    ops::Range,
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

use crate::{
    objects::{limits, pod, tolerations},
    stand::is_soak,
};

/// How often each that creates does: 100 creates a second together, where the machine can. In `make soak` there are more
/// of them, and they wait for nothing.
const PACE: Duration = Duration::from_millis(40);

/// What is created.
#[derive(Clone, Copy)]
pub enum Creates {
    /// Dry runs.
    DryRuns,
    /// Dry runs and Pods that are stored, which are deleted at once: in turn, and one of twenty in `make soak`.
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
    pub failed: Vec<Failure>,
    /// How many were accepted without what berth adds.
    pub unmutated: usize,
    /// How many were accepted with another placement than the table's.
    pub wrong: usize,
}

/// A create that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When it was on its way.
    pub during: Range<Instant>,
    /// What its creator reads.
    pub message: String,
}

impl Load {
    /// Begins.
    pub fn start(cluster: &Cluster<'_>, creates: Creates) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (count, done) = watch::channel(0);
        let mut workers = JoinSet::new();
        for _ in 0..if is_soak() { 16 } else { 4 } {
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

    /// Waits for so many creates in all.
    pub async fn reach(&mut self, creates: usize) {
        while *self.done.borrow() < creates {
            self.more(100).await;
        }
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
            sum.wrong += tally.wrong;
        }
        sum.took.sort();
        sum
    }
}

impl Tally {
    /// Holds that every create was accepted, as berth makes it.
    pub fn is_without_failure(&self) {
        self.fails_only_during(&[]);
    }

    /// Holds that every create was accepted as berth makes it, but for some that were on their way in these times.
    pub fn fails_only_during(&self, times: &[Range<Instant>]) {
        let elsewhere = |failure: &&Failure| {
            let overlaps = |time: &Range<Instant>| {
                failure.during.start <= time.end && time.start <= failure.during.end
            };
            !times.iter().any(overlaps)
        };
        let failed: Vec<_> = self.failed.iter().filter(elsewhere).take(10).collect();
        assert!(failed.is_empty(), "{self}: {failed:#?}");
        self.lets_nothing_through();
    }

    /// Holds that no create was accepted but as berth makes it.
    pub fn lets_nothing_through(&self) {
        assert_eq!((self.unmutated, self.wrong), (0, 0), "{self}");
        assert!(!self.took.is_empty(), "{self}");
    }

    /// How many failed that had begun before.
    pub fn in_flight_at(&self, instants: &[Instant]) -> usize {
        let in_flight = |failure: &&Failure| {
            let mut instants = instants.iter();
            instants.any(|instant| failure.during.contains(instant))
        };
        self.failed.iter().filter(in_flight).count()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |percent: usize| {
            let index = (self.took.len() * percent / 100).min(self.took.len().saturating_sub(1));
            self.took.get(index).copied().unwrap_or_default()
        };
        let (creates, stored) = (self.took.len(), self.stored);
        let (failed, unmutated, wrong) = (self.failed.len(), self.unmutated, self.wrong);
        let (median, slow) = (at(50), at(99));
        write!(
            f,
            "{creates} creates ({stored} stored): {failed} failed, {unmutated} unmutated, {wrong} wrong, median {median:.1?}, p99 {slow:.1?}"
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
    let pace = if is_soak() {
        Duration::from_millis(1)
    } else {
        PACE
    };
    let mut pace = interval(pace);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !*stopped.borrow() {
        pace.tick().await;
        let every = if is_soak() { 20 } else { 2 };
        let stored = matches!(creates, Creates::Both) && tally.took.len() % every == 1;
        let params = PostParams {
            dry_run: !stored,
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
        let ended = Instant::now();
        self.took.push(ended - began);
        let created = match created {
            Ok(created) => created,
            Err(error) => {
                let message = match error {
                    kube::Error::Api(status) => status.message,
                    error => error.to_string(),
                };
                let during = began..ended;
                return self.failed.push(Failure { during, message });
            }
        };
        match pool(&created) {
            None => self.unmutated += 1,
            Some(_) if !is_placed(&created) => self.wrong += 1,
            Some(_) => {}
        }
        if !params.dry_run {
            self.stored += 1;
            let at_once = DeleteParams::default().grace_period(0);
            let deleted = pods.delete(&created.name_any(), &at_once).await;
            deleted.expect("a Pod that was stored");
        }
    }
}

/// The pool that berth chose.
fn pool(pod: &Pod) -> Option<&str> {
    pod.annotations().get("berth.dev/pool").map(String::as_str)
}

/// Whether it is as the homelab's table places a Pod of vllm.
fn is_placed(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let affinity = spec.and_then(|spec| spec.affinity.as_ref()?.node_affinity.as_ref());
    let required = affinity
        .and_then(|affinity| {
            affinity
                .required_during_scheduling_ignored_during_execution
                .as_ref()
        })
        .map(|required| required.node_selector_terms.as_slice());
    let on_khelben = required.is_some_and(|terms| {
        let expressions = terms
            .iter()
            .flat_map(|term| term.match_expressions.iter().flatten());
        let mut values = expressions.flat_map(|expression| expression.values.iter().flatten());
        values.next().is_some_and(|value| value == "khelben") && values.next().is_none()
    });
    let limits = limits(pod);
    on_khelben
        && pool(pod) == Some("strix-halo")
        && limits.len() == 1
        && limits.get("amd.com/gpu").is_some_and(|gpus| gpus == "1")
        && tolerations(pod).any(|key| key == "dedicated")
}
