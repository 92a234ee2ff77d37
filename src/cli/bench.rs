//! `berth bench`: what a review costs on this machine, with this table, beside the alternatives.

use std::{
    fs,
    hint::black_box,
    ops::RangeInclusive,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    progress::Progress,
    report::{Ended, Failure, Format, print},
    table::TableOrigin,
};
use baseline::{Baseline, scan};
use berth_core::{review::review, view::View};
use berth_manifests::files;
use clap::Args;
use cluster::InCluster;
use figures::Figures;
use serde::Serialize;

pub mod baseline;
mod cluster;
mod creates;
mod figures;
mod reach;

/// Each contender runs so many times before it is another's turn, so that a noisy moment hits all.
const TURN: usize = 64;

const MORE: &str = "\
Examples:
  berth bench --table table.yaml --review examples/reviews/vllm.json
  # figures for a program
  berth bench --table table.yaml --review review.json -o json >before.json
  # after a change of the table, the machine or berth
  berth bench --table table.yaml --review review.json --compare before.json
  # what it adds to a create in your cluster
  berth bench --cluster -n ai

Exit codes:
  0  it was measured
  2  the flags are wrong, or there is no way to a cluster
  3  the table, the review or the earlier run cannot be read, or a dry run fails";

/// How long a measurement may take.
const SECONDS: RangeInclusive<u64> = 1..=3600;

/// Measure a review on this machine
///
/// One core answers the review again and again, in turns: by berth, by a scan that only finds the structure of the same
/// JSON, and by the usual kube-rs way. The network is not measured, but with --cluster, which measures creates there.
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
pub(super) struct Bench {
    /// An `AdmissionReview` as JSON, as in examples/reviews
    #[arg(long, value_name = "FILE", required_unless_present = "cluster")]
    review: Option<PathBuf>,
    /// How long to measure
    #[arg(long, value_name = "N", default_value = "5", value_parser = seconds)]
    seconds: u64,
    /// An earlier run of the same review and table, saved with -o json: how many times as many scans a review takes now
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    #[command(flatten)]
    in_cluster: InCluster,
    #[command(flatten)]
    table: TableOrigin,
}

/// Times of one contender, in nanoseconds.
#[derive(Debug, Default)]
struct Times(Vec<u64>);

/// What was measured.
#[derive(Debug)]
struct Measured {
    berth: Times,
    scan: Times,
    /// None if the usual way cannot read the review.
    baseline: Option<Times>,
    bytes: usize,
    classes: usize,
}

fn seconds(text: &str) -> Result<u64, String> {
    let seconds = text.parse().ok().filter(|it| SECONDS.contains(it));
    seconds.ok_or_else(|| "write a whole number of seconds, from 1 to 3600".to_owned())
}

impl Bench {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        let time = Duration::from_secs(self.seconds);
        if self.in_cluster.cluster {
            let (cluster, settings) = self.table.cluster()?;
            let creates = self.in_cluster.measure(&cluster, settings, time)?;
            return show(self.output, creates.text(), &creates);
        }
        // clap holds that it is there
        let path = self.review.unwrap_or_default();
        let view = self.table.named()?.view(None)?;
        let body = fs::read(&path).map_err(|error| {
            Failure::unreadable(format!(
                "--review {}: {}; check the path",
                path.display(),
                files::plain(&error)
            ))
        })?;
        review(&body, &view).map_err(|error| {
            Failure::unreadable(format!("--review {}: {error}", path.display()))
        })?;
        let then = self.compare.as_deref();
        let then = then.map(|path| Figures::read(path, body.len(), view.table.len()));
        let then = then.transpose()?;
        let mut figures = Measured::of(&body, &view, time).figures();
        if let Some(then) = &then {
            figures = figures.beside(then);
        }
        show(self.output, figures.text(), &figures)
    }
}

/// Prints figures as text, or as JSON.
fn show(output: Format, text: String, figures: &impl Serialize) -> Result<Ended, Failure> {
    print(match output {
        Format::Text => text,
        Format::Json => serde_json::to_string_pretty(figures).map_err(Failure::bug)? + "\n",
    })?;
    Ok(Ended::Fine)
}

impl Measured {
    fn of(body: &[u8], view: &View, time: Duration) -> Self {
        let baseline = Baseline::new(&view.table);
        let mut measured = Self {
            berth: Times::default(),
            scan: Times::default(),
            baseline: baseline.answer(body).map(|_| Times::default()),
            bytes: body.len(),
            classes: view.table.len(),
        };
        let started = Instant::now();
        let mut progress = Progress::begin();
        while started.elapsed() < time {
            let (seconds, all) = (started.elapsed().as_secs(), time.as_secs());
            progress.at(format_args!("measuring: {seconds} of {all} seconds"));
            measured
                .berth
                .turn(|| drop(black_box(review(black_box(body), view))));
            measured
                .scan
                .turn(|| assert!(black_box(scan(black_box(body)))));
            if let Some(times) = &mut measured.baseline {
                times.turn(|| drop(black_box(baseline.answer(black_box(body)))));
            }
        }
        let all = [&mut measured.berth, &mut measured.scan].into_iter();
        for times in all.chain(&mut measured.baseline) {
            times.0.sort_unstable();
        }
        measured
    }

    fn figures(&self) -> Figures {
        let times = [self.berth.at(50), self.berth.at(99), self.scan.at(50)];
        let usual = self.baseline.as_ref().map(|times| times.at(50));
        Figures::new(times, usual, self.bytes, self.classes)
    }
}

impl Times {
    fn turn(&mut self, mut work: impl FnMut()) {
        for _ in 0..TURN {
            let started = Instant::now();
            work();
            let nanos = started.elapsed().as_nanos();
            self.0.push(u64::try_from(nanos).unwrap_or(u64::MAX));
        }
    }

    /// A percentile of sorted times.
    fn at(&self, percent: usize) -> u64 {
        self.0
            .get(self.0.len() * percent / 100)
            .copied()
            .unwrap_or_default()
    }
}
