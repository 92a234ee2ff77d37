//! `berth bench`: what a review costs on this machine, with this table, beside the alternatives.

use std::{
    fs,
    hint::black_box,
    ops::RangeInclusive,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::json;

use super::{
    TableOptions,
    progress::Progress,
    report::{Ended, Failure, Format, print},
};
use baseline::{Baseline, scan};
use berth_core::{review::review, view::View};
use berth_manifests::{files, table_files::TableFiles};

pub mod baseline;

/// Each contender runs so many times before it is another's turn, so that a noisy moment hits all.
const TURN: usize = 64;

const MORE: &str = "\
Examples:
  berth bench --table table.yaml --review examples/reviews/vllm.json
  # figures for a program
  berth bench --table table.yaml --review review.json --seconds 30 -o json

Exit codes:
  0  it was measured
  2  the flags are wrong
  3  the table or the review cannot be read";

/// How long a measurement may take.
const SECONDS: RangeInclusive<u64> = 1..=3600;

/// Measure a review on this machine
///
/// One core answers the review again and again, in turns: by berth, by a scan that only finds the structure of the same
/// JSON, and by the usual kube-rs way. The network is not measured.
#[derive(Args, Debug)]
#[command(after_long_help = MORE)]
pub(super) struct Bench {
    /// An `AdmissionReview` as JSON, as in examples/reviews
    #[arg(long, value_name = "FILE")]
    review: PathBuf,
    /// How long to measure
    #[arg(long, value_name = "N", default_value = "5", value_parser = seconds)]
    seconds: u64,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    #[command(flatten)]
    table: TableOptions,
}

/// Times of one contender, in nanoseconds.
#[derive(Debug, Default)]
struct Times(Vec<u64>);

/// What was measured.
#[derive(Debug)]
struct Measured {
    berth: Times,
    scan: Times,
    baseline: Times,
    bytes: usize,
    classes: usize,
}

fn seconds(text: &str) -> Result<u64, String> {
    let seconds = text.parse().ok().filter(|it| SECONDS.contains(it));
    seconds.ok_or_else(|| "write a whole number of seconds, from 1 to 3600".to_owned())
}

impl Bench {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        let view = View::from(TableFiles::try_from(self.table)?.load()?);
        let body = fs::read(&self.review).map_err(|error| {
            Failure::unreadable(format!(
                "--review {}: {}; check the path",
                self.review.display(),
                files::plain(&error)
            ))
        })?;
        review(&body, &view).map_err(|error| {
            Failure::unreadable(format!("--review {}: {error}", self.review.display()))
        })?;
        let measured = Measured::of(&body, &view, Duration::from_secs(self.seconds));
        print(match self.output {
            Format::Text => measured.text() + "\n",
            Format::Json => format!("{:#}\n", measured.json()),
        })?;
        Ok(Ended::Fine)
    }
}

impl Measured {
    fn of(body: &[u8], view: &View, time: Duration) -> Self {
        let baseline = Baseline::new(&view.table);
        let mut measured = Self {
            berth: Times::default(),
            scan: Times::default(),
            baseline: Times::default(),
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
            measured
                .baseline
                .turn(|| drop(black_box(baseline.answer(black_box(body)))));
        }
        for times in [
            &mut measured.berth,
            &mut measured.scan,
            &mut measured.baseline,
        ] {
            times.0.sort_unstable();
        }
        measured
    }

    fn ratios(&self) -> (f64, f64) {
        let [berth, scan, baseline] =
            [&self.berth, &self.scan, &self.baseline].map(|times| precise(times.at(50)));
        (berth / scan, baseline / berth)
    }

    fn json(&self) -> serde_json::Value {
        let (scan, baseline) = self.ratios();
        json!({
            "p50_ns": self.berth.at(50), "p99_ns": self.berth.at(99),
            "scan_ns": self.scan.at(50), "idiom_ns": self.baseline.at(50),
            "ratio_scan": scan, "ratio_idiom": baseline,
            "reviews_per_second": 1_000_000_000 / self.berth.at(50).max(1),
            "bytes": self.bytes, "classes": self.classes,
        })
    }

    fn text(&self) -> String {
        let (scan, baseline) = self.ratios();
        let micros = |nanos: u64| precise(nanos) / 1e3;
        format!(
            "review    {} bytes, a table of {} classes\n\
             berth     p50 {:.1} µs, p99 {:.1} µs: {} reviews a second on one core\n\
             scan      p50 {:.1} µs: berth takes {scan:.2} times the structure-only scan of the same bytes\n\
             kube-rs   p50 {:.1} µs: berth is {baseline:.0} times faster than the usual way",
            self.bytes,
            self.classes,
            micros(self.berth.at(50)),
            micros(self.berth.at(99)),
            1_000_000_000 / self.berth.at(50).max(1),
            micros(self.scan.at(50)),
            micros(self.baseline.at(50)),
        )
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

#[allow(clippy::cast_precision_loss, reason = "times are far below 2^52 ns")]
fn precise(nanos: u64) -> f64 {
    nanos as f64
}
