//! The hot path beside its alternatives: `make bench`. Each case asserts its answer; each group ends with its ratios. At the
//! end, reviews that grow, drawn into docs/; `-- growth` does that alone.
#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::cast_precision_loss, reason = "what is counted is small")]

use std::{
    env,
    error::Error,
    hint::black_box,
    time::{Duration, Instant},
};

use berth::cli::bench::baseline::{Baseline, scan};
use berth_core::table::{Settings, compile};
use criterion::{BenchmarkId, Criterion, Throughput};

mod common;

use common::{
    Case,
    chart::{Axis, Line, Panel, draw},
    groups,
    growth::{Growth, growth},
};

/// How long each contender runs for the ratios, in turns.
const RATIO_TIME: Duration = Duration::from_millis(600);
/// The same for a point of what grows.
const POINT_TIME: Duration = Duration::from_millis(400);
/// What is measured.
const CONTENDERS: [&str; 3] = ["berth", "scan", "the usual kube-rs way"];
/// So many runs are a turn.
const TURN: usize = 16;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    if env::args().all(|argument| argument != "growth") {
        compare();
        compile_time();
    }
    let grown: Vec<Panel> = growth().iter().map(grow).collect();
    draw("docs/cost-reviews.svg", &grown)
}

fn compare() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    // what is hostile is held to a bound by `make instructions`, and has no answer to compare
    let answered = groups().into_iter().filter(|(name, _)| *name != "hostile");
    for (name, cases) in answered {
        let mut group = criterion.benchmark_group(name);
        let cases: Vec<Case> = cases.iter().map(|(_, make)| make()).collect();
        for case in &cases {
            case.answer();
            let baseline = Baseline::new(&case.view.table);
            assert!(scan(&case.body) && baseline.answer(&case.body).is_some());
            group.throughput(Throughput::Bytes(case.body.len() as u64));
            let id = |who| BenchmarkId::new(who, &case.name);
            group.bench_function(id("berth"), |b| b.iter(|| case.answer()));
            group.bench_function(id("scan"), |b| b.iter(|| scan(black_box(&case.body))));
            group.bench_function(id("kube-rs"), |b| {
                b.iter(|| baseline.answer(black_box(&case.body)));
            });
        }
        group.finish();
        let ratios: Vec<String> = cases.iter().map(ratios).collect();
        println!("\n{name}: {}\n", ratios.join("; "));
    }
    criterion.final_summary();
}

/// Measures every point, and prints it.
fn grow(growth: &Growth) -> Panel {
    let mut lines = CONTENDERS.map(|name| Line {
        name,
        points: Vec::new(),
    });
    println!("\n{}: {} in µs", growth.what, CONTENDERS.join(", "));
    for (point, make) in &growth.points {
        let times = medians(&make(), POINT_TIME).map(|seconds| seconds * 1e6);
        for (line, time) in lines.iter_mut().zip(times) {
            line.points.push((*point as f64, time));
        }
        let [berth, scan, baseline] = times;
        println!("{point:7} {berth:9.1} {scan:9.1} {baseline:9.1}");
    }
    let x = match growth.what {
        "KB" => Axis::tens("size of the review, KB"),
        "terms" => Axis::twos("terms of the Pod's node affinity"),
        "containers" => Axis::twos("containers"),
        _ => Axis::tens("classes of the table"),
    };
    Panel {
        x,
        y: Axis::tens("µs a review, median"),
        lines: lines.into(),
    }
}

/// Berth's time in microseconds and as a multiple of the scan's, and the usual way's as a multiple of berth's.
fn ratios(case: &Case) -> String {
    let [berth, scan, baseline] = medians(case, RATIO_TIME);
    format!(
        "{}: {:.1} µs, {:.2} x scan, kube-rs {:.0} x berth",
        case.name,
        berth * 1e6,
        berth / scan,
        baseline / berth
    )
}

/// The contenders' times in seconds: medians. Each has its turn of several runs, so that it finds its own code and the
/// review in the caches, and not the others'.
fn medians(case: &Case, each: Duration) -> [f64; 3] {
    let baseline = Baseline::new(&case.view.table);
    let contenders: [&dyn Fn() -> bool; 3] = [
        &|| !black_box(case.answer()).body.is_empty(),
        &|| black_box(scan(black_box(&case.body))),
        &|| black_box(baseline.answer(black_box(&case.body))).is_some(),
    ];
    let mut times: [Vec<Duration>; 3] = Default::default();
    let until = Instant::now() + 3 * each;
    while Instant::now() < until {
        for (times, contender) in times.iter_mut().zip(contenders) {
            for _ in 0..TURN {
                let started = Instant::now();
                assert!(contender());
                times.push(started.elapsed());
            }
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    })
}

/// 10,000 classes from typed documents: the median of a few.
fn compile_time() {
    let documents = common::documents(10_000);
    let mut times: Vec<Duration> = (0..9)
        .map(|_| {
            let started = Instant::now();
            let table = black_box(compile(&documents, &Settings::default()));
            let elapsed = started.elapsed();
            assert_eq!(table.0.len(), 10_000);
            elapsed
        })
        .collect();
    times.sort_unstable();
    println!(
        "compile: 10000 classes from typed documents in {:.0?}",
        times[times.len() / 2]
    );
}
