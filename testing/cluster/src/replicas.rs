//! Two replicas of berth behind the Service, replaced one after the other as a Deployment and kubelet do it.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use kube::Client;

use crate::{
    ControlPlane, Error, Homelab, Serving, Setup, Source,
    balancer::Balancer,
    mounted::Mounted,
    webhook::{SECRET, call, cluster_flags, serve_flags},
};

/// How many there are.
const COUNT: usize = 2;
/// `terminationGracePeriodSeconds` of `deploy/`: kubelet kills who takes longer.
const GRACE: Duration = Duration::from_secs(40);

/// Replicas that the API server calls instead of the homelab's one process, until they are dropped.
#[expect(missing_debug_implementations, reason = "a client has none")]
pub struct Replicas<'a> {
    control_plane: &'a ControlPlane,
    client: Client,
    berth: PathBuf,
    flags: Vec<String>,
    balancer: Balancer,
    serving: Vec<Serving>,
    _mounted: Mounted,
}

impl<'a> Replicas<'a> {
    /// Starts them, with flags besides the usual, or instead of them where they have the same name. The API server calls them from the first [`Replicas::connect_anew`].
    pub async fn start(
        homelab: &'a Homelab,
        setup: &Setup,
        flags: &[String],
    ) -> Result<Self, Error> {
        let control_plane = homelab.control_plane();
        let folder = tempfile::Builder::new()
            .prefix(SECRET)
            .tempdir_in(control_plane.path(""));
        // it ends with the control plane's
        let folder = folder.map_err(Error::io("a folder for a Secret"))?.keep();
        let mounted = Mounted::of(setup.certificate, control_plane, &folder).await?;
        let mut all = match setup.source {
            Source::Files => serve_flags(&setup.table, &mounted),
            Source::Cluster => cluster_flags(control_plane, &mounted)?,
        };
        let name = |flag: &String| flag.split('=').next().map(str::to_owned);
        all.retain(|usual| flags.iter().all(|flag| name(flag) != name(usual)));
        all.extend_from_slice(flags);
        let mut replicas = Self {
            control_plane,
            client: control_plane.client().await?,
            berth: setup.berth.clone(),
            flags: all,
            balancer: Balancer::new(),
            serving: Vec::new(),
            _mounted: mounted,
        };
        for _ in 0..COUNT {
            replicas.add().await?;
        }
        Ok(replicas)
    }

    /// Those that serve.
    #[must_use]
    pub fn serving(&self) -> &[Serving] {
        &self.serving
    }

    /// Makes the API server connect anew, with a handshake, and waits until it has. It keeps a connection for as long as
    /// it is used, and would see no new certificate for hours. With another port, the Service is another one to it; what
    /// is on its way stays on the old one. Something must create Pods meanwhile.
    pub async fn connect_anew(&mut self) -> Result<(), Error> {
        let mut listening = self.balancer.listen().await?;
        call(&self.client, listening.port, None).await?;
        listening.used().await
    }

    /// Replaces every replica, as a rollout with `maxSurge: 1` and `maxUnavailable: 0`: a new one is ready before an old
    /// one gets SIGTERM, and none of the old is waited for before the next. Returns when all of them have ended well
    /// within the grace period: how long the slowest took.
    pub async fn roll(&mut self) -> Result<Duration, Error> {
        let mut ending = Vec::new();
        for replica in self.serving.clone() {
            self.add().await?;
            self.serving
                .retain(|other| other.webhook != replica.webhook);
            replica.terminate()?;
            ending.push((replica, Instant::now()));
        }
        let mut slowest = Duration::ZERO;
        for (replica, began) in ending {
            let left = GRACE.saturating_sub(began.elapsed());
            replica.ends_well(self.control_plane, left).await?;
            slowest = slowest.max(began.elapsed());
        }
        Ok(slowest)
    }

    /// Starts one more, and waits until it gets connections.
    pub async fn add(&mut self) -> Result<Serving, Error> {
        let replica = self.start_one().await?;
        self.joins(replica).await?;
        Ok(replica)
    }

    /// Starts one more, which gets connections as soon as it is ready.
    pub async fn start_one(&mut self) -> Result<Serving, Error> {
        let replica = Serving::start(self.control_plane, &self.berth, &self.flags).await?;
        self.serving.push(replica);
        self.balancer.add(replica);
        Ok(replica)
    }

    /// Waits until a replica gets connections.
    pub async fn joins(&self, replica: Serving) -> Result<(), Error> {
        self.balancer.joined(replica).await
    }

    /// Kills a replica, and returns when new connections go elsewhere.
    pub async fn kill(&mut self, replica: Serving) -> Result<(), Error> {
        replica.kill(self.control_plane);
        self.serving
            .retain(|other| other.webhook != replica.webhook);
        self.balancer.left(replica).await
    }
}

impl Drop for Replicas<'_> {
    fn drop(&mut self) {
        for replica in &self.serving {
            replica.kill(self.control_plane);
        }
    }
}
