//! Large reviews, as many at a time as an API server can have.

use std::time::Duration;

use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    cgroup::serve,
    common::{
        client::{https, post},
        example,
        process::PATIENCE,
    },
};

/// What the API server waits where it is asked to come again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A review of a Pod of about so many bytes.
fn review(bytes: usize) -> String {
    let mut review = example("vllm");
    let value = "v".repeat(1000);
    let variable = |n| json!({"name": format!("VARIABLE_{n}"), "value": value});
    let variables = (0..bytes / 1030).map(variable);
    review["request"]["object"]["spec"]["containers"][0]["env"] = variables.collect();
    review.to_string()
}

/// Where there is no room, they ask again, as the API server does, and each is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_pods_of_2_9_mb_at_once_stay_under_128_mib() {
    let (berth, ca) = serve(&[]);
    let body = review(2_900_000);
    let mut asking = JoinSet::new();
    let begin = Instant::now();
    for _ in 0..64 {
        let (client, body, address) = (https(&ca), body.clone(), berth.webhook);
        asking.spawn(async move {
            loop {
                let answer = post(&client, address, body.clone()).await;
                match answer.expect("an answer").status().as_u16() {
                    200 => return true,
                    503 if begin.elapsed() < PATIENCE => sleep(RETRY_AFTER).await,
                    503 => return false,
                    other => panic!("{other}"),
                }
            }
        });
    }
    let answered = asking.join_all().await;
    println!("{:.1?}: {}", begin.elapsed(), berth.peak());
    assert!(answered.iter().all(|answered| *answered), "{answered:?}");
    let peak = berth.peak_memory();
    assert!(peak < 128, "{peak} MiB");
}
