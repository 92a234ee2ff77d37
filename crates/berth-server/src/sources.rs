//! Sources that are read again and again, and the one place that puts what they give in force.

use std::{
    fmt::Display,
    sync::Arc,
    time::{Instant, SystemTime},
};

use berth_core::{table::AllocationTable, view::View};

use crate::{
    metrics::{Metrics, Source},
    state::ServerState,
};

pub mod cluster;
pub mod files;

/// What came of reading a source.
#[derive(Debug)]
pub enum Reloaded {
    /// It is what is in force already.
    Same,
    /// It is in force from now on; the text says what it is.
    New(String),
}

/// What the log and the metrics are told about a source that is read again and again.
#[derive(Debug)]
pub struct Reporter {
    source: Source,
    metrics: Arc<Metrics>,
    /// Whether anything was ever put in force.
    in_force: bool,
    invalid: Option<Invalid>,
}

/// Since when a source has been invalid, and why, as it was told.
#[derive(Debug)]
struct Invalid {
    since: Instant,
    error: String,
}

impl Reporter {
    /// A reporter for a source that has not been read yet.
    #[must_use]
    pub fn new(source: Source, metrics: Arc<Metrics>) -> Self {
        Self {
            source,
            metrics,
            in_force: false,
            invalid: None,
        }
    }

    /// Reports a reading: what is in force now, why a source is invalid, and that it is valid again, each once, however
    /// often it is read.
    pub fn tell<E: Display>(&mut self, outcome: Result<Reloaded, E>) {
        let source = self.source.as_str();
        match outcome {
            Ok(Reloaded::Same) => {
                if let Some(seconds) = self.valid() {
                    let message = "valid again: it is what is in force";
                    tracing::info!(source, invalid_seconds = seconds, message);
                }
            }
            Ok(Reloaded::New(what)) => {
                let invalid_seconds = self.valid();
                self.metrics.reloaded(self.source);
                let again = if self.in_force { "reloaded" } else { "loaded" };
                self.in_force = true;
                tracing::info!(source, %what, invalid_seconds, "{again}");
            }
            Err(error) => self.invalid(error.to_string()),
        }
    }

    /// The source is valid: for how many seconds it was not, where it was not.
    fn valid(&mut self) -> Option<f64> {
        let invalid = self.invalid.take()?;
        self.metrics.show_invalid(self.source, None);
        Some(invalid.since.elapsed().as_secs_f64())
    }

    fn invalid(&mut self, error: String) {
        let known = self.invalid.take();
        if known.as_ref().is_some_and(|known| known.error == error) {
            self.invalid = known;
            return;
        }
        let source = self.source.as_str();
        self.metrics.invalid(self.source);
        if self.in_force {
            tracing::error!(source, %error, "invalid: the last good one stays in force");
        } else {
            tracing::error!(source, %error, "invalid: none is in force, and berth is not ready");
        }
        let since = known.map_or_else(
            || {
                self.metrics
                    .show_invalid(self.source, Some(SystemTime::now()));
                Instant::now()
            },
            |known| known.since,
        );
        self.invalid = Some(Invalid { since, error });
    }
}

/// Puts views in force: in the state that requests are answered from, in the metrics and in the log.
#[derive(Debug)]
pub struct Publisher {
    state: Arc<ServerState>,
    metrics: Arc<Metrics>,
    reporter: Reporter,
}

impl Publisher {
    /// A publisher that has put nothing in force yet.
    #[must_use]
    pub fn new(state: Arc<ServerState>, metrics: Arc<Metrics>) -> Self {
        let reporter = Reporter::new(Source::Table, Arc::clone(&metrics));
        Self {
            state,
            metrics,
            reporter,
        }
    }

    /// Says why there is nothing to put in force yet, where that is no error: a list that has not come, say. Nothing is
    /// logged, and `/readyz` shows it.
    pub fn wait(&self, reason: &str) {
        self.state.set_no_view(reason);
    }

    /// Takes what came of reading the source: a new view, none where nothing changed, or why it is invalid. Then the last
    /// good one stays in force, or the server stays unready with that reason.
    pub fn take<E: Display>(&mut self, read: Result<Option<View>, E>) {
        let outcome = match read {
            Ok(None) => Ok(Reloaded::Same),
            Ok(Some(view)) => Ok(Reloaded::New(self.put(view))),
            Err(error) => {
                let error = error.to_string();
                self.state.set_no_view(&error);
                Err(error)
            }
        };
        self.reporter.tell(outcome);
    }

    fn put(&self, view: View) -> String {
        let what = format!("revision {}", view.table.revision());
        let (before, after) = (self.state.view(), Arc::clone(&view.table));
        let is_same = |view: &Arc<View>| Arc::ptr_eq(&view.table, &after);
        // a namespace's label makes another view of the same table, whose counters are kept
        if !before.as_ref().is_some_and(is_same) {
            self.metrics.table(&after);
        }
        self.state.set_view(view);
        // who reads it finds it so
        warn_if_empty(before.as_ref().map(|it| &*it.table), &after);
        what
    }
}

fn warn_if_empty(before: Option<&AllocationTable>, after: &AllocationTable) {
    if after.is_empty() {
        let numbers = |count: fn(&AllocationTable) -> usize| (before.map(count), count(after));
        let (classes_before, classes) = numbers(AllocationTable::len);
        let (pools_before, pools) = numbers(AllocationTable::pool_count);
        tracing::warn!(
            classes_before,
            classes,
            pools_before,
            pools,
            "the table has no WorkloadClass: every Pod that names a class is denied"
        );
    }
}
