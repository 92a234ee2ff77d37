//! A span's way to the thread that sends it. Who ends a span never waits.
//!
//! The thread, the batches and the end are OpenTelemetry's. Here is what it does not have: a count of the spans that were
//! dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};
use prometheus_client::metrics::counter::Counter;

use crate::metrics::Metrics;

/// So many spans wait at most, those that are being sent among them, each of about a KiB.
const MOST: usize = 2_048;

/// The spans that wait, and what becomes of them.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Waiting>);

#[derive(Debug)]
struct Waiting {
    spans: AtomicUsize,
    /// Of those that are being sent, what the Collector says that it did not take.
    rejected: AtomicUsize,
    sent: Counter,
    failed: Counter,
    dropped: Counter,
}

/// The near end: there is room, or the span is dropped.
#[derive(Debug)]
pub(super) struct Bounded {
    queue: Queue,
    batches: BatchSpanProcessor,
}

/// The far end, on the thread.
#[derive(Debug)]
struct Counted<E> {
    queue: Queue,
    exporter: E,
}

impl Queue {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let [sent, failed, dropped] = ["sent", "failed", "dropped"].map(|it| metrics.spans(it));
        Self(Arc::new(Waiting {
            spans: AtomicUsize::new(0),
            rejected: AtomicUsize::new(0),
            sent,
            failed,
            dropped,
        }))
    }

    /// This queue before what sends.
    pub(super) fn before(&self, exporter: impl SpanExporter + 'static) -> Bounded {
        let counted = Counted {
            queue: self.clone(),
            exporter,
        };
        let config = BatchConfigBuilder::default().with_max_queue_size(MOST);
        Bounded {
            queue: self.clone(),
            batches: BatchSpanProcessor::new(counted, config.build()),
        }
    }

    /// The Collector has answered, and has not taken so many of the spans.
    pub(super) fn rejected(&self, spans: usize) {
        self.0.rejected.store(spans, Ordering::Release);
    }

    /// How many spans wait.
    pub(super) fn waiting(&self) -> usize {
        self.0.spans.load(Ordering::Acquire)
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let waiting = &self.queue.0;
        if waiting.spans.fetch_add(1, Ordering::AcqRel) < MOST {
            self.batches.on_end(span);
        } else {
            waiting.spans.fetch_sub(1, Ordering::AcqRel);
            waiting.dropped.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        let waiting = &self.queue.0;
        waiting.spans.fetch_sub(spans, Ordering::AcqRel);
        // batches are sent one after the other, so they are of this one
        let rejected = waiting.rejected.swap(0, Ordering::AcqRel);
        let failed = if exported.is_ok() {
            rejected.min(spans)
        } else {
            spans
        };
        waiting.failed.inc_by(failed as u64);
        waiting.sent.inc_by((spans - failed) as u64);
        exported
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    };

    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::{error::OTelSdkError, trace::SdkTracerProvider};

    use super::*;

    /// Longer than anything takes here, on a machine that is busy.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// What blocks on each batch until it is told what comes of it.
    #[derive(Debug)]
    struct Blocked {
        reached: Sender<usize>,
        result: Mutex<Receiver<OTelSdkResult>>,
    }

    impl SpanExporter for Blocked {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            // the test may have ended
            let _ = self.reached.send(batch.len());
            let result = self.result.lock().expect("no panic").recv();
            result.unwrap_or(Ok(()))
        }
    }

    #[test]
    fn what_is_over_is_dropped_and_counted_and_nobody_waits() {
        let metrics = Metrics::default();
        let queue = Queue::new(&metrics);
        let (reached, batches) = channel();
        let (results, result) = channel();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(queue.before(Blocked {
                reached,
                result: Mutex::new(result),
            }))
            .build();
        let tracer = provider.tracer("test");
        for _ in 0..MOST + 7 {
            drop(tracer.start("span"));
        }
        let counts = || ["sent", "failed", "dropped"].map(|it| metrics.spans(it).get());
        assert_eq!(counts(), [0, 0, 7]);
        assert_eq!(queue.waiting(), MOST);
        // a batch that fails is not tried again, and makes room
        let failed = batches.recv_timeout(PATIENCE).expect("a batch");
        let error = OTelSdkError::InternalFailure("no answer".to_owned());
        results.send(Err(error)).expect("it waits");
        batches.recv_timeout(PATIENCE).expect("the next batch");
        assert_eq!(queue.waiting(), MOST - failed);
        drop(results);
        provider
            .shutdown_with_timeout(PATIENCE)
            .expect("all is sent");
        let (failed, most) = (failed as u64, MOST as u64);
        assert_eq!(counts(), [most - failed, failed, 7]);
        assert_eq!(queue.waiting(), 0);
    }

    /// What answers, and does not take so many spans of each batch.
    #[derive(Debug)]
    struct Partial {
        queue: Queue,
        rejected: Mutex<Receiver<usize>>,
    }

    impl SpanExporter for Partial {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            let rejected = self.rejected.lock().expect("no panic").recv();
            if let Ok(spans @ 1..) = rejected {
                self.queue.rejected(spans);
            }
            Ok(())
        }
    }

    #[test]
    fn what_the_collector_does_not_take_has_failed() {
        let metrics = Metrics::default();
        let queue = Queue::new(&metrics);
        let (rejections, rejected) = channel();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(queue.before(Partial {
                queue: queue.clone(),
                rejected: Mutex::new(rejected),
            }))
            .build();
        let tracer = provider.tracer("test");
        // the last says more than it was sent
        for (rejected, counts) in [(2, [3, 2]), (0, [8, 2]), (6, [8, 7])] {
            for _ in 0..5 {
                drop(tracer.start("span"));
            }
            rejections.send(rejected).expect("it is there");
            provider.force_flush().expect("it is sent");
            let counted = ["sent", "failed"].map(|it| metrics.spans(it).get());
            assert_eq!(counted, counts, "{rejected}");
        }
        assert_eq!(queue.waiting(), 0);
    }
}
