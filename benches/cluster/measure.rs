//! Creates in turns, and the medians of their differences.

use std::{
    fmt,
    time::{Duration, Instant},
};

use axum::http::Request;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams},
};
use serde_json::Value;

use crate::{Failure, subjects::Subject};

/// Creates of one round, where many are under way at once: so many tasks, so many each.
const AT_ONCE: usize = 16;
const EACH: usize = 8;
/// Rounds that are not counted.
const WARM_UP: usize = 3;

/// How the Pods are created.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    dry_run: bool,
    at_once: bool,
}

/// Times of a create, by subject, by round.
#[derive(Debug)]
pub(crate) struct Measured(Vec<Vec<f64>>);

impl Mode {
    pub(crate) const ALL: [Self; 4] = [
        Self {
            dry_run: true,
            at_once: false,
        },
        Self {
            dry_run: false,
            at_once: false,
        },
        Self {
            dry_run: true,
            at_once: true,
        },
        Self {
            dry_run: false,
            at_once: true,
        },
    ];

    pub(crate) const fn rounds(self) -> usize {
        match (self.at_once, self.dry_run) {
            (false, _) => 400,
            (true, true) => 100,
            // the Pods are deleted after each
            (true, false) => 40,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.dry_run {
            "dry runs"
        } else {
            "real creates"
        };
        if self.at_once {
            write!(f, "{kind}, {AT_ONCE} at once, wall time for each")
        } else {
            write!(f, "{kind}, one at a time")
        }
    }
}

/// The numbers below `count`, shuffled: in another order each round, in the same orders each run. With one order, who
/// follows whom would be in the figures: a create finds the caches as the one before it has left them.
pub(crate) fn shuffled(round: usize, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    fastrand::Rng::with_seed(round as u64).shuffle(&mut order);
    order
}

/// Measures every subject in each round.
pub(crate) async fn measure(
    client: &Client,
    subjects: &[Subject],
    mode: Mode,
) -> Result<Measured, Failure> {
    let mut times = vec![Vec::new(); subjects.len()];
    for round in 0..mode.rounds() + WARM_UP {
        for i in shuffled(round, subjects.len()) {
            let time = if mode.at_once {
                many(client, subjects[i], mode).await?
            } else {
                one(client, subjects[i], mode).await?
            };
            if round >= WARM_UP {
                times[i].push(time.as_secs_f64() * 1e3);
            }
        }
        let full = mode.at_once || round % 50 == 0;
        if !mode.dry_run && full {
            sweep(client, subjects).await?;
        }
    }
    Ok(Measured(times))
}

async fn one(client: &Client, subject: Subject, mode: Mode) -> Result<Duration, Failure> {
    let started = Instant::now();
    create(client, subject, mode.dry_run).await?;
    Ok(started.elapsed())
}

async fn many(client: &Client, subject: Subject, mode: Mode) -> Result<Duration, Failure> {
    let started = Instant::now();
    let tasks = (0..AT_ONCE).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            for _ in 0..EACH {
                create(&client, subject, mode.dry_run).await?;
            }
            Ok::<_, Failure>(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    Ok(started.elapsed() / u32::try_from(AT_ONCE * EACH)?)
}

/// Creates the object in the subject's namespace: what is stored.
pub(crate) async fn create(
    client: &Client,
    subject: Subject,
    dry_run: bool,
) -> Result<Value, Failure> {
    let (_, _, object) = subject.object();
    let request = Request::post(path(subject, dry_run)).header("Content-Type", "application/json");
    Ok(client
        .request(request.body(object.to_string().into_bytes())?)
        .await?)
}

/// Where its objects are created.
pub(crate) fn path(subject: Subject, dry_run: bool) -> String {
    let (api, resource, _) = subject.object();
    let query = if dry_run { "?dryRun=All" } else { "" };
    let namespace = subject.namespace();
    format!("/{api}/namespaces/{namespace}/{resource}{query}")
}

/// Removes what real creates have left.
async fn sweep(client: &Client, subjects: &[Subject]) -> Result<(), Failure> {
    for subject in subjects {
        let pods: Api<Pod> = Api::namespaced(client.clone(), subject.namespace());
        let (at_once, all) = (
            DeleteParams::default().grace_period(0),
            ListParams::default(),
        );
        pods.delete_collection(&at_once, &all).await?;
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), subject.namespace());
        deployments.delete_collection(&at_once, &all).await?;
    }
    Ok(())
}

impl Measured {
    /// A line a subject: what it adds to a create of the first one, and how that compares with the constant answer where
    /// that is one of them.
    pub(crate) fn text(&self, subjects: &[Subject]) -> String {
        let nothing = 0;
        let constant = subjects.iter().position(|it| *it == Subject::Constant);
        let line = |(i, subject): (usize, &Subject)| {
            let name = subject.namespace();
            if i == nothing {
                return format!("  {name:17} {:.2} ms", median(self.0[i].clone()));
            }
            let added = self.difference(i, nothing);
            let ratio = constant.map(|constant| {
                let ratio = added / self.difference(constant, nothing);
                format!(", {ratio:.2} of the constant answer's")
            });
            format!("  {name:17} +{added:.2} ms{}", ratio.unwrap_or_default())
        };
        subjects
            .iter()
            .enumerate()
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn difference(&self, subject: usize, from: usize) -> f64 {
        median(
            self.0[subject]
                .iter()
                .zip(&self.0[from])
                .map(|(a, b)| a - b)
                .collect(),
        )
    }
}

pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}
