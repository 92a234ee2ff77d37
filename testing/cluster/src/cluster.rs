//! The homelab with berth in it, and a test's view of it: one namespace, and sentences.
#![allow(
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a test fails by a panic"
)]

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Namespace, Pod},
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ListParams, PostParams},
    core::Status,
    runtime::watcher,
};
use serde_json::Value;
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::{Instant, sleep},
};

use crate::{
    ControlPlane, Created, Error, Options, PATIENCE, Setup, Webhook, Workload, control_plane::ASK,
    define, homelab, until, webhook::create_namespace,
};

/// The seed's nodes, and berth as a webhook: what tests share.
#[derive(Debug)]
pub struct Homelab {
    control_plane: ControlPlane,
    webhook: Webhook,
    /// The namespaces whose Pods may hold GPUs. Who has this lock has the GPUs.
    gpus: Arc<Mutex<Vec<String>>>,
    count: AtomicU32,
}

/// The homelab for one test: a namespace of its own, and a client of its own runtime.
#[expect(missing_debug_implementations, reason = "a client has none")]
pub struct Cluster<'a> {
    homelab: &'a Homelab,
    client: Client,
    namespace: String,
    turn: Option<OwnedMutexGuard<Vec<String>>>,
}

impl Homelab {
    /// Starts a control plane, registers the nodes, and installs berth.
    pub async fn start(options: &Options, setup: &Setup) -> Result<Self, Error> {
        let control_plane = ControlPlane::start(options).await?;
        let client = control_plane.client().await?;
        homelab::register(&client).await?;
        let webhook = Webhook::install(&control_plane, setup).await?;
        Ok(Self {
            control_plane,
            webhook,
            gpus: Arc::default(),
            count: AtomicU32::new(0),
        })
    }

    /// The control plane.
    #[must_use]
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// The webhook.
    #[must_use]
    pub fn webhook(&self) -> &Webhook {
        &self.webhook
    }

    /// For a test whose Pods run: waits for the GPUs, and has all of them for itself.
    pub async fn cluster(&self) -> Cluster<'_> {
        let mut gpus = Arc::clone(&self.gpus).lock_owned().await;
        let mut cluster = self.cluster_without_gpus().await;
        for namespace in gpus.drain(..) {
            cluster.free(&namespace).await;
        }
        gpus.push(cluster.namespace.clone());
        cluster.turn = Some(gpus);
        cluster
    }

    /// For a test whose Pods never reach a GPU: it waits for nobody.
    pub async fn cluster_without_gpus(&self) -> Cluster<'_> {
        let client = self.control_plane.client().await.expect("a client");
        let namespace = format!("test-{}", self.count.fetch_add(1, Ordering::Relaxed));
        let created = create_namespace(&client, &namespace).await;
        created.unwrap_or_else(|error| panic!("{error}"));
        Cluster {
            homelab: self,
            client,
            namespace,
            turn: None,
        }
    }
}

impl Cluster<'_> {
    /// The homelab.
    #[must_use]
    pub fn homelab(&self) -> &Homelab {
        self.homelab
    }

    /// The test's namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A client with every right.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Objects of the test's namespace.
    #[must_use]
    pub fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client(), &self.namespace)
    }

    /// Creates an object, which the API server must accept.
    pub async fn create<K: Workload>(&self, object: K) -> Created<K> {
        let created = self.api().create(&PostParams::default(), &object).await;
        Created {
            client: self.client(),
            object: created.unwrap_or_else(|error| panic!("{error}")),
        }
    }

    /// What a create would store.
    pub async fn dry_run<K: Workload>(&self, object: K) -> K {
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let created = self.api().create(&dry_run, &object).await;
        created.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Creates an object, which must be refused: what its user reads.
    pub async fn refuses<K: Workload>(&self, object: K) -> Status {
        match self
            .api::<K>()
            .create(&PostParams::default(), &object)
            .await
        {
            Err(kube::Error::Api(status)) => *status,
            Err(error) => panic!("{error}"),
            Ok(object) => panic!("created {object:#?}"),
        }
    }

    /// Waits for an event of the audit log, of a create in the test's namespace, that shows what is wanted.
    pub async fn audit<T>(&self, wanted: impl Fn(&Value) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let audit = self.homelab.control_plane.audit();
            let mut events = audit.unwrap_or_else(|error| panic!("{error}"));
            events.retain(|event| event["objectRef"]["namespace"] == *self.namespace);
            if let Some(found) = events.iter().find_map(&wanted) {
                return found;
            }
            assert!(Instant::now() < deadline, "no such event among {events:#?}");
            // a file that grows: there is nothing to watch
            sleep(ASK).await;
        }
    }

    /// Runs kubectl in the namespace: what it says on both outputs, and whether it is content.
    pub async fn kubectl(&self, arguments: &[&str]) -> (bool, String) {
        let kubectl = self.homelab.control_plane.kubectl();
        let mut kubectl = kubectl.unwrap_or_else(|error| panic!("{error}"));
        kubectl.args(["-n", &self.namespace]).args(arguments);
        let ran = tokio::task::spawn_blocking(move || kubectl.output()).await;
        let output = ran.expect("no panic").expect("kubectl runs");
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    /// Installs the definitions of the table.
    pub async fn define(&self) {
        let defined = define(&self.homelab.control_plane).await;
        defined.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Ends what an earlier test left. In a namespace that ends, nothing new is created.
    async fn free(&self, namespace: &str) {
        let namespaces: Api<Namespace> = Api::all(self.client());
        let deleted = namespaces.delete(namespace, &DeleteParams::default()).await;
        deleted.unwrap_or_else(|error| panic!("{error}"));
        let pods: Api<Pod> = Api::namespaced(self.client(), namespace);
        let at_once = DeleteParams::default().grace_period(0);
        let gone = until(pods.clone(), watcher::Config::default(), |pods| {
            pods.is_empty().then_some(())
        });
        let deleted = pods
            .delete_collection(&at_once, &ListParams::default())
            .await;
        deleted.unwrap_or_else(|error| panic!("{error}"));
        gone.await
            .unwrap_or_else(|pods| panic!("not ended: {:?}", pods.keys()));
    }
}
