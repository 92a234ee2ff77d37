//! What a review costs in instructions and allocations, which no noise on the machine changes.
//!
//! `cargo bench --bench instructions -- check` holds the counts against `benches/instructions.json`; `update` writes
//! them anew. Each case runs under valgrind's callgrind, which counts one function alone.
#![allow(missing_docs, clippy::panic, reason = "a check fails by a panic")]

use std::{
    collections::BTreeMap, env, fs, hint::black_box, path::PathBuf, process::Command, sync::Arc,
};

use berth_core::table::{Settings, compile};
use serde_json::{Value, json};

mod common;

use common::{Case, Make, groups};

/// Instructions may differ by so much: the allocator's path is not the same in every process.
const TOLERANCE: f64 = 0.05;
/// How often a case runs while it is counted.
const RUNS: u64 = 10;
/// No review may take more, whatever is in it: 20 ms at 3.2 instructions a nanosecond, which is few.
const MOST: f64 = 64e6;
/// A table of 10,000 classes may hold so much.
const TABLE_BYTES: i64 = 32 << 20;
/// The picture of 10,000 Nodes and 40,000 Pods, half of them with a GPU, may hold so much.
const CLUSTER_BYTES: i64 = 24 << 20;
/// A review with the picture of the cluster may take so many times the instructions of one without.
const LIVE: f64 = 1.2;

fn main() {
    let arguments: Vec<String> = env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", name] => run(name),
        ["update"] => {
            fs::write(file(), format!("{:#}\n", counts())).expect("written");
            println!("wrote {}", file().display());
        }
        ["check"] => check(),
        _ => panic!("say check or update"),
    }
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.json")
}

fn cases() -> BTreeMap<String, Make> {
    let named = groups().into_iter().flat_map(|(group, cases)| {
        let name = move |(name, make): (&str, Make)| (format!("{group}/{name}"), make);
        cases.into_iter().map(name)
    });
    // the largest tells nothing that the large do not, and valgrind is slow
    named.filter(|(name, _)| name != "size/9MB").collect()
}

/// What callgrind counts.
#[inline(never)]
fn measured(case: &Case) {
    for _ in 0..RUNS {
        drop(black_box(case.said()));
    }
}

fn run(name: &str) {
    let case = &cases()[name]();
    // the first one finds the allocator and the caches cold
    drop(black_box(case.said()));
    measured(case);
}

fn counts() -> Value {
    let counted = cases().into_iter().map(|(name, make)| {
        let case = make();
        drop(case.said());
        let allocations = allocation_counter::measure(|| drop(black_box(case.said())));
        let counts = json!({
            "bytes": case.body.len(),
            "instructions": instructions(&name),
            "allocations": allocations.count_total,
            "allocated_bytes": allocations.bytes_total,
        });
        (name, counts)
    });
    Value::Object(counted.collect())
}

/// What a table of 10,000 classes holds of the heap.
fn table_bytes() -> i64 {
    let documents = common::documents(10_000);
    let mut table = None;
    let measured = allocation_counter::measure(|| {
        table = Some(compile(&documents, &Settings::default()));
    });
    assert_eq!(table.map(|(table, _)| table.len()), Some(10_000));
    measured.bytes_current
}

/// What the picture of a large cluster holds of the heap.
fn cluster_bytes() -> i64 {
    let table = Arc::new(common::two_pools());
    let mut counted = None;
    let measured = allocation_counter::measure(|| {
        counted = Some(common::cluster::counted(table, 10_000, 20_000));
    });
    assert!(counted.is_some());
    measured.bytes_current
}

fn instructions(name: &str) -> u64 {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=*measured*",
        ])
        .arg(env::current_exe().expect("this binary"))
        .args(["run", name])
        .output()
        .expect("valgrind is there: tools/valgrind installs it");
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains("Collected :"));
    let count = line.and_then(|line| line.split_whitespace().last()?.parse::<u64>().ok());
    count.unwrap_or_else(|| panic!("valgrind counted nothing: {text}")) / RUNS
}

fn check() {
    let text = fs::read_to_string(file()).expect("benches/instructions.json is committed");
    let committed: Value = serde_json::from_str(&text).expect("JSON");
    let counted = counts();
    let mut wrong = Vec::new();
    for (what, bytes, most) in [
        ("a table of 10,000 classes", table_bytes(), TABLE_BYTES),
        (
            "10,000 Nodes and 40,000 Pods",
            cluster_bytes(),
            CLUSTER_BYTES,
        ),
    ] {
        println!("{what}: {bytes} bytes");
        if bytes > most {
            wrong.push(format!("{what}: {bytes} bytes, and {most} is the most"));
        }
    }
    let of = |name: &str| counted[name]["instructions"].as_f64().unwrap_or(f64::NAN);
    let live = of("live/on") / of("live/off");
    println!("a review with the picture of the cluster: {live:.3} times one without");
    // a ratio that is no number is wrong, too
    if live.is_nan() || live > LIVE {
        wrong.push(format!("a review with the picture of the cluster takes {live:.3} times one without, and {LIVE} is the most"));
    }
    for (name, now) in counted.as_object().expect("an object") {
        let then = &committed[name];
        for (what, tolerance) in [
            ("instructions", TOLERANCE),
            ("allocations", 0.0),
            ("bytes", 0.0),
        ] {
            let (now, then) = (
                now[what].as_f64().unwrap_or(f64::NAN),
                then[what].as_f64().unwrap_or(f64::NAN),
            );
            println!(
                "{name} {what}: {now} ({:+.1} %)",
                (now / then - 1.0) * 100.0
            );
            if what == "instructions" && now > MOST {
                wrong.push(format!("{name}: {now} {what}, and {MOST} is the most"));
            }
            // what is not committed is no number, and as wrong as one that differs
            if then.is_nan() || (now - then).abs() > then * tolerance {
                wrong.push(format!("{name}: {now} {what}, and {then} committed"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\nif this is meant: make instructions-update",
        wrong.join("\n")
    );
}
