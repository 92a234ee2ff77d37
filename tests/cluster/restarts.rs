//! Replicas that are replaced while Pods are created: none fails, and none gets through as it is.

use std::time::Duration;

use crate::{
    load::{Creates, Load},
    stand::{is_soak, stand, times},
};

#[tokio::test]
async fn rollouts_under_load_fail_no_create_and_let_none_through() {
    // make soak drains for as long as deploy/ does; BERTH_DRAIN=0s shows what the drain is for: creates fail
    let drain = std::env::var("BERTH_DRAIN")
        .unwrap_or_else(|_| if is_soak() { "15s" } else { "2s" }.to_owned());
    let Some(mut stand) = stand(&[format!("--drain-period={drain}")]).await else {
        return;
    };
    let mut load = Load::start(&stand.cluster, Creates::Both);
    let rollouts = times(2, 100);
    let mut slowest = Duration::ZERO;
    for _ in 0..rollouts {
        load.more(20).await;
        let rolled = stand.replicas.roll().await;
        slowest = slowest.max(rolled.unwrap_or_else(|error| panic!("{error}")));
    }
    load.reach(times(0, 500_000)).await;
    load.more(20).await;
    let tally = load.stop().await;
    println!(
        "{rollouts} rollouts of two replicas, a drain of {drain}, the slowest end after {slowest:.1?}: {tally}"
    );
    tally.is_without_failure();
}
