//! A replica that would hold the Lease: what it sees, and what it writes.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use backon::ExponentialBackoff;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{Api, api::PostParams, core::ObjectMeta, runtime::watcher::Event};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval},
};

use super::{
    super::{
        calls::{Failure, Told, backoff, call},
        contact::Seen,
    },
    is_held,
};
use crate::{metrics::Metrics, state::ServerState};
use berth_core::lease::{self, Sighting, Step};

/// So long the Lease is held without being renewed. In the record it is seconds.
const DURATION: Duration = Duration::from_secs(15);
const SECONDS: i32 = 15;
/// So often it is renewed.
const RENEWAL: Duration = Duration::from_secs(5);
/// So often it is looked whether it is time for anything.
const LOOK: Duration = Duration::from_millis(500);
/// The waits after failures in a row: the first leaves time for another attempt while the Lease is held.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15);
/// What others are shown.
pub(super) struct Shown {
    /// Until when this replica holds the Lease.
    pub(super) held: watch::Sender<Option<Instant>>,
    /// Where another can be reached that holds it, and until when it does.
    pub(super) other: watch::Sender<Option<(SocketAddr, Instant)>>,
}

/// A replica that would hold the Lease.
pub(super) struct Candidate {
    api: Api<Lease>,
    /// The Lease's.
    name: String,
    me: String,
    metrics: Arc<Metrics>,
    shown: Shown,
    /// Where this is not ready, it leaves the Lease to another replica.
    state: Arc<ServerState>,
    began: Instant,
    /// The object as it was last seen, which a write must replace.
    seen: Option<Lease>,
    sighting: Sighting,
    /// Whether a list has said if there is one.
    listed: bool,
    /// That of a list that is not complete.
    coming: Option<Lease>,
    /// When it was written last.
    renewed: Option<Instant>,
    /// When the next attempt may be.
    next: Instant,
    waits: Option<ExponentialBackoff>,
    told: Told,
}

impl Candidate {
    pub(super) fn new(
        api: Api<Lease>,
        name: String,
        me: String,
        shown: Shown,
        state: Arc<ServerState>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let now = Instant::now();
        Self {
            api,
            name,
            me,
            metrics,
            shown,
            state,
            began: now,
            seen: None,
            sighting: Sighting::default(),
            listed: false,
            coming: None,
            renewed: None,
            next: now,
            waits: None,
            told: Told::default(),
        }
    }

    /// Tries and renews until it is released, or nothing can be seen any more.
    pub(super) async fn run(
        mut self,
        mut news: mpsc::Receiver<Seen<Lease>>,
        mut released: oneshot::Receiver<()>,
    ) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut was_held = false;
        loop {
            tokio::select! {
                seen = news.recv() => match seen {
                    Some(Ok(event)) => self.see(event),
                    // the watch has said so
                    Some(Err(_)) => {}
                    None => return,
                },
                _ = look.tick() => {}
                _ = &mut released => return self.release().await,
            }
            self.act().await;
            let holds = is_held(*self.shown.held.borrow());
            if std::mem::replace(&mut was_held, holds) != holds {
                self.metrics.lease_held.set(i64::from(holds));
                if holds {
                    tracing::info!(
                        identity = self.me,
                        "holds the Lease: writes the statuses, and chooses between pools"
                    );
                } else {
                    let holder = self.sighting.holder();
                    tracing::info!(holder, "does not hold the Lease any more");
                }
            }
        }
    }

    fn see(&mut self, event: Event<Lease>) {
        match event {
            Event::Init => self.coming = None,
            Event::InitApply(lease) => self.coming = Some(lease),
            Event::InitDone => {
                self.listed = true;
                let lease = self.coming.take();
                self.saw(lease, Instant::now());
            }
            Event::Apply(lease) => self.saw(Some(lease), Instant::now()),
            Event::Delete(_) => self.saw(None, Instant::now()),
        }
    }

    fn saw(&mut self, lease: Option<Lease>, now: Instant) {
        let spec = lease.as_ref().and_then(|lease| lease.spec.clone());
        self.sighting
            .see(spec.unwrap_or_default(), now.duration_since(self.began));
        self.seen = lease;
        let holder = self.sighting.holder();
        let other = holder.filter(|holder| *holder != self.me);
        let until = self.began + self.sighting.end();
        let other = other.and_then(lease::address).map(|it| (it, until));
        self.shown.other.send_replace(other);
        if holder != Some(&*self.me) {
            self.shown.held.send_replace(None);
        }
    }

    /// Does what is to be done now.
    async fn act(&mut self) {
        let now = Instant::now();
        if !self.listed || now < self.next {
            return;
        }
        let step = self.sighting.step(&self.me, now.duration_since(self.began));
        if self.state.ready().is_err() {
            // it may have no table to choose by, and no certificate that others accept
            if step == Step::Hold
                && let Err(failure) = self.let_go().await
            {
                self.fails(&failure);
            }
            return;
        }
        match step {
            Step::Wait => return,
            Step::Hold if self.renewed.is_some_and(|it| now < it + RENEWAL) => return,
            Step::Hold | Step::Take => {}
        }
        match self.write(self.ours()).await {
            Ok(lease) => {
                self.saw(Some(lease), now);
                self.renewed = Some(now);
                self.shown.held.send_replace(Some(now + DURATION));
                self.waits = None;
                if self.told.ends() {
                    tracing::info!("the Lease is written again");
                }
            }
            Err(failure) => self.fails(&failure),
        }
    }

    /// The record by which it is ours.
    fn ours(&self) -> LeaseSpec {
        let before = self.seen.as_ref().and_then(|lease| lease.spec.clone());
        let before = before.unwrap_or_default();
        let now = MicroTime(Timestamp::now());
        let is_ours = before.holder_identity.as_deref() == Some(&self.me);
        let transitions = before.lease_transitions;
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: Some(SECONDS),
            acquire_time: before
                .acquire_time
                .filter(|_| is_ours)
                .or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: if is_ours {
                transitions
            } else {
                Some(transitions.map_or(0, |it| it.saturating_add(1)))
            },
            ..before
        }
    }

    /// Replaces the Lease at the version that was seen, so that of two replicas one fails.
    async fn write(&self, spec: LeaseSpec) -> Result<Lease, Failure> {
        let post = PostParams::default();
        let Some(seen) = &self.seen else {
            let metadata = ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            };
            let lease = Lease {
                metadata,
                spec: Some(spec),
            };
            return call(self.api.create(&post, &lease)).await;
        };
        let lease = Lease {
            spec: Some(spec),
            ..seen.clone()
        };
        call(self.api.replace(&self.name, &post, &lease)).await
    }

    fn fails(&mut self, failure: &Failure) {
        let waits = self.waits.get_or_insert_with(|| backoff(SHORTEST, LONGEST));
        self.next = Instant::now() + waits.next().unwrap_or(LONGEST);
        // somebody else was first, and the watch will say who
        if failure.code != 409 && self.told.is_new(&failure.to_string()) {
            tracing::warn!(
                error = %failure,
                "the Lease is not written: another replica writes the statuses, or none"
            );
        }
    }

    /// Leaves the Lease to whoever comes first.
    async fn let_go(&mut self) -> Result<(), Failure> {
        // first, so that nothing is written by two
        self.shown.held.send_replace(None);
        let spec = LeaseSpec {
            holder_identity: None,
            acquire_time: None,
            renew_time: Some(MicroTime(Timestamp::now())),
            ..self.ours()
        };
        let lease = self.write(spec).await?;
        self.saw(Some(lease), Instant::now());
        Ok(())
    }

    /// The same at the end.
    async fn release(mut self) {
        if self.sighting.holder() != Some(&*self.me) {
            return;
        }
        self.metrics.lease_held.set(0);
        if let Err(error) = self.let_go().await {
            tracing::warn!(%error, "the Lease is not released: it ends in 15 s");
        }
    }
}

#[cfg(test)]
mod tests;
