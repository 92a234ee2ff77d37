//! Sources that are read again and again, and the one place that puts what they give in force.

use std::{fmt::Display, sync::Arc};

use berth_core::view::View;

use crate::{
    metrics::{Metrics, Source},
    state::ServerState,
};

pub mod files;

/// What came of reading a source again.
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
    invalid: Option<String>,
}

impl Reporter {
    /// A reporter for a source whose first reading was put in force.
    #[must_use]
    pub fn new(source: Source, metrics: Arc<Metrics>) -> Self {
        metrics.reloaded(source);
        Self {
            source,
            metrics,
            invalid: None,
        }
    }

    /// Reports a reading: what is in force now, and why a source is invalid, each once, however often it is read.
    pub fn tell<E: Display>(&mut self, outcome: Result<Reloaded, E>) {
        let source = self.source.as_str();
        match outcome {
            Ok(Reloaded::Same) => self.invalid = None,
            Ok(Reloaded::New(what)) => {
                self.invalid = None;
                self.metrics.reloaded(self.source);
                tracing::info!(source, %what, "reloaded");
            }
            Err(error) => {
                let error = error.to_string();
                if self.invalid.as_ref() != Some(&error) {
                    self.metrics.refused(self.source);
                    tracing::error!(source, %error, "invalid: the last good one stays in force");
                    self.invalid = Some(error);
                }
            }
        }
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
    /// A publisher that has put its first table in force.
    #[must_use]
    pub fn new(state: Arc<ServerState>, metrics: Arc<Metrics>, first: View) -> Self {
        let reporter = Reporter::new(Source::Table, Arc::clone(&metrics));
        let publisher = Self {
            state,
            metrics,
            reporter,
        };
        publisher.put(first);
        publisher
    }

    /// Takes what came of reading the source again: a new view, none where nothing changed, or why it is invalid, which
    /// leaves the last good one in force.
    pub fn take<E: Display>(&mut self, read: Result<Option<View>, E>) {
        let outcome = read.map(|view| match view {
            None => Reloaded::Same,
            Some(view) => {
                let what = format!("revision {}", view.table.revision());
                self.put(view);
                Reloaded::New(what)
            }
        });
        self.reporter.tell(outcome);
    }

    fn put(&self, view: View) {
        self.metrics.table(&view.table);
        self.state.set_view(view);
    }
}
