//! What berth counts, as Prometheus names it: seconds and bytes, and labels with few values.

use std::{
    sync::atomic::{AtomicI64, AtomicU64},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use crate::{COMMIT, process::Process, state::NotReady};
use berth_core::{live::Room, outcome::Reason, review::Decision, table::AllocationTable};

use durations::Durations;
use pools::Pools;
use reviews::Reviews;

mod durations;
pub mod pools;
mod reviews;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct WarningLabel {
    warning: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct SourceLabel {
    source: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Reload {
    source: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Revision {
    revision: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct WatchError {
    kind: &'static str,
    code: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Judgement {
    kind: &'static str,
    accepted: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Written {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RoomLabel {
    room: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ResultLabel {
    result: &'static str,
}

/// What is read again when it changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// The manifests.
    Table,
    /// The certificate with its key, and the CA of the clients.
    Certificate,
}

impl Source {
    const ALL: [Self; 2] = [Self::Table, Self::Certificate];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Certificate => "certificate",
        }
    }
}

/// Every metric.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reviews: Reviews,
    warnings: Family<WarningLabel, Counter>,
    duration: Durations,
    table_info: Family<Revision, Gauge>,
    table_classes: Gauge,
    table_pools: Gauge,
    reloads: Family<Reload, Counter>,
    last_reload: Family<SourceLabel, Gauge<f64, AtomicU64>>,
    invalid: Family<SourceLabel, Gauge>,
    invalid_since: Family<SourceLabel, Gauge<f64, AtomicU64>>,
    not_ready: Family<ReasonLabel, Gauge>,
    certificate_not_after: Gauge<i64, AtomicI64>,
    watch_relists: Family<KindLabel, Counter>,
    watch_errors: Family<WatchError, Counter>,
    watch_contact: Family<KindLabel, Gauge<f64, AtomicU64>>,
    objects: Family<Judgement, Gauge>,
    status_writes: Family<Written, Counter>,
    events: Family<ResultLabel, Counter>,
    forwards: Family<ResultLabel, Counter>,
    choices: Family<RoomLabel, Counter>,
    /// GPUs that were taken for a Pod that was not seen in time.
    pub reservations_expired: Counter,
    /// What is counted of each pool.
    pub pools: Pools,
    words: Family<ResultLabel, Counter>,
    /// 1 where this replica holds the Lease.
    pub lease_held: Gauge,
    /// Reviews that are being read or answered.
    pub in_flight: Gauge,
    /// Bytes of bodies and answers, as the budget counts them.
    pub body_bytes: Gauge,
    /// Bugs that a review or a reload met.
    pub panics: Counter,
    /// Open connections to the webhook.
    pub connections: Gauge,
    /// Connections that made room for a new one, at the limit.
    pub connections_evicted: Counter,
    /// Connections over the limit, closed at once since every other had sent its review.
    pub connections_refused: Counter,
    /// Connections that failed before a request: mostly TLS handshakes.
    pub connection_errors: Counter,
    /// Lines of the log that nobody read in time, or at all.
    pub log_lines_dropped: Counter,
    spans: Family<ResultLabel, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            reviews: Reviews::default(),
            warnings: Family::default(),
            duration: Durations::default(),
            table_info: Family::default(),
            table_classes: Gauge::default(),
            table_pools: Gauge::default(),
            reloads: Family::default(),
            last_reload: Family::default(),
            invalid: Family::default(),
            invalid_since: Family::default(),
            not_ready: Family::default(),
            certificate_not_after: Gauge::default(),
            watch_relists: Family::default(),
            watch_errors: Family::default(),
            watch_contact: Family::default(),
            objects: Family::default(),
            status_writes: Family::default(),
            events: Family::default(),
            forwards: Family::default(),
            choices: Family::default(),
            reservations_expired: Counter::default(),
            pools: Pools::default(),
            words: Family::default(),
            lease_held: Gauge::default(),
            in_flight: Gauge::default(),
            body_bytes: Gauge::default(),
            panics: Counter::default(),
            connections_evicted: Counter::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            connection_errors: Counter::default(),
            log_lines_dropped: Counter::default(),
            spans: Family::default(),
        };
        metrics.register();
        // each has its line from the start, so that an alert can tell a zero from a scrape without it
        for source in Source::ALL {
            metrics.show_invalid(source, None);
        }
        metrics.readiness(&Ok(()));
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let ours = registry.sub_registry_with_prefix("berth");
        self.register_reviews(ours);
        self.register_words(ours);
        self.register_sources(ours);
        self.register_watches(ours);
        self.register_connections(ours);
        let help =
            "Lines of the log that were dropped, because standard error is not read, or too slowly";
        ours.register("log_lines_dropped", help, self.log_lines_dropped.clone());
        let help = "Spans of reviews, by result: sent, failed where the Collector did not take them, or dropped since too many waited";
        ours.register("spans", help, self.spans.clone());
        let build = Info::new([
            ("version", env!("CARGO_PKG_VERSION")),
            ("commit", COMMIT.unwrap_or("unknown")),
        ]);
        let help = "The version of berth, and the commit that it is built from";
        ours.register("build", help, build);
        self.registry = registry;
    }

    fn register_reviews(&self, r: &mut Registry) {
        self.reviews.register(r);
        let help = "Warnings that answers had, by what they warn of";
        r.register("warnings", help, self.warnings.clone());
        let help = "From the request's head to its answer";
        r.register("review_duration_seconds", help, self.duration.clone());
        let help = "Requests that are being read or answered";
        r.register("reviews_in_flight", help, self.in_flight.clone());
        let help = "Bytes of the bodies that are being read or reviewed, and of answers until they are written: at most --max-body-memory";
        r.register("body_bytes", help, self.body_bytes.clone());
        let help = "Panics, which are bugs in berth: one in a review is answered with a 500, one in a reload changes nothing";
        r.register("panics", help, self.panics.clone());
    }

    fn register_words(&self, r: &mut Registry) {
        let help = "Objects with Pod templates that the API server asked about when they were applied, by result: always allowed";
        r.register("words", help, self.words.clone());
    }

    fn register_sources(&self, r: &mut Registry) {
        let help = "The revision of the table in force";
        r.register("table_info", help, self.table_info.clone());
        let help = "Workload classes in the table";
        r.register("table_classes", help, self.table_classes.clone());
        let help = "GPU pools in the table";
        r.register("table_pools", help, self.table_pools.clone());
        let help = "Reloads of a source, by result";
        r.register("reloads", help, self.reloads.clone());
        let help = "When a source was last reloaded successfully";
        let name = "last_reload_success_timestamp_seconds";
        r.register(name, help, self.last_reload.clone());
        let help = "1 if what was read last is invalid, so that it is not in force";
        r.register("source_invalid", help, self.invalid.clone());
        let help = "Since when the source has been invalid; 0 if it is valid";
        let name = "source_invalid_since_timestamp_seconds";
        r.register(name, help, self.invalid_since.clone());
        let help = "1 for each reason why the server should get no traffic: /readyz says more";
        r.register("not_ready", help, self.not_ready.clone());
        let help = "When the serving certificate expires";
        let name = "certificate_not_after_timestamp_seconds";
        r.register(name, help, self.certificate_not_after.clone());
    }

    fn register_watches(&self, r: &mut Registry) {
        let help = "Complete lists of a kind, the first included";
        r.register("watch_relists", help, self.watch_relists.clone());
        let help = "Lists and watches that failed, by the API server's code; 0 is no answer";
        r.register("watch_errors", help, self.watch_errors.clone());
        let help = "When the API server last answered a list or watch of a kind";
        let name = "watch_last_contact_timestamp_seconds";
        r.register(name, help, self.watch_contact.clone());
        let help = "Objects of a kind, by whether they are in the table";
        r.register("objects", help, self.objects.clone());
        let help = "Statuses that were written, by kind and result";
        r.register("status_writes", help, self.status_writes.clone());
        let help = "Choices between pools for Pods that are created, by what was known of the room";
        r.register("choices", help, self.choices.clone());
        let help =
            "Placed Pods that were not seen within 3 seconds: most were denied by somebody else";
        r.register(
            "reservations_expired",
            help,
            self.reservations_expired.clone(),
        );
        self.pools.register(r);
        let help = "Events about the owners of Pods and our objects, by result; dropped are those for which there was no room, refused those that the API server does not take";
        r.register("events", help, self.events.clone());
        let help = "Reviews with a choice between pools that another replica should decide: answered by it, failed, or skipped since none could be asked; all but the answered are decided here";
        r.register("forwards", help, self.forwards.clone());
        let help = "1 if this replica holds the Lease, and so writes the statuses and chooses between pools";
        r.register("lease_held", help, self.lease_held.clone());
    }

    fn register_connections(&self, r: &mut Registry) {
        let help = "Open connections to the webhook";
        r.register("connections", help, self.connections.clone());
        let help =
            "Connections without a review in progress that made room for a new one, at the limit";
        r.register(
            "connections_evicted",
            help,
            self.connections_evicted.clone(),
        );
        let help = "Connections over the limit that were closed at once, since all others had a review in progress";
        r.register(
            "connections_refused",
            help,
            self.connections_refused.clone(),
        );
        let help = "Connections that failed before a request, in the handshake mostly";
        r.register("connection_errors", help, self.connection_errors.clone());
    }

    /// Counts an answer with a decision and its warnings.
    pub fn decided(&self, decision: &Decision<'_>, warnings: &[&'static str], elapsed: Duration) {
        let (class, pool) = (decision.class, decision.pool());
        self.answered(decision.reason, class, pool, elapsed);
        for &warning in warnings {
            self.warnings.get_or_create(&WarningLabel { warning }).inc();
        }
    }

    /// Counts an answer without a decision.
    pub fn failed(&self, reason: Reason, elapsed: Duration) {
        self.answered(reason, None, None, elapsed);
    }

    fn answered(&self, reason: Reason, class: Option<&str>, pool: Option<&str>, elapsed: Duration) {
        self.reviews.count(reason, class, pool);
        self.duration.observe(elapsed);
    }

    /// Shows the table in force.
    pub fn table(&self, table: &AllocationTable) {
        let revision = table.revision().to_owned();
        self.table_info.clear();
        self.table_info.get_or_create(&Revision { revision }).set(1);
        self.table_classes.set(count(table.len()));
        self.table_pools.set(count(table.pool_count()));
        self.reviews.expect(table);
    }

    /// Shows when the serving certificate ends, in seconds since the epoch.
    pub fn certificate_not_after(&self, seconds: i64) {
        self.certificate_not_after.set(seconds);
    }

    /// Counts a source that was put in force.
    pub fn reloaded(&self, source: Source) {
        self.count_reload(source, "success");
        let label = SourceLabel {
            source: source.as_str(),
        };
        self.last_reload
            .get_or_create(&label)
            .set(seconds(SystemTime::now()));
    }

    /// Counts a source that is invalid, so that it is not put in force.
    pub fn invalid(&self, source: Source) {
        self.count_reload(source, "invalid");
    }

    /// Shows whether a source is invalid now, and since when.
    pub fn show_invalid(&self, source: Source, since: Option<SystemTime>) {
        let label = SourceLabel {
            source: source.as_str(),
        };
        let invalid = i64::from(since.is_some());
        self.invalid.get_or_create(&label).set(invalid);
        let since = since.map_or(0.0, seconds);
        self.invalid_since.get_or_create(&label).set(since);
    }

    /// Shows why the server should get no traffic.
    pub fn readiness(&self, ready: &Result<(), Vec<NotReady>>) {
        let reasons = ready.as_ref().err().map_or(&[][..], Vec::as_slice);
        for reason in NotReady::LABELS {
            let holds = reasons.iter().any(|why| why.as_str() == reason);
            let gauge = self.not_ready.get_or_create(&ReasonLabel { reason });
            gauge.set(i64::from(holds));
        }
    }

    fn count_reload(&self, source: Source, result: &'static str) {
        let source = source.as_str();
        self.reloads.get_or_create(&Reload { source, result }).inc();
    }

    /// Counts a complete list of a kind.
    pub fn relisted(&self, kind: &'static str) {
        self.watch_relists.get_or_create(&KindLabel { kind }).inc();
    }

    /// Counts a list or watch that failed; code 0 where nothing answered.
    pub fn watch_failed(&self, kind: &'static str, code: u16) {
        self.watch_errors
            .get_or_create(&WatchError { kind, code })
            .inc();
    }

    /// The API server has answered a list or watch of a kind.
    pub fn contacted(&self, kind: &'static str) {
        let contact = self.watch_contact.get_or_create(&KindLabel { kind });
        contact.set(seconds(SystemTime::now()));
    }

    /// Shows how many objects of a kind there are, and how many of them are in the table.
    pub fn objects(&self, kind: &'static str, accepted: usize, all: usize) {
        for (word, n) in [("true", accepted), ("false", all - accepted)] {
            let accepted = word;
            self.objects
                .get_or_create(&Judgement { kind, accepted })
                .set(count(n));
        }
    }

    /// Counts a status that was written, or should have been.
    pub fn status_written(&self, kind: &'static str, is_written: bool) {
        let result = if is_written { "written" } else { "failed" };
        self.status_writes
            .get_or_create(&Written { kind, result })
            .inc();
    }

    /// Counts a choice between pools, by what was known of the room.
    pub fn chose(&self, room: Room) {
        let room = room.as_str();
        self.choices.get_or_create(&RoomLabel { room }).inc();
    }

    /// Counts an Event by what became of it.
    pub fn event(&self, result: &'static str) {
        self.events.get_or_create(&ResultLabel { result }).inc();
    }

    /// Counts a review that another replica should decide, by what became of it.
    pub fn forwarded(&self, result: &'static str) {
        self.forwards.get_or_create(&ResultLabel { result }).inc();
    }

    /// Counts an object that was asked about at apply, by what was said.
    pub fn word(&self, result: &'static str) {
        self.words.get_or_create(&ResultLabel { result }).inc();
    }

    /// Counts spans with what became of them: from now on, it is shown.
    #[must_use]
    pub fn spans(&self, result: &'static str) -> Counter {
        self.spans.get_or_create(&ResultLabel { result }).clone()
    }

    /// The text of a scrape, in the OpenMetrics format.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
