//! Holds the Lease of this namespace, if nobody else does.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::timeout,
};

use self::candidate::Candidate;
use super::{WAITING, client::Clients, config, contact::Contact};
use crate::{metrics::Metrics, process::host, state::ServerState};
use berth_core::lease;

mod candidate;

/// So long the end waits for the release.
const RELEASE: Duration = Duration::from_secs(2);

/// Whether this replica holds the Lease: until when, by its own clock, which does not jump.
#[derive(Clone, Debug)]
pub(super) struct Held(watch::Receiver<Option<Instant>>);

/// Who else holds the Lease: where that replica can be reached, and until when it is the holder.
#[derive(Clone, Debug)]
pub(super) struct Holders(watch::Receiver<Option<(SocketAddr, Instant)>>);

/// What is known of the Lease, and how it is given back.
pub(super) struct Standing {
    pub(super) held: Held,
    pub(super) holders: Holders,
    pub(super) release: Release,
}

/// Gives the Lease back.
#[derive(Debug)]
pub(super) struct Release {
    say: oneshot::Sender<()>,
    done: oneshot::Receiver<()>,
}

/// Tries to get the Lease while this replica is ready, and keeps it, until it is released. The record says where others reach this replica, if they
/// can.
pub(super) fn start(
    tasks: &mut JoinSet<()>,
    clients: &Clients,
    name: &str,
    address: Option<SocketAddr>,
    state: Arc<ServerState>,
    metrics: &Arc<Metrics>,
) -> Standing {
    let (news, coming) = mpsc::channel(WAITING);
    let ours = config().fields(&format!("metadata.name={name}"));
    let watched: Api<Lease> = Api::default_namespaced(clients.watches.clone());
    let contact = Contact::new("Lease", Arc::clone(metrics));
    tasks.spawn(contact.follow(watched, ours, news, |seen| seen));
    let (held, holds) = watch::channel(None);
    let (other, others) = watch::channel(None);
    let (say, released) = oneshot::channel();
    let (end, done) = oneshot::channel();
    let candidate = Candidate::new(
        Api::default_namespaced(clients.calls.clone()),
        name.to_owned(),
        lease::identity(&replica(), address),
        candidate::Shown { held, other },
        state,
        Arc::clone(metrics),
    );
    tasks.spawn(async move {
        candidate.run(coming, released).await;
        // nobody waits where the process ends at once
        let _ = end.send(());
    });
    Standing {
        held: Held(holds),
        holders: Holders(others),
        release: Release { say, done },
    }
}

/// The host's name, which is the Pod's, and what tells this process from the one before.
fn replica() -> String {
    // the keys of a hasher are random
    let random = RandomState::new().build_hasher().finish();
    format!("{}_{random:016x}", host())
}

impl Held {
    /// Whether this replica holds it now.
    pub(super) fn is_held(&self) -> bool {
        is_held(*self.0.borrow())
    }

    /// Waits until it does. An error: it never will again.
    pub(super) async fn gained(&mut self) -> Result<(), watch::error::RecvError> {
        self.0.wait_for(|until| is_held(*until)).await.map(drop)
    }
}

impl Holders {
    /// Where the holder can be reached, if that is another replica.
    pub(super) fn other(&self, now: Instant) -> Option<SocketAddr> {
        let (address, until) = (*self.0.borrow())?;
        (now < until).then_some(address)
    }
}

/// What tests know of the Lease, as long as the senders live.
#[cfg(test)]
pub(super) fn known(
    held: watch::Receiver<Option<Instant>>,
    other: watch::Receiver<Option<(SocketAddr, Instant)>>,
) -> (Held, Holders) {
    (Held(held), Holders(other))
}

fn is_held(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() < until)
}

impl Release {
    /// Gives the Lease back if it is held, so that another replica need not wait for its end.
    pub(super) async fn release(self) {
        let _ = self.say.send(());
        let _ = timeout(RELEASE, self.done).await;
    }
}
