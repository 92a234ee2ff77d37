//! Ten times as many clients as a server can answer within half of their time. `BERTH_SOAK=100` has 1,900 of them, and holds
//! the goodput.

use std::{env, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use rustls::ClientConfig;
use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_rustls::client::TlsStream;

use crate::{
    cgroup::serve,
    common::{
        client::{connect, get, head, response, trust, value},
        example,
    },
};

/// What it waits before it asks again, where it is told to.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What clients saw.
#[derive(Debug, Default)]
struct Tally {
    answered: usize,
    /// Asked to come again.
    shed: usize,
    /// Connections that ended before the answer.
    broken: usize,
    slowest: Duration,
}

/// A review that takes some milliseconds.
fn review(variables: usize) -> String {
    let mut review = example("vllm");
    let variable = |n| json!({"name": format!("VARIABLE_{n}"), "value": "a value of usual length"});
    let variables: Vec<_> = (0..variables).map(variable).collect();
    review["request"]["object"]["spec"]["containers"][0]["env"] = json!(variables);
    review.to_string()
}

/// So many clients for so long, each of which asks again as soon as it has an answer. They are connected before that, as
/// the API server is: a handshake takes longer than many reviews.
async fn load(
    address: SocketAddr,
    config: &ClientConfig,
    request: &Arc<String>,
    clients: usize,
    time: Duration,
) -> Tally {
    let connecting = (0..clients).map(|_| connect(address, config.clone()));
    let connected = stream::iter(connecting).buffered(8);
    let connected: Vec<_> = connected.try_collect().await.expect("handshakes");
    let end = Instant::now() + time;
    let mut asking = JoinSet::new();
    for stream in connected {
        asking.spawn(ask(stream, Arc::clone(request), end));
    }
    let mut sum = Tally::default();
    while let Some(tally) = asking.join_next().await {
        let tally = tally.expect("no panic");
        sum.answered += tally.answered;
        sum.shed += tally.shed;
        sum.broken += tally.broken;
        sum.slowest = sum.slowest.max(tally.slowest);
    }
    sum
}

async fn ask(mut stream: TlsStream<TcpStream>, request: Arc<String>, end: Instant) -> Tally {
    let mut tally = Tally::default();
    while Instant::now() < end {
        let began = Instant::now();
        let asked = async {
            stream.write_all(request.as_bytes()).await?;
            response(&mut stream).await
        };
        let answer = asked.await;
        tally.slowest = tally.slowest.max(began.elapsed());
        match answer {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => tally.answered += 1,
            Ok(answer) => {
                assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
                tally.shed += 1;
                sleep(RETRY_AFTER).await;
            }
            Err(_) => {
                tally.broken += 1;
                break;
            }
        }
    }
    tally
}

/// `timeoutSeconds` of the webhook.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How many there are, what they ask, and how long.
struct Load {
    /// Of which there are ten times as many the second time.
    clients: usize,
    /// Of the Pod that is reviewed: what a review takes is about in proportion.
    variables: usize,
    seconds: u64,
}

/// In a debug build, a review takes some milliseconds.
const SOAK: Load = Load {
    clients: 190,
    variables: 1_000,
    seconds: 20,
};
/// About the same proportions with fewer clients, so that there is room for all of it beside other tests.
const USUAL: Load = Load {
    clients: 12,
    variables: 8_000,
    seconds: 3,
};

/// The single load comes first, so that its rate is of the same machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_ten_times_the_load_goodput_holds_and_nobody_waits_past_the_deadline() {
    let soak = env::var_os("BERTH_SOAK").is_some();
    let of = if soak { SOAK } else { USUAL };
    let (berth, ca) = serve(&["--max-connections=2048"]);
    let (config, time) = (trust(&ca), Duration::from_secs(of.seconds));
    let body = review(of.variables);
    let request = Arc::new(head(body.len()).replace("/mutate", "/mutate?timeout=5s") + &body);
    let ask = async |clients| {
        let tally = load(berth.webhook, &config, &request, clients, time).await;
        println!("{clients} clients: {tally:?}, {}", berth.peak());
        assert_eq!(tally.broken, 0);
        tally
    };
    let once = ask(of.clients).await;
    let tenfold = ask(10 * of.clients).await;
    // how many are shed is the machine's: a fast one answers all
    assert!(tenfold.answered > 0, "{tenfold:?}");
    // as berth counts it, from the arrival: what a client waits for its own turn on a busy machine is not in it
    let duration = "berth_review_duration_seconds";
    let metrics = get(berth.admin, "/metrics").await;
    let all = value(&metrics, &format!("{duration}_count"));
    let in_time = format!("{duration}_bucket{{le=\"5.0\"}}");
    assert_eq!(value(&metrics, &in_time), all);
    if soak {
        assert!(once.slowest.max(tenfold.slowest) < TIMEOUT);
        assert!(10 * tenfold.answered >= 9 * once.answered);
    }
}
