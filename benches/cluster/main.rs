//! `make bench-cluster`: what a create costs the user of a real API server, with nothing, with a constant answer, with
//! berth, with a `MutatingAdmissionPolicy` that does the same, and with berth and its guard, in turns of one run; and what the
//! word at apply adds to a create of a Deployment.
//!
//! With `-- growth`, what a create costs as the table grows; with `-- burst`, 2,000 creates at once with two replicas.
//!
//! The scheduler has no part in it: the Pods name one that is not there.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "counts and times are small here"
)]

use std::{env, error::Error};

use berth_cluster::{ControlPlane, Options};

mod around;
mod burst;
#[path = "../common/chart.rs"]
#[allow(dead_code, reason = "the other bench has axes by twos")]
mod chart;
mod constant;
mod growth;
mod measure;
mod policy;
mod subjects;
mod table;

use measure::{Mode, measure};
use subjects::Subject;

type Failure = Box<dyn Error + Send + Sync>;

/// The classes of the table, each with a pool of its own.
const CLASSES: usize = 100;

fn main() -> Result<(), Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new()?;
    match env::args().nth(1).as_deref() {
        // as the harness starts berth itself
        Some("serve") => runtime.block_on(constant::serve()),
        Some("growth") => runtime.block_on(async {
            let control_plane = ControlPlane::start(&Options::default()).await?;
            growth::run(&control_plane).await
        }),
        Some("burst") => runtime.block_on(burst::run()),
        _ => runtime.block_on(run()),
    }
}

async fn run() -> Result<(), Failure> {
    let control_plane = ControlPlane::start(&Options::default()).await?;
    Subject::install_all(&control_plane).await?;
    let client = control_plane.client().await?;
    println!(
        "creates of one Pod of {} bytes, a table of {CLASSES} classes",
        subjects::Subject::Berth.object().2.to_string().len()
    );
    for subjects in [&Subject::PODS[..], &Subject::DEPLOYMENTS] {
        for mode in Mode::ALL {
            let measured = measure(&client, subjects, mode).await?;
            println!("\n{mode}: the median of {} rounds", mode.rounds());
            println!("{}", measured.text(subjects));
        }
    }
    Ok(())
}
