//! The hot path beside its alternatives: `make bench`. Each case asserts its answer; each group ends with its ratios.
#![allow(missing_docs, reason = "criterion's macros")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use berth::cli::bench::baseline::{Baseline, scan};
use berth_core::table::{Settings, compile};
use criterion::{BenchmarkId, Criterion, Throughput};

mod common;

use common::{Case, groups};

/// How long each contender runs for the ratios, in turns.
const RATIO_TIME: Duration = Duration::from_millis(600);
/// So many runs are a turn.
const TURN: usize = 16;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    for (name, cases) in groups() {
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
    compile_time();
}

/// Berth's time in microseconds and as a multiple of the scan's, and the usual way's as a multiple of berth's: medians.
/// Each contender has its turn of several runs, so that it finds its own code and the review in the caches, and not the
/// others'.
fn ratios(case: &Case) -> String {
    let baseline = Baseline::new(&case.view.table);
    let contenders: [&dyn Fn() -> bool; 3] = [
        &|| !black_box(case.answer()).body.is_empty(),
        &|| black_box(scan(black_box(&case.body))),
        &|| black_box(baseline.answer(black_box(&case.body))).is_some(),
    ];
    let mut times: [Vec<Duration>; 3] = Default::default();
    let until = Instant::now() + 3 * RATIO_TIME;
    while Instant::now() < until {
        for (times, contender) in times.iter_mut().zip(contenders) {
            for _ in 0..TURN {
                let started = Instant::now();
                assert!(contender());
                times.push(started.elapsed());
            }
        }
    }
    let [berth, scan, baseline] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    });
    format!(
        "{}: {:.1} µs, {:.2} x scan, kube-rs {:.0} x berth",
        case.name,
        berth * 1e6,
        berth / scan,
        baseline / berth
    )
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
