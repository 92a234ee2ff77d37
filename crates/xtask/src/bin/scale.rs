//! `make scale`: what `berth preview` takes for a stream of documents, beside what the YAML parser alone takes for it.
#![allow(
    clippy::cast_precision_loss,
    reason = "counts and times are small here"
)]

use std::{
    env, fs,
    hint::black_box,
    io::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use granit_parser::Parser;

type Failure = Box<dyn std::error::Error>;

/// The homelab's Deployments, of which the stream has copies.
const WORKLOADS: &str = "examples/workloads/homelab.yaml";
const TABLE: &str = "examples/homelab.yaml";

fn main() -> Result<(), Failure> {
    let berth = env::args()
        .nth(1)
        .ok_or("usage: scale target/release/berth")?;
    let workloads = fs::read_to_string(WORKLOADS)?;
    let deployments: Vec<&str> = workloads.split("---\n").skip(1).collect();
    println!("documents      MB   parser alone        preview   peak memory");
    for documents in [100, 1_000, 10_000] {
        let copies = deployments.iter().cycle().take(documents);
        let stream: String = copies.flat_map(|document| ["---\n", document]).collect();
        let parser = parse(&stream)?;
        let (preview, kib) = preview(&berth, &stream)?;
        println!(
            "{documents:9} {:7.1} {:12.2} s {:12.2} s {:10.1} MiB",
            stream.len() as f64 / 1e6,
            parser.as_secs_f64(),
            preview.as_secs_f64(),
            kib as f64 / 1024.0,
        );
    }
    Ok(())
}

/// Every event of the parser, and nothing done with it.
fn parse(stream: &str) -> Result<Duration, Failure> {
    let started = Instant::now();
    for event in Parser::new_from_str(stream) {
        black_box(event?);
    }
    Ok(started.elapsed())
}

/// `berth preview -o yaml` of the stream: the time, and the most memory that was resident when it had read all of it.
fn preview(berth: &str, stream: &str) -> Result<(Duration, u64), Failure> {
    let started = Instant::now();
    let mut child = Command::new(berth)
        .args(["preview", "--table", TABLE, "-o", "yaml", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or("stdin is piped")?;
    stdin.write_all(stream.as_bytes())?;
    let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    drop(stdin);
    let ended = child.wait()?;
    if !ended.success() {
        return Err(format!("{berth} preview: {ended}").into());
    }
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.split_whitespace().next());
    Ok((started.elapsed(), kib.ok_or("no VmHWM")?.parse()?))
}
