//! What creates in a cluster come to, printed.

use serde::Serialize;

use super::{Times, reach::Reach};
use berth_manifests::diagnostic::printable;

/// The figures of one run. Times are nanoseconds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Creates {
    pub(super) namespace: String,
    pub(super) class: String,
    pub(super) rounds: usize,
    pub(super) without: Percentiles,
    pub(super) with: Percentiles,
    /// The median of what the second took more than the first, round by round.
    pub(super) difference_p50_ns: i64,
    #[serde(rename = "without_reaches_berth", serialize_with = "reaches")]
    pub(super) reach: Reach,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Percentiles {
    #[serde(rename = "p50_ns")]
    median: u64,
    #[serde(rename = "p90_ns")]
    slow: u64,
    #[serde(rename = "p99_ns")]
    slowest: u64,
}

/// For a program: it does, it does not, or nobody knows.
fn reaches<S: serde::Serializer>(reach: &Reach, to: S) -> Result<S::Ok, S::Error> {
    let known = match reach {
        Reach::Never => Some(false),
        Reach::Sent(_) | Reach::Placed => Some(true),
        Reach::Unknown(_) => None,
    };
    known.serialize(to)
}

impl Percentiles {
    pub(super) fn of(mut times: Times) -> Self {
        times.0.sort_unstable();
        let [median, slow, slowest] = [50, 90, 99].map(|percent| times.at(percent));
        Self {
            median,
            slow,
            slowest,
        }
    }

    fn text(self) -> String {
        let [p50, p90, p99] = [self.median, self.slow, self.slowest]
            .map(u64::cast_signed)
            .map(millis);
        format!("p50 {p50:.2} ms, p90 {p90:.2} ms, p99 {p99:.2} ms")
    }
}

impl Creates {
    pub(super) fn text(&self) -> String {
        let class = &self.class;
        let (is_sent, means) = match &self.reach {
            Reach::Never => (
                "which is not sent to berth".to_owned(),
                "what berth adds to a create",
            ),
            Reach::Sent(hook) => (
                format!("which {hook} sends to berth, too"),
                "what placing adds, as berth is asked in both",
            ),
            Reach::Placed => (
                "which berth places, too, as the namespace names a class".to_owned(),
                "not what berth adds, as it is asked and places in both",
            ),
            Reach::Unknown(why) => (
                format!("of which nobody knows whether it is sent to berth: {why}"),
                "what the class adds",
            ),
        };
        printable(&format!(
            "creates   {} rounds of two dry runs in namespace {}\n\
             without   {}: a Pod without a class, {is_sent}\n\
             class     {}: the same Pod with class {class}\n\
             berth     {:+.2} ms at the median of the rounds: {means}\n",
            self.rounds,
            self.namespace,
            self.without.text(),
            self.with.text(),
            millis(self.difference_p50_ns),
        ))
    }
}

#[allow(clippy::cast_precision_loss, reason = "times are far below 2^52 ns")]
fn millis(nanos: i64) -> f64 {
    nanos as f64 / 1e6
}
