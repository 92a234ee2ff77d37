//! How long requests took. It is counted for each review, and so without a lock: the histogram of prometheus-client has
//! one.

use std::{
    fmt, iter,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

/// The bounds of the buckets in seconds, each within its bucket: a review takes microseconds, and its body may take longer
/// to arrive.
const BOUNDS: [f64; 14] = [
    25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 100e-3, 500e-3, 1.0,
    5.0,
];

/// A histogram of times.
#[derive(Clone, Debug, Default)]
pub(super) struct Durations(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// How many are in each bucket, and over the last bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// The sum.
    nanoseconds: AtomicU64,
}

impl Durations {
    pub(super) fn observe(&self, took: Duration) {
        let Self(counts) = self;
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().take_while(|bound| seconds > **bound).count();
        if let Some(bucket) = counts.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        // enough for 584 years
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        counts.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let Self(counts) = self;
        let sum = Duration::from_nanos(counts.nanoseconds.load(Ordering::Relaxed));
        let numbers = counts.buckets.iter().map(|it| it.load(Ordering::Relaxed));
        let bounds = BOUNDS.into_iter().chain(iter::once(f64::INFINITY));
        let buckets: Vec<(f64, u64)> = bounds.zip(numbers).collect();
        // of what is shown, whatever is counted in the meantime
        let count = buckets.iter().map(|bucket| bucket.1).sum();
        encoder.encode_histogram::<NoLabelSet>(sum.as_secs_f64(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{
        encoding::text::encode, metrics::histogram::Histogram, registry::Registry,
    };

    use super::*;

    #[test]
    fn it_is_shown_as_the_histogram_of_the_library() {
        let (ours, theirs) = (Durations::default(), Histogram::new(BOUNDS));
        let bounds = BOUNDS.map(|bound| Duration::try_from_secs_f64(bound).expect("a duration"));
        let near = |bound: Duration| [bound, bound + Duration::from_nanos(1)];
        let times = bounds.into_iter().flat_map(near);
        for time in times.chain([Duration::ZERO, Duration::from_secs(64)]) {
            ours.observe(time);
            theirs.observe(time.as_secs_f64());
        }
        let text = |metric: &dyn Fn(&mut Registry)| {
            let (mut registry, mut text) = (Registry::default(), String::new());
            metric(&mut registry);
            encode(&mut text, &registry).expect("a text");
            // the sums are rounded in another order
            let lines = text.lines().filter(|line| !line.starts_with("x_sum"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let ours = text(&|registry| registry.register("x", "y", ours.clone()));
        assert_eq!(
            ours,
            text(&|registry| registry.register("x", "y", theirs.clone()))
        );
        assert_eq!(ours.len(), BOUNDS.len() + 5, "{ours:#?}");
    }

    #[test]
    fn the_sum_is_in_seconds() {
        let durations = Durations::default();
        durations.observe(Duration::from_millis(1_500));
        durations.observe(Duration::from_millis(500));
        let (mut registry, mut text) = (Registry::default(), String::new());
        registry.register("x", "y", durations);
        encode(&mut text, &registry).expect("a text");
        assert!(text.contains("x_sum 2.0\nx_count 2\n"), "{text}");
    }
}
