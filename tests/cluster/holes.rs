//! A network that swallows what is sent, and a history that is gone: `make soak` alone, since each takes minutes.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use berth_cluster::{ControlPlane, Error, Options};
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::watcher,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{
    replica::{Replica, gets},
    source::{class, pool},
    stand::is_soak,
};

/// A connection that is dead must be noticed so soon, and a network that is well used again.
const SOON: Duration = Duration::from_mins(1);

/// What the way to the API server does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    /// It leads there.
    Open,
    /// It takes what is sent, and none of it arrives; a new connection is accepted, and that is all.
    Swallows,
    /// It ends every connection.
    Closed,
}

/// A proxy before an address.
struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
}

impl Proxy {
    async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (way, ways) = watch::channel(Way::Open);
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                tokio::spawn(carry(from, target, ways.clone()));
            }
        });
        Self { address, way }
    }
}

/// Carries what comes until an end closes, or the way does.
async fn carry(mut from: TcpStream, target: SocketAddr, mut way: watch::Receiver<Way>) {
    let first = *way.borrow();
    if first == Way::Closed {
        return;
    }
    if first == Way::Swallows {
        // a connection that was lost stays lost
        let _ = way.wait_for(|way| *way == Way::Closed).await;
        return;
    }
    let Ok(mut to) = TcpStream::connect(target).await else {
        return;
    };
    let (mut sent, mut answered) = (vec![0; 1 << 14], vec![0; 1 << 14]);
    loop {
        tokio::select! {
            biased;
            changed = way.changed() => {
                if changed.is_err() || *way.borrow() == Way::Closed {
                    return;
                }
                if *way.borrow() == Way::Swallows {
                    let _ = way.wait_for(|way| *way == Way::Closed).await;
                    return;
                }
            }
            read = from.read(&mut sent) => match read {
                Ok(0) | Err(_) => return,
                Ok(n) => if to.write_all(&sent[..n]).await.is_err() { return },
            },
            read = to.read(&mut answered) => match read {
                Ok(0) | Err(_) => return,
                Ok(n) => if from.write_all(&answered[..n]).await.is_err() { return },
            },
        }
    }
}

/// A kubeconfig with every right that leads to the API server by a proxy.
async fn by_a_proxy(control_plane: &ControlPlane) -> (Proxy, std::path::PathBuf) {
    let file = control_plane.kubeconfig().expect("a file");
    let text = std::fs::read_to_string(&file).expect("text");
    let kubeconfig: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let server = kubeconfig["clusters"][0]["cluster"]["server"]
        .as_str()
        .expect("a server");
    let target = server
        .trim_start_matches("https://")
        .parse()
        .expect("an address");
    let proxy = Proxy::before(target).await;
    let text = text.replace(server, &format!("https://{}", proxy.address));
    let file = control_plane.path("proxy.kubeconfig");
    std::fs::write(&file, text).expect("written");
    (proxy, file)
}

async fn start(api_server: &[&str]) -> Option<ControlPlane> {
    let options = Options {
        kubernetes: std::env::var(crate::KUBERNETES).ok(),
        api_server: api_server.iter().map(|it| (*it).to_owned()).collect(),
    };
    match ControlPlane::start(&options).await {
        Err(Error::Missing(_)) => None,
        started => Some(started.unwrap_or_else(|error| panic!("{error}"))),
    }
}

/// A counter of the replica; 0 where it has not counted yet.
async fn seen(replica: &Replica, series: &str) -> u64 {
    let metrics = replica.get("/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    line.and_then(|value| value.trim().parse().ok())
        .unwrap_or_default()
}

/// Waits until it is so: how long that took.
async fn until_so(what: &str, longest: Duration, is_so: impl AsyncFn() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < longest, "{what}: not in {longest:?}");
        sleep(Duration::from_millis(200)).await;
    }
    println!("{what}: after {:?}", began.elapsed());
    began.elapsed()
}

#[tokio::test]
async fn holes_in_the_network_are_noticed_in_a_minute_and_the_last_table_serves_meanwhile() {
    if !is_soak() {
        return;
    }
    let Some(control_plane) = start(&[]).await else {
        return;
    };
    let (proxy, file) = by_a_proxy(&control_plane).await;
    // what kube does by itself: no read times out
    let kubeconfig = Kubeconfig::read_from(&file).expect("a kubeconfig");
    let chosen = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &chosen);
    let config = config.await.expect("a configuration");
    let without = Client::try_from(config).expect("a client");
    let replica = Replica::start(&Arc::new(control_plane), file);
    replica.define().await;
    replica.apply(&pool("a", "a")).await;
    replica.apply(&class("a", "a", json!({}))).await;
    replica.becomes_ready().await;
    replica.answers("a", "default", gets("a")).await;
    let namespaces: Api<Namespace> = Api::all(without);
    // longer than this test: it would be told by nothing but the end of a read
    let hanging = watcher(namespaces, watcher::Config::default().timeout(3_000));
    let mut hanging = pin!(hanging);
    while !matches!(hanging.next().await, Some(Ok(watcher::Event::InitDone))) {}
    let mut hanging = hanging.skip_while(|event| std::future::ready(event.is_ok()));

    proxy.way.send_replace(Way::Swallows);
    let errors = r#"berth_watch_errors_total{kind="GPUPool",code="0"} "#;
    let noticed = until_so("noticed", SOON, async || seen(&replica, errors).await > 0);
    let (hangs, _) = tokio::join!(
        timeout(SOON + Duration::from_secs(10), hanging.next()),
        noticed
    );
    assert!(
        hangs.is_err(),
        "without a read timeout it was noticed, too: {hangs:?}"
    );
    assert!(replica.ready().await);
    assert_eq!(
        replica.answer(Some("a"), "default").await,
        Ok("a".to_owned())
    );

    // what was lost stays lost, and new connections arrive
    replica.apply(&pool("b", "b")).await;
    replica.apply(&class("b", "b", json!({}))).await;
    proxy.way.send_replace(Way::Open);
    until_so("recovered", SOON, async || {
        replica.answer(Some("b"), "default").await == Ok("b".to_owned())
    })
    .await;
}

/// The API server keeps no history beside etcd's, and etcd's for two seconds.
#[tokio::test]
async fn holes_in_the_history_are_a_new_list_and_the_last_table_serves_meanwhile() {
    if !is_soak() {
        return;
    }
    let flags = ["--watch-cache=false", "--etcd-compaction-interval=2s"];
    let Some(control_plane) = start(&flags).await else {
        return;
    };
    let (proxy, file) = by_a_proxy(&control_plane).await;
    let replica = Replica::start(&Arc::new(control_plane), file);
    replica.define().await;
    replica.apply(&pool("a", "a")).await;
    replica.apply(&class("a", "a", json!({}))).await;
    replica.becomes_ready().await;
    replica.answers("a", "default", gets("a")).await;
    proxy.way.send_replace(Way::Closed);
    for name in ["b", "c", "d", "e", "f"] {
        replica.apply(&pool(name, name)).await;
        replica.apply(&class(name, name, json!({}))).await;
        sleep(Duration::from_secs(2)).await;
        assert_eq!(
            replica.answer(Some("a"), "default").await,
            Ok("a".to_owned())
        );
    }
    proxy.way.send_replace(Way::Open);
    until_so("seen again", SOON, async || {
        replica.answer(Some("f"), "default").await == Ok("f".to_owned())
    })
    .await;
    let gone = r#"berth_watch_errors_total{kind="GPUPool",code="410"} "#;
    let lists = r#"berth_watch_relists_total{kind="GPUPool"} "#;
    assert!(
        seen(&replica, gone).await > 0,
        "{}",
        replica.get("/metrics").await
    );
    assert!(
        seen(&replica, lists).await > 1,
        "{}",
        replica.get("/metrics").await
    );
}
